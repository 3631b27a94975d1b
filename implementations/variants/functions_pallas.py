"""What a kernel of Pallas is given: arrays padded to powers of two, one tile at a time."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import pallas
from jax.experimental.pallas import triton

from samegrad.implementations.contract.layers import layer_masks, refuse_mask
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_jax import Params
from samegrad.implementations.variants.tiles import TILE, power, tiles


def pad(array: Array, *sizes: int) -> Array:
    """Zeros up to these sizes."""
    return jnp.pad(array, [(0, size - n) for size, n in zip(sizes, array.shape, strict=True)])


def padded(spec: MLPSpec, params: Params, X: Array, masks: Tree) -> tuple[Any, Array, Any]:
    """Weights, inputs and a mask or None per layer, of sizes that a kernel takes."""
    rows = tiles(len(X)) * TILE
    weights, drops = [], []
    for (W, b), m in zip(params, layer_masks(spec, masks), strict=True):
        fan_in, fan_out = (power(size) for size in W.shape)
        b = jnp.zeros(W.shape[1], W.dtype) if b is None else b
        weights.append((pad(W, fan_in, fan_out), pad(b[None], 1, fan_out)))
        if m is not None:
            refuse_mask(m, X)
            m = pad(m, rows, fan_out)
        drops.append(m)
    return weights, pad(X, rows, power(X.shape[1])), drops


def read(refs: Any) -> Any:
    """What refs hold, in registers."""
    return jax.tree.map(lambda ref: ref[...], refs)


def tiled(array: Any) -> Any:
    """An instance sees the rows of its tile."""
    return pallas.BlockSpec((TILE, array.shape[1]), lambda i: (i, 0))


def call(kernel: Any, weights: Any, rows: Any, shapes: Any, blocks: Any) -> Any:
    """The kernel over all tiles, compiled on a GPU and interpreted elsewhere."""
    whole = jax.tree.map(lambda W: pallas.BlockSpec(W.shape, lambda _: (0, 0)), weights)

    def run(*given: Any, interpret: bool) -> Any:
        return pallas.pallas_call(
            kernel,
            out_shape=shapes,
            grid=(len(rows[0]) // TILE,),
            in_specs=[whole, *jax.tree.map(tiled, rows)],
            out_specs=blocks,
            compiler_params=triton.CompilerParams(num_warps=4),
            interpret=interpret,
        )(*given)

    return jax.lax.platform_dependent(
        weights, *rows, cpu=partial(run, interpret=True), default=partial(run, interpret=False)
    )
