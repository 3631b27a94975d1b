"""A reading that is right, with values and arrays that no ordinary problem has.

Outputs of 60 to 800, units far out, inputs of 1,000, weights of 100; the same numbers in arrays of
another order in memory, of another type, in lists. What is measured is one slope, or, where only
the form of the data is another, whether the gradient is still the same; `check` decides.

Of two things nothing is said: of a loss that is no finite number there, which is a limit of the
code and not of its gradient, and of outputs that are saturated where the code may have a small
number in its log, or a clip: it hides from the loss what the gradient rightly has.
"""

import contextlib
import itertools
import re
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.calls import users_lines
from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport
from samegrad.implementations.reading.checked import backward_of, checked_as, source_of
from samegrad.implementations.reading.effects import Place
from samegrad.implementations.reading.found import Found
from samegrad.implementations.reading.points import Points, points_of
from samegrad.implementations.reading.readings import Reading

Array = Any
SECONDS = 1.0  # of this process, for all of a reading
FAR = (60.0, 200.0, 500.0, 800.0)  # of outputs and units; exp overflows from 710 on
OVERFLOWS = 700.0
UNITS = re.compile(r"^with half of .* about [-+](\d+)$")
LARGE, INPUTS = 100.0, 1000.0  # times as large: weights, inputs
SAME = 1e-7  # of a loss: it does not follow what is added to all outputs, as that of softmax
# Probabilities that are far enough from 0 and 1, and outputs that differ by so little that these
# are, for a small number in a log to be nothing beside them.
INSIDE, NEAR = 2e-3, 6.0
LARGEST = 600.0  # outputs of which exp is an ordinary number
SMALL_NUMBERS = re.compile(r"clip|clamp|eps|tiny|\de-\d|nan_to_num|isfinite|isnan|isinf")
BETWEEN = re.compile(r"clip\(.*?, *(?:a_min *= *)?-")  # as of np.clip(z, -50, 50)
CLIPS = re.compile(r"clip|norm *>|(?:grad\w*|max|global)_?norm|min\(1(?:\.0)?, ")  # of a gradient
SINGLE = 1e-3  # of the largest entry of a gradient: what float32 may be off
DOUBLE = 1e-6
MOST_CHECKS = 3  # that do not bear a suspicion out


@dataclass
class Extremes:
    """The points of a reading, one after the other.

    Attributes:
        found: the reading, right at an ordinary point.
        noted: whether but for a convention.
        lost: where its loss was no finite number, in words.
        none: where exp overflowed in its gradient alone, likewise.
    """

    found: Found
    noted: bool
    seed: int
    lost: list[str] = field(default_factory=list)
    none: list[str] = field(default_factory=list)

    def fault(self) -> CheckReport | None:
        """What `check` says of the first point at which the gradient does not follow, if any."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for kind in (self._values(), self._forms()):
                with contextlib.closing(kind) as suspects:
                    for words, other, said in itertools.islice(suspects, MOST_CHECKS):
                        report = self._confirmed(other, said)
                        if _overflows(report, words):
                            self.none.append(words)
                        elif report.verdict == DISAGREES:
                            return replace(report, remarks=(*report.remarks, words))
        return None

    def _confirmed(self, other: Found, said: str) -> CheckReport:
        """What `check` says; of what it does not take for a gradient, what is known without it."""
        report = checked_as(other, agreed=True)
        if any("not finite" in match.reason for match in report.matches):
            return replace(report, lines=_made_in(other.reading))
        left = [note for note in report.notes if note.code != "no-gradient"]
        if report.agrees and said and len(left) < len(report.notes):
            return replace(report, verdict=DISAGREES, said=said, notes=tuple(left))
        return report

    def _values(self) -> Generator[tuple[str, Found, str]]:
        """Points at which the gradient does not follow, while weights and data are so."""
        points = points_of(self.found.reading, self.found.compared, self.found.factor, self.noted)
        arrays = [d for d in points.data if isinstance(d, np.ndarray) and d.dtype.kind == "f"]
        weights = [p.read() for p in points.parameters]
        data = [a.copy() for a in arrays]
        end, here = time.process_time() + SECONDS, self.found.reading.loss()
        for words, shifted, move in self._moves(points, arrays):
            try:
                move()
                if self._tells(here, shifted, words) and points.follows(self.seed) is False:
                    yield words, replace(self.found, certain=self._certain(here, shifted)), ""
            except (Exception, SystemExit):  # values that the code does not accept
                continue
            finally:
                points.scales.clear()
                for place, old in zip(points.parameters, weights, strict=True):
                    place.write(old)
                for array, old in zip(arrays, data, strict=True):
                    array[...] = old
            if time.process_time() > end:
                return

    def _moves(
        self, points: Points, arrays: Sequence[Array]
    ) -> Iterator[tuple[str, bool, Callable[[], None]]]:
        """In words, whether all outputs are moved alike, and what does it."""
        rng = np.random.default_rng([self.seed, len(FAR)])
        large = [p for p in points.parameters if _is_matrix(p)]
        flat = [p for p in points.parameters if not _is_matrix(p)]
        outputs = self.found.reading.outputs
        last = next((p for p in flat[::-1] if np.size(p.read()) == outputs), None)
        for far in (sign * size * rng.uniform(0.9, 1.1) for size in FAR for sign in (1, -1)):
            words = f"{far:+.0f}"
            if last is not None:
                yield f"with outputs of about {words}", True, _adder(last, far)
            elif large:
                yield f"with outputs of about {words}", True, _adder(large[-1], far, outputs)
            for place in flat:
                if place is not last and np.size(place.read()) > 1:
                    half = _adder(place, far, every=2)
                    yield f"with half of {place.name} about {words}", False, half
        if large:
            X = next((a for a in arrays if a is points.data[0]), None)
            if X is not None:
                ways = _scaler(points, [(large[0], 1 / INPUTS)], [(X, INPUTS)])
                yield f"with inputs of about {INPUTS:,.0f}", False, ways
        if len(large) > 1:
            for first, then in ((LARGE, 1 / LARGE), (1 / LARGE, LARGE), (LARGE, 1.0)):
                name = large[0 if first > 1 else -1].name
                ways = _scaler(points, [(large[0], first), (large[-1], then)], [])
                yield f"with {name} {LARGE:.0f} times as large", False, ways

    def _tells(self, here: float, shifted: bool, words: str) -> bool:
        """Whether a gradient that does not follow the loss at this point is a fault."""
        there = self.found.reading.loss()
        if not np.isfinite(there):
            outputs = self._outputs()
            no_numbers = outputs is not None and not np.isfinite(outputs).all()
            if shifted and (self.found.reading.own or no_numbers):
                self.lost.append(words)
            return False
        if self._certain(here, shifted):
            return True
        if self._cut_off:
            return False
        if abs(there - here) <= SAME * max(1.0, abs(here)):
            return True
        outputs = self._outputs()
        if outputs is None or not np.isfinite(outputs).all():
            return shifted and self._plain
        inside = bool(np.all(outputs >= 0) and np.all(outputs <= 1))
        if inside and np.all(np.minimum(outputs, 1 - outputs) >= INSIDE):
            return True
        if self._plain:
            return shifted or (not inside and float(np.max(np.abs(outputs))) < LARGEST)
        return not inside and float(np.max(np.abs(outputs))) < NEAR / 2

    def _certain(self, here: float, shifted: bool) -> bool:
        """Whether its loss is no guess: all outputs are moved, and it is what it was."""
        there = self.found.reading.loss()
        usual = self.found.reading.own or bool(self.found.constant)
        return shifted and usual and abs(there - here) <= SAME * max(1.0, abs(here))

    @cached_property
    def _cut_off(self) -> bool:
        """Whether a gradient is cut off where it is large, or what a unit is given, as is meant."""
        reading = self.found.reading
        of_units = any(BETWEEN.search(source_of(f)) for f in reading.users if callable(f))
        return of_units or any(CLIPS.search(source_of(f).lower()) for f in backward_of(reading))

    @cached_property
    def _plain(self) -> bool:
        """Whether its loss is its own, with nothing that keeps a logarithm finite."""
        reading = self.found.reading
        functions = [*reading.users, *backward_of(reading)]
        text = " ".join(source_of(f).lower() for f in functions if callable(f))
        return reading.own and not self.noted and bool(text) and not SMALL_NUMBERS.search(text)

    def _outputs(self) -> Array:
        trial = self.found.reading.trial
        try:
            return np.asarray(trial.out(trial.outs[0]), np.float64) if trial else None
        except Exception:  # it has none, or they are no array
            return None

    def _forms(self) -> Generator[tuple[str, Found, str]]:
        """The same numbers in other arrays, for which the loss is the same and the gradient not."""
        reading, trial = self.found.reading, self.found.reading.trial
        points = points_of(reading, self.found.compared, self.found.factor, self.noted)
        if trial is None or not points.data:  # data that are not ours
            return
        values, end = trial.board.values, time.process_time() + SECONDS
        for key in ("X", "y"):
            held = values[key]
            for words, given, plain, near in _forms_of(held):
                try:
                    values[key] = plain
                    there, before = reading.loss(), points.gradients()
                    if _others(points, before, near):  # of the same data: it adds up over calls
                        continue
                    values[key] = given
                    same = abs(reading.loss() - there) <= near * max(1.0, abs(there))
                    wrong = _others(points, before, near) if same else ""
                    if wrong:
                        data = (values["X"], values["y"])
                        other = replace(reading, data=data, changeable=(), slopes={})
                        told = f"with {key} {words}"
                        said = f"{wrong} {told} than with the same numbers, and the same loss"
                        yield told, replace(self.found, reading=other), said
                except (Exception, SystemExit):  # a form that the code does not take
                    continue
                finally:
                    values[key] = held
                if time.process_time() > end:
                    return


def _overflows(report: CheckReport, words: str) -> bool:
    """Whether all that is wrong is no number, with units so far out that exp overflows."""
    far = UNITS.search(words)
    wrong = [m.reason for m in report.matches if m.verdict == DISAGREES]
    none = bool(wrong) and all("values not finite" in reason for reason in wrong)
    return far is not None and float(far[1]) > OVERFLOWS and none and not report.said


def _made_in(reading: Reading) -> tuple[str, ...]:
    """The line that makes what is no number of infinite ones: of others too little is seen."""
    try:
        with np.errstate(all="ignore", invalid="raise"):
            reading.loss()
            reading.backward()
    except FloatingPointError as error:
        at = [line.split(": ")[0] for line in users_lines(error)]
        return tuple(f"{where}: what it computes is no number (NaN)" for where in at[-1:])
    except Exception:
        return ()
    return ()


def _is_matrix(place: Place) -> bool:
    return sum(n > 1 for n in np.shape(place.read())) > 1


def _adder(place: Place, far: float, outputs: int = 0, every: int = 1) -> Callable[[], None]:
    """Adds a number to an array; of weights so much that the outputs are about that.

    Args:
        every: how many entries there are for one that is changed: where all units are saturated,
            the loss depends on no weight that comes before.
    """

    def move() -> None:
        values = place.read()
        changed = np.reshape(np.arange(values.size) % every == 0, values.shape)
        place.write(values + far * changed * (outputs / (0.4 * values.size) if outputs else 1.0))

    return move


def _scaler(
    points: Points, weights: Sequence[tuple[Place, float]], arrays: Sequence[tuple[Array, float]]
) -> Callable[[], None]:
    """Makes weights and data larger or smaller, and steps along weights likewise."""

    def move() -> None:
        for place, times in weights:
            place.write(place.read() * times)
            points.scales[place.name] = times
        for array, times in arrays:
            array *= times

    return move


def _forms_of(held: Any) -> Iterator[tuple[str, Any, Any, float]]:
    """In words, data in another form, the same as it was, and how near a gradient is the same."""
    if not isinstance(held, np.ndarray) or held.ndim == 0 or held.dtype.kind not in "fi":
        return
    if held.ndim == 2:
        turned = held.flags.f_contiguous and not held.flags.c_contiguous
        order = np.ascontiguousarray if turned else np.asfortranarray
        yield f"in {'C' if turned else 'F'} order in memory", order(held), held, DOUBLE
    wide = np.repeat(held, 2, axis=0)
    wide = np.repeat(wide, 2, axis=1) if held.ndim > 1 else wide
    parts = wide[tuple(slice(None, None, 2) for _ in held.shape)]
    yield "taken from a larger array", parts, held, DOUBLE
    if held.dtype.kind == "f":
        single = held.astype(np.float32)
        yield "of type float32", single, single.astype(np.float64), SINGLE
        whole = np.round(held if np.array_equal(held, np.round(held)) else 3 * held)
        yield "of whole numbers (int64)", whole.astype(np.int64), whole, DOUBLE
    else:
        yield "of type int32", held.astype(np.int32), held, DOUBLE
    yield "in a list", held.tolist(), held, DOUBLE


def _others(points: Points, before: Sequence[Array], near: float) -> str:
    """In words, the first gradient that is not what it was before, or ""."""
    length = max(float(np.max(np.abs(g), initial=0.0)) for g in before)
    gradients = zip(points.parameters, points.matches, points.gradients(), before, strict=True)
    for place, match, now, old in gradients:
        if not np.all(np.abs(now - old) <= near * length):
            return f"{match.source} is another gradient of {place.name}"
    return ""
