"""Values as texts, for terminals and Markdown; and the order of implementations in reports."""

import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from samegrad.benchmarks.clock.durations import digits as digits
from samegrad.benchmarks.clock.durations import duration as duration
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.texts import clean

if TYPE_CHECKING:  # half a second, which a question to an archive need not wait for
    import pandas as pd

KINDS = ("idiom", "variant", "peer")  # of a family, in this order
ORDER = [
    name
    for family in registry.FAMILIES
    for kind in KINDS
    for name, entry in registry.TABLE.items()
    if (entry.family, entry.kind) == (family, kind)
]
MOST = 1_000  # characters of a cell or a line; what a journal says may be longer
READ = 100 * MOST  # of a text, which are cleaned and folded before it is cut


def in_order(names: Iterable[str]) -> list[str]:
    """Distinct names, from loops to compilers, each idiom before its variants and peers.

    Names that are in no family come last, in the order of their first appearance.
    """

    def position(name: str) -> int:
        return ORDER.index(name) if name in ORDER else len(ORDER)

    return sorted(dict.fromkeys(names), key=position)


def interval_text(low: float, high: float, text: Callable[[float], str] = digits) -> str:
    """The ends of an interval as texts; empty where there is none."""
    return f"{text(low)} to {text(high)}" if math.isfinite(low) else ""


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


def metric_text(metric: str, value: float) -> str:
    """What a network has learned, as people read it."""
    return f"{100 * value:.2f} %" if metric == "accuracy" else f"{value:.4g}"


def folded(text: str) -> str:
    """Layer sizes with repeated widths counted: 784-(64 x 128)-10 where 128 occurs 64 times."""
    return re.sub(
        r"(?<=-)(\d+)(?:-\1){3,}(?=-)", lambda m: f"({m[0].count('-') + 1} x {m[1]})", text
    )


def brief(value: Any) -> str:
    """A text, cut where it is longer than anyone reads."""
    text = str(value)
    short = folded(clean(text[:READ]))
    if len(short) <= MOST and len(text) <= READ:
        return short
    return short[:MOST] + f" ... ({max(len(text), len(short)):,} characters)"


def cell(value: Any) -> str:
    """A text that means itself in Markdown."""
    text = brief(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    text = re.sub(r"([\[\]])", r"\\\1", text)
    return re.sub(r"\s*[\r\n]+\s*", " ", text)


def markdown_table(table: "pd.DataFrame") -> str:
    """A table of texts, in Markdown."""
    return table.rename(columns=cell).map(cell).to_markdown(index=False, disable_numparse=True)


def foldable(title: str, markdown: str) -> str:
    """What a reader opens by its title, in Markdown."""
    return f"<details><summary>{cell(title)}</summary>\n\n{markdown}\n\n</details>"
