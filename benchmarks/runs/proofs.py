"""Which timed blocks are proved: what came out of them goes to the judge, in files of arrays.

A block counts for as much as its proof: those at or below the lower tenth of a process, which set
its value, and one more that is drawn. What each of them gave waits on the disk until several are
judged at once, while nobody is timed: most are beaten before that. Where judging takes long, only
the fastest block of a row is, early and at last, which is what the row's value rests on
(`records.rows.counted`); where it takes a good part of a second, at last alone.
"""

import contextlib
import math
import os
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import PRODUCTS
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.schema import OK
from samegrad.benchmarks.runs.judges import Judges, Take
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.runs.worker_process import WorkerProcess

Message = dict[str, Any]
EVERY_SECONDS = 45.0  # a run that is killed loses the proofs of so long
MOST_WAITING_BYTES = 2**28
LAST_SECONDS = 5.0  # that an interrupted run may take to judge what waits
# To judge a block: then one or two of a row are judged; or, at last, one. An epoch of MNIST takes
# 1.5 to 3 s: with one soon, proofs took a fifth of a standard run.
LONG_SECONDS, LONGEST_SECONDS = 0.1, 0.5
# FLOP/s of the judge, before it has judged anything; and in an epoch, whose steps are small ones.
GUESSED_RATE = 1e10
SECRET = random.SystemRandom()


@dataclass(eq=False)
class Block:
    """A timed block whose results are on the disk.

    Attributes:
        case, process, repetition: which one.
        seconds: per call.
        calls, seeds: of it.
        path: of its results.
        about: what the worker says of them; None until it has.
        drawn: whether it was drawn.
        requests: how many calls one by one followed it, whose answers are judged with it.
    """

    case: Case
    process: int
    repetition: int
    seconds: float
    calls: int
    seeds: list[int]
    path: Path
    about: Message | None = None
    drawn: bool = False
    requests: int = 0


class Proofs:
    """The blocks of a run that wait to be judged, and those who judge them."""

    def __init__(self, run: Run, scratch: Path) -> None:
        """Nothing has been timed.

        Args:
            scratch: where the inputs are.
        """
        self.run, self.scratch = run, scratch
        self.waiting: dict[tuple[str, int], list[Block]] = {}
        self.times: dict[tuple[str, int], list[float]] = {}
        self.fastest: dict[str, float] = {}  # case -> seconds per call of its fastest proved block
        self.spent: dict[str, list[float]] = {}  # case -> seconds that each verdict took
        # FLOP/s of its quickest verdict: by a disturbed one, a run would keep minutes for others.
        self.rate = 0.0
        self.judged = time.monotonic()
        self.number = 0
        self.gates: dict[tuple[str, int], Message] = {}  # of a case in a process
        self.asked: Block | None = None  # the block whose results come next
        self.judges = Judges(scratch)

    def seeds(self, process: int, cases: Iterable[Case]) -> dict[str, list[int]]:
        """Case id -> seeds of its next repetition, and of what is the same in all of a process."""
        name = f"{self.run.directory.name} {os.getpid()} {process}"
        return {
            case.id: [SECRET.getrandbits(63), random.Random(f"{name} {case.id}").getrandbits(63)]
            for case in cases
        }

    def judge_first_calls(self, one: WorkerProcess) -> None:
        """Have judged what a process gave when it was gated; what is wrong is not timed."""
        requests = [
            {
                "workload": case.workload.to_dict(),
                "operation": message["gate"],
                "precision": case.precision,
                # In how many digits it computes is found out once a run.
                "thorough": one.process == 0,
                "results": f"{one.first_calls}{number}.npz",
                "about": message["about"],
            }
            for number, (case, message) in enumerate(one.handed_in, one.judged)
        ]
        handed_in, one.handed_in = one.handed_in, []
        one.judged += len(handed_in)
        verdicts: dict[tuple[str, str], Message] = {}

        def take(number: int, verdict: Message, _: int) -> None:
            case, message = handed_in[number]
            said = message["about"].get("said")
            if said and "name" in verdict:
                verdict["name"] = f"{verdict['name']} ({said})"
            verdicts[case.workload.id, message["gate"]] = verdict

        groups = _groups([case.workload.id for case, _ in handed_in], [0.0] * len(handed_in))
        self._ask_all(requests, groups, take, "first calls")
        for request in requests:
            _remove(Path(request["results"]))
        for case in one.cases:
            if case.id in self.run.failed:
                continue
            known = [verdicts.get((case.workload.id, name)) for name in case.gated]
            found = [verdict for verdict in known if verdict is not None]
            wrong = next((verdict for verdict in found if verdict["reason"]), None)
            if wrong is not None:
                outcome = {"status": _status(wrong), "reason": wrong["reason"]}
                self.run.finish(case, one.process, outcome)
            elif found:
                worst = max(found, key=lambda verdict: verdict["error"] / verdict["bound"])
                names = ("name", "error", "bound")
                self.gates[case.id, one.process] = {name: worst[name] for name in names}

    def with_gate(self, case: Case, process: int, outcome: Message) -> Message:
        """An outcome with the tensor that was nearest to its bound in a first call."""
        gate = self.gates.get((case.id, process))
        if outcome["status"] != OK:
            return outcome
        if gate is None:
            return {"status": "crashed", "reason": "nothing of it was judged"}
        return {**outcome, "gate": gate}

    def timed(self, one: WorkerProcess, case: Case, outcome: Message, repetition: int) -> None:
        """Ask for the results of a block that has just been timed, where they are to be kept."""
        if case.operation == PRODUCTS:  # which is gated, and no step of anything
            return
        key, seconds = (case.id, one.process), rows.call_seconds(outcome)
        times = self.times.setdefault(key, [])
        times.append(seconds)
        drawn = not SECRET.randrange(len(times))
        kept = self.waiting.setdefault(key, [])
        if drawn:
            for other in kept:
                other.drawn = False
        requests = len(outcome.get("request_ns") or ())
        if not (drawn or requests or self._sets_the_value(key, seconds)):
            return
        self.number += 1
        path = self.scratch / f"block{self.number}.npz"
        seeds, calls = one.draws[case.id], outcome["calls"]
        block = Block(case, one.process, repetition, seconds, calls, seeds, path)
        block.drawn, block.requests = drawn, requests
        kept.append(block)
        one.asked, one.child.answer, self.asked = case, {"evidence": str(path)}, block
        for other in list(kept):
            if not (other.drawn or other.requests) and not self._sets_the_value(key, other.seconds):
                self._forget(other)

    def keep(self, one: WorkerProcess, about: Message) -> None:
        """Keep what a worker says of the results that it has written."""
        assert self.asked is not None
        if failed := about.get("failed"):
            self.run.finish(self.asked.case, one.process, failed)
        self.asked.about = about

    def _sets_the_value(self, key: tuple[str, int], seconds: float) -> bool:
        return seconds <= rows.undisturbed(self.times[key])

    def _forget(self, block: Block) -> None:
        self.waiting[block.case.id, block.process].remove(block)
        _remove(block.path)

    @property
    def due(self) -> bool:
        """Whether so much waits, or has waited for so long, that it should be judged now."""
        if time.monotonic() > self.judged + EVERY_SECONDS:
            return True
        return 8 * sum(block.case.workload.size for block in self._chosen()) > MOST_WAITING_BYTES

    @property
    def seconds(self) -> float:
        """What judging all that waits will take, with all judges at once."""
        blocks = self._chosen(last=True)
        seconds = list(map(self._seconds, blocks))
        groups = _groups([_workload(one) for one in blocks], seconds)
        of_group = [sum(seconds[number] for number in own) for own in groups]
        return max([sum(of_group) / self.judges.most, *of_group])

    def _seconds(self, block: Block) -> float:
        if spent := self.spent.get(block.case.id):
            return sum(spent) / len(spent)
        rate = self.rate or GUESSED_RATE
        if block.case.calls_per_epoch > 1:
            rate = min(rate, GUESSED_RATE)
        return block.calls * block.case.flops / rate

    def _chosen(self, last: bool = False, within: float = math.inf) -> list[Block]:
        """The blocks to judge, those of one workload together.

        Args:
            last: whether nothing else will be timed.
            within: seconds that it may take: what takes least comes first.
        """
        chosen, of_row = list[Block](), dict[str, list[Block]]()
        for blocks in self.waiting.values():
            for block in blocks:
                if block.about is not None and block.case.id not in self.run.failed:
                    of_row.setdefault(block.case.id, []).append(block)
        for name, blocks in of_row.items():
            if (seconds := max(map(self._seconds, blocks))) > LONG_SECONDS:
                # One soon, so that the row has a number, and at last one that was faster.
                least = min(blocks, key=lambda block: block.seconds)
                faster = least.seconds < self.fastest.get(name, math.inf)
                soon = name not in self.fastest and seconds < LONGEST_SECONDS
                now = faster and (last or soon)
                blocks = [one for one in blocks if one.requests or (now and one is least)]
            chosen += blocks
        if within < math.inf:
            chosen.sort(key=self._seconds)
            ends = accumulate(map(self._seconds, chosen))
            chosen = [block for block, end in zip(chosen, ends, strict=True) if end < within]
        return sorted(chosen, key=lambda block: (block.case.workload.id, block.case.id))

    def judge(self, last: bool = False, within: float = math.inf) -> None:
        """Have judged what waits, all of it at last, and write down what comes of it.

        Args:
            last, within: as of `_chosen`.
        """
        chosen = self._chosen(last, within)
        self._ask_all(
            [_request(block) for block in chosen],
            _groups([_workload(one) for one in chosen], list(map(self._seconds, chosen))),
            lambda number, verdict, spent_ns: self._done(chosen[number], verdict, spent_ns),
            "timed blocks",
        )
        later = [] if last else self._chosen(last=True)
        for blocks in self.waiting.values():
            for block in list(blocks):
                if block.about is not None and block not in later:
                    self._forget(block)
        self.judged = time.monotonic()

    def _ask_all(
        self, requests: Sequence[Message], groups: Iterable[Iterable[int]], take: Take, what: str
    ) -> None:
        """Have results judged.

        Args:
            groups: of numbers in `requests` (`_groups`).
            take: told of each number, verdict, and nanoseconds that it took.
        """
        if requests:
            self.run.progress.now(f"judging {len(requests)} {what}")
            self.judges.ask([[(n, requests[n]) for n in own] for own in groups], take, what)

    def _done(self, block: Block, verdict: Message, spent_ns: int) -> None:
        """Write down a verdict."""
        case = block.case
        self._forget(block)
        if case.id in self.run.failed:
            return
        about = {"process": block.process, "repetition": block.repetition}
        if verdict["reason"]:
            self.run.fail(case, _status(verdict), f"timed block: {verdict['reason']}", **about)
            return
        seconds = spent_ns / 1e9
        self.spent.setdefault(case.id, []).append(seconds)
        self.rate = max(self.rate, block.calls * case.flops / seconds)
        known = self.fastest.get(case.id, math.inf)
        self.fastest[case.id] = min(known, block.seconds)
        self.run.write(
            {
                "record": "proof",
                "case": case.to_dict(),
                **about,
                **{name: verdict[name] for name in ("name", "error", "bound")},
                "spent_ns": spent_ns,
            }
        )

    def __enter__(self) -> "Proofs":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the judges; of an interrupted run they first judge what there is time for."""
        try:
            if kind is KeyboardInterrupt:
                self.judges.close()  # their answers to what was interrupted would come first
                self.judge(last=True, within=LAST_SECONDS)
        finally:
            self.judges.close()


def _groups(workloads: Sequence[str], seconds: Sequence[float]) -> list[list[int]]:
    """Numbers of what one judge judges: of one workload, but what takes long alone.

    What takes longest stands first.
    """
    groups = dict[str | int, list[int]]()
    for number, workload in enumerate(workloads):
        key = number if seconds[number] > LONGEST_SECONDS else workload
        groups.setdefault(key, []).append(number)
    return sorted(groups.values(), key=lambda own: -sum(seconds[number] for number in own))


def _workload(block: Block) -> str:
    return block.case.workload.id


def _status(verdict: Message) -> str:
    """Of an outcome without a number."""
    without = "unavailable" if verdict.get("undecided") else "wrong"
    return str(verdict.get("status", without))


def _remove(path: Path) -> None:
    # Whose code is timed can put anything in its place; all goes with the scratch folder.
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _request(block: Block) -> Message:
    return {
        "case": block.case.to_dict(),
        "calls": block.calls,
        "seeds": block.seeds,
        "results": str(block.path),
        "about": block.about,
        "requests": block.requests,
    }
