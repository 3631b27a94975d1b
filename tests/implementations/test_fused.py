"""Networks that are one kernel: right as the interpreter computes them, and compiled for CUDA.

No kernel has run on a GPU in these tests. That it is lowered for one is shown without.
"""

import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest

from samegrad.benchmarks.machine import gpu
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.runs import selection
from samegrad.benchmarks.runs.options import parse
from samegrad.implementations.checking import problems
from samegrad.implementations.contract.equations import FORWARD_ONLY
from samegrad.implementations.contract.registry import TABLE, load, why_not_installed
from samegrad.implementations.contract.spec import Activation, Loss, MLPSpec
from tests.helpers.networks import check

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
KERNELS = [
    pytest.param(name, marks=[pytest.mark.skip(reason=why)] if why else [])
    for name in ("pallas", "triton")
    for why in [why_not_installed(name)]
]


def complaint(name: str, spec: MLPSpec, batch_size: int) -> str:
    """Why it disagrees; "" if it does not."""
    p = problems.draw(spec, batch_size)
    implementation = load(name)
    device = implementation.devices()[0]
    verdict = check(implementation, spec, p.params, p.X, p.y, device, masks=p.masks)
    return "" if verdict.agrees else verdict.reason


# A kernel is compiled for each spec, in 3 s, and activations are those of its idiom: the last three
# specs have each loss, a bias or none, decay, dropout; those of each activation are `full` tests.
@pytest.mark.parametrize(
    "activations", [0, pytest.param(len(ACTIVATIONS), marks=pytest.mark.full)], ids=["few", "all"]
)
@pytest.mark.parametrize("name", KERNELS)
def test_kernel_agrees(name: str, activations: int) -> None:
    """Each activation and loss; sizes and batches that are padded, and that are not."""
    reasons = {
        (spec, size): complaint(name, spec, size)
        for number, spec in enumerate(SPECS)
        if not activations <= number < len(ACTIVATIONS)
        for size in ((1, 32, 33)[number % 3],)
    }

    assert {} == {key: reason for key, reason in reasons.items() if reason}


@pytest.mark.parametrize("mistake", ["padded outputs", "padded examples"])
def test_padding_that_counts_is_seen(monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    """What fills a kernel's arrays up is neither an output nor an example."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    from samegrad.implementations.variants import mlp_pallas
    from samegrad.implementations.variants.tiles import TILE

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
        assert complaint("pallas", replace(SPEC, weight_decay=1e-3), 33)
    finally:
        jax.clear_caches()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", get_args(Loss))
def test_kernel_is_lowered_for_cuda(loss: Any, dtype: Any) -> None:
    """To a program of Triton: products, exponentials and sums are there; no GPU is needed."""
    pytest.importorskip("jax", reason="jax is not installed")
    from samegrad.implementations.variants import mlp_pallas

    spec = MLPSpec((64, 32, 10), "silu", loss=loss, dtype=dtype)
    p = problems.draw(spec, 33)
    given = load("pallas").params_from_numpy(spec, p.params, "cpu")

    lowered = mlp_pallas.loss_and_grad.trace(spec, given, p.X, p.y).lower(
        lowering_platforms=("cuda",)
    )

    assert "triton" in lowered.as_text()


KERNEL_MISTAKES = {  # what stands in the kernel's file, what in its place, for which loss
    "padded outputs": ('tl.where(j < OUTPUTS, a, float("-inf"))', "a", "cross_entropy"),
    "padded examples": ("(i < count) & (j < OUTPUTS)\n", "(i < 64) & (j < OUTPUTS)\n", "mse"),
    "the mask of another layer": ("m[l], first", "m[0], first", "cross_entropy"),
    "the slope of another layer": ("slopes[LAYERS - 2 - k]", "slopes[0]", "cross_entropy"),
    "part of another tile": ("out + tl.program_id(0) *", "out + 0 *", "cross_entropy"),
}


@pytest.mark.parametrize("mistake", KERNEL_MISTAKES)
def test_mistake_in_the_kernel_of_triton_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    """In a copy of its file, as the interpreter computes it."""
    pytest.importorskip("triton", reason="triton is not installed")
    from samegrad.implementations.variants import functions_triton, mlp_triton

    if "cpu" not in mlp_triton.BACKEND.devices():
        pytest.skip("kernels are compiled here, and nobody wants that of a mistake")
    before, after, loss = KERNEL_MISTAKES[mistake]
    text = Path(str(functions_triton.__file__)).read_text()
    assert 1 == text.count(before)
    file = tmp_path / "mistaken.py"
    file.write_text(text.replace(before, after))
    module = SimpleNamespace(**runpy.run_path(str(file)))
    monkeypatch.setattr(mlp_triton, "network", module.network)

    wide = replace(SPEC, layer_sizes=(5, 6, 6, 3), loss=loss, dropout=0.5)

    assert complaint("triton", wide, 33)


@pytest.mark.parametrize(
    ("dtype", "loss"),
    [
        ("float64", "cross_entropy"),
        pytest.param("float32", "binary_cross_entropy", marks=pytest.mark.full),
        pytest.param("float32", "mse", marks=pytest.mark.full),
    ],
)
def test_kernel_of_triton_is_compiled_for_cuda(tmp_path: Path, dtype: str, loss: str) -> None:
    """To machine code of a GPU that nobody has here, with a product for each F1, B2 and B4."""
    pytest.importorskip("triton", reason="triton is not installed")
    if sys.platform != "linux":
        pytest.skip("Triton brings NVIDIA's assembler on Linux")
    child = subprocess.run(
        [sys.executable, "-m", "tests.helpers.compiled_kernel", dtype, loss],
        cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 0 == child.returncode, child.stderr[-2000:]
    *forms, products = child.stdout.split()
    assert {"cubin", "ptx"} <= set(forms) and "5" == products


@pytest.mark.parametrize("name", KERNELS)
def test_wide_network_is_refused(name: str) -> None:
    """In a sentence, before anything is compiled."""
    spec = MLPSpec((784, 128, 10))

    with pytest.raises(NotImplementedError, match="no layer wider than 128"):
        load(name).capabilities.refuse(spec)


@pytest.mark.parametrize("name", KERNELS)
def test_it_is_timed_on_a_gpu_only(name: str) -> None:
    """An interpreted kernel's time is no time of anything."""
    if gpu.measured():
        pytest.skip("there is a GPU")

    with pytest.raises(ValueError, match=f"{name}: no GPU on this machine"):
        selection.select(parse(preset="hello", implementation=name))


@pytest.mark.parametrize("kernel", KERNELS)
def test_forward_is_that_of_its_idiom(kernel: str) -> None:
    """Also where no unit has a derivative."""
    spec = MLPSpec((5, 6, 3), "unit_step", dtype="float64")
    p = problems.draw(spec, 6)
    outputs = []
    for name in (TABLE[kernel].base, kernel):
        implementation = load(name)
        device = load(kernel).devices()[0]
        params = implementation.params_from_numpy(spec, p.params, device)
        X, _ = implementation.batch_from_numpy(spec, p.X, p.y, device)
        outputs.append(implementation.to_numpy(implementation.forward(spec, params, X)))

    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-13)
