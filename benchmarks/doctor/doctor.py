"""`samegrad doctor`: what makes this machine's numbers misleading or slow.

Facts are measured in fresh processes (`gather`) and judged elsewhere (`advice`).
"""

import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samegrad.benchmarks.doctor import openblas
from samegrad.benchmarks.doctor.findings import PROBLEM, findings
from samegrad.benchmarks.machine import counters, process_environment, system
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import registry

LOOK_SECONDS = 1.0  # how long nothing is done, to see what others do
CHILD_SECONDS = 120.0
TURNS = 2  # of each library: a neighbour who disturbs one of them is no property of the library


def gather() -> dict[str, Any]:
    """Everything that `advice` judges; takes about half a minute."""
    machine = system.machine()
    cores = system.cores()
    facts: dict[str, Any] = {
        key: machine[key] for key in ("cpu", "cpu_flags", "cpu_quota", "governor", "gpu", "system")
    }
    facts |= {"cores": cores, "cores_in_machine": machine["cores_in_machine"]}
    facts |= _others()
    own = openblas.trials(())[0]
    names = openblas.candidates(facts["cpu_flags"], own.kernel)
    facts["openblas_coretype"] = openblas.chosen()
    if openblas.chosen():
        names = [openblas.UNSET, *names]
    facts["openblas"] = [asdict(trial) for trial in openblas.trials(names)]
    if own.reason:
        facts["openblas"] = []
    facts["thread_variables"] = {
        name: os.environ[name]
        for name in process_environment.THREAD_VARIABLES
        if name in os.environ
    }
    # As it would be without the user's variables: those are looked at below.
    facts["libraries"] = libraries = _libraries(str(cores))
    facts["denormals"] = {name: found.pop("denormals") for name, found in libraries.items()}
    busy = [found.pop("busy_cores") for found in libraries.values()]
    facts["busy_cores"] = max(busy, default=None)
    if any(v.isdigit() and int(v) > cores for v in facts["thread_variables"].values()):
        facts["oversubscription"] = {
            name: {
                "as_set": _ask(name, "all").get("step_seconds", float("nan")),
                "one_per_core": library["step_seconds"],
            }
            for name, library in facts["libraries"].items()
        }
    return facts


def _libraries(threads: str) -> dict[str, dict[str, Any]]:
    """What each installed library reaches: in turns, and the best of its turns."""
    found: dict[str, dict[str, Any]] = {}
    names = [n for n in registry.names() if n != "scalar" and not registry.why_not_installed(n)]
    for _ in range(TURNS):
        for name in names:
            now = _ask(name, threads)
            if "gemm" not in now:
                continue
            now["gpu"] = registry.TABLE[name].gpu
            before = found.setdefault(name, now)
            for dtype, rate in now["gemm"].items():
                before["gemm"][dtype] = max(rate, before["gemm"][dtype])
            for least in ("step_seconds", "denormals"):
                before[least] = min(before[least], now[least])
            before["busy_cores"] = max(before["busy_cores"], now["busy_cores"])
    return found


def _others() -> dict[str, float | None]:
    """What other programs and other machines take while this one does nothing."""
    before, busy_before = counters.moment(), counters.busy()
    time.sleep(LOOK_SECONDS)
    shares = counters.interference(before, counters.moment())
    busy_after = counters.busy()
    load = None
    if busy_before is not None and busy_after is not None:
        load = (busy_after - busy_before) / LOOK_SECONDS
    return {"other_load": load, "steal": shares.get("steal"), "pressure": shares.get("pressure")}


def _ask(name: str, threads: str) -> dict[str, Any]:
    """What one library reaches in a process of its own; with "all" threads as the user has set."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="samegrad-") as scratch:
        processes.run_child(
            processes.python_child("samegrad.benchmarks.doctor.probe"),
            {"implementation": name},
            process_environment.worker_environment(None, Path(scratch), threads),
            found.update,
            CHILD_SECONDS,
        )
    return found


def text(facts: dict[str, Any]) -> str:
    """Facts and findings in plain words."""
    lines = [f"{facts['cpu']}, {facts['cores']} cores, {facts['cpu_flags']}; GPU: {facts['gpu']}"]
    given = facts.get("openblas_coretype")
    names = {
        "": f"{openblas.VARIABLE}={given}, as it is set here" if given else "its own choice",
        openblas.UNSET: "its own choice, with that unset",
    }
    for trial in facts["openblas"]:
        name = names.get(trial["name"], trial["name"])
        if trial["reason"]:
            lines.append(f"  OpenBLAS, {name}: no figures ({trial['reason']})")
            continue
        rates = ", ".join(f"{v / 1e9:.0f} in {k}" for k, v in trial["gemm"].items())
        lines.append(f"  OpenBLAS, {name}: {trial['kernel']} kernels, GFLOP/s: {rates}")
    if len(facts["openblas"]) == 1:
        lines.append("  (no other core type for this CPU's instructions that it does not use)")
    for name, library in facts["libraries"].items():
        rates = ", ".join(f"{v / 1e9:.0f} in {k}" for k, v in library["gemm"].items())
        lines.append(f"  {name}: GFLOP/s: {rates}; devices: {', '.join(library['devices'])}")
    found = findings(facts)
    for finding in found:
        lines += [
            "",
            f"{finding.level.upper()}: {finding.title}",
            f"  measured: {finding.effect}",
            f"  remedy: {finding.remedy}",
        ]
    if not any(finding.level == PROBLEM for finding in found):
        lines += ["", "Nothing is wrong: no cause was found that makes numbers here mislead."]
    return "\n".join(lines)
