"""The process that prepares the inputs of a run and what must come out.

It loads no implementation, and no worker process loads it. It gets one request and answers with
messages (see `implementations.checking.processes`):

    request   workloads, directory, seed
    begin     id of the workload that is prepared now
    workload  its id, with sha256 of weights and examples, or with the reason why there are none
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import MLPWorkload, Workload
from samegrad.benchmarks.judge.draw import draw
from samegrad.implementations.checking import processes

Message = dict[str, Any]


def main() -> None:
    """Answer one request."""
    processes.serve(prepare)


def prepare(request: Message, send: Callable[[Message], None]) -> None:
    """Write the inputs and the reference's results of each workload."""
    directory = Path(request["directory"])
    for data in request["workloads"]:
        workload = Workload.from_dict(data)
        assert isinstance(workload, MLPWorkload)
        send({"begin": workload.id})
        try:
            digest = inputs.save(directory, workload, draw(workload, request["seed"]))
            send({"workload": workload.id, "sha256": digest})
        except (ValueError, MemoryError, ImportError, OSError) as error:
            text = " ".join(str(error).split())[:300]
            send({"workload": workload.id, "reason": f"{type(error).__name__}: {text}"})
