"""Where a wrong gradient goes wrong: inferred from what agrees, never certain.

Three ways, the surest first. Known mistakes are made on purpose in a backpropagation of our own,
and the one that gives the same result is named. Then the pattern: the deepest wrong
tensor (backpropagation starts at the output layer), db against dW, a constant ratio, and which
problems fail. Then probes: the same network with one thing made trivial.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.checking import patterns, steps
from samegrad.implementations.checking.known_mistakes import (
    of_gradient,
    of_outputs,
    probabilities,
)
from samegrad.implementations.checking.problems import AT_THE_KINK, Problem
from samegrad.implementations.checking.report import Outcome
from samegrad.implementations.contract.spec import Params, Tree

Array = Any
SAME = {"float64": 1e-9, "float32": 1e-4}  # relative: far above rounding, far below any mistake
FLOAT32_ERROR = 2e-6


def explain(
    failed: Sequence[Outcome], passed: Sequence[Outcome], probes: Mapping[str, bool | None]
) -> list[str]:
    """Sentences on where the fault is likely to be, the most telling first.

    Args:
        failed: what disagrees, at least one.
        passed: what agrees.
        probes: the names of the probes of `simplest(failed)`, and whether each agrees.
    """
    main = simplest(failed)
    sentences = _digits(failed)
    if not _agrees(main, "outputs"):
        sentences += _forward(failed) or [f"F1 or F2: {_reason(main, 'outputs')}"]
        sentences.append("what follows from the outputs is wrong with them")
    elif not (_agrees(main, "loss") and _agrees(main, "loss with the gradient")):
        sentences += _loss(failed, main)
    wrong_grads = "grads" in main.results and not _agrees(main, "d")
    if wrong_grads and _agrees(main, "outputs"):
        shape = _shapes(main)
        known = [] if shape else _known_mistakes([a for a in failed if not _agrees(a, "d")])
        sentences += shape or known or _location(main, probes)
    rule = main.problem.spec.optimizer
    forgets = any(
        call.chained is not None
        and steps.compared(main.problem, call.chained, rate, keeps=False).agrees
        for call, rate in ((c, main.reference.learning_rate) for c in main.calls)
    )
    if not wrong_grads and not sentences and rule != "sgd" and forgets:
        sentences.append(
            f"each step is as if it were the first: the state of {rule} is thrown away (U2 to U7)"
        )
    elif not wrong_grads and not sentences and not _agrees(main, "step"):
        sentences.append(
            f"outputs, loss and gradient agree and the step does not: the update rule "
            f"({main.problem.spec.optimizer}, U1 to U7), or its order"
        )
    sentences += patterns.only(failed, passed)
    return [*patterns.alone(failed, passed), *sentences]


def _digits(failed: Sequence[Outcome]) -> list[str]:
    """Errors of the size of float32's rounding in float64 results."""
    wrong = [t for a in failed for t in a.comparison.tensors if t.disagrees]
    if all(t.error is not None and t.bound < t.error < FLOAT32_ERROR for t in wrong) and all(
        outcome.problem.spec.dtype == "float64" for outcome in failed
    ):
        return [
            f"all errors are below {FLOAT32_ERROR:g}, the size of float32's rounding: something "
            "inside is computed in float32, or a constant has too few digits"
        ]
    return []


def simplest(failed: Sequence[Outcome]) -> Outcome:
    """The failed one that has the least to do with anything but the fault."""

    def hardness(outcome: Outcome) -> tuple[Any, ...]:
        spec = outcome.problem.spec
        return (
            bool(outcome.problem.name),
            outcome.problem.masks is not None,
            spec.weight_decay,
            len(outcome.problem.X) == 1,
            spec.dtype == "float32",
            not spec.bias,
            spec.output_activation != "identity",
            len(spec.layer_sizes) < 3,
            len(spec.layer_sizes),
        )

    return min(failed, key=hardness)


# ---- the loss and the outputs ----


def _loss(failed: Sequence[Outcome], main: Outcome) -> list[str]:
    key = "loss with the gradient" if not _agrees(main, "loss with the gradient") else "loss"
    if not _is_number(main.results[key]):
        return [f"the loss is no scalar (L1): {_reason(main, key)}"]
    if not np.isfinite(main.results[key]):
        return [
            "the loss is not finite (L1): exp overflows or log gets 0; take the largest logit out "
            "first"
        ]

    wrong = [a for a in failed if _is_number(a.results.get(key)) and _agrees(a, "outputs")]

    def parts(outcome: Outcome) -> tuple[float, float, float]:
        squares = sum(
            float(np.sum(np.square(W, dtype=np.float64))) for W, _ in outcome.problem.params
        )
        penalty = outcome.problem.spec.l2 / 2 * squares
        found = float(np.asarray(outcome.results[key]).item())
        return found, float(outcome.reference.loss) - penalty, penalty

    tests: dict[str, Callable[[Outcome], float]] = {
        "the weight decay term is missing from the loss (L2)": lambda a: parts(a)[1],
        "the weight decay term lacks its 1/2 (L2)": lambda a: parts(a)[1] + 2 * parts(a)[2],
    }
    sentences = []
    if any(a.problem.spec.l2 for a in wrong):
        for text, expected in tests.items():
            if all(_near(parts(a)[0], expected(a), a) for a in wrong):
                sentences.append(f"the loss disagrees first: {text}")
    plain = [a for a in wrong if not a.problem.spec.l2]
    classes = [a for a in plain if a.problem.spec.loss == "cross_entropy"]
    if classes and all(_near(parts(a)[0], _softmax_twice(a), a) for a in classes):
        return ["the loss disagrees first: softmax is taken twice (L1): of probabilities"]
    losses = [np.array([parts(a)[0]]) for a in plain]
    right = [np.array([parts(a)[1]]) for a in plain]
    named = _ratio(plain, losses, right) if plain else ""
    if named:
        sentences.append(f"the loss disagrees first: it is {named} (L1)")
    return sentences or [f"the loss disagrees first (L1 or L2): {_reason(main, key)}"]


def _softmax_twice(outcome: Outcome) -> float:
    """The cross entropy of the softmax of the probabilities."""
    twice = probabilities(probabilities(np.asarray(outcome.reference.outputs, np.float64)))
    return float(-np.mean(np.log(twice[np.arange(len(twice)), outcome.problem.y])))


def _forward(failed: Sequence[Outcome]) -> list[str]:
    wrong = [a for a in failed if "outputs" in a.results and not _agrees(a, "outputs")][:8]
    if "dtype" in _reason(wrong[0], "outputs"):
        return [f"{_reason(wrong[0], 'outputs')}: arrays are made without the spec's dtype"]
    if not all(_is_array(a.results["outputs"], a.reference.outputs) for a in wrong):
        return []
    sentences = []
    for text, variant in of_outputs():
        if all(_matches(a, a.results["outputs"], variant) for a in wrong):
            sentences.append(f"the outputs are as if {text}")
    if sentences and "whatever the spec says" in sentences[-1]:
        sentences.append(
            "a file for one activation: let it raise NotImplementedError for others, or verify "
            "with --activation"
        )
    return sentences


# ---- the gradient ----


def _shapes(main: Outcome) -> list[str]:
    """What wrong nesting and shapes say, before any number is looked at."""
    grads = main.results["grads"]
    expected = [
        tuple(() if p is None else np.shape(p) for p in layer) for layer in main.reference.grads
    ]
    if not isinstance(grads, list | tuple) or len(grads) != len(expected):
        return [_reason(main, "d", "expected", "layer")]
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in grads):
        return [_reason(main, "d", "expected", "layer")]
    if not all(isinstance(p, np.ndarray | None) for pair in grads for p in pair):
        return [_reason(main, "d", "expected", "layer")]
    shapes = [tuple(() if p is None else np.shape(p) for p in layer) for layer in grads]
    if shapes == expected:
        wrong = [t.reason for t in main.comparison.tensors if t.reason and "dtype" in t.reason]
        return [f"{wrong[0]}: arrays are made without the spec's dtype"] if wrong else []
    if shapes == expected[::-1]:
        return ["the layers are in reverse order: the first pair must be that of layer 1"]
    sentences = []
    for layer in reversed(range(len(expected))):
        for letter, shape, right in zip("Wb", shapes[layer], expected[layer], strict=True):
            if shape == right:
                continue
            name = f"d{letter}{layer + 1}"
            if letter == "W" and shape == right[::-1]:
                sentences.append(f"{name} is transposed: {shape} for {right} (B2: a^T delta)")
            elif letter == "b" and shape == (len(main.problem.X),):
                sentences.append(f"{name} is summed over the wrong axis: {shape} for {right} (B3)")
            else:
                sentences.append(f"{name} has shape {shape}, expected {right}")
    return sentences


def _known_mistakes(failed: Sequence[Outcome]) -> list[str]:
    """The mistakes that give exactly the same gradient, on every problem that fails."""
    sentences = []
    plain = [a for a in failed if not a.problem.spec.l2 and not a.problem.name]
    for letters, which in (("Wb", "the whole gradient"), ("W", "every dW"), ("b", "every db")):
        grads = [_flat(a.results["grads"], letters) for a in plain]
        right = [_flat(a.reference.grads, letters) for a in plain]
        named = _ratio(plain, grads, right)
        if named:
            sentences.append(f"{which} is {named}")
            break
    # Of problems that look alike one is enough; every kind of them must fit.
    by_kind = {(a.problem.spec.loss, a.problem.spec.activation, a.problem.name): a for a in failed}
    fitting = [
        [
            text
            for text, mistaken in of_gradient(outcome.problem)
            if _matches(outcome, outcome.results["grads"], mistaken)
        ]
        for outcome in list(by_kind.values())[:12]
    ]
    shared = [text for text in fitting[0] if all(text in others for others in fitting)]
    kinks = [text for text in shared if AT_THE_KINK in text]
    shared = kinks or shared  # at a kink g' of a smooth activation may have the same value
    sentences += [f"the gradient is as if {text}" for text in shared]
    if len(sentences) > 1:
        sentences = [f"either {sentences[0]}", *(f"or {text}" for text in sentences[1:])]
    return sentences


def _location(main: Outcome, probes: Mapping[str, bool | None]) -> list[str]:
    """The deepest wrong tensor, and what the probes add."""
    wrong = {t.name for t in main.comparison.tensors if t.disagrees}
    layers = len(main.reference.grads)
    sentences = []
    for layer in range(layers, 0, -1):
        W, b = f"dW{layer}" in wrong, f"db{layer}" in wrong
        if not (W or b):
            continue
        delta = "B1" if layer == layers else "B4"
        if not main.problem.spec.bias:
            where = f"B2 or {delta} (there is no db to tell them apart)"
        elif W and b:
            where = f"{delta} (dW{layer} and db{layer} are both wrong, so delta{layer} is), or B2"
        else:
            where = "B2 (db is right, dW is not)" if W else "B3 (dW is right, db is not)"
        above = "" if layer == layers else "; all layers above agree"
        sentences.append(f"layer {layer}: {where}{above}")
        break
    agrees = [name for name, agreed in probes.items() if agreed]
    fails = [name for name, agreed in probes.items() if agreed is False]
    if agrees:
        sentences.append(f"it agrees with {', '.join(agrees)}: look at what that makes trivial")
    if fails:
        sentences.append(f"it still disagrees with {', '.join(fails)}")
    return sentences


# ---- small parts ----


def _ratio(outcomes: Sequence[Outcome], results: Sequence[Array], right: Sequence[Array]) -> str:
    """The name of the constant ratio between results and what is right, or ""."""
    ratios = []
    for outcome, f, r in zip(outcomes, results, right, strict=True):
        if f.shape != r.shape or not np.any(r) or not np.isfinite(f).all():
            return ""
        ratio = float(f @ r / (r @ r))
        off = np.max(np.abs(f - ratio * r))
        if off > SAME[outcome.problem.spec.dtype] * np.max(np.abs(r)) * max(abs(ratio), 1e-3):
            return ""
        ratios.append(ratio)
    if not ratios:
        return ""
    sizes = [(len(a.problem.X), a.problem.spec.layer_sizes[-1]) for a in outcomes]
    named: list[tuple[str, list[float]]] = [
        ("{} times too large = batch size: sum for mean", [n for n, _ in sizes]),
        ("{} times too small = batch size: divided by it twice", [1 / n for n, _ in sizes]),
        ("{} times too small = outputs: mean for sum over them", [1 / k for _, k in sizes]),
        ("{} times too large = number of outputs", [k for _, k in sizes]),
        ("{} times too large, as of a square without its 1/2", [2] * len(sizes)),
        ("{} times too small, as of a 1/2 too many", [0.5] * len(sizes)),
        ("of the wrong sign", [-1] * len(sizes)),
        ("zero", [0] * len(sizes)),
    ]
    for text, expected in named:
        if set(expected) != {1} and np.allclose(ratios, expected, rtol=1e-3, atol=1e-6):
            size = max(map(abs, ratios), key=lambda r: abs(np.log(r)) if r else 0.0)
            return text.format(f"{size if size >= 1 else 1 / size if size else 0:.6g}")
    if np.allclose(ratios, ratios[0], rtol=1e-3) and not np.isclose(ratios[0], 1, rtol=1e-6):
        return f"{ratios[0]:.6g} times the right one, everywhere"
    return ""


def _is_number(result: Any) -> bool:
    if not isinstance(result, np.ndarray | np.generic | float):
        return False
    return np.shape(result) in ((), (1,)) and np.asarray(result).dtype.kind == "f"


def _is_array(result: Any, right: Any) -> bool:
    return isinstance(result, np.ndarray) and result.shape == np.shape(right)


def _matches(outcome: Outcome, result: Tree, mistake: Callable[[Problem], Tree]) -> bool:
    """Whether a mistake gives the result; one that does not fit the shapes does not."""
    try:
        pairs = list(zip(_arrays(result), _arrays(mistake(outcome.problem)), strict=True))
    except ValueError:
        return False
    tolerance = SAME[outcome.problem.spec.dtype]
    return all(
        f.shape == w.shape
        and np.max(np.abs(f - w), initial=0) <= tolerance * max(np.max(np.abs(w)), 1e-30)
        for f, w in pairs
    )


def _arrays(tree: Tree) -> list[Array]:
    if isinstance(tree, list | tuple):
        return [array for branch in tree for array in _arrays(branch)]
    return [] if tree is None else [np.asarray(tree).astype(np.float64)]


def _flat(grads: Params, letters: str) -> Array:
    parts = [p for pair in grads for p, k in zip(pair, "Wb", strict=True) if k in letters]
    return np.concatenate([array.ravel() for array in _arrays(parts)] or [np.zeros(0)])


def _near(a: float, b: float, outcome: Outcome) -> bool:
    return abs(a - b) <= SAME[outcome.problem.spec.dtype] * max(abs(b), 1e-30)


def _agrees(outcome: Outcome, what: str) -> bool:
    """Whether all tensors of a kind agree: a name, "d" for the gradient, "step" for the step."""
    return not any(t.disagrees for t in outcome.comparison.tensors if _is(t.name, what))


def _is(name: str, what: str) -> bool:
    if what == "d":
        return name.startswith(("dW", "db", "dlayer", "dparams"))
    if what == "step":
        return "step" in name
    return name == what


def _reason(outcome: Outcome, *kinds: str) -> str:
    for tensor in outcome.comparison.tensors:
        if tensor.disagrees and any(_is(tensor.name, kind) for kind in kinds):
            return str(tensor.reason)
    return outcome.comparison.reason
