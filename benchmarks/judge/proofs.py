"""Verdicts on timed blocks, from what came out of them and the seeds of what went in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.judge.kind import Kind, Message, NothingToCompareError, wrong
from samegrad.benchmarks.judge.networks import Networks
from samegrad.benchmarks.judge.spiking import Populations
from samegrad.implementations.checking import comparison
from samegrad.implementations.checking.comparison import Comparison
from samegrad.implementations.contract.texts import in_one_line

KEEPS = (
    "the first call and the loss are right: something is kept from call to call, such as "
    "gradients that are never set to zero"
)
KINDS: dict[str, type[Kind]] = {"mlp": Networks, "spiking": Populations}


class Proofs:
    """Verdicts on the blocks of a run.

    Attributes:
        kinds: of workloads, and who knows what must come out of them.
    """

    def __init__(self, directory: Path) -> None:
        self.kinds: dict[str, Kind] = {kind: of(directory) for kind, of in KINDS.items()}

    def verdict(self, block: Message) -> Message:
        """Whether what came out of a block is right.

        Args:
            block: its case, calls, seeds (`Draw`), the path of its results and what is said of
                them (`worker.measurement.Bench.evidence`). Or a first call: workload, operation,
                precision, thorough, path and what is said (`worker.gates.about`).

        Returns:
            reason ("" where it agrees), undecided, and name, error and bound of the tensor that is
            nearest to its bound.
        """
        try:
            results = inputs.load_tree(Path(block["results"]))
        except (MemoryError, Exception) as error:  # somebody took them away, or cut them
            return {"reason": f"its results are lost: {in_one_line(error)}", "status": "crashed"}
        try:
            verdict = self._compared(block, results)
        except NothingToCompareError as error:
            return {"reason": str(error), "status": "crashed"}
        except (MemoryError, Exception) as error:  # they were written by whom it is about
            return {"reason": f"its results cannot be judged: {in_one_line(error)}"}
        precision = block.get("precision", "ieee")
        if verdict.agrees and precision != "ieee" and not comparison.rounds(verdict.tensors):
            reason = f"precision {precision} has no effect: products are IEEE float32"
            return {"reason": reason, "undecided": True}
        worst = verdict.worst
        if worst is None or not verdict.agrees:
            reason = verdict.reason if "operation" in block else _with_hint(verdict)
            return {"reason": reason, "undecided": verdict.nothing_said}
        return {"reason": "", "name": worst.name, "error": worst.error or 0.0, "bound": worst.bound}

    def _compared(self, block: Message, results: Any) -> Comparison:
        if "operation" in block:
            return self.kinds[block["workload"]["kind"]].first(block, results)
        if block["about"]["changed"] is not False:
            return wrong("what it returned changed after the clock had stopped")
        if not isinstance(results, Mapping) or not results:
            return wrong("it showed no results")
        return self.kinds[block["case"]["workload"]["kind"]].block(block, results)


def _with_hint(verdict: Comparison) -> str:
    """Why a timed block is wrong; the first call was right, or nothing would have been timed."""
    wrong = [tensor.name for tensor in verdict.tensors if tensor.disagrees]
    right = [tensor.name for tensor in verdict.tensors if not tensor.reason]
    if "loss with the gradient" in right and all(name.startswith("d") for name in wrong):
        return f"{verdict.reason}; {KEEPS}"
    return verdict.reason
