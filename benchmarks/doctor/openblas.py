"""OpenBLAS core types: which kernels NumPy's products use here, and whether others are faster.

OpenBLAS takes its kernels by the processor that it recognises. A processor that is newer than the
library, or hidden by a hypervisor, gets kernels of an older one. OPENBLAS_CORETYPE, set before
NumPy is imported, names another core type; each is tried in a fresh process. Where the user has set
it, NumPy's rows are measured with that.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samegrad.benchmarks.machine import system
from samegrad.implementations.checking import processes

PROBE = "samegrad.benchmarks.doctor.probe"  # the module of doctor's child processes
TRIAL_SECONDS = 60.0
VARIABLE = "OPENBLAS_CORETYPE"
UNSET = "unset"  # name of the trial without what the user has set
# core type -> the CPU flag without which its kernels cannot run
CORE_TYPES = {
    "Haswell": "avx2",
    "Zen": "avx2",
    "SkylakeX": "avx512f",
    "Cooperlake": "avx512_bf16",
    "SapphireRapids": "amx_tile",
    "NEOVERSEN1": "asimd",
    "NEOVERSEV1": "sve",
}


@dataclass(frozen=True)
class Trial:
    """What one core type reached.

    Attributes:
        name: the core type that was set; "" is how it is here: what the user has set, else what
            the library takes by itself, which is UNSET where the user has set something.
        kernel: which kernels the library reported then.
        gemm: dtype -> FLOP/s of a large matrix product.
        reason: why there are no figures, or "".
    """

    name: str
    kernel: str = ""
    gemm: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def core_type() -> str:
    """The core type that the user has set, or ""."""
    return os.environ.get(VARIABLE, "")


def candidates(flags: str, own: str) -> list[str]:
    """The core types that this processor can run, other than those with the kernels in use."""
    instructions, used = flags.split(), CORE_TYPES.get(own)
    return [name for name, flag in CORE_TYPES.items() if flag in instructions and flag != used]


def trials(names: Sequence[str], repetitions: int = 2) -> list[Trial]:
    """As it is here and with some core types, each the best of several trials, alternating."""
    best: dict[str, Trial] = {}
    for _ in range(repetitions):
        for name in ("", *names):
            before, now = best.get(name), _trial(name)
            if before is None or before.reason:
                best[name] = now
            elif not now.reason:
                rates = {k: max(v, before.gemm.get(k, 0.0)) for k, v in now.gemm.items()}
                best[name] = Trial(name, now.kernel, rates)
    return list(best.values())


def _trial(name: str) -> Trial:
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="samegrad-") as scratch:
        environment = system.worker_environment("cpu", Path(scratch))
        if name == UNSET:
            environment.pop(VARIABLE, None)
        elif name:
            environment[VARIABLE] = name
        ended = processes.run_child(
            processes.python_child(PROBE),
            {"about": "openblas"},
            environment,
            answer.update,
            TRIAL_SECONDS,
        )
    if ended.kind != "ok" or "gemm" not in answer:
        return Trial(name, reason=answer.get("reason") or ended.reason or "no answer")
    return Trial(name, answer["kernel"], answer["gemm"])
