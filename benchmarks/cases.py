"""What is timed: networks, batches and operations, and the presets that list them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from implementations.interface import MLPSpec

OPERATIONS = ("forward", "loss_and_grad", "train_step", "epoch")
STEP = ("loss_and_grad", "train_step")
TRANSFERS = ("resident", "end_to_end")


@dataclass(frozen=True)
class Workload:
    """A network and the data that it is fed.

    Attributes:
        name: short, for tables and for `-k`.
        spec: the network, in float32.
        examples: how many examples one epoch visits.
        source: where the inputs come from; "standard normal" ones have only the task's shape.
    """

    name: str
    spec: MLPSpec
    examples: int
    source: str = "standard normal inputs, random labels, in the shape of the task"


COST = "cost"  # of differentiation: these workloads' names go on with the number of parameters
DIGITS = Workload("digits", MLPSpec((64, 32, 10)), 1437, "scikit-learn's packaged real digits")
LINE_LENGTH = Workload(
    "line_length",
    MLPSpec((10, 16, 16, 5)),
    10_000,
    "simulated: images of 10 x 1 pixels with a line of length 1 to 5, 2,000 of each",
)
MNIST = Workload("mnist", MLPSpec((784, 128, 64, 10)), 60_000)
NEWSGROUPS = Workload("newsgroups", MLPSpec((300, 2048, 256, 20)), 11_314)
CIFAR = Workload("cifar", MLPSpec((3072, 512, 10)), 50_000)
WIDE = Workload("wide", MLPSpec((1024, 2048, 2048, 10)), 8_192)


COST_OUTPUTS = 4


def cost(units: int) -> Workload:
    """A small smooth network, one of a series, for the cost of differentiation."""
    spec = MLPSpec((8, units, COST_OUTPUTS), "tanh")
    return Workload(f"{COST}{spec.parameters}", spec, 8)


def width(units: int) -> Workload:
    """MNIST's inputs and outputs with two hidden layers of `units`."""
    return Workload(f"width{units}", MLPSpec((784, units, units, 10)), 60_000)


@dataclass(frozen=True)
class Problem:
    """A network with its inputs: what all implementations are given alike.

    Attributes:
        workload: name of the workload.
        spec: the network, dtype included.
        batch_size: examples per step.
        examples: examples per epoch.
    """

    workload: str
    spec: MLPSpec
    batch_size: int
    examples: int

    @property
    def id(self) -> str:
        """Unique among problems, and usable as a file name."""
        return f"{self.workload}-batch{self.batch_size}-{self.spec.dtype}"


@dataclass(frozen=True)
class Case:
    """One row of the report: an operation on a problem by an implementation on a device.

    Attributes:
        transfer: "resident" (the batch is on the device) or "end_to_end" (each batch comes
            from the host's memory and each loss goes back).
    """

    problem: Problem
    operation: str
    implementation: str
    device: str = "cpu"
    transfer: str = "resident"

    @property
    def id(self) -> str:
        """Unique within a run; the name of the pytest item."""
        p = self.problem
        parts = [p.workload, self.operation, f"batch{p.batch_size}", p.spec.dtype]
        parts += [self.implementation, self.device]
        return "-".join(parts + (["end_to_end"] if self.transfer == "end_to_end" else []))

    @property
    def gated(self) -> tuple[str, ...]:
        """What must agree with the reference before this is timed; the last one is what is timed.

        A step of sgd holds every gradient: at the gate's learning rate each update is at least
        four times its tensor, so a wrong gradient is a wrong step. A rule that rescales the
        gradient (Adam's first step is its sign) would hide one, and needs the gradient too.
        """
        if self.operation == "forward":
            return ("loss_and_grad", "forward")
        if self.operation == "loss_and_grad":
            return ("loss_and_grad",)
        if self.problem.spec.optimizer == "sgd":
            return ("train_step",)
        return ("loss_and_grad", "train_step")

    @property
    def group(self) -> str:
        """Which rows are shown beside it."""
        problem = self.problem
        if problem.workload.startswith(COST):
            return f"cost of differentiation, {problem.spec.parameters} parameters"
        parts = [problem.workload, self.operation, f"batch {problem.batch_size}"]
        return " ".join([*parts, problem.spec.dtype])

    @property
    def calls_per_epoch(self) -> int:
        """Steps that one call of the operation makes: 1, or those of an epoch."""
        if self.operation != "epoch":
            return 1
        return -(-self.problem.examples // self.problem.batch_size)

    @property
    def examples(self) -> int:
        """Examples that one call of the operation visits."""
        return self.problem.examples if self.operation == "epoch" else self.problem.batch_size

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of one call."""
        return flops(self.problem.spec, self.operation, self.examples)


def flops(spec: MLPSpec, operation: str, examples: int) -> int:
    """Operations of the matrix products, counting a multiplication and an addition as two.

    F1 takes 2 W per example and layer, B2 as many, B4 as many except in the first layer, whose
    inputs need no gradient. Elementwise work is not counted.
    """
    weights = spec.weights
    forward = 2 * examples * sum(weights)
    if operation == "forward":
        return forward
    return 2 * forward + 2 * examples * sum(weights[1:])


@dataclass(frozen=True)
class Line:
    """Several cases: a workload at some batch sizes, by some operations, in some dtypes."""

    workload: Workload
    batch_sizes: tuple[int, ...]
    operations: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float32",)
    kind: str = "idiom"  # which implementations have it unless some are named; "all"


BOTH = ("float32", "float64")
HELLO = (
    Line(DIGITS, (32,), STEP, BOTH),
    Line(MNIST, (32,), ("train_step",)),
)
DIFFERENTIATION = tuple(
    Line(cost(units), (8,), ("forward", "loss_and_grad"), ("float64",), "all")
    for units in (2, 8, 32, 128, 512, 2048, 8192)
)
STANDARD = (
    Line(DIGITS, (32, 256), OPERATIONS, BOTH),
    Line(LINE_LENGTH, (32,), STEP, BOTH),
    Line(MNIST, (32, 128), OPERATIONS),
    Line(NEWSGROUPS, (512,), STEP),
    Line(CIFAR, (128,), STEP),
    Line(WIDE, (1024,), STEP),
    Line(MNIST, (1, 8, 64, 512), ("train_step",)),
    *(Line(width(units), (128,), ("train_step",)) for units in (16, 64, 256, 1024)),
)
FULL = (
    *STANDARD,
    Line(LINE_LENGTH, (32,), ("forward", "epoch"), BOTH),
    Line(NEWSGROUPS, (32, 128), STEP),
    Line(NEWSGROUPS, (512,), ("forward", "epoch")),
    Line(CIFAR, (32, 512), STEP),
    Line(CIFAR, (128,), ("forward", "epoch")),
    Line(WIDE, (1024,), ("forward",)),
    Line(WIDE, (256,), STEP),
    Line(MNIST, (2, 4, 16, 256, 1024, 2048), ("train_step",)),
    *(Line(width(units), (128,), ("train_step",)) for units in (32, 128, 512, 2048)),
    *DIFFERENTIATION,
)


@dataclass(frozen=True)
class Preset:
    """A list of cases and what a run of it may cost.

    Attributes:
        lines: the cases.
        processes: fresh processes per implementation and device.
        seconds: time limit of the whole run without a GPU, and with one.
        block_seconds: time for the blocks of one case in one process, at most.
        warm_up_seconds: at the start of each process, twice that on a GPU.
        intervals: whether there are enough processes for an interval.
    """

    lines: tuple[Line, ...]
    processes: int
    seconds: tuple[float, float]
    block_seconds: float
    warm_up_seconds: float = 0.5
    intervals: bool = True


PRESETS = {
    "hello": Preset(HELLO, 1, (20, 30), 0.05, 0.1, intervals=False),
    "differentiation": Preset(DIFFERENTIATION, 5, (360, 420), 0.1, 0.2),
    "standard": Preset(STANDARD, 5, (300, 480), 0.3),
    "full": Preset(FULL, 10, (3600, 5400), 0.5),
}


def own_network(layer_sizes: tuple[int, ...], batch_sizes: tuple[int, ...]) -> tuple[Line, ...]:
    """The user's own network: one step and a forward pass at each batch size."""
    name = "own-" + "x".join(str(size) for size in layer_sizes)
    workload = Workload(name, MLPSpec(layer_sizes), 16 * max(batch_sizes))
    return (Line(workload, batch_sizes, ("forward", *STEP)),)


def expand(
    lines: Iterable[Line],
    implementation: str,
    device: str,
    dtypes: Sequence[str],
    only_dtypes: Sequence[str] | None = None,
) -> list[Case]:
    """The cases of some lines for one implementation and device.

    Args:
        dtypes: what the implementation can do. A line of which it can do none runs in the
            first of these, so that looped Python (float64 only) has a row everywhere.
        only_dtypes: what the user asked for, instead of the lines' own choice.
    """
    cases: dict[str, Case] = {}
    for line in lines:
        wanted = only_dtypes or line.dtypes
        usable = [dtype for dtype in wanted if dtype in dtypes]
        if not usable and only_dtypes is None:
            usable = [dtypes[0]]
        for batch_size in line.batch_sizes:
            for dtype in usable:
                spec = replace(line.workload.spec, dtype=dtype)  # type: ignore[arg-type] # a DType
                problem = Problem(line.workload.name, spec, batch_size, line.workload.examples)
                for operation in line.operations:
                    for transfer in TRANSFERS if device != "cpu" else TRANSFERS[:1]:
                        case = Case(problem, operation, implementation, device, transfer)
                        cases.setdefault(case.id, case)
    return list(cases.values())


def every_shape() -> list[tuple[MLPSpec, int]]:
    """Each (spec, batch size) of any preset once, as float64: what the reference must master."""
    shapes = {
        (replace(line.workload.spec, dtype="float64"), batch_size)
        for line in FULL
        for batch_size in line.batch_sizes
    }
    return sorted(shapes, key=lambda shape: (shape[0].layer_sizes, shape[1]))


def to_json(case: Case) -> dict[str, Any]:
    """A case as plain data."""
    return asdict(case)


def from_json(data: dict[str, Any]) -> Case:
    """The case that `to_json` wrote.

    Raises:
        ValueError, KeyError, TypeError: it is no case.
    """
    problem = dict(data["problem"])
    problem["spec"] = spec_from_json(problem["spec"])
    return Case(**{**data, "problem": Problem(**problem)})


def spec_from_json(data: dict[str, Any]) -> MLPSpec:
    """A spec from plain data."""
    return MLPSpec(**{**data, "layer_sizes": tuple(data["layer_sizes"])})
