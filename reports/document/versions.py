"""The chapter of versions: whether a library has become slower."""

from samegrad.reports.charts.versions import over_versions
from samegrad.reports.data import versions
from samegrad.reports.data.report import Report
from samegrad.reports.document.chapter import Chapter, Table


def over_time(report: Report) -> Chapter:
    """Time over version, each against the first and the one before."""
    lines = versions.table(report)
    return Chapter(
        "Over versions",
        versions.sentences(lines),
        charts=[over_versions(report)],
        tables=[
            Table(
                "Each version",
                "Slower and faster only where the interval of the ratio lies beyond 1.05. Every "
                "version runs the lines of benchmarks/versions/step.py, and its first step agrees "
                "with the reference.",
                versions.shown(lines),
            )
        ],
    )
