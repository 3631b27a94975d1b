"""From options and capabilities to rows: which cases run here, and which do not and why."""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

from samegrad.benchmarks.cases.case import ALL_THREADS, Case, WorkerSpec
from samegrad.benchmarks.cases.presets import Grid, expand
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.machine.gpu import measured
from samegrad.benchmarks.runs import capabilities
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.options import BenchmarkOptions
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.commands import install, which_gpu

DTYPES = ("float32", "float64")
# Facts of a file's own calls, and of what it lacks.
OWN_CALLS = ("times", "read as", "conventions", "converted", "training step")
NO_GPU = "no GPU on this machine"


@dataclass
class Selection:
    """The rows of a run before it has a budget.

    Attributes:
        capabilities: label of each implementation -> what it can do here.
        cases: every row.
        excluded: case id -> (status, reason).
        notes: what the user should know first, a line each.
    """

    capabilities: dict[str, Capabilities]
    cases: list[Case] = field(default_factory=list)
    excluded: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, cases: list[Case], reason: str = "", status: str = "unavailable") -> None:
        """More rows; with a reason, they do not run."""
        self.cases += cases
        if reason:
            self.excluded |= {case.id: (status, reason) for case in cases}

    def excluded_of(self, cases: list[Case]) -> dict[str, tuple[str, str]]:
        """What is excluded of some of the rows."""
        return {case.id: self.excluded[case.id] for case in cases if case.id in self.excluded}


def devices(options: BenchmarkOptions) -> tuple[str, ...]:
    """Those asked for by name, or the two that are known."""
    return options.devices or ("cpu", "cuda")


def begin(options: BenchmarkOptions, gpu: str) -> Selection:
    """A selection without rows: what the implementations can do here.

    Raises:
        ValueError: an implementation or a device that was asked for by name is not available.
    """
    workloads = [
        line.network.workload(batch_size, line.dtypes[0])
        for line in options.lines
        for batch_size in line.batch_sizes
    ]
    available = capabilities.find(
        options.implementations,
        devices(options),
        options.interpreters,
        workloads,
        run_seconds=options.limit_seconds,
    )
    for capability in available.values() if options.named else ():
        if capability.reason and capability.status == "unavailable":
            raise ValueError(f"--implementation {capability.name}: {capability.reason}")
    for device in options.devices or ():
        if any(device in one.devices or one.status != "unavailable" for one in available.values()):
            continue  # what has crashed did not say where it runs
        usable = sorted({name for capability in available.values() for name in capability.devices})
        why = f"; {NO_GPU}" if device == "cuda" else ""
        if device == "cuda" and gpu:
            why = f"; this machine has {gpu}, see the install notes"
        raise ValueError(
            f"--device {device!r} is not available to {', '.join(available)} "
            f"(has: {', '.join(usable) or 'none'}){why or which_gpu(device)}"
        )
    return Selection(available)


def select(options: BenchmarkOptions) -> Selection:
    """The rows of a run of speed.

    Raises:
        ValueError: something that was asked for by name is not available.
    """
    gpu = measured()
    asked = devices(options)
    made = begin(options, gpu)
    made.notes += _fewer_threads(options)
    for device in asked:
        if device not in ("cpu", "cuda"):
            made.notes.append(f"device {device!r} is untested; it is passed on by its name")
    for label, capability in made.capabilities.items():
        entry = registry.TABLE.get(label)
        if entry is not None and not entry.cpu and ("cuda" not in asked or not gpu):
            if options.named:
                reason = "it runs on a GPU only" if gpu else NO_GPU
                raise ValueError(f"--implementation {label}: {reason}")
            if not gpu:
                made.notes.append(f"{label}: {NO_GPU}")
            continue
        tried = asked
        if capability.reason:
            tried = asked[:1] if entry is None or entry.cpu else ("cuda",)
        for device in tried:
            reason = capability.reason or capability.failed.get(device, "")
            reason = reason or why_no_gpu(label, capability, device, gpu)
            if device not in capability.devices and not reason:
                continue  # not made for that device; said above if it was named
            dtypes = capability.dtypes or dtypes_of(label)
            contracts = (*dtypes, *capability.precisions.get(device, ()))
            for threads, ranks in product(_threads(label, device, options), _ranks(label, options)):
                worker = WorkerSpec(label, device, threads, ranks=ranks)
                lines = _lines(options, label)
                status = capability.status if reason else "unavailable"
                made.add(expand(lines, worker, contracts, options.dtypes), reason, status)
            if reason:
                made.notes.append(f"{label}: {reason}")
        made.notes += _other_form(label, capability, options)
        made.notes += _own_calls(label, capability)
    names = list(dict.fromkeys(line.network.name for line in options.lines))
    labels = list(made.capabilities)

    def position(case: Case) -> tuple[Any, ...]:
        workload = case.workload
        return (
            names.index(workload.name),
            workload.operations.index(case.operation),
            workload.batch_size,
            workload.dtype,
            case.precision,
            options.threads.index(case.threads),
            case.ranks,
            labels.index(case.implementation),
            asked.index(case.device),
        )

    made.cases.sort(key=position)
    refuse_nothing(made)
    return made


def dtypes_of(label: str) -> tuple[str, ...]:
    """Those that an implementation has which could not say so; of a file both may be asked for."""
    return registry.TABLE[label].dtypes if label in registry.TABLE else DTYPES


def refuse_nothing(made: Selection) -> None:
    """Raise ValueError if there is no row."""
    if not made.cases:
        names = ", ".join(made.capabilities)
        raise ValueError(f"nothing to run: {names} have none of the dtypes asked for")


def _fewer_threads(options: BenchmarkOptions) -> list[str]:
    """What the user's variables leave of "all" threads, in a line."""
    set_by_user = {k: v for k, v in system.thread_variables().items() if v != str(system.cores())}
    if ALL_THREADS not in options.threads or not set_by_user:
        return []
    named = ", ".join(f"{name}={number}" for name, number in set_by_user.items())
    return [
        f'{named} is set: in rows of "all" threads libraries that heed it have no other number; '
        f"unset it for {system.cores()}"
    ]


def _threads(label: str, device: str, options: BenchmarkOptions) -> tuple[str, ...]:
    """Numbers of threads: a GPU does not mind how many wait for it, and loops have only one."""
    return options.threads[-1:] if registry.looped(label) or device != "cpu" else options.threads


def _ranks(label: str, options: BenchmarkOptions) -> tuple[int, ...]:
    """Numbers of ranks: what runs in one process stands beside those that share a network out."""
    return options.ranks if label in registry.names("parallel") else (1,)


def _lines(options: BenchmarkOptions, label: str) -> list[Grid]:
    """What is named runs everything; of the registry each runs its lines, as far as it can."""
    entry = registry.TABLE.get(label)
    if entry is None:
        return list(options.lines)
    lines = [
        line for line in options.lines if options.named or {label, entry.kind} & set(line.runs)
    ]
    if entry.whole:
        return lines
    return [line for line in lines if not {"forward", "loss_and_grad"} & set(line.operations)]


def _other_form(label: str, capability: Capabilities, options: BenchmarkOptions) -> list[str]:
    """What to type where somebody's file is for other networks than those of the run."""
    form, asked = capability.form, {line.network.spec for line in options.lines}
    if not form or label in registry.TABLE:
        return []
    if any(form.items() <= vars(spec).items() for spec in asked):
        return []
    texts = {True: "yes", False: "no"}
    typed = " ".join(
        f"--{name.replace('_', '-')} {texts.get(value, value)}" for name, value in form.items()
    )
    return [f"{label}: it is for other networks than these; its rows come with: {typed}"]


def _own_calls(label: str, capability: Capabilities) -> list[str]:
    """What is timed of a file that is not written to the contract, or that lacks a step."""
    for facts in capability.record.get("facts", {}).values():
        return [f"{label}: {name} {facts[name]}" for name in OWN_CALLS if facts.get(name)]
    return []


def why_no_gpu(label: str, capability: Capabilities, device: str, gpu: str) -> str:
    """The reason where the machine has a GPU that this framework could use and does not see."""
    entry = registry.TABLE.get(label)
    if device != "cuda" or not gpu or "cuda" in capability.devices or not (entry and entry.gpu):
        return ""
    return (
        f"this machine has {gpu}, but {label} does not see it; a CUDA build mends that: "
        f"{install('cuda')}, or --python {label}=PATH of an interpreter that has one"
    )
