"""What the system counts while something is timed: time lost to others, and memory."""

import contextlib
import ctypes
import gc
import time
from pathlib import Path

from samegrad.benchmarks.machine import system


def gpu_throttling() -> str:
    """Why an NVIDIA GPU runs slower than it can at this moment, for heat or power; "" if not."""
    query = "clocks_event_reasons.hw_thermal_slowdown,clocks_event_reasons.sw_thermal_slowdown"
    reasons = system.output("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader")
    return (
        f"GPU thermal slowdown ({reasons})"
        if " Active" in f" {reasons.replace('Not Active', '')}"
        else ""
    )


def stolen() -> tuple[float, float] | None:
    """(seconds that the hypervisor took from this machine's cores, all their seconds) so far."""
    seconds = _core_seconds()
    return (seconds[7], sum(seconds)) if len(seconds) > 7 else None


def busy() -> float | None:
    """Seconds that this machine's cores have worked so far, for whomever."""
    seconds = _core_seconds()
    if len(seconds) < 7:
        return None
    user, nice, kernel, _idle, _io, irq, softirq = seconds[:7]
    return user + nice + kernel + irq + softirq


def _core_seconds() -> list[float]:
    """Seconds of all cores by what they did (see proc_stat(5)), guests left out; or nothing."""
    fields = system.text("/proc/stat").partition("\n")[0].split()
    ticks = system.configured("SC_CLK_TCK")
    if not ticks or fields[:1] != ["cpu"]:
        return []
    return [int(field) / ticks for field in fields[1:9]]


def waiting() -> tuple[float, float] | None:
    """(seconds during which some process of this machine has waited for a core, of all) so far."""
    for line in system.text("/proc/pressure/cpu").splitlines():
        if line.startswith("some"):
            return int(line.rpartition("total=")[2]) / 1e6, time.monotonic()
    return None


Moment = dict[str, tuple[float, float]]


def moment() -> Moment:
    """What was lost to others so far, by name: (seconds lost, of so many).

    "steal": taken by the hypervisor; "pressure": some process waited for a core. Without what
    cannot be read here.
    """
    lost = {"steal": stolen(), "pressure": waiting()}
    return {name: seconds for name, seconds in lost.items() if seconds is not None}


def interference(before: Moment, after: Moment) -> dict[str, float]:
    """Shares of the time between two moments that were lost to others."""
    shares = {}
    for name, (lost, whole) in after.items():
        if name in before:
            lost, whole = lost - before[name][0], whole - before[name][1]
            shares[name] = min(1.0, lost / max(whole, 1e-3))
    return shares


def reset_peak_memory() -> int | None:
    """Forget this process's peak memory; the resident bytes now, None where it cannot be done.

    Not ru_maxrss: a child inherits its parent's. What was freed goes back to the system first, or
    the next call would take it without being seen to.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # no glibc; Windows
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status_bytes("VmRSS")


def peak_memory() -> int | None:
    """The most bytes of this process that were resident since then."""
    return _status_bytes("VmHWM")


def resident_memory(process: int) -> int | None:
    """Bytes of another process that are resident."""
    return _status_bytes("VmRSS", process)


def _status_bytes(name: str, process: int | str = "self") -> int | None:
    for line in system.text(f"/proc/{process}/status").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None
