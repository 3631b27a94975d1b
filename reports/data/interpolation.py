"""The time of a call between measured ones: a sum of what it must do, fitted to them.

Amdahl's and the roofline's parts: c0 + c1 layers + c2 operations + c3 bytes, each c >= 0, by the
least squares of relative errors. How far it may be off is shown by leaving out one network after
the other and predicting it. Of hundreds of fits at once (an archive's machines), none is in Python.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

LEAST_NETWORKS = 6  # that a fit takes; it has four unknowns
BEYOND = 1.25  # times the largest, or below the smallest, is no longer between
WORST = 0.9  # share of left-out networks within the stated factor
UNKNOWNS = 4
# Every choice of the coefficients that are not 0.
CHOICES = np.array([some for some in product((False, True), repeat=UNKNOWNS) if any(some)])
RIDGE = 1e-12  # of a Gram matrix with a diagonal of 1: parts in proportion are no singular case


@dataclass(frozen=True)
class Networks:
    """Measured calls of an implementation, those of the newest run last.

    Attributes:
        keys: (run, layers, batch size) of each.
        parts: what the time of each is a sum of, (networks, 4).
        seconds: of each, (networks,).
        medians: its processes' values.
    """

    keys: Sequence[tuple[str, str, int]]
    parts: Any
    seconds: Any
    medians: Sequence[Any]

    @classmethod
    def by_implementation(cls, rows: Sequence[Any]) -> "dict[str, Networks]":
        """Those of each, of rows with `source`, `started`, sizes, `flops`, `bytes` and times."""
        found: dict[str, list[Any]] = {}
        for row in sorted(rows, key=lambda row: row.started):
            found.setdefault(row.implementation, []).append(row)
        return {name: cls.of(its) for name, its in found.items()}

    @classmethod
    def of(cls, rows: Sequence[Any]) -> "Networks":
        """Those of one."""
        keys = [(row.source, row.layers, row.batch_size) for row in rows]
        parts = [(1, row.layers.count("-"), row.flops, row.bytes) for row in rows]
        seconds = np.array([row.seconds for row in rows], float)
        return cls(keys, np.array(parts, float), seconds, [row.process_medians for row in rows])

    def __len__(self) -> int:
        """How many."""
        return len(self.keys)

    def at(self, places: Sequence[int]) -> "Networks":
        """Some of them."""
        keys, medians = [self.keys[i] for i in places], [self.medians[i] for i in places]
        return Networks(keys, self.parts[list(places)], self.seconds[list(places)], medians)

    def newest(self) -> "Networks":
        """Each network once, by its newest run."""
        return self.at(list({key[1:]: place for place, key in enumerate(self.keys)}.values()))

    def around(self, asked: Any) -> bool:
        """Whether a network with such parts lies between enough of these.

        Depth is hardly ever varied, and not asked.
        """
        if len(self) < LEAST_NETWORKS:
            return False
        sizes, size = self.parts[:, 2:], asked[2:]
        low, high = sizes.min(axis=0) / BEYOND, sizes.max(axis=0) * BEYOND
        return not ((size < low).any() or (size > high).any())


def paired(own: Networks, other: Networks) -> tuple[Networks, Networks]:
    """The networks of both in the run that has most of both, in one order."""
    first, second = (
        {key: place for place, key in reversed(list(enumerate(one.keys)))} for one in (own, other)
    )
    both = [key for key in first if key in second]
    counts = Counter(run for run, *_ in both)
    run = min(counts, key=lambda name: (-counts[name], name), default=None)
    both = [key for key in both if key[0] == run]
    return own.at([first[key] for key in both]), other.at([second[key] for key in both])


def predicted(known: Networks, asked: Any) -> tuple[float, Any]:
    """(seconds of a call with such parts, errors).

    An error is the log of predicted over measured time of a network, by a fit to the others.
    """
    fits = _fits(known)
    times = (known.parts * fits[1:]).sum(axis=1) / known.seconds
    errors = [math.log(one) if one > 0 else math.inf for one in times.tolist()]
    return float(asked @ fits[0]), np.array(errors)


def spread(errors: Any) -> float:
    """The factor within which nine tenths of the errors are."""
    return math.exp(float(np.quantile(np.abs(errors), WORST, method="higher")))


def _fits(known: Networks) -> Any:
    """Coefficients, none below 0: of a fit to all, and of one without each, (networks + 1, 4).

    The least squares under such a condition are those of the coefficients that are not 0 without
    it. There are 15 choices of these: all are solved, and of those that keep the condition the
    best one is it. With R the parts over the seconds, x R'R x - 2 x R'1 is to be least; where the
    gradient is 0 it is -x R'1.
    """
    count = len(known)
    relative = known.parts / known.seconds[:, None]
    taken = np.vstack([np.ones(count), 1 - np.eye(count)])
    right = taken @ relative
    gram = np.einsum("fn,ni,nj->fij", taken, relative, relative)
    scale = np.sqrt(np.einsum("fii->fi", gram))
    right, gram = right / scale, gram / scale[:, :, None] / scale[:, None, :]
    gram += RIDGE * np.eye(UNKNOWNS)
    both = CHOICES[:, :, None] & CHOICES[:, None, :]
    sides = np.where(CHOICES, right[:, None, :], 0)
    solved = np.linalg.solve(np.where(both, gram[:, None], np.eye(UNKNOWNS)), sides[..., None])
    solved = solved[..., 0]
    gains = np.where((solved >= 0).all(axis=-1), (solved * sides).sum(axis=-1), -np.inf)
    return solved[np.arange(count + 1), gains.argmax(axis=1)] / scale
