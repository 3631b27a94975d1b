"""The process that prepares what all implementations of a run are given, and judges what comes out.

It loads no implementation, and no worker process loads it: results come to it as files of arrays.
It answers with messages (see `implementations.checking.processes`):

    request "inputs": workloads, directory, seed
      answered with
        begin     id of the workload that is prepared now
        workload  its id, with sha256 of weights and examples, or status and reason why there are
                  none

    request "proofs": directory
      and then, as often as the parent likes,
        blocks    a number of each, with what `judge.proofs.Proofs.verdict` needs
      answered with
        begin     number of the block that is judged now
        block     its number, with verdict and spent_ns
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.workload import Workload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.judge.proofs import KINDS, Proofs
from samegrad.implementations.checking import processes
from samegrad.implementations.contract.texts import in_one_line

Message = dict[str, Any]


def main() -> None:
    """Answer one request, and those that follow it."""
    roles = {"inputs": prepare, "proofs": prove}
    processes.serve(lambda request, send: roles[request["role"]](request, send))


def prove(request: Message, send: Callable[[Message], None]) -> None:
    """Judge blocks, again and again."""
    proofs = Proofs(Path(request["directory"]))
    while True:
        for block in processes.next_request(send)["blocks"]:
            send({"begin": block["block"]})
            verdict, spent_ns = timer.timed(partial(proofs.verdict, block))
            send({"block": block["block"], "verdict": verdict, "spent_ns": spent_ns})


def prepare(request: Message, send: Callable[[Message], None]) -> None:
    """Write the inputs of each workload, and what must come out of the first batch."""
    directory = Path(request["directory"])
    for data in request["workloads"]:
        workload = Workload.from_dict(data)
        send({"begin": workload.id})
        try:
            drawn, right = KINDS[workload.kind].prepare(workload, request["seed"])
            digest = inputs.save(directory, workload, drawn)
            inputs.save_expected(directory, workload, right)
            send({"workload": workload.id, "sha256": digest})
        except (ValueError, MemoryError, ImportError, OSError) as error:
            # Only what this workload and dtype are stays so when it is tried again.
            status = "crashed" if isinstance(error, OSError) else "unavailable"
            status = "out_of_memory" if isinstance(error, MemoryError) else status
            send({"workload": workload.id, "status": status, "reason": in_one_line(error)})
