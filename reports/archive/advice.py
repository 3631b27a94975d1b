"""Which implementation for a network, from an archive: what machines like this one have measured.

Each machine is asked by itself, by the ratios of its own runs (`data.advise`); then it is counted
on how many of them an implementation is the fastest, and on how many others it cannot be told from
it. How many machines an answer rests on stands first, and what it does not know last.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import starmap
from statistics import geometric_mean, median
from typing import Any, NamedTuple

import duckdb

from samegrad.benchmarks.clock.intervals import SLOWER, Ratio
from samegrad.implementations.contract import columns
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.archive.queries import VALUE
from samegrad.reports.archive.store import select
from samegrad.reports.data import advise
from samegrad.reports.data.advise import Answer, Question
from samegrad.reports.data.values import digits, duration, in_order

OWN = "fingerprint = ?"
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
        otherwise: implementation -> dtypes, of those that were measured in others only.
        dates: when the first and the last of the runs was.
        own: whether it is this very machine.
    """

    words: str
    known: Mapping[str, Sequence[Answer]]
    silent: int
    otherwise: Mapping[str, Sequence[str]]
    dates: tuple[str, str]
    own: bool


def groups(
    facts: Mapping[str, str], fingerprint: str, device: str, gpu: str | None = None
) -> list[Group]:
    """Machines more and more unlike one with such facts; those with a GPU, by part of its name."""
    if gpu is not None:
        condition = "contains(lower(gpu), lower(?)) AND gpu <> 'none'"
        return [Group(f"machines with a GPU {gpu!r:.60}", condition, (gpu,))]
    own = Group("this very machine", OWN, (fingerprint,))
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


def gpus(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The names of the GPUs that an archive has runs of."""
    query = "SELECT DISTINCT gpu FROM runs WHERE gpu NOT IN ('none', 'unknown', '') ORDER BY gpu"
    return [name for (name,) in select(connection, query).fetchall()]


def ask(
    connection: duckdb.DuckDBPyConnection, asked: Question, some: Sequence[Group]
) -> Advice | None:
    """What the machines that are most alike say; None if none of any group knows anything."""
    best: Advice | None = None
    for group in some:
        made = _of(connection, asked, group)
        if made is None:
            continue
        if made.own or len(made.known) >= LEAST_MACHINES:
            return made
        if best is None or len(made.known) > len(best.known):
            best = made
    return best


def _of(connection: duckdb.DuckDBPyConnection, asked: Question, group: Group) -> Advice | None:
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
        AND coalesce(ranks, 1) = 1 AND preset <> 'versions' -- whose rows are named as versions are
        AND regexp_full_match(layers, '[1-9][0-9]{{0,6}}(-[1-9][0-9]{{0,6}})+')"""
    kind = (asked.operation, asked.device, asked.threads)
    found = select(connection, query, [*names, *kind]).fetchall()
    if not found:
        return None
    rows, dtypes = dict[str, list[Row]](), dict[str, set[str]]()
    for one in starmap(Row, found):
        dtypes.setdefault(one.implementation, set()).add(one.dtype)
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
    told = {one.implementation for answers in known.values() for one in answers}
    otherwise = {
        name: sorted(dtypes[name])
        for name in in_order(dtypes)
        if name not in told and advise.dtype_of(name, asked.spec.dtype) not in dtypes[name]
    }
    own = group.condition == OWN
    return Advice(group.words, known, len(names) - len(known), otherwise, dates, own)


@lru_cache(maxsize=4096)
def _bytes(asked: Question, layers: str, batch_size: int, dtype: str) -> float:
    """What a call on a network touches, as a journal's rows have it."""
    about: dict[str, Any] = {"layer_sizes": list(map(int, layers.split("-")))}
    if dtype in ("float32", "float64"):
        about["dtype"] = dtype
    spec = MLPSpec.from_dict(about)
    return replace(asked, spec=spec, batch_size=batch_size).case("numpy").bytes


def text(advice: Advice, asked: Question, where: str = "here") -> Iterator[str]:
    """The answer in lines: on what it rests, a table, the advice, what is not known.

    Args:
        where: it can be measured, in words.
    """
    count = len(advice.known)
    title = advise.title(asked)
    many = f"{count} machine{'s' * (count > 1)}"
    rests = f"It rests on {many}: {advice.words}, runs of {_dates(advice)}."
    yield from (title, rests, "")
    every = [one.implementation for known in advice.known.values() for one in known]
    names = list(dict.fromkeys(every)) if count == 1 else in_order(every)
    lines = [_line(advice, name) for name in names]
    if count > 1:
        lines.sort(key=lambda line: (-line.first - line.level, -line.first, line.ratio.value))
    heads = ("time", "from", "to", "times the fastest", "known")
    table = [("implementation", *(("fastest on", "perhaps on") if count > 1 else ()), *heads)]
    for line in lines:
        counts = [f"{many} of {line.known}" for many in (line.first, line.level)]
        times = map(duration, (line.middle, line.low, line.high))
        cells = (*times, advise.times(line.ratio), line.how)
        table.append((advise.shown(line.name, asked), *(counts if count > 1 else ()), *cells))
    yield from (*columns.table(table, right=range(1, len(table[0]) - 1)), "")
    none = all(map(advise.no_interval, advice.known.values()))
    yield from (advise.NO_ADVICE if none else _advice(lines, count), "", "Not known:")
    yield from (f"  {line}" for line in _unknown(advice, asked, lines))
    if not advice.own or any(line.measured < line.known for line in lines):
        yield from ("", f"To measure it {where}:", "", f"  {advise.command(asked)}")


def _advice(lines: Sequence["Line"], count: int) -> str:
    """Which one, and why; several where no machine tells them apart."""
    best, *others = lines
    equals = [line.name for line in lines if line.first + line.level == count]
    if not others:
        return f"Only {best.name} is known: there is nothing to choose from."
    if len(equals) > 1:
        where = f" on any of the {count} machines" if count > 1 else ""
        return f"Use {' or '.join(equals)}: their times cannot be told apart{where}."
    if equals and count == 1:
        times = digits(others[0].ratio.value)
        return f"Use {best.name}: {others[0].name} takes {times} times as long."
    if equals:
        return f"Use {best.name}: on all {count} machines none is certainly faster."
    return (
        f"Use {best.name}: on {best.first + best.level} of {count} machines none is certainly "
        f"faster; where one is, it takes {digits(best.worst)} times as long at most."
    )


def _dates(advice: Advice) -> str:
    first, last = advice.dates
    return first if first == last else f"{first} to {last}"


class Line(NamedTuple):
    """An implementation over the machines that know of it.

    Attributes:
        first, level: on how many it is the fastest; on how many others it cannot be told from it.
        known, measured: on how many anything is known; on how many this network was measured.
        middle: seconds per call of the median machine.
        low, high: the ends of the intervals of all machines; NaN without any.
        ratio: times the fastest; of several machines the mean, without a range.
        worst: the most of these, where another one is certainly faster.
        how: measured or interpolated, or on how many of the machines it was measured.
    """

    name: str
    first: int
    level: int
    known: int
    measured: int
    middle: float
    low: float
    high: float
    ratio: Ratio
    worst: float
    how: str


def _line(advice: Advice, name: str) -> Line:
    places = [
        (one, one is known[0] and not advise.no_interval(known))
        for known in advice.known.values()
        for one in known
        if one.implementation == name
    ]
    own = [one for one, _ in places]
    measured = sum(one.row is not None for one in own)
    ends = [end for one in own for end in (one.low, one.high) if math.isfinite(end)] or [math.nan]
    mean = geometric_mean([max(one.ratio.value, 1e-9) for one in own])
    slower = [one.ratio.value for one in own if one.ratio.verdict == SLOWER]
    first = sum(leads for _, leads in places)
    alone = len(advice.known) == 1
    return Line(
        name,
        first,
        len(own) - first - len(slower),
        len(own),
        measured,
        median(one.seconds for one in own),
        min(ends),
        max(ends),
        own[0].ratio if alone else Ratio(mean),
        max(slower, default=1.0),
        own[0].how if alone else f"measured on {measured}",
    )


def _unknown(advice: Advice, asked: Question, lines: Sequence[Line]) -> Iterator[str]:
    """What the answer says nothing of."""
    count = len(advice.known)
    if not advice.own:
        yield "this machine itself: no run of it in the archive tells"
    for missing, names in _alike((count - line.known, line.name) for line in lines):
        yield f"{names} on {missing} of these machines"
    parts = ((line.known - line.measured, line.known) for line in lines)
    for (fitted, known), names in _alike(zip(parts, [line.name for line in lines], strict=True)):
        if fitted:
            where = f" on {fitted} of {known} machines" if count > 1 else ""
            yield f"{names} on this very network: interpolated{where}"
    for dtypes, names in _alike((" and ".join(d), n) for n, d in advice.otherwise.items()):
        yield f"{names} in {asked.spec.dtype}: measured in {dtypes} only"
    if advice.silent:
        have = "has" if advice.silent == 1 else "have"
        yield (
            f"{advice.silent} more of these machines, which {have} measured neither this network "
            "nor enough around it"
        )
    if asked.device == "cpu":
        yield "GPUs (--device cuda)"
    if all(math.isnan(one.memory) for known in advice.known.values() for one in known):
        yield "memory: no run measured it"


def _alike(found: Iterable[tuple[Any, str]]) -> Iterator[tuple[Any, str]]:
    """(value, names) of (value, name): those of equal values together; zeros are left out."""
    names = dict[Any, list[str]]()
    for value, name in found:
        if value:
            names.setdefault(value, []).append(name)
    yield from ((value, ", ".join(these)) for value, these in names.items())
