"""Known mistakes, made on purpose: what the outputs or the gradient are with each of them.

A result that equals one of these names its mistake (see `diagnosis`).
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.checking.problems import ACTIVATIONS, AT_THE_KINK, Problem
from samegrad.implementations.checking.reference import (
    activation_derivative,
    activation_value,
    loss_slope,
)
from samegrad.implementations.contract.layers import layer_masks
from samegrad.implementations.contract.spec import MLPSpec, Params

Array = Any


def of_outputs() -> Iterator[tuple[str, Callable[[Problem], Array]]]:
    """("the outputs are as if ...", the outputs with it)."""
    yield "the biases were left out (F1)", lambda p: _pass(p, bias=False)[1][-1]
    yield (
        "the hidden activation were applied to the outputs too (F2)",
        lambda p: activation_value(p.spec.activation, _pass(p)[1][-1]),
    )
    yield "W were transposed (F1)", lambda p: _pass(p, transposed=True)[1][-1]
    yield "the dropout masks were left out (F3)", lambda p: _pass(p, dropped=False)[1][-1]

    def other(name: str) -> Callable[[Problem], Array]:
        return lambda p: _pass(p, activation=name)[1][-1]

    for name in ACTIVATIONS:
        yield f"the hidden activation were {name}, whatever the spec says (F2)", other(name)


def of_gradient(problem: Problem) -> Iterator[tuple[str, str, Callable[[Problem], Params]]]:
    """(key, "the gradient is as if ...", the gradient with it) of what fits the problem."""
    spec = problem.spec
    hidden = len(spec.layer_sizes) > 2
    if hidden and spec.activation != "identity":
        yield "g'", "g'(z) of the hidden layers were left out (B4)", lambda p: _back(p, slope="one")
        yield (
            "g'(a)",
            "g' of the hidden layers were taken at a instead of z (B4)",
            lambda p: _back(p, slope="at a"),
        )
        for name in ACTIVATIONS:
            if name not in (spec.activation, "identity"):
                yield (
                    f"g' {name}",
                    f"g' of the hidden layers were that of {name} (B4)",
                    partial(_back, slope=name),
                )
        yield (
            "a^T z",
            "dW were z^T delta instead of a^T delta (B2)",
            lambda p: _back(p, inputs="z"),
        )
    if spec.output_activation != "identity":
        yield (
            "g'_L",
            "g' of the output layer were left out (B1)",
            lambda p: _back(p, output_slope=False),
        )
    if hidden:
        yield "W^T", "W were not transposed (B4: delta W^T)", lambda p: _back(p, transposed=False)
        yield (
            "off by one",
            "delta went through W of the layer below, an index off by one (B4)",
            lambda p: _back(p, shift=1),
        )
        yield (
            "g' off by one",
            "g' were taken at z of the layer above, an index off by one (B4)",
            lambda p: _back(p, slope="shifted"),
        )
        yield (
            "order",
            "the layers came in reverse order",
            lambda p: _back(p)[::-1],
        )
    if spec.loss == "cross_entropy":
        yield (
            "onehot",
            "softmax(z) were not reduced by onehot(y) (B1)",
            lambda p: _back(p, start="softmax"),
        )
        yield (
            "softmax",
            "the logits were not passed through softmax (B1)",
            lambda p: _back(p, start="linear"),
        )
    if spec.l2:
        yield "no l2", "weight decay were missing from dW (B2)", lambda p: _back(p, decay=0.0)
        yield "2 l2", "weight decay entered dW twice as strong (B2)", lambda p: _back(p, decay=2.0)
        yield "l2 b", "b were decayed too (B3)", lambda p: _back(p, decay_b=True)
        yield (
            "l2 / batch",
            "weight decay were divided by the batch size (B2)",
            lambda p: _back(p, decay=1 / len(p.X)),
        )
    if problem.name == AT_THE_KINK:
        for value in (1.0, 0.5):
            yield (
                f"kink {value}",
                f"g'(0) were {value:g} at the kink, where it is that of the left side",
                partial(_back, kink=value),
            )
    if problem.masks is not None:
        yield (
            "mask",
            "the dropout mask were left out of delta (B4)",
            lambda p: _back(p, dropped=False),
        )


def _pass(
    p: Problem,
    *,
    activation: str | None = None,
    bias: bool = True,
    transposed: bool = False,
    dropped: bool = True,
) -> tuple[list[Array], list[Array], list[Array]]:
    """Inputs a, preactivations z and masks of each layer; with outputs as one more z."""
    names = list(p.spec.activations)
    if activation is not None:
        names[:-1] = [activation] * (len(names) - 1)  # type: ignore[list-item] # an Activation
    a, inputs, zs = np.asarray(p.X, np.float64), [], []
    masks = layer_masks(p.spec, p.masks if dropped else None, len(p.X))
    scales = [1.0 if m is None else np.asarray(m, np.float64) for m in masks]
    for (W, b), name, scale in zip(p.params, names, scales, strict=True):
        W = np.asarray(W, np.float64)
        inputs.append(a)
        W = W.T if transposed and W.shape[0] == W.shape[1] else W
        zs.append(a @ W + (0 if b is None or not bias else np.asarray(b, np.float64)))
        a = activation_value(name, zs[-1]) * scale
    return inputs, [*zs, a], scales


def _back(
    p: Problem,
    *,
    slope: str = "",
    output_slope: bool = True,
    inputs: str = "a",
    transposed: bool = True,
    shift: int = 0,
    start: str = "",
    decay: float = 1.0,
    decay_b: bool = False,
    kink: float = 0.0,
    dropped: bool = True,
) -> Params:
    """The gradient, with the mistakes that the arguments make."""
    spec, n = p.spec, len(p.X)
    a_in, zs, scales = _pass(p)
    outputs = zs[-1]
    delta, terms = loss_slope(spec, outputs, p.y)
    if start == "softmax":
        delta = (delta + terms) / 2
    elif start == "linear":
        delta = (outputs - np.eye(outputs.shape[1])[p.y]) / n
    grads: Params = []
    for layer in reversed(range(len(p.params))):
        W, b = p.params[layer]
        last = layer == len(p.params) - 1
        if not last or output_slope:
            scale = scales[layer] if dropped else 1.0
            delta = delta * scale * _slope(spec, zs, layer, last, slope, kink)
        below = zs[layer - 1] if inputs == "z" and layer > 0 else a_in[layer]
        dW = below.T @ delta + decay * spec.l2 * np.asarray(W, np.float64)
        db = None if b is None else delta.sum(axis=0) + (spec.l2 * b if decay_b else 0)
        grads.insert(0, (dW, db))
        if layer > 0:
            through = np.asarray(p.params[max(0, layer - shift)][0], np.float64)
            delta = delta @ (through.T if transposed else through)
    return grads


def _slope(
    spec: MLPSpec, zs: list[Array], layer: int, last: bool, slope: str, kink: float
) -> Array:
    z, name = zs[layer], spec.activations[layer]
    if last or not slope:
        right = activation_derivative(name, z)
        at_kink = kink and not last and name in ("relu", "leaky_relu")
        return np.where(z == 0, kink, right) if at_kink else right
    if slope == "one":
        return np.ones_like(z)
    if slope == "at a":
        return activation_derivative(name, activation_value(name, z))
    if slope == "shifted":
        return activation_derivative(name, zs[layer + 1])
    return activation_derivative(slope, z)
