"""Few combinations that contain every pair of options (pairwise testing)."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any


def pairs(row: Sequence[Any]) -> set[tuple[int, int, int, int]]:
    """All pairs of (option, its value's index) in one combination."""
    return {(i, row[i], j, row[j]) for i, j in combinations(range(len(row)), 2)}


def pairwise(options: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Combinations of one value per option, such that each two values meet in at least one.

    Greedy: each new combination begins with a pair that is still missing, and every other option
    takes the value that adds most missing pairs. The same for the same options.
    """
    sizes = [range(len(values)) for values in options]
    missing = {
        (i, a, j, b)
        for i, j in combinations(range(len(options)), 2)
        for a, b in product(sizes[i], sizes[j])
    }
    chosen = []
    while missing:
        i, a, j, b = min(missing)
        row: dict[int, int] = {i: a, j: b}
        for k in range(len(options)):
            if k not in row:
                row[k] = max(sizes[k], key=lambda v, k=k, row=row: _added(row | {k: v}, missing))
        indices = [row[k] for k in range(len(options))]
        missing -= pairs(indices)
        chosen.append(tuple(values[index] for values, index in zip(options, indices, strict=True)))
    return chosen


def _added(row: dict[int, int], missing: set[tuple[int, int, int, int]]) -> int:
    return sum((i, row[i], j, row[j]) in missing for i, j in combinations(sorted(row), 2))
