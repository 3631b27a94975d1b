"""The float64 reference: outputs, loss, gradient and updated params, written on its own.

It shares no code with a registered implementation, and is derived another way on purpose:
homogeneous coordinates (the "bias trick": b is the last row of W and every a_l gets a last
column of ones), derivatives as functions of z alone, softmax through logaddexp. The tests
check it against mpmath at 50 digits and against central differences of its own loss.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from implementations.interface import MLPSpec, Params

Array = Any


@dataclass(frozen=True)
class Expected:
    """What an implementation has to find on one batch, in float64.

    Attributes:
        outputs: (batch, outputs).
        loss: a float.
        grads: nested and shaped like params.
        magnitudes: like grads; the sum of |terms| behind each entry, which bounds what
            rounding can do to it even where the terms cancel. None for a float32 network, where
            no entry is held to it.
        learning_rate: chosen so that every update is at least four times what it updates.
        updated: params after one step at that rate.
    """

    outputs: Array
    loss: float
    grads: Params
    magnitudes: Params | None
    learning_rate: float
    updated: Params


def expected(spec: MLPSpec, params: Params, X: Array, y: Array) -> Expected:
    """All reference results of one batch; params and X of any dtype are taken as float64."""
    matrices = [_joined(W, b) for W, b in params]
    inputs, zs = _propagate(spec, matrices, X)
    outputs = _value(spec.activations[-1], zs[-1])
    slope, _ = _loss_slope(spec, outputs, y)
    grads: Params = []
    for layer in reversed(range(len(matrices))):
        delta = slope * _derivative(spec.activations[layer], zs[layer])
        gradient = inputs[layer].T @ delta
        rows = len(params[layer][0])  # the row of b is not decayed, and leads nowhere
        gradient[:rows] += spec.weight_decay * matrices[layer][:rows]
        grads.insert(0, _split(spec, gradient))
        if layer > 0:
            slope = delta @ matrices[layer][:rows].T
    rate = _telling_rate(params, grads)
    return Expected(
        outputs=outputs,
        loss=_loss(spec, matrices, outputs, y),
        grads=grads,
        magnitudes=_magnitudes(spec, matrices, inputs, zs, y) if spec.dtype == "float64" else None,
        learning_rate=rate,
        updated=updated(spec, params, grads, rate),
    )


def loss(spec: MLPSpec, params: Params, X: Array, y: Array) -> float:
    """The loss alone, for central differences."""
    matrices = [_joined(W, b) for W, b in params]
    outputs = _value(spec.activations[-1], _propagate(spec, matrices, X)[1][-1])
    return _loss(spec, matrices, outputs, y)


def updated(spec: MLPSpec, params: Params, grads: Params, learning_rate: float) -> Params:
    """Params after one step of the spec's optimiser from its initial state."""
    if spec.optimizer != "sgd":
        raise ValueError(f"the reference does not know the optimizer {spec.optimizer!r}")

    def descended(p: Array, dp: Array) -> Array:
        return None if p is None else np.asarray(p, np.float64) - learning_rate * dp

    return [
        (descended(W, dW), descended(b, db)) for (W, b), (dW, db) in zip(params, grads, strict=True)
    ]


def clear_of_kinks(spec: MLPSpec, params: Params, X: Array) -> Array:
    """Which examples of X have no preactivation within rounding of a kink: bool, (batch,).

    With relu, a preactivation of |z| <= 4 eps (|a| |W| + |b|), eps of the spec's dtype, may
    get either sign from a correct implementation, and so a gradient that is off by a whole
    term. Such an example cannot tell right from wrong; kinks are tested on their own.
    """
    clear = np.ones(len(X), dtype=bool)
    if spec.activation != "relu":
        return clear
    matrices = [_joined(W, b) for W, b in params]
    inputs, zs = _propagate(spec, matrices, X)
    eps = np.finfo(spec.dtype).eps
    for a, z, M in zip(inputs[:-1], zs[:-1], matrices[:-1], strict=True):
        clear &= (np.abs(z) > 4 * eps * (np.abs(a) @ np.abs(M))).all(axis=1)
    return clear


def _magnitudes(
    spec: MLPSpec, matrices: list[Array], inputs: list[Array], zs: list[Array], y: Array
) -> Params:
    """The gradient's sums with |term| for each term."""
    outputs = _value(spec.activations[-1], zs[-1])
    _, slope = _loss_slope(spec, outputs, y)
    found: Params = []
    for layer in reversed(range(len(matrices))):
        delta = slope * np.abs(_derivative(spec.activations[layer], zs[layer]))
        terms = np.abs(inputs[layer]).T @ delta
        rows = spec.layer_sizes[layer]
        terms[:rows] += spec.weight_decay * np.abs(matrices[layer][:rows])
        found.insert(0, _split(spec, terms))
        if layer > 0:
            slope = delta @ np.abs(matrices[layer][:rows]).T
    return found


def _joined(W: Array, b: Array) -> Array:
    W = np.asarray(W, np.float64)
    return W if b is None else np.vstack([W, np.asarray(b, np.float64)])


def _split(spec: MLPSpec, joined: Array) -> tuple[Array, Array]:
    return (joined[:-1], joined[-1]) if spec.bias else (joined, None)


def _propagate(spec: MLPSpec, matrices: list[Array], X: Array) -> tuple[list[Array], list[Array]]:
    inputs, zs = [], []
    a = np.asarray(X, np.float64)
    for M, name in zip(matrices, spec.activations, strict=True):
        extended = np.hstack([a, np.ones((len(a), 1))]) if spec.bias else a
        inputs.append(extended)
        zs.append(extended @ M)
        a = _value(name, zs[-1])
    return inputs, zs


def _value(name: str, z: Array) -> Array:
    if name == "identity":
        return z
    if name == "relu":
        return np.where(z > 0, z, 0.0)
    if name == "sigmoid":
        return np.exp(-np.logaddexp(0, -z))
    if name == "tanh":
        return np.tanh(z)
    raise ValueError(f"the reference does not know the activation {name!r}")


def _derivative(name: str, z: Array) -> Array:
    if name == "identity":
        return np.ones_like(z)
    if name == "relu":
        return np.heaviside(z, 0.0)
    if name == "sigmoid":
        return np.exp(-np.logaddexp(0, -z) - np.logaddexp(0, z))
    if name == "tanh":
        with np.errstate(over="ignore"):  # cosh(z) = inf gives the right 0
            return 1 / np.cosh(z) ** 2
    raise ValueError(f"the reference does not know the activation {name!r}")


def _loss(spec: MLPSpec, matrices: list[Array], outputs: Array, y: Array) -> float:
    if spec.loss == "cross_entropy":
        chosen = outputs[np.arange(len(outputs)), y]
        value = np.mean(np.logaddexp.reduce(outputs, axis=1) - chosen)
    else:
        value = np.sum((outputs - y) ** 2) / 2 / len(outputs)
    if spec.weight_decay:
        for M, fan_in in zip(matrices, spec.layer_sizes, strict=False):
            value += spec.weight_decay * np.sum(M[:fan_in] ** 2) / 2
    return float(value)


def _loss_slope(spec: MLPSpec, outputs: Array, y: Array) -> tuple[Array, Array]:
    batch = len(outputs)
    if spec.loss == "mse":
        return (outputs - y) / batch, (np.abs(outputs) + np.abs(y)) / batch
    softmax = np.exp(outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True))
    target = np.eye(outputs.shape[1])[y]
    return (softmax - target) / batch, (softmax + target) / batch


def _telling_rate(params: Params, grads: Params) -> float:
    # With a small rate a wrong gradient hides behind a large weight. At this one every tensor's
    # update is at least four times the tensor: it dominates the result and cannot cancel it.
    ratios = [
        4 * np.max(np.abs(p)) / np.max(np.abs(dp))
        for layer, dlayer in zip(params, grads, strict=True)
        for p, dp in zip(layer, dlayer, strict=True)
        if p is not None and np.any(p) and np.any(dp)
    ]
    # The same number in float32 and float64, and no overflow where a gradient all but vanishes.
    return float(np.float32(np.clip(max(ratios, default=1.0), 1.0, 1e6)))
