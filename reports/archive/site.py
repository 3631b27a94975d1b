"""An archive as static pages: cases, machines by cases, a page for each machine, a feed of changes.

A page asks for nothing and runs no script but its own, which filters and sorts; without it all is
there, too. What comes from the archive is text, and names no file.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, Template, select_autoescape

from samegrad.implementations.contract.files import replaced
from samegrad.implementations.contract.texts import clean
from samegrad.reports.archive import queries, tables
from samegrad.reports.archive.cells import Cell, row_html
from samegrad.reports.archive.queries import VALUE, Filters
from samegrad.reports.archive.store import ArchiveError, select
from samegrad.reports.data.values import brief, duration, folded, in_order
from samegrad.reports.document.page import digest, key

FEED = 100  # entries
CHUNK = 2**14  # rows that are fetched at a time
MOST_COLUMNS = 24  # of a table of machines by cases
GROUP = "workload, layers, operation, batch_size, transfer"
# The newest value of each case on each machine, its rank among them and their median.
NEWEST = f"""
WITH newest AS (
    SELECT * FROM rows WHERE {VALUE}
    {{once}}
), cases AS (
    SELECT case_id, median(seconds) AS middle, count(*) AS machines FROM newest GROUP BY case_id
)
SELECT newest.*, middle, machines,
    rank() OVER (PARTITION BY case_id ORDER BY seconds) AS place
FROM newest JOIN cases USING (case_id)
"""
ONCE = """
    QUALIFY row_number() OVER (
        PARTITION BY fingerprint, case_id ORDER BY started DESC, run_id DESC
    ) = 1
"""
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Table:
    """A table; `filter` is the label of the box that filters it, "" for none."""

    title: str
    heads: Sequence[str]
    lines: Iterable[Sequence[str | Cell]]
    filter: str = ""
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Page:
    """What a page says; `up` leads from it to the site's top."""

    title: str
    lines: Sequence[str]
    tables: Sequence[Table]
    made_from: str
    up: str = ""
    facts: dict[str, str] = field(default_factory=dict)


def write(connection: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Write the site of an archive; how many pages it has.

    Raises:
        ArchiveError: the folder holds something else.
        OSError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or _foreign(folder)):
        raise ArchiveError(f"{folder}: neither an empty folder nor an older site of an archive")
    for name in ("machines", "cases"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    page = partial(_write, _template("site.html"), folder)
    runs = _runs(connection)
    names = {one["fingerprint"]: file_name(one["fingerprint"]) for one in runs}
    latest = {one["fingerprint"]: one for one in runs}  # of each machine the newest is last
    rows = sum(one["rows"] for one in runs)
    told = f"{len(runs):,} runs on {len(latest):,} machines, {rows:,} rows"
    newest = NEWEST.format(once="" if len(runs) == len(latest) else ONCE)
    groups = list(_cases(connection, newest, names, latest, page, told))
    page("index.html", _index(groups, told))
    page("machines.html", _machines(runs, latest, names, told))
    _machine_pages(connection, newest, runs, names, page, told)
    entries = [_entry(connection, one, names) for one in _last_added(connection)]
    feed = _template("feed.xml").render(
        updated=entries[0]["updated"] if entries else _now(), entries=entries
    )
    _replace(folder / "feed.xml", NO_XML.sub("?", feed))
    return 2 + len(groups) + len(latest)


def _foreign(folder: Path) -> bool:
    return any(folder.iterdir()) and not (folder / "feed.xml").is_file()


def _template(name: str) -> Template:
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=lambda value: value if hasattr(value, "__html__") else clean(str(value)),
    )
    environment.filters |= {"digest": digest, "row": row_html}
    return environment.from_string(_file(name))


def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


def _write(template: Template, folder: Path, name: str, page: Page) -> None:
    text = template.render(page=page, css=_file("site.css"), script=_file("site.js"))
    _replace(folder / name, text, wait=name in ("index.html", "machines.html"))  # others are many


def _replace(path: Path, text: str, wait: bool = True) -> None:
    with replaced(path, wait) as beside:
        beside.write_text(text, "utf-8")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def file_name(text: str) -> str:
    """A name that is a file's everywhere, the same for the same text."""
    if re.fullmatch("[0-9a-f]{4,16}", text):
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def _dicts(answer: Any) -> Iterator[dict[str, Any]]:
    heads = [column[0] for column in answer.description]
    while lines := answer.fetchmany(CHUNK):
        for line in lines:
            yield dict(zip(heads, line, strict=True))


def _runs(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    return list(_dicts(select(connection, "SELECT * FROM runs ORDER BY started, run_id")))


def column(row: dict[str, Any]) -> str:
    """The column of a row in the table of its case: who computes, and how if not as usual."""
    words = [row["implementation"]]
    words += [row["dtype"]] * (row["dtype"] != "float32")
    words += [row["device"]] * (row["device"] != "cpu")
    several = "thread" if row["threads"] == "1" else "threads"
    words += [f"{row['threads']} {several}"] * (row["threads"] != "all")
    return " ".join(words)


def _cases(
    connection: duckdb.DuckDBPyConnection,
    newest: str,
    names: dict[str, str],
    latest: dict[str, dict[str, Any]],
    page: Any,
    told: str,
) -> Iterator[tuple[str, str, dict[str, list[float]], int]]:
    """Write a page for each case: machines by implementations.

    Yields:
        Its title, its file, the times of each column, and how many machines have it.
    """
    query = f"""
        SELECT {GROUP}, dtype, implementation, device, threads, fingerprint, seconds, seconds_low,
            seconds_high, quality
        FROM ({newest}) ORDER BY {GROUP}, fingerprint"""
    answer = _dicts(select(connection, query))
    for number, (_, some) in enumerate(groupby(answer, lambda row: tuple(row.values())[:5])):
        rows = list(some)
        first = rows[0]
        title = case_title(first)
        columns: dict[str, list[float]] = {}
        machines: dict[str, dict[str, Cell]] = {}
        for row in rows:
            columns.setdefault(column(row), []).append(row["seconds"])
            machines.setdefault(row["fingerprint"], {})[column(row)] = _time(row)
        heads = sorted(in_order_first(columns), key=lambda c: -len(columns[c]))[:MOST_COLUMNS]
        lines = [
            [
                Cell(latest[one]["machine"], f"../machines/{names[one]}.html"),
                *(cells.get(head, Cell("", order="")) for head in heads),
                *_about(latest[one]),
            ]
            for one, cells in sorted(machines.items(), key=lambda item: _fastest(item[1]))
        ]
        titles = ["machine", *heads, "cores", "GPU", "date"]
        numbers = frozenset(range(1, 2 + len(heads)))
        table = Table("", titles, lines, "Filter machines", numbers)
        said = "Time per call, the newest of each machine; ~: noisy. Point at one for its interval."
        name = f"cases/{number:04}-{key(title)[:60]}.html"
        page(name, Page(title, [said], [table], told, "../"))
        yield title, name, columns, len(machines)


def _fastest(cells: dict[str, Cell]) -> float:
    return min(float(cell.order or 0.0) for cell in cells.values())


def in_order_first(columns: Iterable[str]) -> list[str]:
    """Columns in the order of their implementations."""
    columns = list(columns)
    order = {name: n for n, name in enumerate(in_order(c.split(" ")[0] for c in columns))}
    return sorted(columns, key=lambda c: (order[c.split(" ")[0]], c))


def case_title(row: dict[str, Any]) -> str:
    """What is timed, in words."""
    names = ("workload", "layers", "operation", "batch_size", "transfer")
    return _case_title(*map(row.__getitem__, names))


@lru_cache(maxsize=2**12)
def _case_title(workload: str, layers: str, operation: str, batch: int, transfer: str) -> str:
    sizes = f" ({folded(layers)})" if layers else ""
    how = "" if transfer == "resident" else f", {transfer.replace('_', ' ')}"
    return brief(f"{workload}{sizes}, {operation}, batch {batch:,}{how}")


def _time(row: dict[str, Any]) -> Cell:
    low, high = row["seconds_low"], row["seconds_high"]
    span = "" if low is None else f"{duration(low)} to {duration(high)}"
    noisy = "~" * (row["quality"] != "good")
    return Cell(f"{duration(row['seconds'])}{noisy}", "", row["seconds"], span)


def _about(run: dict[str, Any]) -> list[str | Cell]:
    cores = run["cores"]
    return [Cell(f"{cores or ''}", order=cores or ""), run["gpu"], run["started"][:10]]


def _index(groups: Sequence[tuple[str, str, dict[str, list[float]], int]], told: str) -> Page:
    lines: list[list[str | Cell]] = []
    for title, name, columns, machines in sorted(groups, key=lambda group: -group[3]):
        medians = {c: sorted(times)[len(times) // 2] for c, times in columns.items()}
        best = min(medians, key=lambda c: medians[c])
        others = in_order_first(columns)
        said = ", ".join(f"{c} {duration(medians[c])}" for c in others if c != best)
        lines.append(
            [
                Cell(title, name),
                Cell(f"{best} {duration(medians[best])}", order=medians[best], best=True),
                Cell(f"{machines:,}", order=machines),
                said,
            ]
        )
    table = Table("", ["case", "fastest", "machines", "others"], lines,
                  "Filter cases", frozenset({1, 2}))  # fmt: skip
    said = f"{told}. Times per call are those of the median machine."
    return Page("Results of many machines", [said], [table], told)


def _machines(
    runs: Sequence[dict[str, Any]],
    latest: dict[str, dict[str, Any]],
    names: dict[str, str],
    told: str,
) -> Page:
    counts: dict[str, int] = {}
    for run in runs:
        counts[run["fingerprint"]] = counts.get(run["fingerprint"], 0) + 1
    lines = [
        [
            Cell(run["machine"], f"machines/{names[one]}.html"),
            *_about(run),
            run["system"],
            Cell(f"{counts[one]:,}", order=counts[one]),
            Cell(f"{run['rows']:,}", order=run["rows"]),
        ]
        for one, run in sorted(latest.items(), key=lambda item: item[1]["machine"])
    ]
    heads = ["machine", "cores", "GPU", "last run", "system", "runs", "rows"]
    table = Table("", heads, lines, "Filter machines", frozenset({1, 5, 6}))
    return Page("Machines", [f"{told}."], [table], told)


def _machine_pages(
    connection: duckdb.DuckDBPyConnection,
    newest: str,
    runs: Sequence[dict[str, Any]],
    names: dict[str, str],
    page: Any,
    told: str,
) -> None:
    """A page for each machine: what it is, its runs, its newest values among all machines'."""
    own: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        own.setdefault(run["fingerprint"], []).append(run)
    query = f"""
        SELECT {GROUP}, dtype, implementation, device, threads, fingerprint, seconds, seconds_low,
            seconds_high, quality, middle, machines, place
        FROM ({newest}) ORDER BY fingerprint, {GROUP}, implementation"""
    left = dict(own)
    answer = _dicts(select(connection, query))
    for fingerprint, some in groupby(answer, lambda row: row["fingerprint"]):
        _machine_page(left.pop(fingerprint), list(some), names[fingerprint], page, told)
    for fingerprint, its in left.items():  # without a number
        _machine_page(its, [], names[fingerprint], page, told)


def _machine_page(
    runs: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    name: str,
    page: Any,
    told: str,
) -> None:
    run = runs[-1]
    named = ("cpu", "cores", "gpu", "system", "architecture", "python", "fingerprint")
    facts = {what: str(run[what]) for what in named}
    facts["libraries"] = ", ".join(map(" ".join, queries.versions(run["versions"]).items()))
    values: list[list[str | Cell]] = []
    for row in rows:
        times = row["seconds"] / row["middle"]
        alone = row["machines"] == 1
        values.append(
            [
                case_title(row),
                column(row),
                _time(row),
                Cell("" if alone else f"{times:.2f}", order=times),
                Cell(f"{row['place']:,} of {row['machines']:,}", order=row["place"]),
            ]
        )
    heads = ["case", "who", "time", "over the median machine", "rank"]
    history = [
        [one["started"][:16], one["run"], one["commit"], "complete" if one["complete"] else "not",
         "busy" if one["machine_too_busy"] else "", Cell(f"{one['rows']:,}", order=one["rows"])]
        for one in reversed(runs)
    ]  # fmt: skip
    shown = [
        Table("Values", heads, values, "Filter values", frozenset({2, 3, 4})),
        Table("Runs", ["date", "run", "commit", "end", "state", "rows"], history,
              numbers=frozenset({5})),
    ]  # fmt: skip
    page(f"machines/{name}.html", Page(run["machine"], [], shown, told, "../", facts))


def _last_added(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    query = f"SELECT * FROM runs ORDER BY added DESC, run_id LIMIT {FEED}"
    return list(_dicts(select(connection, query)))


def _entry(
    connection: duckdb.DuckDBPyConnection, run: dict[str, Any], names: dict[str, str]
) -> dict[str, str]:
    """An entry of the feed: a run, and the steps that it made."""
    earlier = select(
        connection, "SELECT count(*) FROM runs WHERE fingerprint = ?", [run["fingerprint"]]
    ).fetchone()
    said = []
    if earlier and earlier[0] > 1:
        filters = Filters(machines=(run["fingerprint"],))
        for series in queries.history(connection, filters, only_steps=True)[0]:
            for point, step in zip(series.points[1:], series.steps, strict=True):
                if point.run_id == run["run_id"] and step.certain:
                    said.append(f"{point.case_id}: {tables.ratio_text(step.change)}")
    state = "complete" if run["complete"] else "not complete"
    return {
        "id": file_name(run["run_id"]),
        "size": str(run["journal_bytes"]),
        "title": f"{run['machine']}: run {run['run']} of {run['started'][:10]}",
        "updated": run["added"],
        "href": f"machines/{names[run['fingerprint']]}.html",
        "summary": "; ".join([f"{run['rows']:,} rows, {state}", *said[:20]]),
    }
