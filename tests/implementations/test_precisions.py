"""Products in fewer digits: that they are, on which device, and with which algorithm."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.worker import capabilities, loaded
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.registry import load


@pytest.mark.parametrize("kind", ["nn", "tn", "nt"])
def test_torch_products_are_in_bfloat16_under_it(kind: str) -> None:
    """Into their places, too: those of float32 are off by 1e-7, these by 1e-3."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    own = load("torch").capabilities
    assert own.products is not None
    A, B = torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(0)).unbind()
    out = [torch.zeros(64, 64)]
    exact = {"nn": A @ B, "tn": A.T @ B, "nt": A @ B.T}[kind]

    def error(product: Any) -> float:
        return float((product.float() - exact).abs().max() / exact.abs().max())

    with own.precision("bfloat16", "cpu"):
        fewer = [own.products((kind,), [(A, B)], places)[0] for places in (None, out, out)]
    again = own.products((kind,), [(A, B)], out)[0]

    assert all(1e-4 < error(product) < 1e-1 for product in fewer)
    assert fewer[1].data_ptr() == fewer[2].data_ptr()  # nothing is allocated while it is timed
    assert torch.float32 == again.dtype and error(again) < 1e-6


@pytest.mark.parametrize(("name", "kind"), [("tf32", "tf32"), ("bfloat16", "bf16")])
def test_jax_asks_for_the_algorithm_by_its_name(name: str, kind: str) -> None:
    """In what is compiled for CUDA; "bfloat16" alone is a permission, of which it makes TF32."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    own = load("jax").capabilities
    A = np.ones((4, 4), np.float32)

    with own.precision(name, "cuda"):
        lowered = jax.jit(lambda A, B: A @ B).trace(A, A).lower(lowering_platforms=("cuda",))

    expected = f"lhs_precision_type = {kind}, rhs_precision_type = {kind}, accumulation_type = f32"
    assert expected in lowered.as_text()


def test_precisions_are_those_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU beside it gives a CPU no TF32, and bfloat16 of the CPU is not autocast's on the GPU."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    own = load("torch")

    with own.capabilities.precision("bfloat16", "cpu"):
        on = [torch.is_autocast_enabled(device) for device in ("cpu", "cuda")]

    assert [True, False] == on
    assert not capabilities._has(own, "tf32", "cpu")
    assert not capabilities._has(load("jax"), "bfloat16", "cpu")


def test_worker_says_the_precisions_of_each_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """So that none is asked for where it is not."""
    sent: list[dict[str, Any]] = []

    class Only:
        def __init__(self, name: str, device: str) -> None:
            if (name, device) != ("tf32", "cuda"):
                raise NotImplementedError

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    fake = SimpleNamespace(
        devices=lambda: ("cpu", "cuda"), dtypes=("float32",), file=None,
        capabilities=Capabilities(precision=Only),
    )  # fmt: skip
    monkeypatch.setattr(loaded, "load", lambda _: fake)

    about = {"implementation": "fake", "devices": [], "workloads": []}
    capabilities.answer({**about, "lock": str(tmp_path / "lock")}, sent.append)

    assert {"cpu": [], "cuda": ["tf32"]} == sent[0]["precisions"]


def test_precision_that_takes_no_device_is_refused() -> None:
    """When the file is loaded, in words."""
    with pytest.raises(ValueError, match=r"its precision does not take 2 arguments .*name, device"):
        Capabilities(precision=lambda name: None)
