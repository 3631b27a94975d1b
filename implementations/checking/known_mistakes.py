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
    mistakes: list[tuple[str, dict[str, Any]]] = [
        ("the biases were left out (F1)", {"bias": False}),
        ("the hidden activation were applied to the outputs too (F2)", {"outputs_too": True}),
        ("W were transposed (F1)", {"transposed": True}),
        ("the dropout masks were left out (F3)", {"dropped": False}),
        ("softmax were applied to the outputs; the loss takes it, too (F2)", {"softmax": True}),
    ]
    for name in ACTIVATIONS:
        text = f"the hidden activation were {name}, whatever the spec says (F2)"
        mistakes.append((text, {"activation": name}))
    for text, mistake in mistakes:
        yield text, partial(_outputs, **mistake)


def of_gradient(problem: Problem) -> Iterator[tuple[str, Callable[[Problem], Params]]]:
    """("the gradient is as if ...", the gradient with it) of what fits the problem."""
    spec = problem.spec
    hidden = len(spec.layer_sizes) > 2
    bent = hidden and spec.activation != "identity"
    classes = spec.loss == "cross_entropy"
    other = [name for name in ACTIVATIONS if name not in (spec.activation, "identity")]
    at_kink = problem.name == AT_THE_KINK
    mistakes: list[tuple[bool, str, dict[str, Any]]] = [
        *(
            (at_kink, f"g'(0) were {value:g} {AT_THE_KINK}, where it is that of the left side",
             {"kink": value})
            for value in (1.0, 0.5)
        ),
        (bent, "g'(z) of the hidden layers were left out (B4)", {"slope": "one"}),
        (bent, "g' of the hidden layers were taken at a instead of z (B4)", {"slope": "at a"}),
        *(
            (bent, f"g' of the hidden layers were that of {name} (B4)", {"slope": name})
            for name in other
        ),
        (bent, "dW were z^T delta instead of a^T delta (B2)", {"inputs": "z"}),
        (spec.output_activation != "identity", "g' of the output layer were left out (B1)",
         {"output_slope": False}),
        (hidden, "W were not transposed (B4: delta W^T)", {"transposed": False}),
        (hidden, "delta went through W of the layer below, an index off by one (B4)", {"shift": 1}),
        (hidden, "g' were taken at z of the layer above, an index off by one (B4)",
         {"slope": "shifted"}),
        (hidden, "the layers came in reverse order", {"reverse": True}),
        (classes, "softmax(z) were not reduced by onehot(y) (B1)", {"start": "softmax"}),
        (classes, "the logits were not passed through softmax (B1)", {"start": "linear"}),
        (classes, "softmax were taken twice (L1)", {"start": "twice"}),
        (spec.l2 > 0, "weight decay were missing from dW (B2)", {"decay": 0.0}),
        (spec.l2 > 0, "weight decay entered dW twice as strong (B2)", {"decay": 2.0}),
        (spec.l2 > 0, "b were decayed too (B3)", {"decay_b": True}),
        (spec.l2 > 0, "weight decay were divided by the batch size (B2)",
         {"decay": 1 / len(problem.X)}),
        (problem.masks is not None, "the dropout mask were left out of delta (B4)",
         {"dropped": False}),
    ]  # fmt: skip
    for fits, text, mistake in mistakes:
        if fits:
            yield text, partial(_back, **mistake)


def _outputs(p: Problem, **mistake: Any) -> Array:
    _, zs, _ = _pass(p, **mistake)
    return zs[-1]


def _pass(
    p: Problem,
    *,
    activation: str | None = None,
    outputs_too: bool = False,
    bias: bool = True,
    transposed: bool = False,
    dropped: bool = True,
    softmax: bool = False,
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
    if outputs_too:
        a = activation_value(p.spec.activation, a)
    if softmax:
        a = probabilities(a)
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
    reverse: bool = False,
) -> Params:
    """The gradient, with the mistakes that the arguments make."""
    spec, n = p.spec, len(p.X)
    a_in, zs, scales = _pass(p)
    outputs = zs[-1]
    delta, terms = loss_slope(spec, outputs, p.y)
    if start == "softmax":
        delta = (delta + terms) / 2
    elif start == "twice":  # the slope of a loss that takes the softmax of a softmax
        p_k = probabilities(outputs)
        above, _ = loss_slope(spec, p_k, p.y)
        delta = p_k * (above - np.sum(above * p_k, axis=1, keepdims=True))
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
    return grads[::-1] if reverse else grads


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


def probabilities(outputs: Array) -> Array:
    """softmax of each row."""
    e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
