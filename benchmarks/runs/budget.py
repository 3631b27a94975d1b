"""What a run will cost, and which cases are too long for it.

Where time is short there are fewer repetitions, then fewer processes. Rows are never dropped to
save time: a case that is predicted above the limit per process is a row with the status "skipped"
and the prediction as its reason, decided before anything runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.cases.presets import PROCESS_LIMIT_SECONDS
from samegrad.benchmarks.clock import timer

MOST_SECONDS = 3600.0  # of blocks, or of a warm-up: nobody asks for more
MOST_RUN_SECONDS = 1e9  # of a run
# To compile a case once a run: other processes load what the first has compiled. On a GPU XLA tries
# several kernels of each product, 3.5 s a function, which is no reason to leave a row out.
COMPILING_SECONDS = 20.0
LOADED = 0.2  # of a compilation's time is spent again where its result is on the disk
PREDICTED = "predicted"  # how the reason of a case begins that is skipped for want of time
CostModels = Mapping[tuple[str, str], "CostModel"]  # (implementation, device) -> its cost model


@dataclass(frozen=True)
class CostModel:
    """How fast one implementation is on one device, from a few small networks.

    Attributes:
        call_seconds: what a call costs before any arithmetic.
        first_seconds: what a first call costs more than a second (compilation).
        flops_per_second: on the largest network that was tried.
        start_seconds: of a process, until its first message.
        passes: forward passes that a gradient takes for each parameter, 0 if their number does
            not depend on it. Then the other figures are those of forward passes.
    """

    call_seconds: float
    first_seconds: float
    flops_per_second: float
    start_seconds: float
    passes: float = 0.0

    @classmethod
    def fit(cls, measured: Mapping[str, Any], start_seconds: float) -> "CostModel":
        """The model of what a worker process has measured.

        Args:
            measured: "networks" (flops, first_ns and warm_ns of growing networks) and "passes".
            start_seconds: of that process.
        """
        smallest, largest = measured["networks"][0], measured["networks"][-1]
        rate = largest["flops"] / largest["warm_ns"]
        longer = largest["warm_ns"] - smallest["warm_ns"]
        if longer > smallest["warm_ns"] / 4:  # else what a call costs by itself hides the rate
            rate = max(rate, (largest["flops"] - smallest["flops"]) / longer)
        return cls(
            call_seconds=max(0.0, smallest["warm_ns"] - smallest["flops"] / rate) / 1e9,
            first_seconds=max(0.0, largest["first_ns"] - largest["warm_ns"]) / 1e9,
            flops_per_second=rate * 1e9,
            start_seconds=start_seconds,
            passes=measured["passes"],
        )

    def call(self, case: Case, operation: str | None = None) -> float:
        """Predicted seconds of one call of a case, or of another operation on its batch."""
        workload, steps = case.workload, case.calls_per_epoch if operation is None else 1
        operation = operation or case.operation
        if self.passes:
            one = self.call_seconds + workload.flops("forward") / self.flops_per_second
            passes = 1 if operation == "forward" else 1 + self.passes * workload.size
            return steps * passes * one
        return steps * self.call_seconds + workload.flops(operation) / self.flops_per_second

    def gate(self, case: Case) -> float:
        """Predicted seconds of the gate's first calls."""
        return sum(self.call(case, operation) + self.first_seconds for operation in case.gated)

    def gate_and_blocks(self, case: Case) -> float:
        """Predicted seconds of a case in one process with its gate and three blocks."""
        return self.gate(case) + 3 * max(self.call(case), timer.block_ns(case.device) / 1e9)

    def case(self, case: Case, block_seconds: float) -> float:
        """Predicted seconds of a case in a process that measures nothing else."""
        return self.gate(case) + timing_seconds(self.call(case), block_seconds, case.device)


def timing_seconds(call_seconds: float, block_seconds: float, device: str = "cpu") -> float:
    """Predicted seconds of calibration and blocks of a case in one process."""
    shortest = timer.block_ns(device) / 1e9
    block = max(shortest, call_seconds)
    if call_seconds > timer.LONG * shortest:
        return max(block, block_seconds)
    return 5 * block + max(3 * block, block_seconds)  # calibration, and two first repetitions


@dataclass(frozen=True)
class RunSettings:
    """How a run is carried out.

    Attributes:
        seconds: time limit of the whole run; None for none.
        block_seconds: time for the blocks of a case in a process, at most.
        warm_up_seconds: at the start of each process; twice that on a GPU.
        memory: whether the peak memory of training steps is measured, too.
        ceilings: whether what the machine can do is measured, too.
        short_call_seconds: a case whose call takes longer may be repeated only once per process,
            others three times at least, as far as the time allows.
        proofs: whether what timed blocks have given is judged.
    """

    seconds: float | None
    block_seconds: float
    warm_up_seconds: float = 0.5
    memory: bool = False
    ceilings: bool = True
    short_call_seconds: float = 0.05
    proofs: bool = True

    def __post_init__(self) -> None:
        """Raise ValueError for what a journal may say and no run has."""
        numbers = {name: value for name, value in vars(self).items() if name.endswith("seconds")}
        for name, value in numbers.items():
            none = value is None and name == "seconds"
            most = MOST_RUN_SECONDS if name == "seconds" else MOST_SECONDS
            real = isinstance(value, int | float) and not isinstance(value, bool)
            if not none and not (real and 0 <= value <= most):
                raise ValueError(f"{name} {value!r:.60} is not accepted; give seconds")
        for name in ("memory", "ceilings"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} {getattr(self, name)!r:.60} is neither true nor false")


@dataclass
class Budget:
    """What runs, and how long it is expected to take.

    Attributes:
        cases: all rows, in the order of the report.
        excluded: case id -> (status, reason) of the rows that do not run.
        processes: fresh processes per implementation and device.
        seconds: predicted for everything that runs.
        intervals: whether there are enough processes for the interval of a row.
    """

    cases: list[Case]
    excluded: dict[str, tuple[str, str]] = field(default_factory=dict)
    processes: int = 1
    seconds: float = 0.0
    intervals: bool = True

    @property
    def running(self) -> list[Case]:
        """The cases that are not excluded."""
        return [case for case in self.cases if case.id not in self.excluded]


def process_seconds(
    cases: Iterable[Case], models: CostModels, block_seconds: float, compiling: float = 1.0
) -> float:
    """Predicted seconds of one process of each worker, one after another.

    Args:
        cases, models, block_seconds: as of `make`.
        compiling: of a compilation's time, how much is spent: LOADED once its result is there.
    """
    total, gated, started = 0.0, set(), set()
    for case in cases:
        worker = case.worker
        model = models[case.implementation, case.device]
        if worker not in started:
            started.add(worker)
            total += model.start_seconds
        total += timing_seconds(model.call(case), block_seconds, case.device)
        for operation in case.gated:  # a workload is gated once per process
            if (worker, case.workload, operation) not in gated:
                gated.add((worker, case.workload, operation))
                total += model.call(case, operation) + compiling * model.first_seconds
    return total


def compiling(worker: WorkerSpec, cases: Iterable[Case], models: CostModels) -> float:
    """Predicted seconds for which a worker compiles its cases for a GPU, the first time."""
    if worker.device == "cpu":
        return 0.0
    gated = {
        (case.workload, name) for case in cases if case.worker == worker for name in case.gated
    }
    return sum(models[worker[:2]].first_seconds for _ in gated)


def too_long(case: Case, model: CostModel, limit: float) -> str:
    """Why a case is skipped that may take so many seconds in a process, or ""."""
    predicted = model.gate_and_blocks(case)
    if predicted - min(COMPILING_SECONDS, len(case.gated) * model.first_seconds) <= limit:
        return ""
    return f"{PREDICTED} {predicted:.0f} s a process (limit {limit:.0f} s)"


def make(
    cases: Sequence[Case],
    models: CostModels,
    excluded: Mapping[str, tuple[str, str]],
    processes: int,
    seconds: float,
    block_seconds: float,
    case_seconds: float = PROCESS_LIMIT_SECONDS,
) -> Budget:
    """The budget of some cases; those predicted above `case_seconds` are excluded as skipped."""
    made = Budget(list(cases), dict(excluded))
    for case in made.running:
        if reason := too_long(case, models[case.implementation, case.device], case_seconds):
            made.excluded[case.id] = ("skipped", reason)
    # The number of processes is kept until the first of them show that the others do not fit.
    made.processes = processes
    least, most = (
        process_seconds(made.running, models, blocks)
        + (processes - 1) * process_seconds(made.running, models, blocks, LOADED)
        for blocks in (0.0, block_seconds)
    )
    made.seconds = max(least, min(most, seconds))  # what is left of it is for more repetitions
    return made
