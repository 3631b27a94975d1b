"""From options and probes to rows: which cases there are here, and which cannot run and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from samegrad.benchmarks.cases.case import OPERATIONS, PRODUCTS, Case, WorkerSpec
from samegrad.benchmarks.cases.presets import Grid, expand
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.runs.capabilities import Probe, probe
from samegrad.benchmarks.runs.options import Options
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.commands import install

NO_GPU = "no GPU on this machine"


@dataclass
class Selection:
    """The rows of a run before it is planned.

    Attributes:
        cases: every row.
        excluded: case id -> (status, reason).
        notes: what the user should know first, a line each.
    """

    probes: dict[str, Probe]
    cases: list[Case] = field(default_factory=list)
    excluded: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def select(options: Options) -> Selection:
    """Probe the implementations and list the rows.

    Raises:
        ValueError: something that was asked for by name is not there.
    """
    gpu = system.gpus()
    wanted = options.devices or ("cpu", "cuda")
    found = Selection(probe(options.implementations, wanted, options.interpreters))
    refuse_missing(options, found.probes)
    check_devices(options, found.probes, gpu)
    for device in wanted:
        if device not in ("cpu", "cuda"):
            found.notes.append(f"device {device!r} is untested; it is passed on by its name")
    for label, probed in found.probes.items():
        lines = _lines(options, label)
        entry = registry.TABLE.get(label)
        at_home = wanted[0] if entry is None or entry.cpu else "cuda"
        if entry is not None and not entry.cpu and ("cuda" not in wanted or not gpu):
            if options.named:
                asked = "it runs on a GPU only" if gpu else NO_GPU
                raise ValueError(f"--implementation {label}: {asked}")
            if not gpu:
                found.notes.append(f"{label}: {NO_GPU}")
            continue
        if probed.reason:  # of the table: one that was named is refused above
            dtypes = probed.dtypes or registry.TABLE[label].dtypes
            cases = [
                case
                for threads in _regimes(label, at_home, options)
                for case in expand(
                    lines, WorkerSpec(label, at_home, threads), dtypes, options.dtypes
                )
            ]
            found.cases += cases
            found.excluded |= {case.id: ("unavailable", probed.reason) for case in cases}
            found.notes.append(f"{label}: {probed.reason}")
            continue
        for device in wanted:
            lacking = probed.failed.get(device) or unseen(label, probed, device, gpu)
            if device not in probed.devices and not lacking:
                continue  # not made for that device; said above if it was named
            contracts = (*probed.dtypes, *probed.precisions)
            cases = [
                case
                for threads in _regimes(label, device, options)
                for case in expand(
                    lines, WorkerSpec(label, device, threads), contracts, options.dtypes
                )
            ]
            found.cases += cases
            if lacking:
                found.excluded |= {case.id: ("unavailable", lacking) for case in cases}
                found.notes.append(f"{label}: {lacking}")
    workloads = list(dict.fromkeys(line.network.name for line in options.lines))
    labels = list(found.probes)

    def position(case: Case) -> tuple[Any, ...]:
        problem = case.workload
        return (
            workloads.index(problem.name),
            (*OPERATIONS, PRODUCTS).index(case.operation),
            problem.batch_size,
            problem.dtype,
            case.precision,
            options.threads.index(case.threads),
            labels.index(case.implementation),
            wanted.index(case.device),
        )

    found.cases.sort(key=position)
    if not found.cases:
        raise ValueError(
            f"nothing to run: {', '.join(found.probes)} have none of the dtypes asked for"
        )
    return found


def _regimes(label: str, device: str, options: Options) -> tuple[str, ...]:
    """Numbers of threads: a GPU does not mind how many wait for it, and loops have only one."""
    return options.threads[-1:] if registry.looped(label) or device != "cpu" else options.threads


def _lines(options: Options, label: str) -> list[Grid]:
    """What is named runs everything; of the table each runs its lines, as far as it can."""
    entry = registry.TABLE.get(label)
    if entry is None:
        return list(options.lines)
    lines = [
        line for line in options.lines if options.named or {label, entry.kind} & set(line.runs)
    ]
    if entry.whole:
        return lines
    return [line for line in lines if not {"forward", "loss_and_grad"} & set(line.operations)]


def refuse_missing(options: Options, probes: Mapping[str, Probe]) -> None:
    """An implementation that was asked for by name must be there."""
    for probed in probes.values() if options.named else ():
        if probed.reason:
            raise ValueError(f"--implementation {probed.name}: {probed.reason}")


def check_devices(options: Options, probes: Mapping[str, Probe], gpu: str) -> None:
    """A device that was asked for by name must be there: no silent fall-back to the CPU."""
    for device in options.devices or ():
        usable = {label for label, probed in probes.items() if device in probed.devices}
        if usable:
            continue
        there = sorted({d for probed in probes.values() for d in probed.devices})
        why = f"; this machine has {gpu}, see the install notes" if device == "cuda" and gpu else ""
        raise ValueError(
            f"--device {device!r} is not available to {', '.join(probes)} "
            f"(has: {', '.join(there) or 'none'}){why or _no_gpu(device)}"
        )


def _no_gpu(device: str) -> str:
    return f"; {NO_GPU}" if device == "cuda" else ""


def unseen(label: str, probed: Probe, device: str, gpu: str) -> str:
    """The reason where the machine has a GPU that this framework could use and does not see."""
    entry = registry.TABLE.get(label)
    if device != "cuda" or not gpu or "cuda" in probed.devices or not (entry and entry.gpu):
        return ""
    return (
        f"this machine has {gpu}, but {label} does not see it; a CUDA build mends that: "
        f"{install('cuda')}, or --python {label}=PATH of an interpreter that has one"
    )
