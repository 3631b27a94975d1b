"""OpenBLAS core types: which kernels NumPy's products use here, and whether others are faster.

OpenBLAS chooses its kernels by the processor that it thinks it runs on. A processor that is newer
than the library, or hidden by a hypervisor, gets kernels of an older one. OPENBLAS_CORETYPE, set
before NumPy is imported, overrides the choice; each core type is tried in a fresh process. Where
the user has set it, that is what NumPy's rows have, and not what OpenBLAS would choose.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samegrad.benchmarks.machine import process_environment
from samegrad.benchmarks.worker import main
from samegrad.implementations.checking import processes

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
        name: the core type that was asked for; "" is how it is here: what the user has set, else
            the library's own choice, which is UNSET where the user has set something.
        kernel: what the library then said that it uses.
        gemm: dtype -> FLOP/s of a large matrix product.
        reason: why there are no figures, or "".
    """

    name: str
    kernel: str = ""
    gemm: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def chosen() -> str:
    """The core type that the user has set, or ""."""
    return os.environ.get(VARIABLE, "")


def candidates(flags: str, own: str) -> list[str]:
    """The core types that this processor can run, other than those with the kernels in use."""
    have, used = flags.split(), CORE_TYPES.get(own)
    return [name for name, flag in CORE_TYPES.items() if flag in have and flag != used]


def trials(names: Sequence[str], rounds: int = 2) -> list[Trial]:
    """How it is here and some core types, each the best of its rounds, in turns."""
    found: dict[str, Trial] = {}
    for _ in range(rounds):
        for name in ("", *names):
            before, now = found.get(name), _trial(name)
            if before is None or before.reason:
                found[name] = now
            elif not now.reason:
                best = {k: max(v, before.gemm.get(k, 0.0)) for k, v in now.gemm.items()}
                found[name] = Trial(name, now.kernel, best)
    return list(found.values())


def _trial(name: str) -> Trial:
    found: dict[str, Any] = {}

    def on_message(message: Mapping[str, Any]) -> None:
        found.update(message)

    with tempfile.TemporaryDirectory(prefix="samegrad-") as scratch:
        surroundings = process_environment.worker_environment("cpu", Path(scratch))
        if name == UNSET:
            surroundings.pop(VARIABLE, None)
        elif name:
            surroundings[VARIABLE] = name
        ended = processes.run_child(
            main.command(),
            {"role": "kernel"},
            surroundings,
            on_message,
            TRIAL_SECONDS,
        )
    if ended.kind != "ok" or "gemm" not in found:
        return Trial(name, reason=found.get("reason") or ended.reason or "it said nothing")
    return Trial(name, found["kernel"], found["gemm"])
