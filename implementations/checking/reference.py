"""The float64 reference: outputs, loss, gradient and updated params, written on its own.

It shares no code with a registered implementation, and is derived another way on purpose:
homogeneous coordinates (the "bias trick": b is the last row of W and every a_l gets a last
column of ones), derivatives as functions of z alone, softmax through logaddexp, update rules as
sums over all gradients so far. The tests check it against mpmath at 50 digits and against central
differences of its own loss.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from samegrad.implementations.contract.layers import layer_masks, refuse_forward_only
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree

Array = Any
Drops = Sequence[Array | None]
KINKED = ("relu", "leaky_relu", "unit_step")
GELU = 2 * np.sqrt(2 / np.pi)
# Of the terms that an activation sums, besides itself: with comparison.ELEMENTWISE_BOUND 14 eps of
# them. Of 300 sums of 64, 784 and 3,072 positive terms and their like the worst had 2, 6 and 10.
LEFT = 3e-4


@dataclass(frozen=True)
class Expected:
    """What an implementation has to give on one batch, in float64.

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


def expected(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Expected:
    """All reference results of one batch; params and X of any dtype are taken as float64.

    Raises:
        ValueError: an activation has no derivative.
    """
    refuse_forward_only(spec)
    matrices = [_joined(W, b) for W, b in params]
    drops = layer_masks(spec, masks, len(X))
    inputs, zs = _propagate(spec, matrices, X, drops)
    outputs = activation_value(spec.activations[-1], zs[-1])
    slope, _ = loss_slope(spec, outputs, y)
    grads: Params = []
    for layer in reversed(range(len(matrices))):
        delta = (
            slope * _kept(drops[layer]) * activation_derivative(spec.activations[layer], zs[layer])
        )
        gradient = inputs[layer].T @ delta
        rows = len(params[layer][0])  # the row of b is not decayed, and leads nowhere
        gradient[:rows] += spec.l2 * matrices[layer][:rows]
        grads.insert(0, _split(spec, gradient))
        if layer > 0:
            slope = delta @ matrices[layer][:rows].T
    exact = spec.dtype == "float64"
    rate = _telling_rate(params, directions(spec, [grads]))
    return Expected(
        outputs=outputs,
        loss=_loss(spec, matrices, outputs, y),
        grads=grads,
        magnitudes=_magnitudes(spec, matrices, X, y, drops) if exact else None,
        learning_rate=rate,
        updated=updated(spec, params, [grads], rate),
    )


def outputs(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """The outputs alone."""
    matrices = [_joined(W, b) for W, b in params]
    _, zs = _propagate(spec, matrices, X, layer_masks(spec, masks, len(X)))
    return activation_value(spec.activations[-1], zs[-1])


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> float:
    """The loss alone, for central differences."""
    matrices = [_joined(W, b) for W, b in params]
    return _loss(spec, matrices, outputs(spec, params, X, masks), y)


def updated(spec: MLPSpec, params: Params, history: list[Params], learning_rate: float) -> Params:
    """Params after the next step, from params before it and all gradients so far."""

    def after(p: Array, step: Array, decay: float) -> Array:
        if p is None:
            return None
        p = np.asarray(p, np.float64)
        return p - learning_rate * decay * p - learning_rate * step

    return [
        (after(W, step_W, spec.decay), after(b, step_b, 0.0))
        for (W, b), (step_W, step_b) in zip(params, directions(spec, history), strict=True)
    ]


def slack(spec: MLPSpec, grads: Params, learning_rate: float, error: float) -> Params:
    """By how much a right first step may differ where the rule divides the gradient by itself.

    An error of `error` max|dW| in the gradient is accepted; through such a rule an entry that is
    no larger may turn round. The rules are monotonic in the gradient, so the steps of dW plus and
    minus that error enclose all that are accepted. (The rules of LINEAR divide by nothing.)
    """
    rule = _RULES[spec.optimizer]

    def wide(dp: Array) -> Array:
        off = error * np.max(np.abs(dp))
        return learning_rate * np.maximum(
            np.abs(rule([dp]) - rule([dp - off])), np.abs(rule([dp]) - rule([dp + off]))
        )

    return [(wide(dW), None if db is None else wide(db)) for dW, db in grads]


def directions(spec: MLPSpec, history: list[Params]) -> Params:
    """What the rule subtracts at learning rate 1, from all gradients so far."""
    rule = _RULES[spec.optimizer]
    return [
        (rule([dW for dW, _ in layer]), rule([db for _, db in layer]) if spec.bias else None)
        for layer in zip(*history, strict=True)
    ]


def clear_of_kinks(
    spec: MLPSpec, params: Params, X: Array, masks: Tree = None, eps: float | None = None
) -> Array:
    """Which examples of X have no preactivation within rounding of a kink: bool, (batch,).

    With relu, a preactivation of |z| <= 4 eps (|a| |W| + |b|), eps of the spec's dtype unless
    given, may get either sign from a correct implementation, and so a gradient that is off by a
    whole term. Such an example cannot tell right from wrong; kinks are tested on their own.
    """
    clear = np.ones(len(X), dtype=bool)
    if not set(KINKED) & set(spec.activations):
        return clear
    matrices = [_joined(W, b) for W, b in params]
    inputs, zs = _propagate(spec, matrices, X, layer_masks(spec, masks, len(X)))
    eps = float(np.finfo(spec.dtype).eps) if eps is None else eps
    for a, z, M, name in zip(inputs, zs, matrices, spec.activations, strict=True):
        if name in KINKED:
            clear &= (np.abs(z) > 4 * eps * (np.abs(a) @ np.abs(M))).all(axis=1)
    return clear


def _magnitudes(spec: MLPSpec, matrices: list[Array], X: Array, y: Array, drops: Drops) -> Params:
    """The gradient's sums with |term| for each term, those of g' included.

    An input that is what little is left of a sum (relu's, next to its kink) is off by the rounding
    of that sum's terms, which count by LEFT.
    """
    inputs, zs = _propagate(spec, matrices, X, drops)
    felt = [np.abs(inputs[0])]
    behind = felt[0]  # the terms that an input sums, and those behind them
    for layer, following in enumerate(inputs[1:]):
        z, name = zs[layer], spec.activations[layer]
        behind = behind @ np.abs(matrices[layer]) * np.abs(activation_derivative(name, z))
        behind = _with_ones(spec, behind * _kept(drops[layer]))
        felt.append(np.abs(following) + LEFT * behind)
    _, slope = loss_slope(spec, activation_value(spec.activations[-1], zs[-1]), y)
    magnitudes: Params = []
    for layer in reversed(range(len(matrices))):
        delta = slope * _kept(drops[layer]) * _derivative_terms(spec.activations[layer], zs[layer])
        terms = felt[layer].T @ delta
        rows = spec.layer_sizes[layer]
        terms[:rows] += spec.l2 * np.abs(matrices[layer][:rows])
        magnitudes.insert(0, _split(spec, terms))
        if layer > 0:
            slope = delta @ np.abs(matrices[layer][:rows]).T
    return magnitudes


def _kept(mask: Array | None) -> Array:
    return 1.0 if mask is None else np.asarray(mask, np.float64)


def _joined(W: Array, b: Array) -> Array:
    W = np.asarray(W, np.float64)
    return W if b is None else np.vstack([W, np.asarray(b, np.float64)])


def _split(spec: MLPSpec, joined: Array) -> tuple[Array, Array]:
    return (joined[:-1], joined[-1]) if spec.bias else (joined, None)


def _with_ones(spec: MLPSpec, a: Array) -> Array:
    return np.hstack([a, np.ones((len(a), 1))]) if spec.bias else a


def _propagate(
    spec: MLPSpec, matrices: list[Array], X: Array, drops: Drops
) -> tuple[list[Array], list[Array]]:
    inputs, zs = [], []
    a = np.asarray(X, np.float64)
    for M, name, mask in zip(matrices, spec.activations, drops, strict=True):
        inputs.append(_with_ones(spec, a))
        zs.append(inputs[-1] @ M)
        a = activation_value(name, zs[-1]) * _kept(mask)
    return inputs, zs


def _logistic(z: Array) -> Array:
    return np.exp(-np.logaddexp(0, -z))


def _bell(z: Array) -> Array:
    return np.exp(-np.logaddexp(0, -z) - np.logaddexp(0, z))


def _gelu_u(z: Array) -> Array:
    return GELU * z * (1 + 0.044715 * z**2)


def _gelu_slope(z: Array) -> Array:
    u = _gelu_u(z)
    return _logistic(u) + z * _bell(u) * GELU * (1 + 3 * 0.044715 * z**2)


def _tanh_slope(z: Array) -> Array:
    with np.errstate(over="ignore"):  # cosh(z) = inf gives the right 0
        return 1 / np.cosh(z) ** 2


def _soft_threshold(v: Array) -> tuple[Array, Array, Array]:
    """j of lif_rate, log(j) and j'/j, for every v."""
    u = (v - 1) / LIF_WIDTH
    soft = np.logaddexp(0, u)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where soft underflows, the limit is taken.
        log_soft = np.where(u > -40, np.log(soft), u)
        steepness = np.where(u > -40, _logistic(u) / soft, 1.0)
    return LIF_WIDTH * soft, np.log(LIF_WIDTH) + log_soft, steepness / LIF_WIDTH


def _lif_rate(v: Array) -> Array:
    j, log_j, _ = _soft_threshold(v)
    return 1 / (T_REF + TAU * (np.log1p(j) - log_j))


def _lif_rate_slope(v: Array) -> Array:
    j, _, steepness = _soft_threshold(v)
    return _lif_rate(v) ** 2 * TAU * steepness / (1 + j)


Function = Callable[[Array], Array]
_VALUES: dict[str, Function] = {
    "identity": lambda z: z,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, LEAKY_SLOPE * z),
    "unit_step": lambda z: np.heaviside(z, 0.0),
    "sigmoid": _logistic,
    "tanh": np.tanh,
    "gelu": lambda z: z * _logistic(_gelu_u(z)),
    "silu": lambda z: z * _logistic(z),
    "softplus": lambda z: np.logaddexp(0, z),
    "lif_rate": _lif_rate,
}
_DERIVATIVES: dict[str, Function] = {
    "identity": np.ones_like,
    "relu": lambda z: np.heaviside(z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, 1.0, LEAKY_SLOPE),
    "sigmoid": _bell,
    "tanh": _tanh_slope,
    "gelu": _gelu_slope,
    "silu": lambda z: _logistic(z) + z * _bell(z),
    "softplus": _logistic,
    "lif_rate": _lif_rate_slope,
}
# The sum of |terms| of g' as it is usually written, where it has several: 1 - a^2 is 1 + a^2 of
# rounding.
_TERMS: dict[str, Function] = {
    "sigmoid": lambda z: _logistic(z) + _logistic(z) ** 2,
    "tanh": lambda z: 1 + np.tanh(z) ** 2,
    "gelu": lambda z: (
        0.5 + np.abs(np.tanh(_gelu_u(z) / 2)) / 2 + np.abs(_gelu_slope(z) - _logistic(_gelu_u(z)))
    ),
    "silu": lambda z: _logistic(z) + np.abs(z * _bell(z)),
}


def activation_value(name: str, z: Array) -> Array:
    """g(z)."""
    return _VALUES[name](z)


def activation_derivative(name: str, z: Array) -> Array:
    """g'(z); at a kink that of the left side."""
    return _DERIVATIVES[name](z)


def _derivative_terms(name: str, z: Array) -> Array:
    """The sum of |terms| of g'."""
    return _TERMS[name](z) if name in _TERMS else np.abs(activation_derivative(name, z))


def _loss(spec: MLPSpec, matrices: list[Array], outputs: Array, y: Array) -> float:
    if spec.loss == "cross_entropy":
        chosen = outputs[np.arange(len(outputs)), y]
        value = np.mean(np.logaddexp.reduce(outputs, axis=1) - chosen)
    elif spec.loss == "binary_cross_entropy":
        right, wrong = np.logaddexp(0, -outputs), np.logaddexp(0, outputs)
        value = np.sum(y * right + (1 - np.asarray(y, np.float64)) * wrong) / len(outputs)
    else:
        value = np.sum((outputs - y) ** 2) / 2 / len(outputs)
    if spec.l2:
        for M, fan_in in zip(matrices, spec.layer_sizes, strict=False):
            value += spec.l2 * np.sum(M[:fan_in] ** 2) / 2
    return float(value)


def loss_slope(spec: MLPSpec, outputs: Array, y: Array) -> tuple[Array, Array]:
    """dloss/doutputs, and the same sum with |term| for each term."""
    batch = len(outputs)
    if spec.loss == "mse":
        return (outputs - y) / batch, (np.abs(outputs) + np.abs(y)) / batch
    if spec.loss == "binary_cross_entropy":
        p = _logistic(outputs)
        return (p - y) / batch, (p + y) / batch
    softmax = np.exp(outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True))
    target = np.eye(outputs.shape[1])[y]
    return (softmax - target) / batch, (softmax + target) / batch


def _average(history: list[Array], beta: float, power: int) -> Array:
    """Mean of dp^power with weights that fall by beta a step: what bias correction leaves."""
    weights = [beta**age for age in reversed(range(len(history)))]
    return sum(w * dp**power for w, dp in zip(weights, history, strict=True)) / sum(weights)


def _velocity(history: list[Array]) -> Array:
    return sum(MOMENTUM**age * dp for age, dp in enumerate(reversed(history)))


def _adadelta(history: list[Array]) -> Array:
    step, squares, steps = history[0] * 0, history[0] * 0, history[0] * 0
    for dp in history:
        squares = squares + (1 - RHO) * (dp**2 - squares)
        step = dp * np.sqrt((steps + ADADELTA_EPS) / (squares + ADADELTA_EPS))
        steps = steps + (1 - RHO) * (step**2 - steps)
    return step


def _adam(history: list[Array]) -> Array:
    return _average(history, BETA1, 1) / (np.sqrt(_average(history, BETA2, 2)) + ADAM_EPS)


LINEAR = ("sgd", "momentum", "nesterov")  # rules that divide the gradient by nothing
_RULES: dict[str, Callable[[list[Array]], Array]] = {
    "sgd": lambda history: history[-1],
    "momentum": _velocity,
    "nesterov": lambda history: history[-1] + MOMENTUM * _velocity(history),
    "adagrad": lambda history: history[-1] / (np.sqrt(sum(dp**2 for dp in history)) + ADAGRAD_EPS),
    "adadelta": _adadelta,
    "adam": _adam,
    "adamw": _adam,
}


def _telling_rate(params: Params, steps: Params) -> float:
    # With a small rate a wrong gradient hides behind a large weight. At this one every tensor's
    # update is at least four times the tensor: it dominates the result and cannot cancel it.
    with np.errstate(over="ignore"):  # a gradient that all but vanishes: clipped below
        ratios = [
            4 * np.max(np.abs(p)) / np.max(np.abs(dp))
            for layer, moves in zip(params, steps, strict=True)
            for p, dp in zip(layer, moves, strict=True)
            if p is not None and np.any(p) and np.any(dp)
        ]
    # The same number in float32 and float64, and no overflow where a gradient all but vanishes.
    return float(np.float32(np.clip(max(ratios, default=1.0), 1.0, 1e6)))
