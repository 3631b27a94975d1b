"""What a terminal shows of a report: the matrix in its width."""

import math
from collections.abc import Iterator, Sequence

from samegrad.implementations.contract.columns import sentences, width
from samegrad.implementations.contract.texts import Coloured, clean
from samegrad.reports.data.matrix import BEST, DOUBT, Cell, Line, Matrix

MOST_LINES = 150  # of a matrix; more is nothing for a terminal
GREEN, YELLOW, DIM, BOLD = "1;32", "33", "2", "1"


def matrix(made: Matrix) -> Iterator[str]:
    """As many columns beside each other as there is room for, and the others below them."""
    if not made.lines:
        yield "no rows"
        return
    yield from sentences([f"Time per call; {made.legend}."])
    shown = made.lines[:MOST_LINES]
    first = max(len(clean(line.name)) for line in shown) + 2
    of_column = [[line.cells[i] for line in shown] for i in range(len(made.columns))]
    ratios = [max(len(cell.times) if cell else 0 for cell in cells) for cells in of_column]
    sizes = [
        max([len(clean(name)) + 1, *(len(_text(line.cells[i], ratios[i])) for line in shown)])
        for i, name in enumerate(made.columns)
    ]
    begin = 0
    while begin < len(sizes):
        end = begin + 1
        while end < len(sizes) and first + sum(s + 2 for s in sizes[begin : end + 1]) <= width():
            end += 1
        yield from _block(made, shown, first, sizes, ratios, range(begin, end))
        begin = end
    if len(made.lines) > len(shown):
        yield f"and {len(made.lines) - len(shown):,} more lines, in the report"


def _block(
    made: Matrix,
    shown: Sequence[Line],
    first: int,
    sizes: Sequence[int],
    ratios: Sequence[int],
    numbers: range,
) -> Iterator[str]:
    head = " " * first
    for i in numbers:
        head += "  " + f"{clean(made.columns[i])} ".rjust(sizes[i])
    yield Coloured(head, [(0, len(head), BOLD)])
    group = None
    for line in shown:
        if all(line.cells[i] is None for i in numbers):
            continue
        if line.group != group:
            group = line.group
            yield Coloured(clean(group), [(0, len(group), BOLD)])
        text, spans = f"  {clean(line.name)}".ljust(first), []
        for i in numbers:
            cell = line.cells[i]
            own = _text(cell, ratios[i]).rjust(sizes[i])
            begin = len(text) + 2 + len(own) - len(own.lstrip())
            text += "  " + own
            if cell is not None and (colour := _colour(cell)):
                spans.append((begin, len(text), colour))
        yield Coloured(text.rstrip(), spans)


def _text(cell: Cell | None, ratios: int) -> str:
    """Time, ratio (if there may be one) and mark."""
    if cell is None:
        return ""
    if not cell.times:
        return f"{clean(cell.time)}{cell.mark:1}"
    return f"{cell.time} {cell.times:>{ratios}}{cell.mark:1}"


def _colour(cell: Cell) -> str:
    if math.isnan(cell.seconds):
        return DIM
    return {BEST: GREEN, DOUBT: YELLOW}.get(cell.mark, "")
