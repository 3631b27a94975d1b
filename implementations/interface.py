"""The contract: what a network is, what every implementation offers, and the equations.

The equations are written once, here, and the line that computes one ends with its tag
(`# B4`) in every implementation. Row vectors everywhere: an example is a row of `X`, and a
layer computes `X @ W + b` (a source that writes `W x` has been transposed). With L layers,
a_0 = X, hidden activation g_1 = ... = g_{L-1} and output activation g_L:

    F1  z_l = a_{l-1} W_l + b_l
    F2  a_l = g_l(z_l)                        a_L are the outputs, "logits" where g_L = identity
    L1  loss = mean over examples of -log softmax(a_L)[y]                      (cross_entropy)
             = 1/(2 batch) sum over examples and outputs of (a_L - y)^2        (mse)
    L2  loss <- loss + weight_decay/2 sum over layers of sum W_l^2             (never b)
    B1  delta_L = dloss/da_L * g_L'(z_L)
            dloss/da_L = (softmax(a_L) - onehot(y)) / batch                    (cross_entropy)
                       = (a_L - y) / batch                                     (mse)
    B2  dW_l = a_{l-1}^T delta_l + weight_decay W_l
    B3  db_l = sum over batch of delta_l
    B4  delta_{l-1} = (delta_l W_l^T) * g_{l-1}'(z_{l-1})
    U1  p <- p - learning_rate * dp                                            (sgd)

The derivative of relu at zero is 0, as in torch.relu and jax.nn.relu.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

Activation = Literal["identity", "relu", "sigmoid", "tanh"]
Loss = Literal["cross_entropy", "mse"]
Optimizer = Literal["sgd"]
DType = Literal["float32", "float64"]

Array = Any  # list of floats, numpy.ndarray, torch.Tensor or jax.Array: each module knows its own
Tree = Any  # an array, a float, None, or a list or tuple of trees
Layer = tuple[Array, Array | None]
Params = list[Layer]


@dataclass(frozen=True)  # hashable, so that it can be a static argument under jit
class MLPSpec:
    """A multi-layer perceptron, its loss and its update rule.

    Attributes:
        layer_sizes: number of features, widths of the hidden layers, number of outputs.
        activation: g of the hidden layers.
        output_activation: g of the last layer, "identity" or "sigmoid". cross_entropy
            applies log-softmax to whatever the last layer gives, so "identity" is the
            usual choice there and "sigmoid" goes with mse.
        loss: "cross_entropy" (y holds class indices) or "mse" (y holds values).
        bias: whether the layers have a b; if not, b is None in params and grads.
        weight_decay: coefficient of L2; the term is left out when it is 0.
        optimizer: the update rule of `train_step`.
        dtype: of weights, inputs and results.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer_sizes", _layer_sizes(self.layer_sizes))
        for field, accepted in (
            ("activation", get_args(Activation)),
            ("output_activation", ("identity", "sigmoid")),
            ("loss", get_args(Loss)),
            ("optimizer", get_args(Optimizer)),
            ("dtype", get_args(DType)),
        ):
            given = getattr(self, field)
            if given not in accepted:
                raise ValueError(f"{field} {given!r} is not known; accepted: {', '.join(accepted)}")
        if not isinstance(self.bias, bool):
            raise ValueError(f"bias {self.bias!r} is not accepted; give True or False")
        decay = self.weight_decay
        if not isinstance(decay, int | float) or not math.isfinite(decay) or decay < 0:
            raise ValueError(f"weight_decay {decay!r} is not accepted; give a finite number >= 0")

    @property
    def activations(self) -> tuple[Activation, ...]:
        """g_1 ... g_L: one name per layer, the output activation last."""
        return (self.activation,) * (len(self.layer_sizes) - 2) + (self.output_activation,)

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


def _layer_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    ok = not isinstance(sizes, str) and len(sizes) >= 2
    if not ok or not all(type(size) is int and size >= 1 for size in sizes):
        raise ValueError(
            f"layer_sizes {sizes!r} is not accepted; give features, hidden widths and outputs "
            "as whole numbers >= 1, for example (784, 128, 10)"
        )
    return tuple(sizes)


class Implementation(Protocol):
    """What a module of functions must define to be tested, timed and reported.

    Shapes: X (batch, features), outputs (batch, outputs), W (fan_in, fan_out), b (fan_out,);
    y is (batch,) of class indices for cross_entropy and (batch, outputs) of values for mse.
    Optimiser state and dropout masks come in as arguments and leave as results: nothing is
    hidden, so two implementations that are fed the same numbers do the same thing. No spec
    has dropout yet, so `masks` must be None (`refuse_masks`).

    A module may also define `ACCURACY`, a bound per dtype wider than the standard one, with
    its derivation beside it; `describe(device)`, what the framework says of itself as a dict
    of strings; and `events(device)`, a pair of functions (start, stop) around device work,
    where stop() returns a function that gives the nanoseconds between them once the device
    is synchronised.
    """

    DTYPES: tuple[str, ...]

    def devices(self) -> tuple[str, ...]:
        """Names of the devices usable here and now, "cpu" first."""

    def params_from_numpy(self, spec: MLPSpec, params: Params, device: str) -> Params:
        """Copies of NumPy params on `device`, in the spec's dtype.

        Raises:
            ValueError: shapes differ from the spec's, or dtype or device is not honoured.
        """

    def batch_from_numpy(
        self, spec: MLPSpec, X: Array, y: Array, device: str
    ) -> tuple[Array, Array]:
        """Copies of a NumPy batch on `device`, after `check_batch`.

        Raises:
            ValueError: the batch does not fit the spec, or the device is not there.
        """

    def to_numpy(self, tree: Tree) -> Tree:
        """Outputs, loss, params or grads as NumPy arrays, in the same nesting."""

    def synchronize(self, tree: Tree) -> None:
        """Return once every array in `tree` has been computed."""

    def forward(self, spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
        """Outputs a_L, (batch, outputs)."""

    def loss(self, spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
        """The loss, a scalar: float(loss) works."""

    def loss_and_grad(
        self, spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
    ) -> tuple[Array, Params]:
        """The loss and its gradient, nested and shaped like params."""

    def init_state(self, spec: MLPSpec, params: Params) -> Tree:
        """The optimiser's state before the first step."""

    def train_step(
        self,
        spec: MLPSpec,
        params: Params,
        state: Tree,
        X: Array,
        y: Array,
        learning_rate: float,
        masks: Tree = None,
    ) -> tuple[Params, Tree, Array]:
        """One update: params, state and the loss before the update.

        Consumes params and state: NumPy and torch may update in place and JAX donates, so
        use what is returned. `learning_rate` is a Python float (another type would compile
        the JAX step again).
        """


def map_tree(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """The same lists and tuples with `function` applied to what they hold; None stays."""
    if tree is None:
        return None
    if isinstance(tree, list | tuple):
        return type(tree)(map_tree(function, branch) for branch in tree)
    return function(tree)


def refuse_masks(masks: Tree) -> None:
    """Masks have their place in the contract, but no spec has dropout yet.

    Raises:
        NotImplementedError: masks were given; ignoring them would give a wrong number.
    """
    if masks is not None:
        raise NotImplementedError("dropout masks are not supported yet; pass masks=None")


def refuse_device(implementation: str, device: str, available: Sequence[str]) -> None:
    """Raise ValueError unless `device` is available: there is no silent fall-back."""
    if device not in available:
        raise ValueError(
            f"device {device!r} is not available to {implementation} (has: {', '.join(available)})"
        )


def refuse_dtype(implementation: str, dtype: str, available: Sequence[str]) -> None:
    """Raise ValueError unless `dtype` is available: there is no silent conversion."""
    if dtype not in available:
        raise ValueError(
            f"dtype {dtype!r} is not available to {implementation} (has: {', '.join(available)})"
        )
