"""The machine: facts about it and what is installed, and what of it a worker process gets.

Facts are read by code, never typed, by the standard library alone; what cannot be read on a system
is "unknown". A fingerprint is a hash of what makes two machines different machines for a benchmark;
it is part of every row's key when journals are merged.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

UNKNOWN = "unknown"
ROOT = Path(__file__).resolve().parents[2]  # of a checkout; installed, samegrad's own folder
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
FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
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
        "governor": text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
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
    allowed = allowed_cores()
    return (os.cpu_count() or 1) if allowed is None else len(allowed)


def allowed_cores() -> list[int] | None:
    """The numbers of the cores that this process may use; None where no call says it."""
    if not hasattr(os, "sched_getaffinity"):  # macOS, Windows
        return None
    return sorted(os.sched_getaffinity(0))


def configured(name: str) -> int | None:
    """A value of the system's configuration, as of sysconf(3); None where no call says it."""
    try:
        return os.sysconf(name)
    except (AttributeError, ValueError, OSError):  # Windows; a name that is not known here
        return None


def cpu_model() -> str:
    """The processor's name."""
    for line in text("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    if sys.platform == "darwin":
        return output("sysctl", "-n", "machdep.cpu.brand_string") or UNKNOWN
    return platform.processor() or UNKNOWN


def cpu_flags() -> str:
    """The vector instructions that matter to a matrix product."""
    for line in text("/proc/cpuinfo").splitlines():
        if line.startswith(("flags", "Features")):
            flags = set(line.split(":", 1)[1].split())
            return " ".join(flag for flag in FLAGS if flag in flags) or "none of interest"
    return UNKNOWN


def cpu_caches() -> str:
    """Size of each data cache as one core sees it, for example "L1 32K, L2 512K, L3 32768K"."""
    sizes = {}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = (text(str(entry / name)) for name in ("type", "level", "size"))
        if kind in ("Data", "Unified") and level.isdigit() and size[:-1].isdigit():
            sizes[f"L{level}"] = size
    return ", ".join(f"{level} {size}" for level, size in sizes.items()) or UNKNOWN


def cpu_quota() -> str:
    """Cores' worth of time that the control group allows."""
    quota = text("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit():
        return f"{int(quota[0]) / int(quota[1]):g}"
    return "none" if quota[:1] == ["max"] else UNKNOWN


def gpus() -> str:
    """NVIDIA GPUs that the driver reports, with driver, power limit and clock; "" if none."""
    query = "name,driver_version,memory.total,power.limit,clocks.max.sm"
    return output("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader")


def commit() -> str:
    """The checkout's commit, "+changes" if files differ; SAMEGRAD_COMMIT where git cannot say."""
    if os.environ.get("SAMEGRAD_COMMIT"):
        return os.environ["SAMEGRAD_COMMIT"]
    if not (ROOT / ".git").exists():
        return UNKNOWN
    head = output("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
    if not head:
        return UNKNOWN
    changed = output("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return head + ("+changes" if changed else "")


def versions() -> dict[str, str]:
    """Installed versions, without importing anything."""
    installed = {}
    for name in DISTRIBUTIONS:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed[name] = "not installed"
    return installed


def blas() -> str:
    """BLAS libraries of this process with kernel and thread count; call it in a worker."""
    from threadpoolctl import threadpool_info

    libraries = [
        f"{info['internal_api']} {info['version']} "
        f"({info.get('architecture', 'kernel unknown')} kernel, {info['num_threads']} threads)"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    ]
    return "; ".join(libraries) or UNKNOWN


def available_memory() -> int | None:
    """Bytes that a new process can have, or None where that cannot be read.

    In a container what its control group allows, if that is less: who takes more is killed.
    """
    limits = [
        int(line.split()[1]) * 1024
        for line in text("/proc/meminfo").splitlines()
        if line.startswith("MemAvailable:")
    ]
    for directory, limit, usage, cached in CONTROL_GROUP_MEMORY:
        most, used = text(f"{directory}/{limit}"), text(f"{directory}/{usage}")
        if most.isdigit() and used.isdigit():  # without a limit it is "max"
            lines = [line.split() for line in text(f"{directory}/memory.stat").splitlines()]
            kept = sum(int(words[1]) for words in lines if words[:1] == [cached])
            limits.append(max(0, int(most) - int(used) + kept))
    return min(limits, default=None)


def thread_count(threads: str) -> int:
    """The number of threads that "all" or a number means: at most one per usable core."""
    return cores() if threads == "all" else min(int(threads), cores())


def affinity(threads: str) -> list[int] | None:
    """The cores that a worker is bound to before it imports anything.

    The last ones: a system's interrupts go to the first. None for all of them, and where the
    system cannot bind a process.
    """
    allowed = allowed_cores()
    if threads == "all" or allowed is None:
        return None
    return allowed[-thread_count(threads) :]


def worker_environment(device: str | None, scratch: Path, threads: str = "all") -> dict[str, str]:
    """The environment of a worker: set before it imports anything, since later has no effect.

    With "all" threads, what the user has set stays; all libraries get the cores that this process
    may use. XLA on the CPU heeds NPROC and the affinity only.

    Args:
        device: "cpu" keeps JAX off the GPU's memory; None leaves everything visible, to find out
            what can be used.
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
    if device is None:  # several such processes run side by side: JAX must not take the whole GPU
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


def _memory_gib() -> str:
    pages, size = configured("SC_PHYS_PAGES"), configured("SC_PAGE_SIZE")
    return UNKNOWN if pages is None or size is None else f"{pages * size / 2**30:.0f}"


def _load() -> str:
    try:
        return " ".join(f"{value:.2f}" for value in os.getloadavg())
    except (AttributeError, OSError):
        return UNKNOWN


def text(path: str) -> str:
    """What a file of the system holds, or "unknown"."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return UNKNOWN


def output(*command: str) -> str:
    """What a command prints, on one line; "" if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "; ".join(done.stdout.strip().splitlines()) if done.returncode == 0 else ""
