"""The network in C, with backpropagation derived by hand: `mlp_c.c`, called from here.

The machine's own C compiler does the work, the first time; nothing else is used. Arrays are
NumPy's. Each function here gives C the places of its arrays and calls the function of that name.
"""

from typing import Any

import numpy as np

from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.layers import refuse_forward_only, require_masks
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_c import (
    Array,
    Params,
    Places,
    init_kept,
    library,
    products,
)


def refuse(spec: MLPSpec) -> None:
    """Raise NotImplementedError if there is no C compiler, or it fails."""
    library(spec.dtype)


BACKEND = NUMPY
CAPABILITIES = Capabilities(products=products, refuse=refuse)


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    here = Places(spec, params)
    net, where, _, n = here.begin(X, None, masks)
    outputs = np.empty((n, spec.layer_sizes[-1]), spec.dtype)
    here.library.samegrad_forward(net, where, n, outputs.ctypes.data)  # F1, F2, F3
    return outputs


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Any:
    """The loss as a scalar of the spec's dtype."""
    here = Places(spec, params)
    return here.scalar(here.library.samegrad_loss(*here.begin(X, y, masks)))  # L1, L2


# B1-B4: by hand, in `backward` of mlp_c.c


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Any, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    grads: Params = [(np.empty_like(W), b if b is None else np.empty_like(b)) for W, b in params]
    here = Places(spec, params, grads=grads)
    value = here.library.samegrad_loss_and_grad(*here.begin(X, y, masks))
    return here.scalar(value), grads


def init_state(spec: MLPSpec, params: Params) -> Any:
    """(0 steps done, the rule's arrays, their places for C)."""
    kept = init_kept(spec, params)
    return 0, kept, Places(spec, params, kept)


def train_step(
    spec: MLPSpec,
    params: Params,
    state: Tree,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, Any]:
    """Params and state after one update in place, and the loss before it."""
    require_masks(spec, masks)
    refuse_forward_only(spec)
    done, kept, here = state
    if here is None or not here.are_of(spec, params, kept):
        here = Places(spec, params, kept)
    given = here.begin(X, y, masks)
    value = here.library.samegrad_train_step(*given, learning_rate, done + 1)  # U1-U7
    return params, (done + 1, kept, here), here.scalar(value)
