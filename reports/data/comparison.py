"""Two runs of the same cases: what has become faster or slower, and whether it may be compared."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd
from samegrad.benchmarks.clock.intervals import SLOWER, Ratio, ratio
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.records.schema import OK, Record
from samegrad.reports.data import tables
from samegrad.reports.document.page import cell, markdown_table

ACROSS = ("machine", "code", "inputs")  # what may be allowed to differ, each by name
# A machine whose own pace changed by more may be what makes a row faster or slower.
SAME_PACE = 1.02
FACTORS = (1.0, 1.05, 1.1, 1.25, 1.5, 2.0)  # of the performance profile


@dataclass(frozen=True)
class Comparison:
    """What comparing two runs gives.

    Attributes:
        old, new: the first records of both.
        rows: case, old and new seconds, ratio, low, high, verdict, mark, reason; the slowest
            first. reason says why a row was not compared, mark what differs although it was.
        beyond: the cases that are slower by more than the threshold, beyond doubt.
        pace: how many times as long the new run's machine takes for a fixed piece of work; None
            where the runs do not say it.
    """

    old: Record
    new: Record
    rows: pd.DataFrame
    beyond: list[str]
    pace: float | None = None

    @property
    def compared(self) -> pd.DataFrame:
        """The rows that have a ratio."""
        return self.rows[self.rows.reason == ""]


def compare(
    old: Journal,
    new: Journal,
    across: Collection[str] = (),
    fail_above: float = math.inf,
) -> Comparison:
    """Case by case how many times as long the new run takes as the old one, with a verdict.

    Rows whose machine, code or inputs differ have a reason instead, unless that is in `across`:
    then they have a mark. Thread count and precision are part of a case, so they never mix; a
    case that one run has with other threads or in another precision only says so.

    Where the machine's own pace changed, the interval of a row on the CPU reaches from the ratio as
    it is to the ratio less that change: how much of it the row follows is not known.

    Args:
        old, new: the journals.
        across: names of ACROSS.
        fail_above: 0.05 means that a row whose interval lies above 1.05 is beyond it.
    """
    before, rows = {row.case.id: row for row in results.rows(old)}, results.rows(new)
    records = []
    changed = results.cpu_speed_change(old, new)
    for row in rows:
        other = before.pop(row.case.id, None)
        records.append(_compared(other, row, old, new, across, changed))
    alike = {_contract(row.case) for row in rows}
    for case_id, row in before.items():
        reason = "not in the new run"
        if _contract(row.case) in alike:
            reason += ", which has it with other threads or in another precision"
        records.append(_empty(case_id) | {"reason": reason})
    frame = pd.DataFrame.from_records(records, columns=list(_empty("")))
    frame = frame.sort_values(["low", "ratio"], ascending=False, na_position="last")
    beyond = frame[frame.low > 1 + fail_above].case.tolist()
    return Comparison(old.run, new.run, frame.reset_index(drop=True), beyond, changed)


def _empty(case: str) -> dict[str, Any]:
    return {"case": case, "old": math.nan, "new": math.nan, "ratio": math.nan, "low": math.nan,
            "high": math.nan, "verdict": "", "mark": "", "reason": ""}  # fmt: skip


def _contract(case: Any) -> tuple[Any, ...]:
    """A case without its threads and precision."""
    problem = case.workload
    return (problem.name, problem.batch_size, case.operation, case.implementation, case.device,
            case.transfer)  # fmt: skip


def _compared(
    other: Row | None,
    row: Row,
    old: Journal,
    new: Journal,
    across: Collection[str],
    changed: float | None,
) -> dict[str, Any]:
    record = _empty(row.case.id)
    if other is None:
        return record | {"reason": "not in the old run"}
    if row.status != OK or other.status != OK:
        return record | {"reason": f"{other.status} in the old run, {row.status} in the new one"}
    differ = results.differences(other, row, old.run, new.run)
    for what, said in differ.items():
        if what not in across:
            return record | {"reason": f"{said} (--across {what} compares them)"}
    found = ratio(row.process_medians, other.process_medians)
    if row.case.device == "cpu":  # a GPU has a clock of its own
        found = _with_pace(found, changed)
    return record | {
        "old": other.median_seconds, "new": row.median_seconds, "ratio": found.value,
        "low": found.low, "high": found.high, "verdict": found.verdict,
        "mark": "; ".join(differ.values()),
    }  # fmt: skip


def _with_pace(found: Ratio, changed: float | None) -> Ratio:
    """The ratio with an interval that holds it with the machine's change and without."""
    if changed is None or 1 / SAME_PACE <= changed <= SAME_PACE:
        return found
    low, high = (min(1.0, 1 / changed), max(1.0, 1 / changed))
    return Ratio(found.value, found.low * low, found.high * high)


def profile(found: Comparison) -> pd.DataFrame:
    """Share of the cases within each factor of the better of the two runs (Dolan and More 2002)."""
    rows = found.compared
    best = rows[["old", "new"]].min(axis=1)
    return pd.DataFrame(
        [
            {"run": name}
            | {f"{f:g}": f"{100 * (rows[name] <= f * best * (1 + 1e-12)).mean():.0f} %"
               for f in FACTORS}
            for name in ("old", "new")
        ]
    )  # fmt: skip


def said(found: Comparison) -> list[str]:
    """The result in sentences."""
    rows = found.compared
    verdicts = rows.verdict.value_counts()
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "none"
    lines = [f"{len(rows)} of {len(found.rows)} rows can be compared: {counts}."]
    if len(rows):
        mean = tables.geometric_mean(rows.ratio)
        lines.append(f"Geometric mean of the ratios, new over old (below 1 is faster): {mean:.3f}.")
        if found.pace is not None and not 1 / SAME_PACE <= found.pace <= SAME_PACE:
            lines.append(
                f"The machine itself was {100 * abs(1 / found.pace - 1):.0f} % "
                f"{'faster' if found.pace < 1 else 'slower'} in the new run (a fixed piece of "
                "work, timed in every turn): intervals and verdicts of CPU rows allow for it."
            )
        if rows.low.isna().all():
            lines.append("Fewer than 5 processes in a run: no intervals, so nothing is certain.")
    return lines


def text(found: Comparison) -> str:
    """For a terminal."""
    old, new = found.old["run"], found.new["run"]
    lines = [f"{old} (old) against {new} (new)", *said(found)]
    for row in found.compared.itertuples():
        span = f"({row.low:.3f} to {row.high:.3f})" if math.isfinite(row.low) else "(no interval)"
        mark = f"  [{row.mark}]" if row.mark else ""
        lines.append(f"  {row.verdict:10} {row.ratio:6.3f}  {span:18}  {row.case}{mark}")
    if len(found.compared):
        lines += ["Share of cases within a factor of the better run:"]
        lines += ["  " + line for line in profile(found).to_string(index=False).splitlines()]
    return "\n".join([*lines, *(f"  not compared: {line}" for line in _refused(found))])


def _refused(found: Comparison) -> list[str]:
    lines = []
    for reason, part in found.rows[found.rows.reason != ""].groupby("reason", sort=False):
        lines.append(f"{len(part)} rows: {reason}")
    return lines


def markdown(found: Comparison) -> str:
    """For a pull request: what became slower first, what did not change folded."""
    rows = found.compared
    shown = pd.DataFrame(
        {
            "verdict": rows.verdict,
            "ratio": [f"{value:.3f}" for value in rows.ratio],
            "95 % interval": [
                f"{low:.3f} to {high:.3f}" if math.isfinite(low) else ""
                for low, high in zip(rows.low, rows.high, strict=True)
            ],
            "old": rows.old.map(tables.duration),
            "new": rows.new.map(tables.duration),
            "case": rows.case,
            "mark": rows.mark,
        }
    )
    slower = shown[rows.verdict == SLOWER]
    rest = shown[rows.verdict != SLOWER]
    parts = [f"## {cell(found.old['run'])} against {cell(found.new['run'])}"]
    parts += map(cell, said(found))
    if len(slower):
        parts += [f"### Slower: {len(slower)}", markdown_table(slower)]
    if len(rest):
        table = markdown_table(rest)
        title = f"Not slower, or not certainly: {len(rest)}"
        parts.append(f"<details><summary>{title}</summary>\n\n{table}\n\n</details>")
    if len(rows):
        parts += [
            "Share of cases within a factor of the better run:",
            markdown_table(profile(found)),
        ]
    parts += [f"- not compared: {cell(line)}" for line in _refused(found)]
    return "\n\n".join(parts)
