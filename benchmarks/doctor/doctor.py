"""`samegrad doctor`: what makes this machine's numbers misleading or slow.

Facts are measured in fresh processes (`gather`) and judged by `findings`.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samegrad.benchmarks.doctor import openblas
from samegrad.benchmarks.doctor.findings import PROBLEM, Finding, findings
from samegrad.benchmarks.machine import counters, system
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import registry

IDLE_SECONDS = 1.0  # how long nothing is done, to see what other programs do
CHILD_SECONDS = 120.0
REPETITIONS = 2  # of each library: a neighbour who disturbs one of them is no property of it


def diagnose() -> tuple[dict[str, Any], list[Finding]]:
    """The facts about this machine, and what of them is worth a finding, problems first.

    It takes about half a minute.
    """
    facts = gather()
    return facts, findings(facts)


def gather() -> dict[str, Any]:
    """Everything that `findings` judges."""
    machine = system.machine()
    cores = system.cores()
    facts: dict[str, Any] = {
        key: machine[key] for key in ("cpu", "cpu_flags", "cpu_quota", "governor", "gpu", "system")
    }
    facts |= {"cores": cores, "cores_in_machine": machine["cores_in_machine"]}
    facts |= _others()
    own = openblas.trials(())[0]
    names = openblas.candidates(facts["cpu_flags"], own.kernel)
    facts["openblas_coretype"] = openblas.core_type()
    if openblas.core_type():
        names = [openblas.UNSET, *names]
    facts["openblas"] = [] if own.reason else [asdict(trial) for trial in openblas.trials(names)]
    facts["thread_variables"] = {
        name: os.environ[name] for name in system.THREAD_VARIABLES if name in os.environ
    }
    # As it would be without the user's variables: those are looked at below.
    facts["libraries"] = libraries = _libraries(str(cores))
    facts["denormals"] = {name: library.pop("denormals") for name, library in libraries.items()}
    busy = [library.pop("busy_cores") for library in libraries.values()]
    facts["busy_cores"] = max(busy, default=None)
    if any(v.isdigit() and int(v) > cores for v in facts["thread_variables"].values()):
        facts["oversubscription"] = {
            name: {
                "as_set": _measured(name, "all").get("step_seconds", float("nan")),
                "one_per_core": library["step_seconds"],
            }
            for name, library in libraries.items()
        }
    return facts


def _libraries(threads: str) -> dict[str, dict[str, Any]]:
    """What each installed library reaches: the best of its repetitions, which alternate."""
    best: dict[str, dict[str, Any]] = {}
    names = [
        name
        for name in registry.names()
        if not registry.looped(name) and not registry.why_not_installed(name)
    ]
    for _ in range(REPETITIONS):
        for name in names:
            now = _measured(name, threads)
            if "gemm" not in now:
                continue
            now["gpu"] = registry.TABLE[name].gpu
            before = best.setdefault(name, now)
            for dtype, rate in now["gemm"].items():
                before["gemm"][dtype] = max(rate, before["gemm"][dtype])
            for least in ("step_seconds", "denormals"):
                before[least] = min(before[least], now[least])
            before["busy_cores"] = max(before["busy_cores"], now["busy_cores"])
    return best


def _others() -> dict[str, float | None]:
    """What other programs and other machines take while this one does nothing."""
    before, busy_before = counters.moment(), counters.busy()
    time.sleep(IDLE_SECONDS)
    shares = counters.interference(before, counters.moment())
    busy_after = counters.busy()
    load = None
    if busy_before is not None and busy_after is not None:
        load = (busy_after - busy_before) / IDLE_SECONDS
    return {"other_load": load, "steal": shares.get("steal"), "pressure": shares.get("pressure")}


def _measured(name: str, threads: str) -> dict[str, Any]:
    """What one library reaches in a process of its own; with "all" threads as the user has set."""
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="samegrad-") as scratch:
        processes.run_child(
            processes.python_child(openblas.PROBE),
            {"about": "library", "implementation": name},
            system.worker_environment(None, Path(scratch), threads),
            answer.update,
            CHILD_SECONDS,
        )
    return answer


def problems(judged: Sequence[Finding]) -> list[Finding]:
    """The findings that make the command end with 1."""
    return [finding for finding in judged if finding.level == PROBLEM]


def text(facts: dict[str, Any], judged: Sequence[Finding]) -> str:
    """Facts and findings in plain words."""
    lines = [f"{facts['cpu']}, {facts['cores']} cores, {facts['cpu_flags']}; GPU: {facts['gpu']}"]
    core_type = facts.get("openblas_coretype")
    names = {
        "": f"{openblas.VARIABLE}={core_type}, as it is set" if core_type else "by itself",
        openblas.UNSET: f"by itself, with {openblas.VARIABLE} unset",
    }
    for trial in facts["openblas"]:
        name = names.get(trial["name"], trial["name"])
        if trial["reason"]:
            lines.append(f"  OpenBLAS, {name}: no figures ({trial['reason']})")
            continue
        lines.append(
            f"  OpenBLAS, {name}: {trial['kernel']} kernels, GFLOP/s: {_rates(trial['gemm'])}"
        )
    if len(facts["openblas"]) == 1:
        lines.append("  (no other core type for this CPU's instructions that it does not use)")
    for name, library in facts["libraries"].items():
        devices = ", ".join(library["devices"])
        lines.append(f"  {name}: GFLOP/s: {_rates(library['gemm'])}; devices: {devices}")
    for finding in judged:
        lines += [
            "",
            f"{finding.level.upper()}: {finding.title}",
            f"  measured: {finding.effect}",
            f"  remedy: {finding.remedy}",
        ]
    if not problems(judged):
        lines += ["", "Nothing is wrong: no cause was found that makes numbers here mislead."]
    return "\n".join(lines)


def _rates(gemm: dict[str, float]) -> str:
    return ", ".join(f"{rate / 1e9:.0f} in {dtype}" for dtype, rate in gemm.items())
