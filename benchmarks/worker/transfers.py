"""How batches come from the host's memory to the device, inside the clock of rows end to end."""

from collections.abc import Callable, Sequence

from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import Array

Batch = tuple[Array, Array]


class Pageable:
    """From where NumPy has them: what a call begins with is a copy, and the wait for it."""

    def __init__(self, implementation: Implementation, device: str) -> None:
        self.implementation, self.device = implementation, device

    def host(self, batches: Sequence[Batch]) -> list[Batch]:
        """Batches as `copy` takes them; made outside the clock."""
        return list(batches)

    def copy(self, X: Array, y: Array) -> Batch:
        """A batch of checked inputs on the device."""
        place = self.implementation.backend.place
        return place(X, self.device), place(y, self.device)


class Pinned(Pageable):
    """From pinned memory, in which a GPU reads by itself: no call waits for its copy.

    Raises:
        NotImplementedError: the implementation has none.
    """

    def __init__(self, implementation: Implementation, device: str) -> None:
        super().__init__(implementation, device)
        if implementation.capabilities.pinned is None:
            raise NotImplementedError(f"{implementation.name} has no pinned memory")
        self.pinned = implementation.capabilities.pinned
        self.made: dict[tuple[int, tuple[int, ...]], Callable[[], Array]] = {}

    def host(self, batches: Sequence[Batch]) -> list[Batch]:
        """Copies in pinned memory, of each array one."""
        return [(self._once(X), self._once(y)) for X, y in batches]

    def copy(self, X: Array, y: Array) -> Batch:
        """A batch on the device once all is there that was told before."""
        return X(), y()

    def _once(self, array: Array) -> Callable[[], Array]:
        key = array.ctypes.data, array.shape
        if key not in self.made:
            self.made[key] = self.pinned(array, self.device)
        return self.made[key]


WAYS: dict[str, type[Pageable]] = {"end_to_end": Pageable, "end_to_end_pinned": Pinned}


class Ways(dict[str, Pageable | None]):
    """transfer: how batches come to the device inside the clock; None where they are there."""

    def __init__(self, implementation: Implementation, device: str) -> None:
        super().__init__(resident=None)
        self.implementation, self.device = implementation, device

    def __missing__(self, transfer: str) -> Pageable:
        way = self[transfer] = WAYS[transfer](self.implementation, self.device)
        return way
