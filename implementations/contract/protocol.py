"""What a network file defines, and what a framework's backend does for all of its networks.

Shapes: X (batch, features), outputs (batch, outputs), W (fan_in, fan_out), b (fan_out,); y is
(batch,) of class indices for cross_entropy and (batch, outputs) of values otherwise.
"""

from abc import ABC, abstractmethod
from typing import Protocol

from samegrad.implementations.contract.capabilities import Capabilities
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree, map_tree


class Model(Protocol):
    """The functions of a network file, in the order in which it defines them.

    Optimiser state and dropout masks come in as arguments and leave as results: nothing is hidden,
    so two implementations that are fed the same numbers do the same thing. `masks` is one array
    (batch, width) per hidden layer (`initializers.draw_masks`) in training, None in evaluation.

    A network file says `BACKEND = ...`, an instance of `Backend`; without one its arrays are
    NumPy's. It may say `CAPABILITIES = Capabilities(...)` (see there).
    """

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

        Consumes params and state: NumPy and torch may update in place and JAX donates, so use
        what is returned. `learning_rate` is a Python float (another type would compile the JAX
        step again).

        Raises:
            ValueError: the spec has dropout and there are no masks: this is training.
        """


class Backend(ABC):
    """How the arrays of a framework come and go; validation is done before `place`.

    A class and not a protocol, so that a file's BACKEND can be told from anything else of that
    name.
    """

    capabilities = Capabilities()

    @abstractmethod
    def devices(self) -> tuple[str, ...]:
        """Names of the devices usable here and now, "cpu" first."""

    @abstractmethod
    def place(self, array: Array, device: str) -> Array:
        """A copy of a NumPy array on a device.

        Raises:
            ValueError: its dtype is not honoured there.
        """

    def place_params(self, spec: MLPSpec, params: Params, device: str) -> Tree:
        """Copies of NumPy params on a device, in the form in which the networks take them."""
        return map_tree(lambda array: self.place(array, device), params)

    @abstractmethod
    def fetch(self, tree: Tree) -> Tree:
        """Outputs, loss, params or grads as NumPy arrays of their own, in the same nesting."""

    @abstractmethod
    def synchronize(self, tree: Tree) -> None:
        """Return once every array in `tree` has been computed."""
