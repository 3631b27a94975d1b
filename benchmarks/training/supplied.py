"""What a file lacks for a training: a step, made from its own gradient, and a forward pass.

The update rules are those of NumPy's network, so a file that has only `loss_and_grad` trains by any
of them; a file with a backend of its own has its arrays fetched for the update.
"""

from typing import Any

from samegrad.implementations.checking import reference
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation, as_numpy
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree, map_tree


def complete(implementation: Implementation) -> list[str]:
    """Give an implementation what it lacks; lines that say so.

    Raises:
        NotImplementedError: it has no gradient to make a step of.
    """
    said = []
    lacks = implementation.lacks
    if "train_step" in lacks or "init_state" in lacks:
        if "loss_and_grad" in lacks:
            raise NotImplementedError(
                f"{implementation.name} has neither train_step nor a gradient"
            )
        step = _Step(implementation)
        implementation.init_state, implementation.train_step = step.init_state, step
        said.append("it has no train_step: the update rule is samegrad's, on its own gradient")
    if "forward" in lacks:
        implementation.forward = _forward
        said.append("it has no forward: outputs are those of samegrad's reference")
    implementation.lacks = tuple(name for name in lacks if name == "loss")
    return said


class _Step:
    """A step from the gradient of an implementation."""

    def __init__(self, implementation: Implementation) -> None:
        self.gradient = implementation.loss_and_grad
        self.place = implementation.backend.place
        self.rules: Any = registry.load("numpy").model  # init_state and update

    def init_state(self, spec: MLPSpec, params: Tree) -> Tree:
        """The state of NumPy's rules."""
        return self.rules.init_state(spec, _arrays(params))

    def __call__(
        self,
        spec: MLPSpec,
        params: Tree,
        state: Tree,
        X: Any,
        y: Any,
        learning_rate: float,
        masks: Tree = None,
    ) -> tuple[Tree, Tree, Any]:
        """Params, state and the loss before the update."""
        more = () if masks is None else (masks,)
        value, grads = self.gradient(spec, params, X, y, *more)
        weights = _arrays(params)
        slopes = [(as_numpy(dW), None if db is None else as_numpy(db)) for dW, db in grads]
        weights, state = self.rules.update(spec, weights, slopes, state, learning_rate)
        return map_tree(lambda p: self.place(p, "cpu"), weights), state, value


def _arrays(params: Params) -> Params:
    """Copies, which the rules change in place."""
    return [(as_numpy(W).copy(), None if b is None else as_numpy(b).copy()) for W, b in params]


def _forward(spec: MLPSpec, params: Params, X: Any, masks: Tree = None) -> Any:
    return reference.outputs(spec, _arrays(params), as_numpy(X), masks).astype(spec.dtype)
