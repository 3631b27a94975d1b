"""Two runs of the same cases: what has become faster or slower, and whether it may be compared."""

import math
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.clock.intervals import Ratio, ratio
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records.journal import Journal, read
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.records.schema import OK, Record

ACROSS = ("machine", "code", "inputs")  # what may be allowed to differ, each by name
# A machine whose own speed changed by more may be what makes a row faster or slower.
SAME_SPEED = 1.02
FACTORS = (1.0, 1.05, 1.1, 1.25, 1.5, 2.0)  # of the performance profile


@dataclass(frozen=True)
class RunComparison:
    """What comparing two runs gives.

    Attributes:
        old, new: the first records of both journals.
        rows: case, old and new seconds, ratio, low, high, verdict, mark, reason; the slowest
            first. reason says why a row was not compared, mark what differs although it was.
        beyond: the cases that are certainly slower by more than `fail_above`.
        cpu_change: how many times as long the new run's machine takes for a fixed piece of work;
            None where the runs do not say it.
        warnings: one line for each line of the journals that could not be used.
    """

    old: Record
    new: Record
    rows: pd.DataFrame
    beyond: list[str]
    cpu_change: float | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def compared(self) -> pd.DataFrame:
        """The rows that have a ratio."""
        return self.rows[self.rows.reason == ""]

    @property
    def certain(self) -> bool:
        """Whether any ratio has an interval."""
        return bool(self.compared.low.notna().any())

    @property
    def cpu_changed(self) -> bool:
        """Whether the machine's own speed changed by more than 2 %."""
        change = self.cpu_change
        return change is not None and not 1 / SAME_SPEED <= change <= SAME_SPEED


def compare(
    old: Journal | str | os.PathLike[str],
    new: Journal | str | os.PathLike[str],
    *,
    across: Collection[str] = (),
    fail_above: float = math.inf,
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
        fail_above: 0.05 means that a row whose interval lies above 1.05 is in `beyond`.

    Raises:
        NotAJournalError: one of the files is no journal that can be read.
        ValueError: a name of `across` is not known, or `fail_above` is negative.
    """
    for name in across:
        if name not in ACROSS:
            raise ValueError(f"--across {name!r} is not known; accepted: {', '.join(ACROSS)}")
    if not fail_above >= 0:
        raise ValueError(f"fail_above={fail_above} is not accepted; it must be 0 or more")
    old, new = _journal(old), _journal(new)
    old_rows, new_rows = {row.case.id: row for row in results.rows(old)}, results.rows(new)
    change = results.cpu_speed_change(old, new)
    records = [
        _compared(old_rows.pop(row.case.id, None), row, old, new, across, change)
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
    beyond = rows[rows.low > 1 + fail_above].case.tolist()
    warnings = [*old.warnings, *new.warnings]
    return RunComparison(old.run, new.run, rows.reset_index(drop=True), beyond, change, warnings)


def _journal(source: Journal | str | os.PathLike[str]) -> Journal:
    if isinstance(source, Journal):
        return source
    path = Path(source)
    return read(path / "journal.jsonl" if path.is_dir() else path)


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
    if row.status != OK or other.status != OK:
        return record | {"reason": f"{other.status} in the old run, {row.status} in the new one"}
    differences = results.differences(other, row, old.run, new.run)
    for name, text in differences.items():
        if name not in across:
            return record | {"reason": f"{text} (--across {name} compares them)"}
    times = ratio(row.process_medians, other.process_medians)
    if row.case.device == "cpu":  # a GPU has a clock of its own
        times = _allowing_for(times, change)
    return record | {
        "old": other.median_seconds, "new": row.median_seconds, "ratio": times.value,
        "low": times.low, "high": times.high, "verdict": times.verdict,
        "mark": "; ".join(differences.values()),
    }  # fmt: skip


def _allowing_for(times: Ratio, change: float | None) -> Ratio:
    """The ratio with an interval that holds it with the machine's change and without."""
    if change is None or 1 / SAME_SPEED <= change <= SAME_SPEED:
        return times
    low, high = (min(1.0, 1 / change), max(1.0, 1 / change))
    return Ratio(times.value, times.low * low, times.high * high)


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
