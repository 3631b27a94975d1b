"""The child's side: load a file, call what it has written, and send what that gives.

It knows no answers: those are the parent's, which judges.
"""

import importlib
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.implementations.checking import processes
from samegrad.implementations.checking.messages import decode, encode
from samegrad.implementations.contract.adapter import as_numpy
from samegrad.implementations.contract.texts import UNPARSABLE, unparsable

Message = dict[str, Any]
IN_PLACE = ("U",)  # equations whose function may change what it is given
THROUGH = ("F1", "F2", "L1", "L2")  # through which autograd has to go back


def main() -> None:
    """Answer one request: {"path", "run", "kind", "tasks"}."""
    processes.serve(answer)


def answer(request: Message, send: Callable[[Message], None]) -> None:
    """Send each stage as it begins, remarks on the file, and the result of each call."""
    from samegrad.implementations.reading.loading import BELOW, load

    send({"stage": "loading"})
    path = Path(request["path"])
    try:
        loaded = load(
            path, request["run"], lambda: send({"stage": "running"}), BELOW, libraries_first=True
        )
    except UNPARSABLE as error:
        send({"fault": unparsable(error)})
        return
    send({"remarks": loaded.remarks})
    for task in request["tasks"]:
        send({"begins": task["number"]})
        for number, result in enumerate(results(task, loaded.namespace, request["kind"], path)):
            send({"task": task["number"], "call": number, **result})
    send({"complete": True})


def results(task: Message, namespace: dict[str, Any], kind: str, path: Path) -> Iterator[Message]:
    """What each call of a task gives; it ends with the first that raises."""
    pool = {key: decode(value) for key, value in task["pool"].items()}
    learns = task["learns"]
    through = kind == "torch" and task["equation"] in THROUGH
    given = {key: placed(value, kind, through or key in learns) for key, value in pool.items()}
    if through:
        given = {key: inner(value) for key, value in given.items()}
    for keys in task["calls"]:
        arguments = [given[key] for key in keys]
        if task["how"] != "call" or task["equation"].startswith(IN_PLACE):
            arguments = [placed(pool[key], kind, False) for key in keys]  # may be changed
        try:
            function = found(namespace, task["function"])
            value = HOW[task["how"]](function, namespace, arguments, task)
        except (Exception, SystemExit) as error:
            yield {"raised": described(error, path)}
            return
        changed = [
            n for n, key in enumerate(keys)
            if arguments[n] is given[key] and not same(pool[key], fetched(given[key]))
        ]  # fmt: skip
        cut = through and not getattr(value, "requires_grad", False)
        if kind == "jax" and task["equation"] in THROUGH and keys is task["calls"][-1]:
            first = [given[key] for key in task["calls"][0]]  # the last may be on huge numbers
            cut = stops(function, first)  # once, at the end: it traces what the file keeps
        yield {"value": encode(fetched(value)), "changed": changed, "cut": cut}


class MissingError(LookupError):
    """The file does not define it."""


class FormError(TypeError):
    """It returns something of another form."""


def found(namespace: dict[str, Any], name: str) -> Any:
    """A function of the file, or of a class of it."""
    first, *rest = name.split(".")
    if first not in namespace:
        raise MissingError(first)
    value = namespace[first]
    for attribute in rest:
        value = getattr(value, attribute)
    return value


def _called(function: Any, _: Any, arguments: list[Any], __: Message) -> Any:
    return function(*arguments)


def _chained(function: Any, _: Any, arguments: list[Any], task: Message) -> Any:
    """p after each step of a rule that is given what it returned."""
    p, dps, rate, *decay = arguments
    state = [np.zeros_like(p) for _ in range(task["state"])]
    steps = []
    for t, dp in enumerate(dps, start=1):
        count = [t] if task["counted"] else []
        returned = function(p, dp, *state, *count, rate, *decay)
        if not isinstance(returned, tuple | list) or len(returned) != 1 + len(state):
            number = f"{len(returned)} values" if isinstance(returned, tuple) else "one value"
            raise FormError(f"it returns {number}, not p and {len(state)} to be kept")
        p, *state = returned
        steps.append(np.array(p, float))
    return np.stack(steps)


def _operated(function: Any, namespace: dict[str, Any], arguments: list[Any], _: Message) -> Any:
    """The value of an operation of Values, and the slope by each operand."""
    values = [namespace["Value"](x) for x in arguments[0]]
    result = function(*values)
    if not hasattr(result, "slopes"):
        return result
    if len(result.slopes) != len(result.parents):
        raise FormError(f"it has {len(result.slopes)} slopes for {len(result.parents)} parents")
    slopes = [
        sum(s for parent, s in zip(result.parents, result.slopes, strict=True) if parent is value)
        for value in values
    ]
    return np.array([result.data, *slopes], float)


def _backed(function: Any, namespace: dict[str, Any], arguments: list[Any], _: Message) -> Any:
    """Grads of all Values of a graph after backward() of its last one, and after another."""
    nodes: list[Any] = []
    for data, parents, slopes in arguments[0]:
        nodes.append(namespace["Value"](data, [nodes[int(p)] for p in parents], slopes))
    rows = []
    for _time in range(2):
        function(nodes[-1])
        rows.append([node.grad for node in nodes])
    return np.array(rows, float)


HOW: dict[str, Callable[..., Any]] = {
    "call": _called, "chain": _chained, "operation": _operated, "backward": _backed,
}  # fmt: skip


def placed(value: Any, kind: str, learns: bool) -> Any:
    """Arguments in the form of a worksheet; a number is one of Python."""
    if isinstance(value, list | tuple):
        return type(value)(placed(branch, kind, learns) for branch in value)
    if not isinstance(value, np.ndarray):
        return value
    if value.ndim == 0:
        return value.item()
    if kind == "lists":
        return value.tolist()
    if kind == "torch":
        torch = importlib.import_module("torch")
        tensor = torch.tensor(value)
        return tensor.requires_grad_() if learns and value.dtype.kind == "f" else tensor
    if kind == "jax":
        return importlib.import_module("jax.numpy").asarray(value)
    return value.copy()


def inner(value: Any) -> Any:
    """Tensors as they come from a layer, which may be changed in place where leaves may not."""
    if isinstance(value, list | tuple):
        return type(value)(inner(branch) for branch in value)
    return value.clone() if hasattr(value, "clone") else value


def stops(function: Callable[..., Any], arguments: list[Any]) -> bool:
    """Whether jax.grad cannot go back through a function, or finds nothing that it depends on."""
    jax = importlib.import_module("jax")
    leaves, form = jax.tree.flatten(arguments)
    learns = [
        n
        for n, leaf in enumerate(leaves)
        if getattr(getattr(leaf, "dtype", None), "kind", "") == "f"
    ]

    def of(values: list[Any]) -> Any:
        changed = dict(zip(learns, values, strict=True))
        return function(*form.unflatten([changed.get(n, x) for n, x in enumerate(leaves)]))

    values = [leaves[n] for n in learns]
    try:
        _, slope = jax.jvp(of, (values,), (values,))  # along them: along ones a softmax is even
        return not np.any(np.asarray(slope))
    except Exception:  # whatever float() or NumPy make of what has no numbers
        return True


def fetched(value: Any) -> Any:
    """A result as NumPy has it; what is none is left for `encode` to name."""
    if isinstance(value, list | tuple):
        return type(value)(fetched(branch) for branch in value)
    return as_numpy(value)


def same(before: Any, after: Any) -> bool:
    """Whether an argument has its numbers still."""
    if isinstance(before, list | tuple):
        pairs = zip(before, after, strict=False)
        return len(before) == len(after) and all(same(b, a) for b, a in pairs)
    return bool(np.array_equal(np.asarray(before), np.asarray(after)))


def described(error: BaseException, path: Path) -> Message:
    """An exception: its type, text, and where in the file it came from; of a notebook the cell."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(str(path.resolve()))
    ]
    return {
        "kind": type(error).__name__,
        "text": " ".join(str(error).split())[:200],
        "line": own[-1].lineno if own else 0,
        "cell": own[-1].filename.removeprefix(str(path.resolve())).strip("[]") if own else "",
        "function": own[-1].name if own else "",
    }
