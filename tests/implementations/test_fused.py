"""Networks that are one kernel: right as the interpreter computes them, and compiled for CUDA.

No kernel has run on a GPU in these tests. That it is lowered for one is shown without.
"""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from samegrad.benchmarks.machine import gpu
from samegrad.benchmarks.runs import selection
from samegrad.benchmarks.runs.options import parse
from samegrad.implementations.checking import problems
from samegrad.implementations.contract.equations import FORWARD_ONLY
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import Activation, Loss, MLPSpec
from tests.helpers.networks import check

jax = pytest.importorskip("jax", reason="jax is not installed")
ACTIVATIONS = [name for name in get_args(Activation) if name not in FORWARD_ONLY]
SPEC = MLPSpec((5, 17, 3), dtype="float64")
SPECS = [
    *(
        replace(SPEC, activation=name, loss=get_args(Loss)[number % 3])
        for number, name in enumerate(ACTIVATIONS)
    ),
    MLPSpec((3, 2), "relu", "sigmoid", "mse", bias=False, weight_decay=0.1, dtype="float64"),
    MLPSpec((16, 128, 1), loss="binary_cross_entropy", weight_decay=0.01, dtype="float64"),
    MLPSpec((5, 6, 6, 3), "tanh", dropout=0.5, optimizer="adam", dtype="float64"),
]


def complaint(spec: MLPSpec, batch_size: int) -> str:
    """Why it disagrees; "" if it does not."""
    p = problems.draw(spec, batch_size)
    verdict = check(load("pallas"), spec, p.params, p.X, p.y, "cpu", masks=p.masks)
    return "" if verdict.agrees else verdict.reason


def test_kernel_agrees() -> None:
    """Each activation and loss; sizes and batches that are padded, and that are not."""
    reasons = {
        (spec, size): complaint(spec, size)
        for number, spec in enumerate(SPECS)
        for size in ((1, 32, 33)[number % 3],)
    }

    assert {} == {key: reason for key, reason in reasons.items() if reason}


@pytest.mark.parametrize("mistake", ["padded outputs", "padded examples"])
def test_padding_that_counts_is_seen(monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    """What fills a kernel's arrays up is neither an output nor an example."""
    from samegrad.implementations.variants import mlp_pallas
    from samegrad.implementations.variants.functions_pallas import TILE

    right = mlp_pallas.part

    def part(spec: MLPSpec, outputs: Any, y: Any, first: Any, count: int) -> Any:
        wide = replace(spec, layer_sizes=(*spec.layer_sizes[:-1], outputs.shape[1]))
        if mistake == "padded outputs":
            return right(wide, outputs, y, first, count)
        rows = -(-count // TILE) * TILE
        return right(spec, outputs, y, first, rows) * (rows / count)

    jax.clear_caches()
    monkeypatch.setattr(mlp_pallas, "part", part)
    try:
        assert complaint(replace(SPEC, weight_decay=1e-3), 33)
    finally:
        jax.clear_caches()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", get_args(Loss))
def test_kernel_is_lowered_for_cuda(loss: Any, dtype: Any) -> None:
    """To a program of Triton: products, exponentials and sums are there; no GPU is needed."""
    from samegrad.implementations.variants import mlp_pallas

    spec = MLPSpec((64, 32, 10), "silu", loss=loss, dtype=dtype)
    p = problems.draw(spec, 33)
    given = load("pallas").params_from_numpy(spec, p.params, "cpu")

    lowered = mlp_pallas.loss_and_grad.trace(spec, given, p.X, p.y).lower(
        lowering_platforms=("cuda",)
    )

    assert "triton" in lowered.as_text()


def test_wide_network_is_refused() -> None:
    """In a sentence, before anything is compiled."""
    spec = MLPSpec((784, 128, 10))

    with pytest.raises(NotImplementedError, match="no layer wider than 128"):
        load("pallas").capabilities.refuse(spec)


def test_it_is_timed_on_a_gpu_only() -> None:
    """An interpreted kernel's time is no time of anything."""
    if gpu.measured():
        pytest.skip("there is a GPU")

    with pytest.raises(ValueError, match="pallas: no GPU on this machine"):
        selection.select(parse(preset="hello", implementation="pallas"))


def test_forward_is_that_of_jax() -> None:
    """Also where no unit has a derivative."""
    spec = MLPSpec((5, 6, 3), "unit_step", dtype="float64")
    p = problems.draw(spec, 6)
    outputs = []
    for name in ("jax", "pallas"):
        implementation = load(name)
        params = implementation.params_from_numpy(spec, p.params, "cpu")
        X, _ = implementation.batch_from_numpy(spec, p.X, p.y, "cpu")
        outputs.append(np.asarray(implementation.forward(spec, params, X)))

    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-13)
