"""Tables of the scalar network: activations, losses and optimisers on floats and lists.

Each derivative is derived by hand, and takes both z and a = g(z), whichever is handier.
"""

import math
from collections.abc import Callable
from typing import Any

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
from samegrad.implementations.contract.layers import layers_of, refuse_mask
from samegrad.implementations.contract.spec import MLPSpec

Row = list[float]
Matrix = list[Row]
Params = list[tuple[Matrix, Row | None]]


def sigmoid(z: float) -> float:
    """1 / (1 + exp(-z)), written so that exp never sees a large positive number."""
    if z >= 0:
        return 1.0 / (1.0 + math.exp(-z))
    return math.exp(z) / (1.0 + math.exp(z))


def softplus(z: float) -> float:
    """log(1 + exp(z)), its larger part taken out first."""
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def gelu(z: float) -> float:
    """z/2 (1 + tanh(u)) = z sigmoid(2u), u = sqrt(2/pi) (z + 0.044715 z^3)."""
    return z * sigmoid(2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))


def d_gelu(z: float, a: float) -> float:
    """s + z s (1 - s) 2u', with s = sigmoid(2u)."""
    c = 2 * math.sqrt(2 / math.pi)
    s = sigmoid(c * (z + 0.044715 * z * z * z))
    return s + z * s * (1.0 - s) * c * (1.0 + 3 * 0.044715 * z * z)


def d_silu(z: float, a: float) -> float:
    """s + z s (1 - s), with s = sigmoid(z)."""
    s = sigmoid(z)
    return s + a * (1.0 - s)


def lif_rate(v: float) -> float:
    """1 / (T_REF + TAU log(1 + 1/j)), where log(1 + 1/j) = log(1 + j) - log(j) for any j > 0."""
    u = (v - 1.0) / LIF_WIDTH
    log_softplus = u if u < -40 else math.log(softplus(u))  # there softplus(u) = exp(u)
    j = LIF_WIDTH * softplus(u)
    return 1.0 / (T_REF + TAU * (math.log1p(j) - math.log(LIF_WIDTH) - log_softplus))


def d_lif_rate(v: float, a: float) -> float:
    """a^2 TAU j' / (j (1 + j)), with j'/j = sigmoid(u) / softplus(u) / LIF_WIDTH."""
    u = (v - 1.0) / LIF_WIDTH
    ratio = 1.0 if u < -40 else sigmoid(u) / softplus(u)
    return a * a * TAU / LIF_WIDTH * ratio / (1.0 + LIF_WIDTH * softplus(u))


def unit_step(z: float) -> float:
    """1 for z > 0, else 0."""
    return 1.0 if z > 0 else 0.0


# name: (g(z), g'(z) from z and a = g(z))
ACTIVATIONS: dict[str, tuple[Callable[[float], float], Callable[[float, float], float]]] = {
    "identity": (lambda z: z, lambda z, a: 1.0),
    "relu": (lambda z: z if z > 0 else 0.0, lambda z, a: 1.0 if z > 0 else 0.0),
    "leaky_relu": (
        lambda z: z if z > 0 else LEAKY_SLOPE * z,
        lambda z, a: 1.0 if z > 0 else LEAKY_SLOPE,
    ),
    "sigmoid": (sigmoid, lambda z, a: a * (1.0 - a)),
    "tanh": (math.tanh, lambda z, a: 1.0 - a * a),
    "gelu": (gelu, d_gelu),
    "silu": (lambda z: z * sigmoid(z), d_silu),
    "softplus": (softplus, lambda z, a: sigmoid(z)),
    "lif_rate": (lif_rate, d_lif_rate),
    "unit_step": (unit_step, lambda z, a: math.nan),
}
layers = layers_of(ACTIVATIONS)


def drop(a: Matrix, m: Matrix | None) -> Matrix:
    """m * a, or a itself where there is no mask."""
    if m is None:
        return a
    refuse_mask(m, a)
    return [
        [m_nj * a_nj for m_nj, a_nj in zip(m_n, a_n, strict=True)]
        for m_n, a_n in zip(m, a, strict=True)
    ]


def one_hot(outputs: list[Row]) -> list[Row]:
    """1 at each row's largest output (the first of equals), 0 elsewhere."""
    largest = [max(range(len(a)), key=a.__getitem__) for a in outputs]
    return [
        [1.0 if j == best else 0.0 for j in range(len(a))]
        for a, best in zip(outputs, largest, strict=True)
    ]


def log_softmax(logits: Row) -> Row:
    """log(exp(logits_j) / sum_k exp(logits_k)), with the largest logit taken out first."""
    largest = max(logits)
    log_sum = math.log(sum(math.exp(logit - largest) for logit in logits))
    return [logit - largest - log_sum for logit in logits]


def cross_entropy(outputs: list[Row], y: list[int]) -> float:
    """Mean of -log softmax(outputs)[y]."""
    return -sum(log_softmax(a)[label] for a, label in zip(outputs, y, strict=True)) / len(y)


def d_cross_entropy(outputs: list[Row], y: list[int]) -> list[Row]:
    """(softmax(outputs) - onehot(y)) / batch."""
    return [
        [
            (math.exp(log_p) - (1.0 if j == label else 0.0)) / len(y)
            for j, log_p in enumerate(log_softmax(a))
        ]
        for a, label in zip(outputs, y, strict=True)
    ]


def binary_cross_entropy(outputs: list[Row], y: list[Row]) -> float:
    """1/batch of the sum of -y log p - (1 - y) log(1 - p), p = sigmoid(outputs)."""
    return sum(
        softplus(a_j) - y_j * a_j
        for a, y_n in zip(outputs, y, strict=True)
        for a_j, y_j in zip(a, y_n, strict=True)
    ) / len(y)


def d_binary_cross_entropy(outputs: list[Row], y: list[Row]) -> list[Row]:
    """(sigmoid(outputs) - y) / batch."""
    return [
        [(sigmoid(a_j) - y_j) / len(y) for a_j, y_j in zip(a, y_n, strict=True)]
        for a, y_n in zip(outputs, y, strict=True)
    ]


def mse(outputs: list[Row], y: list[Row]) -> float:
    """1/(2 batch) of the sum of (outputs - y)^2."""
    return sum(
        (a_j - y_j) ** 2
        for a, y_n in zip(outputs, y, strict=True)
        for a_j, y_j in zip(a, y_n, strict=True)
    ) / (2 * len(y))


def d_mse(outputs: list[Row], y: list[Row]) -> list[Row]:
    """(outputs - y) / batch."""
    return [
        [(a_j - y_j) / len(y) for a_j, y_j in zip(a, y_n, strict=True)]
        for a, y_n in zip(outputs, y, strict=True)
    ]


# name: (loss, dloss/doutputs)
LOSSES: dict[str, tuple[Callable[..., float], Callable[..., list[Row]]]] = {
    "cross_entropy": (cross_entropy, d_cross_entropy),
    "binary_cross_entropy": (binary_cross_entropy, d_binary_cross_entropy),
    "mse": (mse, d_mse),
}


def penalty(spec: MLPSpec, params: Params) -> float:
    """l2/2 times the sum of W^2."""
    squares = (W_ij * W_ij for W, _ in params for W_i in W for W_ij in W_i)
    return spec.l2 / 2 * sum(squares) if spec.l2 else 0.0


# Each rule updates a row of numbers p, with gradient dp, and its rows of state, in place.


def sgd(p: Row, dp: Row, state: list[Row], t: int, learning_rate: float) -> None:
    """Gradient descent."""
    for j, dp_j in enumerate(dp):
        p[j] -= learning_rate * dp_j  # U1


def momentum(p: Row, dp: Row, state: list[Row], t: int, learning_rate: float) -> None:
    """The velocity v remembers the gradients."""
    (v,) = state
    for j, dp_j in enumerate(dp):
        v[j] = MOMENTUM * v[j] + dp_j  # U2
        p[j] -= learning_rate * v[j]  # U2


def nesterov(p: Row, dp: Row, state: list[Row], t: int, learning_rate: float) -> None:
    """Momentum that looks one step ahead."""
    (v,) = state
    for j, dp_j in enumerate(dp):
        v[j] = MOMENTUM * v[j] + dp_j  # U3
        p[j] -= learning_rate * (dp_j + MOMENTUM * v[j])  # U3


def adagrad(p: Row, dp: Row, state: list[Row], t: int, learning_rate: float) -> None:
    """Each number's rate falls with the sum of its squared gradients."""
    (s,) = state
    for j, dp_j in enumerate(dp):
        s[j] += dp_j * dp_j  # U4
        p[j] -= learning_rate * dp_j / (math.sqrt(s[j]) + ADAGRAD_EPS)  # U4


def adadelta(p: Row, dp: Row, state: list[Row], t: int, learning_rate: float) -> None:
    """Steps in the units of p, from running averages of dp^2 and d^2."""
    s, e = state
    for j, dp_j in enumerate(dp):
        s[j] = RHO * s[j] + (1 - RHO) * dp_j * dp_j  # U5
        d = math.sqrt(e[j] + ADADELTA_EPS) / math.sqrt(s[j] + ADADELTA_EPS) * dp_j  # U5
        e[j] = RHO * e[j] + (1 - RHO) * d * d  # U5
        p[j] -= learning_rate * d  # U5


def adam(p: Row, dp: Row, state: list[Row], t: int, learning_rate: float) -> None:
    """Running averages of dp and dp^2, corrected for their start at zero."""
    m, v = state
    for j, dp_j in enumerate(dp):
        m[j] = BETA1 * m[j] + (1 - BETA1) * dp_j  # U6
        v[j] = BETA2 * v[j] + (1 - BETA2) * dp_j * dp_j  # U6
        m_hat, v_hat = m[j] / (1 - BETA1**t), v[j] / (1 - BETA2**t)  # U6
        p[j] -= learning_rate * m_hat / (math.sqrt(v_hat) + ADAM_EPS)  # U6


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
    """(0 steps done, for each row of W and for b as many rows of zeros as the rule keeps)."""
    _, kept = OPTIMIZERS[spec.optimizer]

    def zeros(row: Row) -> list[Row]:
        return [[0.0] * len(row) for _ in range(kept)]

    return 0, [([zeros(W_i) for W_i in W], b if b is None else zeros(b)) for W, b in params]


def update(spec: MLPSpec, params: Any, grads: Any, state: Any, learning_rate: float) -> Any:
    """Params and state after one step of the spec's rule, in place."""
    rule, _ = OPTIMIZERS[spec.optimizer]
    t, kept = state[0] + 1, state[1]
    for (W, b), (dW, db), (kept_W, kept_b) in zip(params, grads, kept, strict=True):
        for W_i, dW_i, kept_i in zip(W, dW, kept_W, strict=True):
            if spec.decay:
                for j in range(len(W_i)):
                    W_i[j] -= learning_rate * spec.decay * W_i[j]  # U7
            rule(W_i, dW_i, kept_i, t, learning_rate)
        if b is not None:
            rule(b, db, kept_b, t, learning_rate)
    return params, (t, kept)


def perceptron(params: Any, X: list[Row], y: list[int]) -> tuple[Any, int]:
    """Params after one pass of the perceptron rule in place, and how many mistakes it made."""
    (W, b), mistakes = params[0], 0
    for x, label in zip(X, y, strict=True):
        z = list(b)
        for x_i, W_i in zip(x, W, strict=True):
            for j, W_ij in enumerate(W_i):
                z[j] += x_i * W_ij  # F1
        guess = z.index(max(z))
        if guess != label:
            mistakes += 1
            for j, error in ((label, 1.0), (guess, -1.0)):  # onehot(y) - onehot(argmax z)
                for i, x_i in enumerate(x):
                    W[i][j] += x_i * error  # P1
                b[j] += error  # P1
    return params, mistakes
