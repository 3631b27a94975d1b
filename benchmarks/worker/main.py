"""The worker process: it says what an implementation can do here, or measures its cases.

One fresh process per implementation, device and thread count, its environment and affinity set
before it started. It loads what it measures and the clock, and nothing of what schedules, judges or
records. The parent sends a request and receives messages (`implementations.checking.processes`):

    request "capabilities"
        implementation, devices     whose, and on which devices its cost is sampled
        lock                        file that one process at a time holds while it samples
      answered with
        status, reason              "ok"; or "unavailable" or "crashed" and why, and nothing follows
        devices, dtypes, precisions, products, sources, files, source_sha256, versions, python
        alone                       its turn to sample has come
        device, facts, cost_samples of each device: what `runs.budget.CostModel` is fitted to
        device, failed              or why nothing could be sampled there

    request "measure"
        implementation, device, threads, precision, ranks: a `cases.WorkerSpec`
        cases, directory            what is gated first, and where the judge has left the inputs
        first_calls                 how the paths begin to which results of first calls go
        process, with_memory        its number; whether it measures the memory's bandwidth
        warm_up_seconds             before its first block
      and then, as often as the parent likes,
        cases, blocks               ids of what is repeated once; calls and seconds that are known
        draws                       seeds of each: of all that it computes, and of its process
        gate                        more cases, which are gated first
        ceilings                    number of the process: what the library can do is measured first
        breakdown                   what a call consists of is measured at its first repetition
      answered with
        begin                       a case's id or "ceilings": what comes next
        gate, case, about           results of the first call of an operation are in the next file
        block                       "begins", "ended", "rests": of each, for the parent's clock
        case, outcome               a case's id, and the fields of its outcome (JOURNAL.md); then
        evidence                    where the answer was {"evidence": path}: results of the block
                                    are in that file, and here is what the judge needs besides
        ceiling                     quantity, arithmetic, value, process
        cpu_speed                   how fast the machine itself was, at the end of a request

    request "peak"
        dtypes, caches              in which the cores multiply and add; name -> bytes
      answered with
        ceiling                     quantity, arithmetic, value; or missing: there is neither a C
                                    compiler nor Numba

    request "probe"
        implementation, cases       `cases.probes`
      and of each that it has
        begin; probe, seconds       its number in the list, and what a call takes

    request "memory", as "measure" with one case
      answered with
        begin, memory or failed     host_bytes and device_bytes; or status and reason

A process is alive between its requests. Meanwhile other processes have theirs: what disturbs the
machine for a while disturbs one repetition of each, and not all repetitions of one.
"""

import contextlib
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.clock import threads
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.worker import capabilities, ceilings, loaded, peak, probes, ranked
from samegrad.benchmarks.worker.breakdown import Breakdown
from samegrad.benchmarks.worker.measurement import Bench
from samegrad.implementations.checking import failures, processes
from samegrad.implementations.contract import ranks

Message = dict[str, Any]
Send = Callable[[Message], Message | None]  # what it was answered, where it waited
Failed = Callable[[BaseException], Message]  # what is said of an exception
MEMORY_CALLS = 3


def main() -> None:
    """Answer one request, and those that follow it."""
    roles = {
        "capabilities": capabilities.answer,
        "measure": measure,
        "memory": memory,
        "peak": peak.answer,
        "probe": probes.answer,
    }
    processes.serve(lambda request, send: roles[request["role"]](request, send))


def measure(request: Message, send: Send) -> None:
    """Gate each case of the request; then repeat those that the parent names, again and again."""
    threads.leave_out_others()  # before somebody's code starts threads of its own
    began = time.perf_counter_ns()
    implementation = loaded.load(request["implementation"])
    imported = {
        "import_ns": time.perf_counter_ns() - began,
        "imported_bytes": system.resident_memory(os.getpid()),
    }
    worker = WorkerSpec(*(request[name] for name in WorkerSpec._fields))
    if max(ranks.size(), worker.ranks) > 1:
        ranked.joined(implementation, request)
        if ranks.rank():
            ranked.follow(implementation)
    fewer_digits = "" if worker.precision == "ieee" else worker.precision

    def send_and_wait(message: Message) -> Message:
        return processes.send_and_wait(message, send)

    def outside(moment: str) -> None:
        # The parent's clock starts with its answer, and stops when the second message arrives.
        (send if moment == "ended" else send_and_wait)({"block": moment})

    def failed(error: BaseException) -> Message:
        return failures.failure_here(error, implementation, worker.device)

    precision = implementation.capabilities.precision
    with precision(fewer_digits, worker.device) if fewer_digits else contextlib.nullcontext():
        bench = Bench(implementation, request, outside, send, imported)
        by_id: dict[str, Case] = {}
        spent: dict[str, int] = {}

        def gate(cases: list[Message]) -> None:
            for case in map(Case.from_dict, cases):
                by_id[case.id] = case
                _one(case, bench.gate, spent, failed, send, send)

        gate(request["cases"])
        while True:
            bench.rest()
            following = processes.next_request(send)
            gate(following.get("gate", []))
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
                case, seeds = by_id[name], following["draws"][name]
                repeat = partial(bench.repeat, seeds=seeds)
                answer = _one(case, repeat, spent, failed, send_and_wait, send_and_wait)
                if answer and "evidence" in answer:
                    evidence = _evidence(bench, answer["evidence"], failed)
                    send({"evidence": evidence, "case": name})
            if following["cases"]:
                send({"cpu_speed": ceilings.cpu_speed()})


def _one(
    case: Case,
    do: Callable[[Case], Message | None],
    spent: dict[str, int],
    failed: Failed,
    begin: Send,
    send: Send,
) -> Message | None:
    """Gate or repeat one case, and send its outcome, if that is known now; what was answered."""
    begin({"begin": case.id})
    began = time.perf_counter_ns()
    try:
        outcome = do(case)
    except ranks.RanksError:  # the others are not where this one is: no case of theirs can go on
        raise
    except (Exception, SystemExit) as error:
        if ranks.size() > 1:
            ranks.group().failed(error)
        outcome = failed(error)
    spent[case.id] = spent.get(case.id, 0) + time.perf_counter_ns() - began
    if outcome is None:
        return None
    return send({"outcome": {**outcome, "spent_ns": spent.pop(case.id)}, "case": case.id})


def _evidence(bench: Bench, path: str, failed: Failed) -> Message:
    """What the judge needs to know of the results that are now in a file, or why there are none."""
    try:
        return bench.evidence(Path(path))
    except (Exception, SystemExit) as error:
        return {"failed": failed(error)}


def memory(request: Message, send: Send) -> None:
    """The peak memory of a training step: this process runs it and nothing else."""
    implementation = loaded.load(request["implementation"])
    case = Case.from_dict(request["cases"][0])
    send({"begin": case.id})
    bench = Bench(implementation, request)
    try:
        bench.call(case, 1)
        on_device = implementation.capabilities.peak_memory(case.device)
        before = system.reset_peak_memory()
        bench.call(case, MEMORY_CALLS)
        after = system.peak_memory()
        host = max(0, after - before) if before is not None and after is not None else None
        send({"memory": {"host_bytes": host, "device_bytes": on_device and on_device()}})
    except (Exception, SystemExit) as error:
        send({"failed": failures.failure(error)})
