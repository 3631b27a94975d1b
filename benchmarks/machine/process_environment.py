"""The environment of a worker process: threads, cores, caches of compilers."""

import os
from pathlib import Path

from samegrad.benchmarks.machine import system

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")


def thread_count(threads: str) -> int:
    """The number of threads that "all" or a number means: at most one per usable core."""
    return system.cores() if threads == "all" else min(int(threads), system.cores())


def affinity(threads: str) -> list[int] | None:
    """The cores that a worker is bound to before it imports anything.

    The last ones: a system's interrupts go to the first. None for all of them, and where the
    system cannot bind a process.
    """
    allowed = system.allowed_cores()
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
            environment.setdefault(variable, str(system.cores()))
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
