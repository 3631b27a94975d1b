"""A reading that is right on networks drawn anew: of other sizes, depths and batches.

Faults that depend on a size (a batch above 32, a width above 64, a fourth layer) are right on the
few small networks on which files are read. These are others in every run; a seed repeats them. Of
code that is too slow for one of them it is left out.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from samegrad.implementations.checking.objects.calls import users_lines
from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport
from samegrad.implementations.contract.texts import in_one_line
from samegrad.implementations.reading.board import Sizes
from samegrad.implementations.reading.checked import checked_as
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.extremes import Extremes
from samegrad.implementations.reading.found import Found, compared_with
from samegrad.implementations.reading.points import GROSS, NOTED, alike, points_of
from samegrad.implementations.reading.proved import with_proof
from samegrad.implementations.reading.readings import Reading, readings
from samegrad.implementations.reading.snippets import snippet
from samegrad.implementations.reading.trials import Trial, Wishes, runs

# Of this process: for all networks of a file, and the longest loss of one, of some hundred. Small
# networks say too much of the time of a larger one: the first of these may be four times as long.
SECONDS, LONGEST, FIRST = 3.0, 0.005, 4
SMALLER_SECONDS = 2.0  # for making a network that shows a fault smaller
LOSSES = 40  # for the slopes of one array, at least
# Ranges of examples, features, hidden units, outputs and further layers; the first one is small
# enough for any code, and says how fast it is.
RANGES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((33, 48), (9, 14), (17, 24), (2, 6), (0, 0)),
    ((2, 9), (2, 8), (65, 300), (2, 6), (0, 0)),
    ((101, 200), (2, 8), (3, 9), (2, 6), (0, 0)),
    ((21, 32), (33, 300), (3, 9), (11, 18), (0, 0)),
    ((5, 12), (2, 8), (5, 9), (2, 6), (3, 6)),
)
ZEROS = 2  # of RANGES: an example and a feature are zeros there


@dataclass(frozen=True)
class Asked:
    """What is wanted of a reading that is right.

    Attributes:
        seed: of the networks that are drawn.
        exact: whether it is run over exact numbers, too.
    """

    seed: int
    exact: bool = False


def asked_for(found: Found, report: CheckReport, asked: Asked) -> CheckReport:
    """The report on a reading that agrees, with what the networks and exact numbers show."""
    again = f"--seed {asked.seed} draws them again"
    tried: list[Reading] = []
    unread: list[Sizes] = []
    extremes = Extremes(found, bool(report.notes), asked.seed)
    if (fault := extremes.fault()) is not None:
        fault = replace(fault, remarks=(*fault.remarks[:-1], f"{fault.remarks[-1]}; {again}"))
        return replace(fault, snippet=snippet(found, fault))
    for other in itertools.chain(_degenerate(found), _drawn(found, asked.seed, unread)):
        tried.append(other.reading)
        if not _follows(other, noted=bool(report.notes)):
            noted, fault = bool(report.notes), checked_as(other, agreed=True)
            if fault.verdict == DISAGREES:
                fewest = smallest(other, noted)
                where = f"on a network that was drawn: {_text(tried[-1:])}; {again}"
                # What is wrong is told of the larger one: of single entries less can be said.
                lines = snippet(fewest, fault)
                if fewest is not other and (lines or checked_as(fewest, agreed=True).disagrees):
                    at = _sizes_of(fewest)
                    layers = "-".join(map(str, at.layers))
                    where += f"; the smallest that shows it: {layers} with {at.n} examples"
                return replace(fault, remarks=(*fault.remarks, where), snippet=lines)
    if tried:
        several = f"{len(tried)} networks" if len(tried) > 1 else "a network"
        said = f"right, too, on {several} drawn for this run ({_text(tried)}); {again}"
        report = replace(report, remarks=(*report.remarks, said))
    if extremes.lost:
        lost = f"{extremes.lost[0]} its loss is no finite number: nothing was compared there"
        report = replace(report, remarks=(*report.remarks, lost))
    if extremes.none:
        none = f"{extremes.none[0]} its gradient is no number, for exp overflows there"
        report = replace(report, remarks=(*report.remarks, none))
    for raised in filter(None, (_raised(found.reading, sizes) for sizes in unread)):
        report = replace(report, remarks=(*report.remarks, raised))
    return with_proof(report, found) if asked.exact else report


def _drawn(found: Found, seed: int, unread: list[Sizes]) -> Iterator[Found]:
    """The reading on networks that it takes and that are not too slow.

    Args:
        unread: is given the sizes of deeper networks that it does not take.
    """
    reading = found.reading
    if reading.trial is None:
        return
    end = time.process_time() + SECONDS
    known = [_size(reading)]
    longest, rate = FIRST * LONGEST, _seconds(reading) / _products(reading.trial.board.sizes)
    for number, ranges in enumerate(RANGES):
        rng = np.random.default_rng([seed, number])
        sizes = _sizes(reading, rng, ranges)
        late = time.process_time() > end or rate * _products(sizes) > longest
        other = None if late else reading.at(sizes)
        if other is None and not late and sizes.more:
            unread.append(sizes)
        if other is None or _size(other) in known:  # it has sizes of its own
            continue
        known.append(_size(other))
        _ordinary(other)
        if number == ZEROS:
            _with_zeros(other)
        taken = _seconds(other)
        longest, rate = LONGEST, taken / _products(sizes)
        if taken * LOSSES * len(other.parameters) > SECONDS:
            continue
        compared = compared_with(other)
        if compared is not None and compared.judged:
            yield Found(other, compared)


def _degenerate(found: Found) -> Iterator[Found]:
    """The reading on one example of several, and on a network of one output, where it takes them.

    And with targets that are alike, where `points` cannot change them. Of one output in place of
    several, all targets are 1: probabilities have to add up to that.
    """
    reading, trial = found.reading, found.reading.trial
    if trial is None or trial.network.held or trial.wishes != Wishes():
        return
    sizes = trial.board.sizes
    several = reading.batched and reading.examples > 1
    one_output = replace(sizes, k=1) if 1 < sizes.k != sizes.f else None
    known = any(data is reading.data[1] for data in reading.changeable)
    alone, same = (sizes if several else None), (sizes if several and not known else None)
    for of, change, set_all in (
        (alone, _first_alone, None), (same, _as_it_is, _all_alike), (one_output, _as_it_is, _ones)
    ):  # fmt: skip
        other = None if of is None else reading.at(of, change)
        if other is None or other.trial is None or (of is one_output and other.outputs != 1):
            continue
        if len(other.parameters) != len(reading.parameters):  # read as another network
            continue
        values = other.trial.board.values
        if set_all is not None and not all(map(set_all, (values["y"], values["#Y"]))):
            continue
        compared = compared_with(other)
        if compared is not None and compared.judged:
            yield Found(other, compared)


def _as_it_is(trial: Trial) -> Trial:
    return trial


def _first_alone(trial: Trial) -> Trial:
    """The same, with the first of its examples."""
    values = trial.board.values
    values["X"] = values["X"][:, :1] if trial.form.x == "columns" else values["X"][:1]
    values["n"] = 1
    trial.board.sizes = replace(trial.board.sizes, n=1)
    return trial


def _ones(targets: object) -> bool:
    """Make all targets 1, if they are floats in an array."""
    floats = isinstance(targets, np.ndarray) and targets.dtype.kind == "f"
    if floats:
        targets[...] = 1  # type: ignore[index] # as it was looked at
    return floats


def _all_alike(targets: object) -> bool:
    """Make all targets those of the first example, if they are in an array or a list."""
    if isinstance(targets, np.ndarray):
        targets[...] = alike(targets)
    elif isinstance(targets, list):
        targets[:] = targets[:1] * len(targets)
    return isinstance(targets, np.ndarray | list)


def _raised(reading: Reading, sizes: Sizes) -> str:
    """What a backward pass raises on a deeper network on which the forward pass runs, or ""."""
    trial, wishes = reading.trial, Wishes()
    if trial is None or trial.make is None:
        return ""
    arrays = len(list(places(trial.network.net, "")))
    for other in runs(trial.make, sizes, trial.form, trial.name, wishes):
        if len(list(places(other.network.net, ""))) > arrays:
            for _ in readings(other, wishes, [trial.form.y]):
                pass
    for name in wishes.attempts.failed:
        if (own := name.rpartition(".")[2]) in reading.key:
            error, layers = wishes.attempts.raised[name], len(sizes.hidden) + 1
            at = users_lines(error)[-1].split(": ")[0]
            return (
                f"not judged with {layers} layers: the forward pass runs, and {own} raises, in "
                f"{at}: {in_one_line(error)}"
            )
    return ""


def _sizes(
    reading: Reading, rng: np.random.Generator, ranges: tuple[tuple[int, int], ...]
) -> Sizes:
    """Sizes within ranges; outputs are as many as features where they are so in the reading."""
    assert reading.trial is not None
    of = reading.trial.board.sizes
    n, f, h, k, more = (int(rng.integers(low, high + 1)) for low, high in ranges)
    k = 1 if of.k == 1 else f if of.k == of.f else k
    widths = tuple(int(width) for width in rng.integers(3, 10, more))
    return Sizes(max(n, k + 2), f, h, k, int(rng.integers(2**31)), widths)


def smallest(found: Found, noted: bool) -> Found:
    """The smallest network and batch, of those that are tried, where a gradient does not follow."""
    end, changed = time.process_time() + SMALLER_SECONDS, found.reading.trial is not None
    wrong = _wrong(found, noted)
    while changed:
        changed = False
        for sizes in smaller(_sizes_of(found)):
            if time.process_time() > end:
                return found
            other = found.reading.at(sizes)
            if other is None or other.trial is None or other.trial.board.sizes != sizes:
                continue
            _ordinary(other)
            compared = compared_with(other)
            if compared is not None and compared.judged:
                fewer = Found(other, compared)
                if _shows(fewer, wrong, noted):
                    found, changed = fewer, True
                    break
    return found


def smaller(sizes: Sizes) -> Iterator[Sizes]:
    """Sizes of which one number is smaller: by half, else by one."""
    if sizes.more:
        yield replace(sizes, more=sizes.more[: len(sizes.more) // 2])
        yield replace(sizes, more=sizes.more[:-1])
    if max(sizes.more, default=1) > 1:
        yield replace(sizes, more=tuple(max(1, width // 2) for width in sizes.more))
    # Outputs first: there are more examples than these.
    for name, least in (("k", min(2, sizes.k)), ("n", 2), ("h", 1), ("f", 1)):
        value = getattr(sizes, name)
        for less in dict.fromkeys((max(least, value // 2), value - 1)):
            if least <= less < value:
                yield replace(sizes, **{name: less})


def _sizes_of(found: Found) -> Sizes:
    assert found.reading.trial is not None
    return found.reading.trial.board.sizes


def _seconds(reading: Reading) -> float:
    """That one of three losses takes, at the least."""
    taken = []
    for _ in range(3):
        began = time.monotonic()
        reading.loss()
        taken.append(time.monotonic() - began)
    return min(taken)


def _products(sizes: Sizes) -> int:
    return sizes.n * sum(a * b for a, b in pairwise(sizes.layers))


def _ordinary(reading: Reading) -> None:
    """Weights of wide layers as small as they have to be for sums of ordinary size."""
    for place in reading.parameters:
        values = place.read()
        if values.ndim == 2:
            place.write(values * np.sqrt(min(values.shape) / max(values.shape)))


def _with_zeros(reading: Reading) -> None:
    X = reading.data[0]
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind == "f":
        X[0] = X[:, 0] = 0


def _fits(found: Found, noted: bool) -> bool:
    """Whether measured slopes are the gradient's, but for what a convention may make of it."""
    compared = replace(found.compared, tolerance=NOTED if noted else GROSS)
    return replace(found, compared=compared).fits


def _wrong(found: Found, noted: bool) -> set[str]:
    """The parameters whose measured slopes are others than the gradient's."""
    tolerance = NOTED if noted else GROSS
    return {m.name for m in found.compared.judged if not m.right(tolerance)}


def _shows(found: Found, wrong: set[str], noted: bool) -> bool:
    """Whether all of these are wrong there, as far as they are there: one may meet a kink."""
    if not wrong:
        return not _follows(found, noted)
    there = wrong & {m.name for m in found.compared.judged}
    return bool(there) and there <= _wrong(found, noted) and not _fits(found, noted)


def _follows(found: Found, noted: bool) -> bool:
    """The same, and along random directions."""
    compared = replace(found.compared, tolerance=NOTED if noted else GROSS)
    points = points_of(found.reading, compared, found.factor, noted)
    return _fits(found, noted) and points.follows(0) is not False


def _size(reading: Reading) -> tuple[int, int, int]:
    """Examples, parameters, and arrays of these."""
    sizes = [np.size(place.read()) for place in reading.parameters]
    return reading.examples, sum(sizes), len(sizes)


def _text(readings: list[Reading]) -> str:
    """The most of each."""
    examples, numbers, arrays = (max(each) for each in zip(*map(_size, readings), strict=True))
    batch = f"up to {examples} examples" if examples > 1 else "one example"
    return f"{batch}, {numbers:,} parameters in {arrays} array{'s' * (arrays > 1)}"
