"""The network as scikit-learn has it: MLPClassifier and MLPRegressor, one step per partial_fit.

scikit-learn has no interface to a gradient, so this module has a training step and nothing to take
apart: a step of gradient descent shows every gradient in the params it leaves. What it cannot do
it refuses: rules other than sgd, dropout, networks without b, two classes (one logistic unit
there), binary cross entropy (only for labels 0 and 1 there). Arrays are those of the NumPy network.
"""

from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from samegrad.implementations.backends.numpy_backend import NumpyBackend
from samegrad.implementations.contract.layers import refuse_forward_only
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.functions_numpy import Array, Params

ACTIVATIONS = {"identity": "identity", "relu": "relu", "sigmoid": "logistic", "tanh": "tanh"}


class EstimatorBackend(NumpyBackend):
    """Params are a fitted estimator."""

    def place_params(self, spec: MLPSpec, params: Any, device: str) -> Any:
        """A fitted estimator with these weights."""
        options: dict[str, Any] = {
            "hidden_layer_sizes": spec.layer_sizes[1:-1],
            "activation": ACTIVATIONS[spec.activation],
            "solver": "sgd",
            "momentum": 0.0,
            "nesterovs_momentum": False,
            "shuffle": False,
            "n_iter_no_change": 2**31,
        }
        features, outputs = spec.layer_sizes[0], spec.layer_sizes[-1]
        X, classes = np.zeros((outputs, features), spec.dtype), np.arange(outputs)
        # The first partial_fit makes the arrays; then they hold what is given.
        if spec.loss == "cross_entropy":
            estimator = MLPClassifier(**options).partial_fit(X, classes, classes=classes)
        else:
            y = np.zeros((len(X), outputs), spec.dtype)
            estimator = MLPRegressor(**options).partial_fit(X, y[:, 0] if outputs == 1 else y)
        for (W, b), coef, intercept in zip(
            params, estimator.coefs_, estimator.intercepts_, strict=True
        ):
            coef[...], intercept[...] = W, b
        return estimator

    def fetch(self, tree: Tree) -> Tree:
        """Arrays as independent copies; an estimator as its [(W, b), ...]."""
        return super().fetch(map_tree(_opened, tree))


def refuse(spec: MLPSpec, masks: Tree = None) -> None:
    """Raise NotImplementedError for what scikit-learn does not have."""
    for lacking, what in (
        (spec.dropout or masks is not None, "dropout"),
        (not spec.bias, "a network without b"),
        (spec.optimizer != "sgd", f"optimizer {spec.optimizer!r} as it is defined here"),
        (spec.activation not in ACTIVATIONS, f"activation {spec.activation!r}"),
        (spec.output_activation != "identity", f"output activation {spec.output_activation!r}"),
        (spec.loss == "binary_cross_entropy", "binary cross entropy of probabilities"),
        (spec.loss == "cross_entropy" and spec.layer_sizes[-1] < 3, "fewer than three classes"),
        (spec.loss == "mse" and spec.weight_decay, "mse with weight decay in one loss"),
    ):
        if lacking:
            raise NotImplementedError(f"sklearn has no {what}")


BACKEND = EstimatorBackend()
CAPABILITIES = Capabilities(refuse=refuse)


def forward(spec: MLPSpec, params: Any, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs) of a regressor; a classifier gives no a_L."""
    refuse(spec, masks)
    if spec.loss == "cross_entropy":
        raise NotImplementedError("sklearn has no outputs: a classifier gives their softmax")
    return params.predict(X).reshape(len(X), -1)  # F1, F2


def loss(spec: MLPSpec, params: Any, X: Array, y: Array, masks: Tree = None) -> Array:
    """Not without a step: partial_fit says the loss before it."""
    raise NotImplementedError("sklearn has no loss without a step; use train_step")


# B1-B4: scikit-learn's own backpropagation, inside partial_fit


def loss_and_grad(
    spec: MLPSpec, params: Any, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Not to be had: scikit-learn applies its gradient and does not show it."""
    raise NotImplementedError("sklearn has no interface to a gradient; use train_step")


def init_state(spec: MLPSpec, params: Any) -> Tree:
    """() of gradient descent; the estimator keeps whatever else it needs."""
    refuse(spec)
    return ()


def train_step(
    spec: MLPSpec,
    params: Any,
    state: Tree,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Any, Tree, Array]:
    """The estimator after one step in place, and the loss before it."""
    refuse_forward_only(spec)
    refuse(spec, masks)
    params.batch_size = len(X)
    params.alpha = spec.weight_decay * len(X)  # alpha / (2 batch) sum of W^2 is added there: L2
    # The rate is given once, when an estimator is made; ours is an argument of each step.
    params._optimizer.learning_rate = learning_rate
    outputs = spec.layer_sizes[-1]
    params.partial_fit(X, y[:, 0] if spec.loss == "mse" and outputs == 1 else y)  # U1
    # The mean over outputs there, their sum here: L1 of mse. The gradients are the same.
    value = params.loss_ * (outputs if spec.loss == "mse" else 1)
    return params, state, np.asarray(value, spec.dtype)


def _opened(leaf: Any) -> Any:
    """An estimator as its pairs (W, b)."""
    if not hasattr(leaf, "coefs_"):
        return leaf
    return list(zip(leaf.coefs_, leaf.intercepts_, strict=True))
