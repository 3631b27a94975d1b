"""What is said of one file or of a whole class: lines, a table, JUnit XML."""

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from samegrad.implementations.contract import columns
from samegrad.implementations.contract.texts import clean
from samegrad.implementations.exercises.check import Report
from samegrad.implementations.exercises.judging import MISSING, RIGHT_STATE, UNWRITTEN, WRONG
from samegrad.implementations.exercises.sheets import Sheet
from samegrad.implementations.reading.loading import AT_IMPORT

CELLS = {RIGHT_STATE: "right", WRONG: "WRONG", UNWRITTEN: "-"}
NO_SHEET = (
    "it does not say which worksheet it is (# samegrad exercise: NAME), and --exercise does not"
)


MOST_NAMED = 5  # files that are passed over


def shown(name: str) -> str:
    """A file's name in one line."""
    return clean(name).replace("\n", "\\n").replace("\t", "\\t")


def of_one(report: Report, verbose: bool = True) -> str:
    """A line for each equation.

    Args:
        verbose: with those that are right and say nothing.
    """
    if report.sheet is None:
        return f"{shown(report.name)}: {'; '.join([*report.remarks, report.fault or NO_SHEET])}"
    lines = [f"{shown(report.name)}: {report.score} of {report.most} ({report.sheet.name})"]
    if report.fault:
        return f"{lines[0]}\n  {report.fault}"
    for result in report.results:
        there = not result.said.startswith(MISSING)
        if result.state == UNWRITTEN and there and not verbose:
            continue
        if not (verbose or result.said or result.notes):
            continue
        said = f": {result.said}" if result.said else ""
        lines.append(f"  {result.equation:6}{result.function:16} {result.state}{said}")
        lines += [f"{'':25}note: {note}" for note in result.notes]
    lines += [f"  note: {remark}" for remark in report.remarks]
    return "\n".join(columns.folded([*lines, f"  {report.summary}"], "    "))


def of_class(reports: Sequence[Report], passed_over: Sequence[str] = ()) -> str:
    """A table for each worksheet, then what is wrong in each file.

    Args:
        passed_over: files that are neither of Python nor notebooks.
    """
    parts = []
    for sheet in _sheets(reports):
        rows = [report for report in reports if report.sheet is sheet]
        tags = [part.equation for part in sheet.scored]
        table = [[sheet.name, *tags, "score"]]
        for row in rows:
            states = {result.equation: result.state for result in row.results}
            table.append(
                [shown(row.name), *(CELLS[states[tag]] for tag in tags), f"{row.score}/{row.most}"]
            )
        counts = [f"{have}/{len(rows)}" for have in _have(rows, tags).values()]
        table.append(["all", *counts, f"{_average(rows):.1f} on average"])
        parts.append("\n".join(columns.table(table)))
    if others := [shown(report.name) for report in reports if report.sheet is None]:
        parts.append(f"in no table and no average: {', '.join(others)}")
    if passed_over:
        more = len(passed_over) - MOST_NAMED
        names = ", ".join(map(shown, passed_over[:MOST_NAMED])) + f" and {more} more" * (more > 0)
        parts.append(f"passed over, neither .py nor .ipynb: {names}")
    said = [of_one(r, verbose=False) for r in reports if not r.done or _noticed(r)]
    return "\n\n".join([*parts, *said])


def to_dict(reports: Sequence[Report], passed_over: Sequence[str] = ()) -> dict[str, Any]:
    """What `of_class` shows as plain data: each file, each worksheet, what was passed over."""
    sheets = []
    for sheet in _sheets(reports):
        rows = [report for report in reports if report.sheet is sheet]
        sheets.append(
            {
                "exercise": sheet.name,
                "files": len(rows),
                "right": _have(rows, [part.equation for part in sheet.scored]),
                "average": _average(rows),
                "of": len(sheet.scored),
            }
        )
    return {
        "files": [report.to_dict() for report in reports],
        "exercises": sheets,
        "passed_over": list(passed_over),
    }


def _sheets(reports: Sequence[Report]) -> list[Sheet]:
    """Each worksheet that there is, once."""
    return list(dict.fromkeys(report.sheet for report in reports if report.sheet is not None))


def _have(rows: Sequence[Report], tags: Sequence[str]) -> dict[str, int]:
    """How many files have each equation."""
    return {tag: sum(_is_right(row, tag) for row in rows) for tag in tags}


def _average(rows: Sequence[Report]) -> float:
    return sum(row.score for row in rows) / len(rows)


def _noticed(report: Report) -> bool:
    """Whether there is more to say of a right file than that its training was not run."""
    return not all(remark.startswith(AT_IMPORT) for remark in report.remarks)


def _is_right(report: Report, tag: str) -> bool:
    return any(r.equation == tag and r.state == RIGHT_STATE for r in report.results)


def _cases(report: Report) -> list[tuple[str, str, str]]:
    """(name, what JUnit calls its outcome or "", why) of each case of a file."""
    if report.sheet is None:
        fault = report.fault
        return [("worksheet", "error" if fault else "skipped", fault or NO_SHEET)]
    kinds = {WRONG: "error" if report.fault else "failure", UNWRITTEN: "skipped", RIGHT_STATE: ""}
    cells = [(said.partition("[")[2].partition("]")[0], "error", said) for said in report.broken]
    return cells + [
        (f"{r.equation} {r.function}", kinds[r.state], report.fault or r.said or r.state)
        for r in report.results
    ]


def junit(reports: Sequence[Report]) -> str:
    """A suite for each file, a case for each equation.

    What is not written yet was skipped, also a file that is no worksheet; a file that cannot be run
    is an error in each of its cases, and in one where nobody knows which it has; a cell of a
    notebook that is no Python is an error of its own.
    """
    suites = []
    for report in reports:
        cases, kinds = [], list[str]()
        for name, kind, said in _cases(report):
            body = f"<{kind} message={quoteattr(clean(said))}/>" if kind else ""
            cases.append(
                f"<testcase classname={quoteattr(clean(report.name))} "
                f"name={quoteattr(clean(name))}>{body}</testcase>"
            )
            kinds.append(kind)
        suites.append(
            f'<testsuite name={quoteattr(clean(report.name))} tests="{len(kinds)}" '
            f'failures="{kinds.count("failure")}" errors="{kinds.count("error")}" '
            f'skipped="{kinds.count("skipped")}">'
            + "\n".join(cases)
            + f"<system-out>{escape(clean(of_one(report)))}</system-out></testsuite>"
        )
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return f"{head}<testsuites>{''.join(suites)}</testsuites>\n"
