"""Questions to an archive: how each case went over time, and how machines differ.

A step is a change from one run to the next of the same machine that the intervals of both rows
bear out: the rule of `samegrad compare`, `Ratio.verdict`. What else changed in between stands
beside it.
"""

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import duckdb

from samegrad.benchmarks.clock.intervals import (
    FASTER,
    NO_DIFFERENCE,
    SAME_SPEED,
    SLOWER,
    Ratio,
    ratio,
)
from samegrad.reports.archive.store import select

MOST_SERIES = 200  # that are shown; those with the largest steps first
MOST_MACHINES = 12  # side by side
DIGITS = 12  # of a commit, as of all hashes
VALUE = "status = 'ok' AND NOT machine_too_busy AND seconds > 0 AND seconds < 'inf'::DOUBLE"
POINT = ("fingerprint", "machine", "case_id", "started", "run", "run_id", "commit", "versions",
         "python", "code", "inputs", "seconds", "seconds_low", "seconds_high", "quality", "device",
         "process_seconds", "cpu_speed_ns", "cpu_speed_work")  # fmt: skip
LEAST = math.log(NO_DIFFERENCE)  # of a jump that may be a step
# How far the largest jump goes of each case on a machine with at least two runs. No jump goes
# further than from the least value to the largest, which needs no order: of two runs that is the
# jump, and of more the order is asked only where it may matter ({long}).
SERIES = f"""
WITH several AS (
    SELECT fingerprint FROM runs GROUP BY fingerprint HAVING count(*) > 1
), spans AS MATERIALIZED (
    SELECT fingerprint, case_id, count(*) AS count, count(seconds_low) AS known,
        ln(max(seconds)) - ln(min(seconds)) AS span
    FROM rows SEMI JOIN several USING (fingerprint) WHERE {VALUE} {{filters}}
    GROUP BY fingerprint, case_id HAVING count(*) > 1
), long AS (
    SELECT fingerprint, case_id FROM spans WHERE count > 2 AND {{long}}
), values AS (
    SELECT fingerprint, case_id, ln(seconds) AS value, seconds_low IS NOT NULL AS known,
        lag(ln(seconds)) OVER along AS before,
        lag(seconds_low IS NOT NULL) OVER along AS known_before
    FROM rows SEMI JOIN long USING (fingerprint, case_id) WHERE {VALUE}
    WINDOW along AS (PARTITION BY fingerprint, case_id ORDER BY started, run_id)
), jumps AS (
    SELECT fingerprint, case_id, CASE WHEN known = 2 THEN span END AS jump
    FROM spans WHERE count = 2
    UNION ALL
    SELECT fingerprint, case_id, max(CASE WHEN known AND known_before THEN abs(value - before) END)
    FROM values GROUP BY fingerprint, case_id
)
"""
STEPS = f"SELECT *, count(*) OVER () AS found FROM jumps WHERE jump > {LEAST}"
EVERY = "SELECT *, (SELECT count(*) FROM spans) AS found FROM jumps"
# What is among the `most` largest jumps: one of n runs jumps by 1/(n - 1) of its span at least.
AMONG = """span >= (
    SELECT min(least) FROM (
        SELECT CASE WHEN known = count THEN span / (count - 1) - 1e-12 ELSE -1 END AS least
        FROM spans ORDER BY least DESC LIMIT {most}))"""


@dataclass(frozen=True)
class Filters:
    """Which rows are asked about: words that all occur in a case's id, and a machine.

    Attributes:
        case: words, such as "mnist train_step numpy"; any case of letters.
        machines: beginnings of fingerprints, or parts of the machine's words; none: all.
        fingerprints: of machines, whole; none: all.
    """

    case: str = ""
    machines: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()

    def sql(self) -> tuple[str, list[str]]:
        """Conditions to be added to others, and their values."""
        values = self.case.split()
        conditions = ["AND contains(lower(case_id), lower(?))"] * len(values)
        if self.machines:
            one = "(starts_with(fingerprint, ?) OR contains(lower(machine), lower(?)))"
            conditions.append(f"AND ({' OR '.join([one] * len(self.machines))})")
            values += [text for machine in self.machines for text in (machine, machine)]
        if self.fingerprints:
            conditions.append(f"AND fingerprint IN ({', '.join('?' * len(self.fingerprints))})")
            values += self.fingerprints
        return " ".join(conditions), values


@dataclass(frozen=True)
class Point:
    """One run of a case on one machine, as the archive has it; `POINT` names the fields."""

    fields: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        """A field."""
        return self.fields[name]


@dataclass(frozen=True)
class Step:
    """From one run to the next.

    Attributes:
        change: new over old, with its interval and verdict.
        reasons: what else has changed: commit, code, inputs, versions.
    """

    change: Ratio
    reasons: tuple[str, ...]

    @property
    def certain(self) -> bool:
        """Whether the intervals bear it out."""
        return self.change.verdict in (FASTER, SLOWER)


@dataclass(frozen=True)
class Series:
    """A case on a machine: its runs in order, and what lies between them."""

    points: tuple[Point, ...]
    steps: tuple[Step, ...]


def history(
    connection: duckdb.DuckDBPyConnection, filters: Filters, *, only_steps: bool = False,
    most: int = MOST_SERIES,
) -> tuple[list[Series], int]:  # fmt: skip
    """Each case of each machine over its runs: `most` of them, and how many there are.

    Those that may have steps come first, the largest first; `only_steps`: no others.
    """
    conditions, values = filters.sql()
    long = f"span > {LEAST}" if only_steps else AMONG.format(most=most)
    series = SERIES.format(filters=conditions, long=long) + (STEPS if only_steps else EVERY)
    chosen = f"{series} ORDER BY jump DESC NULLS LAST, case_id, fingerprint LIMIT {most}"
    query = f"""
        SELECT {", ".join(f"rows.{name}" for name in POINT)}, found
        FROM rows JOIN ({chosen}) AS chosen
        USING (fingerprint, case_id) WHERE {VALUE}
        ORDER BY jump DESC NULLS LAST, case_id, fingerprint, started, run_id"""
    made: dict[tuple[str, str], list[Point]] = {}
    rows = select(connection, query, values).fetchall()
    count = rows[0][-1] if rows else 0
    for *row, _ in rows:
        point = Point(dict(zip(POINT, row, strict=True)))
        made.setdefault((point.fingerprint, point.case_id), []).append(point)
    found = [
        Series(tuple(points), tuple(step(a, b) for a, b in pairwise(points)))
        for points in made.values()
    ]
    if only_steps:
        found = [one for one in found if any(step.certain for step in one.steps)]
    return found, count


def step(old: Point, new: Point) -> Step:
    """What happened between two runs; the machine's own speed is allowed for, as by `compare`."""
    change = ratio(new.process_seconds or (), old.process_seconds or ())
    if (
        new.device == "cpu"
        and old.cpu_speed_work == new.cpu_speed_work
        and old.cpu_speed_ns
        and new.cpu_speed_ns
    ):
        own = new.cpu_speed_ns / old.cpu_speed_ns
        if not 1 / SAME_SPEED <= own <= SAME_SPEED:
            low, high = min(1.0, 1 / own), max(1.0, 1 / own)
            change = Ratio(change.value, change.low * low, change.high * high)
    return Step(change, tuple(reasons(old, new)))


def reasons(old: Point, new: Point) -> Iterator[str]:
    """What but speed is another one."""
    for name in ("commit", "code", "inputs", "python"):
        was, now = (str(getattr(point, name))[:DIGITS] for point in (old, new))
        if was != now:
            yield f"{name} {was} -> {now}"
    before, after = versions(old.versions), versions(new.versions)
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            yield f"{name} {before.get(name, 'none')} -> {after.get(name, 'none')}"


def versions(text: str) -> dict[str, str]:
    """Library -> version, of a run; nothing of what is no JSON object."""
    with contextlib.suppress(ValueError, RecursionError):
        known = json.loads(text)
        if isinstance(known, dict):
            return {str(name): str(version) for name, version in known.items()}
    return {}


def machines(
    connection: duckdb.DuckDBPyConnection, filters: Filters
) -> list[tuple[str, str, int, str]]:
    """(fingerprint, words, runs, the last of them) of the machines that are meant."""
    conditions, values = Filters(machines=filters.machines).sql()
    query = f"""
        SELECT fingerprint, arg_max(machine, started), count(*), max(started) FROM runs
        WHERE true {conditions} GROUP BY fingerprint ORDER BY fingerprint"""
    return select(connection, query, values).fetchall()


@dataclass(frozen=True)
class Spread:
    """A case over all machines, in seconds per call."""

    case: str
    machines: int
    fastest: float
    fastest_machine: str
    quarter: float
    median: float
    three_quarters: float
    slowest: float


def spread(connection: duckdb.DuckDBPyConnection, filters: Filters) -> list[Spread]:
    """Each case over the machines that have it, at least two; the newest value of each."""
    conditions, values = filters.sql()
    once = not select(
        connection, "SELECT 1 FROM runs GROUP BY fingerprint HAVING count(*) > 1 LIMIT 1"
    ).fetchall()
    rows = f"SELECT case_id, fingerprint, machine, seconds FROM rows WHERE {VALUE} {conditions}"
    if not once:
        rows = f"""
            SELECT case_id, fingerprint, arg_max(machine, started) AS machine,
                arg_max(seconds, started) AS seconds
            FROM rows WHERE {VALUE} {conditions} GROUP BY case_id, fingerprint"""
    query = f"""
        SELECT case_id, count(*), min(seconds), arg_min(machine, seconds),
            quantile_cont(seconds, 0.25), median(seconds), quantile_cont(seconds, 0.75),
            max(seconds)
        FROM ({rows}) GROUP BY case_id HAVING count(*) > 1 ORDER BY case_id"""
    return [Spread(*row) for row in select(connection, query, values).fetchall()]


@dataclass(frozen=True)
class Beside:
    """A case on several machines.

    Attributes:
        points: of each machine its newest value, or None.
        against: of each machine over the first, where both have it and run the same code on the
            same inputs, else what differs.
    """

    case: str
    points: tuple[Point | None, ...]
    against: tuple[Ratio | str | None, ...]


def beside(
    connection: duckdb.DuckDBPyConnection, filters: Filters, chosen: Sequence[str]
) -> list[Beside]:
    """The cases that at least two of some machines have, the newest value of each.

    Args:
        chosen: fingerprints.
    """
    conditions, values = Filters(filters.case).sql()
    places = ", ".join(["?"] * len(chosen))
    query = f"""
        SELECT {", ".join(POINT)} FROM rows WHERE {VALUE} {conditions}
        AND fingerprint IN ({places}) ORDER BY case_id, started, run_id"""
    cases: dict[str, dict[str, Point]] = {}
    for row in select(connection, query, [*values, *chosen]).fetchall():
        point = Point(dict(zip(POINT, row, strict=True)))
        cases.setdefault(point.case_id, {})[point.fingerprint] = point  # the last one stays
    made = []
    for case, known in cases.items():
        if len(known) > 1:
            points = tuple(known.get(one) for one in chosen)
            made.append(Beside(case, points, tuple(_against(points))))
    return made


def _against(points: Iterable[Point | None]) -> Iterator[Ratio | str | None]:
    base, *others = points
    yield None
    for point in others:
        if base is None or point is None:
            yield None
            continue
        differs = [n for n in ("code", "inputs") if getattr(base, n) != getattr(point, n)]
        yield (
            f"{' and '.join(differs)} differ{'s' * (differs == ['code'])}"
            if differs
            else ratio(point.process_seconds or (), base.process_seconds or ())
        )
