"""A worker process as the parent sees it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.machine import counters
from samegrad.implementations.checking.processes import Child, Exit
from samegrad.implementations.contract import registry


@dataclass(eq=False)
class Resident:
    """A process that stays between its turns.

    Attributes:
        setup: what it is a process of.
        process: its number among these.
        cases: what it has gated.
        child: the process itself.
        waiting: cases of the present turn that are not done.
        current: at which of them it is.
        word: what its next turn begins with, besides visits.
        replaces: how many that have died it takes the place of.
    """

    setup: WorkerSpec
    process: int
    cases: list[Case]
    child: Child
    waiting: list[Case] = field(default_factory=list)
    current: Case | None = None
    word: dict[str, Any] = field(default_factory=dict)
    replaces: int = 0

    def request(self, name: str, scratch: Path, warm_up_seconds: float) -> dict[str, Any]:
        """What it is asked first (see `worker.measure`).

        Args:
            name: of its implementation, or the file.
            scratch: where the inputs are.
            warm_up_seconds: on a CPU; twice that on a GPU.
        """
        return {
            "role": "measure",
            **self.setup._asdict(),
            "implementation": registry.absolute(name),
            "cases": [case.to_dict() for case in self.cases],
            "process": self.process,
            "with_memory": self.setup.device == "cpu",
            "directory": str(scratch),
            "warm_up_seconds": warm_up_seconds * (1 if self.setup.device == "cpu" else 2),
        }

    def memory(self) -> int | None:
        """Bytes of the machine's memory that it takes; None where the system does not say."""
        return counters.resident_memory(self.child.process.pid)


def stopped_short(ended: Exit) -> dict[str, Any]:
    """What is written of a case whose process ended before it was done."""
    status = "crashed" if ended.kind == "ok" else ended.kind
    return {"status": status, "reason": ended.reason or "it ended before its work was done"}
