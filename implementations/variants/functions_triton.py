"""The kernel of the Triton network: forward and backward of a tile of examples.

Arrays are read as they are, and what pads them to powers of two is zero: padded units have weights
of zero on both sides, padded outputs and examples count nothing. Each derivative is derived by
hand, as in NumPy's functions; Triton has no tanh, log1p and expm1 that its interpreter knows.
"""

import math

from samegrad.implementations.backends.triton_backend import tl, triton
from samegrad.implementations.contract.equations import LEAKY_SLOPE, LIF_WIDTH, T_REF, TAU

# A kernel sees no other globals than these.
SLOPE, WIDTH_OF_J = tl.constexpr(LEAKY_SLOPE), tl.constexpr(LIF_WIDTH)
LOG_WIDTH, REST, MEMBRANE = (tl.constexpr(x) for x in (math.log(LIF_WIDTH), T_REF, TAU))
CUBIC, TWICE = tl.constexpr(0.044715), tl.constexpr(2 * math.sqrt(2 / math.pi))
THRICE_CUBIC = tl.constexpr(3 * 0.044715)


@triton.jit
def log1p(x: tl.tensor) -> tl.tensor:
    """log(1 + x) of x >= 0, in which log's error and that of 1 + x cancel (Kahan)."""
    u = x + 1
    return tl.where(u == 1, x, tl.log(u) * x / tl.where(u == 1, 1.0, u - 1))


@triton.jit
def expm1(x: tl.tensor) -> tl.tensor:
    """exp(x) - 1 of x <= 0, likewise."""
    u = tl.exp(x)
    near = (x > -1) & (u != 1)
    return tl.where(near, (u - 1) * x / tl.log(tl.where(near, u, 0.5)), tl.where(u == 1, x, u - 1))


@triton.jit
def sigmoid(z: tl.tensor) -> tl.tensor:
    """1 / (1 + exp(-z)), written so that exp never sees a large positive number."""
    e = tl.exp(-tl.abs(z))
    return tl.where(z >= 0, 1.0, e) / (e + 1)


@triton.jit
def softplus(z: tl.tensor) -> tl.tensor:
    """log(1 + exp(z)), its larger part taken out first."""
    return tl.where(z < 0, 0.0, z) + log1p(tl.exp(-tl.abs(z)))


@triton.jit
def activated(z: tl.tensor, NAME: tl.constexpr) -> tl.tuple:
    """g(z) and g'(z); the latter is 0 where there is none."""
    if NAME == "relu":
        return tl.where(z < 0, 0.0, z), (z > 0).to(z.dtype)
    if NAME == "leaky_relu":
        return tl.where(z > 0, z, z * SLOPE), tl.where(z > 0, tl.zeros_like(z) + 1, SLOPE)
    if NAME == "sigmoid":
        s = sigmoid(z)
        return s, s * (-s + 1)
    if NAME == "tanh":
        e = expm1(tl.abs(z) * -2)
        t = tl.where(z < 0, e, -e) / (e + 2)
        return t, -t * t + 1
    if NAME == "gelu":
        s = sigmoid((z + z * z * z * CUBIC) * TWICE)
        return z * s, s + z * s * (-s + 1) * (z * z * THRICE_CUBIC + 1) * TWICE
    if NAME == "silu":
        s = sigmoid(z)
        return z * s, s + z * s * (-s + 1)
    if NAME == "softplus":
        return softplus(z), sigmoid(z)
    if NAME == "lif_rate":
        u = (z - 1) / WIDTH_OF_J
        inner = tl.where(u < -40, -40.0, u)
        j, soft = softplus(u) * WIDTH_OF_J, softplus(inner)
        log_soft = tl.where(u < -40, u, tl.log(soft))
        a = 1 / ((log1p(j) - LOG_WIDTH - log_soft) * MEMBRANE + REST)
        ratio = tl.where(u < -40, 1.0, sigmoid(inner) / soft)
        return a, a * a * ratio / (j + 1) * MEMBRANE / WIDTH_OF_J
    if NAME == "unit_step":
        return (z > 0).to(z.dtype), tl.zeros_like(z)
    return z, tl.zeros_like(z) + 1


@triton.jit
def block(
    array: tl.tensor,
    row: tl.tensor,
    rows: tl.tensor,
    COLUMNS: tl.constexpr,
    HIGH: tl.constexpr,
    WIDE: tl.constexpr,
) -> tl.tensor:
    """Rows of a matrix from `row` on, (HIGH, WIDE), with zeros beside what it has."""
    i, j = row + tl.arange(0, HIGH)[:, None], tl.arange(0, WIDE)[None, :]
    return tl.load(array + i * COLUMNS + j, mask=(i < rows) & (j < COLUMNS), other=0)


@triton.jit
def put(
    array: tl.tensor, values: tl.tensor, row: tl.tensor, rows: tl.tensor, COLUMNS: tl.constexpr,
    HIGH: tl.constexpr, WIDE: tl.constexpr,
) -> None:  # fmt: skip
    """Write such rows."""
    i, j = row + tl.arange(0, HIGH)[:, None], tl.arange(0, WIDE)[None, :]
    tl.store(array + i * COLUMNS + j, values, mask=(i < rows) & (j < COLUMNS))


@triton.jit
def judged(
    a: tl.tensor, y: tl.tensor, first: tl.tensor, count: tl.tensor, LOSS: tl.constexpr,
    OUTPUTS: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr,
) -> tl.tuple:  # fmt: skip
    """Sum of the loss over a tile, and dloss/da, both times the batch."""
    i, j = first + tl.arange(0, HIGH)[:, None], tl.arange(0, WIDE)[None, :]
    real = (i < count) & (j < OUTPUTS)
    if LOSS == "cross_entropy":
        logits = tl.where(j < OUTPUTS, a, float("-inf"))
        largest = tl.max(logits, axis=1)[:, None]
        e = tl.exp(logits - largest)
        total = tl.sum(e, axis=1)[:, None]
        hit = j == tl.load(y + i, mask=i < count, other=0)
        entries = tl.where(hit, largest + tl.log(total) - a, 0.0)
        slope = e / total - hit.to(a.dtype)
    else:
        target = block(y, first, count, OUTPUTS, HIGH, WIDE)
        if LOSS == "binary_cross_entropy":
            entries = softplus(a) - target * a
            slope = sigmoid(a) - target
        else:
            slope = a - target
            entries = slope * slope / 2
    return tl.sum(tl.sum(tl.where(real, entries, 0.0), axis=1), axis=0), tl.where(real, slope, 0.0)


@triton.jit
def network(
    X: tl.tensor, W: tl.tuple, b: tl.tuple, m: tl.tuple, y: tl.tensor, out: tl.tensor,
    count: tl.tensor, LAYERS: tl.constexpr, SIZES: tl.constexpr, WIDTHS: tl.constexpr,
    PLACES: tl.constexpr, HIDDEN: tl.constexpr, LAST: tl.constexpr, LOSS: tl.constexpr,
    BIAS: tl.constexpr, MASKS: tl.constexpr, GRADIENT: tl.constexpr, PRECISION: tl.constexpr,
    TILE: tl.constexpr,
) -> None:  # fmt: skip
    """Outputs of a tile of examples; or its part of the gradient and, behind it, of the loss.

    W, b and m are tuples; PLACES says where in a part dW and db of each layer lie, then the loss
    and the end.
    """
    first = tl.program_id(0) * TILE
    a = block(X, first, count, SIZES[0], TILE, WIDTHS[0])
    given, slopes = (), ()  # what each layer is given; m g'(z)
    for l in tl.static_range(LAYERS):  # noqa: E741 # the layer, as in the equations
        given = given + (a,)  # noqa: RUF005 # Triton's tuples are not unpacked
        weights = block(W[l], 0, SIZES[l], SIZES[l + 1], WIDTHS[l], WIDTHS[l + 1])
        z = tl.dot(a, weights, input_precision=PRECISION, out_dtype=a.dtype)  # F1
        if BIAS:
            z = z + block(b[l], 0, 1, SIZES[l + 1], 1, WIDTHS[l + 1])  # F1
        a, slope = activated(z, HIDDEN if l < LAYERS - 1 else LAST)  # F2
        if MASKS and l < LAYERS - 1:
            mask = block(m[l], first, count, SIZES[l + 1], TILE, WIDTHS[l + 1])
            a, slope = mask * a, mask * slope  # F3
        slopes = slopes + (slope,)  # noqa: RUF005 # Triton compiles no unpacking
    if GRADIENT:
        part = out + tl.program_id(0) * PLACES[2 * LAYERS + 1]
        value, delta = judged(a, y, first, count, LOSS, SIZES[LAYERS], TILE, WIDTHS[LAYERS])
        tl.store(part + PLACES[2 * LAYERS], value / count)  # L1
        delta = delta / count * slopes[LAYERS - 1]  # B1
        for k in tl.static_range(LAYERS):  # of layer l = LAYERS - 1 - k
            dW = tl.dot(
                tl.trans(given[LAYERS - 1 - k]), delta, input_precision=PRECISION, out_dtype=a.dtype
            )  # B2
            put(
                part + PLACES[2 * (LAYERS - 1 - k)], dW, 0, SIZES[LAYERS - 1 - k],
                SIZES[LAYERS - k], WIDTHS[LAYERS - 1 - k], WIDTHS[LAYERS - k],
            )  # fmt: skip
            if BIAS:
                db = tl.sum(delta, axis=0)[None, :]  # B3
                put(
                    part + PLACES[2 * (LAYERS - 1 - k) + 1], db, 0, 1,
                    SIZES[LAYERS - k], 1, WIDTHS[LAYERS - k],
                )  # fmt: skip
            if k < LAYERS - 1:
                weights = block(
                    W[LAYERS - 1 - k], 0, SIZES[LAYERS - 1 - k], SIZES[LAYERS - k],
                    WIDTHS[LAYERS - 1 - k], WIDTHS[LAYERS - k],
                )  # fmt: skip
                slope = tl.dot(
                    delta, tl.trans(weights), input_precision=PRECISION, out_dtype=a.dtype
                )
                delta = slope * slopes[LAYERS - 2 - k]  # B4
    else:
        put(out, a, first, count, SIZES[LAYERS], TILE, WIDTHS[LAYERS])
