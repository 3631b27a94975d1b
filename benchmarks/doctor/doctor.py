"""`samegrad doctor`: what makes this machine's numbers misleading or slow.

Facts are measured in fresh processes (`gather`) and judged by `findings`.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from samegrad.benchmarks.doctor.findings import PROBLEM, Finding, findings
from samegrad.benchmarks.machine import state, system
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.commands import command
from samegrad.implementations.contract.scratch import scratch

CHILD_SECONDS = 120.0
HALF = 0.5  # of the time goes to kernels, so that there is some for the libraries
LEAST_SECONDS = 1.0  # with less, a part is not begun
SECONDS = 60.0  # of all measurements; a machine with nothing else to do takes half of it
REPETITIONS = 2  # of each library: a neighbour who disturbs one of them is no property of it
CORE_TYPE = "OPENBLAS_CORETYPE"  # the variable; NumPy's rows are measured with what it says
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


class Time:
    """What is left of the time of a diagnosis, and what there was none for."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.until = seconds, time.monotonic() + seconds
        self.left_out: list[str] = []

    def left(self, part: str) -> float:
        """Seconds that a part may take; 0 where nothing is left, which is written down."""
        left = min(CHILD_SECONDS, self.until - time.monotonic())
        if left < LEAST_SECONDS:
            self.left_out += [part] * (part not in self.left_out)
            return 0.0
        return left

    def share(self, share: float) -> "Time":
        """A share of what is left."""
        made = Time(share * max(0.0, self.until - time.monotonic()))
        made.left_out = self.left_out
        return made


def diagnose(seconds: float = SECONDS) -> tuple[dict[str, Any], list[Finding]]:
    """The facts about this machine, and what of them is worth a finding, problems first.

    Args:
        seconds: that it may take; parts for which there is no time are left out.
    """
    facts = gather(Time(seconds))
    return facts, findings(facts)


def gather(within: Time) -> dict[str, Any]:
    """Everything that `findings` judges."""
    machine = system.machine()
    cores = system.cores()
    facts: dict[str, Any] = {
        key: machine[key] for key in ("cpu", "cpu_flags", "cpu_quota", "governor", "gpu", "system")
    }
    facts |= {"cores": cores, "cores_in_machine": machine["cores_in_machine"]}
    facts |= _others()
    (own,) = openblas((), within, repetitions=1)
    names = core_types(facts["cpu_flags"], own["kernel"])
    facts["openblas_coretype"] = os.environ.get(CORE_TYPE, "")
    if facts["openblas_coretype"]:
        names = [UNSET, *names]
    facts["openblas"] = [] if own["reason"] else openblas(names, within.share(HALF))
    facts["thread_variables"] = system.thread_variables()
    # As it would be without the user's variables: those are looked at below.
    facts["libraries"] = libraries = _libraries(str(cores), within)
    facts["denormals"] = {name: library.pop("denormals") for name, library in libraries.items()}
    busy = [library.pop("busy_cores") for library in libraries.values()]
    facts["busy_cores"] = max(busy, default=None)
    if any(v.isdigit() and int(v) > cores for v in facts["thread_variables"].values()):
        facts["oversubscription"] = {
            name: {"as_set": as_set["step_seconds"], "one_per_core": library["step_seconds"]}
            for name, library in libraries.items()
            if "step_seconds" in (as_set := _measured(name, "all", within))
        }
    facts["left_out"], facts["seconds"] = within.left_out, within.seconds
    return facts | busier(facts, _others())


def busier(before: Mapping[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What others took, before or after the measurements: where it was more."""
    earlier = {name: before[name] for name in after}
    loads = [max(one["other_load"] or 0.0, one["steal"] or 0.0) for one in (earlier, after)]
    return after if loads[1] > loads[0] else earlier


def _libraries(threads: str, within: Time) -> dict[str, dict[str, Any]]:
    """What each installed library reaches: the best of its repetitions, which alternate."""
    best: dict[str, dict[str, Any]] = {}
    names = [
        name
        for name in registry.names()
        if not registry.looped(name) and not registry.why_not_installed(name)
    ]
    for _ in range(REPETITIONS):
        for name in names:
            now = _measured(name, threads, within)
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


def _others() -> dict[str, Any]:
    """What other programs and other machines take while this one does nothing."""
    seen = state.watch()
    loop = {name: seen[name] for name in ("loop_ns", "loop_least_ns")}
    return {"other_load": seen.get("others"), "steal": seen.get("steal"),
            "programs": seen.get("programs", {}), **loop}  # fmt: skip


def openblas(
    names: Sequence[str], within: Time, repetitions: int = REPETITIONS
) -> list[dict[str, Any]]:
    """Which kernels NumPy's products use as it is here and with some core types, and how fast.

    OpenBLAS takes its kernels by the processor that it recognises. A processor that is newer than
    the library, or hidden by a hypervisor, gets kernels of an older one. OPENBLAS_CORETYPE, set
    before NumPy is imported, names another core type; each is tried in fresh processes.

    Args:
        names: core types, or UNSET for what the library takes by itself where the user has set one.
        within: the time that there is.
        repetitions: of each, alternating.

    Returns:
        For "", which is how it is here, and for each name the best of its repetitions: "name";
        "kernel", as the library reports it; "gemm", dtype -> FLOP/s of a large matrix product;
        "reason", why there are no figures, or "".
    """
    best: dict[str, dict[str, Any]] = {}
    for _ in range(repetitions):
        for name in ("", *names):
            variables = {} if not name else {CORE_TYPE: None if name == UNSET else name}
            part = f"OpenBLAS{f' ({name})' if name else ''}"
            answer, ended = _probe(part, {"about": "openblas"}, "all", within, variables)
            now = {"name": name, "kernel": "", "gemm": {}, "reason": "", **answer}
            if not now["gemm"]:
                now["reason"] = now["reason"] or ended.reason or "no answer"
            before = best.setdefault(name, now)
            if before["reason"]:
                best[name] = now
            for dtype, rate in now["gemm"].items():
                best[name]["gemm"][dtype] = max(rate, before["gemm"].get(dtype, 0.0))
    return list(best.values())


def core_types(flags: str, own: str) -> list[str]:
    """The core types that this processor can run, other than those with the kernels in use."""
    instructions, used = flags.split(), CORE_TYPES.get(own)
    return [name for name, flag in CORE_TYPES.items() if flag in instructions and flag != used]


def _measured(name: str, threads: str, within: Time) -> dict[str, Any]:
    """What one library reaches in a process of its own; with "all" threads as the user has set."""
    return _probe(name, {"about": "library", "implementation": name}, threads, within)[0]


def _probe(
    part: str,
    request: dict[str, str],
    threads: str,
    within: Time,
    variables: Mapping[str, str | None] | None = None,
) -> tuple[dict[str, Any], processes.Exit]:
    """What a child says, and how it ended; variables of its environment that are None are unset."""
    answer: dict[str, Any] = {}
    seconds = within.left(part)
    if not seconds:
        return answer, processes.Exit("timeout", "there was no time left")
    with scratch() as folder:
        environment = system.worker_environment(None, folder, threads)
        for name, value in (variables or {}).items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        ended = processes.run_child(
            processes.python_child("samegrad.benchmarks.doctor.probe"),
            request,
            environment,
            answer.update,
            seconds,
        )
    if ended.kind == "timeout":
        within.left_out += [part] * (part not in within.left_out)
    return answer, ended


def problems(judged: Sequence[Finding]) -> list[Finding]:
    """The findings that make the command end with 1."""
    return [finding for finding in judged if finding.level == PROBLEM]


def text(facts: dict[str, Any], judged: Sequence[Finding]) -> str:
    """Facts and findings in plain words."""
    lines = [f"{facts['cpu']}, {facts['cores']} cores, {facts['cpu_flags']}; GPU: {facts['gpu']}"]
    core_type = facts.get("openblas_coretype")
    names = {
        "": f"{CORE_TYPE}={core_type}, as it is set" if core_type else "by itself",
        UNSET: f"by itself, with {CORE_TYPE} unset",
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
    if facts.get("left_out"):
        parts = ", ".join(facts["left_out"])
        lines.append(
            f"  (not measured, or only once, within {facts['seconds']:g} s: {parts}; "
            f"`{command('doctor', '--time', '600')}` gives more)"
        )
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
