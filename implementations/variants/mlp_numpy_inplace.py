"""The NumPy network in place: a step writes where it has written before, and allocates nothing.

Each layer has one place for z, a = g(z) and g'(z), and one for its delta; they are a part of the
optimiser's state. BLAS, called through SciPy, adds where it multiplies: F1 starts from b, and
under gradient descent on MOST_ADDED examples at most B2 and U1 are one product that is taken from W
where W stands. Arrays and initial state are those of the NumPy network.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.layers import layer_masks, refuse_forward_only, require_masks
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.functions_numpy import ACTIVATIONS as FROM_Z
from samegrad.implementations.functions_numpy import init_state as zeros
from samegrad.implementations.variants.functions_numpy_inplace import (
    ACTIVATIONS,
    LOSSES,
    OPTIMIZERS,
    Array,
    Params,
    Places,
    column_sums,
    nn,
    nt,
    products,
    tn,
)

BACKEND = NUMPY
CAPABILITIES = Capabilities(products=products)
MOST_PLACES = 4  # batch sizes whose buffers are kept; an epoch has two
# BLAS adds to W some hundred examples at a time, and rounds W each time: a step on 65,536 examples
# was off by 0.8 % (784-128-64-10, rate 0.01, float32), by 0.04 % with the gradient by itself. That
# takes a pass over W, which is little beside so many examples.
MOST_ADDED = 1024


def forward(
    spec: MLPSpec, params: Params, X: Array, masks: Tree = None, places: Any = None
) -> Array:
    """Outputs (batch, outputs), in their place."""
    here = places or Places.of(spec, len(X))
    a = X
    layers = zip(params, spec.activations, layer_masks(spec, masks, len(X)), strict=True)
    for layer, ((W, b), name, m) in enumerate(layers):
        z = here.z[layer]
        if b is not None:
            np.copyto(z, b)
        nn(1.0, a, W, 0.0 if b is None else 1.0, z)  # F1
        if name in ACTIVATIONS:
            ACTIVATIONS[name][0](z)  # F2
        else:
            here.a[layer][...] = FROM_Z[name][0](z)  # F2
        a = here.a[layer]
        if m is not None:
            a = np.multiply(m, a, out=here.kept[layer])  # F3
    return a


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as a scalar of the spec's dtype."""
    outputs = forward(spec, params, X, masks)
    return LOSSES[spec.loss](outputs, y) + penalty(spec, params)  # L1, L2


def backward(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree, here: Places
) -> Iterator[Any]:
    """First the loss, then from the last layer on (layer, a_{l-1}, delta_l): W_l is free then."""
    outputs = forward(spec, params, X, masks, here)
    slope = None
    if spec.output_activation != "identity":
        slope = outputs * (1 - outputs)  # of the sigmoid; B1 is about to overwrite them
    yield LOSSES[spec.loss](outputs, y) + penalty(spec, params)  # L1, L2, B1
    delta = outputs
    if slope is not None:
        delta *= slope  # B1
    ms = layer_masks(spec, masks, len(X))
    for layer in reversed(range(len(params))):
        if layer == 0:
            yield layer, X, delta
            return
        before = layer - 1
        nt(1.0, delta, params[layer][0], 0.0, here.delta[before])  # B4
        yield layer, here.a[before] if ms[before] is None else here.kept[before], delta
        delta, name = here.delta[before], spec.activations[before]
        if name in ACTIVATIONS:
            ACTIVATIONS[name][1](here.a[before])
        else:
            here.a[before][...] = FROM_Z[name][1](here.z[before], here.a[before])
        if ms[before] is not None:
            delta *= ms[before]  # B4
        delta *= here.a[before]  # B4


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    here = Places.of(spec, len(X))
    steps = backward(spec, params, X, y, masks, here)
    value = next(steps)
    grads: Params = [(np.empty_like(W), b if b is None else np.empty_like(b)) for W, b in params]
    for layer, a_in, delta in steps:
        _gradient(spec, params[layer], grads[layer], a_in, delta, here)
    return value, grads


def init_state(spec: MLPSpec, params: Params) -> Any:
    """(steps done, the rule's arrays, places by batch size, the gradient's arrays or None)."""
    grads = None if spec.optimizer == "sgd" else map_tree(np.empty_like, params)
    return *zeros(spec, params), {}, grads


def train_step(
    spec: MLPSpec,
    params: Params,
    state: Tree,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, Array]:
    """Params and state after one update in place, and the loss before it."""
    require_masks(spec, masks)
    refuse_forward_only(spec)
    done, rule_state, places, grads = state
    if len(X) not in places:
        if len(places) == MOST_PLACES:
            places.clear()
        places[len(X)] = Places.of(spec, len(X))
    here = places[len(X)]
    steps = backward(spec, params, X, y, masks, here)
    value = next(steps)
    keep = 1 - learning_rate * (spec.l2 + spec.decay)
    added = spec.optimizer == "sgd" and len(X) <= MOST_ADDED
    if grads is None and not added:
        grads = map_tree(np.empty_like, params)
    for layer, a_in, delta in steps:
        W, b = params[layer]
        if added:
            tn(-learning_rate, a_in, delta, keep, W)  # B2, U1, U7
            if b is not None:
                column_sums(-learning_rate, delta, here.ones, 1.0, b)  # B3, U1
            continue
        _gradient(spec, params[layer], grads[layer], a_in, delta, here)
        if spec.decay:
            W *= 1 - learning_rate * spec.decay  # U7
        for p, dp, kept in zip((W, b), grads[layer], rule_state[layer], strict=True):
            if p is not None:
                OPTIMIZERS[spec.optimizer](p, dp, kept, done + 1, learning_rate)
    return params, (done + 1, rule_state, places, grads), value


def penalty(spec: MLPSpec, params: Params) -> float:
    """l2/2 times the sum of W^2."""
    if spec.l2 == 0:
        return 0
    return spec.l2 / 2 * sum(np.vdot(W, W) for W, _ in params)


def _gradient(
    spec: MLPSpec, layer: Any, grad: Any, a_in: Array, delta: Array, here: Places
) -> None:
    """dW and db of a layer, into their arrays."""
    (W, _), (dW, db) = layer, grad
    if spec.l2:
        np.multiply(W, spec.l2, out=dW)
    tn(1.0, a_in, delta, 1.0 if spec.l2 else 0.0, dW)  # B2
    if db is not None:
        db.fill(0)
        column_sums(1.0, delta, here.ones, 1.0, db)  # B3
