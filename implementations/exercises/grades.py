"""What is said of one file or of a whole class: lines, a table, JUnit XML."""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from samegrad.implementations.contract import columns
from samegrad.implementations.contract.texts import clean
from samegrad.implementations.exercises.check import Report
from samegrad.implementations.exercises.judging import RIGHT_STATE, UNWRITTEN, WRONG
from samegrad.implementations.exercises.sheets import NET

CELLS = {RIGHT_STATE: "right", WRONG: "WRONG", UNWRITTEN: "-"}
NO_SHEET = (
    "it does not say which worksheet it is (# samegrad exercise: NAME), and --exercise does not"
)


def of_one(report: Report, verbose: bool = True) -> str:
    """A line for each equation.

    Args:
        verbose: with those that are right and say nothing.
    """
    if report.sheet is None:
        return f"{report.name}: {report.fault or NO_SHEET}"
    lines = [f"{report.name}: {report.score} of {report.most} ({report.sheet.name})"]
    if report.fault:
        return f"{lines[0]}\n  {report.fault}"
    for result in report.results:
        if result.state == UNWRITTEN and not verbose:
            continue
        if not (verbose or result.said or result.notes):
            continue
        tag = "all" if result.equation == NET else result.equation
        said = f": {result.said}" if result.said else ""
        lines.append(f"  {tag:6}{result.function:16} {result.state}{said}")
        lines += [f"{'':25}note: {note}" for note in result.notes]
    lines += [f"  note: {remark}" for remark in report.remarks]
    return "\n".join(columns.folded([*lines, f"  {report.summary}"], "    "))


def of_class(reports: Sequence[Report]) -> str:
    """A table for each worksheet, then what is wrong in each file."""
    parts = []
    for sheet in dict.fromkeys(report.sheet for report in reports if report.sheet is not None):
        rows = [report for report in reports if report.sheet is sheet]
        tags = [part.equation for part in sheet.scored]
        table = [[sheet.name, *tags, "score"]]
        for row in rows:
            states = {result.equation: result.state for result in row.results}
            table.append(
                [row.name, *(CELLS[states[tag]] for tag in tags), f"{row.score}/{row.most}"]
            )
        counts = [
            f"{sum(_is_right(row, tag) for row in rows)}/{len(rows)}" for tag in tags
        ]  # of each equation, how many have it
        total = sum(row.score for row in rows) / len(rows)
        table.append(["all", *counts, f"{total:.1f} on average"])
        parts.append("\n".join(columns.table(table)))
    said = [of_one(report, verbose=False) for report in reports if not report.done]
    return "\n\n".join([*parts, *said])


def _is_right(report: Report, tag: str) -> bool:
    return any(r.equation == tag and r.state == RIGHT_STATE for r in report.results)


def junit(reports: Sequence[Report]) -> str:
    """A suite for each file, a case for each equation; what is not written yet was skipped."""
    suites = []
    for report in reports:
        cases = []
        for result in report.results:
            name = quoteattr(clean(f"{result.equation} {result.function}"))
            said = quoteattr(clean(result.said or result.state))
            body = {WRONG: f"<failure message={said}/>", UNWRITTEN: f"<skipped message={said}/>"}
            cases.append(
                f"<testcase classname={quoteattr(clean(report.name))} name={name}>"
                f"{body.get(result.state, '')}</testcase>"
            )
        states = [result.state for result in report.results]
        suites.append(
            f'<testsuite name={quoteattr(clean(report.name))} tests="{len(states)}" '
            f'failures="{states.count(WRONG)}" errors="0" skipped="{states.count(UNWRITTEN)}">'
            + "\n".join(cases)
            + f"<system-out>{escape(clean(of_one(report)))}</system-out></testsuite>"
        )
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return f"{head}<testsuites>{''.join(suites)}</testsuites>\n"
