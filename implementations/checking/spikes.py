"""Whether spike trains are right where sums are rounded: right, wrong, or undecided.

A threshold that v meets within rounding may be passed by one right implementation and missed by
another. So the trains are followed: each spike must be what N2 and N3 say of the spikes before it,
and where v is nearer to 1 than rounding explains, either answer is accepted and counted.

What rounding explains is carried along, for v and for s: by how much two implementations may
differ. Each rounds a result x by up to |x| eps/2, so they part by |x| eps, and N2 and N4 say what
becomes of it, with a = dt/tau_m, b = dt/tau_s and K spikes in a step:

    v' = v + a ((J + s) - v)
    D v' = |1 - a| D v + a D s + eps (a |J + s| + 2 a |J + s - v| + |v'|)
    s' = s - b s + the K rows of W
    D s' = |1 - b| D s + eps (b |s| + |s - b s| + |s'| + (K - 1) sum |W|)

A sum of K numbers takes K - 1 roundings in any order, of up to the sum of their sizes each; a fused
multiply-add leaves one out. A spike sets v to 0, and D v with it. Products of two roundings are
left out, and a hundredth more is taken for them.
"""

from dataclasses import dataclass

import numpy as np

from samegrad.implementations.contract.spiking import LIFSpec

Array = np.ndarray
SECOND_ORDER = 1.01


@dataclass(frozen=True)
class Trains:
    """What was found.

    Attributes:
        wrong: (step, neuron) of the first spike that is missing or too much.
        undecided: (step, neuron) of those that rounding may give or take.
        nearest: the least distance of a v from the threshold, in units of what rounding explains.
        by_v, by_s: by how much rounding explains that v and s of two implementations differ, after
            the last step that was looked at.
    """

    wrong: tuple[int, int] | None
    undecided: tuple[tuple[int, int], ...]
    nearest: float
    by_v: Array
    by_s: Array


def judge(
    spec: LIFSpec, W: Array, state: tuple[Array, Array, Array], J: Array, spikes: Array
) -> Trains:
    """Compare spikes (steps, neurons), as `simulate` shows them, with the equations.

    Args:
        spec, W, state, J: as `simulate` was given them; v, s and W in the dtype it computed in.

    Raises:
        ValueError: spikes are not of J's shape, or hold anything but 0 and 1.
    """
    if spikes.shape != J.shape or not np.isin(spikes, (0, 1)).all():
        raise ValueError(f"spikes must be 0 or 1, of shape {J.shape}; given: {spikes.shape}")
    eps = SECOND_ORDER * float(np.finfo(W.dtype).eps)
    a, b = W.dtype.type(spec.leak), W.dtype.type(spec.decay)
    v, s, wait = (np.array(part) for part in state)
    by_v, by_s = np.zeros_like(v), np.zeros_like(s)
    undecided, nearest = list[tuple[int, int]](), np.inf
    for t, (J_t, fired) in enumerate(zip(J, spikes == 1, strict=True)):
        free, drive = wait == 0, J_t + s
        up = drive - v
        new = v + a * up
        rounded = eps * (a * np.abs(drive) + 2 * a * np.abs(up) + np.abs(new))
        by_v = np.where(free, np.abs(1 - a) * by_v + a * by_s + rounded, 0)
        near = free & (np.abs(new - 1) <= by_v)
        wrong = np.flatnonzero(~near & (fired != (free & (new >= 1))))
        if len(wrong):
            return Trains((t, int(wrong[0])), tuple(undecided), float(nearest), by_v, by_s)
        if free.any():
            nearest = min(nearest, (np.abs(new - 1)[free] / by_v[free]).min())
        undecided += [(t, int(i)) for i in np.flatnonzero(near)]
        quiet, rows = ~fired & free, W[fired]
        v, by_v = np.where(quiet, new, 0), np.where(quiet, by_v, 0)
        wait = np.where(fired, spec.refractory, np.maximum(wait - 1, 0))
        left = s - b * s
        after = left + rows.sum(axis=0)
        sums = max(len(rows) - 1, 0) * np.abs(rows).sum(axis=0)
        rounded = eps * (b * np.abs(s) + np.abs(left) + np.abs(after) + sums)
        s, by_s = after, np.abs(1 - b) * by_s + rounded
    return Trains(None, tuple(undecided), float(nearest), by_v, by_s)
