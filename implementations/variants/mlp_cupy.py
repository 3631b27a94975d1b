"""The NumPy network on a GPU: its own source, with CuPy in NumPy's place.

CuPy has NumPy's functions on arrays that live on a GPU; cuBLAS does the matrix products, CuPy's
kernels the rest. Not one equation is written again: the files `mlp_numpy.py` and `parts_numpy.py`
are executed with `np` as CuPy (see `parts_cupy`). Here is only what a GPU needs besides: placing,
fetching and waiting.
"""

from typing import Any

from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree, map_tree
from samegrad.implementations.contract.validation import (
    check_batch,
    check_masks,
    check_params,
    refuse_device,
    refuse_dtype,
)
from samegrad.implementations.variants.engine_cupy import describe as describe
from samegrad.implementations.variants.engine_cupy import events as events
from samegrad.implementations.variants.engine_cupy import fetched, library, network, there, waited
from samegrad.implementations.variants.engine_cupy import peak_memory as peak_memory

DTYPES: tuple[str, ...] = ("float32", "float64")


def devices() -> tuple[str, ...]:
    """CUDA, if there is a device: CuPy's arrays live nowhere else."""
    return ("cuda",) if there() else ()


def params_from_numpy(spec: MLPSpec, params: Params, device: str) -> Params:
    """Copies on the GPU."""
    refuse_device("cupy", device, devices())
    refuse_dtype("cupy", spec.dtype, DTYPES)
    return map_tree(library().array, check_params(spec, params))


def batch_from_numpy(spec: MLPSpec, X: Array, y: Array, device: str) -> tuple[Array, Array]:
    """Copies on the GPU."""
    refuse_device("cupy", device, devices())
    refuse_dtype("cupy", spec.dtype, DTYPES)
    X, y = check_batch(spec, X, y)
    return library().array(X), library().array(y)


def masks_from_numpy(spec: MLPSpec, masks: Tree, device: str) -> Tree:
    """Copies on the GPU."""
    refuse_device("cupy", device, devices())
    return map_tree(library().array, check_masks(spec, masks))


def to_numpy(tree: Tree) -> Tree:
    """Arrays in the CPU's memory."""
    return map_tree(fetched, tree)


def synchronize(tree: Tree) -> None:
    """Wait for the GPU's queue."""
    waited()


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


def products(
    kinds: tuple[str, ...], pairs: list[tuple[Array, Array]], out: Any = None
) -> list[Array]:
    """Matrix products and nothing else, for measuring them: "nn" A B, "tn" A^T B, "nt" A B^T."""
    return network().products(kinds, pairs, out)


def take(X: Array, y: Array, chosen: Array) -> tuple[Array, Array]:
    """Examples of a placed batch by their indices, on the GPU."""
    return network().take(X, y, library().asarray(chosen))
