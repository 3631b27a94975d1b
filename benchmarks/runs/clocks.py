"""The blocks of a run by both clocks, and what the system says of threads (clock/agreement.py)."""

import contextlib
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.clock.agreement import Block, blocks, disagreement


class Clocks:
    """The blocks of a run by both clocks."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, int | None], list[Block]] = {}

    def judged(
        self, case: Case, process: int, outcome: dict[str, Any], helpers: int = 0
    ) -> dict[str, Any]:
        """The outcome; or one without a number, if the two clocks cannot both be right.

        Args:
            outcome: as `WorkerProcess.stamped` gives it.
            helpers: see `agreement.disagreement`.
        """
        if "outer_ns" not in outcome:
            return outcome
        for key in ((case.id, process), (case.id, None)):
            known = self._blocks.setdefault(key, [])
            known += blocks(outcome)
            if reason := disagreement(known, helpers):
                return {"status": "rejected", "reason": reason}
        return outcome


def computed_and_waited(process: int, thread: int = 0) -> tuple[int, int]:
    """Nanoseconds that a thread has computed and has waited for a core so far; (0, 0) off Linux.

    Args:
        thread: of the process, its first one if 0.
    """
    with contextlib.suppress(OSError, ValueError):  # it has ended
        path = Path(f"/proc/{process}/task/{thread or process}/schedstat")
        computed, waited, _ = map(int, path.read_text().split())
        return computed, waited
    return 0, 0
