"""What is timed: a network with its inputs, an operation, and the process that runs it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from samegrad.implementations.contract.spec import MLPSpec

Shape = tuple[int, int]
OPERATIONS = ("forward", "loss_and_grad", "train_step", "epoch")
PRODUCTS = "products"  # the matrix products of a training step alone: the least it could take
TRAINING = "training"  # an epoch of a training for real; never beside the others in a run
TRANSFERS = ("resident", "end_to_end")
# Contracts of arithmetic: the last two are float32 networks with products of fewer digits. Rows of
# different contracts are never compared.
ARITHMETIC = ("float64", "float32", "tf32", "bfloat16")
ALL_THREADS = "all"
TEXTS = ("operation", "implementation", "device", "transfer", "threads", "precision")
MOST_EXAMPLES = 10**15  # with more, a number of operations is no number of anything
COST = "cost"  # of differentiation: these workloads' names go on with the number of parameters


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

    @cached_property
    def id(self) -> str:
        """Unique among problems, and usable as a file name."""
        return f"{self.workload}-batch{self.batch_size}-{self.spec.dtype}"


class Worker(NamedTuple):
    """What one process is set up for before it starts: the cases that it can time.

    Attributes:
        threads: "all" cores, or a number of threads.
        precision: "ieee", or "tf32" or "bfloat16" for the products of float32 networks.
    """

    implementation: str
    device: str = "cpu"
    threads: str = ALL_THREADS
    precision: str = "ieee"


@dataclass(frozen=True)
class Case:
    """One row of the report: an operation on a problem by an implementation on a device.

    Attributes:
        transfer: "resident" (the batch is on the device) or "end_to_end" (each batch comes
            from the host's memory and each loss goes back).
        threads, precision: see `Worker`.
    """

    problem: Problem
    operation: str
    implementation: str
    device: str = "cpu"
    transfer: str = "resident"
    threads: str = ALL_THREADS
    precision: str = "ieee"

    @cached_property
    def id(self) -> str:
        """Unique within a run; the name of the pytest item."""
        p = self.problem
        parts = [p.workload, self.operation, f"batch{p.batch_size}", self.arithmetic]
        parts += [self.implementation, self.device]
        if self.threads != ALL_THREADS:
            parts.append(f"{self.threads}_threads" if self.threads != "1" else "1_thread")
        return "-".join(parts + (["end_to_end"] if self.transfer == "end_to_end" else []))

    @property
    def worker(self) -> Worker:
        """The process that can time it."""
        return Worker(self.implementation, self.device, self.threads, self.precision)

    @property
    def arithmetic(self) -> str:
        """One of ARITHMETIC."""
        return self.problem.spec.dtype if self.precision == "ieee" else self.precision

    @property
    def gated(self) -> tuple[str, ...]:
        """What must agree with the reference before this is timed; the last one is what is timed.

        A step of sgd holds every gradient: at the gate's learning rate each update is at least
        four times its tensor, so a wrong gradient is a wrong step. A rule that rescales the
        gradient (Adam's first step is its sign) would hide one, and needs the gradient too.
        """
        if self.operation == PRODUCTS:
            return (PRODUCTS,)
        if self.operation == "forward":
            return ("loss_and_grad", "forward")
        if self.operation == "loss_and_grad":
            return ("loss_and_grad",)
        if self.problem.spec.optimizer == "sgd" and self.operation != TRAINING:
            return ("train_step",)
        return ("loss_and_grad", "train_step")

    @property
    def group(self) -> str:
        """Which rows are shown beside it."""
        problem = self.problem
        if problem.workload.startswith(COST):
            return f"cost of differentiation, {problem.spec.parameters} parameters"
        parts = [problem.workload, self.operation, f"batch {problem.batch_size}"]
        if self.threads != ALL_THREADS:
            parts.append(f"threads {self.threads}")
        return " ".join([*parts, self.arithmetic])

    @property
    def calls_per_epoch(self) -> int:
        """Steps that one call of the operation makes: 1, or those of an epoch."""
        if self.operation not in ("epoch", TRAINING):
            return 1
        return -(-self.problem.examples // self.problem.batch_size)

    @property
    def examples(self) -> int:
        """Examples that one call of the operation visits."""
        whole = self.operation in ("epoch", TRAINING)
        return self.problem.examples if whole else self.problem.batch_size

    @cached_property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of one call."""
        return flops(self.problem.spec, self.operation, self.examples)

    @cached_property
    def bytes(self) -> int:
        """Bytes that one call must move between memory and processor at least."""
        steps = self.calls_per_epoch
        return steps * traffic(self.problem.spec, self.operation, self.problem.batch_size)

    def larger_than(self, other: "Case") -> bool:
        """Whether it is the same thing in a larger size: batch size, or width of a series."""
        if (self.operation, self.worker, self.transfer, self.problem.spec.dtype) != (
            other.operation,
            other.worker,
            other.transfer,
            other.problem.spec.dtype,
        ):
            return False
        series = [case.problem.workload.rstrip("0123456789") for case in (self, other)]
        return (
            series[0] == series[1]
            and self.problem.batch_size >= other.problem.batch_size
            and self.problem.spec.parameters >= other.problem.spec.parameters
            and self.flops > other.flops
        )


def smallest_first(cases: Iterable[Case]) -> list[Case]:
    """The order of gates: the same in each process, the cases of a problem together.

    What is freed leaves gaps, into which what comes later is put. In random orders processes of
    looped Python differed by 8 % for as long as they lived, and 5 of 23 intervals were within 3 %;
    smallest first 15 were, largest first 19. Smallest first, because a size that takes too long
    spares the larger ones. Visits come in random orders.
    """
    return sorted(
        cases,
        key=lambda case: (
            case.problem.spec.parameters * case.problem.batch_size,
            case.problem.id,
            case.id,
        ),
    )


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


def products(spec: MLPSpec, operation: str, batch_size: int) -> list[tuple[str, Shape, Shape]]:
    """The matrix products of one call: (kind, shape of A, shape of B), in the order of a step.

    Kinds are "nn" (A B), "tn" (A^T B) and "nt" (A B^T).
    """
    n, sizes = batch_size, spec.layer_sizes
    layers = list(pairwise(sizes))
    found: list[tuple[str, Shape, Shape]] = [("nn", (n, i), (i, o)) for i, o in layers]  # F1
    if operation == "forward":
        return found
    for layer, (i, o) in reversed(list(enumerate(layers))):
        if layer > 0:
            found.append(("nt", (n, o), (i, o)))  # B4
        found.append(("tn", (n, i), (n, o)))  # B2
    return found


def traffic(spec: MLPSpec, operation: str, batch_size: int) -> int:
    """Bytes of all arrays of one call, each moved once: X, params, activations, gradients.

    A forward pass reads X and the params and writes each layer's outputs. A gradient reads those
    outputs and the params again, and writes a delta per layer and the gradient; a step reads the
    gradient and writes the params. Caches may save some of it, temporaries may add to it.
    """
    itemsize = 8 if spec.dtype == "float64" else 4
    sizes = spec.layer_sizes
    entries = batch_size * sum(sizes) + spec.parameters
    if operation != "forward":
        entries += batch_size * (sizes[0] + 3 * sum(sizes[1:])) + 2 * spec.parameters
    if operation in ("train_step", "epoch", TRAINING):
        entries += 2 * spec.parameters
    return itemsize * entries


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
    case = Case(**{**data, "problem": Problem(**problem)})
    texts = [case.problem.workload, *(getattr(case, name) for name in TEXTS)]
    counts = (case.problem.batch_size, case.problem.examples)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a case's names must be texts")
    if not all(type(count) is int and 1 <= count < MOST_EXAMPLES for count in counts):
        raise ValueError(f"a case's batch size and examples must be from 1 to {MOST_EXAMPLES:g}")
    if case.operation not in (*OPERATIONS, PRODUCTS, TRAINING) or case.arithmetic not in ARITHMETIC:
        raise ValueError(f"operation {case.operation!r} in {case.arithmetic!r} is not known")
    return case


def spec_from_json(data: dict[str, Any]) -> MLPSpec:
    """A spec from plain data."""
    return MLPSpec(**{**data, "layer_sizes": tuple(data["layer_sizes"])})
