"""Which GPU a run measures, what it is called, and whether it runs as fast as it can."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks.machine import gpu, system
from samegrad.benchmarks.machine.gpu import Clocks

ROWS = {
    "A": "0, GPU-aa, [N/A], NVIDIA A, 8 MiB, 580, 9 W, 7 MHz",
    "B": "1, GPU-bb, Enabled, NVIDIA B, 40 MiB, 580, 9 W, 7 MHz",
}
SLICES = """GPU 0: NVIDIA A (UUID: GPU-aa)
GPU 1: NVIDIA B (UUID: GPU-bb)
  MIG 1g.5gb     Device  0: (UUID: MIG-11)
  MIG 2g.10gb    Device  1: (UUID: MIG-22)"""


@pytest.fixture
def smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Writes a program nvidia-smi that lists some GPUs, and shows CUDA some of them."""

    def write(rows: dict[str, str], visible: str | None = None) -> dict[str, str]:
        text = "\n".join(rows.values())
        program = tmp_path / "nvidia-smi"
        program.write_text(
            f"#!/bin/sh\nif [ $1 = -L ]; then cat <<'E'\n{SLICES}\nE\n"
            f"else cat <<'E'\n{text}\nE\nfi\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        return gpu.facts()

    return write


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, "NVIDIA A, 8 MiB"),
        ("0", "NVIDIA A, 8 MiB"),
        ("GPU-a", "NVIDIA A, 8 MiB"),
        ("1", "NVIDIA B, MIG 1g.5gb"),
        ("1,0", "NVIDIA B, MIG 1g.5gb"),
        ("MIG-22", "NVIDIA B, MIG 2g.10gb"),
    ],
)
def test_the_gpu_is_the_first_that_cuda_shows(smi: Any, visible: str, expected: str) -> None:
    """Of several by index or UUID; a slice by its profile."""
    assert expected == smi(ROWS, visible)["gpu"]


def test_fingerprint_is_of_the_measured_gpu_alone(smi: Any) -> None:
    """Another driver, power limit or second GPU is the same machine; another slice is not."""
    first = ROWS["A"]

    def fingerprint(rows: dict[str, str], visible: str | None = None) -> str:
        smi(rows, visible)
        return system.fingerprint(system.machine())

    alone = fingerprint({"A": first})
    assert alone == fingerprint({"A": first.replace("580", "590").replace("9 W", "5 W")})
    assert alone == fingerprint(ROWS)
    assert alone != fingerprint({"A": first.replace("NVIDIA A", "NVIDIA C")})
    assert fingerprint(ROWS, "MIG-11") != fingerprint(ROWS, "MIG-22")


def test_without_the_drivers_program_a_framework_names_the_gpu(
    smi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the machine is the same when a run is resumed, before any framework is asked."""
    smi({})
    nothing = gpu.facts()
    monkeypatch.setattr(gpu, "_has_device_file", lambda: True)
    told = gpu.named_by({"cupy": {}, "jax": {"device": "NVIDIA A"}, "torch": {"gpu": "no"}})

    assert {} == nothing
    assert {"gpu": gpu.UNNAMED} == gpu.facts()
    assert {"gpu": "NVIDIA A", "gpu_named_by": "jax"} == told
    then = system.machine() | told
    assert system.fingerprint(then) == system.fingerprint_beside(then)
    assert system.fingerprint(then) != system.fingerprint_beside({})


def nvml(monkeypatch: pytest.MonkeyPatch, reasons: int) -> list[Any]:
    """A stand-in for nvidia-ml-py; what it is asked."""
    asked: list[Any] = []

    def ask(handle: Any) -> int:
        asked.append(handle)
        return reasons

    module = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: f"index {index}",
        nvmlDeviceGetHandleByUUID=lambda uuid: f"uuid {uuid}",
        nvmlDeviceGetDeviceHandleFromMigDeviceHandle=lambda part: f"whole of {part}",
        nvmlDeviceGetCurrentClocksEventReasons=ask,
    )
    monkeypatch.setitem(__import__("sys").modules, "pynvml", module)
    return asked


@pytest.mark.parametrize(
    ("visible", "handle"),
    [
        ("", "index 0"),
        ("2,0", "index 2"),
        ("GPU-a", "uuid GPU-a"),
        ("MIG-1", "whole of uuid MIG-1"),
    ],
)
def test_the_measured_gpu_alone_is_asked_for_its_clock(
    visible: str, handle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By NVML, once a second."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    asked, now = nvml(monkeypatch, 0), [0.0]
    clocks = Clocks(lambda: now[0])

    for now[0] in (0.0, 0.5, 0.9, 1.1):
        clocks.look()

    assert [handle, handle] == asked


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (0x1, ("", "")),  # idle
        (0x4, ("", "power limit")),
        (0x20, ("GPU thermal slowdown", "")),
        (0x44, ("GPU thermal slowdown (hardware)", "power limit")),
        (0x80, ("GPU power brake", "")),
    ],
)
def test_heat_is_a_fault_and_a_power_limit_is_not(
    reasons: int, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every large product meets its GPU's power limit: that is what the GPU does."""
    nvml(monkeypatch, reasons)

    assert expected == Clocks().look()


def test_without_nvml_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed, or it does not answer."""
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)

    assert ("", "") == Clocks().look()
