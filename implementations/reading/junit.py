"""Verdicts as JUnit XML, which continuous integration shows: a test case for each file."""

from collections.abc import Sequence
from typing import Protocol
from xml.sax.saxutils import escape, quoteattr

from samegrad.implementations.contract.texts import clean


class Report(Protocol):
    """What a report of either kind has."""

    @property
    def name(self) -> str:
        """Of what was verified."""

    @property
    def verdict(self) -> str:
        """One of the five."""

    @property
    def reason(self) -> str:
        """One line."""

    def text(self, verbose: bool = False) -> str:
        """All of it."""


def junit(reports: Sequence[Report], refused: Sequence[Report] = ()) -> str:
    """The XML of some verdicts.

    Args:
        reports: each a test case: a disagreement is a failure; what is undecided, not checked or
            unavailable was skipped.
        refused: those of them that agree, with notes that are not allowed (--strict).
    """
    cases, failures, skipped = [], 0, 0
    for report in reports:
        name, text = quoteattr(clean(report.name)), escape(clean(report.text()))
        body = f"<system-out>{text}</system-out>"
        if report.verdict == "disagrees" or report in refused:
            failures += 1
            reason = report.reason or "notes that are not allowed"
            body = f"<failure message={quoteattr(clean(reason))}>{text}</failure>"
        elif report.verdict != "agrees":
            skipped += 1
            body = (
                f"<skipped message={quoteattr(clean(f'{report.verdict}: {report.reason}'))}/>{body}"
            )
        cases.append(f'<testcase classname="samegrad.verify" name={name}>{body}</testcase>')
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<testsuites><testsuite name="samegrad" tests="{len(reports)}" failures="{failures}" '
        f'errors="0" skipped="{skipped}">' + "\n".join(cases) + "</testsuite></testsuites>\n"
    )
