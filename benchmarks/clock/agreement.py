"""Whether a process's own clock and CPU time say what the parent's say of the same blocks.

An implementation can reach everything in its process: the clock, the object that holds the times,
the count of its threads. So the parent takes the time of each block, too, from its answer to "it
begins" until "it has ended" arrives, and the CPU time of other processes that it has started. Both
are written down, and compared over all blocks of a process, and over all of a row.

A process that is not given a core is late, by milliseconds on a busy machine; a clock that is short
is short in every block. So what the system says that the two threads have waited is left out, the
smallest differences count, and the fewer blocks there are, the more is allowed. Measured, blocks of
5 ms: 7 us late (median) and 1.2 ms (one in a hundred) on a quiet machine, 9 us and 5.5 ms beside
two busy loops, 20 ms where five processes want each core; a clock that runs at 0.7 of the time
makes 2.1 ms of each. And however busy the machine is: no thread computes, or waits for a core, for
longer than its block takes.

What a thread has waited may hide how long a block took, so that one of many says nothing: it is
enough if most took a little longer than honest ones do. In 1,700 rows of a process each, on a
virtual machine whose host others use, no more than one block in five was late by 1 ms. (With ten
other threads to a core, one is ready in vain for milliseconds of most blocks: that is none.)
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SHARE = 0.1  # of a block
# A thread that is ready after its block, too, is so for a while where others want the cores.
READY_SHARE, READY_NS = 0.3, 2_000_000
# Blocks, and nanoseconds that all of them may be late besides.
LATE_NS = ((30, 200_000), (12, 1_000_000), (5, 5_000_000), (1, 200_000_000))
# Of so many blocks, the share that is enough, if they are so late.
SEVERAL, MOST, MOST_NS = 5, 0.75, 1_500_000
OTHERS_NS = 12_000_000  # a tick of 10 ms, in which children count that have ended
# By its own clock, by the parent's, CPU time of others, and how long its thread was ready.
Block = tuple[int, int, int, int]
LOOKED_NS = 1_000_000  # that it may say to have looked at the results, besides half of a block


def blocks(outcome: Mapping[str, Any]) -> Iterator[Block]:
    """The blocks of an outcome that has the parent's times, too."""
    own = outcome["elapsed_ns"]
    rows = zip(own, outcome["outer_ns"], outcome["waited_ns"], strict=True)
    outer = [max(min(ours, theirs), ours - waited) for theirs, ours, waited in rows]
    looked = zip(own, outcome["outer_looked_ns"], outcome["looked_ns"], strict=True)
    allowed = [max(ours, min(theirs, t // 2 + LOOKED_NS)) for t, ours, theirs in looked]
    whole = zip(outcome["ready_ns"], allowed, strict=True)
    ready = [max(0, all_of_it - looking) for all_of_it, looking in whole]
    return zip(own, outer, outcome["others_ns"], ready, strict=True)


def disagreement(blocks: Sequence[Block], helpers: int = 0) -> str:
    """Why these blocks were not timed as they say, or "".

    Args:
        helpers: other processes that belong to what is timed, as its name says.
    """
    late = next(ns for count, ns in LATE_NS if len(blocks) >= count)
    told = any(ready for *_, ready in blocks)  # by the system, what threads have waited
    for number, share, more, took in (
        (1, SHARE, 0, "that took"),
        (3, READY_SHARE, READY_NS, "in which its thread was ready for"),
    ):
        beyond = [block[number] - (1 + share) * block[0] - more for block in blocks]
        longer = [b for b, ns in zip(blocks, beyond, strict=True) if ns > MOST_NS]
        many = len(longer) >= max(SEVERAL, MOST * len(blocks))
        if min(beyond) > late or (told and many and number == 1):
            least = min(longer or blocks, key=lambda block: block[number] / max(1, block[0]))
            own, outer = least[0], least[number]
            return f"its clock says {own / 1e6:.3g} ms of a block {took} {outer / 1e6:.3g} ms"
    if all(own > (1 + SHARE) * outer for own, outer, *_ in blocks):
        own, outer, *_ = blocks[0]
        return f"its clock says {own / 1e6:.3g} ms of a block that took {outer / 1e6:.3g} ms"
    elapsed, others = (sum(block[i] for block in blocks) for i in (1, 2))
    if others > (SHARE + helpers) * elapsed + OTHERS_NS:
        cores = others / max(1, elapsed)
        return f"processes that it has started compute, too: {cores:.2g} cores meanwhile"
    return ""
