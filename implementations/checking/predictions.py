"""What a file gives that keeps to another convention, computed from the convention's definition.

Written with derivatives as functions of z, in float64, layer by layer; the tests hold the gradient
of each to differences of its own loss.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.implementations.checking import reference
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.reference import (
    Expected,
    activation_derivative,
    activation_value,
)
from samegrad.implementations.contract.equations import LEAKY_SLOPE
from samegrad.implementations.contract.layers import layer_masks
from samegrad.implementations.contract.spec import MLPSpec, Params, map_tree

Array = Any
erf = np.vectorize(math.erf, otypes=[float])
LOWEST, HIGHEST = 1e-300, 0.1  # of a small number in a log
HALVES = 200  # of that range: down to the last digit
AS_WRITTEN = 1e-3  # a measured number that is this near is tried as written; the results decide


@dataclass(frozen=True)
class Convention:
    """How a file computes loss, gradient and outputs, where that is not as we do.

    Attributes:
        data: of loss and gradient, (c, i, j): the data term is times c, batch^i and outputs^j.
        decay: of both, too: the decay term is times c, batch^i and outputs^j.
        log: "", "epsilon" (log(p + size)), "clip" (p from size to 1 - size) or "floor" (p of size
            at least).
        size: that small number.
        in_roundings: whether it is so many roundings: `size` in float64, in float32 as many.
        in_slope: whether the gradient is that of the loss with the small number.
        outputs: what `forward` gives of the outputs: "", "softmax", "log_softmax", "sigmoid".
        exact_gelu: whether gelu is the one with erf.
        kink: g'(0) of relu; of leaky_relu, the share of the right side.
    """

    data: tuple[float, int, int] = (1.0, 0, 0)
    decay: tuple[float, int, int] = (1.0, 0, 0)
    log: str = ""
    size: float = 0.0
    in_roundings: bool = False
    in_slope: bool = False
    outputs: str = ""
    exact_gelu: bool = False
    kink: float = 0.0

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Convention":
        """The convention with these fields, as plain data.

        Raises:
            ValueError: they are none, or its gradient would be nothing.
        """
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        made = cls(**given)
        for name, default in vars(cls()).items():
            value = getattr(made, name)
            kinds = [type(v) for v in (value if isinstance(value, tuple) else [value])]
            wanted = [type(v) for v in (default if isinstance(default, tuple) else [default])]
            if kinds != wanted:
                raise ValueError(f"convention: {name} {value!r:.60}")
        if not (made.data[0] and math.isfinite(made.data[0])):
            raise ValueError(f"convention: data {made.data!r:.60}")
        return made

    def expected(self, p: Problem, learning_rate: float) -> Expected:
        """Everything that it makes of a problem.

        Args:
            learning_rate: of the step.
        """
        data, decay = (times(power, p) for power in (self.data, self.decay))
        terms = Terms(p, self)
        grads = [
            (
                data * dW + decay * p.spec.l2 * np.asarray(W, np.float64),
                None if db is None else data * db,
            )
            for (dW, db), (W, _) in zip(terms.gradient, p.params, strict=True)
        ]
        ours = reference.expected(p.spec, p.params, p.X, p.y, p.masks)
        largest = max(1.0, data, decay)
        return Expected(
            shown(self.outputs, terms.outputs),
            data * terms.loss + decay * terms.penalty,
            grads,
            map_tree(lambda each: each * largest, ours.magnitudes),
            learning_rate,
            reference.updated(p.spec, p.params, [grads], learning_rate),
        )


class Terms:
    """The two terms of a loss and the gradient of the first, by a convention, factors aside.

    Attributes:
        outputs: a_L.
        loss: the mean over the batch.
        penalty: weight_decay/2 times the sum of W^2.
        gradient: of `loss`, like params.
    """

    def __init__(self, p: Problem, convention: Convention) -> None:
        spec, n = p.spec, len(p.X)
        drops = layer_masks(spec, p.masks, n)
        scales = [1.0 if mask is None else np.asarray(mask, np.float64) for mask in drops]
        weights = [np.asarray(W, np.float64) for W, _ in p.params]
        inputs, zs, a = [], [], np.asarray(p.X, np.float64)
        for W, (_, b), name, scale in zip(weights, p.params, spec.activations, scales, strict=True):
            inputs.append(a)
            zs.append(a @ W + (0 if b is None else np.asarray(b, np.float64)))
            a = _value(name, zs[-1], convention) * scale
        self.outputs = a
        losses, slope = data_terms(convention, spec, a, p.y)
        self.loss = float(np.mean(losses))
        self.penalty = float(sum(np.sum(W * W) for W in weights)) * spec.l2 / 2
        self.gradient: Params = []
        delta = slope / n
        for layer in reversed(range(len(weights))):
            slopes = _derivative(spec.activations[layer], zs[layer], convention)
            delta = delta * scales[layer] * slopes
            db = None if p.params[layer][1] is None else delta.sum(axis=0)
            self.gradient.insert(0, (inputs[layer].T @ delta, db))
            delta = delta @ weights[layer].T


def times(power: tuple[float, int, int], p: Problem) -> float:
    """The factor that (c, i, j) means on a problem."""
    constant, of_batch, of_outputs = power
    return float(
        constant * float(len(p.X)) ** of_batch * float(p.spec.layer_sizes[-1]) ** of_outputs
    )


@np.errstate(divide="ignore", invalid="ignore")  # of a small number that is too small to be one
def data_terms(convention: Convention, spec: MLPSpec, a: Array, y: Array) -> tuple[Array, Array]:
    """The loss of each example, and its derivatives by the outputs a_L."""
    if spec.loss == "mse":
        return np.sum((a - y) ** 2, axis=1) / 2, a - y
    if spec.loss == "binary_cross_entropy":
        y = np.asarray(y, np.float64)
        log_p, log_q = -np.logaddexp(0, -a), -np.logaddexp(0, a)
        p, q = np.exp(log_p), np.exp(log_q)
        right, by_p = _log(convention, spec, p, q, log_p)
        wrong, by_q = _log(convention, spec, q, p, log_q, complement=True)
        slope = (1 - y) * p * by_q - y * q * by_p if convention.in_slope else p - y
        return -np.sum(y * right + (1 - y) * wrong, axis=1), slope
    rows = np.arange(len(y))
    logs = a - np.logaddexp.reduce(a, axis=1, keepdims=True)
    chosen = logs[rows, y]
    slope = np.exp(logs) - np.eye(a.shape[1])[y]
    value, by_log = _log(convention, spec, np.exp(chosen), -np.expm1(chosen), chosen)
    return -value, slope * by_log[:, None] if convention.in_slope else slope


def _log(
    convention: Convention,
    spec: MLPSpec,
    p: Array,
    rest: Array,
    log_p: Array,
    complement: bool = False,
) -> tuple[Array, Array]:
    """The log that the loss takes of p, and its derivative by log(p).

    Args:
        rest: 1 - p.
        complement: whether p is computed as 1 minus what is clipped.
    """
    size = convention.size
    if convention.in_roundings:
        size *= float(np.finfo(spec.dtype).eps / np.finfo(np.float64).eps)
    if convention.log == "epsilon":
        return np.log(p + size), p / (p + size)
    if not convention.log:
        return log_p, np.ones_like(p)
    clips = convention.log == "clip"
    top = float(np.dtype(spec.dtype).type(1) - np.dtype(spec.dtype).type(size))  # as it rounds
    low, high = p < size, (rest < size) & clips
    lowest = np.log(1 - top) if clips and complement else np.log(size)
    value = np.where(low, lowest, np.where(high, np.log(top), log_p))
    return value, np.where(low | high, 0.0, 1.0)


def sizes(p: Problem, value: float, convention: Convention) -> list[float]:
    """The small numbers with which a loss may have a value; none if there is no such number.

    The measured one is found by halving. Before it comes what people write near it: one digit, or
    a power of two, as the rounding of a dtype is.
    """
    terms = Terms(p, convention)
    data, penalty = times(convention.data, p), times(convention.decay, p) * terms.penalty

    def loss(size: float) -> float:
        losses, _ = data_terms(replace(convention, size=size), p.spec, terms.outputs, p.y)
        return data * float(np.mean(losses)) + penalty

    low, high = np.log(LOWEST), np.log(HIGHEST)
    if not loss(HIGHEST) < value < loss(LOWEST):
        return []
    for _ in range(HALVES):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(float(np.exp(middle))) > value else (low, middle)
    size = float(np.exp(high))
    written = (float(f"{size:.0e}"), 2.0 ** round(math.log2(size)))
    return [*(each for each in written if abs(each / size - 1) < AS_WRITTEN), size]


def shown(outputs: str, a: Array) -> Array:
    """What `forward` gives of the outputs."""
    if outputs in ("softmax", "log_softmax"):
        logs = a - np.logaddexp.reduce(a, axis=1, keepdims=True)
        return np.exp(logs) if outputs == "softmax" else logs
    return np.exp(-np.logaddexp(0, -a)) if outputs == "sigmoid" else a


def _value(name: str, z: Array, convention: Convention) -> Array:
    if name == "gelu" and convention.exact_gelu:
        return z * 0.5 * (1 + erf(z / math.sqrt(2)))
    return activation_value(name, z)


def _derivative(name: str, z: Array, convention: Convention) -> Array:
    if name == "gelu" and convention.exact_gelu:
        bell = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return 0.5 * (1 + erf(z / math.sqrt(2))) + z * bell
    slope = activation_derivative(name, z)
    if convention.kink and name in ("relu", "leaky_relu"):
        left = LEAKY_SLOPE if name == "leaky_relu" else 0.0
        return np.where(z == 0, left + convention.kink * (1 - left), slope)
    return slope
