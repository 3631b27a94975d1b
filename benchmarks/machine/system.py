"""The machine: facts about it, what a worker process gets of it, what is lost to others.

Facts are read by code, never typed, by the standard library alone; what cannot be read on a system
is "unknown". A fingerprint is a hash of what makes two machines different machines for a benchmark;
it is part of every row's key when journals are merged.
"""

import contextlib
import ctypes
import gc
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path

from samegrad.benchmarks.machine import gpu
from samegrad.benchmarks.machine.checkout import commit
from samegrad.benchmarks.machine.programs import output
from samegrad.implementations.contract import ranks

UNKNOWN = "unknown"
Moment = dict[str, tuple[float, float]]  # what was lost to others -> (seconds, of so many)
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
RANK_VARIABLES = (*ranks.VARIABLES, ranks.OF_SLURM)  # who else was started, by torchrun or srun
SHARED = "SAMEGRAD_SHARED_MACHINE"  # with whom, set by who starts several runs on one machine
HARDWARE = ("cpu", "cores", "memory_gib", "architecture", "gpu", "system")


def thread_variables() -> dict[str, str]:
    """Those of the user's variables that limit the threads of rows on "all" threads."""
    return {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}


def machine() -> dict[str, str]:
    """Facts about this machine, all as strings; of several hosts, those of the first."""
    hosts = ranks.size()
    return {
        "cpu": cpu_model() if hosts == 1 else f"{hosts} hosts with {cpu_model()}",
        "cores": str(cores()),
        "cores_in_machine": str(os.cpu_count() or UNKNOWN),
        "cpu_quota": cpu_quota(),
        "cpu_flags": cpu_flags(),
        "cpu_caches": cpu_caches(),
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE", "not set"),
        "thread_variables": " ".join(f"{k}={v}" for k, v in thread_variables().items())
        or "not set",
        "governor": text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load": _load(),
        "memory_gib": _memory_gib(),
        "gpu": "none",
        **gpu.facts(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine() or UNKNOWN,
        "python": platform.python_version(),
        "versions": json.dumps(versions()),
        "commit": commit(),
        **({"shared": os.environ[SHARED]} if os.environ.get(SHARED) else {}),
        **({"hosts": str(hosts)} if hosts > 1 else {}),
    }


def fingerprint(facts: dict[str, str]) -> str:
    """Twelve hex digits that stay the same on the same hardware and system."""
    kept = {key: facts.get(key, UNKNOWN) for key in HARDWARE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def fingerprint_beside(known: dict[str, str]) -> str:
    """That of this machine, compared with another's facts.

    Where only a framework could name the other's GPU, and nothing else can here, it is the same.
    """
    facts = machine()
    if known.get("gpu_named_by") and facts["gpu"] in ("none", gpu.UNNAMED):
        facts["gpu"] = known["gpu"]
    return fingerprint(facts)


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
    name = after("/proc/cpuinfo", "model name")
    if name:
        return name
    if sys.platform == "darwin":
        return output("sysctl", "-n", "machdep.cpu.brand_string") or UNKNOWN
    return platform.processor() or UNKNOWN


def cpu_flags() -> str:
    """The vector instructions that matter to a matrix product."""
    flags = (after("/proc/cpuinfo", "flags") or after("/proc/cpuinfo", "Features")).split()
    if not flags:
        return UNKNOWN
    return " ".join(flag for flag in FLAGS if flag in flags) or "none of interest"


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
    available = _bytes("/proc/meminfo", "MemAvailable")
    limits = [] if available is None else [available]
    for directory, limit, usage, cached in CONTROL_GROUP_MEMORY:
        most, used = text(f"{directory}/{limit}"), text(f"{directory}/{usage}")
        if most.isdigit() and used.isdigit():  # without a limit it is "max"
            kept = int(after(f"{directory}/memory.stat", cached) or 0)
            limits.append(max(0, int(most) - int(used) + kept))
    return min(limits, default=None)


def _memory_gib() -> str:
    pages, size = configured("SC_PHYS_PAGES"), configured("SC_PAGE_SIZE")
    return UNKNOWN if pages is None or size is None else f"{pages * size / 2**30:.0f}"


def _load() -> str:
    try:
        return " ".join(f"{value:.2f}" for value in os.getloadavg())
    except (AttributeError, OSError):
        return UNKNOWN


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
    environment = {k: v for k, v in os.environ.items() if k not in RANK_VARIABLES}
    for variable in THREAD_VARIABLES:
        if threads == "all":
            environment.setdefault(variable, str(cores()))
        else:
            environment[variable] = str(thread_count(threads))
    environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # the driver's: NVML counts like that
    if device is None:  # several such processes run side by side: JAX must not take the whole GPU
        environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    else:
        environment.setdefault("JAX_PLATFORMS", "cpu" if device == "cpu" else f"{device},cpu")
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(scratch / "jax-cache"))
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    environment.setdefault("TORCHINDUCTOR_CACHE_DIR", str(scratch / "torch-cache"))
    # Otherwise torch.compile starts processes of its own, which disturb what is timed next.
    environment.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return environment


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
    """Seconds of the cores that this process may use, by what they did, guests left out; or none.

    See proc_stat(5). The first of its lines is of all cores of the machine.
    """
    lines = [line.split() for line in text("/proc/stat").splitlines() if line.startswith("cpu")]
    ticks, allowed = configured("SC_CLK_TCK"), allowed_cores()
    if not ticks or not lines or lines[0][0] != "cpu":
        return []
    names = {"cpu"}
    if allowed is not None and len(allowed) < len(lines) - 1:
        names = {f"cpu{core}" for core in allowed}
    of_ours = [line[1:9] for line in lines if line[0] in names]
    return [sum(map(int, column)) / ticks for column in zip(*of_ours, strict=True)]


def waiting() -> tuple[float, float] | None:
    """(seconds during which some process of this machine has waited for a core, of all) so far."""
    total = after("/proc/pressure/cpu", "some").rpartition("total=")[2]
    return (int(total) / 1e6, time.monotonic()) if total else None


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
    return _bytes("/proc/self/status", "VmRSS")


def peak_memory() -> int | None:
    """The most bytes of this process that were resident since then."""
    return _bytes("/proc/self/status", "VmHWM")


def resident_memory(process: int) -> int | None:
    """Bytes of another process that are resident."""
    return _bytes(f"/proc/{process}/status", "VmRSS")


def descendants_cpu_ns(process: int, keeper: int = 0) -> int:
    """CPU time so far of what a process and its descendants have started, in nanoseconds.

    Its own is left out. What has ended counts in ticks of 10 ms. Linux only, elsewhere 0.

    Args:
        keeper: the process that takes in those that have left its session, and has no others.
    """
    total, seen, waiting = 0, set[int](), [process]
    with contextlib.suppress(OSError, ValueError):
        waiting += _started_by(keeper) if keeper else []
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):  # it has ended
            ticks = sum(map(int, _stat(one)[13:15]))  # of its children that have ended
            total += round(1e9 * ticks / os.sysconf("SC_CLK_TCK"))
            if one != process:
                total += time.clock_gettime_ns(~one << 3 | 2)  # see clock_getcpuclockid
            waiting += _started_by(one)
    return total


def _stat(process: int) -> list[str]:
    """What the system says of a process, its state first."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def _started_by(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def text(path: str) -> str:
    """What a file of the system holds, or "unknown"."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return UNKNOWN


def after(path: str, name: str) -> str:
    """The rest of the first line of a system's file that begins with a name, or ""."""
    for line in text(path).splitlines():
        if line.startswith(name):
            return line.removeprefix(name).strip("\t :")
    return ""


def _bytes(path: str, name: str) -> int | None:
    """The same as bytes, of a number in KiB."""
    value = after(path, name)
    return 1024 * int(value.split()[0]) if value else None
