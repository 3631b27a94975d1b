"""What is exact and what is not: rounded constants, and the line at which exactness is lost."""

import itertools
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import CodeType, FrameType

import mpmath

from samegrad.implementations.contract.sources import is_users

DIGITS = 60  # of an interval; what a network loses of them is a handful
# A constant that a double rounds is read as a simple fraction in the second of two runs (`simple`).
ROUNDED = Fraction(1, 2**40)  # of a third and the like, of itself: also typed with 13 digits
COMPUTED = Fraction(1, 2**50)  # of a decimal, by a few roundings of numbers around 1 (1 - 0.9)
SIMPLE, DECIMAL = 1000, 10**6  # largest denominators: chance finds one that near in 1 of 1000


class NotExactError(Exception):
    """Something that has no exact result, or that would round; the message says what and where."""


@dataclass
class Run:
    """What is known of the present run of somebody's code over exact numbers.

    Attributes:
        simple: whether constants that are rounded are read as the simple fractions they round.
        read: those that were, by the float.
        lost: every place where exactness was lost, whatever became of the exception.
        pattern: of the outcomes of all comparisons: in which region of the formula this was.
    """

    simple: bool = False
    read: dict[float, Fraction] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    pattern: int = 0


_run = Run()


def present() -> Run:
    """The run that is going on."""
    return _run


@contextmanager
def exact_run(simple: bool = False) -> Iterator[Run]:
    """What happens inside is told in the Run; intervals have DIGITS digits."""
    global _run
    outer, digits = _run, mpmath.iv.dps
    _run, mpmath.iv.dps = Run(simple), DIGITS
    try:
        yield _run
    finally:
        _run, mpmath.iv.dps = outer, digits


def lost(what: str) -> NotExactError:
    """An exception that says what is not exact, at the line of the user's code that asks for it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not users(frame.f_code):
        frame = frame.f_back
    where = "" if frame is None else place(frame.f_code, frame.f_lasti, frame.f_lineno)
    _run.lost.append(f"{where}{what}")
    return NotExactError(_run.lost[-1])


def users(code: CodeType) -> bool:
    """Whether code is of the file that is run: not ours, not a library's."""
    return is_users(code.co_filename)


def place(code: CodeType, instruction: int, line: int) -> str:
    """FILE:LINE and the expression that was running, with a colon behind."""
    positions = next(itertools.islice(code.co_positions(), instruction // 2, None), None)
    text = linecache.getline(code.co_filename, line)
    if positions is not None and positions[0] == positions[1] == line:
        text = text.encode()[positions[2] : positions[3]].decode(errors="replace")
    text = " ".join(text.split())[:100]
    return f"{Path(code.co_filename).name}:{line}: {f'`{text}`: ' if text else ''}"


def simple(constant: float) -> Fraction:
    """The fraction that a constant rounds, where that can be told; else its own value.

    A third can't be written as a float or a decimal: within 2^-40 it is meant. A decimal can be
    written, so that 1.00000000000001 is not 1: it is meant only where arithmetic rounds as much.
    """
    exact = Fraction(constant)
    near = exact.limit_denominator(SIMPLE)
    rest = near.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest == 1 or abs(near - exact) > ROUNDED * abs(exact):
        near = exact.limit_denominator(DECIMAL)
        if abs(near - exact) > min(COMPUTED * max(Fraction(1), abs(exact)), ROUNDED * abs(exact)):
            return exact
    if near != exact:
        _run.read[constant] = near
    return near
