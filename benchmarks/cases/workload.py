"""What all implementations are given alike: an operation's data and what it costs, by kind.

A kind of workload is a subclass of `Workload`; `MLPWorkload` is a network with its batches,
`SpikingWorkload` a population of spiking neurons.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.spiking import LIFSpec

Shape = tuple[int, int]
OPERATIONS = ("forward", "loss_and_grad", "train_step", "epoch")
PRODUCTS = "products"  # the matrix products of a training step alone: the least it could take
TRAINING = "training"  # an epoch of a training for real; never beside the others in a run
MOST = 10**15  # examples, processes; with more, a number of operations is no number of anything
COST = "cost"  # series of networks, by their number of parameters, for the cost of differentiation

SILENT = 250  # of so many neurons one fires in a step (counted in those of the preset)


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

    def least_bytes(self, operation: str) -> tuple[int, int] | None:  # noqa: ARG002 # another kind's does
        """Of one step, those that no way to compute it can do without: (distinct ones, moved ones).

        None of a kind whose `flops`, too, are those of one way to compute it.
        """
        return None

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
        fields = {**data}  # which a list of pairs is not
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

    def least_bytes(self, operation: str) -> tuple[int, int]:
        """X and the params are read, and what comes of it is written.

        That is outputs, a gradient, or the params again. Activations and deltas of a part of the
        batch may stay where they are.
        """
        spec, size = self.spec, 8 if self.spec.dtype == "float64" else 4
        outputs = self.batch_size * spec.layer_sizes[-1]
        written = outputs if operation == "forward" else spec.parameters
        again = operation in ("train_step", "epoch", TRAINING)  # where they were read
        read = self.batch_size * spec.layer_sizes[0] + spec.parameters
        return size * (read if again else read + written), size * (read + written)

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


@dataclass(frozen=True)
class SpikingWorkload(Workload, kind="spiking"):
    """A population of leaky integrate-and-fire neurons, every one connected to every one.

    Attributes:
        spec: the neurons, and their time of a step.
        batch_size: steps of one call, `examples` likewise.
    """

    operations: ClassVar[tuple[str, ...]] = ("simulate",)
    name: str
    spec: LIFSpec
    batch_size: int
    examples: int
    series: Series | None = None

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "SpikingWorkload":
        """A workload of this kind from its fields as plain data."""
        return cls(**{**fields, "spec": LIFSpec(**fields["spec"])})

    @property
    def dtype(self) -> str:
        """Of weights, currents and states."""
        return self.spec.dtype

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.spec.neurons**2

    def flops(self, operation: str) -> int:  # noqa: ARG002  # there is only one
        """Sums over the synapses of the neurons that fire, and ten operations of each neuron.

        Who multiplies with all weights, silent or not, does up to 2 SILENT times as many.
        """
        return self.batch_size * (self.size // SILENT + 10 * self.spec.neurons)

    def bytes(self, operation: str) -> int:  # noqa: ARG002  # there is only one
        """Weights read once, currents read and spikes written."""
        entries = self.size + 2 * self.batch_size * self.spec.neurons
        return (8 if self.dtype == "float64" else 4) * entries

    def calls(self, operation: str) -> int:  # noqa: ARG002  # there is only one
        """Steps of one call: each depends on the one before."""
        return self.batch_size
