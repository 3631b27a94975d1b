"""How often each case is repeated in each process: until its interval is narrow.

At least 3 times (8 before the width counts), until the 95 % interval is within 1.5 %, and as often
as the time for the blocks of a case allows.

The disturbances of a shared machine last from milliseconds to minutes. A process that is alive for
seconds may see nothing else, and then differs from another one by whatever disturbed it. So all
processes stay alive, and the repetitions of a case are spread over the whole run: then each
process has quiet moments.
"""

import math
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.clock import intervals, timer
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.runs.budget import RunSettings

LEAST_REPETITIONS = 3  # per process; of two, the less disturbed one says little
# Before a narrow interval ends the repetitions: fewer may all be of one of the machine's moods.
# Rows that ended after three differed by 4 % from the next run's, which had been repeated 20 times.
NARROW_REPETITIONS = 8
# Of a call that is longer than a block, and so is disturbed for a part of its time.
LEAST_LONG_REPETITIONS = 2
LONG_SECONDS = 0.02  # of a call
LEAST_LONG_SHARE_SECONDS = 0.25  # for long calls, each time that a process is asked to repeat
# A row is repeated no more once its interval is that narrow: half of what is asked for, because
# stopping at a narrow interval favours those that are narrow by chance (test_repetitions.py).
NARROW = 0.015
# A process whose value is so many times that of the fastest of its row has seen others' work in all
# of its repetitions, or is slower itself: it goes first, for a few repetitions more than others. On
# cores that others use, too, half of all blocks took 1.4 times as long as the other half, in turns
# of seconds: by one or two blocks of each process, intervals were 20 % wide.
BEHIND, MORE = 1.08, 8


class Repetitions:
    """The repetitions that a run has made, as its journal has them."""

    def __init__(self, settings: RunSettings) -> None:
        self.settings = settings
        self.times: dict[str, dict[int, list[float]]] = {}  # case -> process -> s per call
        self.calls: dict[str, int] = {}  # case -> calls in a block
        self.lost: dict[tuple[str, int], int] = {}  # that had been made, and have to be made again

    def lose(self, case: Case, outcome: dict[str, Any]) -> None:
        """Count an outcome of a case of which no block has been proved: its results are gone."""
        if "process" in outcome:
            key = (case.id, outcome["process"])
            self.lost[key] = self.lost.get(key, 0) + 1

    def number(self, case: Case, process: int) -> int:
        """Of the next repetition of a case in a process."""
        return self.count(case, process) + self.lost.get((case.id, process), 0)

    def add(self, case: Case, outcome: dict[str, Any]) -> None:
        """Take in an outcome with a number."""
        if "elapsed_ns" in outcome and "process" in outcome:
            times = self.times.setdefault(case.id, {}).setdefault(outcome["process"], [])
            times.append(rows.call_seconds(outcome))
            self.calls[case.id] = outcome["calls"]

    def seconds(self, case: Case) -> float | None:
        """The least that a call took in any process; None before the first repetition."""
        times = self.times.get(case.id)
        return min(map(min, times.values())) if times else None

    def blocks(self, cases: Iterable[Case]) -> dict[str, tuple[int, float]]:
        """Case id -> (calls in a block, seconds per call), of those that have been repeated."""
        seconds = {case.id: self.seconds(case) for case in cases}
        return {name: (self.calls[name], least) for name, least in seconds.items() if least}

    def count(self, case: Case, process: int) -> int:
        """How many repetitions of a case a process has made."""
        return len(self.times.get(case.id, {}).get(process, ()))

    def unfinished(self, case: Case, process: int) -> bool:
        """Whether a process has made fewer repetitions of a case than it must."""
        count = self.count(case, process)
        return count < min(LEAST_REPETITIONS, self._most(case, process)) if count else True

    def not_begun(self, cases: Iterable[Case], process: int) -> list[Case]:
        """The cases of which a process has made no repetition."""
        return [case for case in cases if not self.count(case, process)]

    def worth_repeating(self, cases: Iterable[Case], process: int, processes: int) -> list[Case]:
        """The cases whose rows one more repetition in a process would improve, or improve most."""
        worth = [
            case
            for case in cases
            if not (count := self.count(case, process))
            or (count < self._most(case, process) and not self._narrow(case, processes))
        ]
        return [case for case in worth if self._behind(case, process)] or worth

    def share(self, cases: Sequence[Case]) -> list[Case]:
        """The cases to repeat in one request: all short calls, and the first of the long ones.

        The long ones take as long as all short ones do, and the rest of them come with later
        requests: otherwise the short ones would be repeated less often.
        """
        seconds = {case.id: self.seconds(case) or 0.0 for case in cases}
        left = sum(spent for spent in seconds.values() if spent <= LONG_SECONDS)
        left = max(left, LEAST_LONG_SHARE_SECONDS)
        chosen = []
        for case in cases:
            if seconds[case.id] <= LONG_SECONDS:
                chosen.append(case)
            elif left > 0:
                chosen.append(case)
                left -= seconds[case.id]
        return chosen

    def _most(self, case: Case, process: int) -> int:
        """As many as block_seconds are enough for; a long call is repeated once."""
        call = rows.undisturbed(self.times[case.id][process])
        shortest = timer.block_ns(case.device)
        repetition = max(call, 2 * shortest / 1e9)  # a block, and what precedes it
        least = LEAST_REPETITIONS if call <= self.settings.short_call_seconds else 1
        return max(least, math.floor(self.settings.block_seconds / repetition))

    def _behind(self, case: Case, process: int) -> bool:
        times = self.times.get(case.id, {})
        own = times.get(process)
        if own is None:
            return True
        fastest = min(rows.undisturbed(each) for each in times.values())
        fewest = min(map(len, times.values()))
        return len(own) < fewest + MORE and rows.undisturbed(own) > BEHIND * fastest

    def _narrow(self, case: Case, processes: int) -> bool:
        times = self.times[case.id]
        long = (self.seconds(case) or 0) > LONG_SECONDS
        least = LEAST_LONG_REPETITIONS if long else NARROW_REPETITIONS
        if len(times) < processes or min(map(len, times.values())) < least:
            return False
        low, high = intervals.interval([rows.undisturbed(own) for own in times.values()])
        return math.log(high / low) / 2 <= NARROW  # False of NaN: too few processes


def shuffled(cases: Sequence[Case], random: Random) -> list[Case]:
    """The cases of one process: problems in random order, their cases together."""
    problems = list(dict.fromkeys(case.workload for case in cases))
    random.shuffle(problems)
    place = {problem: number for number, problem in enumerate(problems)}
    return sorted(random.sample(cases, len(cases)), key=lambda case: place[case.workload])
