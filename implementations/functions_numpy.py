"""Tables of the NumPy network: activations, losses and optimisers on arrays.

Each derivative is derived by hand, and takes both z and a = g(z), whichever is handier.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.implementations.contract.equations import (
    ADADELTA_EPS,
    ADAGRAD_EPS,
    ADAM_EPS,
    BETA1,
    BETA2,
    LEAKY_SLOPE,
    LIF_WIDTH,
    MOMENTUM,
    RHO,
    T_REF,
    TAU,
)
from samegrad.implementations.contract.layers import layers_of
from samegrad.implementations.contract.spec import MLPSpec, map_tree

Array = np.ndarray
Params = list[tuple[Array, Array | None]]


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), written so that exp never sees a large positive number."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def softplus(z: Array) -> Array:
    """log(1 + exp(z)), its larger part taken out first."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def gelu(z: Array) -> Array:
    """z/2 (1 + tanh(u)) = z sigmoid(2u), u = sqrt(2/pi) (z + 0.044715 z^3)."""
    return z * sigmoid(2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))


def d_gelu(z: Array, a: Array) -> Array:
    """s + z s (1 - s) 2u', with s = sigmoid(2u)."""
    c = 2 * math.sqrt(2 / math.pi)
    s = sigmoid(c * (z + 0.044715 * z * z * z))
    return s + z * s * (1 - s) * c * (1 + 3 * 0.044715 * z * z)


def d_silu(z: Array, a: Array) -> Array:
    """s + z s (1 - s), with s = sigmoid(z)."""
    s = sigmoid(z)
    return s + a * (1 - s)


def lif_rate(v: Array) -> Array:
    """1 / (T_REF + TAU log(1 + 1/j)), where log(1 + 1/j) = log(1 + j) - log(j) for any j > 0."""
    u = (v - 1) / LIF_WIDTH
    log_softplus = np.where(u < -40, u, np.log(softplus(np.maximum(u, -40))))
    j = LIF_WIDTH * softplus(u)
    return 1 / (T_REF + TAU * (np.log1p(j) - math.log(LIF_WIDTH) - log_softplus))


def d_lif_rate(v: Array, a: Array) -> Array:
    """a^2 TAU j' / (j (1 + j)), with j'/j = sigmoid(u) / softplus(u) / LIF_WIDTH."""
    u = (v - 1) / LIF_WIDTH
    clipped = np.maximum(u, -40)
    ratio = np.where(u < -40, 1, sigmoid(clipped) / softplus(clipped))
    return a * a * (TAU / LIF_WIDTH) * ratio / (1 + LIF_WIDTH * softplus(u))


def unit_step(z: Array) -> Array:
    """1 for z > 0, else 0."""
    return (z > 0).astype(z.dtype)


# name: (g(z), g'(z) from z and a = g(z))
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array | float]]] = {
    "identity": (lambda z: z, lambda z, a: 1.0),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z, a: z > 0),
    "leaky_relu": (
        lambda z: np.where(z > 0, z, LEAKY_SLOPE * z),
        lambda z, a: np.where(z > 0, 1, z.dtype.type(LEAKY_SLOPE)),
    ),
    "sigmoid": (sigmoid, lambda z, a: a * (1 - a)),
    "tanh": (np.tanh, lambda z, a: 1 - a * a),
    "gelu": (gelu, d_gelu),
    "silu": (lambda z: z * sigmoid(z), d_silu),
    "softplus": (softplus, lambda z, a: sigmoid(z)),
    "lif_rate": (lif_rate, d_lif_rate),
    "unit_step": (unit_step, lambda z, a: math.nan),
}
layers = layers_of(ACTIVATIONS)


def one_hot(outputs: Array) -> Array:
    """1 at each row's largest output (the first of equals), 0 elsewhere."""
    return np.eye(outputs.shape[1], dtype=outputs.dtype)[outputs.argmax(axis=1)]


def log_softmax(logits: Array) -> Array:
    """log(exp(logits) / sum exp(logits)) per row, with the largest logit taken out first."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(outputs: Array, y: Array) -> Array:
    """Mean of -log softmax(outputs)[y]."""
    return -log_softmax(outputs)[np.arange(len(y)), y].mean()


def d_cross_entropy(outputs: Array, y: Array) -> Array:
    """(softmax(outputs) - onehot(y)) / batch."""
    delta = np.exp(log_softmax(outputs))
    delta[np.arange(len(y)), y] -= 1
    return delta / len(y)


def binary_cross_entropy(outputs: Array, y: Array) -> Array:
    """1/batch of the sum of -y log p - (1 - y) log(1 - p), p = sigmoid(outputs)."""
    return (softplus(outputs) - y * outputs).sum() / len(y)


def d_binary_cross_entropy(outputs: Array, y: Array) -> Array:
    """(sigmoid(outputs) - y) / batch."""
    return (sigmoid(outputs) - y) / len(y)


def mse(outputs: Array, y: Array) -> Array:
    """1/(2 batch) of the sum of (outputs - y)^2."""
    return np.square(outputs - y).sum() / (2 * len(y))


def d_mse(outputs: Array, y: Array) -> Array:
    """(outputs - y) / batch."""
    return (outputs - y) / len(y)


# name: (loss, dloss/doutputs)
LOSSES: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    "cross_entropy": (cross_entropy, d_cross_entropy),
    "binary_cross_entropy": (binary_cross_entropy, d_binary_cross_entropy),
    "mse": (mse, d_mse),
}


def penalty(spec: MLPSpec, params: Params) -> float:
    """l2/2 times the sum of W^2."""
    return spec.l2 / 2 * sum(np.square(W).sum() for W, _ in params) if spec.l2 else 0


# Each rule updates an array p, with gradient dp, and its arrays of state, in place.


def sgd(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """Gradient descent."""
    p -= learning_rate * dp  # U1


def momentum(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """The velocity v remembers the gradients."""
    (v,) = state
    v[...] = MOMENTUM * v + dp  # U2
    p -= learning_rate * v  # U2


def nesterov(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """Momentum that looks one step ahead."""
    (v,) = state
    v[...] = MOMENTUM * v + dp  # U3
    p -= learning_rate * (dp + MOMENTUM * v)  # U3


def adagrad(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """Each number's rate falls with the sum of its squared gradients."""
    (s,) = state
    s += dp * dp  # U4
    p -= learning_rate * dp / (np.sqrt(s) + ADAGRAD_EPS)  # U4


def adadelta(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """Steps in the units of p, from running averages of dp^2 and d^2."""
    s, e = state
    s[...] = RHO * s + (1 - RHO) * dp * dp  # U5
    d = np.sqrt(e + ADADELTA_EPS) / np.sqrt(s + ADADELTA_EPS) * dp  # U5
    e[...] = RHO * e + (1 - RHO) * d * d  # U5
    p -= learning_rate * d  # U5


def adam(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """Running averages of dp and dp^2, corrected for their start at zero."""
    m, v = state
    m[...] = BETA1 * m + (1 - BETA1) * dp  # U6
    v[...] = BETA2 * v + (1 - BETA2) * dp * dp  # U6
    m_hat, v_hat = m / (1 - BETA1**t), v / (1 - BETA2**t)  # U6
    p -= learning_rate * m_hat / (np.sqrt(v_hat) + ADAM_EPS)  # U6


# name: (the rule, how many numbers of state it keeps per parameter)
OPTIMIZERS: dict[str, tuple[Callable[..., None], int]] = {
    "sgd": (sgd, 0),
    "momentum": (momentum, 1),
    "nesterov": (nesterov, 1),
    "adagrad": (adagrad, 1),
    "adadelta": (adadelta, 2),
    "adam": (adam, 2),
    "adamw": (adam, 2),  # U7 comes first, in `update`
}


def init_state(spec: MLPSpec, params: Any) -> tuple[int, Any]:
    """(0 steps done, for each W and b as many arrays of zeros as the rule keeps)."""
    _, kept = OPTIMIZERS[spec.optimizer]
    return 0, map_tree(lambda p: [np.zeros_like(p) for _ in range(kept)], params)


def update(spec: MLPSpec, params: Any, grads: Any, state: Any, learning_rate: float) -> Any:
    """Params and state after one step of the spec's rule, in place."""
    rule, _ = OPTIMIZERS[spec.optimizer]
    t, kept = state[0] + 1, state[1]
    for (W, b), (dW, db), (kept_W, kept_b) in zip(params, grads, kept, strict=True):
        if spec.decay:
            W -= learning_rate * spec.decay * W  # U7
        rule(W, dW, kept_W, t, learning_rate)
        if b is not None:
            rule(b, db, kept_b, t, learning_rate)
    return params, (t, kept)


def perceptron(params: Any, X: Array, y: Array) -> tuple[Any, int]:
    """Params after one pass of the perceptron rule in place, and how many mistakes it made."""
    (W, b), mistakes = params[0], 0
    onehot = np.eye(len(b), dtype=W.dtype)
    for x, label in zip(X, y, strict=True):
        guess = (x @ W + b).argmax()  # F1
        if guess != label:
            mistakes += 1
            error = onehot[label] - onehot[guess]
            W += np.outer(x, error)  # P1
            b += error  # P1
    return params, mistakes
