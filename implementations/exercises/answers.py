"""What each equation gives, in float64, and what it gives with each mistake that people make.

Written for the judge alone, from `contract/equations.py`; no file that is checked runs beside it.
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
AGAIN = "what was kept is thrown away: each step is as if it were the first"
DIVIDED = "divided by the number of examples"


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
    p: Array, dps: Sequence[Array], rate: float, keep: bool = True, root: bool = True
) -> Array:
    """U4."""
    s, steps = np.zeros_like(p), []
    for dp in dps:
        s = (s if keep else 0) + dp * dp
        p = p - rate * dp / ((np.sqrt(s) if root else s) + ADAGRAD_EPS)
        steps.append(p)
    return np.stack(steps)


def adadelta(
    p: Array, dps: Sequence[Array], rate: float, keep: bool = True, late: bool = False
) -> Array:
    """U5."""
    s, e, steps = np.zeros_like(p), np.zeros_like(p), []
    for dp in dps:
        s = RHO * (s if keep else 0) + (1 - RHO) * dp * dp
        d = np.sqrt(e + ADADELTA_EPS) / np.sqrt(s + ADADELTA_EPS) * dp
        if late:
            e = RHO * e + (1 - RHO) * d * d
            d = np.sqrt(e + ADADELTA_EPS) / np.sqrt(s + ADADELTA_EPS) * dp
        elif keep:
            e = RHO * e + (1 - RHO) * d * d
        p = p - rate * d
        steps.append(p)
    return np.stack(steps)


def adam(
    p: Array,
    dps: Sequence[Array],
    rate: float,
    decay: float = 0.0,
    keep: bool = True,
    corrected: bool = True,
    counted: bool = True,
    squared: bool = True,
    in_gradient: bool = False,
    of_rate: bool = True,
) -> Array:
    """U6 and U7."""
    m, v, steps = np.zeros_like(p), np.zeros_like(p), []
    for step, dp in enumerate(dps, start=1):
        t = step if counted else 1
        if in_gradient:
            dp = dp + decay * p
        m = BETA1 * (m if keep else 0) + (1 - BETA1) * dp
        v = BETA2 * (v if keep else 0) + (1 - BETA2) * (dp * dp if squared else np.abs(dp))
        m_hat, v_hat = (m / (1 - BETA1**t), v / (1 - BETA2**t)) if corrected else (m, v)
        if not in_gradient:
            p = p - (rate if of_rate else 1) * decay * p
        p = p - rate * m_hat / (np.sqrt(v_hat) + ADAM_EPS)
        steps.append(p)
    return np.stack(steps)


# ---- reverse mode: values by operation, and a chain of slopes ----


def operation(value: Callable[..., Any], *slopes: Callable[..., Any]) -> Answer:
    """The value of an operation on a list of numbers and its slopes, as one array."""
    return lambda x: np.array([value(*x), *(slope(*x) for slope in slopes)], float)


def chain_rule(nodes: Sequence[Any], added: bool = True, zeroed: bool = True) -> Array:
    """Grads of all nodes after backward() of the last one, and after it is called again."""
    grads, rows = np.zeros(len(nodes)), []
    for _ in range(2):
        if zeroed:
            grads = np.zeros(len(nodes))
        grads[-1] = 1.0
        for node in reversed(range(len(nodes))):
            _, parents, slopes = nodes[node]
            for parent, slope in zip(parents, slopes, strict=True):
                passed = slope * grads[node]
                grads[parent] = grads[parent] + passed if added else passed
        rows.append(grads.copy())
    return np.stack(rows)


def passed_at_once(nodes: Sequence[Any], added: bool, zeroed: bool = False) -> Array:
    """The same by recursion: what comes to a node is passed on before all of it has come."""
    grads, rows = np.zeros(len(nodes)), []

    def visit(node: int) -> None:
        _, parents, slopes = nodes[node]
        for parent, slope in zip(parents, slopes, strict=True):
            grads[parent] = (grads[parent] if added else 0) + slope * grads[node]
            visit(parent)

    for _ in range(2):
        grads[:] = 0.0 if zeroed else grads
        grads[-1] = 1.0
        visit(len(nodes) - 1)
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
# equation -> (what somebody did, what comes of it), the plainest first. Constant factors are told
# by the judge.
MISTAKES: dict[str, list[tuple[str, Answer]]] = {
    "F1": [
        ("the bias is left out", lambda a, W, b: a @ W),
        ("W is transposed", lambda a, W, b: a @ W.T + b),
        ("tanh is taken here already (F2)", lambda a, W, b: np.tanh(a @ W + b)),
        ("softmax is taken here; the loss takes it too", lambda a, W, b: softmax(a @ W + b)),
    ],
    "F2": [
        ("it is the sigmoid", sigmoid),
        ("it is relu", lambda z: np.maximum(z, 0)),
        ("it is the derivative of tanh", lambda z: 1 - np.tanh(z) ** 2),
        ("it is z itself", lambda z: z),
    ],
    "L1": [
        ("softmax is taken twice", lambda z, y: loss(softmax(z), y)),
        ("the labels are off by one", lambda z, y: loss(z, (y - 1) % z.shape[-1])),
        ("softmax goes over the wrong axis",
         lambda z, y: -np.mean(np.log(chosen(softmax(z, 0), y)))),
        ("the log is left out", lambda z, y: -np.mean(chosen(softmax(z), y))),
        ("softmax is left out", lambda z, y: -np.mean(np.log(chosen(z, y)))),
        ("log of softmax is left out", lambda z, y: -np.mean(chosen(z, y))),
        ("it is summed over all classes, whatever y is",
         lambda z, y: -np.sum(np.log(softmax(z))) / examples(z)),
    ],
    "L2": [
        ("biases are in it, too",
         lambda params, c: penalty([(p, 0) for pair in params for p in pair], c)),
        ("weights are not squared", lambda params, c: c / 2 * sum(np.sum(W) for W, _ in params)),
        ("it is the root of the sum", lambda params, c: c / 2 * np.sqrt(penalty(params, 2.0))),
        ("only the last layer is in it", lambda params, c: penalty(params[-1:], c)),
        ("only the first layer is in it", lambda params, c: penalty(params[:1], c)),
    ],
    "B1": [
        ("onehot(y) is not subtracted", lambda z, y: softmax(z) / examples(z)),
        ("onehot(y) is not subtracted, and it is not " + DIVIDED, lambda z, y: softmax(z)),
        ("softmax is left out", lambda z, y: (z - onehot(z, y)) / examples(z)),
        ("the labels are off by one", lambda z, y: output_delta(z, (y - 1) % z.shape[-1])),
        ("softmax goes over the wrong axis",
         lambda z, y: (softmax(z, 0) - onehot(z, y)) / examples(z)),
        ("softmax is taken twice", lambda z, y: output_delta(softmax(z), y)),
        ("times p (1 - p), which the loss has already",
         lambda z, y: output_delta(z, y) * softmax(z) * (1 - softmax(z))),
    ],
    "B2": [
        ("weight decay is left out", lambda a, delta, *_: weight_gradient(a, delta)),
        ("weight decay is twice as strong",
         lambda a, delta, W, c: weight_gradient(a, delta, W, 2 * c)),
        ("weight decay is " + DIVIDED,
         lambda a, delta, W, c: weight_gradient(a, delta, W, c / len(a))),
        ("it is " + DIVIDED + " again: delta has that already",
         lambda a, delta, W, c: weight_gradient(a, delta) / len(a) + c * W),
        ("it is transposed: it must have the shape of W",
         lambda a, delta, W=0.0, c=0.0: weight_gradient(a, delta).T + np.transpose(c * W)),
    ],
    "B3": [
        ("it is summed over the units instead of the examples", lambda delta: delta.sum(axis=1)),
        ("it is summed over everything", np.sum),
        ("nothing is summed", lambda delta: delta),
        ("it is the mean: delta is " + DIVIDED + " already", lambda delta: delta.mean(axis=0)),
    ],
    "B4": [
        ("the derivative of tanh is left out", lambda delta, W, a: delta @ W.T),
        ("tanh is taken of a once more: a is tanh(z) already",
         lambda delta, W, a: (delta @ W.T) * (1 - np.tanh(a) ** 2)),
        ("the derivative is that of the sigmoid, a (1 - a)",
         lambda delta, W, a: (delta @ W.T) * a * (1 - a)),
        ("the derivative is that of relu", lambda delta, W, a: (delta @ W.T) * (a > 0)),
        ("a is not squared", lambda delta, W, a: (delta @ W.T) * (1 - a)),
        ("it is a, not its derivative", lambda delta, W, a: (delta @ W.T) * a),
        ("W is not transposed", lambda delta, W, a: (delta @ W) * (1 - a * a)),
    ],
    "U1": [
        ("the step goes up: the gradient is added", lambda p, dp, rate: p + rate * dp),
        ("the learning rate is left out", lambda p, dp, rate: p - dp),
        ("it is the step alone, without p", lambda p, dp, rate: -rate * dp),
        ("nothing is changed", lambda p, dp, rate: p),
    ],
    "U2": [
        (AGAIN, partial(momentum, keep=False)),
        ("dp is taken times 1 - MOMENTUM", partial(momentum, damped=True)),
        ("p moves by the old v", partial(momentum, late=True)),
        ("it is U3", partial(momentum, nesterov=True)),
    ],
    "U3": [
        (AGAIN, partial(momentum, nesterov=True, keep=False)),
        ("it is U2", momentum),
    ],
    "U4": [
        (AGAIN, partial(adagrad, keep=False)),
        ("the root is left out", partial(adagrad, root=False)),
    ],
    "U5": [
        (AGAIN, partial(adadelta, keep=False)),
        ("e is updated before it is used", partial(adadelta, late=True)),
    ],
    "U6": [
        (AGAIN, partial(adam, keep=False)),
        (AGAIN, partial(adam, keep=False, counted=False)),
        ("m and v are not corrected for their start at zero",
         partial(adam, corrected=False)),
        ("t is 1 in every step", partial(adam, counted=False)),
        ("dp is not squared in v", partial(adam, squared=False)),
    ],
    "U7": [
        ("decay is left out", lambda p, dps, rate, decay: adam(p, dps, rate)),
        ("decay is in the gradient: that is L2, not U7", partial(adam, in_gradient=True)),
        ("decay is not taken times the learning rate", partial(adam, of_rate=False)),
        (AGAIN, partial(adam, keep=False)),
        (AGAIN, partial(adam, keep=False, counted=False)),
    ],
    "D1": [],
    "D2": [
        ("each slope is the number itself, not the other one",
         operation(lambda a, b: a * b, lambda a, b: a, lambda a, b: b)),
    ],
    "D3": [
        ("the slope lacks its square",
         operation(np.tanh, lambda a: 1 - np.tanh(a))),
        ("the slope is taken of tanh once more",
         operation(np.tanh, lambda a: 1 - np.tanh(np.tanh(a)) ** 2)),
        ("the slope is taken of self.data, not of its tanh",
         operation(np.tanh, lambda a: 1 - a * a)),
    ],
    "D4": [("the slope is that of a power", operation(np.exp, lambda a: a * np.exp(a - 1)))],
    "D5": [("the slope is the log", operation(np.log, np.log))],
    "D6": [
        ("grads add up over calls: start from zero in each",
         lambda nodes: chain_rule(nodes, zeroed=False)),
        ("a grad is set where it must be added to: a Value may be used twice",
         lambda nodes: chain_rule(nodes, added=False)),
        ("a Value passes on before it has got all: order the Values first, and add up",
         lambda nodes: passed_at_once(nodes, added=False)),
        *(("a Value passes on before it has got all: order the Values first",
           partial(passed_at_once, added=True, zeroed=zeroed)) for zeroed in (False, True)),
    ],
    "B1-B4": [
        ("weight decay is left out", lambda params, X, y, c: loss_and_grad(params, X, y)),
        ("weight decay is in the loss and not in the gradient",
         lambda *x: (loss_and_grad(*x)[0], loss_and_grad(*x[:3])[1])),
    ],
    "net": [],
}  # fmt: skip
