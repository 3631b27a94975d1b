"""What each equation gives, in float64, and its rules with what people get wrong in them.

Written for the judge alone, from `contract/equations.py`; no file that is checked runs beside it.
What mistakes give stands in `mistakes.py`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.contract.equations import (
    ADADELTA_EPS,
    ADAGRAD_EPS,
    ADAM_EPS,
    BETA1,
    BETA2,
    MOMENTUM,
    RHO,
)

Array = Any
Answer = Callable[..., Any]


def softmax(z: Array, axis: int = -1) -> Array:
    """Of each example."""
    shifted = np.exp(z - np.max(z, axis=axis, keepdims=True))
    return shifted / np.sum(shifted, axis=axis, keepdims=True)


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))


def onehot(outputs: Array, y: Array) -> Array:
    """1 in the column of the class."""
    return np.eye(outputs.shape[-1])[y]


def chosen(a: Array, y: Array) -> Array:
    """Of each example what its class has."""
    return np.sum(a * onehot(a, y), axis=-1)


def examples(outputs: Array) -> int:
    """How many there are; one vector is one."""
    return len(outputs) if np.ndim(outputs) > 1 else 1


def affine(a: Array, W: Array, b: Array) -> Array:
    """F1."""
    return a @ W + b


def loss(outputs: Array, y: Array) -> Array:
    """L1."""
    return np.mean(np.logaddexp.reduce(outputs, axis=-1) - chosen(outputs, y))


def penalty(params: Any, weight_decay: float) -> Array:
    """L2."""
    return weight_decay / 2 * sum(np.sum(W * W) for W, _ in params)


def output_delta(outputs: Array, y: Array) -> Array:
    """B1."""
    return (softmax(outputs) - onehot(outputs, y)) / examples(outputs)


def weight_gradient(a: Array, delta: Array, W: Array = 0.0, weight_decay: float = 0.0) -> Array:
    """B2; of one example the outer product."""
    return np.atleast_2d(a).T @ np.atleast_2d(delta) + weight_decay * W


def bias_gradient(delta: Array) -> Array:
    """B3."""
    return delta.sum(axis=0) if delta.ndim > 1 else delta


def hidden_delta(delta: Array, W: Array, a: Array) -> Array:
    """B4."""
    return (delta @ W.T) * (1 - a * a)


def update(p: Array, dp: Array, learning_rate: float) -> Array:
    """U1."""
    return p - learning_rate * dp


def loss_and_grad(params: Any, X: Array, y: Array, weight_decay: float = 0.0) -> Any:
    """All of it."""
    inputs: list[Array] = []
    z = X
    for W, b in params:
        inputs.append(np.tanh(z) if inputs else X)
        z = affine(inputs[-1], W, b)
    delta = output_delta(z, y)
    grads: list[Any] = []
    for (W, _), a in zip(params[::-1], inputs[::-1], strict=True):
        grads.insert(0, (weight_gradient(a, delta, W, weight_decay), bias_gradient(delta)))
        delta = hidden_delta(delta, W, a)
    return loss(z, y) + penalty(params, weight_decay), grads


# ---- rules: p after each step of a chain ----


def momentum(
    p: Array,
    dps: Sequence[Array],
    rate: float,
    keep: bool = True,
    damped: bool = False,
    nesterov: bool = False,
    late: bool = False,
) -> Array:
    """U2 and U3."""
    v, steps = np.zeros_like(p), []
    for dp in dps:
        old = v if keep else np.zeros_like(p)
        v = MOMENTUM * old + (1 - MOMENTUM if damped else 1) * dp
        p = p - rate * (dp + MOMENTUM * v if nesterov else old if late else v)
        steps.append(p)
    return np.stack(steps)


def adagrad(
    p: Array,
    dps: Sequence[Array],
    rate: float,
    keep: bool = True,
    root: bool = True,
    squared: bool = True,
) -> Array:
    """U4."""
    s, steps = np.zeros_like(p), []
    for dp in dps:
        s = (s if keep else 0) + (dp * dp if squared else dp)
        p = p - rate * dp / ((np.sqrt(s) if root else s) + ADAGRAD_EPS)
        steps.append(p)
    return np.stack(steps)


def adadelta(
    p: Array,
    dps: Sequence[Array],
    rate: float,
    keep: str = "se",
    late: bool = False,
    swapped: bool = False,
) -> Array:
    """U5."""
    s, e, steps = np.zeros_like(p), np.zeros_like(p), []
    for dp in dps:
        s = RHO * (s if "s" in keep else 0) + (1 - RHO) * dp * dp
        d = np.sqrt(e + ADADELTA_EPS) / np.sqrt(s + ADADELTA_EPS) * dp
        if late:
            e = RHO * e + (1 - RHO) * d * d
            d = np.sqrt(e + ADADELTA_EPS) / np.sqrt(s + ADADELTA_EPS) * dp
        elif "e" in keep:
            e = RHO * e + (1 - RHO) * d * d
        p = p - rate * d
        steps.append(p)
        s, e = (e, s) if swapped else (s, e)
    return np.stack(steps)


def adam(
    p: Array,
    dps: Sequence[Array],
    rate: float,
    decay: float = 0.0,
    keep: str = "mv",
    corrected: bool = True,
    counted: bool = True,
    squared: bool = True,
    in_gradient: bool = False,
    of_rate: bool = True,
    swapped: bool = False,
    ahead: int = 0,
) -> Array:
    """U6 and U7."""
    m, v, steps = np.zeros_like(p), np.zeros_like(p), []
    for step, dp in enumerate(dps, start=1):
        t = step + ahead if counted else 1
        if in_gradient:
            dp = dp + decay * p
        m = BETA1 * (m if "m" in keep else 0) + (1 - BETA1) * dp
        v = BETA2 * (v if "v" in keep else 0) + (1 - BETA2) * (dp * dp if squared else np.abs(dp))
        m_hat, v_hat = (m / (1 - BETA1**t), v / (1 - BETA2**t)) if corrected else (m, v)
        if not in_gradient:
            p = p - (rate if of_rate else 1) * decay * p
        p = p - rate * m_hat / (np.sqrt(v_hat) + ADAM_EPS)
        steps.append(p)
        m, v = (v, m) if swapped else (m, v)
    return np.stack(steps)


# ---- reverse mode: values by operation, and a chain of slopes ----


def operation(value: Callable[..., Any], *slopes: Callable[..., Any]) -> Answer:
    """The value of an operation on a list of numbers and its slopes, as one array."""
    return lambda x: np.array([value(*x), *(slope(*x) for slope in slopes)], float)


def chain_rule(
    nodes: Sequence[Any],
    added: bool = True,
    zeroed: bool = True,
    order: Sequence[int] | None = None,
) -> Array:
    """Grads of all nodes after backward() of the last one, and after it is called again.

    Args:
        order: in which nodes pass on what they have; the last first, if none is given.
    """
    grads, rows = np.zeros(len(nodes)), []
    for _ in range(2):
        if zeroed:
            grads = np.zeros(len(nodes))
        grads[-1] = 1.0
        for node in order or reversed(range(len(nodes))):
            _, parents, slopes = nodes[node]
            for parent, slope in zip(parents, slopes, strict=True):
                passed = slope * grads[node]
                grads[parent] = grads[parent] + passed if added else passed
        rows.append(grads.copy())
    return np.stack(rows)


# equation -> what is right
RIGHT: dict[str, Answer] = {
    "F1": affine,
    "F2": np.tanh,
    "L1": loss,
    "L2": penalty,
    "B1": output_delta,
    "B2": weight_gradient,
    "B3": bias_gradient,
    "B4": hidden_delta,
    "B1-B4": loss_and_grad,
    "net": loss_and_grad,
    "U1": update,
    "U2": momentum,
    "U3": partial(momentum, nesterov=True),
    "U4": adagrad,
    "U5": adadelta,
    "U6": adam,
    "U7": adam,
    "D1": operation(lambda a, b: a + b, lambda a, b: 1.0, lambda a, b: 1.0),
    "D2": operation(lambda a, b: a * b, lambda a, b: b, lambda a, b: a),
    "D3": operation(np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    "D4": operation(np.exp, np.exp),
    "D5": operation(np.log, lambda a: 1 / a),
    "D6": chain_rule,
}
