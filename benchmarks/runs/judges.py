"""The processes that judge what a run has computed: two at a time, while nobody is timed.

A verdict takes one core. One after the other, those of a standard run of five minutes took 45 s on
two cores: time that is missing for repetitions.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from samegrad.benchmarks.machine import system
from samegrad.benchmarks.runs.worker_process import JUDGE, command, stopped_short
from samegrad.implementations.checking.processes import Child, Exit

Message = dict[str, Any]
Take = Callable[[int, Message, int], None]  # number of a request, verdict, nanoseconds that it took
MOST = 2  # judges; each has examples in float64, of MNIST 0.4 GB
SECONDS = 300.0  # for one verdict


class Judges:
    """The judges of a run; each is started when it is first needed."""

    def __init__(self, scratch: Path) -> None:
        """None is started.

        Args:
            scratch: where the inputs are.
        """
        self.scratch, self.most = scratch, min(MOST, system.cores())
        self._free, self._children = list[Judge](), list[Child]()
        # Which lives as long as they do: the system ends a process with the thread that started it.
        self._pool: ThreadPoolExecutor | None = None
        self._lock, self._closed = threading.Lock(), False

    def ask(self, groups: Sequence[Sequence[tuple[int, Message]]], take: Take, what: str) -> None:
        """Have all requests judged, those of a group one after the other by the same judge.

        Args:
            groups: numbers and requests; what takes longest stands first.
            take: is told of each verdict, by one thread at a time.
            what: is judged, in words.
        """
        left, self._closed = [dict(group) for group in groups], False
        count, done = sum(map(len, left)), 0

        def taken(number: int, verdict: Message, spent_ns: int) -> None:
            nonlocal done
            with self._lock:
                if not self._closed:  # somebody has given up
                    done += 1
                    take(number, verdict, spent_ns)

        def work() -> None:
            while True:
                with self._lock:
                    if self._closed or not left:
                        return
                    group = left.pop(0)
                    judge = self._free.pop() if self._free else Judge(self)
                judge.ask(group, taken, lambda: f"{what}, {min(count, done + 1)} of {count}")
                with self._lock:
                    self._free.append(judge)

        others = min(self.most, len(left)) - 1
        if others < 1:
            work()
            return
        self._pool = self._pool or ThreadPoolExecutor(self.most - 1)
        started = [self._pool.submit(work) for _ in range(others)]
        try:
            work()
            for one in started:
                one.result()
        except BaseException:
            self.close()  # nobody waits for what is left
            raise

    def start(self) -> Child | None:
        """A process that judges; None if all are to end."""
        threads = "all" if self.most == 1 else str(max(1, system.cores() // self.most))
        environment = system.worker_environment("cpu", self.scratch, threads)
        with self._lock:
            if self._closed:
                return None
            child = Child(command(JUDGE), environment)
            self._children.append(child)
        child.send({"role": "proofs", "directory": str(self.scratch)})
        return child

    def end(self, child: Child) -> None:
        """End one process."""
        child.close()
        with self._lock:
            if child in self._children:
                self._children.remove(child)

    def close(self) -> None:
        """End all of them; what they were asked has no verdict."""
        with self._lock:
            self._closed = True
            children, self._children, self._free = self._children, [], []
        for child in children:
            child.close()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


class Judge:
    """One of them, whose process is replaced where it dies."""

    def __init__(self, judges: Judges) -> None:
        """Not started."""
        self.judges = judges
        self.child: Child | None = None

    def ask(self, left: dict[int, Message], take: Take, doing: Callable[[], str]) -> None:
        """Have requests judged; at what the process dies has no verdict, and no number.

        Somebody else may have killed it, be it between two requests: then another one tries again.
        """
        again = set[int]()
        while left:
            ended = self._ask(left, take, doing)
            if ended is None or not left:
                continue
            number = next(iter(left))
            if ended.killed and number not in again:
                again.add(number)
                continue
            del left[number]
            reason = f"judging its results {ended.kind}: {ended.reason}"
            take(number, {"reason": reason, "status": stopped_short(ended)["status"]}, 0)

    def _ask(self, left: dict[int, Message], take: Take, doing: Callable[[], str]) -> Exit | None:
        """Ask for what is left, and take it out; how the process ended, None if it waits."""
        if self.child is None:
            self.child = self.judges.start()
            if self.child is None:  # nobody wants to know any more
                left.clear()
                return None
            if ended := self.child.receive(lambda _: None, SECONDS):
                self._end()
                return ended
        child = self.child
        child.send({"blocks": [{"block": number, **one} for number, one in left.items()]})

        def on_message(message: Message) -> float:
            if "verdict" in message:
                del left[message["block"]]
                take(message["block"], message["verdict"], message["spent_ns"])
            child.doing = f"judging {doing()}"
            return SECONDS

        child.doing = f"judging {doing()}"
        ended = child.receive(on_message, SECONDS)
        if ended is not None:
            self._end()
        return ended

    def _end(self) -> None:
        assert self.child is not None
        self.judges.end(self.child)
        self.child = None
