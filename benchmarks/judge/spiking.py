"""What must come out of populations of spiking neurons: spike trains, bit by bit.

`cases.spiking` says why nothing is left to rounding. The reference takes neither a product nor a
matrix: it adds the rows of W of those neurons that have fired, and counts refractory time down.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.draws import Draw
from samegrad.benchmarks.cases.spiking import CHUNKS, Population, State, population, start
from samegrad.benchmarks.cases.workload import SpikingWorkload, Workload
from samegrad.benchmarks.judge.kind import Kind, Message, our_files
from samegrad.implementations.checking.comparison import Comparison, compare
from samegrad.implementations.contract.spec import Tree
from samegrad.implementations.contract.spiking import LIFSpec

Array = Any


class Populations(Kind):
    """Populations with their currents."""

    @staticmethod
    def prepare(workload: SpikingWorkload, seed: int) -> tuple[Population, Mapping[str, Tree]]:
        """What must come out follows from the state that is drawn: nothing is kept."""
        return population(workload, seed), {}

    def first(self, call: Message, results: Any) -> Comparison:
        """What came out of a first call."""
        return self._compared(Workload.from_dict(call["workload"]), Draw(), [0], results)

    def block(self, block: Message, results: Mapping[str, Any]) -> Comparison:
        """What came out of a block."""
        workload = Case.from_dict(block["case"]).workload
        draw = replace(Draw(*block["seeds"]), block=int(block["about"]["block"]))
        return self._compared(workload, draw, draw.batches(block["calls"], CHUNKS), results)

    def _compared(
        self, workload: Workload, draw: Draw, order: list[int], results: Any
    ) -> Comparison:
        assert isinstance(workload, SpikingWorkload)
        with our_files():
            given = Population(**inputs.load_fields(self.directory, workload))
        J = np.concatenate([given.J[i] for i in order])
        right = expected(workload.spec, given.W, start(workload.spec, draw), J)
        checks = [
            compare(right[name], results.get(name), workload.dtype, name=name) for name in right
        ]
        return Comparison(tuple(check for each in checks for check in each.tensors))


def expected(spec: LIFSpec, W: Array, state: State, J: Array) -> dict[str, Array]:
    """Spikes (steps, neurons) and the last state, by the names that a worker gives them."""
    v, s, left = (np.array(array) for array in state)
    spikes = np.zeros_like(J)
    for t, J_t in enumerate(J):
        free = left == 0
        drive = J_t + s
        v[free] += spec.leak * (drive - v)[free]
        v[~free] = 0
        left[~free] -= 1
        fired = np.flatnonzero(v >= 1)
        v[fired], left[fired], spikes[t, fired] = 0, spec.refractory, 1
        s -= spec.decay * s
        s += W[fired].sum(axis=0)
    return {"spikes": spikes, "v": v, "s": s, "refractory": left}
