"""All implementations compute the same network: outputs, loss, every gradient, every step."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np
import pytest

from implementations import MLPSpec
from implementations.verification import check, compare
from tests.networks import every_implementation, loaded, problem

DEPTHS = ((5, 3), (5, 7, 3), (5, 4, 6, 5, 3))  # none, one and three hidden layers
OPTIONS = list(
    product(
        ("relu", "sigmoid", "tanh"),
        ("identity", "sigmoid"),
        ("cross_entropy", "mse"),
        (True, False),  # bias
        (0.0, 0.1),  # weight decay
    )
)
COMPILED = [
    MLPSpec(DEPTHS[i % 3], *OPTIONS[i], dtype=("float32", "float64")[i % 2])
    for i in range(0, len(OPTIONS), 5)  # 5 has no factor in common with the options: all appear
]


@contextmanager
def uncompiled(name: str) -> Iterator[None]:
    """XLA takes 50 ms to compile a function: the full product runs JAX's operations one by one."""
    if name != "jax":
        yield
        return
    import jax

    with jax.disable_jit():
        yield
    jax.clear_caches()  # with thousands of programs kept, XLA's compiler crashed (SIGSEGV)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sizes", DEPTHS, ids=lambda s: "-".join(map(str, s)))
@pytest.mark.parametrize("batch_size", [1, 6])
@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_every_option_agrees_with_the_reference(
    name: str, device: str, batch_size: int, sizes: tuple[int, ...], dtype: Any
) -> None:
    """Every activation, output activation, loss, bias and weight decay, at this depth and batch."""
    implementation = loaded(name, device, MLPSpec(sizes, dtype=dtype))
    reasons = {}
    with uncompiled(name):
        for options in OPTIONS:
            spec = MLPSpec(sizes, *options, dtype=dtype)
            comparison = check(implementation, spec, *problem(spec, batch_size), device)
            if not comparison.agrees:
                reasons[spec] = comparison.reason

    assert {} == reasons


@pytest.mark.parametrize("spec", COMPILED, ids=lambda s: repr(s)[8:-1].replace(" ", ""))
@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_compiled_functions_agree_with_the_reference(name: str, device: str, spec: MLPSpec) -> None:
    """As they are timed: JAX's functions under jit, for a dozen specs that cover each option."""
    implementation = loaded(name, device, spec)

    comparison = check(implementation, spec, *problem(spec, 6), device)

    assert comparison.agrees, comparison.reason


@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_ten_steps_follow_the_same_losses(name: str, device: str) -> None:
    """Steps chained through returned params and state follow the reference's losses."""
    from implementations.reference import expected, updated

    spec = MLPSpec((5, 8, 6, 3), "tanh", weight_decay=0.01, dtype="float64")
    implementation = loaded(name, device)
    params, X, y = problem(spec, 16)
    placed = implementation.params_from_numpy(spec, params, device)
    batch = implementation.batch_from_numpy(spec, X, y, device)
    state = implementation.init_state(spec, placed)
    found, wanted = [], []
    for _ in range(10):
        placed, state, loss = implementation.train_step(spec, placed, state, *batch, 0.5)
        found.append(float(loss))
        reference = expected(spec, params, X, y)
        params = updated(spec, params, reference.grads, 0.5)
        wanted.append(reference.loss)

    assert wanted[-1] < wanted[0]
    assert compare(np.array(wanted), np.array(found), "float64", name="losses").agrees


@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_relu_has_derivative_zero_at_zero(name: str, device: str) -> None:
    """At an exact zero the gradient is that of the flat side, in every implementation."""
    spec = MLPSpec((2, 3, 2), dtype="float64")
    implementation = loaded(name, device)
    params = [(np.zeros((2, 3)), np.zeros(3)), (np.ones((3, 2)) * [1.0, 2.0], np.zeros(2))]
    X, y = np.ones((4, 2)), np.array([0, 1, 0, 0])

    comparison = check(implementation, spec, params, X, y, device)

    assert comparison.agrees, comparison.reason
    placed = implementation.params_from_numpy(spec, params, device)
    batch = implementation.batch_from_numpy(spec, X, y, device)
    (dW1, db1), _ = implementation.to_numpy(implementation.loss_and_grad(spec, placed, *batch)[1])
    assert not dW1.any() and not db1.any()


@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_huge_logits_stay_finite(name: str, device: str) -> None:
    """Logits of +-1e4 give a finite loss and gradient that agree."""
    for loss, output in (("cross_entropy", "identity"), ("mse", "sigmoid")):
        spec = MLPSpec((2, 2), output_activation=output, loss=loss, dtype="float64")
        implementation = loaded(name, device)
        params = [(np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([1.0, 2.0]))]
        X = np.array([[1.0, 0.0], [0.0, 1.0]])
        y = np.array([1, 1]) if loss == "cross_entropy" else np.array([[0.0, 1.0], [0.0, 1.0]])

        comparison = check(implementation, spec, params, X, y, device)

        assert comparison.agrees, comparison.reason


def test_torch_gradcheck_passes() -> None:
    """torch's own numerical check accepts the loss that autograd differentiates."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    implementation: Any = loaded("torch", "cpu")
    spec = MLPSpec((3, 4, 2), "tanh", weight_decay=0.1, dtype="float64")
    params, X, y = problem(spec, 3)
    placed = implementation.params_from_numpy(spec, params, "cpu")
    batch = implementation.batch_from_numpy(spec, X, y, "cpu")
    flat = [p.requires_grad_() for layer in placed for p in layer]

    def loss(*flat: Any) -> Any:
        nested = list(zip(flat[::2], flat[1::2], strict=True))
        return implementation.loss(spec, nested, *batch)

    assert torch.autograd.gradcheck(loss, flat)


def test_jax_check_grads_passes() -> None:
    """JAX's own numerical check accepts the loss that jax.grad differentiates."""
    pytest.importorskip("jax", reason="jax is not installed")
    from jax.test_util import check_grads

    implementation: Any = loaded("jax", "cpu")
    spec = MLPSpec((3, 4, 2), "tanh", weight_decay=0.1, dtype="float64")
    params, X, y = problem(spec, 3)
    placed = implementation.params_from_numpy(spec, params, "cpu")
    batch = implementation.batch_from_numpy(spec, X, y, "cpu")

    check_grads(lambda p: implementation.loss(spec, p, *batch), (placed,), order=1, modes=["rev"])


def test_jax_does_not_compile_again_for_another_rate_or_batch() -> None:
    """A second call with other numbers of the same shapes reuses the compiled step."""
    pytest.importorskip("jax", reason="jax is not installed")
    implementation: Any = loaded("jax", "cpu")
    spec = MLPSpec((3, 4, 2))
    for seed, rate in enumerate((0.1, 0.2)):
        params, X, y = problem(spec, 3, seed)
        placed = implementation.params_from_numpy(spec, params, "cpu")
        batch = implementation.batch_from_numpy(spec, X, y, "cpu")
        compiled = implementation.train_step._cache_size()
        implementation.train_step(spec, placed, (), *batch, rate)
    assert implementation.train_step._cache_size() == compiled
