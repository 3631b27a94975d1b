"""A reading at other weights, inputs and targets: faults that show under a condition alone.

One that is right at the first point is run at more of them until every entry of its gradients was
above 0 and below: a gradient that is spoilt where one of them is positive is right at half of all
points. What is measured is one slope, along a direction through all parameters; `check` decides.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samegrad.implementations.reading.compare import Compared, Match, candidates, slope_of
from samegrad.implementations.reading.effects import Place, redraw
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.trials import Wishes

Array = Any
MOST_POINTS = 16  # an entry that is as often positive as negative is of one sign at 2^-15 of them
SECONDS = 1.0  # of this process, for all points of a reading
# Of the gradient's length; and where a convention was noted at the first point. A small number in a
# log, which was too little to be seen there, may be a hundred times as much at the next one: files
# with log(p + 1e-7) were called wrong. What a condition spoils is more.
GROSS, NOTED = 3e-4, 1e-3
TARGETS = 6  # draws of targets, of which every other has none below 0


@dataclass
class Points:
    """The points of a reading.

    Attributes:
        parameters: of which a gradient was found.
        loss, backward, net: of the reading, the loss times its factor.
        data: X and y; arrays of floats are changed.
        matches: what is taken for whose gradient.
        tolerance: relative to the length of the gradient.
        scales: how large steps along parameters are, by their names; 1 for others.
    """

    parameters: Sequence[Place]
    loss: Callable[[], float]
    backward: Callable[[], Any]
    net: Any
    data: Sequence[Any]
    matches: Sequence[Match]
    tolerance: float
    examples: int
    scales: dict[str, float] = field(default_factory=dict)
    signs: dict[tuple[str, bool], Array] = field(default_factory=dict)

    def suspects(self) -> Iterator[str]:
        """Points at which the gradient does not follow from the loss, in words, while it is there.

        All is as before when it ends.
        """
        arrays = [d for d in self.data if isinstance(d, np.ndarray) and d.dtype.kind == "f"]
        before = [(p, p.read()) for p in self.parameters], [(a, a.copy()) for a in arrays]
        try:
            yield from self._other_weights(arrays)
            yield from self._degenerate(arrays)
            yield from self._other_targets()
        finally:
            for place, values in before[0]:
                place.write(values)
            for array, values in before[1]:
                array[...] = values

    def _other_weights(self, arrays: Sequence[Array]) -> Iterator[str]:
        end = time.process_time() + SECONDS
        for point in range(MOST_POINTS):
            redraw(self.parameters, 100 + point)
            if len(self.data) > 1 and any(array is self.data[0] for array in arrays):
                self.data[0][...] *= -1  # inputs that are drawn around 0
            if self.follows(point) is False:
                yield "at other weights"
            if self._met_both() or time.process_time() > end:
                return

    def _degenerate(self, arrays: Sequence[Array]) -> Iterator[str]:
        """An example and a feature of zeros; all targets alike."""
        X, y = [*self.data, None, None][:2]
        if any(array is X for array in arrays) and np.ndim(X) == 2:
            held = X.copy()
            X[0], X[:, 0] = 0, 0
            if self.follows(1) is False:
                yield "with an example and a feature of zeros"
            X[...] = held
        if isinstance(y, np.ndarray) and y.size > 1 < self.examples:
            held = y.copy()
            try:
                y[...] = alike(y)
                if self.follows(2) is False:
                    yield "with all targets alike"
            finally:  # labels are restored by nobody else
                y[...] = held

    def _other_targets(self) -> Iterator[str]:
        """Real numbers for targets, where the gradient holds for some of them.

        It may not for any: that of cross entropy is right where they add up to 1.
        """
        y = self.data[1] if len(self.data) > 1 else None
        if not isinstance(y, np.ndarray) or y.dtype.kind != "f":
            return
        rng = np.random.default_rng(y.size)
        draws = [rng.normal(0, 0.5 + number / 2, y.shape) for number in range(TARGETS)]
        draws[::2] = [np.abs(values) for values in draws[::2]]
        found = []
        for number, values in enumerate(draws):
            y[...] = values
            found.append(self.follows(number))
        if True in found and False in found:
            y[...] = draws[found.index(False)]
            yield "with other targets"

    def follows(self, seed: int) -> bool | None:
        """Whether the slope along a direction is what the gradient says; None if there is none.

        Of two directions one may meet a kink.
        """
        try:
            self.loss()
            gradients = self.gradients()
            answers = (self._along(gradients, 2 * seed + turn) for turn in (1, 2))
            return next((a for a in answers if a is not False), False)
        except (Exception, SystemExit):  # a point that the code does not accept
            return None

    def gradients(self) -> list[Array]:
        """Those of the parameters, by what was taken for them."""
        pool = dict(candidates(self.parameters, self.backward(), self.net, self.data))
        gradients = []
        for place, match in zip(self.parameters, self.matches, strict=True):
            values = pool.get(match.source)
            if values is None:
                values = pool[match.source.removesuffix(".T")].T
            gradients.append(np.reshape(values, match.shape))
            for positive in (True, False):
                of_sign = gradients[-1] > 0 if positive else gradients[-1] < 0
                key = (place.name, positive)
                self.signs[key] = self.signs.get(key, False) | of_sign
        return gradients

    def _met_both(self) -> bool:
        return bool(self.signs) and all(np.all(met) for met in self.signs.values())

    def _along(self, gradients: Sequence[Array], seed: int) -> bool | None:
        rng = np.random.default_rng(seed)
        here = [place.read() for place in self.parameters]
        direction = [
            rng.normal(0, self.scales.get(place.name, 1.0), np.shape(values))
            for place, values in zip(self.parameters, here, strict=True)
        ]

        def moved(by: float) -> float:
            for place, old, d in zip(self.parameters, here, direction, strict=True):
                place.write(old + by * d)
            return self.loss()

        try:
            slope = slope_of(moved)
        finally:
            for place, old in zip(self.parameters, here, strict=True):
                place.write(old)
        if not np.isfinite(slope):
            return None
        said = sum(float(np.sum(g * d)) for g, d in zip(gradients, direction, strict=True))
        scales = (self.scales.get(place.name, 1.0) for place in self.parameters)
        pairs = zip(gradients, scales, strict=True)
        length = np.sqrt(sum(float(np.sum(np.square(g * scale))) for g, scale in pairs))
        return bool(abs(said - slope) <= self.tolerance * max(length, abs(slope), 1e-6))


def alike(y: Array) -> Array:
    """Targets, labels or one-hot, of which each is the first; others as they are."""
    if y.ndim < 2:
        return y[:1]
    if y.shape[1] == 1 or np.all(y.sum(axis=1) == 1):
        return y[:1]
    return y[:, :1] if y.shape[0] == 1 or np.all(y.sum(axis=0) == 1) else y


def points_of(reading: Reading, compared: Compared, factor: float, noted: bool) -> Points:
    """Where else a reading is tried: with other data where they are ours."""
    trial, pairs = reading.trial, zip(reading.parameters, compared.matches, strict=True)
    judged = [match for match in compared.judged if match.source]  # another has no gradient
    known = [(place, match) for place, match in pairs if match in judged]
    drawn = trial is not None and not trial.network.held and trial.wishes == Wishes()
    return Points(
        [place for place, _ in known], lambda: factor * reading.loss(), reading.backward,
        reading.net, reading.changeable if drawn else (),
        [match for _, match in known], max(compared.tolerance, NOTED if noted else GROSS),
        reading.examples,
    )  # fmt: skip
