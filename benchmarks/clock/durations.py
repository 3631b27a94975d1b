"""Durations and other numbers as people read them."""

import math
from decimal import ROUND_HALF_UP, Context, Decimal


def duration(seconds: float) -> str:
    """Three digits with a unit: 97.4 us; empty for NaN and infinity."""
    if not math.isfinite(seconds):
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds / 1e-9)} ns"


def digits(value: float, count: int = 3) -> str:
    """Significant digits without an exponent, thousands separated; empty for NaN and infinity.

    Halves are rounded away from zero, as JavaScript's `toPrecision` does: the page writes the same
    numbers by `digits` of its script.
    """
    if not math.isfinite(value):
        return ""
    if value == 0:
        return "0"
    rounded = Context(prec=count, rounding=ROUND_HALF_UP).plus(Decimal(float(value)))
    return f"{rounded:,.{max(0, count - 1 - rounded.adjusted())}f}"
