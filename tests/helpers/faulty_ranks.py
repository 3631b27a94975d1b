"""A worker process of several ranks, of which rank 1 does what it must not: `main` by its name.

The fault comes with the request, as "fault".
"""

import os
import signal
import time
from typing import Any

from samegrad.benchmarks.worker import capabilities, gates, ranked
from samegrad.benchmarks.worker import main as worker
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import ranks


def dies(*_: Any) -> Any:
    """As for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(*_: Any) -> Any:
    """For ever."""
    time.sleep(1000)


def raises(*_: Any) -> Any:
    """What rank 0 does not."""
    raise ValueError("only here")


def main() -> None:
    """The worker's main."""
    fault = str(processes._requests.queue[0].get("fault"))
    if ranks.rank() == 1:
        if fault in ("dies", "hangs", "raises"):
            gates.Gates.results = globals()[fault]  # type: ignore[method-assign] # a planted fault
        elif fault == "code":
            sources = capabilities.sources
            capabilities.sources = lambda implementation: {**sources(implementation), "x": "y"}
        elif fault == "data":
            load = ranked.Ranked.read.__func__  # type: ignore[attr-defined] # of a class method

            def read(cls: Any, *arguments: Any) -> Any:
                made = load(cls, *arguments)
                made.placed.inputs.X[0, 0] += 1
                return made

            ranked.Ranked.read = classmethod(read)  # type: ignore[assignment] # a planted fault
        elif fault == "result":
            results = gates.Gates.results

            def another(self: Any, operation: str) -> Any:
                given = results(self, operation)
                given["updated"][0][0][0, 0] += 1e-7
                return given

            gates.Gates.results = another  # type: ignore[method-assign] # a planted fault
    worker.main()
