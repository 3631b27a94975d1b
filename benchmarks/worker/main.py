"""The worker process: it says what an implementation can do here, or measures its cases.

One fresh process per implementation, device and thread count, its environment and affinity set
before it started. It loads what it measures and the clock, and nothing of what schedules, judges or
records. The parent sends a request and receives messages (`implementations.checking.processes`):

    request "capabilities"
        implementation, devices     whose, and on which devices its cost is sampled
        lock                        file that one process at a time holds while it samples
      answered with
        status, reason              "ok", or "unavailable" and why; nothing follows then
        devices, dtypes, precisions, products, sources, files, source_sha256, versions, python
        device, facts, cost_samples of each device: what `runs.budget.CostModel` is fitted to

    request "measure"
        implementation, device, threads, precision, ranks: a `cases.WorkerSpec`
        cases, directory            what is gated first, and where the judge has left the inputs
        process, with_memory        its number; whether it measures the memory's bandwidth
        warm_up_seconds             before its first block
      and then, as often as the parent likes,
        cases, blocks               ids of what is repeated once; calls and seconds that are known
        ceilings                    number of the process: what the library can do is measured first
        breakdown                   what a call consists of is measured at its first repetition
      answered with
        begin                       a case's id or "ceilings": what comes next
        case, outcome               a case's id, and the fields of its outcome (JOURNAL.md)
        ceiling                     quantity, arithmetic, value, process
        cpu_speed                   how fast the machine itself was, at the end of a request

    request "memory", as "measure" with one case
      answered with
        begin, memory or failed     host_bytes and device_bytes; or status and reason

A process is alive between its requests. Meanwhile other processes have theirs: what disturbs the
machine for a while disturbs one repetition of each, and not all repetitions of one.
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
from samegrad.benchmarks.worker import ceilings, cost_samples
from samegrad.benchmarks.worker.breakdown import Breakdown
from samegrad.benchmarks.worker.measurement import Bench
from samegrad.implementations.checking import processes
from samegrad.implementations.checking.calls import described
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation

Message = dict[str, Any]
Send = Callable[[Message], None]
MEMORY_CALLS = 3
# What a process holds until it has ended: its threads come to rest during that.
UNTIL_THE_END = contextlib.ExitStack()


def main() -> None:
    """Answer one request, and those that follow it."""
    roles = {"capabilities": capabilities, "measure": measure, "memory": memory}
    processes.serve(lambda request, send: roles[request["role"]](request, send))


def capabilities(request: Message, send: Send) -> None:
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
    UNTIL_THE_END.enter_context(processes.exclusive(Path(request["lock"])))
    leaves_cycles = implementation.capabilities.leaves_cycles
    collector = {"garbage collector": "on while it is timed"} if leaves_cycles else {}
    for device in devices:
        if device in request["devices"]:
            facts = implementation.capabilities.describe(device)
            try:
                samples = cost_samples.measure(implementation, device)
            except NotImplementedError as error:
                reason = f"it does not support the network that predicts its cost: {error}"
                send({"status": "unavailable", "reason": reason})
                return
            send(
                {
                    "device": device,
                    "facts": {**facts, **collector, "numpy_blas": system.blas()},
                    "cost_samples": samples,
                }
            )


def _precision(
    implementation: Implementation, name: str
) -> contextlib.AbstractContextManager[None]:
    """The implementation's own way to compute products in fewer digits; nothing for IEEE."""
    return (
        contextlib.nullcontext() if name == "ieee" else implementation.capabilities.precision(name)
    )


def _has(implementation: Implementation, precision: str) -> bool:
    try:
        with _precision(implementation, precision):
            return True
    except NotImplementedError:
        return False


def measure(request: Message, send: Send) -> None:
    """Gate each case of the request; then repeat those that the parent names, again and again."""
    implementation = registry.load(request["implementation"])
    worker = WorkerSpec(*(request[name] for name in WorkerSpec._fields))
    fewer_digits = "" if worker.precision == "ieee" else worker.precision

    def send_and_wait(message: Message) -> None:
        processes.send_and_wait(message, send)

    with _precision(implementation, worker.precision):
        bench = Bench(implementation, request)
        by_id = {case.id: case for case in map(Case.from_dict, request["cases"])}
        spent: dict[str, int] = {}
        for case in by_id.values():
            _one(case, bench.gate, spent, send, send)
        while True:
            following = processes.next_request(send)
            bench.begin_request(following["blocks"])
            rates = {}
            if "ceilings" in following:
                send_and_wait({"begin": "ceilings"})
                for ceiling in ceilings.measure(
                    implementation, worker.device, fewer_digits, request["with_memory"]
                ):
                    send({"ceiling": {**ceiling, "process": following["ceilings"]}})
                    if ceiling["quantity"] == "gemm":
                        dtype = "float32" if fewer_digits else ceiling["arithmetic"]
                        rates[dtype] = ceiling["value"]
            if following.get("breakdown"):
                bench.breakdown = Breakdown(implementation, worker.device, rates)
            for name in following["cases"]:
                _one(by_id[name], bench.repeat, spent, send_and_wait, send)
            if following["cases"]:
                send({"cpu_speed": cpu_speed.measure()})


def _one(
    case: Case,
    do: Callable[[Case], Message | None],
    spent: dict[str, int],
    begin: Send,
    send: Send,
) -> None:
    """Gate or repeat one case, and send its outcome, if that is known now."""
    begin({"begin": case.id})
    began = time.perf_counter_ns()
    try:
        outcome = do(case)
    except NotImplementedError as error:
        outcome = {"status": "unavailable", "reason": described(error)}
    except Exception as error:
        outcome = _failure(error)
    spent[case.id] = spent.get(case.id, 0) + time.perf_counter_ns() - began
    if outcome is not None:
        send({"outcome": {**outcome, "spent_ns": spent.pop(case.id)}, "case": case.id})


def memory(request: Message, send: Send) -> None:
    """The peak memory of one case: this process runs it and nothing else."""
    implementation = registry.load(request["implementation"])
    case = Case.from_dict(request["cases"][0])
    send({"begin": case.id})
    bench = Bench(implementation, request)
    try:
        bench.call(case, 0 if case.operation in ("forward", "loss_and_grad") else 1)
        before = counters.reset_peak_memory()
        bench.call(case, MEMORY_CALLS)
        after = counters.peak_memory()
        host = max(0, after - before) if before is not None and after is not None else None
        device = implementation.capabilities.peak_memory(case.device)
        send({"memory": {"host_bytes": host, "device_bytes": device}})
    except Exception as error:
        send({"failed": _failure(error)})


def sources(implementation: Implementation) -> dict[str, str]:
    """Path -> text of everything of ours, and of the implementation's own, that makes it up."""
    texts = {}
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
        texts[shown] = path.read_text(encoding="utf-8", errors="replace")
    return texts


def digest(text: str) -> str:
    """Twelve hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _failure(error: Exception) -> Message:
    """Status and reason of an exception."""
    # Every framework has its own class for it; what they share is what they say.
    text = f"{type(error).__name__} {error}".lower()
    out_of_memory = isinstance(error, MemoryError) or any(
        words in text for words in ("out of memory", "outofmemory", "resource_exhausted")
    )
    return {"status": "out_of_memory" if out_of_memory else "crashed", "reason": described(error)}
