"""The GPU that a run measures: the first that CUDA shows to its processes.

Neither other GPUs of the machine nor the driver's version are part of its name: they make no other
machine of it. A slice of a GPU (MIG) does.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from samegrad.benchmarks.machine.programs import output

UNNAMED = "NVIDIA GPU"  # which no program of the driver's names; a framework does
QUERY = "index,uuid,mig.mode.current,name,memory.total,driver_version,power.limit,clocks.max.sm"
SLICE = re.compile(r"MIG (\S+)\s+Device\s+\d+: \(UUID: ([^)]+)\)")
# Bits of NVML's reasons why a clock is slower than it could be. A power limit is met by every large
# product on a GPU that is well; heat, and a supply that calls for a brake, are faults.
FAULTS = {
    0x20: "GPU thermal slowdown",
    0x40: "GPU thermal slowdown (hardware)",
    0x80: "GPU power brake",
}
LIMITS = {0x4: "power limit"}
LOOK_SECONDS = 1.0  # between two questions to NVML, each of which takes up to a millisecond


def facts() -> dict[str, str]:
    """Name and memory of the GPU; driver, power limit and clock; how many the machine has."""
    rows = [row.split(", ") for row in _smi(f"--query-gpu={QUERY}", "--format=csv,noheader")]
    rows = [row for row in rows if len(row) == QUERY.count(",") + 1]
    if not rows:
        return {"gpu": UNNAMED} if _has_device_file() else {}
    wanted, slices = _wanted(), _slices() if any(row[2] == "Enabled" for row in rows) else []
    part = next((one for one in slices if one[2].startswith(wanted)), None)
    index = part[0] if part else wanted
    row = next((r for r in rows if r[0] == index or r[1].startswith(index)), rows[0])
    if part is None and row[2] == "Enabled":  # CUDA shows its first slice
        part = next((one for one in slices if one[0] == row[0]), None)
    size = f"MIG {part[1]}" if part else row[4]
    settings = f"driver {row[5]}, power limit {row[6]}, clock at most {row[7]}"
    return {"gpu": f"{row[3]}, {size}", "gpu_settings": settings, "gpus": str(len(rows))}


def measured() -> str:
    """Its name; "" where there is none."""
    return facts().get("gpu", "")


def named_by(told: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name of the GPU by the first framework that says it, and which: where nobody else does.

    Args:
        told: framework -> its facts about itself on "cuda".
    """
    for framework, own in told.items():
        if name := own.get("gpu") or own.get("device"):
            return {"gpu": str(name), "gpu_named_by": framework}
    return {}


class Clocks:
    """Whether the GPU runs as fast as it can, asked of NVML, of this GPU alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is asked yet."""
        self.clock, self.asked, self.reasons = clock, float("-inf"), 0
        self.handle: Any = None
        self.nvml: Any = None
        with contextlib.suppress(Exception):  # not installed, no driver, or no such GPU
            import pynvml

            pynvml.nvmlInit()
            self.handle, self.nvml = _handle(pynvml, _wanted()), pynvml

    def look(self) -> tuple[str, str]:
        """(what is at fault that it is slower, what limits it in order), or empty texts.

        Asked once a second: heat does not come and go between two rows.
        """
        if self.nvml is not None and self.clock() - self.asked >= LOOK_SECONDS:
            self.asked, self.reasons = self.clock(), 0
            with contextlib.suppress(Exception):  # a virtual GPU does not say it
                self.reasons = _reasons(self.nvml)(self.handle)
        return ", ".join(_named(FAULTS, self.reasons)), ", ".join(_named(LIMITS, self.reasons))


def _named(names: Mapping[int, str], reasons: int) -> Iterator[str]:
    return (name for bit, name in names.items() if reasons & bit)


def _handle(nvml: Any, wanted: str) -> Any:
    if wanted.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(wanted))
    handle = nvml.nvmlDeviceGetHandleByUUID(wanted)
    whole = wanted.startswith("MIG-")  # whose clock is that of the whole GPU
    return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle) if whole else handle


def _reasons(nvml: Any) -> Callable[[Any], int]:
    """Their name until 2023 was "throttle reasons"."""
    ask: Callable[[Any], int]
    old: Any = getattr(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", None)
    ask = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", old)
    return ask


def _wanted() -> str:
    """Index or UUID of the first GPU that CUDA shows, or is to show."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    return first if first.isdigit() or first.startswith(("GPU-", "MIG-")) else "0"


def _slices() -> list[tuple[str, str, str]]:
    """(index of the GPU, profile, UUID) of each slice."""
    found, index = [], ""
    for line in _smi("-L"):
        if gpu := re.match(r"GPU (\d+):", line):
            index = gpu[1]
        elif part := SLICE.match(line.strip()):
            found.append((index, part[1], part[2]))
    return found


def _smi(*arguments: str) -> list[str]:
    return [line for line in output("nvidia-smi", *arguments).split("; ") if line]


def _has_device_file() -> bool:
    """Whether there is a GPU although nothing names it, as in a container for computing only."""
    return any(Path("/dev").glob("nvidia[0-9]*"))
