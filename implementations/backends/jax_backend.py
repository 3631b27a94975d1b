"""JAX's arrays: devices, transfers, what JAX says of itself, and epochs as compiled loops."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from samegrad.implementations.contract.protocol import Backend, Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree, map_tree

# Without it JAX turns every float64 into float32 and says nothing.
jax.config.update("jax_enable_x64", True)
# "float32" means IEEE float32: recent GPUs would otherwise multiply in TF32.
jax.config.update("jax_default_matmul_precision", "highest")

ALGORITHMS = {"tf32": "TF32_TF32_F32", "bfloat16": "BF16_BF16_F32"}
COMPILED = {"count": 0, "ns": 0}


def _count(event: str, duration_secs: float, **_: Any) -> None:
    if event.startswith("/jax/core/compile/"):  # tracing, lowering, XLA
        COMPILED["ns"] += round(duration_secs * 1e9)
        COMPILED["count"] += event.endswith("backend_compile_duration")


jax.monitoring.register_event_duration_secs_listener(_count)


def compilations() -> tuple[int, int]:
    """(how many functions were compiled in this process, nanoseconds of trace, lower, compile)."""
    return COMPILED["count"], COMPILED["ns"]


@partial(jax.jit, static_argnums=0)
def _products(kinds: tuple[str, ...], pairs: list[tuple[Array, Array]]) -> list[Array]:
    product = {"nn": lambda A, B: A @ B, "tn": lambda A, B: A.T @ B, "nt": lambda A, B: A @ B.T}
    return [product[kind](A, B) for kind, (A, B) in zip(kinds, pairs, strict=True)]


def products(
    kinds: tuple[str, ...], pairs: list[tuple[Array, Array]], out: Any = None
) -> list[Array]:
    """Matrix products and nothing else: "nn" A B, "tn" A^T B, "nt" A B^T.

    `out` says nothing here: where a result goes is XLA's affair.
    """
    return _products(kinds, pairs)


@jax.jit
def take(X: Array, y: Array, chosen: Any) -> tuple[Array, Array]:
    """Examples of a placed batch by their indices, on its device."""
    return X[chosen], y[chosen]


def peak_memory(device: str) -> Callable[[], int] | None:
    """The most bytes that arrays take on a GPU, above those of now; None where nothing says it.

    JAX forgets no peak, and what it tries while it compiles may be one. So what that was above the
    bytes of now is taken and held: whatever is taken then is beyond it.
    """
    where = jax.local_devices(backend=device)[0]
    stats = where.memory_stats() or {}
    if "peak_bytes_in_use" not in stats:
        return None
    above = stats["peak_bytes_in_use"] - stats["bytes_in_use"]
    held = jax.device_put(np.zeros(above, np.uint8), where).block_until_ready()
    before = where.memory_stats()["bytes_in_use"]

    def most() -> int:
        peak = int(where.memory_stats()["peak_bytes_in_use"])
        held.delete()
        return peak - before

    return most


def describe(device: str) -> dict[str, str]:
    """What JAX says of itself."""
    return {
        "jax": jax.__version__,
        "device": str(jax.local_devices(backend=device)[0].device_kind),
        "float32 products": "IEEE float32",
    }


@contextmanager
def precision(name: str, device: str) -> Iterator[None]:
    """Products of float32 networks in fewer digits, which a GPU has: "tf32" or "bfloat16".

    By the names of their algorithms: "bfloat16" is only a permission, of which CUDA makes TF32.
    """
    if device == "cpu":
        raise NotImplementedError(f"jax has no precision {name} on {device} here")
    with jax.default_matmul_precision(ALGORITHMS[name]):
        yield


# Parameters times examples from which a step is no longer a part of a loop. On 2 cores the loop
# takes 0.83 of the calls at 77,000 (64-32-10, batch 32), 0.69 at 3.5 million (784-128-64-10, batch
# 32), 0.77 at 14 million (batch 128), 0.95 at 28 million and 1.08 at 56 million.
LARGE_STEP = 20_000_000
# A loop is a program of so many batches, and no more than fit into a cache, since it copies them.
# One program of the 1,875 batches of MNIST takes 8.6 s to compile, and then 1.5 times as long.
LOOP_BATCHES, LOOP_BYTES = 64, 2**24
LEAST_BATCHES = 4  # what is saved with fewer is not worth a program
Step = Callable[..., tuple[Params, Tree, Array]]


def epoch_of(train_step: Step) -> Step:
    """The epoch of a network: epoch(spec, params, state, batches, learning_rate)."""
    return partial(_epoch, train_step)


def _epoch(
    train_step: Step, spec: MLPSpec, params: Params, state: Tree, batches: Any, learning_rate: float
) -> tuple[Params, Tree, Array]:
    """Params and state after a step on each batch, and the last loss.

    Small steps are one compiled loop, which calls nothing; large ones are calls, which cost
    nothing then, and whose products XLA spreads over more threads than it does inside a loop.
    """
    alike = [batch for batch in batches if batch[0].shape == batches[0][0].shape]
    X, _ = batches[0]
    if len(X) * spec.parameters > LARGE_STEP and next(iter(X.devices())).platform == "cpu":
        alike = []
    most = max(1, min(LOOP_BATCHES, LOOP_BYTES // X.nbytes))
    rest = len(alike) % most
    looped = len(alike) - (rest if rest < LEAST_BATCHES else 0)
    for first in range(0, looped, most):
        chunk = alike[first : min(first + most, looped)]
        params, state, value = _loop(train_step, spec, params, state, chunk, learning_rate)
    for X, y in batches[looped:]:
        params, state, value = train_step(spec, params, state, X, y, learning_rate)
    return params, state, value


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _loop(
    train_step: Step, spec: MLPSpec, params: Params, state: Tree, batches: Any, learning_rate: float
) -> tuple[Params, Tree, Array]:
    """A step on each of some batches of one size, as one program."""

    def step(carried: Any, batch: Any) -> Any:
        params, state = carried
        params, state, value = train_step(spec, params, state, *batch, learning_rate)
        return (params, state), value

    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *batches)
    (params, state), values = jax.lax.scan(step, (params, state), stacked)
    return params, state, values[-1]


def _placed(tree: Tree, device: str) -> Tree:
    # A copy first: on the CPU device_put may share memory, and a donated array is overwritten.
    placed = jax.device_put(jax.tree.map(np.array, tree), jax.local_devices(backend=device)[0])
    for array, copy in zip(jax.tree.leaves(tree), jax.tree.leaves(placed), strict=True):
        if copy.dtype != array.dtype:
            raise ValueError(
                f"dtype {array.dtype} is not honoured by jax (gave {copy.dtype}); "
                "jax_enable_x64 was switched off after this module was imported"
            )
    return placed


class JaxBackend(Backend):
    """Arrays on a device; `train_step` donates them."""

    capabilities = Capabilities(
        products=products,
        take=take,
        compilations=compilations,
        peak_memory=peak_memory,
        describe=describe,
        precision=precision,
    )

    def devices(self) -> tuple[str, ...]:
        """The CPU, and "cuda" if this JAX has a CUDA plugin and finds a GPU."""
        available = []
        for platform in ("cpu", "cuda"):
            try:
                available += [platform] if jax.devices(platform) else []
            except RuntimeError:  # JAX's way of saying that the platform is not there
                continue
        return tuple(available)

    def place(self, array: np.ndarray, device: str) -> Array:
        """A copy; class indices stay int64."""
        return _placed(array, device)

    def place_params(self, spec: MLPSpec, params: Params, device: str) -> Tree:
        """Copies; all at once, which takes half as long."""
        return _placed(params, device)

    def rate(self, learning_rate: float, device: str) -> Any:
        """On a GPU an array of no dtype of its own, as a float: nothing is compiled again."""
        return learning_rate if device == "cpu" else jnp.asarray(learning_rate)

    def fetch(self, tree: Tree) -> Tree:
        """Arrays in the CPU's memory."""
        return map_tree(np.array, tree)

    def synchronize(self, tree: Tree) -> None:
        """Wait for every array of the tree."""
        jax.block_until_ready(tree)


JAX = JaxBackend()
