"""The contract: what a network is, what every implementation offers, and the equations.

The equations are written once, here, and the line that computes one ends with its tag
(`# B4`) in every implementation. Row vectors everywhere: an example is a row of `X`, and a
layer computes `X @ W + b` (a source that writes `W x` has been transposed). With L layers,
a_0 = X, hidden activation g_1 = ... = g_{L-1} and output activation g_L:

    F1  z_l = a_{l-1} W_l + b_l
    F2  a_l = g_l(z_l)                        a_L are the outputs, "logits" where g_L = identity
    F3  a_l <- m_l * a_l                      dropout, in training and in hidden layers only
    L1  loss = mean over examples of -log softmax(a_L)[y]                      (cross_entropy)
             = 1/batch sum of log(1 + exp(a_L)) - y a_L                 (binary_cross_entropy)
             = 1/(2 batch) sum of (a_L - y)^2                                  (mse)
    L2  loss <- loss + l2/2 sum over layers of sum W_l^2                       (never b)
    B1  delta_L = dloss/da_L * g_L'(z_L)
            dloss/da_L = (softmax(a_L) - onehot(y)) / batch                    (cross_entropy)
                       = (sigmoid(a_L) - y) / batch                     (binary_cross_entropy)
                       = (a_L - y) / batch                                     (mse)
    B2  dW_l = a_{l-1}^T delta_l + l2 W_l
    B3  db_l = sum over batch of delta_l
    B4  delta_{l-1} = (delta_l W_l^T) * m_{l-1} * g_{l-1}'(z_{l-1})

Sums are over examples and outputs. A mask m_l holds 0 (dropped, with probability `dropout`) or
1/(1 - dropout) ("inverted": evaluation, without masks, needs no other scale).

One update of a parameter p with gradient dp at step t = 1, 2, ...; v, s, e, m start at 0:

    U1  p <- p - learning_rate dp                                              (sgd)
    U2  v <- MOMENTUM v + dp;   p <- p - learning_rate v                       (momentum)
    U3  v <- MOMENTUM v + dp;   p <- p - learning_rate (dp + MOMENTUM v)       (nesterov)
    U4  s <- s + dp^2;          p <- p - learning_rate dp / (sqrt(s) + ADAGRAD_EPS)     (adagrad)
    U5  s <- RHO s + (1 - RHO) dp^2;   d = sqrt(e + ADADELTA_EPS) / sqrt(s + ADADELTA_EPS) dp
        e <- RHO e + (1 - RHO) d^2;    p <- p - learning_rate d                (adadelta)
    U6  m <- BETA1 m + (1 - BETA1) dp;  v <- BETA2 v + (1 - BETA2) dp^2        (adam)
        p <- p - learning_rate m / (1 - BETA1^t) / (sqrt(v / (1 - BETA2^t)) + ADAM_EPS)
    U7  W <- W - learning_rate decay W before any of these   (adamw is U7 and U6; never b)

Without a gradient, one example at a time, the perceptron's rule (Rosenblatt 1958, several classes):

    P1  W <- W + x^T (onehot(y) - onehot(argmax z)),   b likewise;  nothing where argmax z = y

A spec's `weight_decay` is `l2` (a term of the loss) or, decoupled, `decay` (a part of the
update): the same thing under sgd, and two things under every other rule.

Sources: U2, U3 Sutskever et al. 2013 in the form of torch and optax; U4 Duchi et al. 2011; U5
Zeiler 2012; U6 Kingma and Ba 2015; U7 Loshchilov and Hutter 2019; F3 Srivastava et al. 2014.

Activations: relu and unit_step are z > 0 ? z : 0 and z > 0 ? 1 : 0; leaky_relu has slope
LEAKY_SLOPE on the left. At zero each derivative is that of the left side, so relu'(0) = 0 as in
torch.relu and jax.nn.relu. gelu is its tanh form (Hendrycks and Gimpel 2016), silu = z sigmoid(z),
softplus = log(1 + exp(z)). lif_rate is the steady firing rate of a leaky integrate-and-fire
neuron, G(v) = 1 / (T_REF - TAU log(1 - 1/v)) for v > 1 and 0 below. Its slope at v = 1 is
infinite, so it is softened as in Hunsberger and Eliasmith (2015, arXiv:1510.08829): with
-log(1 - 1/v) = log(1 + 1/(v - 1)), the threshold max(v - 1, 0) becomes j, a softplus of width
LIF_WIDTH,

    G(v) = 1 / (T_REF + TAU log(1 + 1/j)),   j = LIF_WIDTH log(1 + exp((v - 1) / LIF_WIDTH)),

which tends to the hard rate as LIF_WIDTH tends to 0. unit_step has no useful derivative: a
network with it has outputs and a loss, and its gradient is refused.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, get_args

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
Tree = Any  # an array, a float, None, or a list or tuple of trees
Layer = tuple[Array, Array | None]
Params = list[Layer]

FORWARD_ONLY = ("unit_step",)  # activations without a useful derivative
LEAKY_SLOPE = 0.01  # Maas, Hannun and Ng 2013; torch's and JAX's default
T_REF, TAU = 0.002, 0.02  # seconds: refractory period and membrane time constant of lif_rate
LIF_WIDTH = 0.02  # in units of the threshold; our choice: below it the rate is hard to tell apart
# The rules' constants are torch's defaults (torch has none for momentum; 0.9 is the usual one).
MOMENTUM = 0.9
ADAGRAD_EPS = 1e-10
RHO, ADADELTA_EPS = 0.9, 1e-6
BETA1, BETA2, ADAM_EPS = 0.9, 0.999, 1e-8


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer_sizes", _layer_sizes(self.layer_sizes))
        for field, accepted in (
            ("activation", get_args(Activation)),
            ("output_activation", get_args(OutputActivation)),
            ("loss", get_args(Loss)),
            ("optimizer", get_args(Optimizer)),
            ("dtype", get_args(DType)),
        ):
            given = getattr(self, field)
            if given not in accepted:
                raise ValueError(f"{field} {given!r} is not known; accepted: {', '.join(accepted)}")
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
    y is (batch,) of class indices for cross_entropy and (batch, outputs) of values otherwise.
    Optimiser state and dropout masks come in as arguments and leave as results: nothing is
    hidden, so two implementations that are fed the same numbers do the same thing. `masks`
    is one array (batch, width) per hidden layer (`initial.draw_masks`) in training, and None
    in evaluation.

    A module may also define `ACCURACY`, a bound per dtype wider than the standard one, with its
    derivation beside it, or `accuracy(spec)` where that depends on the spec;
    `PASSES_PER_PARAMETER`, how many forward passes a gradient takes for each parameter, if it does
    (a run predicts its cost from it); `LEAVES_CYCLES`, true where only Python's garbage collector
    frees what a step leaves (it then runs while steps are timed); `describe(device)`, what the
    framework says of itself as a dict of strings; `precision(name)`, a context manager under which
    products are computed in "tf32" or "bfloat16"; `events(device)`, a pair of functions (start,
    stop) around device work, where stop() returns a function that gives the nanoseconds between
    them once the device is synchronised; `products(kinds, pairs, out=None)`, the framework's matrix
    products alone ("nn" A B, "tn" A^T B, "nt" A B^T), into the arrays `out` where it can, by which
    a run measures the least that a step could take; `epoch(spec, params, state, batches,
    learning_rate)`, a step on each of some placed batches (params, state and the last loss);
    `compilations()`, how many functions have been compiled so far and in how many nanoseconds;
    `peak_memory(device)`, the most bytes that were taken on a GPU; `take(X, y, chosen)`, a batch of
    some examples of a placed one, by an int64 NumPy array of their indices; and `perceptron(params,
    X, y)`, one pass of P1: params and the number of mistakes.
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

    def masks_from_numpy(self, spec: MLPSpec, masks: Tree, device: str) -> Tree:
        """Copies of NumPy dropout masks on `device`, after `check_masks`.

        Raises:
            ValueError: the masks do not fit the spec, or the device is not there.
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
        """The loss and its gradient, nested and shaped like params.

        Raises:
            ValueError: the spec has an activation without a useful derivative.
        """

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

        Raises:
            ValueError: the spec has dropout and there are no masks: this is training.
        """


def map_tree(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """The same lists and tuples with `function` applied to what they hold; None stays."""
    if tree is None:
        return None
    if isinstance(tree, list | tuple):
        return type(tree)(map_tree(function, branch) for branch in tree)
    return function(tree)


def layer_masks(spec: MLPSpec, masks: Tree, batch_size: int) -> tuple[Array | None, ...]:
    """A mask or None for each layer: None for the last one, and for all in evaluation.

    Raises:
        ValueError: masks without dropout in the spec, not one per hidden layer, or of another
            batch size (one row would be spread over the batch).
    """
    layers = len(spec.layer_sizes) - 1
    if masks is None:
        return (None,) * layers
    if spec.dropout == 0:
        raise ValueError("masks were given, but the spec has dropout 0; pass masks=None")
    if len(masks) != layers - 1:
        raise ValueError(f"masks: given {len(masks)}, expected {layers - 1}: one per hidden layer")
    if any(len(mask) != batch_size for mask in masks):
        raise ValueError(
            f"masks: of {[len(mask) for mask in masks]} examples, the batch has {batch_size}"
        )
    return (*masks, None)


def refuse_forward_only(spec: MLPSpec) -> None:
    """Raise ValueError if an activation has no derivative: autodiff would say 0 everywhere."""
    if not spec.differentiable:
        name = next(name for name in spec.activations if name in FORWARD_ONLY)
        raise ValueError(
            f"activation {name!r} has outputs but no useful derivative (0 everywhere, none "
            "at 0), so there is no gradient; use forward or loss, or another activation"
        )


def require_masks(spec: MLPSpec, masks: Tree) -> None:
    """Raise ValueError if a network with dropout would be trained without it."""
    if spec.dropout and masks is None:
        raise ValueError(
            f"the spec has dropout {spec.dropout:g}, so train_step needs masks: "
            "masks_from_numpy(spec, draw_masks(spec, batch_size, seed), device)"
        )


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
