"""What is timed: an operation on a workload by an implementation, and the process that runs it.

A record holds a case as `Case.to_dict` gives it, which is the only form that a case has outside of
a process.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from samegrad.benchmarks.cases.workload import COST, MOST, TRAINING, MLPWorkload, Workload
from samegrad.implementations.contract.spec import MLPSpec

TRANSFERS = ("resident", "end_to_end", "end_to_end_pinned")
# Contracts of arithmetic: the last two are float32 networks with products of fewer digits. Rows of
# different contracts are never compared.
ARITHMETIC = ("float64", "float32", "tf32", "bfloat16")
ALL_THREADS = "all"
FEW_EXAMPLES = 32  # of a forward pass that is a request, which somebody waits for
TEXTS = ("operation", "implementation", "device", "transfer", "threads", "precision")


class WorkerSpec(NamedTuple):
    """What one process is set up for before it starts: the cases that it can time.

    Attributes:
        threads: "all" cores, or a number of threads.
        precision: "ieee", or "tf32" or "bfloat16" for the products of float32 networks.
        ranks: processes that compute one case together.
    """

    implementation: str
    device: str = "cpu"
    threads: str = ALL_THREADS
    precision: str = "ieee"
    ranks: int = 1


def case_id(
    workload: str, operation: str, batch_size: int, arithmetic: str, implementation: str,
    device: str, threads: str, ranks: int | None, transfer: str,
) -> str:  # fmt: skip
    """What a case is called, from what is said of it."""
    name = f"{workload}-{operation}-batch{batch_size}-{arithmetic}-{implementation}-{device}"
    if threads != ALL_THREADS:
        name += f"-{threads}_threads" if threads != "1" else "-1_thread"
    if ranks is not None and ranks > 1:
        name += f"-{ranks}_ranks"
    return name if transfer == "resident" else f"{name}-{transfer}"


@dataclass(frozen=True)
class Case:
    """One row of the report: an operation on a workload by an implementation on a device.

    Attributes:
        transfer: "resident" (the batch is on the device), "end_to_end" (each batch comes from the
            host's memory and each loss goes back) or "end_to_end_pinned" (the same, from pinned
            memory, and no call waits for its batch).
        threads, precision, ranks: see `WorkerSpec`.
    """

    workload: Workload
    operation: str
    implementation: str
    device: str = "cpu"
    transfer: str = "resident"
    threads: str = ALL_THREADS
    precision: str = "ieee"
    ranks: int = 1

    @cached_property
    def id(self) -> str:
        """Unique within a run; the name of the pytest item."""
        workload = self.workload
        about = workload.name, self.operation, workload.batch_size, self.arithmetic
        worker = self.implementation, self.device, self.threads, self.ranks
        return case_id(*about, *worker, self.transfer)

    @property
    def worker(self) -> WorkerSpec:
        """The process that can time it."""
        return WorkerSpec(
            self.implementation, self.device, self.threads, self.precision, self.ranks
        )

    @property
    def spec(self) -> MLPSpec:
        """The network of a case whose workload has one."""
        assert isinstance(self.workload, MLPWorkload)
        return self.workload.spec

    @property
    def arithmetic(self) -> str:
        """One of ARITHMETIC."""
        return self.workload.dtype if self.precision == "ieee" else self.precision

    @property
    def gated(self) -> tuple[str, ...]:
        """What must agree with the reference before this is timed, the timed operation last."""
        return self.workload.gated(self.operation)

    @property
    def group(self) -> str:
        """Which rows are shown beside it."""
        workload = self.workload
        if workload.series is not None and workload.series.name == COST:
            return f"cost of differentiation, {workload.series.value} parameters"
        names = [workload.name, self.operation, f"batch {workload.batch_size}"]
        names += [f"threads {self.threads}"] * (self.threads != ALL_THREADS)
        names += [f"ranks {self.ranks}"] * (self.ranks > 1)
        return " ".join([*names, self.arithmetic])

    @property
    def calls_per_epoch(self) -> int:
        """Steps that one call of the operation makes: 1, or those of an epoch."""
        return self.workload.calls(self.operation)

    @property
    def examples(self) -> int:
        """Examples that one call of the operation takes."""
        whole = self.operation in ("epoch", TRAINING)
        return self.workload.examples if whole else self.workload.batch_size

    @cached_property
    def flops(self) -> int:
        """Floating-point operations of one call; of a network, those of its matrix products."""
        return self.workload.flops(self.operation)

    @cached_property
    def bytes(self) -> int:
        """Bytes that one call must move between memory and processor at least."""
        return self.workload.bytes(self.operation)

    @property
    def least_bytes(self) -> tuple[int, int] | None:
        """(Distinct bytes of a step, bytes that all steps of a call move) at least, if known."""
        of_step = self.workload.least_bytes(self.operation)
        return of_step and (of_step[0], of_step[1] * self.calls_per_epoch)

    def larger_than(self, other: "Case") -> bool:
        """Whether it is the same thing in a larger size: batch size, or place in a series."""
        workload, smaller = self.workload, other.workload
        series, its_series = (w.series.name if w.series else None for w in (workload, smaller))
        return (
            (self.operation, self.worker, self.transfer, workload.dtype)
            == (other.operation, other.worker, other.transfer, smaller.dtype)
            and (workload.name == smaller.name or (series is not None and series == its_series))
            and workload.batch_size >= smaller.batch_size
            and workload.size >= smaller.size
            and self.flops > other.flops
        )

    def to_dict(self) -> dict[str, Any]:
        """The case as plain data: in every record and request the same."""
        fields = {name: getattr(self, name) for name in TEXTS}
        ranks = {"ranks": self.ranks} if self.ranks != 1 else {}
        return {"workload": self.workload.to_dict(), **fields, **ranks}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Case":
        """The case that `to_dict` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is no case.
        """
        case = cls(**{**data, "workload": Workload.from_dict(data["workload"])})
        if not all(isinstance(getattr(case, name), str) for name in TEXTS):
            raise ValueError("a case's names must be texts")
        if type(case.ranks) is not int or not 1 <= case.ranks < MOST:
            raise ValueError(f"a case's ranks must be from 1 to {MOST:g}")
        known = case.operation in case.workload.operations
        if not known or case.arithmetic not in ARITHMETIC:
            raise ValueError(f"operation {case.operation!r} in {case.arithmetic!r} is not known")
        return case


def smallest_first(cases: Iterable[Case]) -> list[Case]:
    """The order of gates: the same in each process, the cases of a workload together.

    What is freed leaves gaps, into which what comes later is put. In random orders processes of
    looped Python differed by 8 % for as long as they lived, and 5 of 23 intervals were within 3 %;
    smallest first 15 were, largest first 19. Smallest first, because a size that takes too long
    spares the larger ones. Repetitions come in random orders.
    """
    return sorted(
        cases, key=lambda c: (c.workload.size * c.workload.batch_size, c.workload.id, c.id)
    )


def smallest_workload(cases: Sequence[Case]) -> list[Case]:
    """The cases of the workload that is gated first, in each of its dtypes; in their order."""
    about = [(case.workload.name, case.workload.batch_size) for case in cases]
    least = about[cases.index(smallest_first(cases)[0])] if cases else None
    return [case for case, one in zip(cases, about, strict=True) if one == least]
