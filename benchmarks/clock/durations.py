"""Durations and other numbers as people read them."""

import math


def duration(seconds: float) -> str:
    """Three digits with a unit: 97.4 us; empty for NaN and infinity."""
    if not math.isfinite(seconds):
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds / 1e-9)} ns"


def digits(value: float) -> str:
    """Three significant digits without an exponent, thousands separated; empty for NaN."""
    if not math.isfinite(value):
        return ""
    if value == 0:
        return "0"
    places = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):,.{max(0, places)}f}"
