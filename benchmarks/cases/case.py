"""What is timed: an operation on a workload by an implementation, and the process that runs it.

A kind of workload is a subclass of `Workload`; `MLPWorkload` is a network with its batches. A
record holds a case as `Case.to_dict` gives it, which is the only form that a case has outside of a
process.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

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
FEW_EXAMPLES = 32  # of a forward pass that is a request, which somebody waits for
TEXTS = ("operation", "implementation", "device", "transfer", "threads", "precision")
MOST = 10**15  # examples, processes; with more, a number of operations is no number of anything
COST = "cost"  # series of networks, by their number of parameters, for the cost of differentiation


class Series(NamedTuple):
    """The place of a workload among those that differ from it in one number.

    Attributes:
        name: what is varied, "width" for example.
        value: of this workload.
    """

    name: str
    value: int


class Workload(ABC):
    """What all implementations are given alike: the base of each kind, a frozen dataclass.

    A kind is named where it is defined, `class Sort(Workload, kind="sort")`; records of it are read
    from then on. Its fields are plain data, or it has its own `from_fields`.

    Attributes:
        kind: name of the kind.
        operations: what can be timed.
        name: of the workload, for tables and `-k`.
        batch_size: examples per call.
        examples: examples per epoch.
        series: the series that it belongs to, or None.
    """

    kinds: ClassVar[dict[str, type["Workload"]]] = {}
    kind: ClassVar[str]
    operations: ClassVar[tuple[str, ...]]
    name: str
    batch_size: int
    examples: int
    series: Series | None

    def __init_subclass__(cls, kind: str) -> None:
        cls.kind = kind
        Workload.kinds[kind] = cls

    @property
    @abstractmethod
    def dtype(self) -> str:
        """Of its arrays."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Numbers that are kept from call to call, such as a network's parameters."""

    @abstractmethod
    def flops(self, operation: str) -> int:
        """Floating-point operations of one call."""

    @abstractmethod
    def bytes(self, operation: str) -> int:
        """Bytes that one call must move between memory and processor at least."""

    def gated(self, operation: str) -> tuple[str, ...]:
        """The operations that must agree with the reference before one is timed; it comes last."""
        return (operation,)

    def calls(self, operation: str) -> int:  # noqa: ARG002  # a kind may need it
        """Steps that one call of the operation makes: 1, unless it goes through all examples."""
        return 1

    @cached_property
    def id(self) -> str:
        """Unique among the workloads of a run."""
        return f"{self.name}-batch{self.batch_size}-{self.dtype}"

    def to_dict(self) -> dict[str, Any]:
        """The workload as plain data."""
        fields = asdict(self)  # type: ignore[call-overload]  # every kind is a dataclass
        if self.series is None:
            del fields["series"]
        else:
            fields["series"] = self.series._asdict()
        return {"kind": self.kind, **fields}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Workload":
        """The workload that `to_dict` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is no workload of a known kind.
        """
        fields = dict(data)
        kind = Workload.kinds[fields.pop("kind")]
        if fields.get("series") is not None:
            fields["series"] = Series(**fields["series"])
        workload = kind.from_fields(fields)
        names = [workload.name, *(workload.series[:1] if workload.series else ())]
        numbers = (workload.batch_size, workload.examples, *(workload.series or (0, 1))[1:])
        if not all(isinstance(name, str) for name in names):
            raise ValueError("a case's names must be texts")
        if not all(type(number) is int and 1 <= number < MOST for number in numbers):
            raise ValueError(f"a case's batch size and examples must be from 1 to {MOST:g}")
        return workload

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Workload":
        """A workload of this kind from its fields as plain data."""
        return cls(**fields)


@dataclass(frozen=True)
class MLPWorkload(Workload, kind="mlp"):
    """A network with its batches.

    Attributes:
        spec: the network, dtype included.
    """

    operations: ClassVar[tuple[str, ...]] = (*OPERATIONS, PRODUCTS, TRAINING)
    name: str
    spec: MLPSpec
    batch_size: int
    examples: int
    series: Series | None = None

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "MLPWorkload":
        """A workload of this kind from its fields as plain data."""
        return cls(**{**fields, "spec": MLPSpec.from_dict(fields["spec"])})

    @property
    def dtype(self) -> str:
        """Of weights, inputs and results."""
        return self.spec.dtype

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.spec.parameters

    def flops(self, operation: str) -> int:
        """Operations of the matrix products of one call; a multiply-add counts as two.

        F1 takes 2 W per example and layer, B2 as many, B4 as many except in the first layer, whose
        inputs need no gradient. Elementwise work is not counted.
        """
        weights = self.spec.weights
        examples = self.examples if operation in ("epoch", TRAINING) else self.batch_size
        forward = 2 * examples * sum(weights)
        return forward if operation == "forward" else 2 * (forward + examples * sum(weights[1:]))

    def bytes(self, operation: str) -> int:
        """Bytes of all arrays of one call, each moved once: X, params, activations, gradients.

        A forward pass reads X and the params and writes each layer's outputs. A gradient reads
        those outputs and the params again, and writes a delta per layer and the gradient; a step
        reads the gradient and writes the params. Caches may save some, temporaries may add to it.
        """
        spec, sizes = self.spec, self.spec.layer_sizes
        entries = self.batch_size * sum(sizes) + spec.parameters
        if operation != "forward":
            entries += self.batch_size * (sizes[0] + 3 * sum(sizes[1:])) + 2 * spec.parameters
        if operation not in ("forward", "loss_and_grad", PRODUCTS):
            entries += 2 * spec.parameters
        return self.calls(operation) * (8 if spec.dtype == "float64" else 4) * entries

    def products(self, operation: str) -> list[tuple[str, Shape, Shape]]:
        """The matrix products of one call: (kind, shape of A, shape of B), in the order of a step.

        Kinds are "nn" (A B), "tn" (A^T B) and "nt" (A B^T).
        """
        n, layers = self.batch_size, list(pairwise(self.spec.layer_sizes))
        shapes: list[tuple[str, Shape, Shape]] = [("nn", (n, i), (i, o)) for i, o in layers]  # F1
        if operation == "forward":
            return shapes
        for layer, (i, o) in reversed(list(enumerate(layers))):
            if layer > 0:
                shapes.append(("nt", (n, o), (i, o)))  # B4
            shapes.append(("tn", (n, i), (n, o)))  # B2
        return shapes

    def gated(self, operation: str) -> tuple[str, ...]:
        """The operations that must agree with the reference before one is timed; it comes last.

        A step of sgd holds every gradient: at the gate's learning rate each update is at least
        four times its tensor, so a wrong gradient is a wrong step. A rule that rescales the
        gradient (Adam's first step is its sign) would hide one, and needs the gradient too.
        """
        if operation == PRODUCTS:
            return (PRODUCTS,)
        if operation == "forward":
            return ("loss_and_grad", "forward")
        if operation == "loss_and_grad":
            return ("loss_and_grad",)
        if self.spec.optimizer == "sgd" and operation != TRAINING:
            return ("train_step",)
        return ("loss_and_grad", "train_step")

    def calls(self, operation: str) -> int:
        """Steps that one call of the operation makes: 1, or those of an epoch."""
        return -(-self.examples // self.batch_size) if operation in ("epoch", TRAINING) else 1


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


@dataclass(frozen=True)
class Case:
    """One row of the report: an operation on a workload by an implementation on a device.

    Attributes:
        transfer: "resident" (the batch is on the device) or "end_to_end" (each batch comes
            from the host's memory and each loss goes back).
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
        names = [workload.name, self.operation, f"batch{workload.batch_size}", self.arithmetic]
        names += [self.implementation, self.device]
        if self.threads != ALL_THREADS:
            names.append(f"{self.threads}_threads" if self.threads != "1" else "1_thread")
        names += [f"{self.ranks}_ranks"] * (self.ranks > 1)
        return "-".join(names + ["end_to_end"] * (self.transfer == "end_to_end"))

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
