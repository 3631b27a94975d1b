"""A workload in a worker process: its inputs, on the device and beside it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import MLPWorkload
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import Array, Params, Tree

Batch = tuple[Array, Array]


class Placed:
    """A workload with its batches on the device of one implementation.

    Attributes:
        workload, implementation, device: what is where.
        inputs: as read from the file.
        host, batches: batches in the host's memory, and on the device.
        rest: the smaller last batch of an epoch, in the host's memory.
    """

    def __init__(
        self, workload: MLPWorkload, implementation: Implementation, device: str, directory: Path
    ) -> None:
        """Read the inputs and place the batches.

        Args:
            directory: where the judge has left the inputs.
        """
        self.workload, self.implementation, self.device = workload, implementation, device
        self.spec = workload.spec
        self.inputs = inputs.load(directory, workload)
        size, (X, y) = workload.batch_size, (self.inputs.X, self.inputs.y)
        whole = len(X) // size
        self.host: list[Batch] = [
            (X[i * size : (i + 1) * size], y[i * size : (i + 1) * size]) for i in range(whole)
        ]
        rest = workload.examples % size
        start = whole * size if len(X) == workload.examples else 0
        self.rest: Batch = X[start : start + rest], y[start : start + rest]
        self.batches = [self.place(*batch) for batch in self.host]

    def place(self, X: Any, y: Any) -> Batch:
        """A batch on the device."""
        return self.implementation.batch_from_numpy(self.spec, X, y, self.device)

    def start(self, with_state: bool = True, params: Params | None = None) -> tuple[Tree, Tree]:
        """Params on the device and the optimiser's state, the initial ones or others.

        A file without an update rule has no state, and needs none where it is not asked for.
        """
        tree = self.inputs.params if params is None else params
        placed = self.implementation.params_from_numpy(self.spec, tree, self.device)
        return placed, self.implementation.init_state(self.spec, placed) if with_state else None

    def forget_expected(self) -> None:
        """Free the reference's results: all gates of the workload are done."""
        self.inputs = replace(self.inputs, expected=None)
