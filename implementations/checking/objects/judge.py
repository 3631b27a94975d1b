"""From fits to verdicts: which fit stands for each parameter, constants, swaps, rates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects import constants, names
from samegrad.implementations.checking.objects.choice import choose, same_numbers
from samegrad.implementations.checking.objects.matching import (
    FEW,
    KEPT,
    PINNED,
    RETURNED,
    UPDATE,
    Candidate,
    Fit,
    fits,
)
from samegrad.implementations.checking.objects.report import (
    AGREES,
    DISAGREES,
    NOT_CHECKED,
    UNDECIDED,
    Match,
)
from samegrad.implementations.checking.slopes import Slopes

Array = Any


@dataclass(frozen=True)
class Knowledge:
    """What constants may be made of, and what is known of the parameters.

    Attributes:
        sizes: "batch size", "outputs" and the like.
        rates: numbers that an update may be scaled by, with their names.
        rate: the one that the user gave, or None.
        paths: of each parameter.
        orders: in which all parameters may follow each other in one array.
        near: how near two constants are one.
        values: of the parameters.
    """

    sizes: Mapping[str, int]
    rates: Mapping[str, float]
    rate: float | None
    paths: Sequence[Sequence[str]]
    orders: Sequence[Sequence[int]]
    near: float
    values: Sequence[Array]

    def same(self, a: float, b: float) -> bool:
        """Whether two constants are one."""
        return constants.same(a, b, self.near)

    def may_be_rate(self, constant: float | None) -> bool:
        """Whether an update by a constant may be one by a rate: one that is known, if any is."""
        rates = self.rates.values() if self.rate is None else (self.rate,)
        fits = not rates or any(self.same(constant or 0.0, rate) for rate in rates)
        return constant is not None and constant > 0 and fits

    def made_of(self, constant: float) -> str:
        """What a constant is made of, or ""."""
        return constants.named(constant, self.sizes, self.near)


@dataclass
class Judged:
    """The matches of one point, and the notes they need."""

    matches: list[Match]
    chosen: list[Fit | None]
    notes: list[Note]
    advice: list[str]

    def count(self, verdict: str) -> int:
        """How many parameters have a verdict."""
        return sum(match.verdict == verdict for match in self.matches)


def judge(
    measured: Sequence[Slopes],
    candidates: Sequence[Candidate],
    bound: float,
    known: Knowledge,
) -> Judged:
    """Every parameter's gradient, and what is to be said of it."""
    found = [
        fits(i, measured, known.paths, known.orders, candidates, bound)
        for i in range(len(measured))
    ]
    chosen = choose(known.paths, [m.shape for m in measured], found, candidates)
    judged = Judged([], chosen, [], [])
    updates = [next((f for f in of if f.candidate.origin == UPDATE), None) for of in found]
    common = _common([f for f in chosen if f is not None and f.candidate.origin != UPDATE], known)
    for i, slopes in enumerate(measured):
        judged.matches.append(_match(i, slopes, measured, found, chosen, candidates, known))
    _transposed(judged, measured)
    _scaled(judged, updates, common, known)
    _updated(judged, measured, known)
    return judged


def _match(
    i: int,
    slopes: Slopes,
    measured: Sequence[Slopes],
    found: Sequence[list[Fit]],
    chosen: Sequence[Fit | None],
    candidates: Sequence[Candidate],
    known: Knowledge,
) -> Match:
    plain = Match(slopes.name, slopes.shape, measured=len(slopes.entries), entries=slopes.size)
    of = chosen[i]
    if of is None:
        meant = _meant(slopes, found[i], chosen)
        if meant is not None:
            said = f"{slopes.name}: no gradient of it was found; {meant.name} has its shape, "
            said += "backward() makes it, and it is another's or wrong"
            return replace(plain, verdict=UNDECIDED, reason=said)
        return _without(i, plain, known.paths[i], measured, candidates, chosen)
    plain = replace(plain, gradient=of.name, constant=of.constant, error=of.error, bound=of.bound)
    if not of.decided:
        kink = "a kink" if slopes.kinks.any() else "noise, or too large a curvature"
        said = f"{slopes.name}: no slope could be measured ({kink})"
        return replace(plain, verdict=UNDECIDED, error=None, reason=said)
    if of.right:
        return replace(plain, constant=1.0)
    if of.not_finite:
        said = f"{of.name}: {of.not_finite} of {of.values.size} values not finite"
        said += "" if of.wrong else ", where no slope of the loss can be measured"
        verdict = DISAGREES if of.wrong else UNDECIDED
        return replace(plain, verdict=verdict, error=None, reason=said)
    if of.candidate.origin == UPDATE and of.constant is not None:
        return replace(plain, error=of.rest)  # a rate, see _updated
    said = f"{of.name} is not the gradient of {slopes.name}: error {of.error:.2g} {of.where}"
    if of.candidate.origin == UPDATE and _with_decay(of, slopes, known.values[i]) is not None:
        return replace(plain, constant=None)  # a note, see _updated
    if of.constant is None or of.values.size < FEW:
        said = _other(i, of, measured, found, said + _decay(of, slopes, known.values[i]))
    return replace(plain, verdict=DISAGREES, reason=said)


def _meant(slopes: Slopes, found: Sequence[Fit], chosen: Sequence[Fit | None]) -> Fit | None:
    """What may be meant for the gradient of a matrix, under a name that does not say so."""
    if len([n for n in slopes.shape if n > 1]) < 2:
        return None
    taken = {id(f.candidate) for f in chosen if f is not None}
    return next(
        (
            f
            for f in found
            if f.candidate.origin in (KEPT, RETURNED)
            and f.candidate.computed
            and f.decided
            and not f.form.startswith("[")
            and id(f.candidate) not in taken
        ),
        None,
    )


def _other(
    i: int, of: Fit, measured: Sequence[Slopes], found: Sequence[list[Fit]], said: str
) -> str:
    """Says whose gradient it is instead, and where this parameter's is."""
    for j, others in enumerate(found):
        if j != i and any(f.right and f.values.size >= FEW and same_numbers(f, of) for f in others):
            return (
                f"{of.name} is the gradient of {measured[j].name}, where that of "
                f"{measured[i].name} is expected: they are swapped"
            )
    instead = [f.name for f in found[i] if f.right and f.candidate is not of.candidate]
    return f"{said}; {instead[0]} is" if instead else said


def _decay(of: Fit, slopes: Slopes, values: Array) -> str:
    """Says that a gradient differs from the slopes by a multiple of its parameter."""
    n = len(slopes.entries)
    if n < FEW:
        return ""
    off = slopes.along(of.values)[:n] - slopes.values[:n]
    factor = constants.multiple(off, values.ravel()[slopes.entries], of.bound * slopes.largest)
    if factor is None:
        return ""
    if factor > 0:
        return f"; it has {factor:.4g} times the parameter too much: decay that the loss has not"
    return f"; {-factor:.4g} times the parameter is missing: decay that the loss has"


def _with_decay(of: Fit, slopes: Slopes, values: Array) -> tuple[float, float] | None:
    """(rate, decay) if an update is one times the gradient and the other times the parameter."""
    n = len(slopes.entries)
    if n <= FEW:
        return None
    columns = np.stack([slopes.values[:n], values.ravel()[slopes.entries]], axis=1)
    claimed = slopes.along(of.values)[:n]
    (rate, factor), *_ = np.linalg.lstsq(columns, claimed, rcond=None)
    off = np.max(np.abs(claimed - columns @ (rate, factor)))
    fits = rate > 0 and factor > of.bound * rate and off <= of.bound * rate * slopes.largest
    return (float(rate), float(factor)) if fits else None


def _without(
    i: int, plain: Match, paths: Sequence[str], measured: Sequence[Slopes],
    candidates: Sequence[Candidate], chosen: Sequence[Fit | None],
) -> Match:  # fmt: skip
    """Of a parameter without anything of its size: one of another size by its name, or nothing."""
    slopes = measured[i]
    taken = {id(f.candidate) for f in chosen if f is not None}
    pins = [c for c in candidates if c.origin == PINNED and c.of in paths]
    own = pins or [
        c
        for c in candidates
        if names.pairs(list(paths), c.name) and (c.computed or c.values.shape != slopes.shape)
    ]
    left = [
        c
        for c in candidates
        if c.origin == RETURNED and c.computed and id(c) not in taken
        if c.values.shape != slopes.shape
    ]
    missing = [j for j, f in enumerate(chosen) if f is None]
    shapes = [*(measured[j].shape for j in missing), *(c.values.shape for c in left)]
    flat = len(left) == 1 or all(sum(n > 1 for n in shape) < 2 for shape in shapes)  # as of biases
    as_many = taken and flat and len(left) == len(missing) and slopes.shape  # no setting
    if near := own or (left[missing.index(i) :] if as_many else []):
        c = near[0]
        said = f"{c.name} has shape {c.values.shape}, expected {slopes.shape} of {slopes.name}"
        total = float(np.sum(slopes.values[: len(slopes.entries)]))
        if c.values.size == 1 and not slopes.sampled:
            off = abs(float(c.values.ravel()[0]) - total)
            if off <= 1e-5 * slopes.largest * slopes.size:
                said += ": it is the sum of all its entries"
        return replace(plain, gradient=c.name, verdict=DISAGREES, reason=said)
    said = f"no gradient was found for {slopes.name}"
    return replace(plain, verdict=NOT_CHECKED, reason=said)


def _common(chosen: list[Fit], known: Knowledge) -> float | None:
    """The constant that all gradients have, if they have one, and it is not 1."""
    found = [f.constant for f in chosen if f.decided and f.values.size >= FEW]
    first = next((c for c in found if c is not None), None)
    if first is None or any(c is None or not known.same(c, first) for c in found):
        return None
    return None if known.same(first, 1.0) else first


def _transposed(judged: Judged, measured: Sequence[Slopes]) -> None:
    """A square gradient may be transposed only where others show that all of them are."""
    oblong = [
        f is not None and f.form == ".T"
        for f, m in zip(judged.chosen, measured, strict=True)
        if len(m.shape) == 2 and m.shape[0] != m.shape[1]
    ]
    for i, of in enumerate(judged.chosen):
        square = len(measured[i].shape) == 2 and measured[i].shape[0] == measured[i].shape[1] > 1
        if of is not None and square and of.form == ".T" and not any(oblong):
            said = f"{of.candidate.name} is the transpose of the gradient of {measured[i].name}"
            judged.matches[i] = replace(judged.matches[i], verdict=DISAGREES, reason=said)


def _scaled(
    judged: Judged,
    updates: Sequence[Fit | None],
    common: float | None,
    known: Knowledge,
) -> None:
    """Names the constants of gradients that are no updates."""
    makes_up = [f for f in updates if f is not None and known.may_be_rate(f.constant)]
    for i, of in enumerate(judged.chosen):
        match = judged.matches[i]
        if of is None or of.candidate.origin == UPDATE or match.verdict != DISAGREES:
            continue
        c = of.constant
        few = of.values.size < FEW and (common is None or not known.same(c or 0.0, common))
        if c is None or few:
            continue
        if match.reason.endswith("swapped") or "transpose" in match.reason:
            continue
        who = f"{of.name} is" if common is None else "all gradients are"
        text = f"{who} {_times(c, known)}"
        if len(makes_up) == sum(f is not None for f in updates) > 0:
            judged.matches[i] = replace(match, verdict=AGREES, reason="", error=of.rest)
            if not any(n.code == "scaled-gradient" for n in judged.notes):
                judged.notes.append(Note("scaled-gradient", f"{text}; the update makes up for it"))
            continue
        if known.same(c, -1.0):
            text = of.upwards(match.name, text)
        judged.matches[i] = replace(match, reason=text)


def _times(c: float, known: Knowledge) -> str:
    """A constant as "6 times (batch size) what the loss has"."""
    name = known.made_of(c)
    shown = f"{c:.6g} times" + (f" ({name})" if name and name not in (f"{c:g}", "-1") else "")
    return f"{shown} the slopes of the loss"


def _updated(judged: Judged, measured: Sequence[Slopes], known: Knowledge) -> None:
    """Judges what is known of a gradient by an update alone: one rate for all, downhill."""
    at = [
        i
        for i, of in enumerate(judged.chosen)
        if of is not None
        and of.candidate.origin == UPDATE
        and of.constant is not None
        and judged.matches[i].verdict == AGREES
    ]
    _decayed(judged, measured, known)
    found = {i: c for i in at if (of := judged.chosen[i]) and (c := of.constant) is not None}
    if not found:
        return
    rates = known.rates if known.rate is None else {"rate": known.rate}
    big = [i for i in at if measured[i].size >= FEW] or at
    usual = _usual([found[i] for i in big], rates, known)
    for i, c in found.items():
        said = ""
        of_rate = any(known.same(c, rate) for rate in rates.values())
        if c < 0:
            said = f"the update of {measured[i].name} goes up its gradient: {c:.6g} times that"
        elif not known.same(c, usual) and not of_rate:
            ratio = known.made_of(c / usual)
            said = (
                f"the update of {measured[i].name} is {c:.6g} times its gradient, that of others "
                f"{usual:.6g}" + (f": {ratio} times as much" if ratio else "")
            )
        elif known.rate is not None and not of_rate:
            said = (
                f"the update of {measured[i].name} is {_times(c / known.rate, known)} "
                f"times the rate {known.rate:g}"
            )
        if said:
            off = abs(c / (known.rate or usual) - 1)
            judged.matches[i] = replace(
                judged.matches[i], verdict=DISAGREES, reason=said, error=off
            )
    name = next((n for n, rate in rates.items() if known.same(usual, rate)), None)
    if name is None and known.rate is None and not known.same(usual, 1.0):
        made = (
            f"{n} times {text}"
            for n, rate in rates.items()
            if rate and (text := known.made_of(usual / rate))
        )
        made_of = next(made, None)
        judged.notes.append(
            Note(
                "rate",
                f"the update is {usual:.6g} times the gradient"
                + (f": {made_of}" if made_of else ", and no rate of that size was found"),
            )
        )


def _decayed(judged: Judged, measured: Sequence[Slopes], known: Knowledge) -> None:
    """Notes the decay that updates have besides the gradient, and the loss has not.

    One that is a simple multiple of a setting on which the loss depends is the loss' own decay,
    and wrong: doubled, or halved.
    """
    for i, of in enumerate(judged.chosen):
        if of is None or of.candidate.origin != UPDATE or of.constant is not None:
            continue
        both = _with_decay(of, measured[i], known.values[i])
        if both is not None and judged.matches[i].verdict == AGREES:
            for j, fit in enumerate(judged.chosen):
                setting = float(known.values[j].ravel()[0]) if measured[j].size == 1 else 0.0
                if fit is None and any(
                    constants.same(both[1], c * setting * both[0], 1e-4) for c in (0.5, 1.0, 2.0)
                ):
                    said = (
                        f"{of.name} takes off {both[1] / both[0]:.4g} times the parameter too much "
                        f"beside its gradient, and the loss depends on {measured[j].name} = "
                        f"{setting:g}: that decay is not the loss' own"
                    )
                    judged.matches[i] = replace(
                        judged.matches[i], verdict=DISAGREES, reason=said, error=of.error
                    )
                    return
            text = f"{of.name}: {both[0]:.4g} times the gradient, {both[1]:.4g} times itself"
            judged.notes.append(Note("decay-in-update", f"{text}: decay that the loss has not"))
            return


def _usual(found: list[float], rates: Mapping[str, float], known: Knowledge) -> float:
    """The constant of most updates; of equally many one that is a rate."""
    counts = Counter(f"{c:.4g}" for c in found)
    return max(
        found,
        key=lambda c: (
            any(known.same(c, rate) for rate in rates.values()),
            counts[f"{c:.4g}"],
        ),
    )
