"""Conventions: results that differ from ours and are right by another convention, each predicted.

A convention is no tolerance. What it makes of loss, outputs, gradient and step is computed
(`predictions`), and a file's results have to equal that within the bounds of ours, on every
problem with that loss: a factor in the gradient alone, or decay over the batch in the loss alone,
is predicted by none and stays wrong. Each gradient is the derivative of its own loss but for one
exception, which is as common: with a small number in the log or a clip, that of the loss without.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from samegrad.implementations.checking import predictions, problems, repeats
from samegrad.implementations.checking.comparison import Comparison, judge
from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.predictions import Convention, Terms, times
from samegrad.implementations.checking.problems import AT_THE_KINK, Problem, other_batch
from samegrad.implementations.checking.report import Outcome
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree

Array = Any
Power = tuple[float, int, int]  # see Convention.data
Execute = Callable[[list[Problem]], Sequence[Outcome]]  # on more problems
NEAR = 1e-3  # a measured factor is tried as one of POWERS that is this near; the results decide
ONE: Power = (1.0, 0, 0)
# Of the data term: what it is called where loss and gradient have it.
POWERS: dict[Power, str] = {
    ONE: "",
    (1.0, 1, 0): "summed over the batch",
    (1.0, 0, -1): "averaged over the outputs, too",
    (2.0, 0, 0): "without the 1/2 of squares",
    (2.0, 0, -1): "without the 1/2 of squares, averaged over the outputs, too",
    (2.0, 1, 0): "summed over the batch, without the 1/2 of squares",
    (0.5, 0, 0): "half of ours",
    (1.0, -1, 0): "divided by the batch size twice",
}
# Of the decay term.
DECAYS: dict[Power, str] = {
    ONE: "",
    (1.0, -1, 0): "divided by the batch size",
    (2.0, 0, 0): "without its 1/2",
    (2.0, -1, 0): "without its 1/2, divided by the batch size",
    (1.0, 1, 0): "times the batch size",
    (1.0, 0, -1): "divided by the number of outputs",
}
KINKS = (0.5, 1.0)
LOGS = ("epsilon", "floor", "clip")


def explain(outcomes: Sequence[Outcome], execute: Execute) -> list[Note]:
    """Judge the outcomes that a convention predicts by what it predicts.

    Args:
        outcomes: judged; those that a convention predicts agree afterwards.
        execute: calls the implementation on more problems.

    Returns:
        What was found, in the order of `notes.CODES`.
    """
    usable = [o for o in outcomes if o.expected and o.results and not o.accuracy and not o.unsure]
    for outcome in usable:
        outcome.comparison = outcome.plain
    exact_gelu = is_exact_gelu(usable)
    found: dict[tuple[str, str], list[str]] = {}
    for loss in dict.fromkeys(o.problem.spec.loss for o in usable):
        group = [o for o in usable if o.problem.spec.loss == loss]
        if any(o.comparison.disagrees for o in group):
            for note in _explained(group, exact_gelu, execute):
                found.setdefault(note, []).append(loss)
    if any(tensor.note for o in usable for tensor in o.comparison.tensors):
        found["one-number", "an array of shape (1,) was taken for the number in it"] = []
    return [Note(code, f"{text}{_where(losses, usable)}") for (code, text), losses in found.items()]


def _where(losses: Sequence[str], usable: Sequence[Outcome]) -> str:
    every = {outcome.problem.spec.loss for outcome in usable}
    return "" if not losses or set(losses) == every else f" ({', '.join(losses)})"


def _explained(
    group: Sequence[Outcome], exact_gelu: bool, execute: Execute
) -> list[tuple[str, str]]:
    """Judge the problems of one loss anew; codes and texts of the convention that predicts them."""
    best: dict[str, tuple[Convention, dict[int, Comparison]]] = {}
    for convention in candidates(group, exact_gelu):
        judged = judged_by(group, convention)
        if judged is None:
            continue
        if all(comparison.agrees for comparison in judged.values()):
            best.setdefault(convention.log, (convention, judged))
            if not convention.log:
                break
        elif "partly" not in best:
            best["partly"] = (convention, judged)
    whole = {log: each for log, each in best.items() if log != "partly"}
    if not best:
        return []
    spec = group[0].problem.spec
    convention, judged = (
        _decided(whole, spec.loss, spec.dtype, execute) if whole else best["partly"]
    )
    doubles = any(_is_double(o) for n, o in enumerate(group) if judged[n].agrees)
    for number, outcome in enumerate(group):
        if judged[number].agrees and outcome.comparison.disagrees:
            outcome.comparison = judged[number]
            _judge_other_data(outcome, convention)
        elif _wrong(judged[number]) < _wrong(outcome.comparison):
            outcome.comparison = judged[number]  # what is still wrong is so by its own convention
    said = list(texts(convention, {o.problem.spec.activation for o in group}))
    if doubles:
        said.append(
            ("float64-only", "float32 goes in and float64 comes out; judged by float32's bounds")
        )
    return said


def _wrong(comparison: Comparison) -> int:
    return sum(tensor.disagrees for tensor in comparison.tensors)


def judged_by(group: Sequence[Outcome], convention: Convention) -> dict[int, Comparison] | None:
    """What each outcome is by a convention; None if it predicts nothing, or unmakes agreement."""
    judged: dict[int, Comparison] = {}
    # Those that disagree come first: most conventions are refuted by one of them.
    order = sorted(range(len(group)), key=lambda n: not group[n].comparison.disagrees)
    for place, number in enumerate(order):
        comparison = _compared(group[number], convention)
        judged[number] = comparison
        if group[number].comparison.agrees and not comparison.agrees:
            return None
        if place == REFUTES and not any(each.agrees for each in judged.values()):
            return None
    gained = any(
        each.agrees and group[number].comparison.disagrees for number, each in judged.items()
    )
    return judged if gained else None


REFUTES = 5  # problems on which a convention that predicts none of them is given up


def _compared(outcome: Outcome, convention: Convention) -> Comparison:
    """A comparison with what a convention predicts, float64 results taken for float32."""
    assert outcome.expected is not None
    right = outcome.expected
    if convention != Convention():
        right = convention.expected(outcome.problem, right.learning_rate)
    spec = outcome.problem.spec
    results = {name: _in_dtype(tree, spec) for name, tree in outcome.results.items()}
    comparison = judge(spec, right, results, None, outcome.bounds)
    return outcome.with_steps(comparison, lambda p: convention.expected(p, 1.0).grads)


def _judge_other_data(outcome: Outcome, convention: Convention) -> None:
    """The call on other data has to keep to the same convention."""
    p = outcome.problem
    if p.name == AT_THE_KINK:
        return
    right = convention.expected(other_batch(p), 1.0)
    for result in outcome.calls:
        later = {name: _in_dtype(tree, p.spec) for name, tree in result.other.items()}
        comparison = judge(p.spec, right, later, None, outcome.bounds)
        outcome.faults += repeats.wrong_later(result, comparison, p.spec.dtype)


def _in_dtype(tree: Tree, spec: MLPSpec) -> Tree:
    """Float64 arrays as float32 where that is the spec's."""

    def cast(leaf: Any) -> Any:
        return leaf.astype(np.float32) if _double(leaf, spec) else leaf

    return map_tree(cast, tree)


def _double(leaf: Any, spec: MLPSpec) -> bool:
    return (
        spec.dtype == "float32"
        and isinstance(leaf, np.ndarray | np.generic)
        and leaf.dtype == np.float64
    )


def _is_double(outcome: Outcome) -> bool:
    """Whether float64 came out of a float32 network."""
    found: list[bool] = []
    for tree in outcome.results.values():
        map_tree(lambda leaf: found.append(_double(leaf, outcome.problem.spec)), tree)
    return any(found)


# ---- what may be meant ----


def candidates(group: Sequence[Outcome], exact_gelu: bool) -> Iterator[Convention]:
    """Conventions that the numbers suggest, the plainest first."""
    shape = Convention(outputs=_outputs(group), exact_gelu=exact_gelu)
    telling = [o for o in group if not o.problem.name and _has_gradient(o)]
    telling = telling or [o for o in group if _has_gradient(o)]
    pairs = [_factors(outcome, shape) for outcome in telling]
    decayed = [n for n, o in enumerate(telling) if o.problem.spec.l2]
    datas = [*_near(POWERS, [(data, telling[n].problem) for n, (data, _) in enumerate(pairs)])]
    mean = float(np.median([data for data, _ in pairs])) if pairs else 0.0
    if not datas and mean > 0:
        datas = [(mean, 0, 0)]
    for data in datas if telling else [ONE]:  # a step alone shows no factors
        measured = [(pairs[n][1], telling[n].problem) for n in decayed]
        allowed = {**DECAYS, data: ""}
        for decay in _near(allowed, measured) if measured else [ONE]:
            base = replace(shape, data=data, decay=decay)
            for kink in _kinks(group):
                yield replace(base, kink=kink)
            for log, in_roundings in product(LOGS, _in_roundings(group)):
                small = replace(base, log=log, in_roundings=in_roundings)
                sizes = _sizes(group, small)
                for size, in_slope, kink in product(sizes, (False, True), _kinks(group)):
                    yield replace(small, size=size, in_slope=in_slope, kink=kink)


def _near(powers: Iterable[Power], measured: Sequence[tuple[float, Problem]]) -> list[Power]:
    """The powers that all measured factors are near."""
    return [
        power
        for power in powers
        if all(abs(factor / times(power, problem) - 1) < NEAR for factor, problem in measured)
    ]


def _kinks(group: Sequence[Outcome]) -> Sequence[float]:
    at_kink = any(o.problem.name == AT_THE_KINK and o.comparison.disagrees for o in group)
    return (0.0, *KINKS) if at_kink else (0.0,)


def _in_roundings(group: Sequence[Outcome]) -> Sequence[bool]:
    """Whether a small number may be so many roundings, which differ between two dtypes alone."""
    return (False, True) if len({o.problem.spec.dtype for o in group}) > 1 else (False,)


def _has_gradient(outcome: Outcome) -> bool:
    found = repeats.flat(outcome.results.get("grads"))
    right = repeats.flat(outcome.reference.grads)
    return (
        found is not None
        and right is not None
        and found.shape == right.shape
        and bool(np.isfinite(found).all())
    )


def _flat(tree: Tree) -> Array:
    """All entries of a tree of arrays in one."""
    flat = repeats.flat(tree)
    assert flat is not None  # of what `_has_gradient` saw, and of ours
    return flat


def _factors(outcome: Outcome, shape: Convention) -> tuple[float, float]:
    """By what the terms of the gradient are multiplied, measured: of data and of decay."""
    p = outcome.problem
    found = _flat(outcome.results["grads"])
    data = _flat(Terms(p, shape).gradient)
    decay = _flat([(p.spec.l2 * W, None if b is None else np.zeros_like(b)) for W, b in p.params])
    if not p.spec.l2:
        size = float(data @ data)
        return (float(found @ data) / size if size else 0.0), 1.0
    solved = np.linalg.lstsq(np.stack([data, decay], axis=1), found, rcond=None)[0]
    return float(solved[0]), float(solved[1])


def _outputs(group: Sequence[Outcome]) -> str:
    """What `forward` gives: "" for the outputs themselves or anything unknown."""
    # With squares these are the outputs; where those are refused, they are as with others.
    free = [o for o in group if o.problem.spec.loss != "mse" or "grads" not in o.results]
    given = [o for o in free if "outputs" in o.results]
    if given and any(o.comparison.disagrees for o in given):
        for name in ("softmax", "log_softmax", "sigmoid"):
            if all(
                repeats.near(
                    repeats.flat(o.results["outputs"]),
                    repeats.flat(predictions.shown(name, o.reference.outputs)),
                    "float32",
                )
                for o in given
            ):
                return name
    return ""


def is_exact_gelu(group: Sequence[Outcome]) -> bool:
    """Whether the gradients of networks with gelu are nearer to those of the one with erf."""
    gelus = [o for o in group if o.problem.spec.activation == "gelu" and _has_gradient(o)]
    ours, exact = (
        sum(_distance(o, Convention(exact_gelu=of_erf)) for o in gelus) for of_erf in (False, True)
    )
    return exact < ours  # of a network without hidden layers they are equal


def _distance(outcome: Outcome, shape: Convention) -> float:
    """From the gradient's direction, relative to its size."""
    found = _flat(outcome.results["grads"])
    data, decay = _factors(outcome, shape)
    p = outcome.problem
    terms = _flat(Terms(p, shape).gradient)
    penalty = _flat([(p.spec.l2 * W, None if b is None else np.zeros_like(b)) for W, b in p.params])
    off = np.linalg.norm(found - data * terms - decay * penalty)
    return float(off / max(float(np.linalg.norm(found)), 1e-300))


def _sizes(group: Sequence[Outcome], convention: Convention) -> list[float]:
    """Small numbers that make a loss what it is, of the problem where it differs the most.

    There the loss is made of that number alone, and shows it in all digits: of float64, if any.
    Where probabilities are ordinary it is 1e-12 of the loss, and shows in four, beside decay in
    ten: a number as people write it comes first.
    """
    if convention.log not in LOGS or group[0].problem.spec.loss == "mse":
        return []
    off = [
        (o.problem, value, abs(value - times(convention.data, o.problem) * o.reference.loss))
        for o in group
        if o.comparison.disagrees and (value := _loss_of(o)) is not None
    ]
    off.sort(key=lambda each: (each[0].spec.dtype == "float32", -each[2]))
    chosen = off[:1] + [each for each in off if not each[0].name][:1]
    sizes = (predictions.sizes(problem, value, convention) for problem, value, _ in chosen)
    return list(dict.fromkeys(size for each in sizes for size in each))


def _loss_of(outcome: Outcome) -> float | None:
    losses = ("loss with the gradient", "loss", "loss of the step")
    value = next((outcome.results[name] for name in losses if name in outcome.results), None)
    flat = repeats.flat(value)
    return float(flat[0]) if flat is not None and flat.size == 1 and np.isfinite(flat[0]) else None


def _decided(
    whole: dict[str, tuple[Convention, dict[int, Comparison]]],
    loss: str,
    dtype: str,
    execute: Execute,
) -> tuple[Convention, dict[int, Comparison]]:
    """The convention among several that predict everything: a probability of half the number tells.

    log(p + size) and log(max(p, size)) differ most where p is about the size.
    """
    if "" in whole or len(whole) == 1:
        return whole.get("") or next(iter(whole.values()))
    convention, _ = next(iter(whole.values()))
    for outcome in execute([problems.improbable(convention.size / 2, loss, dtype)]):
        for each in whole.values():
            if outcome.results and _compared(outcome, each[0]).agrees:
                return each
    return next(iter(whole.values()))


# ---- what is said ----


def texts(convention: Convention, activations: set[str]) -> Iterator[tuple[str, str]]:
    """Code and text of each thing that is not ours."""
    if convention.outputs:
        yield "probabilities", f"forward gives {convention.outputs} of the outputs"
    data, decay = convention.data, convention.decay
    if data != ONE:
        name = POWERS.get(data, f"{data[0]:.6g} times ours")
        code = "summed" if data[1] == 1 else "factor"
        yield code, f"loss and gradient are {name}"
    if decay not in (ONE, data):
        code = "decay-over-batch" if decay[1] == -1 else "factor"
        yield code, f"weight decay is {DECAYS.get(decay, 'another')}, in loss and gradient"
    if convention.exact_gelu and "gelu" in activations:
        yield "exact-gelu", "gelu is the exact one, z times the normal distribution (erf)"
    if convention.kink:
        yield "kink", f"g'(0) is {convention.kink:g} where ours is 0: a convention at the kink"
    if convention.log:
        size = f"{convention.size:.3g}"
        if convention.in_roundings:
            size += " (in float32 as many roundings)"
        what = f"log(p + {size})"
        if convention.log != "epsilon":
            what = f"the log of probabilities clipped at {size}"
        slope = "its derivative" if convention.in_slope else "that of log(p)"
        code = "epsilon-in-log" if convention.log == "epsilon" else "clip"
        yield code, f"the loss takes {what}; the gradient is {slope}"
