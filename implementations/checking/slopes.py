"""Slopes of a loss by extrapolated central differences, each with an estimate of its own error.

A loss is called without arguments and reads what it depends on from slots: places that hold an
array and can be written. Slopes are taken along single entries, which say where a gradient is
wrong, and along random directions through whole arrays, which miss nothing but by luck.
"""

import reprlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, NamedTuple, Protocol

import numpy as np

Array = Any
Loss = Callable[[], float]

DIRECTIONS = 4  # through each array
# What is measured of an array however long a loss takes, directions and entries.
LEAST_DIRECTIONS, LEAST_ENTRIES = 2, 3
MOST_ENTRIES = 500  # of one array: a random choice where it has more
LONG_SECONDS = 0.01  # of a loss: one of each, where a second point is looked at
# The same: one of each at the first point, a direction at the second. An entry says where a
# gradient is wrong; directions, that it is.
VERY_LONG_SECONDS = 0.02
SECONDS = 0.4  # for all slopes, or as many as LOSSES take
LOSSES = 1500  # of 1 ms: 1.5 seconds, for a network of some 100,000 entries
WAITING = 3  # times as long as it works may this thread wait: for other programs, or a device
LEVELS = 6  # steps tried, each shorter than the last
LONGER = (1.0, 8.0, 64.0)  # longer first steps, where rounding hides a slope
TARGET = 1e-8  # of the largest slope: an error not worth another step
NEAR = 1e-9  # between points at which a smooth loss differs from a parabola by rounding alone
BOUND = 1e-6  # what a gradient may be off its slopes in float64; TARGET with room for few digits
# A first step balances rounding against the fourth power of the step (what extrapolation leaves).
STEP_POWER = 0.2
# Slopes by differences keep half the digits of a loss at worst: twice that for the extrapolation,
# twice for a sum of such losses. Float32 gives 1e-3.
DIGITS_KEPT, MOST_BOUND = 4.0, 0.1
COMPLEX_STEP = 1e-20  # its square is lost, which leaves the slope alone
DOUBLE = 1e-12  # relative noise, below which a loss has the digits of float64
# An array whose slopes are all below this share of another's is judged by this share: what is
# left of slopes that cancel (a bias before a softmax over all) is rounding.
SHARE, SHARE_OF_FEW = 1e-4, 0.1


class Noise(NamedTuple):
    """By how much a value of a loss may be off: absolutely, and relative to its values nearby."""

    size: float
    relative: float


class Slot(Protocol):
    """A place that holds an array on which a loss depends."""

    shape: tuple[int, ...]
    eps: float  # of the numbers that it can hold

    @property
    def name(self) -> str:
        """Its path."""

    def read(self) -> Array:
        """A copy, as float64 of that shape."""

    def write(self, values: Array) -> None:
        """Put other values of that shape in."""

    def put(self, entry: int, value: float) -> None:
        """Put one other entry in, counted in C order."""


@dataclass
class Slopes:
    """The slopes of one array, along entries and then along directions.

    Attributes:
        name: of the slot.
        shape: of the array.
        entries: which were measured, in C order.
        directions: arrays of that shape, of +1 and -1, or of such numbers from 0.5 to 1.5.
        values: slopes, of entries first.
        errors: what each may be off.
        kinks: whether each has different slopes on its two sides, however near.
        floor: of the largest slope: a share of other arrays', below which all is rounding.
    """

    name: str
    shape: tuple[int, ...]
    entries: list[int] = field(default_factory=list)
    directions: list[Array] = field(default_factory=list)
    of_entries: list[tuple[float, float, bool]] = field(default_factory=list)
    of_directions: list[tuple[float, float, bool]] = field(default_factory=list)
    floor: float = 1e-30

    @property
    def values(self) -> Array:
        """Slopes, of entries first."""
        return np.array([value for value, _, _ in self.of_entries + self.of_directions])

    @property
    def errors(self) -> Array:
        """What each slope may be off."""
        return np.array([error for _, error, _ in self.of_entries + self.of_directions])

    @property
    def kinks(self) -> Array:
        """Whether each has two slopes, one on each side."""
        return np.array([kink for _, _, kink in self.of_entries + self.of_directions], bool)

    @property
    def size(self) -> int:
        """Entries of the array."""
        return int(np.prod(self.shape))

    @property
    def sampled(self) -> bool:
        """Whether entries were left out."""
        return len(self.entries) < self.size

    @property
    def scales(self) -> Array:
        """How large each slope is expected, in units of a typical entry's."""
        of_directions = [np.sqrt(self.size)] * len(self.directions)
        return np.array([1.0] * len(self.entries) + of_directions)

    @property
    def largest(self) -> float:
        """The largest slope of an entry, as far as measured; at least the floor."""
        sizes = np.abs(self.values) / self.scales
        return max(float(np.max(sizes[np.isfinite(sizes)], initial=0.0)), self.floor)

    def along(self, gradient: Array) -> Array:
        """What a gradient claims these slopes to be."""
        flat = np.asarray(gradient, np.float64).ravel()
        of_directions = [float(np.sum(flat * move.ravel())) for move in self.directions]
        return np.concatenate([flat[self.entries], of_directions])

    def trusted(self, bound: float) -> Array:
        """Which slopes are known to `bound`, relative to the largest."""
        return self.errors <= bound * self.largest * self.scales


@contextmanager
def quiet() -> Iterator[None]:
    """Neither warnings nor NumPy's error settings of a user reach what is tried here."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def slopes(
    loss: Loss,
    slots: Sequence[Slot],
    *,
    noise: Noise,
    seed: int = 0,
    seconds: float | None = None,
    most_entries: int = MOST_ENTRIES,
    directions: int = DIRECTIONS,
) -> list[Slopes]:
    """Slopes of a loss at the point where its slots are, which they are put back to.

    Args:
        loss: of the slots' present values.
        slots: what it may depend on; one `Slopes` for each.
        noise: of the loss, see `noise_of`.
        seed: of entries and directions.
        seconds: after which no slope is begun but the least of each array (with 0, of a loss that
            takes long, one of each kind); by default SECONDS, or what LOSSES losses of a
            millisecond take.
        most_entries: of each array.
        directions: through each array.
    """
    rng = np.random.default_rng(seed)
    measured = [Slopes(slot.name, tuple(slot.shape)) for slot in slots]
    with quiet():
        clock = Clock()
        here = loss()
        taken = clock.elapsed
        least_directions, least_entries = LEAST_DIRECTIONS, LEAST_ENTRIES
        enough = BOUND / 10
        if taken > LONG_SECONDS:
            enough = bound_of(noise) / 10  # no more digits than are compared
        if seconds == 0.0 and taken > LONG_SECONDS:
            least_directions, least_entries = 1, int(taken <= VERY_LONG_SECONDS)
        elif taken > VERY_LONG_SECONDS:
            least_directions = least_entries = 1
        if seconds is None:
            seconds = max(SECONDS, LOSSES * min(taken, 1e-3))
        orders = [rng.permutation(m.size)[:most_entries] for m in measured]
        moved = [range(directions if m.size > 1 else 0) for m in measured]
        signs = [
            [rng.choice([-1.0, 1.0], m.shape) for _ in n]
            for m, n in zip(measured, moved, strict=True)
        ]
        if taken > VERY_LONG_SECONDS:  # of few directions none may hide two faults that are alike
            signs = [[s * (0.5 + rng.random(s.shape)) for s in of] for of in signs]
        for turn in range(max([directions, *map(len, orders)], default=0)):
            for slot, m, order, moves in zip(slots, measured, orders, signs, strict=True):
                late = clock.elapsed > seconds
                if turn < len(moves) and not (late and turn >= least_directions):
                    along = _along(loss, slot, moves[turn], here, noise, m, enough)
                    m.of_directions.append(along)
                    m.directions.append(moves[turn])
                least = least_entries if moves else max(1, least_entries)  # single numbers
                if turn < len(order) and not (late and turn >= least):
                    along = _along(loss, slot, int(order[turn]), here, noise, m, enough)
                    m.of_entries.append(along)
                    m.entries.append(int(order[turn]))
    share = SHARE if noise.relative <= DOUBLE else SHARE_OF_FEW
    floor = share * max([m.largest for m in measured], default=0.0)
    for m in measured:
        m.floor = max(m.floor, floor)
    return measured


def noise_of(loss: Loss, slots: Sequence[Slot], seed: int = 0) -> Noise:
    """By how much rounding may put a value of the loss off, whatever the loss cancels inside.

    Values at points on a short line differ from a curve by rounding, but for the few beside a kink.
    """
    rng = np.random.default_rng(seed)
    before = [slot.read() for slot in slots]
    root = max(1.0, float(np.sqrt(sum(b.size for b in before))))
    moves = [
        rng.choice([-1.0, 1.0], b.shape)
        * np.maximum(NEAR * np.maximum(1.0, np.abs(b)) / root, 8 * slot.eps * np.abs(b))
        for slot, b in zip(slots, before, strict=True)
    ]
    values = []
    with quiet():
        try:
            for k in range(-5, 6):
                for slot, b, move in zip(slots, before, moves, strict=True):
                    slot.write(b + k * move)
                values.append(loss())
        finally:
            for slot, b in zip(slots, before, strict=True):
                slot.write(b)
        largest = float(np.max(np.abs(values)))
        single = np.asarray(values, np.float32).astype(np.float64)
        eps = float(np.finfo(np.float64).eps)
        if (single == values).all() and not (np.asarray(values) == np.round(values)).all():
            eps = float(np.finfo(np.float32).eps)  # no digit beyond those of float32
        # Fourth differences of 11 values: of rounding about 8 times as large, of curves nothing.
        middle = np.sort(np.abs(np.diff(values, 4)))[3]  # np.median would load numpy.ma
        size = max(eps * largest, 0.5 * float(middle))
        return Noise(size, max(eps, size / max(largest, 1e-300)) if size else eps)


class Clock:
    """Seconds of this thread's own work, or a share of those that passed, whichever is more."""

    def __init__(self) -> None:
        self._began = time.thread_time(), time.monotonic()

    @property
    def elapsed(self) -> float:
        """Since it was made."""
        own, passed = time.thread_time() - self._began[0], time.monotonic() - self._began[1]
        return max(own, passed / WAITING)


def bound_of(noise: Noise) -> float:
    """What a gradient may be off slopes of a loss with so much noise: 1e-6, in float32 1e-3."""
    return max(BOUND, min(DIGITS_KEPT * float(np.sqrt(noise.relative)), MOST_BOUND))


def check_tolerance(tolerance: Any) -> None:
    """Raise ValueError for what is neither None nor a number between 0 and 1."""
    number = isinstance(tolerance, Real) and not isinstance(tolerance, bool)
    if tolerance is not None and not (number and 0 < tolerance < 1):
        shown = reprlib.repr(tolerance)
        raise ValueError(f"tolerance {shown} is not accepted; give a number between 0 and 1")


def _along(
    loss: Loss,
    slot: Slot,
    move: Array | int,
    here: float,
    noise: Noise,
    known: Slopes,
    wanted: float,
) -> tuple[float, float, bool]:
    """(slope, what it may be off, whether it is a kink) along an entry or a direction.

    Args:
        wanted: error relative to the largest slope, below which no longer steps are tried.
    """
    before = slot.read()
    entry = move if isinstance(move, int) else None
    root = known.size**0.5 if entry is None else 1.0
    size = abs(float(before.flat[entry])) if entry is not None else float(np.max(np.abs(before)))

    def at(step: float) -> float:
        if entry is not None:
            slot.put(entry, float(before.flat[entry]) + step)
        else:
            slot.write(before + step * move)
        return loss()

    step = min(noise.relative, 1e-3) ** STEP_POWER
    shorter = 8.0 if step < 1e-2 else 2.0  # where digits are few a step cannot shrink by much
    # Many entries move at once along a direction: each by less, for the same curvature.
    step *= max(1.0, size) / known.size**0.25 if entry is None else max(1.0, size)
    best = (0.0, np.inf, False)
    largest = known.largest * root if known.of_directions or known.of_entries else 0.0
    try:
        for longer in LONGER:
            tried = _extrapolated(at, here, noise.size, step * longer, shorter, largest)
            if shorter < 8:  # steps as long as these may cancel two kinks: ask again
                again = _extrapolated(at, here, noise.size, step * longer / 3, shorter, largest)
                tried = (tried[0], max(tried[1], abs(tried[0] - again[0])), tried[2] or again[2])
            best = min(best, tried, key=lambda of: of[1])
            enough = wanted * max(abs(best[0]), largest)
            if best[1] <= enough or noise.size / (step * longer) <= enough:
                break
    finally:
        if entry is not None:
            slot.put(entry, float(before.flat[entry]))
        else:
            slot.write(before)
    return best


def _extrapolated(
    at: Callable[[float], float],
    here: float,
    noise: float,
    step: float,
    shorter: float,
    largest: float,
) -> tuple[float, float, bool]:
    """Of differences over shorter and shorter steps the extrapolant that is surest."""
    best = (0.0, np.inf, False)
    last: tuple[float, float] | None = None
    for _ in range(LEVELS):
        above, below = at(step), at(-step)
        quotient = (above - below) / (2 * step)
        bend = (above - 2 * here + below) / step  # slope to the right less slope to the left
        rounding = noise / step
        if last is not None:
            value = quotient + (quotient - last[0]) / (shorter**2 - 1)
            # A curve straightens out as steps shrink; what would be left at none is a kink.
            left = abs(shorter * bend - last[1]) / (shorter - 1)
            error = abs(value - quotient) + left + rounding
            if np.isfinite(error) and error < best[1]:
                best = (value, error, bool(left > 16 * rounding and left > TARGET * abs(value)))
            if best[1] <= TARGET * max(abs(best[0]), largest) or rounding > best[1] / 2:
                break
        last = quotient, bend
        step /= shorter
    return best


def by_complex_steps(loss: Callable[[Array], Any], slot: Slot, seed: int = 0) -> Slopes:
    """As `slopes` for one slot, by complex steps: exact where the loss is analytic.

    Args:
        loss: of an array of complex numbers in the slot's place.
        slot: where.
        seed: of entries and directions.
    """
    rng = np.random.default_rng(seed)
    m = Slopes(slot.name, tuple(slot.shape))
    m.entries = [int(entry) for entry in rng.permutation(m.size)[:MOST_ENTRIES]]
    count = DIRECTIONS if m.size > 1 else 0
    m.directions = [rng.choice([-1.0, 1.0], m.shape) for _ in range(count)]
    values = complex_slopes(loss, slot.read(), m.entries, m.directions)
    exact = [(float(value), 0.0, False) for value in values]
    m.of_entries, m.of_directions = exact[: len(m.entries)], exact[len(m.entries) :]
    return m


def complex_slopes(
    loss: Callable[[Array], Any], here: Array, entries: Sequence[int], directions: Sequence[Array]
) -> Array:
    """Slopes by complex steps along entries, then directions; silently wrong off analytic losses.

    Raises:
        Exception: what the loss raises for complex numbers.
    """
    moves = [np.zeros(here.shape) for _ in entries]
    for move, entry in zip(moves, entries, strict=True):
        move.flat[entry] = 1.0
    with quiet():
        values = [complex(loss(here + 1j * COMPLEX_STEP * m)) for m in (*moves, *directions)]
    return np.array([value.imag / COMPLEX_STEP for value in values])
