"""The limit: what no way of computing a case on this machine can take less than.

    limit = max(arithmetic / peak, bytes / bandwidth of the caches that hold them) + a call

docs/limit.md derives it. Every number is a ceiling that the run has measured, with as many threads;
a run that lacks one has no limit.
"""

import re
from dataclasses import dataclass

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.records.journal import Journal

MEMORY = "memory"


@dataclass(frozen=True)
class Limit:
    """The least time of a call, in seconds, and what it is made of.

    Attributes:
        arithmetic: the operations over the cores' multiply-adds.
        moving: what must be moved over the bandwidth of what holds it; 0 if that is not known.
        held_by: the cache, or "memory", that the latter is about; "" if none is known.
        call: of a function that does nothing.
    """

    arithmetic: float
    moving: float
    held_by: str
    call: float

    @property
    def seconds(self) -> float:
        """Of the whole."""
        return max(self.arithmetic, self.moving) + self.call

    @property
    def by(self) -> str:
        """What most of it is."""
        named = {"arithmetic": self.arithmetic, self.held_by: self.moving, "call": self.call}
        return max(named, key=lambda name: named[name])


def caches(journal: Journal) -> dict[str, int]:
    """Bytes of each data cache, as the journal's machine says them; {} if it does not."""
    text = str(journal.run["machine"].get("cpu_caches", ""))
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    return {
        level: int(size) * units[unit]
        for level, size, unit in re.findall(r"(L\d) (\d{1,9})([KMG])", text)
    }


def limit(journal: Journal, case: Case) -> Limit | None:
    """The limit of a case; None on a GPU, of spiking neurons, and without its peak and call."""
    call = journal.least("call", case.device, case.threads)
    where = case.device, case.threads, case.arithmetic
    least_bytes = case.least_bytes
    if call is None or least_bytes is None or journal.most("peak", *where) is None:
        return None
    peak = journal.most_flops()[where]  # a product may have been faster in a quieter moment
    moving, held_by = _moving(journal, case, *least_bytes)
    return Limit(case.flops / peak, moving, held_by, call)


def _moving(journal: Journal, case: Case, distinct: int, moved: int) -> tuple[float, str]:
    """Seconds for what must be moved, and which cache or memory they are about.

    What is faster than a cache holds a part of it at most: the rest comes from that one or from
    beyond. Of all of them the one that takes longest is a limit. A core's own caches count once for
    each thread, the last one once.
    """
    sizes, held = caches(journal), 0
    threads = int(case.threads) if case.threads.isdigit() else _cores(journal)
    times = []
    for name in (*sizes, MEMORY):
        quantity = "bandwidth" if name == MEMORY else f"bandwidth {name}"
        rate = journal.most(quantity, case.device, case.threads)
        if rate:
            times.append((moved * max(0.0, 1 - held / distinct) / rate, name))
        own = name != list(sizes)[-1] if sizes else False
        held = sizes.get(name, 0) * (threads if own else 1)
    return max(times, default=(0.0, ""))


def _cores(journal: Journal) -> int:
    text = str(journal.run["machine"].get("cores", "1"))
    return int(text) if text.isdigit() and int(text) else 1
