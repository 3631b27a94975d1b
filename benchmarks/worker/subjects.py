"""What a worker process makes of each kind of workload."""

from pathlib import Path

from samegrad.benchmarks.cases.workload import MLPWorkload, SpikingWorkload, Workload
from samegrad.benchmarks.worker.gates import Gates
from samegrad.benchmarks.worker.ranked import Leading
from samegrad.benchmarks.worker.spiking import Spiking
from samegrad.benchmarks.worker.subject import Subject
from samegrad.implementations.contract import ranks
from samegrad.implementations.contract.adapter import Implementation


def read(
    workload: Workload, implementation: Implementation, device: str, directory: Path, ours: bool
) -> Subject:
    """A workload whose inputs are read from the judge's directory and placed.

    Args:
        ours: whether it is a registered implementation.

    Raises:
        NotImplementedError: the implementation has nothing of this kind.
    """
    if isinstance(workload, SpikingWorkload):
        return Spiking(workload, implementation, device, directory)
    assert isinstance(workload, MLPWorkload)
    kind = Gates if ranks.size() == 1 else Leading
    return kind.read(workload, implementation, device, directory, ours)
