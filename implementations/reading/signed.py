"""Errors with a sign, which are no losses."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.replayed import Quantity

Array = Any


def is_difference(key: Quantity, known: Mapping[Quantity, Array], target: Array) -> bool:
    """Whether an "error" is no loss, but by how much something is off.

    It is negative, or the difference of two numbers that are known: of what has another name, of
    targets, and of 0 and 1, as labels are.
    """
    if not names.WEAK.fullmatch(names.plain(key[2])):
        return False
    value = known[key].item()
    others = [
        other.item() for name, other in known.items()
        if other.size == 1 and not names.WEAK.fullmatch(names.plain(name[2]))
    ]  # fmt: skip
    wanted = [-1.0, 0.0, 1.0, *others, *(np.ravel(target) if np.size(target) == 1 else [])]
    apart = np.abs(np.subtract.outer(others, wanted))
    return value < 0 or bool(np.isclose(value, apart, 1e-9, 0).any())
