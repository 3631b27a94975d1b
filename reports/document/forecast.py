"""The chapter of predictions: what a run had said of its rows before it measured any."""

import pandas as pd

from samegrad.reports.data.prediction import errors
from samegrad.reports.data.report import Report
from samegrad.reports.data.values import duration
from samegrad.reports.document.chapter import Answer, Chapter, Table, columns, present

WELL = 0.25  # how far a prediction may be off


def predictions(report: Report) -> Chapter:
    """What the run had predicted of its rows before it measured any, and how far it was off."""
    known = errors(report.rows)
    if known.empty:
        return Chapter("Predicted and measured")
    off = known.error.abs()
    table = columns(
        known,
        predicted=known.predicted_seconds.map(duration),
        time=known.seconds.map(duration),
        off=[f"{100 * error:+.0f} %" for error in known.error],
    )
    text = (
        "Before any row was measured, the time of each was predicted from ceilings and from a few "
        "fixed calls that are no rows, and written into the journal (docs/limit.md); looped Python "
        f"excepted. The median error is {100 * off.median():.0f} % over {len(known)} rows; "
        f"{(off <= WELL).sum()} are within {100 * WELL:.0f} %."
    )
    by_name = [
        {"implementation": name, "rows": len(own), "median error": f"{100 * own.median():.0f} %",
         "nine of ten within": f"{100 * own.quantile(0.9):.0f} %"}
        for name, own in off.groupby(known.implementation, sort=False)
    ]  # fmt: skip
    return Chapter(
        "Predicted and measured",
        [text],
        tables=[
            Table("How far predictions were off", "", pd.DataFrame(by_name)),
            Table("Each row's prediction", "", present(report, table)),
        ],
    )


def answer(report: Report) -> Answer:
    """How well the times were predicted, over all rows and by implementation."""
    known = errors(report.conclusive)
    if known.empty:
        return Answer("", "")
    off = known.error.abs()
    names = [
        f"{name} {100 * own.median():.0f} %"
        for name, own in off.groupby(known.implementation, sort=False)
    ]
    text = (
        f"From fixed probes, before any row was measured, within {100 * off.median():.0f} % in the "
        f"median of {len(known)} rows: {', '.join(names)}."
    )
    return Answer("Could the times have been predicted?", text)
