"""The child's side: probe an implementation, or measure cases.

One fresh process per implementation, device and thread count, its environment and affinity set
before it started. It gets one request and sends messages (see
`implementations.checking.processes`).
"""

import contextlib
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.clock import cpu_speed
from samegrad.benchmarks.machine import counters, system
from samegrad.benchmarks.worker import ceilings, pilot
from samegrad.benchmarks.worker.measurement import Bench
from samegrad.implementations.checking import processes
from samegrad.implementations.checking.verify_process import precision
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation

Message = dict[str, Any]
Send = Callable[[Message], None]
MEMORY_CALLS = 3
# What a probe holds until its process has ended: its threads come to rest during that.
UNTIL_THE_END = contextlib.ExitStack()


def main() -> None:
    """Answer one request."""
    roles = {
        "probe": probe,
        "measure": measure,
        "memory": memory,
    }

    def answer(request: Message, send: Send) -> None:
        roles[request["role"]](request, send)

    processes.serve(answer)


def probe(request: Message, send: Send) -> None:
    """Say what an implementation can do here, and how fast it is on a few small networks."""
    name = request["implementation"]
    try:
        implementation = registry.load(name)
    except ImportError as error:
        send({"status": "unavailable", "reason": str(error)})
        return
    devices = implementation.devices()
    files = sources(implementation)
    send(
        {
            "status": "ok",
            "devices": list(devices),
            "dtypes": list(implementation.dtypes),
            "precisions": [p for p in ("tf32", "bfloat16") if _has(implementation, p)],
            "products": implementation.capabilities.products is not None,
            "sources": files,
            "files": {path: digest(text) for path, text in files.items()},
            "source_sha256": digest("".join(files[path] for path in sorted(files))),
            "versions": system.versions(),
            "python": sys.version.split()[0],
        }
    )
    UNTIL_THE_END.enter_context(processes.exclusive(Path(request["turn"])))
    leaves_cycles = implementation.capabilities.leaves_cycles
    collector = {"garbage collector": "on while it is timed"} if leaves_cycles else {}
    for device in devices:
        if device in request["devices"]:
            facts: dict[str, str] = implementation.capabilities.describe(device)
            try:
                measured = pilot.of(implementation, device)
            except NotImplementedError as error:
                reason = f"it does not support the network that predicts its cost: {error}"
                send({"status": "unavailable", "reason": reason})
                return
            send(
                {
                    "device": device,
                    "facts": {**facts, **collector, "numpy_blas": system.blas()},
                    "pilot": measured,
                }
            )


def _has(implementation: Implementation, name: str) -> bool:
    try:
        with precision(implementation, name):
            return True
    except NotImplementedError:
        return False


def measure(request: Message, send: Send) -> None:
    """Gate each case of the request; then visit those that the parent names, turn by turn.

    After a turn this process rests until the parent says the next one. Meanwhile other processes
    have theirs: what disturbs the machine for a while disturbs one visit of each, and not all
    visits of one. A word names "cases", and may say "ceilings" (what the library can do, for the
    process of that number) or "parts" (of each call that is visited for the first time).
    """
    implementation = registry.load(request["implementation"])
    setup = WorkerSpec(*(request[name] for name in WorkerSpec._fields))
    wish = "" if setup.precision == "ieee" else setup.precision

    def ask(message: Message) -> None:
        processes.send_and_wait(message, send)

    with precision(implementation, setup.precision):
        bench = Bench(implementation, request)
        by_id = {case.id: case for case in map(Case.from_dict, request["cases"])}
        spent: dict[str, int] = {}
        for case in by_id.values():
            _one(case, bench.gate, spent, send, send)
        while True:
            word = processes.next_request(send)
            bench.begin_turn(word["blocks"])
            rates = {}
            if "ceilings" in word:
                ask({"begin": "ceilings"})
                for found in ceilings.measure(
                    implementation, setup.device, wish, request["with_memory"]
                ):
                    send({"ceiling": {**found, "process": word["ceilings"]}})
                    if found["quantity"] == "gemm":
                        rates["float32" if wish else found["arithmetic"]] = found["value"]
            if word.get("parts"):
                bench.parts = ceilings.Parts(implementation, setup.device, rates)
            for name in word["cases"]:
                _one(by_id[name], bench.visit, spent, ask, send)
            if word["cases"]:
                send({"pace": cpu_speed.measure()})


def _one(
    case: Case,
    look: Callable[[Case], Message | None],
    spent: dict[str, int],
    begin: Send,
    send: Send,
) -> None:
    """One look at a case, and its outcome, if that is known now."""
    begin({"begin": case.id})
    began = time.perf_counter_ns()
    try:
        outcome = look(case)
    except NotImplementedError as error:
        outcome = {"status": "unavailable", "reason": _said(error)}
    except Exception as error:
        out_of_memory = _is_out_of_memory(error)
        status = "out_of_memory" if out_of_memory else "crashed"
        outcome = {"status": status, "reason": _said(error)}
    spent[case.id] = spent.get(case.id, 0) + time.perf_counter_ns() - began
    if outcome is not None:
        send({"outcome": {**outcome, "spent_ns": spent.pop(case.id)}, "case": case.id})


def memory(request: Message, send: Send) -> None:
    """The peak memory of one case: this process runs it and nothing else."""
    implementation = registry.load(request["implementation"])
    case = Case.from_dict(request["cases"][0])
    send({"begin": case.id})
    bench = Bench(implementation, request)
    peak = implementation.capabilities.peak_memory
    try:
        bench.call(case, 0 if case.operation in ("forward", "loss_and_grad") else 1)
        before = counters.reset_peak_memory()
        bench.call(case, MEMORY_CALLS)
        after = counters.peak_memory()
        host = max(0, after - before) if before is not None and after is not None else None
        send({"memory": {"host_bytes": host, "device_bytes": peak(case.device)}})
    except Exception as error:
        status = "out_of_memory" if _is_out_of_memory(error) else "crashed"
        send({"failed": {"status": status, "reason": _said(error)}})


def sources(implementation: Implementation) -> dict[str, str]:
    """Path -> text of everything of ours, and of the implementation's own, that makes it up."""
    found = {}
    ours = system.ROOT / "implementations"
    own = implementation.file
    files = {own.resolve()} if own else set()
    for name, module in list(sys.modules.items()):
        folder, _, part = name.removeprefix("samegrad.implementations.").rpartition(".")
        if folder == "backends" or part.startswith(("mlp_", "functions_", "engine_")):
            files.add(Path(str(module.__file__)).resolve())
    for path in files:
        inside = path.is_relative_to(ours)
        shown = path.relative_to(system.ROOT).as_posix() if inside else path.name
        found[shown] = path.read_text(encoding="utf-8", errors="replace")
    return found


def digest(text: str) -> str:
    """Twelve hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _is_out_of_memory(error: BaseException) -> bool:
    # Every framework has its own class for it; what they share is what they say.
    text = f"{type(error).__name__} {error}".lower()
    return isinstance(error, MemoryError) or any(
        words in text for words in ("out of memory", "outofmemory", "resource_exhausted")
    )
