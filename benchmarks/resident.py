"""A worker process as the parent sees it."""

from dataclasses import dataclass, field

from benchmarks import environment
from benchmarks.cases import Case, Worker
from implementations.isolation import Child


@dataclass
class Resident:
    """A process that stays between its turns.

    Attributes:
        setup: what it is a process of.
        process: its number among these.
        cases: what it has gated.
        child: the process itself.
        waiting: cases of the present turn that are not done.
        current: at which of them it is.
    """

    setup: Worker
    process: int
    cases: list[Case]
    child: Child
    waiting: list[Case] = field(default_factory=list)
    current: Case | None = None

    def memory(self) -> int | None:
        """Bytes of the machine's memory that it takes; None where the system does not say."""
        return environment.resident_memory(self.child.process.pid)
