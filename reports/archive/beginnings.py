"""Hashes of beginnings of a file, by which a shorter version of it is held to a longer one.

The archive keeps no journal. That a longer one goes on from what is there is seen by hashing its
first bytes; whether a shorter one is the beginning of what is there takes hashes of beginnings:
of `step` bytes, of twice as many, and so on. There are 32 to 63 of them, or fewer of a tiny file:
when there are more, every other one is dropped, and the step is twice as long.
"""

import hashlib
import re

MOST = 64
LEAST_STEP = 64  # bytes
DIGITS = 8  # of a hash: it is to tell files apart that differ, not to withstand who seeks one
FORM = re.compile(rf"[1-9]\d{{0,14}}(?: [0-9a-f]{{{DIGITS}}}){{0,{MOST}}}")


class Beginnings:
    """The hash of what was taken in so far, and those of its beginnings."""

    def __init__(self) -> None:
        """Of nothing."""
        self.whole, self.size = hashlib.sha256(), 0
        self._step, self._hashes = LEAST_STEP, list[str]()

    def update(self, data: bytes) -> None:
        """Take in what follows."""
        left = memoryview(data)
        while left:
            part = left[: self._step - self.size % self._step]
            self.whole.update(part)
            self.size, left = self.size + len(part), left[len(part) :]
            if self.size % self._step == 0:
                self._hashes.append(self.whole.hexdigest()[:DIGITS])
                if len(self._hashes) == MOST:
                    self._step, self._hashes = 2 * self._step, self._hashes[1::2]

    def text(self, size: int) -> str:
        """The step, and the hashes of beginnings that are no longer than a size."""
        return " ".join([str(self._step), *self._hashes[: size // self._step]])


def agree(one: str, other: str) -> bool:
    """Whether two files may have the same beginning, by what is known of both; "": nothing is."""
    if not (FORM.fullmatch(one) and FORM.fullmatch(other)):
        return True
    (a, *ours), (b, *theirs) = one.split(), other.split()
    step = max(int(a), int(b))
    if step % int(a) or step % int(b):
        return True
    every = zip(ours[step // int(a) - 1 :: step // int(a)],
                theirs[step // int(b) - 1 :: step // int(b)], strict=False)  # fmt: skip
    return all(x == y for x, y in every)
