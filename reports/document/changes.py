"""The chapter of what has become slower or faster since another run."""

from samegrad.reports.data import comparison
from samegrad.reports.data.comparison import RunComparison
from samegrad.reports.document.chapter import Chapter, Table


def changes(compared: RunComparison) -> Chapter:
    """What is certain, the slower ones first; and how many rows were not compared."""
    return Chapter(
        "What changed",
        [f"{compared.names[0]} (old) against {compared.names[1]} (new).",
         *comparison.sentences(compared)],
        [f"not compared: {line}" for line in comparison.not_compared(compared)],
        tables=[
            Table(f"{title}: {len(rows)}", "", rows)
            for title, rows in comparison.certain(compared).items()
        ],
    )  # fmt: skip
