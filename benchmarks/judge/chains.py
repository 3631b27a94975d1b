"""Gradients and chains of training steps in float64, fast, and with what kinks nearby may change.

A block of 5 ms holds hundreds of steps, which `implementations.checking.reference` would take too
long for; a test ties these to it. A preactivation within rounding of relu's kink gets either sign
from a right implementation, and takes its example's share of the gradient along: such places are
named (`Flip`), and a chain can be taken with any of them on the other side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.checking.predictions import Convention
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.reference import (
    KINKED,
    activation_derivative,
    activation_value,
)
from samegrad.implementations.contract.equations import (
    ADADELTA_EPS,
    ADAGRAD_EPS,
    ADAM_EPS,
    BETA1,
    BETA2,
    LEAKY_SLOPE,
    MOMENTUM,
    RHO,
)
from samegrad.implementations.contract.spec import MLPSpec, Params

Array = Any
Batch = tuple[Array, Array]
Place = tuple[int, int, int]  # of a preactivation: layer, example, unit

# Times eps, in |a| |W| + |b|: a preactivation's own rounding, and what params that are off by their
# rounding of k steps add to it (SINCE times sqrt(k)).
WINDOW, SINCE = 4.0, 1.0
KEPT_BYTES = 2**25  # of gradients that a chain keeps; of more steps some are drawn


@dataclass(frozen=True)
class Flip:
    """A preactivation near a kink, and what its other side would change.

    Attributes:
        place: where it is.
        changes: (a, delta) from its layer down to the first: the gradient of W changes by the outer
            product, that of b by delta.
        distance: from the kink, relative to the terms that it sums.
    """

    place: Place
    changes: tuple[tuple[Array, Array], ...]
    distance: float

    def share(self, D: Params, bias: bool) -> float:
        """Of a gradient's difference, the part that this flip explains: 1 where it is all of it."""
        along = square = 0.0
        for (a, delta), (W, b) in zip(self.changes, D[self.place[0] :: -1], strict=True):
            along += float(a @ W @ delta) + (float(b @ delta) if bias else 0.0)
            square += float(a @ a + bias) * float(delta @ delta)
        return along / square if square else 0.0


def gradient(
    spec: MLPSpec,
    params: Params,
    X: Array,
    y: Array,
    window: float = 0.0,
    flipped: Sequence[Place] = (),
) -> tuple[Params, list[Flip], Array]:
    """The gradient of a batch in float64, the preactivations near a kink, and the outputs.

    Args:
        spec: its dtype does not matter.
        params, X: float64.
        y: class indices, or values.
        window: relative distance from a kink that counts as near.
        flipped: preactivations that are taken to be on the other side of their kink.
    """
    inputs, zs, a = [], [], X
    for (W, b), name in zip(params, spec.activations, strict=True):
        inputs.append(a)
        zs.append(a @ W if b is None else a @ W + b)
        a = activation_value(name, zs[-1])
    slope, outputs = output_slope(spec, a, y), a
    derivatives: list[Array] = []
    grads: Params = []
    flips: list[Flip] = []
    slopes: list[Array] = []
    for layer in reversed(range(len(params))):
        W, b = params[layer]
        derivative = activation_derivative(spec.activations[layer], zs[layer])
        for place in flipped:
            if place[0] == layer:
                derivative[place[1:]] = _other_side(spec.activations[layer], derivative[place[1:]])
        derivatives.insert(0, derivative)
        slopes.insert(0, slope)
        delta = slope * derivative
        dW = inputs[layer].T @ delta
        if spec.l2:
            dW += spec.l2 * W
        grads.insert(0, (dW, None if b is None else delta.sum(axis=0)))
        if layer > 0:
            slope = delta @ W.T
    if window:
        for layer, name in enumerate(spec.activations):
            if name in KINKED:
                for i, j, distance in _near(zs[layer], inputs[layer], *params[layer], window):
                    place = layer, int(i), int(j)
                    changes = _changes(spec, params, inputs, derivatives, slopes, place)
                    flips.append(Flip(place, changes, float(distance)))
    return grads, flips, outputs


def output_slope(spec: MLPSpec, outputs: Array, y: Array) -> Array:
    """dloss/doutputs."""
    if spec.loss == "mse":
        return (outputs - y) / len(outputs)
    if spec.loss == "binary_cross_entropy":
        return (activation_value("sigmoid", outputs) - y) / len(outputs)
    slope = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    slope /= slope.sum(axis=1, keepdims=True)
    slope[np.arange(len(outputs)), y] -= 1
    slope /= len(outputs)
    return slope


def cancellation(spec: MLPSpec, outputs: Array, y: Array) -> float:
    """How many times larger outputs and targets are than their difference.

    The rounding of dloss/doutputs is that of what it is the difference of. A network that knows its
    examples by heart has hardly a gradient left, and in it more of that rounding.
    """
    difference = len(outputs) * float(np.linalg.norm(output_slope(spec, outputs, y)))
    if spec.loss == "cross_entropy":  # softmax is exp of what is the difference of logits
        size = float(np.linalg.norm(1 + np.abs(outputs).max(axis=1)))
    else:
        if spec.loss == "binary_cross_entropy":
            outputs = activation_value("sigmoid", outputs)
        size = float(np.hypot(np.linalg.norm(outputs), np.linalg.norm(y)))
    return size / max(difference, 1e-300)


def loss(spec: MLPSpec, params: Params, outputs: Array, y: Array) -> float:
    """The loss of some outputs."""
    if spec.loss == "cross_entropy":
        chosen = outputs[np.arange(len(outputs)), y]
        value = float(np.mean(np.logaddexp.reduce(outputs, axis=1) - chosen))
    elif spec.loss == "binary_cross_entropy":
        value = float(np.sum(np.logaddexp(0, outputs) - y * outputs) / len(outputs))
    else:
        value = float(np.sum((outputs - y) ** 2) / 2 / len(outputs))
    return value + spec.l2 * sum(float(np.sum(W**2)) for W, _ in params) / 2


def _other_side(name: str, derivative: float) -> float:
    low = LEAKY_SLOPE if name == "leaky_relu" else 0.0
    return 1.0 + low - derivative


def _near(
    z: Array, a: Array, W: Array, b: Array, window: float
) -> Sequence[tuple[int, int, float]]:
    """Example, unit and distance of preactivations near 0, relative to the terms that they sum."""
    rows = np.sqrt(np.einsum("ij,ij->i", a, a))
    columns = np.sqrt(np.einsum("ij,ij->j", W, W))
    # |a| |W| is at most the product of the norms: few are left whose terms are summed.
    distance, most = np.abs(z), rows.max() * columns.max() + (0.0 if b is None else np.abs(b).max())
    if distance.min() > window * most:
        return ()
    size = rows[:, None] * columns + (0.0 if b is None else np.abs(b))
    i, j = np.nonzero(distance <= window * size)
    terms = np.einsum("ik,ki->i", np.abs(a[i]), np.abs(W[:, j]))
    terms += 0.0 if b is None else np.abs(b[j])
    chosen = distance[i, j] <= window * terms
    i, j, terms = i[chosen], j[chosen], terms[chosen]
    return list(zip(i, j, distance[i, j] / np.maximum(terms, 1e-300), strict=True))


def _changes(
    spec: MLPSpec,
    params: Params,
    inputs: Sequence[Array],
    derivatives: Sequence[Array],
    slopes: Sequence[Array],
    place: Place,
) -> tuple[tuple[Array, Array], ...]:
    layer, i, j = place
    delta = np.zeros(params[layer][0].shape[1])
    here = derivatives[layer][i, j]
    delta[j] = slopes[layer][i, j] * (_other_side(spec.activations[layer], here) - here)
    changes = [(inputs[layer][i], delta)]
    for lower in reversed(range(layer)):
        delta = (params[lower + 1][0] @ delta) * derivatives[lower][i]
        changes.append((inputs[lower][i], delta))
    return tuple(changes)


class Rule:
    """An update rule with its state in float64: U1 to U7 of `contract.equations`."""

    def __init__(self, spec: MLPSpec, learning_rate: float) -> None:
        self.spec, self.rate, self.steps = spec, learning_rate, 0
        self.state: dict[tuple[int, int], tuple[Array, Array]] = {}

    def __call__(self, params: Params, grads: Params) -> Params:
        """The params after one more step."""
        self.steps += 1
        return [
            (self._moved((layer, 0), W, dW), None if b is None else self._moved((layer, 1), b, db))
            for layer, ((W, b), (dW, db)) in enumerate(zip(params, grads, strict=True))
        ]

    def _moved(self, key: tuple[int, int], p: Array, dp: Array) -> Array:
        if self.spec.decay and key[1] == 0:
            p = p - self.rate * self.spec.decay * p
        name = self.spec.optimizer
        if name == "sgd":
            return p - self.rate * dp
        first, second = self.state.get(key) or (np.zeros_like(dp), np.zeros_like(dp))
        if name in ("momentum", "nesterov"):
            first = MOMENTUM * first + dp
            step = first if name == "momentum" else dp + MOMENTUM * first
        elif name == "adagrad":
            second = second + dp**2
            step = dp / (np.sqrt(second) + ADAGRAD_EPS)
        elif name == "adadelta":
            second = RHO * second + (1 - RHO) * dp**2
            step = np.sqrt(first + ADADELTA_EPS) / np.sqrt(second + ADADELTA_EPS) * dp
            first = RHO * first + (1 - RHO) * step**2
        else:
            first = BETA1 * first + (1 - BETA1) * dp
            second = BETA2 * second + (1 - BETA2) * dp**2
            mean, square = first / (1 - BETA1**self.steps), second / (1 - BETA2**self.steps)
            step = mean / (np.sqrt(square) + ADAM_EPS)
        self.state[key] = first, second
        return p - self.rate * step


@dataclass(frozen=True)
class Chain:
    """A chain of steps in float64.

    Attributes:
        params: after the last step.
        loss: of the last step's batch, before its update.
        moved: the params after the last step less those before the first, as one vector.
        sizes: ||g_k|| of each step.
        held: some of the gradients, one a row.
        flips: preactivations near a kink, with the number of their step.
        cancelled: the most of `cancellation` in any step.
    """

    params: Params
    loss: float
    moved: Array
    sizes: Array
    held: Array
    flips: tuple[tuple[int, Flip], ...]
    cancelled: float


def chain(
    spec: MLPSpec,
    start: Params,
    batches: Sequence[Batch],
    learning_rate: float,
    flipped: Mapping[int, Sequence[Place]] | None = None,
    convention: Convention | None = None,
) -> Chain:
    """Take steps.

    Args:
        spec: of the network; its dtype is that of what came out.
        start: params before the first step.
        batches: of each step, in their order.
        learning_rate: of all steps.
        flipped: step -> preactivations on the other side of their kink.
        convention: of the gradient, where it is not ours; kinks are not looked for then.
    """
    eps, flipped = float(np.finfo(spec.dtype).eps), flipped or {}
    params = first = float64(start)
    count, rule = len(batches), Rule(spec, learning_rate)
    most = max(1, KEPT_BYTES // (4 * spec.parameters))
    kept = set(range(count))
    if most < count:
        kept = set(np.random.default_rng().choice(count, most, replace=False).tolist())
    held, sizes, flips, last, cancelled = [], [], list[tuple[int, Flip]](), 0.0, 0.0
    for k, (X, y) in enumerate(batches):
        window = (WINDOW + SINCE * k**0.5) * eps
        X = np.asarray(X, np.float64)
        if convention is not None:
            theirs = convention.expected(Problem("", spec, params, X, y), learning_rate)
            grads, near, outputs = theirs.grads, list[Flip](), theirs.outputs
        else:
            grads, near, outputs = gradient(spec, params, X, y, window, flipped.get(k, ()))
        flat = flattened(grads)
        sizes.append(float(np.linalg.norm(flat)))
        cancelled = max(cancelled, cancellation(spec, outputs, y))
        if k in kept:
            held.append(flat.astype(np.float32))
        flips += [(k, flip) for flip in near]
        if k == count - 1:
            ours = convention is None
            last = loss(spec, params, outputs, y) if ours else theirs.loss
        params = rule(params, grads)
    moved = flattened(params) - flattened(first)
    parts = np.asarray(sizes), np.asarray(held), tuple(flips)
    return Chain(params, last, moved, *parts, cancelled)


def flattened(tree: Params) -> Array:
    """All numbers of params or a gradient, as one vector."""
    return np.concatenate([np.ravel(p) for pair in tree for p in pair if p is not None])


def difference(left: Params, right: Params) -> Params:
    """left - right."""
    return [
        (W - V, None if b is None else b - c) for (W, b), (V, c) in zip(left, right, strict=True)
    ]


def float64(params: Params) -> Params:
    """Params as float64."""
    return [
        (np.asarray(W, np.float64), None if b is None else np.asarray(b, np.float64))
        for W, b in params
    ]
