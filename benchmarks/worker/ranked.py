"""A network that several ranks compute together: what rank 0 is asked, the others do as well.

Rank 0 is the worker process that the parent speaks with: it has the clock, and its results are
judged. Before each first call and each block it tells the others what comes, by the operation, the
number of calls and the draw, and they make the same calls on their part. Nothing is told within a
block: there the ranks wait for one another in the frameworks' own exchanges, and nowhere else.
After each block that is handed in, all ranks must hold the same bits.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.draws import Draw
from samegrad.benchmarks.cases.workload import MLPWorkload, Workload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker import capabilities
from samegrad.benchmarks.worker.gates import Gates
from samegrad.benchmarks.worker.placed import Placed
from samegrad.benchmarks.worker.subject import Draws, Seen
from samegrad.implementations.contract import ranks, registry
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.scratch import scratch
from samegrad.implementations.contract.spec import Tree

Message = dict[str, Any]
BLOCKS, MOST_CALLS = 5, 1000  # of what a step consists of
TIMED = ("train_step", "epoch")  # what several ranks are timed at: they share out a training


class Apart:
    """A result that lies on several ranks, which nobody looks at on one of them alone."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree


class Ranked(Gates):
    """A network on one of several ranks.

    Attributes:
        last: (loss, params, passed) of the last block.
    """

    last: tuple[Tree, Tree, list[Any]]

    def ran(self, work: timer.Work, calls: int, start: Tree) -> Tree:
        """What a block gives, once it is there and kept."""
        self.last = (None, None, [])
        result = work.run(calls, start)
        work.synchronize(result)
        params, _, loss, passed = result
        self.last = loss, params, passed
        return result

    def fetched(self, seen: Seen | None = None) -> Tree:
        """Loss and params of the last block as NumPy trees, which are the same on all ranks."""
        del seen
        loss, params, passed = self.last
        held = self.implementation.to_numpy((loss, params))
        ranks.group().same_bits("result", (held, passed))
        return held

    def results(self, operation: str) -> Tree:
        """As of one rank; all must hold the same."""
        given = super().results(operation)
        ranks.group().same_bits("result", given)
        return given

    def parts(self) -> Message:
        """exchange_ns and alone_ns of a step, by all ranks at the same time.

        The first is an all-reduce of as many numbers as the gradient has; the second a step on the
        rows of one rank by the idiom, which exchanges nothing. Ranks that share out the units and
        not the rows have no such step.
        """
        backend: Any = self.implementation.backend
        spec, workload, device = self.placed.spec, self.placed.workload, self.placed.device
        exchange = timer.work_of(backend.exchange(spec, device), backend.synchronize)
        times = {"exchange_ns": _least_ns(exchange, device)}
        if backend.shares_rows:
            rows = -(-workload.batch_size // ranks.size())
            idiom = registry.load(str(registry.TABLE[self.implementation.name].base))
            share = Placed.random(replace(workload, batch_size=rows), idiom, device)
            times["alone_ns"] = _least_ns(share.work("train_step"), device)
        return times


def _least_ns(work: timer.Work, device: str) -> float:
    """The least that a call took in some blocks, which all ranks begin together."""
    group = ranks.group()
    timer.block(work, 1)
    once = timer.block(work, 1).elapsed_ns
    calls = group.decided(max(1, min(MOST_CALLS, timer.block_ns(device) // max(1, once))))
    times = []
    for _ in range(BLOCKS):
        group.gather("ready")
        times.append(timer.block(work, calls).elapsed_ns)
    return min(times) / calls


class Leading(Ranked):
    """That of rank 0."""

    @classmethod
    def read(
        cls,
        workload: MLPWorkload,
        implementation: Implementation,
        device: str,
        directory: Path,
        ours: bool,
    ) -> "Leading":
        """A workload that is read and placed, by all ranks."""
        told = {"do": "read", "workload": workload.to_dict(), "device": device}
        ranks.group().tell({**told, "directory": str(directory)})
        with _handed_out(directory, workload) as at_hand:
            return _alike(super().read(workload, implementation, device, at_hand, ours))

    def results(self, operation: str) -> Tree:
        """As of one rank."""
        self._tell({"do": "first", "operation": operation})
        return super().results(operation)

    def work(self, operation: str, transfer: str, draw: Draw) -> timer.Work:
        """As of one rank; the others are told of each block before it starts."""
        if operation not in TIMED:
            raise NotImplementedError(f"several ranks are timed at {' and '.join(TIMED)} only")
        work, blocks = super().work(operation, transfer, draw), Draws(draw)

        def start(calls: int) -> Tree:
            about = {"operation": operation, "transfer": transfer, "calls": calls}
            self._tell({"do": "block", **about, "draw": asdict(blocks.next())})
            made = work.start(calls)
            ranks.group().gather("ready")
            return made

        def fetch(result: Tree) -> Seen:
            _, _, loss, passed = result
            self.implementation.to_numpy(loss)
            return Seen(0, blocks.now.block, Apart(result), passed, [])

        def run(calls: int, start: Tree) -> Tree:
            return self.ran(work, calls, start)

        return replace(work, start=start, run=run, fetch=fetch, copies=None)

    def fetched(self, seen: Seen | None = None) -> Tree:
        """As of any rank; the others are told."""
        self._tell({"do": "fetch"})
        return super().fetched(seen)

    def explained(self, case: Case, breakdown: Any, seen: Seen | None) -> Message:
        """As of any rank; the others are told. A call by itself would wait for them for ever."""
        del case, breakdown, seen
        self._tell({"do": "parts"})
        return self.parts()

    def _tell(self, about: Message) -> None:
        ranks.group().tell({**about, "workload": self.placed.workload.id})


@contextlib.contextmanager
def _handed_out(directory: Path, workload: Workload) -> Iterator[Path]:
    """Where the inputs are: on a host that has none, in a folder of its own for a while."""
    group, path = ranks.group(), inputs.path(directory, workload)
    here = path.is_file()
    if "no" not in group.gather("yes" if here else "no"):
        yield directory
        return
    data = group.handed_out(path.read_bytes() if ranks.rank() == 0 else None)
    if here:
        yield directory
        return
    with scratch() as own:
        inputs.path(own, workload).write_bytes(data)
        yield own


def _alike(gates: Any) -> Any:
    """A workload whose weights and examples are those of all ranks; else RanksError."""
    hashed = gates.placed.inputs.hashed()
    gates.directory = None  # all ranks keep them
    what = f"data of {gates.placed.workload.name}"
    ranks.group().agree(what, ranks.digest(hashed[name] for name in sorted(hashed)))
    return gates


def joined(implementation: Implementation, request: Mapping[str, Any]) -> None:
    """Return once all ranks have joined, and have the same code, asked for as many.

    Raises:
        RanksError: one has not, or is another.
    """
    group = ranks.group()
    group.comparing = False  # rank 0 fetches for itself, too: `Ranked` compares
    if ranks.size() != request["ranks"]:
        raise ranks.RanksError(f"{ranks.size()} ranks have joined, of {request['ranks']}")
    texts = capabilities.sources(implementation)
    whole = "".join(texts[path] for path in sorted(texts))
    group.agree("code", hashlib.sha256(whole.encode()).hexdigest()[:16])


def follow(implementation: Implementation) -> None:
    """Do as rank 0 does, until this process is ended."""
    known: dict[str, Ranked] = {}

    def do(command: Message) -> None:
        if command["do"] == "read":
            workload = Workload.from_dict(command["workload"])
            assert isinstance(workload, MLPWorkload)
            with _handed_out(Path(command["directory"]), workload) as at_hand:
                where = command["device"], at_hand
                known[workload.id] = _alike(Ranked.read(workload, implementation, *where, True))
            return
        gates = known[command["workload"]]
        if command["do"] == "first":
            gates.results(command["operation"])
        elif command["do"] == "fetch":
            gates.fetched()
        elif command["do"] == "parts":
            gates.parts()
        else:
            work = gates.work(command["operation"], command["transfer"], Draw(**command["draw"]))
            start = work.start(command["calls"])
            work.synchronize(start)
            ranks.group().gather("ready")
            gates.ran(work, command["calls"], start)

    ranks.group().follow(do)
