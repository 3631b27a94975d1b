"""Two runs of the same cases: what has become faster or slower, and whether it may be compared.

As text for a terminal, and as Markdown for a pull request.
"""

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from numbers import Real
from statistics import geometric_mean
from typing import Any, TypeGuard

import pandas as pd

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.clock.intervals import (
    FASTER,
    LEAST_PROCESSES,
    SAME_SPEED,
    SLOWER,
    Ratio,
    ratio,
)
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records import states
from samegrad.benchmarks.records.journal import Journal, read
from samegrad.benchmarks.records.quality import UNUSABLE
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.records.schema import OK, Record
from samegrad.implementations.contract import columns
from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.files import named
from samegrad.implementations.contract.texts import clean_errors
from samegrad.reports.data.values import cell, duration, foldable, interval_text, markdown_table

ACROSS = ("machine", "code", "inputs")  # what may be allowed to differ, each by name
FACTORS = (1.0, 1.05, 1.1, 1.25, 1.5, 2.0)  # of the performance profile
TOO_FEW = f"fewer than {LEAST_PROCESSES} processes in a run: no intervals, so no verdict"
SHARES = "Share of cases within a factor of the better run:"
Source = Journal | str | os.PathLike[str]


@dataclass(frozen=True)
class RunComparison:
    """What comparing two runs gives.

    Attributes:
        old, new: the first records of both journals.
        names: of both runs, with what tells them apart.
        rows: case, old and new seconds, ratio, low, high, verdict, mark, reason; the slowest
            first. reason says why a row was not compared, mark what differs although it was.
        beyond: the cases that are certainly slower by more than their `fail_above`.
        machines: the state of the machine in both runs, which is said first.
        cpu_change: how many times as long the new run's machine takes for a fixed piece of work;
            None where the runs do not say it.
        warnings: one line for each line of the journals that could not be used, and for each
            group that has a limit and no rows.
    """

    old: Record
    new: Record
    names: tuple[str, str]
    rows: pd.DataFrame
    beyond: list[str]
    machines: tuple[str, str]
    cpu_change: float | None
    warnings: list[str]

    @property
    def compared(self) -> pd.DataFrame:
        """The rows that have a ratio."""
        return self.rows[self.rows.reason == ""]


@clean_errors()
def compare(
    old: Source,
    new: Source,
    *,
    across: Collection[str] = (),
    fail_above: float | Mapping[str, float] = math.inf,
) -> RunComparison:
    """Compare two runs case by case: how many times as long the new one takes, with a verdict.

    Rows whose machine, code or inputs differ have a reason instead, unless that is in `across`:
    then they have a mark. Thread count and precision are part of a case, so they never mix; a
    case that one run has with other threads or in another precision only says so.

    Where the machine's own speed changed, the interval of a row on the CPU reaches from the ratio
    as it is to the ratio less that change: how much of it the row follows is not known.

    Args:
        old, new: run directories, their journals, or journals that were read already.
        across: names of ACROSS.
        fail_above: 0.05 means that a row whose interval lies above 1.05 is in `beyond`. Or limits
            by group: an implementation, operation, workload, device, dtype or transfer, "" of all
            rows; of those that a row is in, the last one counts.

    Raises:
        NotAJournalError: one of the files is no journal that can be read.
        ValueError: a name of `across` is not known, no group has rows, or a limit is negative.
    """
    across = (across,) if isinstance(across, str) else across
    for name in across:
        if name not in ACROSS:
            raise ValueError(f"--across {name!r} is not known; accepted: {', '.join(ACROSS)}")
    limits = fail_above if isinstance(fail_above, Mapping) else {"": fail_above}
    for limit in limits.values():
        if not (isinstance(limit, Real) and limit >= 0):
            raise ValueError(
                f"fail_above={limit!r} is not accepted; give a share from 0 on: 0.05 means 5 %"
            )
    before, after = _journal(old), _journal(new)
    old_rows, new_rows = {row.case.id: row for row in results.rows(before)}, results.rows(after)
    change = results.cpu_speed_change(before, after)
    records = [
        _compared(old_rows.pop(row.case.id, None), row, before, after, across, change)
        for row in new_rows
    ]
    contracts = {_contract(row.case) for row in new_rows}
    for case_id, row in old_rows.items():
        reason = "not in the new run"
        if _contract(row.case) in contracts:
            reason += ", which has it with other threads or in another precision"
        records.append(_empty(case_id) | {"reason": reason})
    rows = pd.DataFrame.from_records(records, columns=list(_empty("")))
    rows = rows.sort_values(["low", "ratio"], ascending=False, na_position="last")
    allowed, without_rows = _allowed([row.case for row in new_rows], limits)
    slow = rows[rows.case.map(allowed).fillna(math.inf) + 1 < rows.low]
    warnings = [*before.warnings, *after.warnings, *without_rows]
    names = _names((before, after), (old, new))
    rows = rows.reset_index(drop=True)
    machines = (states.sentence(before.states), states.sentence(after.states))
    beyond = slow.case.tolist()
    return RunComparison(before.run, after.run, names, rows, beyond, machines, change, warnings)


def _allowed(
    cases: Collection[Case], limits: Mapping[str, float]
) -> tuple[dict[str, float], list[str]]:
    """Case id -> by how much it may be slower; a line for each group without rows.

    Raises:
        ValueError: no group has rows, so nothing would be judged.
    """
    groups = {
        case.id: ("", case.implementation, case.operation, case.workload.name, case.device,
                  case.workload.dtype, case.transfer)
        for case in cases
    }  # fmt: skip
    known = sorted({name for names in groups.values() for name in names if name})
    empty = [name for name in limits if name and name not in known]
    said = [
        f"no row is of the group {name!r:.60}, whose limit judges nothing; there are: "
        f"{', '.join(known)}{did_you_mean(name, known)}"
        for name in empty
    ]
    if empty and len(empty) == len(limits):
        raise ValueError(said[0])
    allowed = {
        case: next((limits[name] for name in reversed([*limits]) if name in names), math.inf)
        for case, names in groups.items()
    }
    return allowed, said


def _journal(source: Source) -> Journal:
    if isinstance(source, Journal):
        return source
    path = named("run", source)
    return read(path / "journal.jsonl" if path.is_dir() else path)


def _names(journals: tuple[Journal, Journal], sources: tuple[Source, Source]) -> tuple[str, str]:
    """Of both runs; where these are alike, with the first of their facts that is not."""
    old, new = (str(journal.run["run"]) for journal in journals)
    if old != new:
        return old, new
    machines = [journal.run["machine"] for journal in journals]
    for what, (a, b) in {
        "started": [journal.run.get("started") for journal in journals],
        "commit": [machine.get("commit") for machine in machines],
        "machine": [journal.run["fingerprint"] for journal in journals],
        "in": [None if isinstance(source, Journal) else os.fspath(source) for source in sources],
    }.items():
        if a != b and a is not None and b is not None:
            return f"{old}, {what} {a}", f"{new}, {what} {b}"
    return old, new


def _empty(case: str) -> dict[str, Any]:
    numbers = dict.fromkeys(("old", "new", "ratio", "low", "high"), math.nan)
    return {"case": case, **numbers, "verdict": "", "mark": "", "reason": ""}


def _contract(case: Case) -> tuple[Any, ...]:
    """A case without its threads and precision."""
    workload = case.workload
    return (workload.name, workload.batch_size, case.operation, case.implementation, case.device,
            case.transfer)  # fmt: skip


def _compared(
    other: Row | None,
    row: Row,
    old: Journal,
    new: Journal,
    across: Collection[str],
    change: float | None,
) -> dict[str, Any]:
    record = _empty(row.case.id)
    if other is None:
        return record | {"reason": "not in the old run"}
    old_status, new_status = _status(other, old), _status(row, new)
    if not old_status == new_status == OK:
        return record | {"reason": f"{old_status} in the old run, {new_status} in the new one"}
    differences = results.differences(other, row, old.run, new.run)
    for name, text in differences.items():
        if name not in across:
            return record | {"reason": f"{text} (--across {name} compares them)"}
    times = ratio(row.process_medians, other.process_medians)
    if math.isnan(times.low):
        return record | {"reason": TOO_FEW}
    if row.case.device == "cpu" and _changed(change):  # a GPU has a clock of its own
        low, high = (min(1.0, 1 / change), max(1.0, 1 / change))
        times = Ratio(times.value, times.low * low, times.high * high)
    return record | {
        "old": other.median_seconds, "new": row.median_seconds, "ratio": times.value,
        "low": times.low, "high": times.high, "verdict": times.verdict,
        "mark": "; ".join(differences.values()),
    }  # fmt: skip


def _status(row: Row, journal: Journal) -> str:
    """Whether there is something to compare: "ok", or what the row is instead."""
    if row.status == OK and states.run_too_busy(journal.states):
        return "on a busy machine"
    return UNUSABLE if row.status == OK and row.quality.level == UNUSABLE else row.status


def _changed(cpu_change: float | None) -> TypeGuard[float]:
    """Whether the machine's own speed changed by more than 2 %."""
    return cpu_change is not None and not 1 / SAME_SPEED <= cpu_change <= SAME_SPEED


def profile(comparison: RunComparison) -> pd.DataFrame:
    """Share of the cases within each factor of the better of the two runs (Dolan and More 2002)."""
    rows = comparison.compared
    best = rows[["old", "new"]].min(axis=1)
    return pd.DataFrame(
        [
            {"run": name}
            | {f"{factor:g}": f"{100 * (rows[name] <= factor * best * (1 + 1e-12)).mean():.0f} %"
               for factor in FACTORS}
            for name in ("old", "new")
        ]
    )  # fmt: skip


def not_compared(comparison: RunComparison) -> list[str]:
    """How many rows were not compared, by reason."""
    refused = comparison.rows[comparison.rows.reason != ""]
    return [f"{len(part)} rows: {reason}" for reason, part in refused.groupby("reason", sort=False)]


def sentences(comparison: RunComparison) -> list[str]:
    """The result in sentences."""
    rows, change = comparison.compared, comparison.cpu_change
    verdicts = rows.verdict.value_counts()
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "none"
    old, new = comparison.machines
    lines = [f"Both runs: {old}" if old == new else f"Old run: {old} New run: {new}"]
    lines.append(f"{len(rows)} of {len(comparison.rows)} rows can be compared: {counts}.")
    if rows.empty:
        return lines
    mean = geometric_mean(rows.ratio)
    lines.append(f"Geometric mean of the ratios, new over old (below 1 is faster): {mean:.3f}.")
    if _changed(change):
        lines.append(
            f"The machine itself was {100 * abs(1 / change - 1):.0f} % "
            f"{'faster' if change < 1 else 'slower'} in the new run (a fixed piece of work, timed "
            "throughout both runs): intervals and verdicts of CPU rows allow for it."
        )
    return lines


def text(comparison: RunComparison) -> str:
    """For a terminal."""
    rows, (old, new) = comparison.compared, comparison.names
    lines = [*columns.folded([f"{old} (old) against {new} (new)", *sentences(comparison)])]
    cells = [
        (
            row.verdict,
            f"{row.ratio:.3f}",
            f"({interval_text(row.low, row.high, '{:.3f}'.format)})",
            row.case + (f"  [{row.mark}]" if row.mark else ""),
        )
        for row in rows.itertuples()
    ]
    lines += columns.table(cells, right=(1,), indent="  ")
    if len(rows):
        shares = profile(comparison).to_string(index=False)
        lines += [SHARES, *("  " + line for line in shares.splitlines())]
    refused = [f"  not compared: {line}" for line in not_compared(comparison)]
    return "\n".join([*lines, *columns.folded(refused)])


def table(comparison: RunComparison) -> pd.DataFrame:
    """The compared rows as texts, the slowest first."""
    rows = comparison.compared
    return pd.DataFrame(
        {
            "verdict": rows.verdict,
            "ratio": rows.ratio.map("{:.3f}".format),
            "95 % interval": [
                interval_text(low, high, "{:.3f}".format)
                for low, high in zip(rows.low, rows.high, strict=True)
            ],
            "old": rows.old.map(duration),
            "new": rows.new.map(duration),
            "case": rows.case,
            "mark": rows.mark,
        }
    )


def certain(comparison: RunComparison) -> dict[str, pd.DataFrame]:
    """The rows that have certainly become slower, and those that have become faster."""
    verdict, whole = comparison.compared.verdict, table(comparison)
    return {"Slower": whole[verdict == SLOWER], "Faster": whole[verdict == FASTER]}


def markdown(comparison: RunComparison) -> str:
    """For a pull request: what became slower first, what did not change folded."""
    rows, whole = comparison.compared, table(comparison)
    slower, rest = whole[rows.verdict == SLOWER], whole[rows.verdict != SLOWER]
    blocks = [f"## {' against '.join(map(cell, comparison.names))}"]
    blocks += map(cell, sentences(comparison))
    if len(slower):
        blocks += [f"### Slower: {len(slower)}", markdown_table(slower)]
    if len(rest):
        title = f"Not slower, or not certainly: {len(rest)}"
        blocks.append(foldable(title, markdown_table(rest)))
    if len(rows):
        blocks += [SHARES, markdown_table(profile(comparison))]
    blocks += [f"- not compared: {cell(line)}" for line in not_compared(comparison)]
    return "\n\n".join(blocks)
