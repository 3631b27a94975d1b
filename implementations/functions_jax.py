"""Tables of the JAX network: activations, losses and optimisers on arrays.

No derivative stands here: jax.grad has one for each of these operations. sgd is one line and
written out; every other rule is made of optax's pieces.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from samegrad.implementations.contract.constants import (
    ADADELTA_EPS,
    ADAGRAD_EPS,
    ADAM_EPS,
    BETA1,
    BETA2,
    LEAKY_SLOPE,
    LIF_WIDTH,
    MOMENTUM,
    RHO,
    T_REF,
    TAU,
)
from samegrad.implementations.contract.spec import MLPSpec


def lif_rate(v: Array) -> Array:
    """1 / (T_REF + TAU log(1 + 1/j)), where log(1 + 1/j) = log(1 + j) - log(j) for any j > 0."""
    u = (v - 1) / LIF_WIDTH
    log_softplus = jnp.where(u < -40, u, jnp.log(jax.nn.softplus(jnp.maximum(u, -40))))
    j = LIF_WIDTH * jax.nn.softplus(u)
    return 1 / (T_REF + TAU * (jnp.log1p(j) - math.log(LIF_WIDTH) - log_softplus))


def unit_step(z: Array) -> Array:
    """1 for z > 0, else 0."""
    return (z > 0).astype(z.dtype)


# name: g(z)
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "relu": jax.nn.relu,
    # jax.nn.leaky_relu has the right side's slope at 0
    "leaky_relu": lambda z: jnp.where(z > 0, z, LEAKY_SLOPE * z),
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "gelu": lambda z: jax.nn.gelu(z, approximate=True),
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "lif_rate": lif_rate,
    "unit_step": unit_step,
}


def one_hot(outputs: Array) -> Array:
    """1 at each row's largest output (the first of equals), 0 elsewhere."""
    return jax.nn.one_hot(outputs.argmax(axis=1), outputs.shape[1], dtype=outputs.dtype)


def cross_entropy(outputs: Array, y: Array) -> Array:
    """Mean of -log softmax(outputs)[y]."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], axis=1))


def binary_cross_entropy(outputs: Array, y: Array) -> Array:
    """1/batch of the sum of -y log p - (1 - y) log(1 - p), p = sigmoid(outputs)."""
    return jnp.sum(jax.nn.softplus(outputs) - y * outputs) / len(y)


def mse(outputs: Array, y: Array) -> Array:
    """1/(2 batch) of the sum of (outputs - y)^2."""
    return jnp.sum(jnp.square(outputs - y)) / (2 * len(y))


# name: loss
LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
}


def rule(optimizer: str) -> Any:
    """The rule as an optax transformation of gradients into steps of learning rate -1."""
    import optax  # only here: sgd does without, and its import takes a second

    def adagrad(grads: Any, sums: Any, params: Any = None) -> Any:
        # optax.scale_by_rss has eps inside the root, and an initial sum of 0.1
        sums = jax.tree.map(lambda s, dp: s + dp * dp, sums, grads)  # U4
        steps = jax.tree.map(lambda s, dp: dp / (jnp.sqrt(s) + ADAGRAD_EPS), sums, grads)  # U4
        return steps, sums

    return {
        "momentum": lambda: optax.trace(MOMENTUM),  # U2
        "nesterov": lambda: optax.trace(MOMENTUM, nesterov=True),  # U3
        "adagrad": lambda: optax.GradientTransformation(
            lambda params: jax.tree.map(jnp.zeros_like, params), adagrad
        ),
        "adadelta": lambda: optax.scale_by_adadelta(RHO, ADADELTA_EPS),  # U5
        "adam": lambda: optax.scale_by_adam(BETA1, BETA2, ADAM_EPS),  # U6
        "adamw": lambda: optax.scale_by_adam(BETA1, BETA2, ADAM_EPS),  # U6, after U7
    }[optimizer]()


def init_state(spec: MLPSpec, params: Any) -> Any:
    """optax's state; () for sgd, which has none."""
    return () if spec.optimizer == "sgd" else rule(spec.optimizer).init(params)


def update(spec: MLPSpec, params: Any, grads: Any, state: Any, learning_rate: float) -> Any:
    """Params and state after one step of the spec's rule, as new arrays."""
    if spec.decay:
        params = [(W - learning_rate * spec.decay * W, b) for W, b in params]  # U7
    if spec.optimizer != "sgd":
        grads, state = rule(spec.optimizer).update(grads, state)  # U2-U6
    return jax.tree.map(lambda p, dp: p - learning_rate * dp, params, grads), state  # U1


@partial(jax.jit, static_argnums=0)
def _products(kinds: tuple[str, ...], pairs: list[tuple[Array, Array]]) -> list[Array]:
    done = {"nn": lambda A, B: A @ B, "tn": lambda A, B: A.T @ B, "nt": lambda A, B: A @ B.T}
    return [done[kind](A, B) for kind, (A, B) in zip(kinds, pairs, strict=True)]


def products(
    kinds: tuple[str, ...], pairs: list[tuple[Array, Array]], out: Any = None
) -> list[Array]:
    """Matrix products and nothing else, for measuring them: "nn" A B, "tn" A^T B, "nt" A B^T.

    `out` says nothing here: where a result goes is XLA's affair.
    """
    return _products(kinds, pairs)


# Parameters times examples from which a step is no longer a part of a loop. On 2 cores the loop
# takes 0.83 of the calls at 77,000 (64-32-10, batch 32), 0.69 at 3.5 million (784-128-64-10, batch
# 32), 0.77 at 14 million (batch 128), 0.95 at 28 million and 1.08 at 56 million.
LARGE_STEP = 20_000_000
# A loop is a program of so many batches, and no more than fit into a cache, since it copies them.
# One program of the 1,875 batches of MNIST takes 8.6 s to compile, and then 1.5 times as long.
LOOP_BATCHES, LOOP_BYTES = 64, 2**24


def scan(
    train_step: Any, spec: MLPSpec, params: Any, state: Any, batches: Any, learning_rate: float
) -> Any:
    """Params, state and last loss after a step on each of some batches of one size."""
    most = max(1, min(LOOP_BATCHES, LOOP_BYTES // batches[0][0].nbytes))
    for first in range(0, len(batches), most):
        some = batches[first : first + most]
        params, state, value = _loop(train_step, spec, params, state, some, learning_rate)
    return params, state, value


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _loop(
    train_step: Any, spec: MLPSpec, params: Any, state: Any, batches: Any, learning_rate: float
) -> Any:
    """The same as one program."""

    def step(carried: Any, batch: Any) -> Any:
        params, state = carried
        params, state, value = train_step(spec, params, state, *batch, learning_rate)
        return (params, state), value

    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *batches)
    (params, state), values = jax.lax.scan(step, (params, state), stacked)
    return params, state, values[-1]


COMPILED = {"count": 0, "ns": 0}


def _count(event: str, duration_secs: float, **_: Any) -> None:
    if event.startswith("/jax/core/compile/"):  # tracing, lowering, XLA
        COMPILED["ns"] += round(duration_secs * 1e9)
        COMPILED["count"] += event.endswith("backend_compile_duration")


jax.monitoring.register_event_duration_secs_listener(_count)


def compilations() -> tuple[int, int]:
    """(how many functions were compiled in this process, nanoseconds of trace, lower, compile)."""
    return COMPILED["count"], COMPILED["ns"]


def peak_memory(device: str) -> int | None:
    """The most bytes that arrays have taken on a GPU, in this process; None on a CPU."""
    stats = jax.devices(device)[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use")


def describe(device: str) -> dict[str, str]:
    """What JAX says of itself."""
    return {
        "jax": jax.__version__,
        "device": str(jax.devices(device)[0].device_kind),
        "float32 products": "IEEE float32",
    }


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Products of float32 networks in fewer digits, which a GPU has: "tf32" or "bfloat16"."""
    if jax.default_backend() == "cpu":
        raise NotImplementedError(f"jax has no precision {name} on this machine")
    with jax.default_matmul_precision({"tf32": "tensorfloat32"}.get(name, name)):
        yield


@jax.jit
def take(X: Array, y: Array, chosen: Any) -> tuple[Array, Array]:
    """Examples of a placed batch by their indices, on its device."""
    return X[chosen], y[chosen]
