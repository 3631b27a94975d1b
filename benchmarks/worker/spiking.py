"""A population of spiking neurons in a worker process."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.draws import Draw
from samegrad.benchmarks.cases.spiking import CHUNKS, Population, start
from samegrad.benchmarks.cases.workload import SpikingWorkload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker import arrays
from samegrad.benchmarks.worker.compilers import compilations
from samegrad.benchmarks.worker.subject import Draws, Seen, Subject
from samegrad.implementations.contract import spiking
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import Params, Tree

NAMES = ("v", "s", "refractory")  # then the spikes of each call


class Spiking(Subject):
    """A population; a block is a chain of calls, from a state that is drawn."""

    def __init__(
        self,
        workload: SpikingWorkload,
        implementation: Implementation,
        device: str,
        directory: Path,
    ) -> None:
        """Read and place it.

        Raises:
            NotImplementedError: the implementation has no spiking neurons.
        """
        super().__init__(implementation)
        self.simulate = spiking.load("lif", implementation.name).simulate
        self.spec, self.device = workload.spec, device
        given = Population(**inputs.load_fields(directory, workload))
        place = partial(implementation.backend.place, device=device)
        self.place, self.W, self.J = place, place(given.W), [place(J) for J in given.J]

    def results(self, operation: str) -> Tree:
        """State and spikes of the first call."""
        begun = self._start(Draw())
        self.implementation.synchronize((self.W, self.J, begun))
        state, spikes = self.first(
            operation, lambda: self.simulate(self.spec, self.W, begun, self.J[0])
        )
        return self.named(operation, self.implementation.to_numpy((*state, spikes)), [])

    def work(self, _: str, transfer: str, draw: Draw) -> timer.Work:
        """A chain of calls; end to end, currents come from the host and spikes go back."""
        implementation, draws = self.implementation, Draws(draw)
        spec, W, simulate, there = self.spec, self.W, self.simulate, transfer == "end_to_end"
        J = [np.asarray(implementation.to_numpy(each)) for each in self.J] if there else self.J

        def run(_: int, begun: Tree) -> Tree:
            state, chunks = begun
            shown = []
            for chunk in chunks:
                state, spikes = simulate(spec, W, state, self.place(chunk) if there else chunk)
                shown.append(implementation.to_numpy(spikes) if there else spikes)
            return (*state, *shown)

        def begin(calls: int) -> Tree:
            now = draws.next()
            return self._start(now), [J[i] for i in now.batches(calls, CHUNKS)]

        def fetch(result: Tree) -> Seen:
            return Seen(0, draws.now.block, result, [], arrays.seen(result))

        return timer.Work(
            start=begin,
            run=run,
            synchronize=implementation.synchronize,
            fetch=fetch,
            copies=arrays.copies,
            events=implementation.capabilities.events(self.device),
            compilations=partial(compilations, implementation),
        )

    def named(self, _: str, results: Tree, __: list[Params]) -> Mapping[str, Tree]:
        """The last state, and all spikes."""
        named = dict(zip(NAMES, results, strict=False))
        return named | {"spikes": np.concatenate(results[len(NAMES) :])}

    def _start(self, draw: Draw) -> Tree:
        return tuple(self.place(array) for array in start(self.spec, draw))
