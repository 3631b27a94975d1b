"""One initialiser and one validator, in NumPy, for every implementation."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from samegrad.implementations.contract.interface import MLPSpec, Params, layer_masks

Array = Any
Drawn = Callable[[np.random.Generator, int, int, tuple[int, ...]], Array]


def _uniform(bound: Callable[[int, int], float]) -> Drawn:
    return lambda rng, fan_in, fan_out, shape: rng.uniform(
        -bound(fan_in, fan_out), bound(fan_in, fan_out), shape
    )


def _normal(deviation: Callable[[int, int], float]) -> Drawn:
    return lambda rng, fan_in, fan_out, shape: deviation(fan_in, fan_out) * rng.normal(size=shape)


# name: (how W is drawn, how b is drawn or None for zeros)
INITIALIZERS: dict[str, tuple[Drawn, Drawn | None]] = {
    # torch.nn.Linear: W and b uniform within 1/sqrt(fan_in)
    "torch": (_uniform(lambda i, o: i**-0.5), _uniform(lambda i, o: i**-0.5)),
    # W and b uniform(-0.5, 0.5)
    "uniform": (_uniform(lambda i, o: 0.5), _uniform(lambda i, o: 0.5)),
    # W of standard deviation 0.01
    "normal": (_normal(lambda i, o: 0.01), None),
    # variance 1/fan_in, which keeps a preactivation's variance (LeCun et al. 1998)
    "fan_in": (_normal(lambda i, o: i**-0.5), None),
    # Glorot and Bengio 2010, "Xavier": variance 2/(fan_in + fan_out)
    "glorot_uniform": (_uniform(lambda i, o: (6 / (i + o)) ** 0.5), None),
    "glorot_normal": (_normal(lambda i, o: (2 / (i + o)) ** 0.5), None),
    # He et al. 2015, "Kaiming", for relu: variance 2/fan_in
    "he_uniform": (_uniform(lambda i, o: (6 / i) ** 0.5), None),
    "he_normal": (_normal(lambda i, o: (2 / i) ** 0.5), None),
}


def init_params(spec: MLPSpec, seed: int = 0, initializer: str = "torch") -> Params:
    """[(W, b), ...] drawn by one of INITIALIZERS, in the spec's dtype.

    The default draws biases too, so that a gradient that forgets them is seen. All numbers come
    from one generator with this seed, in float64 and then rounded, so a float32 and a float64
    network of the same seed start from the same weights.

    Raises:
        ValueError: no such initializer.
    """
    if initializer not in INITIALIZERS:
        raise ValueError(
            f"initializer {initializer!r} is not known; accepted: {', '.join(INITIALIZERS)}"
        )
    draw_W, draw_b = INITIALIZERS[initializer]
    rng = np.random.default_rng(seed)
    params: Params = []
    for fan_in, fan_out in zip(spec.layer_sizes, spec.layer_sizes[1:], strict=False):
        W = draw_W(rng, fan_in, fan_out, (fan_in, fan_out))
        # Drawn without a bias too: the weights do not depend on whether there is one.
        b = draw_b(rng, fan_in, fan_out, (fan_out,)) if draw_b else np.zeros(fan_out)
        params.append((W.astype(spec.dtype), b.astype(spec.dtype) if spec.bias else None))
    return params


def draw_masks(spec: MLPSpec, batch_size: int, seed: int | Sequence[int] = 0) -> list[Array]:
    """Dropout masks for one batch: per hidden layer (batch, width) of 0 or 1/(1 - dropout).

    Drawn with probability `spec.dropout` of a 0; the same seed gives the same masks.
    """
    rng = np.random.default_rng(seed)
    return [
        ((rng.random((batch_size, width)) >= spec.dropout) / (1 - spec.dropout)).astype(spec.dtype)
        for width in spec.layer_sizes[1:-1]
    ]


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
