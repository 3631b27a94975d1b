"""The process that times one version, in its environment: the clock, a step and NumPy.

request
    library, versions     key of `step.LIBRARIES`; distributions whose versions are told
    cases                 id of a case -> beginning of its files' names
  answered with
    facts                 name -> version
    gate, first_call_ns   id of a case: what its first step gave is in a file; or
    gate, failed          status and reason
  and then, as often as the parent likes,
    cases                 ids of what is repeated once
  answered with
    case, outcome         of each: id, and fields of an outcome (JOURNAL.md)
"""

import platform
from collections.abc import Callable
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.versions import step
from samegrad.implementations.checking import processes

Message = dict[str, Any]
LEARNING_RATE = 0.01  # of timed steps
SETTLE_SECONDS = 0.05  # once a request: others may have had the machine


def main() -> None:
    """Answer one request, and those that follow it."""
    processes.serve(answer)


def answer(request: Message, send: Callable[[Message], object]) -> None:
    """Make the first steps of all cases; then repeat those that the parent names."""
    library = step.LIBRARIES[request["library"]]()
    known = {name: metadata.version(name) for name in request["versions"] if _installed(name)}
    send({"facts": {"python": platform.python_version(), **known}})
    works, calls, first = dict[str, timer.Work](), dict[str, int](), dict[str, int]()
    for case, path in request["cases"].items():
        try:
            works[case], first[case] = _first_step(library, path)
            send({"gate": case, "first_call_ns": first[case]})
        except Exception as error:
            send({"gate": case, "failed": _failed(error)})
    while True:
        cases = processes.next_request(send)["cases"]
        timer.warm_up(works[cases[0]], SETTLE_SECONDS)
        for case in cases:
            try:
                outcome = _repeated(works[case], case, calls)
                outcome["first_call_ns"] = first.pop(case, None)
            except Exception as error:
                outcome = _failed(error)
            send({"case": case, "outcome": outcome})


def _first_step(library: step.Library, path: str) -> tuple[timer.Work, int]:
    """What is timed of a case; and nanoseconds of its first step, whose results go to a file."""
    with np.load(f"{path}.npz", allow_pickle=False) as file:
        given = {name: file[name] for name in file.files}
    count = sum(name.startswith("W") for name in given)
    params = [(given[f"W{i}"], given[f"b{i}"]) for i in range(count)]
    X, y = library.place(given["X"]), library.place(given["y"])
    start = library.place(params)
    call = partial(library.step, start, X, y, float(given["learning_rate"]))
    (updated, loss), first_ns = timer.timed(call, library.synchronize)
    results = {f"{n}{i}": array for i, pair in enumerate(updated)
               for n, array in zip("Wb", map(_fetched, pair), strict=True)}  # fmt: skip
    np.savez(f"{path}-first.npz", loss=_fetched(loss), **results)

    def run(calls: int, params: Any) -> Any:
        value = None
        for _ in range(calls):
            params, value = library.step(params, X, y, LEARNING_RATE)
        return params, value

    work = timer.Work(
        start=lambda _: library.place(params),
        run=run,
        synchronize=library.synchronize,
        fetch=lambda result: float(result[1]),
        compilations=library.compilations,
    )
    return work, first_ns


def _repeated(work: timer.Work, case: str, calls: dict[str, int]) -> Message:
    """The outcome of one repetition, as `worker.measurement` makes it."""
    before = system.moment()
    blocks = timer.again(work, calls[case]) if case in calls else None
    if blocks is None or min(blocks.elapsed_ns) < timer.CPU_BLOCK_NS / 2:  # calibrated while busy
        blocks = timer.measure(work, timer.CPU_BLOCK_NS, 0, least=1)
        calls[case] = blocks.calls
    if refusal := blocks.refusal():
        return {"status": refusal[0], "reason": refusal[1]}
    names = ("calls", "elapsed_ns", "residual_ns", "busy_ns", "looked_ns", "new_bytes")
    lost = system.interference(before, system.moment())
    return {"status": "ok", "reason": "", **{n: getattr(blocks, n) for n in names}, **lost}


def _fetched(array: Any) -> Any:
    return np.asarray(array.detach() if hasattr(array, "detach") else array)


def _failed(error: Exception) -> Message:
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return {"status": "crashed", "reason": said}


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False
