"""Asking each implementation, in a process of its own, what it can do here and how fast it is."""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.machine import process_environment
from samegrad.benchmarks.runs.budget import Pilot
from samegrad.benchmarks.worker import main
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import registry

PROBE_SECONDS = 240.0  # importing torch or jax from a cold disk, and the pilots of the others


@dataclass
class Probe:
    """What a probe found out about one implementation.

    Attributes:
        name: as given: of the table, a path, or a module.
        label: as shown.
        reason: why it cannot be used, or "".
        devices, dtypes: what it has.
        precisions: of "tf32" and "bfloat16" those that it has for products.
        products: whether its matrix products can be measured on their own.
        sources: path -> text of its files.
        failed: device -> why it cannot be used although it is there.
        pilots: device -> how fast it is.
        record: facts for the journal, per device.
    """

    name: str
    label: str
    reason: str = ""
    devices: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    products: bool = False
    sources: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    pilots: dict[str, Pilot] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)


def probe(
    names: Sequence[str], devices: Sequence[str], interpreters: Mapping[str, str]
) -> dict[str, Probe]:
    """Ask each implementation, in a process of its own, what it can do here. Keys are labels."""
    labels: dict[str, str] = {}
    for name in names:
        registry.check_name(name)
        label = registry.label(name)
        if label in labels:
            raise ValueError(
                f"implementation {name!r}: another one is called {label!r} too; rename the file"
            )
        labels[label] = name

    with (
        tempfile.TemporaryDirectory(prefix="samegrad-") as scratch,
        ThreadPoolExecutor(max(1, len(labels))) as pool,
        processes.exclusive(Path(scratch) / "turn") as give_up,
    ):
        importing = Countdown(len(labels), give_up)

        def ask(label: str) -> Probe:
            name = labels[label]
            interpreter = interpreters.get(name, sys.executable)
            return _probe_one(name, label, devices, interpreter, Path(scratch), importing)

        # Frameworks take seconds to import: side by side. Their pilots take turns, and the first
        # one waits until nobody imports any more: that would slow it down several times.
        return dict(zip(labels, pool.map(ask, labels), strict=True))


class Countdown:
    """Calls something once when so many have said that they are done; each may say it twice."""

    def __init__(self, count: int, then: Callable[[], None]) -> None:
        self._left, self._then, self._lock = count, then, threading.Lock()
        self._said: set[str] = set()

    def done(self, who: str) -> None:
        """One of them is done."""
        with self._lock:
            self._said.add(who)
            if len(self._said) == self._left:
                self._then()


def _probe_one(
    name: str,
    label: str,
    devices: Sequence[str],
    interpreter: str,
    scratch: Path,
    importing: Countdown,
) -> Probe:
    probed = Probe(name, label)
    began = time.monotonic()
    started = 0.0
    request = {
        "role": "probe",
        "implementation": registry.absolute(name),
        "devices": list(devices),
        "turn": str(scratch / "turn"),
    }

    def on_message(message: dict[str, Any]) -> None:
        nonlocal started
        started = started or time.monotonic() - began
        importing.done(label)
        if message.get("status") == "unavailable":
            probed.reason = message["reason"]
        elif "device" in message:
            probed.pilots[message["device"]] = Pilot.of(message["pilot"], started)
            probed.record["facts"][message["device"]] = message["facts"]
        else:
            probed.devices = tuple(message["devices"])
            probed.dtypes = tuple(message["dtypes"])
            probed.precisions = tuple(message["precisions"])
            probed.products = message["products"]
            probed.sources = message.pop("sources")
            probed.record = {**message, "facts": {}}

    ended = processes.run_child(
        main.command(interpreter),
        request,
        process_environment.worker_environment(None, scratch),
        on_message,
        PROBE_SECONDS,
    )
    importing.done(label)
    if ended.kind != "ok":
        reason = f"its probe {ended.kind}: {ended.reason}"
        if probed.pilots:  # what it found before it died stands: a bad GPU costs no CPU row
            lost = [d for d in devices if d in probed.devices and d not in probed.pilots]
            probed.failed = dict.fromkeys(lost, reason)
        else:
            probed.reason = reason
    return probed


def records(probes: Mapping[str, Probe]) -> Iterator[dict[str, Any]]:
    """What a journal says of the implementations, each of their source files once."""
    seen = set()
    for label, probed in probes.items():
        for path, text in probed.sources.items():
            sha256 = main.digest(text)
            if sha256 not in seen:
                seen.add(sha256)
                yield {"record": "source", "path": path, "sha256": sha256, "text": text}
        for device in probed.pilots or ("cpu",):
            yield {
                "record": "implementation",
                "name": label,
                "device": device,
                "status": "unavailable" if probed.reason else "ok",
                "reason": probed.reason,
                **family(probed.name),
                **{k: v for k, v in probed.record.items() if k not in ("facts", "status")},
                "facts": probed.record.get("facts", {}).get(device, {}),
            }


def family(name: str) -> dict[str, str]:
    """What kind of implementation it is, and of which idiom; nothing of somebody's file."""
    entry = registry.TABLE.get(name)
    if entry is None:
        return {}
    return {"kind": entry.kind, **({"base": entry.base} if entry.base else {})}


def unasked(cases: Iterable[Case], probes: Mapping[str, Probe]) -> set[WorkerSpec]:
    """Workers without cases: what other installed libraries reach is a ceiling, too."""
    found = set()
    for setup in {case.worker for case in cases}:
        if setup.precision == "ieee":
            for name, entry in registry.TABLE.items():
                wanted = entry.kind == "idiom" and name != "scalar" and name not in probes
                there = setup.device == "cpu" or entry.gpu
                if wanted and there and registry.why_not_installed(name) is None:
                    found.add(setup._replace(implementation=name))
    return found
