"""The NumPy network on a GPU: its own source, with CuPy in NumPy's place.

CuPy has NumPy's functions on arrays that live on a GPU; cuBLAS does the matrix products, CuPy's
kernels the rest. Not one equation is written again: the files `mlp_numpy.py` and
`functions_numpy.py` are executed with `np` as CuPy (see `engine_cupy`).
"""

from typing import Any

from samegrad.implementations.backends.cupy_backend import CUPY
from samegrad.implementations.contract.spec import Array, MLPSpec, Params, Tree
from samegrad.implementations.variants.engine_cupy import network

BACKEND = CUPY
# F1-F3, L1, L2, B1-B4, U1-U7: NumPy's own lines, executed with CuPy


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    return network().forward(spec, params, X, masks)


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss, an array without dimensions."""
    return network().loss(spec, params, X, y, masks)


# B1-B4: derived by hand, in mlp_numpy.py


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    return network().loss_and_grad(spec, params, X, y, masks)


def init_state(spec: MLPSpec, params: Params) -> Any:
    """(0 steps done, for each W and b as many arrays of zeros as the rule keeps)."""
    return network().init_state(spec, params)


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
    return network().train_step(spec, params, state, X, y, learning_rate, masks)
