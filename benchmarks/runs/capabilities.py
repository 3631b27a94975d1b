"""What each implementation can do here and how fast it is, found out in a process of its own."""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.cases.workload import Workload
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records import schema
from samegrad.benchmarks.runs import worker_process
from samegrad.benchmarks.runs.budget import CostModel
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import commands, registry
from samegrad.implementations.contract.files import exclusive
from samegrad.implementations.contract.scratch import scratch
from samegrad.implementations.contract.texts import say

# Importing torch or jax from a cold disk, and the small networks of the others.
CAPABILITIES_SECONDS = 240.0
LEAST_SECONDS = 30.0  # of which a file of a user's may need most: it may import the same
SILENT_SECONDS = 15.0  # before it is said what is being waited for
MORE = "; --time SECONDS gives a file more"


@dataclass
class Capabilities:
    """What one implementation can do here.

    Attributes:
        name: as on the command line: of the registry, a path, or a module.
        label: as shown.
        reason: why it cannot be used, or "".
        status: of its rows where there is a reason: "unavailable", "crashed", "wrong" or
            "timeout".
        devices, dtypes: what it has.
        precisions: device -> of "tf32" and "bfloat16" those that it has for products there.
        sources: path -> text of its files.
        failed: device -> why it cannot be used although the machine has it.
        cost_models: device -> how fast it is.
        form: the fields of an MLPSpec in which it supports our small networks, or None.
        record: facts for the journal, per device.
        limit: seconds for its import, and for each step until it is known how fast it is.
    """

    name: str
    label: str
    reason: str = ""
    status: str = "unavailable"
    devices: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    precisions: dict[str, list[str]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    cost_models: dict[str, CostModel] = field(default_factory=dict)
    form: dict[str, Any] | None = None
    record: dict[str, Any] = field(default_factory=dict)
    limit: float = CAPABILITIES_SECONDS

    @property
    def answers(self) -> int:
        """How much of it is known."""
        return len(self.devices) + len(self.cost_models) + len(self.failed)


def find(
    names: Sequence[str],
    devices: Sequence[str],
    interpreters: Mapping[str, str],
    workloads: Sequence[Workload] = (),
    run_seconds: float = math.inf,
) -> dict[str, Capabilities]:
    """The capabilities of each implementation by its label.

    Args:
        names: of the registry, paths, or modules.
        devices: those to time.
        interpreters: name -> path of its Python.
        workloads: of the run; what supports no network of ours is timed on these.
        run_seconds: what the run has, of which somebody's file gets a part (`limit_of`).

    Raises:
        ValueError: a name is not known, or two have the same label.
    """
    labels: dict[str, str] = {}
    for name in names:
        registry.check_name(name)
        label = registry.label(name)
        if label in labels:
            raise ValueError(
                f"implementation {name!r}: another one is called {label!r} too; rename the file"
            )
        labels[label] = name
    limits = {label: limit_of(name, run_seconds) for label, name in labels.items()}

    with (
        scratch() as folder,
        ThreadPoolExecutor(max(1, len(labels))) as pool,
        exclusive(folder / "lock") as give_up,
    ):
        importing, interrupted = set(labels), threading.Event()

        def imported(label: str) -> None:
            importing.discard(label)
            if not importing:
                give_up()

        def find_one(label: str) -> Capabilities:
            name, limit = labels[label], limits[label]
            interpreter = interpreters.get(name, sys.executable)
            turns = limit + sum(limits.values())  # each of the others may use up its own
            for _ in range(2):  # once more where somebody killed it
                new = Capabilities(name, label, limit=limit)
                found, killed = _find_one(
                    new, devices, interpreter, folder, imported, turns, workloads
                )
                if not killed or interrupted.is_set():
                    break
            return found

        # Frameworks take seconds to import: side by side. Their small networks run one at a time,
        # and the first one waits until nobody imports: that would slow it down several times.
        try:
            found = {label: pool.submit(find_one, label) for label in labels}
            while waiting := wait(found.values(), SILENT_SECONDS).not_done:
                left = [label for label, one in found.items() if one in waiting]
                told = ", ".join(f"{label} (at most {limits[label]:.0f} s)" for label in left)
                more = any(limits[label] < CAPABILITIES_SECONDS for label in left)
                say(f"samegrad: still probing {told}{MORE * more}")
        except BaseException as error:
            interrupted.set()
            processes.end_all()  # or the pool would wait for them
            if isinstance(error, RuntimeError):  # the system gives no thread
                raise OSError(f"implementations cannot be probed: {error}") from None
            raise
        return {label: one.result() for label, one in found.items()}


def limit_of(name: str, run_seconds: float) -> float:
    """Seconds for the import of an implementation, and for each of its first calls.

    Ours are waited for. What is in somebody's file may hang, and gets half of what the run has.
    """
    if name in registry.TABLE:
        return CAPABILITIES_SECONDS
    return min(CAPABILITIES_SECONDS, max(LEAST_SECONDS, run_seconds / 2))


def _find_one(
    capability: Capabilities,
    devices: Sequence[str],
    interpreter: str,
    scratch: Path,
    imported: Callable[[str], None],
    turns: float,
    workloads: Sequence[Workload],
) -> tuple[Capabilities, bool]:
    """The capabilities of one, and whether somebody killed its process.

    Args:
        capability: of which nothing is known yet.
        imported: called with the label once it is imported, or never will be.
        turns: seconds that it may wait for the others.
    """
    name, limit = capability.name, capability.limit
    began, waits = time.monotonic(), [True]
    started = 0.0
    request = {
        "role": "capabilities",
        "implementation": registry.absolute(name),
        "devices": list(devices),
        "lock": str(scratch / "lock"),
        "workloads": [workload.to_dict() for workload in workloads],
    }

    def on_message(message: dict[str, Any]) -> float | None:
        nonlocal started, capability
        started = started or time.monotonic() - began
        imported(capability.label)
        if message.get("alone") is True:
            waits.pop()
            return limit
        told = taken(capability, message, started)
        new = told.answers > capability.answers
        capability = told
        # Until all are imported, and it is its turn; then until the next device is told.
        return (turns if waits else limit) if new else None

    ended = processes.run_child(
        worker_process.command(worker_process.WORKER, interpreter),
        request,
        system.worker_environment(None, scratch),
        on_message,
        limit,
    )
    imported(capability.label)
    if ended.kind != "ok":
        reason = f"finding its capabilities {ended.kind}: {ended.reason}"
        reason += MORE * (ended.kind == "timeout" and limit < CAPABILITIES_SECONDS)
        if capability.cost_models:  # a GPU that ends the process costs no row of the CPU
            lost = [
                d for d in devices if d in capability.devices and d not in capability.cost_models
            ]
            capability.failed = {**dict.fromkeys(lost, reason), **capability.failed}
        else:
            capability.status, capability.reason = ended.kind, reason
    elif capability.failed and not capability.cost_models:  # not a device is left
        capability.reason = next(iter(capability.failed.values()))
    return capability, ended.killed


def taken(known: Capabilities, message: dict[str, Any], started: float) -> Capabilities:
    """The capabilities with what a message says.

    Raises:
        Exception: one of `processes.SENSELESS`, it says nothing of the kind.
    """
    told = _with(known, message, started)
    for record in records({told.label: told}):
        schema.check(record)
    return told


def _with(known: Capabilities, message: dict[str, Any], started: float) -> Capabilities:
    status = message.get("status", "ok")
    if status != "ok":
        if status not in ("unavailable", "crashed", "wrong") or not isinstance(
            message["reason"], str
        ):
            raise ValueError(f"status {status!r:.40}")
        return replace(known, status=status, reason=message["reason"])
    if "device" in message:
        device = message["device"]
        if device not in known.devices or device in known.cost_models.keys() | known.failed.keys():
            raise ValueError(f"device {device!r:.40}")
        if "failed" in message:
            if not isinstance(message["failed"], str):
                raise ValueError(f"failed {message['failed']!r:.40}")
            return replace(known, failed={**known.failed, device: message["failed"]})
        samples = message["cost_samples"]
        form = samples["form"]
        if not isinstance(form, dict | None):
            raise ValueError(f"form {form!r:.40}")
        return replace(
            known,
            form=form,
            cost_models={**known.cost_models, device: CostModel.fit(samples, started)},
            record={**known.record, "facts": {**known.record["facts"], device: message["facts"]}},
        )
    sources = message.pop("sources")
    devices, dtypes = (tuple(message[name]) for name in ("devices", "dtypes"))
    precisions = {device: [*names] for device, names in message["precisions"].items()}
    texts = [*devices, *dtypes, *(t for d, names in precisions.items() for t in (d, *names))]
    if known.record or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{texts!r:.40}")
    return replace(
        known,
        devices=devices,
        dtypes=dtypes,
        precisions=precisions,
        sources=sources,
        record={**message, "facts": {}},
    )


def cost_models(capabilities: Mapping[str, Capabilities]) -> dict[tuple[str, str], CostModel]:
    """(label, device) -> cost model, of all implementations."""
    return {
        (label, device): model
        for label, one in capabilities.items()
        for device, model in one.cost_models.items()
    }


def records(capabilities: Mapping[str, Capabilities]) -> Iterator[dict[str, Any]]:
    """What a journal says of the implementations, each of their source files once."""
    written = set()
    for label, one in capabilities.items():
        for path, text in one.sources.items():
            sha256 = one.record["files"][path]
            if sha256 not in written:
                written.add(sha256)
                yield {"record": "source", "path": path, "sha256": sha256, "text": text}
        for device in one.cost_models or ("cpu",):
            yield {
                "record": "implementation",
                "name": label,
                "device": device,
                "status": "unavailable" if one.reason else "ok",
                "reason": commands.anywhere(one.reason),  # journals are handed on
                **family(one.name),
                **{k: v for k, v in one.record.items() if k not in ("facts", "status")},
                "facts": one.record.get("facts", {}).get(device, {}),
            }


def facts_on(capabilities: Mapping[str, Capabilities], device: str) -> dict[str, dict[str, str]]:
    """What the frameworks that we know say of themselves on a device."""
    told = {label: one.record.get("facts", {}) for label, one in capabilities.items()}
    return {
        label: facts[device]
        for label, facts in told.items()
        if label in registry.TABLE and device in facts
    }


def family(name: str) -> dict[str, str]:
    """What kind of implementation it is, and of which idiom; nothing of somebody's file."""
    entry = registry.TABLE.get(name)
    if entry is None:
        return {}
    return {"kind": entry.kind, **({"base": entry.base} if entry.base else {})}


def other_libraries(
    cases: Iterable[Case], capabilities: Mapping[str, Capabilities]
) -> set[WorkerSpec]:
    """Workers without cases, whose libraries may reach more: what they reach is a ceiling, too."""
    others = set()
    for worker in {case.worker for case in cases}:
        if worker.precision != "ieee" or worker.ranks > 1:
            continue
        for name, entry in registry.TABLE.items():
            vectorised = entry.kind == "idiom" and not registry.looped(name)
            on_device = worker.device == "cpu" or entry.gpu
            if not vectorised or name in capabilities or not on_device:
                continue
            if registry.why_not_installed(name) is None:
                others.add(worker._replace(implementation=name))
    return others
