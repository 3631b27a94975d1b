"""A training step for a file that has a gradient and no step: NumPy's rules, on its own gradient.

So a file of two functions trains by any rule, and its training steps are timed.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import PLAIN, Implementation, as_numpy
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree, map_tree

FACT = "training step"  # the name under which a report says that it was supplied


def supply_step(implementation: Implementation) -> str:
    """Give an implementation the step that it lacks; a sentence that says so, or "".

    Raises:
        NotImplementedError: it has no gradient to make a step of.
    """
    lacks = set(implementation.lacks)
    if not lacks & {"init_state", "train_step"}:
        return ""
    if "train_step" not in lacks:
        implementation.init_state = _no_state
        said = "is its own; its state is None, as it has no init_state"
    elif "loss_and_grad" in lacks:
        raise NotImplementedError(f"{implementation.name} has neither train_step nor a gradient")
    else:
        step = _Step(implementation)
        implementation.init_state, implementation.train_step = step.init_state, step
        said = "by samegrad's update rule, in NumPy, on the file's own gradient"
    implementation.lacks = tuple(
        f for f in implementation.lacks if not f.endswith(("step", "state"))
    )
    own = implementation.capabilities
    implementation.capabilities = replace(
        own, describe=lambda device: {**own.describe(device), FACT: said}
    )
    return said


def _no_state(_: MLPSpec, __: Tree) -> Tree:
    return None


class _Step:
    """A step from the gradient of an implementation; of plain NumPy's arrays in place."""

    def __init__(self, implementation: Implementation) -> None:
        self.gradient = implementation.loss_and_grad
        self.place = implementation.backend.place
        self.in_place = implementation.backend is PLAIN
        self.rules: Any = registry.load("numpy").model  # init_state and update

    def init_state(self, spec: MLPSpec, params: Tree) -> Tree:
        """The state of NumPy's rules."""
        return self.rules.init_state(spec, copies(params))

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
        slopes = [tuple(None if d is None else np.asarray(as_numpy(d)) for d in g) for g in grads]
        weights = params if self.in_place else copies(params)
        weights, state = self.rules.update(spec, weights, slopes, state, learning_rate)
        if not self.in_place:
            weights = map_tree(lambda p: self.place(p, "cpu"), weights)
        return weights, state, value


def copies(params: Params) -> Params:
    """NumPy's, which the rules change in place."""
    return [(as_numpy(W).copy(), None if b is None else as_numpy(b).copy()) for W, b in params]
