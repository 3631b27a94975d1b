"""A loop over independent calls, and which of their results is looked at."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from os import urandom
from typing import Any

Tree = Any
# Results that may wait for the synchronisation together: enough to hide the wait itself, which
# takes longer than a small call (8, 16, 32: JAX's smallest gradient takes 26.7, 25.9, 25.6 us), and
# too few to fill the cache, or to take long when they are waited for once more.
MOST_PENDING, MOST_PENDING_BYTES = 16, 16 * 2**20
# A GPU fills no cache of ours with them: three gradients of 8192-8192-8192-10, so that the next one
# is queued while one is computed.
MOST_PENDING_BYTES_GPU = 2**31
MOST_HELD = 128  # results that are kept once, without a clock: does one come in another's memory?


@dataclass(frozen=True)
class Several:
    """What is kept of the results of some independent calls.

    Attributes:
        last: of the last calls, all.
        before: how many calls precede these.
        one: number and result of one of those before, each with the same probability.
    """

    last: list[Tree]
    before: int = 0
    one: tuple[int, Tree] | None = None

    def any(self) -> tuple[int, Tree]:
        """Number and result of one of all calls, each with the same probability."""
        number = _random(self.before + len(self.last))
        if self.one is not None and number < self.before:
            return self.one
        return number, self.last[number - self.before]


def copied(copies: Callable[[Tree], Tree], result: Tree) -> Tree:
    """What a block left, with new arrays."""
    if not isinstance(result, Several):
        return copies(result)
    one = result.one and (result.one[0], copies(result.one[1]))
    return replace(result, last=copies(result.last), one=one)


def repeated(
    call: Callable[[Tree, int], Tree], synchronize: Callable[[Tree], None], most: int
) -> Callable[[int, Tree], Several]:
    """A loop over independent calls that waits for some of them at once, as `Work.run`.

    Which result is kept is drawn when it is there: no call can know whether it counts.

    Args:
        call: gets what the block starts from, and its number.
        most: results that may wait together (`most_pending`).
    """

    def run(calls: int, start: Tree) -> Several:
        pending: list[Tree] = []
        one, waits = None, 0
        for i in range(calls):
            result = call(start, i)
            if len(pending) == most:
                synchronize(pending)
                waits += 1
                if not _random(waits):
                    number = _random(most)
                    one = i - most + number, pending[number]
                pending = []
            pending.append(result)
        return Several(pending, calls - len(pending), one)

    return run


def most_pending(result_bytes: int, device: str = "cpu") -> int:
    """How many results of this size may wait for the synchronisation together."""
    most = MOST_PENDING_BYTES if device == "cpu" else MOST_PENDING_BYTES_GPU
    return max(1, min(MOST_PENDING, most // max(1, result_bytes)))


def _random(below: int) -> int:
    return int.from_bytes(urandom(4), "little") % below
