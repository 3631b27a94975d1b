"""An archive as static pages: cases, machines by cases, a page for each machine, a feed of changes.

A page asks for nothing and runs no script but its own, which filters and sorts; without it all is
there, too. What comes from the archive is text, and names no file.
"""

import multiprocessing
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import duckdb

from samegrad.reports.archive import pages, queries, tables, withdrawing
from samegrad.reports.archive.cells import Cell
from samegrad.reports.archive.files import ArchiveError
from samegrad.reports.archive.pages import CasePage, Page, Site, Table, Value
from samegrad.reports.archive.queries import VALUE, Filters
from samegrad.reports.archive.store import select
from samegrad.reports.data.values import digits

FEED = 100  # entries
BEGUN = "unfinished-site"  # a file
MOST_STEPS = 20  # that are told of a run, the largest
CHUNK = 2**14  # rows that are fetched at a time
LITTLE = 50_000  # rows whose pages this process makes: starting others takes two seconds
MOST_PROCESSES = 8
WAITING = 2**16  # rows whose pages are being made at a time
COLUMNS, BY_CASE = ", ".join(Value._fields), ", ".join(pages.GROUP)
MACHINE = Value._fields.index("fingerprint")
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


def write(connection: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Write the site of an archive; how many pages it has.

    Raises:
        ArchiveError: the folder holds something else.
        OSError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or _foreign(folder)):
        raise ArchiveError(
            f"{folder}: neither an empty folder nor an older site of an archive; name one for the "
            "pages, the results are those of --archive"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchiveError(f"{folder}: cannot be made: {error.strerror}; name another") from None
    (folder / BEGUN).touch()  # until all is written, by which what is half of a site is known
    for name in ("machines", "cases"):
        (folder / name).mkdir(exist_ok=True)
    runs = _runs(connection)
    latest = {one["fingerprint"]: one for one in runs}  # of each machine the newest is last
    rows = sum(one["rows"] for one in runs)
    told = (
        f"{_counted(len(runs), 'run')} on {_counted(len(latest), 'machine')}, "
        f"{_counted(rows, 'row')}"
    )
    withdrawn = list(_dicts(select(connection, withdrawing.LEFT_OUT)))
    counting = {one["run_id"] for one in runs}
    for one in withdrawn:
        one["reason"] += "; another version counts" * (one["run_id"] in counting)
    if withdrawn:
        told += f"; {len(withdrawn):,} more {'were' if len(withdrawn) > 1 else 'was'} withdrawn"
    site = Site(folder, latest, told)
    newest = NEWEST.format(once="" if len(runs) == len(latest) else ONCE)
    with _Makers(site, rows) as makers:
        cases = list(makers.each(pages.case_page, _of_cases(connection, newest)))
        site.write("index.html", _index(cases, told))
        site.write("machines.html", _machines(runs, site, withdrawn))
        for _ in makers.each(pages.machine_page, _of_machines(connection, newest, runs)):
            pass
    every = [*_entries(connection, site.names), *_of_withdrawn(withdrawn[:FEED], site.names)]
    entries = sorted(every, key=itemgetter("updated"), reverse=True)[:FEED]
    feed = pages.template("feed.xml").render(
        updated=entries[0]["updated"] if entries else _now(), entries=entries
    )
    site.replace("feed.xml", NO_XML.sub("?", feed))
    (folder / BEGUN).unlink(missing_ok=True)
    return 2 + len(cases) + len(latest)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _foreign(folder: Path) -> bool:
    known = any((folder / name).is_file() for name in ("feed.xml", BEGUN))
    return any(folder.iterdir()) and not known


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Makers:
    """Who makes pages: this process, or for many rows as many others as there are cores."""

    def __init__(self, site: Site, rows: int) -> None:
        self._site = site
        self._processes = min(os.cpu_count() or 1, MOST_PROCESSES) if rows > LITTLE else 0
        self._held = ExitStack()

    def __enter__(self) -> Self:
        if self._processes:
            context = multiprocessing.get_context("spawn")  # the libraries here have threads
            pool = ProcessPoolExecutor(
                self._processes, mp_context=context, initializer=_begin, initargs=(self._site,)
            )
            self._submit = self._held.enter_context(pool).submit
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def each(
        self, make: Callable[..., Any], items: Iterable[tuple[Any, list[Any]]]
    ) -> Iterator[Any]:
        """What is made with each item, in their order; the second of one is its rows."""
        if not self._processes:
            for first, rows in items:
                yield make(self._site, first, rows)
            return
        waiting, held = deque[tuple[Future[Any], int]](), 0
        for first, rows in items:
            waiting.append((self._submit(_made, make, first, rows), len(rows)))
            held += len(rows)
            while held > WAITING and len(waiting) > self._processes:
                made, count = waiting.popleft()
                held -= count
                yield made.result()
        yield from (made.result() for made, _ in waiting)


_SITE: list[Site] = []  # in a process that makes pages


def _begin(site: Site) -> None:
    _SITE.append(site)


def _made(make: Callable[..., Any], first: Any, rows: list[Any]) -> Any:
    return make(_SITE[-1], first, rows)


def _dicts(answer: Any) -> Iterator[dict[str, Any]]:
    heads = [column[0] for column in answer.description]
    for line in _fetched(answer):
        yield dict(zip(heads, line, strict=True))


def _fetched(answer: Any) -> Iterator[tuple[Any, ...]]:
    while lines := answer.fetchmany(CHUNK):
        yield from lines


def _runs(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    return list(_dicts(select(connection, "SELECT * FROM runs ORDER BY started, run_id")))


def _of_cases(
    connection: duckdb.DuckDBPyConnection, newest: str
) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """The number of each case, and its rows."""
    query = f"SELECT {COLUMNS} FROM ({newest}) ORDER BY {BY_CASE}, fingerprint"
    answer = _fetched(select(connection, query))
    kinds = groupby(answer, itemgetter(slice(len(pages.GROUP))))
    for number, (_, rows) in enumerate(kinds):
        yield number, list(rows)


def _of_machines(
    connection: duckdb.DuckDBPyConnection, newest: str, runs: Sequence[dict[str, Any]]
) -> Iterator[tuple[list[dict[str, Any]], list[tuple[Any, ...]]]]:
    """The runs of each machine, and its rows."""
    own: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        own.setdefault(run["fingerprint"], []).append(run)
    query = f"SELECT {COLUMNS} FROM ({newest}) ORDER BY fingerprint, {BY_CASE}, implementation"
    answer = _fetched(select(connection, query))
    for fingerprint, rows in groupby(answer, itemgetter(MACHINE)):
        yield own.pop(fingerprint), list(rows)
    for its in own.values():  # without a number
        yield its, []


def _index(cases: Sequence[CasePage], told: str) -> Page:
    lines: list[list[str | Cell]] = []
    for case in sorted(cases, key=lambda case: -case.machines):
        stand = case.standings
        names = sorted(pages.in_order_first(stand), key=lambda c: (-stand[c].first, stand[c].times))
        first = [f"{c} {stand[c].first:,} of {stand[c].known:,}" for c in names if stand[c].first]
        slower = [c for c in names if stand[c].known and not stand[c].first]
        others = list(filter(None, [", ".join(f"{c} {digits(stand[c].times)}" for c in slower)]))
        if untold := ", ".join(c for c in names if not stand[c].known):
            others.append(f"no interval: {untold}")
        lines.append(
            [
                Cell(case.title, case.name),
                ", ".join(first),
                Cell(f"{case.machines:,}", order=case.machines),
                "; ".join(others),
            ]
        )
    heads = ["case", "fastest on", "machines", "others: times the fastest"]
    table = Table("", heads, lines, "Filter cases", frozenset({2}), wraps=True)
    said = (
        f"{told}. Fastest on: of the machines that have it with an interval, on how many none is "
        "certainly faster (their intervals do not lie apart). Others are slower on each, so many "
        "times: the mean over machines of their time over that of the fastest there. Times are on "
        "the pages of the cases."
    )
    return Page("Results of many machines", [said], [table])


def _machines(
    runs: Sequence[dict[str, Any]], site: Site, withdrawn: Sequence[dict[str, Any]]
) -> Page:
    rows: dict[str, list[int]] = {}  # of each of its runs
    for run in runs:
        rows.setdefault(run["fingerprint"], []).append(run["rows"])
    lines = [
        [
            Cell(run["machine"], f"machines/{site.names[one]}.html"),
            *pages.about(run),
            run["system"],
            Cell(f"{len(rows[one]):,}", order=len(rows[one])),
            Cell(f"{sum(rows[one]):,}", order=sum(rows[one])),
        ]
        for one, run in sorted(site.latest.items(), key=lambda item: item[1]["machine"])
    ]
    heads = ["machine", "cores", "GPU", "last run", "system", "runs", "rows"]
    shown = [Table("", heads, lines, "Filter machines", frozenset({1, 5, 6}))]
    if withdrawn:
        gone: list[list[str | Cell]] = [
            [one["withdrawn_at"][:10], one["reason"], f"{one['run']} of {one['started'][:10]}, "
             f"{_counted(one['rows'], 'row')}, on {one['machine']}; run_id {one['run_id']}, "
             f"journal {one['journal_sha256'][:12]}, {_counted(one['journal_bytes'], 'byte')}"]
            for one in withdrawn
        ]  # fmt: skip
        shown.append(Table("Withdrawn", ["withdrawn", "why", "version"], gone, wraps=True))
    return Page("Machines", [f"{site.told}."], shown)


def _entries(
    connection: duckdb.DuckDBPyConnection, names: dict[str, str]
) -> Iterator[dict[str, str]]:
    """The entries of the feed: runs, the last added first, and the steps that each made."""
    query = f"SELECT * FROM runs ORDER BY added DESC, run_id LIMIT {FEED}"
    last = list(_dicts(select(connection, query)))
    filters = Filters(fingerprints=tuple({run["fingerprint"]: None for run in last}))
    steps: dict[str, list[str]] = {}
    if last:
        found, _ = queries.history(connection, filters, only_steps=True, most=FEED * MOST_STEPS)
        for series in found:
            for point, step in zip(series.points[1:], series.steps, strict=True):
                if step.certain:
                    said = f"{point.case_id}: {tables.ratio_text(step.change)}"
                    steps.setdefault(point.run_id, []).append(said)
    for run in last:
        state = "complete" if run["complete"] else "not complete"
        told = steps.get(run["run_id"], [])[:MOST_STEPS]
        yield {
            "id": pages.file_name(run["run_id"]),
            "size": str(run["journal_bytes"]),
            "title": f"{run['machine']}: run {run['run']} of {run['started'][:10]}",
            "updated": run["added"],
            "href": f"machines/{names[run['fingerprint']]}.html",
            "summary": "; ".join([f"{run['rows']:,} rows, {state}", *told]),
        }


def _of_withdrawn(
    withdrawn: Sequence[dict[str, Any]], names: dict[str, str]
) -> Iterator[dict[str, str]]:
    """Their entries of the feed."""
    for one in withdrawn:
        known = names.get(one["fingerprint"])
        yield {
            "id": pages.file_name(one["run_id"]),
            "size": f"{one['journal_bytes']}:withdrawn",
            "title": f"{one['machine']}: run {one['run']} of {one['started'][:10]} withdrawn",
            "updated": one["withdrawn_at"],
            "href": f"machines/{known}.html" if known else "machines.html",
            "summary": f"{one['rows']:,} rows: {one['reason']}",
        }
