"""Ranks on several hosts: one samegrad was started on each, by torchrun or srun.

That of rank 0 leads: it chooses, measures, judges and writes. The others have nothing to do but to
start the ranks of their host whenever it starts some, and to end them when it does. They meet where
torchrun or srun says, and nothing goes through that store while something is timed.
"""

import contextlib
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from samegrad.benchmarks.machine import system
from samegrad.implementations.checking import launch
from samegrad.implementations.checking.processes import Child, Exit
from samegrad.implementations.contract import ranks
from samegrad.implementations.contract.scratch import scratch
from samegrad.implementations.contract.texts import in_one_line, say

Message = dict[str, Any]
ONE_ON_EACH = (
    "start one samegrad on each host (torchrun --nproc-per-node 1, srun --ntasks-per-node 1): it "
    "starts the ranks of its host itself"
)
TOLD_SECONDS = 4.0  # for the others to notice that ranks of theirs have ended, and to say so
END_SECONDS = 20.0  # for the others to have ended what they started
_numbers = itertools.count()
_leading: list[bool] = []  # whether this process leads others


def count() -> int:
    """How many hosts there are: as many as samegrads were started."""
    return ranks.size()


def check(counts: tuple[int, ...], asked: bool) -> None:
    """Raise ValueError unless rows of so many ranks can be laid out on the hosts.

    Args:
        asked: whether ranks were asked for at all.
    """
    hosts = count()
    if hosts == 1:
        return
    if ranks.local()[1] > 1:
        raise ValueError(f"{ranks.local()[1]} of {hosts} were started on this host; {ONE_ON_EACH}")
    if not _leading:
        raise ValueError(
            f"pytest does not measure on {hosts} hosts: start `samegrad benchmark` on each of them"
        )
    if not asked:
        raise ValueError(
            f"samegrad was started {hosts} times, by torchrun or srun, and would measure the same "
            f"on all hosts: give --ranks, for example --ranks 1,{hosts}, or start it once"
        )
    for number in counts:
        if number > 1 and number % hosts:
            raise ValueError(
                f"--ranks {number}: {hosts} hosts share them out evenly; give 1 or multiples of "
                f"{hosts}, for example --ranks 1,{hosts},{2 * hosts}"
            )


def on_each(number: int) -> int:
    """How many of so many ranks are on each host; one is on the first alone."""
    return number if number == 1 else number // count()


class Spread(Child):
    """A child that starts the ranks of this host, while those of the other hosts are started."""

    def __init__(
        self, number: int, arguments: Message, device: str, environment: dict[str, str]
    ) -> None:
        """Have all of them started.

        Args:
            number: by which it is known.
            arguments: of `launch.command`.
        """
        self.number = number
        address = os.environ.get(ranks.ADDRESS, ranks.LOOPBACK)
        place = launch.Host(0, count(), address, ranks.free_port())
        started = {"do": "start", "child": number, "arguments": arguments, "device": device}
        command = launch.command(**arguments, host=place)
        try:
            ranks.group().tell({**started, "place": place})
        except Exception as error:  # torch's, too: this row has no number, others may have one
            command = [sys.executable, "-c", f"import sys; sys.exit({in_one_line(error)!r})"]
        super().__init__(command, environment)

    def receive(
        self, on_message: Callable[[Message], float | None], time_limit: float
    ) -> Exit | None:
        """As of one host; if it has ended, with what the others say of theirs."""
        ended = super().receive(on_message, time_limit)
        if ended is None or ended.kind != "crashed":
            return ended
        # Which came first cannot be told: one that dies ends all that wait for it.
        told, until = dict[int, str](), time.monotonic() + TOLD_SECONDS
        while len(told) < count() - 1 and time.monotonic() < until:
            told |= self._told()
            time.sleep(0.1)
        reasons = [ended.reason, *(f"host {number}: {told[number]}" for number in sorted(told))]
        return replace(ended, reason="; ".join(reasons))

    def _told(self) -> dict[int, str]:
        """What hosts say of the end of their ranks that nobody has ended, by number."""
        try:
            store = ranks.group().store
            keys = {other: f"ended{self.number}/{other}" for other in range(1, count())}
            return {
                n: str(store.get(key), "utf-8") for n, key in keys.items() if store.check([key])
            }
        except Exception:  # torch's, of several types: nobody is there any more
            return {}

    def close(self) -> None:
        """End it, and those of the other hosts."""
        super().close()
        with contextlib.suppress(Exception):  # torch's, too: whoever is gone has ended its own
            ranks.group().tell({"do": "end", "child": self.number})


def child(interpreter: str, worker: Any, module: str, environment: dict[str, str]) -> Child:
    """A child of several ranks that are spread over all hosts.

    Args:
        worker: a `WorkerSpec`.
    """
    arguments = {"module": module, "ranks": on_each(worker.ranks), "threads": worker.threads}
    if interpreter != sys.executable:  # each host has its own
        arguments["interpreter"] = interpreter
    return Spread(next(_numbers), arguments, worker.device, environment)


def lead(work: Callable[[], int]) -> int:
    """Do something while the others follow; what it returns."""
    _join()
    _leading.append(True)
    try:
        return work()
    finally:
        with contextlib.suppress(Exception):  # torch's, too; it was said by whoever missed them
            ranks.group().tell({"do": "leave"})
            ranks.group().gather("left", END_SECONDS)


def follow() -> int:
    """Start and end the ranks of this host as the leader does, until it leaves."""
    children: dict[int, Child] = {}
    number = ranks.rank()
    say(f"samegrad: host {number + 1} of {count()} waits for the first one, which measures")
    group = _join()

    def watch(name: int, child: Child) -> None:
        """Tell why a child has ended that nobody has ended."""
        ended = child.receive(lambda _: None, float("inf"))
        if name in children and ended is not None:
            with contextlib.suppress(Exception):  # torch's: nobody is there any more
                ranks.connected().set(f"ended{name}/{number}", ended.reason)

    with scratch() as folder:

        def do(command: Message) -> None:
            if command["do"] == "leave":
                raise _LeftError
            name = command["child"]
            if command["do"] == "end":
                if name in children:
                    children.pop(name).close()
                return
            try:
                children[name] = started = _start(command, number, folder)
            except OSError as error:  # such as an interpreter that this host does not have
                group.store.set(f"ended{name}/{number}", in_one_line(error))
                return
            threading.Thread(target=watch, args=(name, started), daemon=True).start()

        try:
            group.follow(do)
        except _LeftError:
            group.gather("left", END_SECONDS)
        except Exception as error:  # torch's, of several types, by version
            said = " ".join(str(error).split())[:100]
            say(f"samegrad: the first host is gone ({said})", error=True)
            return 1
        finally:
            for name in list(children):
                children.pop(name).close()
    return 0


def _join() -> ranks.Group:
    """The group of all hosts.

    Raises:
        ValueError: one has not joined.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # what follows says it
    try:
        return ranks.group()
    except ranks.RanksError as error:
        raise ValueError(f"the hosts do not meet: {error}") from None


class _LeftError(BaseException):
    """The leader has left: no fault, which `Group.follow` would tell of."""


def _start(command: Message, number: int, folder: Path) -> Child:
    arguments, place = command["arguments"], launch.Host(*command["place"])
    environment = system.worker_environment(command["device"], folder, arguments["threads"])
    return Child(launch.command(**arguments, host=place._replace(number=number)), environment)
