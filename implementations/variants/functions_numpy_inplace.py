"""Tables of the in-place NumPy network: BLAS that accumulates, functions that overwrite.

A function that ends in nothing has overwritten its first argument. Where an activation needs no
more than its own value for its derivative, z, a = g(z) and g'(z) have one place between them;
the others are NumPy's table, copied into the place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import blas
from scipy.special import expit

from samegrad.implementations.contract.equations import (
    ADADELTA_EPS,
    ADAGRAD_EPS,
    ADAM_EPS,
    BETA1,
    BETA2,
    LEAKY_SLOPE,
    MOMENTUM,
    RHO,
)
from samegrad.implementations.contract.spec import MLPSpec

Array = np.ndarray
Params = list[tuple[Array, Array | None]]
GEMM = {np.dtype("float32"): blas.sgemm, np.dtype("float64"): blas.dgemm}
GEMV = {np.dtype("float32"): blas.sgemv, np.dtype("float64"): blas.dgemv}

# C <- alpha A B + beta C, written where C is: what `@` cannot say. BLAS is Fortran and reads each
# of our arrays, which must be C-contiguous, as its transpose, so the factors change places.


def nn(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """C <- alpha A B + beta C."""
    GEMM[C.dtype](alpha, B.T, A.T, beta, C.T, 0, 0, 1)


def tn(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """C <- alpha A^T B + beta C."""
    GEMM[C.dtype](alpha, B.T, A.T, beta, C.T, 0, 1, 1)


def nt(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """C <- alpha A B^T + beta C."""
    GEMM[C.dtype](alpha, B.T, A.T, beta, C.T, 1, 0, 1)


def column_sums(alpha: float, A: Array, ones: Array, beta: float, c: Array) -> None:
    """c <- alpha (sum of the rows of A) + beta c, as a product with ones."""
    GEMV[c.dtype](alpha, A.T, ones, beta, c, 0, 1, 0, 1, 0, 1)


def products(
    kinds: tuple[str, ...], pairs: list[tuple[Array, Array]], out: list[Array] | None = None
) -> list[Array]:
    """Matrix products and nothing else, for measuring them: "nn" A B, "tn" A^T B, "nt" A B^T."""
    if out is None:
        shapes = {"nn": (0, 1), "tn": (1, 1), "nt": (0, 0)}
        out = [
            np.empty((A.shape[shapes[kind][0]], B.shape[shapes[kind][1]]), A.dtype)
            for kind, (A, B) in zip(kinds, pairs, strict=True)
        ]
    done = {"nn": nn, "tn": tn, "nt": nt}
    for kind, (A, B), C in zip(kinds, pairs, out, strict=True):
        done[kind](1.0, A, B, 0.0, C)
    return out


def relu(z: Array) -> None:
    """max(z, 0): against a row of zeros NumPy takes half the time that a scalar 0 takes."""
    np.maximum(z, np.zeros(z.shape[1], z.dtype), out=z)


def leaky_relu(z: Array) -> None:
    """max(z, slope z)."""
    np.maximum(z, LEAKY_SLOPE * z, out=z)


def d_leaky_relu(a: Array) -> None:
    """1 or the slope."""
    np.copyto(a, np.where(a > 0, 1, a.dtype.type(LEAKY_SLOPE)))


def d_sigmoid(a: Array) -> None:
    """a (1 - a)."""
    np.multiply(a, 1 - a, out=a)


def d_tanh(a: Array) -> None:
    """1 - a^2."""
    np.square(a, out=a)
    np.subtract(1, a, out=a)


def nothing(z: Array) -> None:
    """The identity."""


# name: (z becomes g(z), g(z) becomes g'(z)); the activations that need z again are not here
ACTIVATIONS: dict[str, tuple[Callable[[Array], Any], Callable[[Array], Any]]] = {
    "identity": (nothing, lambda a: a.fill(1)),
    "relu": (relu, lambda a: np.greater(a, 0, out=a)),
    "leaky_relu": (leaky_relu, d_leaky_relu),
    "sigmoid": (lambda z: expit(z, out=z), d_sigmoid),
    "tanh": (lambda z: np.tanh(z, out=z), d_tanh),
}


@dataclass
class Places:
    """What the steps of one batch size write into.

    Attributes:
        z: per layer z, then g(z), then g'(z), (batch, width).
        a: the same array, or one of its own where g' needs z.
        kept: m * a where there is dropout, else a.
        delta: per layer dloss/dz, (batch, width); the last one's is that of its outputs.
        ones: (batch,), for sums over the batch.
    """

    z: list[Array]
    a: list[Array]
    kept: list[Array]
    delta: list[Array]
    ones: Array

    @classmethod
    def of(cls, spec: MLPSpec, batch_size: int) -> "Places":
        """Room for a batch."""
        shapes = [(batch_size, width) for width in spec.layer_sizes[1:]]
        z = [np.empty(shape, spec.dtype) for shape in shapes]
        a = [
            one if name in ACTIVATIONS else np.empty_like(one)
            for one, name in zip(z, spec.activations, strict=True)
        ]
        kept = [np.empty_like(one) for one in a[:-1]] + a[-1:] if spec.dropout else a
        delta = [np.empty(shape, spec.dtype) for shape in shapes[:-1]] + [a[-1]]
        return cls(z, a, kept, delta, np.ones(batch_size, spec.dtype))


def cross_entropy(a: Array, y: Array) -> Array:
    """Mean of -log softmax(a)[y]; a becomes (softmax(a) - onehot(y)) / batch."""
    batch_size, outputs = a.shape
    flat, right = a.reshape(-1), np.arange(0, a.size, outputs) + y  # a[n, y_n], found faster
    a -= np.maximum.reduce(a, axis=1, keepdims=True)
    shifted = flat.take(right).sum()
    np.exp(a, out=a)
    total = np.add.reduce(a, axis=1, keepdims=True)
    loss = (np.log(total).sum() - shifted) / batch_size  # L1
    total *= batch_size
    a /= total  # B1
    flat[right] -= a.dtype.type(1 / batch_size)  # B1
    return loss


def binary_cross_entropy(a: Array, y: Array) -> Array:
    """1/batch of the sum of log(1 + exp(a)) - y a; a becomes (sigmoid(a) - y) / batch."""
    loss = (np.logaddexp(0, a) - y * a).sum() / len(y)  # L1; large logits cancel one by one
    expit(a, out=a)
    a -= y
    a /= len(y)  # B1
    return loss


def mse(a: Array, y: Array) -> Array:
    """1/(2 batch) of the sum of (a - y)^2; a becomes (a - y) / batch."""
    a -= y
    loss = np.vdot(a, a) / (2 * len(y))  # L1
    a /= len(y)  # B1
    return loss


# name: the loss of the outputs, which become dloss/doutputs
LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
}

# Each rule updates an array p and its arrays of state; its gradient dp is used up as scratch.


def sgd(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """Gradient descent, where it is not a part of the product B2."""
    dp *= learning_rate
    p -= dp  # U1


def momentum(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """The velocity v remembers the gradients."""
    (v,) = state
    v *= MOMENTUM
    v += dp  # U2
    np.multiply(v, learning_rate, out=dp)
    p -= dp  # U2


def nesterov(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """Momentum that looks one step ahead."""
    (v,) = state
    v *= MOMENTUM
    v += dp  # U3
    dp += MOMENTUM * v
    dp *= learning_rate
    p -= dp  # U3


def adagrad(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """Each number's rate falls with the sum of its squared gradients."""
    (s,) = state
    s += np.square(dp)  # U4
    root = np.sqrt(s)
    root += ADAGRAD_EPS
    dp *= learning_rate
    dp /= root
    p -= dp  # U4


def adadelta(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """Steps in the units of p, from running averages of dp^2 and d^2."""
    s, e = state
    s *= RHO
    s += (1 - RHO) * np.square(dp)  # U5
    d = (e + ADADELTA_EPS) / (s + ADADELTA_EPS)
    np.sqrt(d, out=d)
    d *= dp  # U5
    e *= RHO
    e += (1 - RHO) * np.square(d)  # U5
    d *= learning_rate
    p -= d  # U5


def adam(p: Array, dp: Array, state: list[Array], t: int, learning_rate: float) -> None:
    """Running averages of dp and dp^2, corrected for their start at zero."""
    m, v = state
    m *= BETA1
    m += (1 - BETA1) * dp  # U6
    v *= BETA2
    np.square(dp, out=dp)
    dp *= 1 - BETA2
    v += dp  # U6
    np.multiply(v, 1 / (1 - BETA2**t), out=dp)
    np.sqrt(dp, out=dp)
    dp += ADAM_EPS
    np.divide(m, dp, out=dp)
    dp *= learning_rate / (1 - BETA1**t)
    p -= dp  # U6


# name: the rule
OPTIMIZERS: dict[str, Callable[..., None]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "adam": adam,
    "adamw": adam,  # U7 comes first, in `update`
}
