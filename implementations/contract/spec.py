"""What a network is: its layers, activations, loss and update rule; and the trees of its arrays."""

import copy
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.equations import FORWARD_ONLY
from samegrad.implementations.contract.texts import clean_errors

Activation = Literal[
    "identity",
    "relu",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "gelu",
    "silu",
    "softplus",
    "lif_rate",
    "unit_step",
]
OutputActivation = Literal["identity", "sigmoid", "unit_step"]
Loss = Literal["cross_entropy", "binary_cross_entropy", "mse"]
Optimizer = Literal["sgd", "momentum", "nesterov", "adagrad", "adadelta", "adam", "adamw"]
DType = Literal["float32", "float64"]

Array = Any  # list of floats, numpy.ndarray, torch.Tensor or jax.Array: each module knows its own
Tree = Any  # params, grads, state, results: an array, a float, None, or what `items` knows of trees
Params = list[tuple[Array, Array | None]]  # (W, b) of each layer


@dataclass(frozen=True)  # hashable, so that it can be a static argument under jit
class MLPSpec:
    """A multi-layer perceptron, its loss and its update rule.

    Attributes:
        layer_sizes: number of features, widths of the hidden layers, number of outputs.
        activation: g of the hidden layers.
        output_activation: g of the last layer, "identity", "sigmoid" or "unit_step". The two
            cross entropies apply softmax or sigmoid to whatever the last layer gives, so
            "identity" is the usual choice there and "sigmoid" goes with mse.
        loss: "cross_entropy" (y holds class indices), "binary_cross_entropy" (y holds
            probabilities, one per output) or "mse" (y holds values).
        bias: whether the layers have a b; if not, b is None in params and grads.
        weight_decay: coefficient of L2, or of U7 if decoupled; left out when it is 0.
        optimizer: the update rule of `train_step`.
        dtype: of weights, inputs and results.
        dropout: probability with which a hidden activation is dropped in training.
        decoupled: whether weight_decay acts in the update (U7) instead of the loss (L2, B2).
            "adamw" is "adam" with this; it is set with it.

    Raises:
        ValueError: a value is not among the accepted ones.
    """

    layer_sizes: tuple[int, ...]
    activation: Activation = "relu"
    output_activation: Activation = "identity"
    loss: Loss = "cross_entropy"
    bias: bool = True
    weight_decay: float = 0.0
    optimizer: Optimizer = "sgd"
    dtype: DType = "float32"
    dropout: float = 0.0
    decoupled: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain data: in every record, request and file the same."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "MLPSpec":
        """The spec that `to_dict` wrote; fields that are missing have their defaults.

        Raises:
            ValueError, TypeError: it is no spec.
        """
        return cls(**data)

    @clean_errors()
    def __post_init__(self) -> None:
        object.__setattr__(self, "layer_sizes", _layer_sizes(self.layer_sizes))
        for field, accepted in (
            ("activation", get_args(Activation)),
            ("output_activation", get_args(OutputActivation)),
            ("loss", get_args(Loss)),
            ("optimizer", get_args(Optimizer)),
            ("dtype", get_args(DType)),
        ):
            value = getattr(self, field)
            if value not in accepted:
                raise ValueError(
                    f"{field} {value!r} is not known; accepted: {', '.join(accepted)}"
                    f"{did_you_mean(str(value), accepted)}"
                )
        for field in ("bias", "decoupled"):
            if not isinstance(getattr(self, field), bool):
                raise ValueError(
                    f"{field} {getattr(self, field)!r} is not accepted; give True or False"
                )
        decay, dropout = self.weight_decay, self.dropout
        if not isinstance(decay, int | float) or not math.isfinite(decay) or decay < 0:
            raise ValueError(f"weight_decay {decay!r} is not accepted; give a finite number >= 0")
        if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise ValueError(
                f"dropout {dropout!r} is not accepted; give a number from 0 to below 1"
            )
        if self.optimizer == "adamw":
            object.__setattr__(self, "decoupled", True)

    @property
    def l2(self) -> float:
        """Coefficient of the L2 term in the loss; 0 if weight decay is decoupled."""
        return 0.0 if self.decoupled else self.weight_decay

    @property
    def decay(self) -> float:
        """Coefficient of decoupled weight decay (U7); 0 if it is a term of the loss."""
        return self.weight_decay if self.decoupled else 0.0

    @cached_property  # every call of every implementation asks for it
    def activations(self) -> tuple[Activation, ...]:
        """g_1 ... g_L: one name per layer, the output activation last."""
        return (self.activation,) * (len(self.layer_sizes) - 2) + (self.output_activation,)

    @cached_property
    def differentiable(self) -> bool:
        """Whether every activation has a useful derivative."""
        return not set(self.activations) & set(FORWARD_ONLY)

    @property
    def weights(self) -> tuple[int, ...]:
        """Number of entries of W_1 ... W_L."""
        return tuple(
            fan_in * fan_out
            for fan_in, fan_out in zip(self.layer_sizes, self.layer_sizes[1:], strict=False)
        )

    @property
    def parameters(self) -> int:
        """Number of trained numbers: all entries of all W and b."""
        return sum(self.weights) + (sum(self.layer_sizes[1:]) if self.bias else 0)


def _layer_sizes(sizes: Any) -> tuple[int, ...]:
    several = isinstance(sizes, Sequence) and len(sizes) >= 2
    if not several or not all(type(size) is int and size >= 1 for size in sizes):
        raise ValueError(
            f"layer_sizes {sizes!r} is not accepted; give features, hidden widths and outputs "
            "as whole numbers >= 1, for example (784, 128, 10)"
        )
    return tuple(sizes)


def items(tree: Tree) -> list[tuple[Hashable, Tree]] | None:
    """What a list, tuple, dict or dataclass holds, with index, key or name; None of a leaf."""
    if isinstance(tree, list | tuple):
        return list(enumerate(tree))
    if isinstance(tree, dict):
        return list(tree.items())
    if is_dataclass(tree) and not isinstance(tree, type):
        return [(field.name, getattr(tree, field.name)) for field in fields(tree)]
    return None


def rebuilt(tree: Tree, branches: Sequence[Tree]) -> Tree:
    """A tree of the same kind (a named tuple, a frozen dataclass, ...) that holds others."""
    if isinstance(tree, tuple):
        return tuple.__new__(type(tree), branches)  # whatever its own constructor takes
    made = copy.copy(tree)
    if isinstance(tree, list):
        made[:] = branches
    elif isinstance(tree, dict):
        made.update(zip(tree, branches, strict=True))
    else:
        for field, branch in zip(fields(tree), branches, strict=True):
            object.__setattr__(made, field.name, branch)
    return made


def map_tree(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """The same tree (see `items`) with `function` applied to what it holds; None stays."""
    if tree is None:
        return None
    if type(tree) in (list, tuple):  # ours, in every call of some
        return type(tree)(map_tree(function, branch) for branch in tree)
    held = items(tree)
    if held is None:
        return function(tree)
    return rebuilt(tree, [map_tree(function, branch) for _, branch in held])


def plain_tree(tree: Tree) -> Tree:
    """Lists and tuples for whatever a file nests arrays in; of W and b, W comes first."""
    held = items(tree)
    if held is None:
        return tree
    named = dict(held)
    if named.keys() == {"W", "b"}:
        held = [("W", named["W"]), ("b", named["b"])]
    return (list if isinstance(tree, list) else tuple)(plain_tree(branch) for _, branch in held)
