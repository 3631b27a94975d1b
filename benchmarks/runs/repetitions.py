"""How often each case is visited in each process: until its interval is narrow.

The disturbances of a shared machine last from milliseconds to minutes. A process that is alive for
seconds may see nothing else, and then differs from another one by whatever disturbed it. So all
processes stay, and are visited in turns over the whole run: then each of them finds quiet moments.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.clock import intervals, timer
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.runs.budget import Settings

LEAST_VISITS = 3  # per process; of two, the less disturbed one says little
# Before a narrow interval ends the visits: fewer may all be of one of the machine's moods. Rows
# that ended after three differed by 4 % from the next run's, which had been visited 20 times.
NARROW_VISITS = 8
LEAST_LONG_VISITS = 2  # of a call that is longer than a block, and so is disturbed for a part of it
LONG_SECONDS, LEAST_SHARE_SECONDS = 0.02, 0.25  # of a call; for those that are longer, in a turn
# A row is visited no more once its interval is that narrow: half of what is asked for, because
# stopping at a narrow interval favours those that are narrow by chance (test_repetitions.py).
NARROW = 0.015


class Visits:
    """The visits of a run, as its journal has them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.times: dict[str, dict[int, list[float]]] = {}  # case -> process -> s per call
        self.calls: dict[str, int] = {}  # case -> calls in a block

    def add(self, case: Case, outcome: dict[str, Any]) -> None:
        """Take in an outcome with a number."""
        if "elapsed_ns" in outcome and "process" in outcome:
            mine = self.times.setdefault(case.id, {}).setdefault(outcome["process"], [])
            mine.append(rows.call_seconds(outcome))
            self.calls[case.id] = outcome["calls"]

    def seconds(self, case: Case) -> float | None:
        """The least that a call took in any process; None before the first."""
        found = self.times.get(case.id)
        return min(map(min, found.values())) if found else None

    def blocks(self, cases: Iterable[Case]) -> dict[str, tuple[int, float]]:
        """Calls in a block and seconds per call, of those that some process has visited."""
        found = {case.id: self.seconds(case) for case in cases}
        return {name: (self.calls[name], least) for name, least in found.items() if least}

    def number(self, case: Case, process: int) -> int:
        """How many there have been."""
        return len(self.times.get(case.id, {}).get(process, ()))

    def unfinished(self, case: Case, process: int) -> bool:
        """Whether there have been fewer than there must be."""
        count = self.number(case, process)
        return count < min(LEAST_VISITS, self._most(case, process)) if count else True

    def unseen(self, cases: Iterable[Case], process: int) -> list[Case]:
        """Those that a process has not visited."""
        return [case for case in cases if not self.number(case, process)]

    def wanted(self, cases: Iterable[Case], process: int, processes: int) -> list[Case]:
        """Those that one more visit in a process would do some good."""
        return [
            case
            for case in cases
            if not (count := self.number(case, process))
            or (count < self._most(case, process) and not self._narrow(case, processes))
        ]

    def share(self, wanted: Sequence[Case]) -> list[Case]:
        """What is visited in a turn: all short calls, and the first of the long ones.

        These take as long as all short ones do. The others come later: else the short ones would
        be visited less often.
        """
        seconds = {case.id: self.seconds(case) or 0.0 for case in wanted}
        left = sum(spent for spent in seconds.values() if spent <= LONG_SECONDS)
        left = max(left, LEAST_SHARE_SECONDS)
        some = []
        for case in wanted:
            if seconds[case.id] <= LONG_SECONDS:
                some.append(case)
            elif left > 0:
                some.append(case)
                left -= seconds[case.id]
        return some

    def _most(self, case: Case, process: int) -> int:
        """As many as block_seconds are enough for; a long call is visited once."""
        call = rows.undisturbed(self.times[case.id][process])
        shortest = timer.CPU_BLOCK_NS if case.device == "cpu" else timer.GPU_BLOCK_NS
        visit = max(call, 2 * shortest / 1e9)  # a block, and what precedes it
        least = LEAST_VISITS if call <= self.settings.visited_seconds else 1
        return max(least, math.floor(self.settings.block_seconds / visit))

    def _narrow(self, case: Case, processes: int) -> bool:
        found = self.times[case.id]
        least = LEAST_LONG_VISITS if (self.seconds(case) or 0) > LONG_SECONDS else NARROW_VISITS
        if len(found) < processes or min(map(len, found.values())) < least:
            return False
        low, high = intervals.interval([rows.undisturbed(mine) for mine in found.values()])
        return math.log(high / low) / 2 <= NARROW  # False of NaN: too few processes
