"""A failure shrunk to the smallest network and batch that shows it, and a snippet that repeats it.

Options go one after another, then layers, widths and examples; then numbers become small whole ones
where the failure stays. Each change is kept if the file's gradient is still wrong.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.calls import call
from samegrad.implementations.checking.comparison import TensorCheck, judge
from samegrad.implementations.checking.problems import CLEAR, Problem, draw
from samegrad.implementations.checking.reference import clear_of_kinks, expected
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec, map_tree

Array = Any
SECONDS = 5.0  # a compiled framework compiles for every shape; whatever is smallest by then, counts
SIMPLE = (0.0, 1.0, -1.0, 2.0)  # values that are tried for an entry, in this order


@dataclass(frozen=True)
class Failure:
    """What is wrong on a problem.

    Attributes:
        tensor: such as "dW1".
        index: of the entry that is off most, None of a loss or a wrong shape.
        given, right: both values, or both shapes, as text that Python reads.
    """

    tensor: str
    index: tuple[int, ...] | None
    given: str
    right: str


def failure(implementation: Implementation, problem: Problem) -> Failure | None:
    """What is wrong with the loss and the gradient of a file on a problem, or None."""
    spec = problem.spec
    if not clear_of_kinks(spec, problem.params, problem.X, problem.masks, CLEAR).all():
        return None
    result = call("loss_and_grad", implementation, problem, implementation.devices()[0], 0.0)
    if result.failure or result.not_supported:
        return None
    right = expected(spec, problem.params, problem.X, problem.y, problem.masks)
    accuracy = implementation.capabilities.accuracy(spec)
    wrong = [t for t in judge(spec, right, result.results, accuracy).tensors if t.disagrees]
    wrong.sort(key=lambda tensor: "loss" in tensor.name)  # a gradient shows more
    return _shown(wrong[0], result.results, right) if wrong else None


def _shown(tensor: TensorCheck, results: Any, right: Any) -> Failure | None:
    if "loss" in tensor.name:
        value = np.asarray(results["loss with the gradient"])
        if value.size != 1 or _of_another_kind(tensor, value):
            return None
        return Failure("loss", None, repr(float(value.ravel()[0])), repr(float(right.loss)))
    letter, layer = tensor.name[1:2], "".join(filter(str.isdigit, tensor.name))
    try:
        given = np.asarray(results["grads"][int(layer) - 1]["Wb".index(letter)])
    except (ValueError, LookupError, TypeError):
        return None
    exact = np.asarray(right.grads[int(layer) - 1]["Wb".index(letter)])
    if given.shape != exact.shape:
        return Failure(tensor.name, None, str(given.shape), str(exact.shape))
    if _of_another_kind(tensor, given):
        return None
    off = np.abs(np.where(np.isfinite(given), given, np.inf) - exact)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
    return Failure(tensor.name, index, repr(float(given[index])), repr(float(exact[index])))


def _of_another_kind(tensor: TensorCheck, given: Array) -> bool:
    """Whether a dtype or a type is wrong instead of a number."""
    if given.dtype.kind not in "fiu":
        return True
    return tensor.error is None and bool(np.isfinite(given).all())


def shrunk(
    implementation: Implementation, problem: Problem, seconds: float = SECONDS
) -> tuple[Problem, Failure] | None:
    """The smallest problem that was found to fail within a time, and how; None if none fails."""
    end = time.monotonic() + seconds
    found = failure(implementation, problem)
    if found is None:
        return None
    best, shown = problem, found
    going = True
    while going and time.monotonic() < end:
        going = False
        for candidate in _smaller(best):
            if time.monotonic() > end:
                break
            found = _tried(implementation, candidate)
            if candidate is not None and found is not None:
                best, shown, going = candidate, found, True
                break
    for candidate, place in _simpler_values(best):
        if time.monotonic() > end:
            break
        if (found := _tried(implementation, candidate)) is not None:
            place()
            best, shown = candidate, found
    return best, shown


def _tried(implementation: Implementation, problem: Problem | None) -> Failure | None:
    try:
        return None if problem is None else failure(implementation, problem)
    except Exception:
        return None  # whatever it does with that, it is another failure


def _smaller(problem: Problem) -> Iterator[Problem | None]:
    """The problem with one thing less, the simplest first."""
    spec = problem.spec
    for changes in _options(problem):
        yield _with(problem, replace(spec, **changes))
    for layer in range(1, len(spec.layer_sizes) - 1):
        sizes = spec.layer_sizes[:layer] + spec.layer_sizes[layer + 1 :]
        yield _with(problem, replace(spec, layer_sizes=sizes))
    batch_size = len(problem.X)
    for size in sorted({1, 2, batch_size // 2, batch_size - 1} & set(range(1, batch_size))):
        yield replace(problem, X=problem.X[:size], y=problem.y[:size], masks=_rows(problem, size))
        yield _drawn(spec, size)
    for layer, width in enumerate(spec.layer_sizes):
        for size in sorted({1, 2, width // 2, width - 1} & set(range(1, width))):
            sizes = (*spec.layer_sizes[:layer], size, *spec.layer_sizes[layer + 1 :])
            yield _with(problem, replace(spec, layer_sizes=sizes))


def _options(problem: Problem) -> Iterator[dict[str, Any]]:
    spec = problem.spec
    if spec.dropout:
        yield {"dropout": 0.0}
    if spec.weight_decay:
        yield {"weight_decay": 0.0}
    if spec.output_activation != "identity":
        yield {"output_activation": "identity"}
    if spec.loss != "mse":
        yield {"loss": "mse"}
    simple: list[Any] = ["identity", "relu"]
    for name in simple[: simple.index(spec.activation)] if spec.activation in simple else simple:
        yield {"activation": name}
    if spec.bias:
        yield {"bias": False}


def _with(problem: Problem, spec: MLPSpec) -> Problem | None:
    """The problem's numbers as far as they fit another spec, else new ones."""
    old = problem.spec
    sizes, batch_size = spec.layer_sizes, len(problem.X)
    if len(sizes) != len(old.layer_sizes) or spec.loss != old.loss or spec.dropout != old.dropout:
        return _drawn(spec, batch_size)
    params = [
        (W[:fan_in, :fan_out], None if b is None or not spec.bias else b[:fan_out])
        for (W, b), fan_in, fan_out in zip(problem.params, sizes, sizes[1:], strict=False)
    ]
    y = problem.y[:, : sizes[-1]] if problem.y.ndim == 2 else problem.y % sizes[-1]
    masks = problem.masks
    if masks is not None:
        masks = [m[:, :width] for m, width in zip(masks, sizes[1:], strict=False)]
    return replace(problem, spec=spec, params=params, X=problem.X[:, : sizes[0]], y=y, masks=masks)


def _drawn(spec: MLPSpec, batch_size: int) -> Problem | None:
    try:
        return draw(spec, batch_size)
    except ValueError:
        return None


def _rows(problem: Problem, size: int) -> Any:
    return None if problem.masks is None else [mask[:size] for mask in problem.masks]


def _simpler_values(problem: Problem) -> Iterator[tuple[Problem, Any]]:
    """The problem with simpler numbers; what is called where they are kept."""
    values = {"params": problem.params, "X": problem.X, "y": problem.y}

    def now(name: str, new: Any) -> tuple[Problem, Any]:
        changed = {**values, name: new}
        return replace(problem, **changed), lambda: values.update({name: new})

    def rounded(array: Array) -> Array:
        return np.clip(np.rint(array), -2, 2) + 0.0  # no -0.0

    yield now("params", map_tree(rounded, values["params"]))
    yield now("X", rounded(values["X"]))
    if problem.y.dtype.kind == "f":
        yield now("y", rounded(values["y"]))
    flat: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [("X", (), values["X"].shape)]
    flat += [("y", (), values["y"].shape)] if problem.y.dtype.kind == "f" else []
    for layer, pair in enumerate(problem.params):
        flat += [("params", (layer, i), p.shape) for i, p in enumerate(pair) if p is not None]
    for name, path, shape in flat:
        for index in np.ndindex(shape):
            for value in SIMPLE:
                copied: Any = map_tree(np.copy, values[name])
                array = copied[path[0]][path[1]] if path else copied
                if array[index] in SIMPLE[: SIMPLE.index(value) + 1]:
                    break
                array[index] = value
                yield now(name, copied)


def snippet(name: str, problem: Problem, shown: Failure) -> str:
    """At most 15 lines that repeat a failure when they are pasted."""
    spec, plain = problem.spec, MLPSpec((1, 1))
    options = [
        f"{key}={value!r}"
        for key, value in spec.to_dict().items()
        if key != "layer_sizes" and value != plain.to_dict()[key]
    ]
    masks = ""
    lines = [
        "import numpy as np",
        "import samegrad as sg",
        "",
        f"net = sg.load({name!r})",
        f"spec = sg.MLPSpec({', '.join([repr(spec.layer_sizes), *options])})",
        f"params = [{', '.join(f'({_literal(W)}, {_literal(b)})' for W, b in problem.params)}]",
        f"X, y = {_literal(problem.X)}, {_literal(problem.y)}",
        'params = net.params_from_numpy(spec, params, "cpu")',
        'X, y = net.batch_from_numpy(spec, X, y, "cpu")',
    ]
    if problem.masks is not None:
        given = ", ".join(map(_literal, problem.masks))
        lines.append(f'masks = net.masks_from_numpy(spec, [{given}], "cpu")')
        masks = ", masks"
    lines.append(f"loss, grads = net.loss_and_grad(spec, params, X, y{masks})")
    if shown.tensor == "loss":
        what = "float(loss)"
    else:
        layer, which = int(shown.tensor[2:]) - 1, "Wb".index(shown.tensor[1])
        what = f"net.to_numpy(grads)[{layer}][{which}]"
        what += ".shape" if shown.index is None else f"[{', '.join(map(str, shown.index))}]"
    at = "" if shown.index is None else f"[{', '.join(map(str, shown.index))}]"
    lines.append(f'print("{shown.tensor}{at} is", {what}, "and has to be", {shown.right})')
    return "\n".join(lines)


def _literal(array: Array | None) -> str:
    if array is None:
        return "None"
    return f"np.array({array.tolist()!r})"
