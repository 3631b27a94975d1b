"""What every implementation offers."""

from typing import Protocol

from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree


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
