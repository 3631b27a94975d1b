"""A reading with how its gradient compares with slopes of its loss."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from samegrad.implementations.reading import losses
from samegrad.implementations.reading.compare import Compared, compare
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.shared_out import divides_its_rate

FAR = 0.01  # the share of the largest slope by which a gradient is off, whatever its factor
ROUNDING = 1e-6  # of a factor that is measured


@dataclass
class Found:
    """A reading with how its gradient compares.

    Attributes:
        follows: whether `check` found the whole gradient right, whatever is made of it.
        certain: whether its loss is no guess where it is judged.
    """

    reading: Reading
    compared: Compared
    follows: bool = False
    certain: bool = False

    @cached_property
    def decays(self) -> bool:
        """Whether a loop takes off a share of weights beside the gradient, at the first point."""
        applied = self.reading.applied
        return applied is not None and applied.decays(self.reading.slopes)

    @property
    def fits(self) -> bool:
        """Whether the whole gradient follows from the loss.

        But for a constant, where the loss is a guess or a learning rate makes up for it.
        """
        free = not self.reading.own or self._rated
        return self.compared.factor is not None if free else self.compared.exact

    @property
    def _rated(self) -> bool:
        """Whether any constant of the gradient is one of the learning rate.

        Of one output of one example all gradients have one constant, whatever the loss.
        """
        r, factor = self.reading, self.compared.factor
        if not r.step or r.applied is not None:
            return (r.step and not r.rated) or self._is_shared_out
        return not r.rated or bool((r.batched or r.outputs > 1) and factor and factor > 0)

    @property
    def _is_shared_out(self) -> bool:
        """Whether it is summed over a batch, and the file's steps divide by its size."""
        r, factor = self.reading, self.compared.factor
        known = r.own and not r.step and r.applied is None and r.batched and factor is not None
        summed = known and abs((factor or 0.0) / r.examples - 1) < ROUNDING
        return summed and divides_its_rate(r.functions)

    @property
    def constant(self) -> str:
        """In words the standard loss that the whole gradient follows from; "" if there is none."""
        factor = self.compared.factor
        return "" if self.reading.own or factor is None else self._named(factor)

    @property
    def usual(self) -> str:
        """In words the standard loss that most of the gradient follows from, or ""."""
        return "" if self.reading.own else self._named(self.factor)

    @property
    def factor(self) -> float:
        """By which the loss is multiplied before it is checked: 1 for one of the file's own."""
        factor, applied = self._factor, self.reading.applied
        up = factor < 0 and self.reading.step and applied is not None and not applied.rises
        # A sign that is lost before the update is a fault of the gradient, not of the step.
        lost = up and applied and (applied.takes_off or applied.turned(self.reading.slopes))
        return -factor if lost else factor

    @property
    def _factor(self) -> float:
        reading, common = self.reading, self.compared.factor
        if reading.own:
            if (reading.printed or self._rated) and common:
                return common if abs(common - 1) > ROUNDING else 1.0
            if reading.applied is None and (reading.rated or reading.update is not None):
                # `check` looks for a rate in what an update changes.
                return self._summed if reading.step else 1.0
        if reading.applied is not None and reading.own and (summed := self._summed) != 1:
            return summed
        partly = [m for m in self.compared.partly if m.factor > 0 or not reading.own]
        sizes = [round(m.factor, 9) for m in partly]
        # Of as many one way as another, its own loss is meant as it is; of another, by the most
        # numbers: a factor is forgotten of biases rather than of weights. Most steps go down.
        numbers = [int(np.prod(m.shape)) for m in partly]

        def most(size: float) -> tuple[float, ...]:
            alike = [n for n, s in zip(numbers, sizes, strict=True) if s == size]
            return (len(alike), size > 0, reading.own and size == 1, sum(alike))

        return common or max(set(sizes), key=most, default=1.0)

    @property
    def _summed(self) -> float:
        """So many times the loss is what several weights of a step follow, and none the loss; or 1.

        A learning rate makes up for that: examples are summed where the loss is their mean.
        """
        near = [m for m in self.compared.judged if m.proportional(self.compared.tolerance)]
        if any(abs(m.factor - 1) < ROUNDING for m in near) or not self.reading.batched:
            return 1.0
        for one in near:
            alike = [m for m in near if abs(m.factor / one.factor - 1) < ROUNDING]
            enough = sum(int(np.prod(m.shape)) for m in alike) > 2
            if one.factor > 0 and enough and len(alike) > 1:
                return round(one.factor, 9)
        return 1.0

    def _named(self, factor: float) -> str:
        r = self.reading
        return losses.named(r.loss_name, factor, r.examples, r.outputs)

    @property
    def far(self) -> bool:
        """Whether a gradient is wrong by so much that no check will find it right."""
        return any(m.off > FAR for m in self.compared.judged)

    @property
    def score(self) -> tuple[float, ...]:
        """How much of the gradient is right: the larger the better."""
        c = self.compared
        right = sum(m.right(c.tolerance) for m in c.judged)
        # Of one output of one example all gradients have one factor, whatever is wrong.
        several = self.reading.batched or self.reading.outputs > 1
        near = sum(m.proportional(c.tolerance) for m in c.judged) if several else 0
        found = sum(bool(m.source) for m in c.matches)
        # Of as much that is right, what comes last shows the loss: nothing is sent back to it.
        last = bool(c.judged) and c.judged[-1].right(c.tolerance)
        return (right, near, found, self.reading.batched, self.reading.own, last)


def either_way(one: Found, other: Found) -> bool:
    """Whether two losses that are guessed each bear out what is wrong by the other.

    That one line is at fault is so by either, and it is another one.
    """
    a, b = ({m.name for m in f.compared.partly} for f in (one, other))
    guessed = not (one.reading.own or other.reading.own)
    return guessed and one.reading.how == other.reading.how and bool(a - b and b - a)


def compared_with(reading: Reading) -> Compared | None:
    """How a reading compares; None if it does not run, or not twice alike."""
    try:
        if reading.loss() != reading.loss():
            return None
        return compare(
            reading.parameters, reading.loss, reading.backward, reading.net, reading.data,
            reading.slopes,
        )  # fmt: skip
    except (Exception, SystemExit):
        return None
