"""One page of the site from its rows: of a case on all machines, of a machine among all others.

A site of many machines has its pages made by several processes, so what a page is made from is
plain data: `Site`, which all of them have, and rows in the order of `Value`.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, Template, select_autoescape

from samegrad.benchmarks.clock.intervals import NO_DIFFERENCE
from samegrad.implementations.contract.files import replaced
from samegrad.implementations.contract.texts import clean
from samegrad.reports.archive import queries
from samegrad.reports.archive.cells import Cell, row_html
from samegrad.reports.data.values import brief, digits, duration, folded, in_order
from samegrad.reports.document.page import digest, key

MOST_COLUMNS = 24  # of a table of machines by cases


class Value(NamedTuple):
    """The newest value of a case on a machine, in the order in which it is asked for.

    Attributes:
        middle, machines, place: the median of all machines that have it, their number, its rank.
    """

    workload: str
    layers: str
    operation: str
    batch_size: int
    transfer: str
    dtype: str
    implementation: str
    device: str
    threads: str
    ranks: int | None
    fingerprint: str
    seconds: float
    seconds_low: float | None
    seconds_high: float | None
    limit_seconds: float | None
    quality: str | None
    middle: float
    machines: int
    place: int


GROUP = Value._fields[:5]  # what one page of a case is about


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        filter: label of the box that filters it, "" for none.
        wraps: whether its last column is a long text; without a filter, all of them are.
    """

    title: str
    heads: Sequence[str]
    lines: Iterable[Sequence[str | Cell]]
    filter: str = ""
    numbers: frozenset[int] = frozenset()
    wraps: bool = False


@dataclass(frozen=True)
class Page:
    """What a page says; `up` leads from it to the site's top."""

    title: str
    lines: Sequence[str]
    tables: Sequence[Table]
    up: str = ""
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """What every page is made with.

    Attributes:
        folder: where it is written.
        latest: fingerprint -> the newest run of that machine.
        told: how much all of it is, in words.
    """

    folder: Path
    latest: dict[str, dict[str, Any]]
    told: str

    @cached_property
    def template(self) -> Template:
        """Of every page; not handed to other processes, where it is made again."""
        return template("site.html")

    @cached_property
    def names(self) -> dict[str, str]:
        """Fingerprint -> what the page of that machine is called."""
        return {one: file_name(one) for one in self.latest}

    def write(self, name: str, page: Page) -> None:
        """Write one page."""
        css, script = _file("site.css"), _file("site.js")
        text = self.template.render(page=page, told=self.told, css=css, script=script)
        self.replace(name, text, wait="/" not in name)  # others are many

    def replace(self, name: str, text: str, wait: bool = True) -> None:
        """Write one file."""
        with replaced(self.folder / name, wait) as beside:
            beside.write_text(text, "utf-8")

    def __getstate__(self) -> dict[str, Any]:
        """For another process: its fields."""
        return {name: self.__dict__[name] for name in ("folder", "latest", "told")}


def template(name: str) -> Template:
    """A file beside this one; what is put into it is text."""
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=lambda value: value if hasattr(value, "__html__") else clean(str(value)),
    )
    environment.filters |= {"digest": digest, "row": row_html}
    return environment.from_string(_file(name))


@lru_cache
def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


def file_name(text: str) -> str:
    """A name that is a file's everywhere, the same for the same text."""
    if re.fullmatch("[0-9a-f]{4,16}", text):
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


class Standing(NamedTuple):
    """How one who computes a case stands among the others, machine by machine.

    Times of different machines are not compared: who was measured on the fastest one would win.

    Nor are values without an interval, of which nobody knows which is the faster.

    Attributes:
        machines: that have it.
        first, known: of so many on which it can be compared, on how many none is certainly faster.
        times: its time over that of the fastest on the same machine, the geometric mean.
    """

    machines: int
    first: int
    known: int
    times: float


def standings(machines: Iterable[Mapping[str, Value]]) -> dict[str, Standing]:
    """Column -> how it stands, from the values of each machine by their columns."""
    count, first, logs = Counter[str](), Counter[str](), dict[str, list[float]]()
    for its in machines:
        count.update(its.keys())
        known = {head: v for head, v in its.items() if None not in (v.seconds_low, v.seconds_high)}
        best = min(known.values(), key=lambda value: value.seconds, default=None)
        for head, value in known.items():
            assert best is not None and best.seconds_high is not None  # as asked above
            assert value.seconds_low is not None
            logs.setdefault(head, []).append(math.log(value.seconds / best.seconds))
            first[head] += value.seconds_low <= NO_DIFFERENCE * best.seconds_high
    return {
        head: Standing(
            many, first[head], len(own := logs.get(head, [])), math.exp(sum(own) / max(1, len(own)))
        )
        for head, many in count.items()
    }


class CasePage(NamedTuple):
    """What the index says of the page of a case.

    Attributes:
        standings: column -> how it stands among the others of each machine.
        machines: how many have it.
    """

    title: str
    name: str
    standings: dict[str, Standing]
    machines: int


def case_page(site: Site, number: int, rows: Sequence[tuple[Any, ...]]) -> CasePage:
    """Write the page of a case: machines by implementations."""
    machines: dict[str, dict[str, Value]] = {}
    for value in map(Value._make, rows):
        machines.setdefault(value.fingerprint, {})[column(value)] = value
    stand = standings(machines.values())
    title = case_title(Value._make(rows[0]))
    heads = sorted(in_order_first(stand), key=lambda c: -stand[c].machines)[:MOST_COLUMNS]
    none = Cell("", order="")
    lines = [
        [
            Cell(site.latest[one]["machine"], f"../machines/{site.names[one]}.html"),
            *(_time(its[head]) if head in its else none for head in heads),
            *about(site.latest[one]),
        ]
        for one, its in sorted(machines.items(), key=lambda item: _fastest(item[1]))
    ]
    titles = ["machine", *heads, "cores", "GPU", "date"]
    numbers = frozenset(range(1, 2 + len(heads)))
    table = Table("", titles, lines, "Filter machines", numbers)
    said = (
        "Time per call, the newest of each machine; ~: noisy. Its interval: point at it; on a "
        "phone it stands below."
    )
    name = f"cases/{number:04}-{key(title)[:60]}.html"
    site.write(name, Page(title, [said], [table], "../"))
    return CasePage(title, name, stand, len(machines))


def _fastest(its: Mapping[str, Value]) -> float:
    return min(value.seconds for value in its.values())


def machine_page(
    site: Site, runs: Sequence[dict[str, Any]], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Write the page of a machine: what it is, its runs, its newest values among all machines'."""
    run = runs[-1]
    named = ("cpu", "cores", "gpu", "system", "architecture", "python", "fingerprint")
    facts = {what: str(run[what]) for what in named}
    facts["libraries"] = ", ".join(map(" ".join, queries.versions(run["versions"]).items()))
    values = [line(value) for value in map(Value._make, rows)]
    heads = ["case", "who", "time", "times the limit", "over the median machine", "rank"]
    history = [
        [one["started"][:16], one["run"], one["commit"], "complete" if one["complete"] else "not",
         "busy" if one["machine_too_busy"] else "", Cell(f"{one['rows']:,}", order=one["rows"])]
        for one in reversed(runs)
    ]  # fmt: skip
    shown = [
        Table("Values", heads, values, "Filter values", frozenset({2, 3, 4, 5})),
        Table("Runs", ["date", "run", "commit", "end", "state", "rows"], history,
              numbers=frozenset({5})),
    ]  # fmt: skip
    name = f"machines/{site.names[run['fingerprint']]}.html"
    site.write(name, Page(run["machine"], [], shown, "../", facts))


def line(value: Value) -> list[str | Cell]:
    """Of a machine's page: a case, who, its time, and how that stands."""
    times = value.seconds / value.middle
    alone = value.machines == 1
    over = value.seconds / value.limit_seconds if value.limit_seconds else None
    return [
        case_title(value),
        column(value),
        _time(value),
        Cell("", order="") if over is None else Cell(digits(over), order=over),
        Cell("" if alone else f"{times:.2f}", order=times),
        Cell(f"{value.place:,} of {value.machines:,}", order=value.place),
    ]


def column(value: Value) -> str:
    """The column of a value in the table of its case: who computes, and how if not as usual."""
    return _column(value.implementation, value.dtype, value.device, value.threads, value.ranks)


@lru_cache(maxsize=2**12)
def _column(name: str, dtype: str, device: str, threads: str, ranks: int | None) -> str:
    words = [name]
    words += [dtype] * (dtype != "float32")
    words += [device] * (device != "cpu")
    words += [f"{threads} thread{'s' * (threads != '1')}"] * (threads != "all")
    words += [f"{ranks} ranks"] * (ranks not in (None, 1))
    return " ".join(words)


def in_order_first(columns: Iterable[str]) -> list[str]:
    """Columns in the order of their implementations; of versions, older ones first."""
    columns = sorted(columns, key=_natural)
    order = {name: n for n, name in enumerate(in_order(c.split(" ")[0] for c in columns))}
    return sorted(columns, key=lambda c: order[c.split(" ")[0]])


def _natural(text: str) -> list[tuple[int, int, str]]:
    """A key by which "0.4.9" stands before "0.4.10"."""
    parts = re.split(r"(\d{1,9})", text)  # longer ones are no versions
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def case_title(value: Value) -> str:
    """What is timed, in words."""
    return _case_title(*value[: len(GROUP)])


@lru_cache(maxsize=2**12)
def _case_title(workload: str, layers: str, operation: str, batch: int, transfer: str) -> str:
    network = folded(layers)
    if workload != layers:  # which is what a network of --layers is called
        network = f"{workload} ({network})" if layers else workload
    how = "" if transfer == "resident" else f", {transfer.replace('_', ' ')}"
    return brief(f"{network}, {operation}, batch {batch:,}{how}")


def _time(value: Value) -> Cell:
    low, high = value.seconds_low, value.seconds_high
    span = "" if low is None or high is None else f"{duration(low)} to {duration(high)}"
    noisy = "~" * (value.quality != "good")
    return Cell(f"{duration(value.seconds)}{noisy}", "", value.seconds, span)


def about(run: dict[str, Any]) -> list[str | Cell]:
    """What the line of a machine says of it and of its newest run."""
    cores = run["cores"]
    return [Cell(f"{cores or ''}", order=cores or ""), run["gpu"], run["started"][:10]]
