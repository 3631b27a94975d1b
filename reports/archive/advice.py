"""Which implementation for a network, from an archive: what machines like this one have measured.

Each machine is asked by itself, by the ratios of its own runs (`data.advise`); then it is counted
on how many of them an implementation is the fastest, or cannot be told from it. How many machines
an answer rests on stands first, and what it does not know last.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import starmap
from statistics import geometric_mean, median
from typing import Any, NamedTuple

import duckdb

from samegrad.benchmarks.clock.intervals import SLOWER
from samegrad.implementations.contract import columns
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.archive.queries import VALUE
from samegrad.reports.archive.store import select
from samegrad.reports.data import advise
from samegrad.reports.data.advise import Answer, Question
from samegrad.reports.data.values import digits, duration, in_order

LEAST_MACHINES = 3  # else machines that are less alike are asked, too
MOST_MACHINES = 50  # those with the newest runs


class Row(NamedTuple):
    """A row of the archive, as `data.advise` asks it; its names are the query's."""

    fingerprint: str
    source: str
    started: str
    layers: str
    batch_size: int
    dtype: str
    implementation: str
    seconds: float
    seconds_low: float
    seconds_high: float
    process_medians: Sequence[float]
    flops: float
    host_bytes: float
    bytes: float = math.nan


COLUMNS = """fingerprint, run_id, started, layers, batch_size, dtype, implementation,
    seconds, coalesce(seconds_low, 'nan'), coalesce(seconds_high, 'nan'), process_seconds,
    coalesce(flops, 'nan'), coalesce(host_bytes, 'nan')"""


class Group(NamedTuple):
    """Machines that are alike in something.

    Attributes:
        words: in what.
        condition, values: in SQL.
    """

    words: str
    condition: str
    values: tuple[object, ...]


@dataclass(frozen=True)
class Advice:
    """What the machines of a group say.

    Attributes:
        words: which machines these are.
        known: fingerprint -> what is known there, the fastest first.
        silent: how many more of them have measured neither the network nor any around it.
        dates: when the first and the last of the runs was.
        own: whether it is this very machine.
    """

    words: str
    known: Mapping[str, Sequence[Answer]]
    silent: int
    dates: tuple[str, str]
    own: bool


def groups(facts: Mapping[str, str], fingerprint: str, device: str) -> list[Group]:
    """Machines more and more unlike one with such facts."""
    own = Group("this very machine", "fingerprint = ?", (fingerprint,))
    if device != "cpu":
        alike = Group(f"machines with {facts['gpu']}", "gpu = ?", (facts["gpu"],))
        return [own, alike] if facts["gpu"] != "none" else [own]
    cores = int(facts["cores"])
    return [
        own,
        Group(
            f"machines with {facts['cpu']} and {cores} core{'s' * (cores != 1)}",
            "cpu = ? AND cores = ?",
            (facts["cpu"], cores),
        ),
        Group(
            f"{facts['architecture']} machines with {-(-cores // 2)} to {2 * cores} cores",
            "architecture = ? AND cores BETWEEN ? AND ?",
            (facts["architecture"], -(-cores // 2), 2 * cores),
        ),
    ]


def ask(
    connection: duckdb.DuckDBPyConnection, asked: Question, some: Sequence[Group]
) -> Advice | None:
    """What the machines that are most alike say; None if none of any group knows anything."""
    best: Advice | None = None
    for number, group in enumerate(some):
        made = _of(connection, asked, group, own=number == 0)
        if made is None:
            continue
        if made.own or len(made.known) >= LEAST_MACHINES:
            return made
        if best is None or len(made.known) > len(best.known):
            best = made
    return best


def _of(
    connection: duckdb.DuckDBPyConnection, asked: Question, group: Group, *, own: bool
) -> Advice | None:
    query = f"""
        SELECT fingerprint FROM runs WHERE NOT machine_too_busy AND {group.condition}
        GROUP BY fingerprint ORDER BY max(started) DESC, fingerprint LIMIT {MOST_MACHINES}"""
    names = [name for (name,) in select(connection, query, group.values).fetchall()]
    if not names:
        return None
    places = ", ".join(["?"] * len(names))
    query = f"""
        WITH its AS MATERIALIZED (SELECT * FROM rows WHERE fingerprint IN ({places}))
        SELECT {COLUMNS} FROM its WHERE {VALUE}
        AND operation = ? AND device = ? AND threads = ? AND transfer = 'resident'
        AND coalesce(ranks, 1) = 1
        AND regexp_full_match(layers, '[1-9][0-9]{{0,6}}(-[1-9][0-9]{{0,6}})+')"""
    kind = (asked.operation, asked.device, asked.threads)
    found = select(connection, query, [*names, *kind]).fetchall()
    if not found:
        return None
    rows = dict[str, list[Row]]()
    for one in starmap(Row, found):
        if one.dtype == advise.dtype_of(one.implementation, asked.spec.dtype):
            size = _bytes(asked, one.layers, one.batch_size, one.dtype)
            rows.setdefault(one.fingerprint, []).append(one._replace(bytes=size))
    known = {
        name: answers
        for name, its in sorted(rows.items())
        if (answers := advise.answers_of(its, asked))
    }
    if not known:
        return None
    started = [row.started[:10] for name in known for row in rows[name]]
    dates = min(started), max(started)
    return Advice(group.words, known, len(names) - len(known), dates, own)


@lru_cache(maxsize=4096)
def _bytes(asked: Question, layers: str, batch_size: int, dtype: str) -> float:
    """What a call on a network touches, as a journal's rows have it."""
    about: dict[str, Any] = {"layer_sizes": list(map(int, layers.split("-")))}
    if dtype in ("float32", "float64"):
        about["dtype"] = dtype
    spec = MLPSpec.from_dict(about)
    return replace(asked, spec=spec, batch_size=batch_size).case("numpy").bytes


def text(advice: Advice, asked: Question) -> Iterator[str]:
    """The answer in lines: on what it rests, a table, the advice, what is not known."""
    count = len(advice.known)
    title = advise.title(asked)
    many = f"{count} machine{'s' * (count > 1)}"
    rests = f"It rests on {many}: {advice.words}, runs of {_dates(advice)}."
    yield from (title, rests, "")
    names = in_order([one.implementation for known in advice.known.values() for one in known])
    lines = [_line(advice, name) for name in names]
    lines.sort(key=lambda line: (-line.first, line.ratio))
    table = [
        ("implementation", "fastest on", "time", "from", "to", "times the fastest", "measured on"),
        *(
            (
                line.name,
                f"{line.first} of {line.known}",
                *map(duration, (line.middle, line.low, line.high)),
                digits(line.ratio),
                str(line.measured),
            )
            for line in lines
        ),
    ]
    yield from (*columns.table(table, right=range(1, len(table[0]))), "")
    best = lines[0]
    yield (
        f"Use {best.name}: on {best.first} of {count} machines none is certainly faster; where one "
        f"is, it takes {digits(best.worst)} times as long at most."
        if best.first < count
        else f"Use {best.name}: on {'all of them' if count > 1 else 'it'} none is certainly faster."
    )
    yield from ("", "Not known:")
    yield from (f"  {line}" for line in _unknown(advice, asked, lines))
    yield from ("", "To measure it here:", "", f"  {advise.command(asked)}")


def _dates(advice: Advice) -> str:
    first, last = advice.dates
    return first if first == last else f"{first} to {last}"


class Line(NamedTuple):
    """An implementation over the machines that know of it.

    Attributes:
        first: on how many it is the fastest, or cannot be told from it.
        known, measured: on how many anything is known; on how many this network was measured.
        middle, low, high: seconds per call: of the median machine, the least, the most.
        ratio: times the fastest, the mean over machines; `worst` the most.
    """

    name: str
    first: int
    known: int
    measured: int
    middle: float
    low: float
    high: float
    ratio: float
    worst: float


def _line(advice: Advice, name: str) -> Line:
    own = [one for known in advice.known.values() for one in known if one.implementation == name]
    times = [one.seconds for one in own]
    ratios = [max(one.ratio.value, 1e-9) for one in own]
    return Line(
        name,
        sum(one.ratio.verdict != SLOWER for one in own),
        len(own),
        sum(one.row is not None for one in own),
        median(times),
        min(times),
        max(times),
        geometric_mean(ratios),
        max(ratios),
    )


def _unknown(advice: Advice, asked: Question, lines: Sequence[Line]) -> Iterator[str]:
    """What the answer says nothing of."""
    count = len(advice.known)
    if not advice.own:
        yield "this machine itself: no run of it in the archive tells"
    for line in lines:
        if line.known < count:
            yield f"{line.name} on {count - line.known} of these machines"
        if line.measured < line.known:
            part = f"{line.known - line.measured} of {line.known}"
            yield f"{line.name} on this very network: interpolated on {part} machines"
    if advice.silent:
        yield (
            f"{advice.silent} more of these machines: they measured neither this network nor "
            "enough around it"
        )
    if asked.device == "cpu":
        yield "GPUs (--device cuda)"
    if all(math.isnan(one.memory) for known in advice.known.values() for one in known):
        yield "memory: no run measured it"
