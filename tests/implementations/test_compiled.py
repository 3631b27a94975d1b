"""Variants that compile: as they are timed, and no more often than they must."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking import problems
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.networks import check, problem, step_error

# torch's own compiler still uses what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TORCH = pytest.mark.skipif(
    registry.why_not_installed("torch_compile") is not None
    or not any(map(shutil.which, ("g++", "clang++"))),
    reason="torch or a C++ compiler is not here",
)


@pytest.fixture
def torch_compile() -> Iterator[Any]:
    """The implementation as it is used: compiling."""
    import torch

    implementation = load("torch_compile")
    torch.compiler.set_stance("default")
    yield implementation
    torch.compiler.set_stance("force_eager")


@TORCH
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(MLPSpec((5, 7, 3), weight_decay=0.1), id="sgd"),
        pytest.param(  # ten seconds of a compiler for the same kind of test
            MLPSpec((5, 7, 3), "tanh", loss="mse", bias=False, optimizer="adam", dtype="float64"),
            id="adam without b",
            marks=pytest.mark.full,
        ),
    ],
)
def test_compiled_program_agrees_with_the_reference(spec: MLPSpec, torch_compile: Any) -> None:
    """Outputs, loss, gradient and step."""
    p = problems.draw(spec, 6)

    verdict = check(torch_compile, spec, p.params, p.X, p.y, "cpu", p.masks)

    assert verdict.agrees, verdict.reason


@TORCH
def test_program_is_not_compiled_again_for_another_rate_or_batch(torch_compile: Any) -> None:
    """Other numbers of the same shapes; another batch size is another program."""
    spec = MLPSpec((5, 4, 3))
    counts = []
    for seed, (rate, batch_size) in enumerate(((0.1, 6), (0.2, 6), (0.3, 6), (0.3, 7))):
        params, X, y = problem(spec, batch_size, seed)
        placed = torch_compile.params_from_numpy(spec, params, "cpu")
        batch = torch_compile.batch_from_numpy(spec, X, y, "cpu")
        torch_compile.train_step(spec, placed, (), *batch, rate)
        counts.append(torch_compile.capabilities.compilations()[0])
    turned = batch[0].T.contiguous().T, batch[1]
    of_other_strides = torch_compile.train_step(spec, placed, (), *turned, rate)[2]

    assert counts[0] == counts[1] == counts[2]
    assert counts[3] > counts[2]
    assert of_other_strides == torch_compile.train_step(spec, placed, (), *batch, rate)[2]
    assert counts[3] == torch_compile.capabilities.compilations()[0]


@TORCH
def test_compiled_step_on_many_examples_is_as_exact_as_torch(torch_compile: Any) -> None:
    """BLAS that adds to W rounds it once per some examples: two thirds of a step on 65,536."""
    assert step_error(torch_compile) < 1.5 * step_error(load("torch"))


@pytest.mark.parametrize(
    ("optimizer", "device", "fused"),
    [("adagrad", "cpu", True), ("adagrad", "cuda", None), ("adam", "cuda", True)],
)
def test_fused_rule_is_asked_for_where_torch_has_it(
    optimizer: Any, device: str, fused: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an H100, torch 2.11 refused a fused Adagrad."""
    module = pytest.importorskip("samegrad.implementations.variants.mlp_torch_compile")
    asked: dict[str, Any] = {}
    tensor = SimpleNamespace(device=SimpleNamespace(type=device))
    monkeypatch.setattr(module, "flat", lambda params: [tensor])
    monkeypatch.setitem(module.OPTIMIZERS, optimizer, lambda params, **given: asked.update(given))

    module.init_state(MLPSpec((3, 2), optimizer=optimizer), [])

    assert fused == asked.get("fused")


def test_without_a_compiler_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unavailable row with its reason, and never a program that was not compiled."""
    implementation = load("torch_compile")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    spec = MLPSpec((5, 4, 3))

    with pytest.raises(NotImplementedError, match="needs a C\\+\\+ compiler: g\\+\\+"):
        implementation.params_from_numpy(spec, problem(spec, 4)[0], "cpu")


@pytest.mark.parametrize(
    ("sizes", "batch_size", "limit"),
    [
        ((5, 8, 3), 6, {}),
        ((5, 8, 3), 6, {"LOOP_BATCHES": 2}),
        ((5, 8, 3), 6, {"LOOP_BYTES": 1}),
        ((2000, 400, 3), 30, {}),
    ],
    ids=["one loop", "loops of two", "loops of one", "calls"],
)
def test_epoch_of_jax_is_its_steps_as_loops_and_as_calls(
    sizes: tuple[int, ...],
    batch_size: int,
    limit: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Small steps are scanned, large ones called; a smaller last batch comes after them."""
    pytest.importorskip("jax", reason="jax is not installed")
    implementation: Any = load("jax")
    from samegrad.implementations.backends import jax_backend

    for name, value in limit.items():
        monkeypatch.setattr(jax_backend, name, value)
    spec = MLPSpec(sizes)
    params, X, y = problem(spec, 5 * batch_size + 2)
    batches = [
        implementation.batch_from_numpy(spec, X[i : i + batch_size], y[i : i + batch_size], "cpu")
        for i in range(0, len(X), batch_size)
    ]
    placed = implementation.params_from_numpy(spec, params, "cpu")
    at_once, _, last = implementation.capabilities.epoch(spec, placed, (), batches, 0.05)
    stepped = implementation.params_from_numpy(spec, params, "cpu")
    for X_n, y_n in batches:
        stepped, _, loss = implementation.train_step(spec, stepped, (), X_n, y_n, 0.05)

    assert (batch_size == 6) == (batch_size * spec.parameters <= jax_backend.LARGE_STEP)
    assert float(last) == pytest.approx(float(loss), rel=1e-5)
    for (W, _), (W_right, _) in zip(at_once, stepped, strict=True):
        np.testing.assert_allclose(W, W_right, rtol=1e-4, atol=1e-6)


def test_numba_compiles_the_looped_networks_own_functions() -> None:
    """Every activation and its derivative are functions_scalar's, with what they call."""
    pytest.importorskip("numba", reason="numba is not installed")
    from samegrad.implementations import functions_scalar
    from samegrad.implementations.variants import functions_numba

    for name, (g, dg) in functions_scalar.ACTIVATIONS.items():
        mine, derivative = functions_numba.activation(name)
        for z in (-3.0, -0.5, 0.0, 0.7, 2.0):
            a = g(z)
            assert mine(z) == pytest.approx(a, rel=1e-14, abs=1e-300), (name, z)
            if name != "unit_step":
                assert derivative(z, a) == pytest.approx(dg(z, a), rel=1e-14), (name, z)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_numba_follows_the_looped_network(optimizer: Any) -> None:
    """Ten steps, number by number: the order of the operations is the same."""
    pytest.importorskip("numba", reason="numba is not installed")
    spec = replace(MLPSpec((5, 6, 3), "tanh", dtype="float64"), optimizer=optimizer)
    params, X, y = problem(spec, 7)
    actual = {}
    for name in ("scalar", "numba"):
        implementation = load(name)
        placed = implementation.params_from_numpy(spec, params, "cpu")
        batch = implementation.batch_from_numpy(spec, X, y, "cpu")
        state = implementation.init_state(spec, placed)
        for _ in range(10):
            placed, state, _ = implementation.train_step(spec, placed, state, *batch, 0.1)
        actual[name] = implementation.to_numpy(placed)

    for (W, b), (W_right, b_right) in zip(actual["numba"], actual["scalar"], strict=True):
        np.testing.assert_allclose(W, W_right, rtol=1e-13)
        np.testing.assert_allclose(b, b_right, rtol=1e-13, atol=1e-15)
