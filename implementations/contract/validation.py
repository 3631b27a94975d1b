"""One check of what callers give, in NumPy, for every implementation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from samegrad.implementations.contract.constants import FORWARD_ONLY
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree


def check_masks(spec: MLPSpec, masks: Any) -> list[Array] | None:
    """`masks` as arrays of the spec's dtype; None stays None.

    Raises:
        ValueError: the spec has no dropout, or number, a shape or a value does not fit it.
    """
    if masks is None:
        return None
    checked = []
    for layer, mask in enumerate(layer_masks(spec, masks, len(masks[0]) if masks else 0)[:-1], 1):
        name = f"mask {layer}"
        array = _floats(name, mask, spec.dtype, (None, spec.layer_sizes[layer]))
        kept = array.dtype.type(1 / (1 - spec.dropout))
        if not ((array == 0) | (array == kept)).all():
            raise ValueError(
                f"{name}: values other than 0 and 1/(1 - dropout) = {kept:.6g}; "
                "draw_masks gives the right ones"
            )
        checked.append(array)
    return checked


def check_params(spec: MLPSpec, params: Params) -> Params:
    """`params` as arrays of the spec's dtype.

    Raises:
        ValueError: nesting or a shape differs from the spec's, or a value is not finite.
    """
    layers = len(spec.layer_sizes) - 1
    if not isinstance(params, list) or len(params) != layers:
        given = len(params) if isinstance(params, list) else type(params).__name__
        raise ValueError(f"params: given {given}, expected a list of {layers} pairs (W, b)")
    checked: Params = []
    for layer, pair in enumerate(params, start=1):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"params of layer {layer}: expected a pair (W, b)")
        fan_in, fan_out = spec.layer_sizes[layer - 1 : layer + 1]
        W = _floats(f"W{layer}", pair[0], spec.dtype, (fan_in, fan_out))
        if (pair[1] is not None) != spec.bias:
            raise ValueError(
                f"b{layer}: the spec has bias={spec.bias}, so b must "
                + ("be an array, given None" if spec.bias else "be None")
            )
        b = _floats(f"b{layer}", pair[1], spec.dtype, (fan_out,)) if spec.bias else None
        checked.append((W, b))
    return checked


def check_batch(spec: MLPSpec, X: Any, y: Any) -> tuple[Any, Any]:
    """X as (batch, features) of the spec's dtype, y as int64 indices or values of that dtype.

    Every implementation calls this before placing a batch, because afterwards they differ on
    bad labels: NumPy wraps -1 round, JAX clamps (a zero gradient), torch raises or skips -100.

    Raises:
        ValueError: wrong shape, no example, a value that is not finite (also after rounding
            to the spec's dtype), or a label that is not a class of the spec.
    """
    features, outputs = spec.layer_sizes[0], spec.layer_sizes[-1]
    X = _floats("X", X, spec.dtype, (None, features))
    batch_size = len(X)
    if batch_size == 0:
        raise ValueError("X: the batch is empty; give at least 1 example")
    if spec.loss != "cross_entropy":
        y = _floats("y", y, spec.dtype, (batch_size, outputs))
        if spec.loss == "binary_cross_entropy" and not ((y >= 0) & (y <= 1)).all():
            raise ValueError(
                f"y: values from {y.min():g} to {y.max():g}; binary_cross_entropy takes "
                "probabilities from 0 to 1, one per output"
            )
        return X, y
    y = np.asarray(y)
    if y.dtype.kind not in "iu":
        raise ValueError(f"y: dtype {y.dtype}; cross_entropy takes class indices as integers")
    if y.shape != (batch_size,):
        raise ValueError(f"y: shape {y.shape}, expected ({batch_size},): one class per example")
    if y.min() < 0 or y.max() >= outputs:
        raise ValueError(
            f"y: labels from {y.min()} to {y.max()}, accepted 0 to {outputs - 1} "
            f"(the network has {outputs} outputs)"
        )
    return X, y.astype(np.int64)


def _floats(name: str, value: Any, dtype: str, shape: tuple[int | None, ...]) -> Any:
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name}: not a rectangular array ({error})") from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name}: dtype {array.dtype}, expected real numbers")
    fits = array.ndim == len(shape) and all(
        size in (None, length) for size, length in zip(shape, array.shape, strict=True)
    )
    if not fits:
        expected = "(" + ", ".join("batch" if n is None else str(n) for n in shape)
        expected += ",)" if len(shape) == 1 else ")"
        raise ValueError(f"{name}: shape {array.shape}, expected {expected}")
    with np.errstate(over="ignore"):  # an overflow shows as inf, and is refused below
        array = array.astype(dtype)
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        raise ValueError(
            f"{name}: {len(bad)} of {array.size} values are NaN or infinite in {dtype}, "
            f"the first at index {tuple(int(i) for i in bad[0])}"
        )
    return array


def layer_masks(
    spec: MLPSpec, masks: Tree, batch_size: int | None = None
) -> tuple[Array | None, ...]:
    """A mask or None for each layer: None for the last one, and for all in evaluation.

    Args:
        batch_size: what the masks are held to, where it is known.

    Raises:
        ValueError: masks without dropout in the spec, not one per hidden layer, or of another
            batch size (one row would be spread over the batch).
    """
    layers = len(spec.layer_sizes) - 1
    if masks is None:
        return (None,) * layers
    if spec.dropout == 0:
        raise ValueError("masks were given, but the spec has dropout 0; pass masks=None")
    if len(masks) != layers - 1:
        raise ValueError(f"masks: given {len(masks)}, expected {layers - 1}: one per hidden layer")
    if batch_size is not None and any(len(mask) != batch_size for mask in masks):
        raise ValueError(
            f"masks: of {[len(mask) for mask in masks]} examples, the batch has {batch_size}"
        )
    return (*masks, None)


def refuse_mask(mask: Array, a: Array) -> None:
    """Raise ValueError if a mask is of another batch size than what it is multiplied with."""
    if len(mask) != len(a):
        raise ValueError(f"masks: of {len(mask)} examples, the batch has {len(a)}")


def refuse_forward_only(spec: MLPSpec) -> None:
    """Raise ValueError if an activation has no derivative: autodiff would say 0 everywhere."""
    if not spec.differentiable:
        name = next(name for name in spec.activations if name in FORWARD_ONLY)
        raise ValueError(
            f"activation {name!r} has outputs but no useful derivative (0 everywhere, none "
            "at 0), so there is no gradient; use forward or loss, or another activation"
        )


def require_masks(spec: MLPSpec, masks: Tree) -> None:
    """Raise ValueError if a network with dropout would be trained without it."""
    if spec.dropout and masks is None:
        raise ValueError(
            f"the spec has dropout {spec.dropout:g}, so train_step needs masks: "
            "masks_from_numpy(spec, draw_masks(spec, batch_size, seed), device)"
        )


def refuse_device(implementation: str, device: str, available: Sequence[str]) -> None:
    """Raise ValueError unless `device` is available: there is no silent fall-back."""
    if device not in available:
        raise ValueError(
            f"device {device!r} is not available to {implementation} (has: {', '.join(available)})"
        )


def refuse_dtype(implementation: str, dtype: str, available: Sequence[str]) -> None:
    """Raise ValueError unless `dtype` is available: there is no silent conversion."""
    if dtype not in available:
        raise ValueError(
            f"dtype {dtype!r} is not available to {implementation} (has: {', '.join(available)})"
        )
