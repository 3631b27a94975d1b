"""A user's data, changed in place for a while: other data of the same kind."""

import contextlib
from typing import Any

import numpy as np

from samegrad.implementations.state.leaves import Leaf
from samegrad.implementations.state.reach import Reached

SHRUNK = 0.9  # data that is no 0 and 1 becomes so many times itself: as large, and other


def _within(value: Any, whole: Any) -> bool:
    """Whether a value is another, or one of the lists that this consists of, such as an example."""
    if value is whole:
        return True
    nested = isinstance(whole, list | tuple) and whole and isinstance(whole[0], list | tuple)
    return bool(nested) and any(_within(value, part) for part in whole)


class OtherData:
    """The user's data, changed in place for a while."""

    def __init__(self, data: tuple[Any, ...]) -> None:
        self.reached = Reached()
        for index, part in enumerate(data):
            self.reached.add(part, f"data[{index}]")
        self.keep()

    def keep(self) -> None:
        """Take what is held by now, such as tensors of more digits, for what to go back to."""
        self._before = self.reached.snapshot()
        self._values = [array.copy() for array in self.reached.arrays]

    def changed_by_calls(self) -> bool:
        """Whether the user's functions wrote into the data."""
        now = zip(self.reached.arrays, self._values, strict=True)
        return any(not np.array_equal(a, b) for a, b in now if a.dtype != object)

    def shares(self, leaf: Leaf) -> bool:
        """Whether a leaf is the data, a part of it, or equal to it."""
        if isinstance(leaf.value, np.ndarray):
            if any(np.may_share_memory(leaf.value, a) for a in self.reached.arrays):
                return True
        elif any(_within(leaf.value, held.value) for held in self.reached.leaves):
            return True
        mine = leaf.read()
        if mine.size < 2:
            return False
        whole = (np.asarray(a) for a in self.reached.arrays if a.dtype.kind in "fiub")
        parts = [*whole, *(held.read() for held in self.reached.leaves)]
        return any(p.shape == mine.shape and np.array_equal(p, mine) for p in parts)

    @property
    def count(self) -> int:
        """Of what can be changed."""
        return len(self.reached.arrays) + len(self.reached.leaves)

    def change(self, share: float = 1.0, only: int | None = None) -> bool:
        """Other data of the same kind; False if nothing could be changed.

        Args:
            share: of itself that each number becomes. With 1 only their order is another: what
                adds up to 1, as probabilities do, still does.
            only: which of `count` is changed; by default all.
        """
        changed = False
        arrays = len(self.reached.arrays)
        for index, array in enumerate(self.reached.arrays):
            if (
                only in (None, index)
                and array.dtype != object
                and array.size > 1
                and array.flags.writeable
            ):
                array[...] = other(array, index, share)
                changed = True
        for index, leaf in enumerate(self.reached.leaves):
            if isinstance(leaf.value, np.ndarray | float | np.floating) or leaf.size < 2:
                continue
            if only in (None, arrays + index):
                with contextlib.suppress(Exception):  # what cannot be written stays
                    leaf.write(other(leaf.read(), index, share))
                    changed = True
        return changed

    def restore(self) -> None:
        """As they were."""
        self._before.restore()

    @property
    def batch_and_outputs(self) -> tuple[int, ...]:
        """Lengths that constants of a gradient come from."""
        sizes: list[int] = []
        for array in self.reached.arrays:
            sizes += [int(n) for n in array.shape]
        for leaf in self.reached.leaves:
            sizes += [int(n) for n in leaf.shape]
        return tuple(dict.fromkeys(n for n in sizes if n > 1))


def other(values: Any, turn: int, share: float) -> Any:
    """Numbers in another order, and a share of each where they are more than 0 and 1."""
    rolled = np.roll(values, 1 + turn, axis=0)
    binary = values.dtype.kind != "f" or np.isin(values, (0.0, 1.0)).all()
    return rolled if binary or share == 1 else (share * rolled).astype(values.dtype)
