"""The machine, the commit and a worker's environment: captured by code, never typed.

What cannot be read is "unknown". A fingerprint is a hash of what makes two machines different
machines for a benchmark; it is part of every row's key when journals are merged.
"""

import contextlib
import ctypes
import gc
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

UNKNOWN = "unknown"
ROOT = Path(__file__).resolve().parent.parent
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
DISTRIBUTIONS = ("numpy", "torch", "jax", "jaxlib", "pytest-benchmark", "pandas", "matplotlib")
# Directory, limit, usage, and what of that is files that the system can drop: versions 2 and 1.
CONTROL_GROUP_MEMORY = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
HARDWARE = ("cpu", "cores", "memory_gib", "architecture", "gpu", "system")


def machine() -> dict[str, str]:
    """Facts about this machine, all as strings."""
    return {
        "cpu": cpu_model(),
        "cores": str(cores()),
        "cores_in_machine": str(os.cpu_count() or UNKNOWN),
        "cpu_quota": cpu_quota(),
        "cpu_flags": cpu_flags(),
        "cpu_caches": cpu_caches(),
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE", "not set"),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load": _load(),
        "memory_gib": _memory_gib(),
        "gpu": gpus() or "none",
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine() or UNKNOWN,
        "python": platform.python_version(),
        "versions": json.dumps(versions()),
        "commit": commit(),
    }


def fingerprint(facts: dict[str, str]) -> str:
    """Twelve hex digits that stay the same on the same hardware and system."""
    kept = {key: facts.get(key, UNKNOWN) for key in HARDWARE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """The processor's name."""
    for line in _text("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or UNKNOWN
    return platform.processor() or UNKNOWN


def cpu_flags() -> str:
    """The vector instructions that matter to a matrix product."""
    for line in _text("/proc/cpuinfo").splitlines():
        if line.startswith(("flags", "Features")):
            wanted = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")
            have = set(line.split(":", 1)[1].split())
            return " ".join(flag for flag in wanted if flag in have) or "none of interest"
    return UNKNOWN


def cpu_caches() -> str:
    """Size of each data cache as one core sees it, for example "L1 32K, L2 512K, L3 32768K"."""
    found = {}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = (_text(str(entry / name)) for name in ("type", "level", "size"))
        if kind in ("Data", "Unified") and level.isdigit() and size[:-1].isdigit():
            found[f"L{level}"] = size
    return ", ".join(f"{level} {size}" for level, size in found.items()) or UNKNOWN


def gpu_throttling() -> str:
    """Why an NVIDIA GPU runs slower than it can at this moment, for heat or power; "" if not."""
    query = "clocks_event_reasons.hw_thermal_slowdown,clocks_event_reasons.sw_thermal_slowdown"
    said = _output("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader")
    return (
        f"GPU thermal slowdown ({said})"
        if " Active" in f" {said.replace('Not Active', '')}"
        else ""
    )


def cpu_quota() -> str:
    """Cores' worth of time that the control group allows."""
    quota = _text("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit():
        return f"{int(quota[0]) / int(quota[1]):g}"
    return "none" if quota[:1] == ["max"] else UNKNOWN


def gpus() -> str:
    """NVIDIA GPUs that the driver reports, with driver, power limit and clock; "" if none."""
    query = "name,driver_version,memory.total,power.limit,clocks.max.sm"
    return _output("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader")


def commit() -> str:
    """The checkout's commit, "+changes" if files differ; SAMEGRAD_COMMIT where git cannot say."""
    given = os.environ.get("SAMEGRAD_COMMIT")
    if given:
        return given
    if not (ROOT / ".git").exists():
        return UNKNOWN
    found = _output("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
    if not found:
        return UNKNOWN
    changed = _output("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return found + ("+changes" if changed else "")


def versions() -> dict[str, str]:
    """Installed versions, without importing anything."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def thread_count(threads: str) -> int:
    """The number of threads of a regime: "all" is every core that this process may use."""
    return cores() if threads == "all" else min(int(threads), cores())


def affinity(threads: str) -> list[int] | None:
    """The cores that a worker is bound to before it imports anything; None: all, or no such call.

    The last ones: a system's interrupts go to the first.
    """
    if threads == "all" or not hasattr(os, "sched_getaffinity"):
        return None
    return sorted(os.sched_getaffinity(0))[-thread_count(threads) :]


def worker_environment(device: str | None, scratch: Path, threads: str = "all") -> dict[str, str]:
    """The environment of a worker: set before it imports anything, since later has no effect.

    With "all" threads, what the user has set stays; all libraries get the cores that this process
    may use. XLA on the CPU heeds NPROC and the affinity only.

    Args:
        device: "cpu" keeps JAX off the GPU's memory; None (a probe) leaves everything visible.
        scratch: directory of the run, for what JAX and torch have compiled: the first process of
            a run compiles, the others load.
        threads: "all", or a number of threads, which is then set whatever the user has set.
    """
    environment = dict(os.environ)
    for variable in THREAD_VARIABLES:
        if threads == "all":
            environment.setdefault(variable, str(cores()))
        else:
            environment[variable] = str(thread_count(threads))
    if device is None:  # probes run side by side: JAX must not take the whole GPU
        environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    else:
        environment.setdefault("JAX_PLATFORMS", "cpu" if device == "cpu" else f"{device},cpu")
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(scratch / "jax-cache"))
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    environment.setdefault("TORCHINDUCTOR_CACHE_DIR", str(scratch / "torch-cache"))
    # Otherwise torch.compile starts processes of its own, which disturb whatever is timed next.
    environment.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return environment


def stolen() -> tuple[float, float] | None:
    """(seconds that the hypervisor took from this machine's cores, all their seconds) so far."""
    fields = _text("/proc/stat").partition("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[8]) / ticks, sum(map(int, fields[1:9])) / ticks


def busy() -> float | None:
    """Seconds that this machine's cores have worked so far, for whomever."""
    fields = _text("/proc/stat").partition("\n")[0].split()
    if len(fields) < 8 or fields[0] != "cpu":
        return None
    user, nice, system, _idle, _io, irq, softirq = map(int, fields[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def waiting() -> float | None:
    """Seconds during which some process of this machine has waited for a core so far."""
    for line in _text("/proc/pressure/cpu").splitlines():
        if line.startswith("some"):
            return int(line.rpartition("total=")[2]) / 1e6
    return None


Moment = tuple[tuple[float, float] | None, float | None, float]


def moment() -> Moment:
    """What the system has counted so far, for `interference`."""
    return stolen(), waiting(), time.monotonic()


def interference(before: Moment, after: Moment) -> dict[str, float]:
    """Shares of the time between two moments that were lost to others.

    "steal": taken by the hypervisor; "pressure": some process waited for a core. Without what
    cannot be read here.
    """
    found = {}
    if before[0] is not None and after[0] is not None:
        whole = after[0][1] - before[0][1]
        found["steal"] = (after[0][0] - before[0][0]) / whole if whole > 0 else 0.0
    if before[1] is not None and after[1] is not None:
        found["pressure"] = min(1.0, (after[1] - before[1]) / max(after[2] - before[2], 1e-3))
    return found


def reset_peak_memory() -> int | None:
    """Forget this process's peak memory; the resident bytes now, None where there is no such way.

    Not ru_maxrss: a child inherits its parent's. What was freed goes back to the system first, or
    the next call would take it without being seen to.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
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
    for line in _text(f"/proc/{process}/status").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def blas() -> str:
    """BLAS libraries of this process with kernel and thread count; call it in a worker."""
    from threadpoolctl import threadpool_info

    found = [
        f"{info['internal_api']} {info['version']} "
        f"({info.get('architecture', 'kernel unknown')} kernel, {info['num_threads']} threads)"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    ]
    return "; ".join(found) or UNKNOWN


def available_memory() -> int | None:
    """Bytes that a new process can have, or None where that cannot be read.

    In a container what its control group allows, if that is less: who takes more is killed.
    """
    found = [
        int(line.split()[1]) * 1024
        for line in _text("/proc/meminfo").splitlines()
        if line.startswith("MemAvailable:")
    ]
    for directory, limit, usage, cached in CONTROL_GROUP_MEMORY:
        most, used = _text(f"{directory}/{limit}"), _text(f"{directory}/{usage}")
        if most.isdigit() and used.isdigit():  # without a limit it is "max"
            lines = [line.split() for line in _text(f"{directory}/memory.stat").splitlines()]
            kept = sum(int(words[1]) for words in lines if words[:1] == [cached])
            found.append(max(0, int(most) - int(used) + kept))
    return min(found, default=None)


def _memory_gib() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN
    return f"{pages * size / 2**30:.0f}"


def _load() -> str:
    try:
        return " ".join(f"{value:.2f}" for value in os.getloadavg())
    except (AttributeError, OSError):
        return UNKNOWN


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return UNKNOWN


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "; ".join(done.stdout.strip().splitlines()) if done.returncode == 0 else ""
