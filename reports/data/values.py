"""Values as texts, and the order and names of implementations in reports."""

import math
import re
from collections.abc import Iterable

from samegrad.implementations.contract import registry

KINDS = ("idiom", "variant", "peer")  # of a family, in this order
ORDER = [
    name
    for family in registry.FAMILIES
    for kind in KINDS
    for name, entry in registry.TABLE.items()
    if (entry.family, entry.kind) == (family, kind)
]


def in_order(names: Iterable[str]) -> list[str]:
    """Distinct names, from loops to compilers, each idiom before its variants and peers.

    Names that are in no family come last, in the order of their first appearance.
    """

    def position(name: str) -> int:
        return ORDER.index(name) if name in ORDER else len(ORDER)

    return sorted(dict.fromkeys(names), key=position)


def duration(seconds: float) -> str:
    """Three digits with a unit: 97.4 us; empty for NaN and infinity."""
    if not math.isfinite(seconds):
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
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


def interval_text(low: float, high: float) -> str:
    """The ends of an interval of ratios; empty where there is none."""
    return f"{digits(low)} to {digits(high)}" if math.isfinite(low) else ""


def range_text(values: Iterable[float]) -> str:
    """The least and the greatest of some numbers; empty for none."""
    ends = sorted(values)
    if not ends:
        return ""
    low, high = digits(ends[0]), digits(ends[-1])
    return low if low == high else f"{low} to {high}"


def bytes_text(value: float) -> str:
    """A size in KiB or MiB; empty for NaN."""
    if not math.isfinite(value):
        return ""
    return f"{value / 2**10:.0f} KiB" if value < 2**20 else f"{digits(value / 2**20)} MiB"


def folded(text: str) -> str:
    """Layer sizes with repeated widths counted: 784-(64 x 128)-10 where 128 occurs 64 times."""
    return re.sub(
        r"(?<=-)(\d+)(?:-\1){3,}(?=-)", lambda m: f"({m[0].count('-') + 1} x {m[1]})", text
    )
