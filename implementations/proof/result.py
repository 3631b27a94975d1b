"""What running over exact numbers shows, and what it proves.

In each region (one outcome of all comparisons, as of z > 0) the difference of a gradient and the
derivative of its loss is a rational function, whose numerator has at most degree d, as counted
while the code runs. If it isn't zero everywhere, it is zero at a point drawn from S^n with a chance
of at most d/|S| (Schwartz 1980, Journal of the ACM 27(4), lemma 1; Zippel 1979, EUROSAM).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import mpmath

from samegrad.implementations.proof.exactness import DIGITS
from samegrad.implementations.proof.number import Number

VERDICTS = ("proved", "enclosed", "disagrees", "not proved")
SET_BITS = 32  # |S| = 2^32: k / 2^30 for whole k, so from -2 to 2


@dataclass(frozen=True)
class Proof:
    """What running over exact numbers shows.

    Attributes:
        verdict: "proved", all entries are equal by ==; "enclosed", they agree to `digits` digits;
            "disagrees", one differs; "not proved", it could not be run exactly, or differs by no
            more than constants are rounded.
        reason: why not, in one line, with FILE:LINE where there is one; empty where it is proved.
        entries: how many entries of the gradient were compared at each point.
        points: at how many random points.
        regions: how many different outcomes of all comparisons these had.
        degree: the largest bound of a difference's degree; None if it is not rational.
        digits: to which the enclosures agree at least; None of a proof.
        read: constants that were read as the fractions that they round, such as "0.333... as 1/3".
        share: the largest difference, of the largest entry of its array.
        given: the entries at the point at which one differs, by name.
    """

    verdict: str
    reason: str = ""
    entries: int = 0
    points: int = 0
    regions: int = 0
    degree: int | None = None
    digits: int | None = None
    read: tuple[str, ...] = ()
    share: float = 0.0
    given: Mapping[str, Number] = field(default_factory=dict, repr=False)

    @property
    def meaning(self) -> str:
        """What this says, in a sentence."""
        read = f"; constants are read as what they round: {', '.join(self.read)}" * bool(self.read)
        where = f"{self.entries} entries at {self.points} random points"
        if self.verdict == "proved":
            return (
                f"{where} in {self.regions} regions equal the derivative of the file's own loss, "
                f"by ==. A formula of degree {self.degree} that is wrong in a region passes a "
                f"point there with a chance of at most {(self.degree or 0) / 2**SET_BITS:.1g} "
                "(Schwartz 1980, Zippel 1979); a region without a point is not covered" + read
            )
        if self.verdict == "enclosed":
            return (
                f"{where} agree with the derivative of the file's own loss to {self.digits} "
                f"digits, enclosed by intervals: no proof by =={read}"
            )
        return self.reason

    def __str__(self) -> str:
        return f"{self.verdict.upper()}: {self.meaning}"

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        kept = {key: value for key, value in vars(self).items() if key != "given"}
        return {**kept, "read": list(self.read), "meaning": self.meaning}


def shown(value: Any) -> str:
    """A fraction if it is short, else 25 digits."""
    if isinstance(value, Fraction):
        text = str(value)
        if len(text) <= 25:
            return text
        with mpmath.workdps(DIGITS):
            return str(mpmath.nstr(mpmath.mpf(value.numerator) / value.denominator, 25))
    with mpmath.workdps(DIGITS):
        return str(mpmath.nstr(mpmath.mpf(value.mid), 25))
