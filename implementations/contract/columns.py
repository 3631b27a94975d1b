"""Sentences and tables in the width of a terminal: one place for all commands."""

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence

from samegrad.implementations.contract.commands import command
from samegrad.implementations.contract.texts import TYPED, clean

LEAST_WIDTH, WIDEST = 40, 100  # of a table at least; of a sentence at most
LEAST_TEXT = 24  # columns for a text beside others; else it goes below
GAP = "  "
KEPT = "\0"  # a space at which nothing breaks: no clean text has this


def width() -> int:
    """Of the terminal; 80 where nobody knows it, such as in a pipe."""
    return max(LEAST_WIDTH, shutil.get_terminal_size((80, 24)).columns)


def room() -> int:
    """The same of a table; in a pipe or a file, which have no width, without end."""
    return width() if sys.stdout is not None and sys.stdout.isatty() else sys.maxsize


def sentences(lines: Iterable[str]) -> Iterator[str]:
    """Broken where the terminal ends; what is left of a sentence is indented."""
    for line in lines:
        yield from wrapped(line, min(width(), WIDEST), GAP, True)


def wrapped(line: str, wide: int, indent: str, words: bool = False) -> list[str]:
    """A line in lines of so many columns at most; a command in backticks stays whole, if it can.

    Args:
        words: whether longer ones are broken, too: not those that somebody may copy.
    """
    text = clean(line)
    if len(text) <= wide:
        return [text]
    begin = line[: len(line) - len(line.lstrip())]
    wide = max(wide, LEAST_WIDTH)
    room = wide - len(begin + indent) - 1  # and a full stop
    broken = textwrap.wrap(
        TYPED.sub(lambda m: m[0].replace(" ", KEPT) if len(m[0]) <= room else m[0], text).lstrip(),
        wide,
        initial_indent=begin,
        subsequent_indent=begin + indent,
        break_on_hyphens=False,
        break_long_words=words,
    )
    return [part.replace(KEPT, " ") for part in broken] or [""]


def folded(lines: Iterable[str], indent: str = GAP) -> Iterator[str]:
    """Lines as long as a table may be; what is left of one is indented.

    A line that is a command stays: it is there to be copied.
    """
    program = command()
    for line in lines:
        copied = line.lstrip().startswith(program)
        yield from [clean(line)] if copied else wrapped(line, room(), indent)


def table(
    rows: Sequence[Sequence[str]], right: Collection[int] = (), indent: str = ""
) -> Iterator[str]:
    """Rows in columns; where that is too wide, nearer to each other, then the last cell folded.

    Where there is no room for that, the first cell has a line of its own.

    Args:
        rows: of as many cells each.
        right: numbers of columns whose cells end below each other.
        indent: of each row.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    if not cells:
        return
    sizes = [max(map(len, column)) for column in zip(*cells, strict=True)]
    least = len(indent) + sum(sizes[:-1]) + len(sizes) - 1 + min(sizes[-1], LEAST_TEXT)
    stacked = len(sizes) > 2 and least > room()
    firsts = [indent + row.pop(0) for row in cells] if stacked else []
    if stacked:
        sizes, right, indent = sizes[1:], [i - 1 for i in right], indent + 2 * GAP
    whole = len(indent) + sum(sizes)
    near = whole + len(GAP) * (len(sizes) - 1) > room() >= whole + len(sizes) - 1
    gap = " " if near else GAP
    for number, row in enumerate(cells):
        if stacked:
            yield from wrapped(firsts[number], room(), GAP)
        *first, last = (
            cell.rjust(size) if i in right else cell.ljust(size)
            for i, (cell, size) in enumerate(zip(row, sizes, strict=True))
        )
        begin = indent + "".join(cell + gap for cell in first)
        last = last.rstrip()
        left = room() - len(begin)
        if len(last) <= left:
            yield (begin + last).rstrip()
        elif left >= max(LEAST_TEXT, *map(len, last.split())):
            beside = textwrap.wrap(last, left, break_on_hyphens=False)
            yield begin + beside[0]
            yield from (" " * len(begin) + text for text in beside[1:])
        else:
            yield from wrapped(begin.rstrip(), room(), 2 * GAP)
            yield from wrapped(f"{indent}{2 * GAP}{last}", room(), GAP)
