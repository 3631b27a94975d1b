"""One initialiser and one validator, in NumPy, for every implementation."""

from typing import Any

import numpy as np

from implementations.interface import MLPSpec, Params


def init_params(spec: MLPSpec, seed: int = 0) -> Params:
    """[(W, b), ...] drawn from uniform(-1/sqrt(fan_in), 1/sqrt(fan_in)), in the spec's dtype.

    The bounds are those of torch.nn.Linear. Biases are drawn too, so that a gradient that
    forgets them is seen. Numbers are drawn in float64 and rounded, so a float32 and a float64
    network of the same seed start from the same weights.
    """
    rng = np.random.default_rng(seed)
    params: Params = []
    for fan_in, fan_out in zip(spec.layer_sizes, spec.layer_sizes[1:], strict=False):
        bound = 1 / np.sqrt(fan_in)
        W = rng.uniform(-bound, bound, (fan_in, fan_out)).astype(spec.dtype)
        b = rng.uniform(-bound, bound, fan_out).astype(spec.dtype)
        params.append((W, b if spec.bias else None))
    return params


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
    if spec.loss == "mse":
        return X, _floats("y", y, spec.dtype, (batch_size, outputs))
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
        wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
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
