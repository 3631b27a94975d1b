"""The exact derivative of a number with respect to the variables that it was computed from."""

from collections.abc import Sequence
from fractions import Fraction

from samegrad.implementations.proof.number import Number, Value, same


def gradient(of: Number, variables: Sequence[Number]) -> list[Value]:
    """The exact derivatives of a number with respect to variables."""
    seen: dict[int, Number] = {}
    waiting = [of] if of.parents else []
    while waiting:
        number = waiting.pop()
        if number.serial not in seen:
            seen[number.serial] = number
            waiting += [parent for parent, _ in number.parents or ()]
    slopes: dict[int, Value] = {of.serial: Fraction(1)}
    for serial in sorted(seen, reverse=True):  # after everything that was computed from it
        slope = slopes[serial]
        for parent, partial in seen[serial].parents or ():
            here = slope * partial if isinstance(partial, int) else _times(slope, partial)
            known = slopes.get(parent.serial)
            slopes[parent.serial] = here if known is None else _plus(known, here)
    return [slopes.get(variable.serial, Fraction(0)) for variable in variables]


def _times(a: Value, b: Value) -> Value:
    a, b = same(a, b)
    return a * b


def _plus(a: Value, b: Value) -> Value:
    a, b = same(a, b)
    return a + b
