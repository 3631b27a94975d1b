"""A report as a document: what stands first, and the chapters in their order."""

from dataclasses import dataclass, replace

from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts.style import Chart, style
from samegrad.reports.data.report import Report
from samegrad.reports.document import details, speed, summary
from samegrad.reports.document.chapter import Chapter, Table
from samegrad.reports.document.learning import learning

CHAPTERS = (
    speed.speed,
    speed.best,
    speed.cost_growth,
    speed.gpu,
    speed.differentiation,
    learning,
    details.agreement,
    details.limits,
    details.compilation,
    details.memory,
    details.measured_code,
    details.without_number,
    details.machines,
    details.includes,
    details.reproduce,
)
FIRST = ("time_per_step", "time_to_target", "cost_of_differentiation")  # one of these leads


@dataclass(frozen=True)
class Document:
    """What a report says, in every form.

    Attributes:
        title: one line.
        counts: how many rows have a number, and why others have none.
        warnings: what makes the report less than it should be.
        summary: sentences that answer what most readers ask.
        notes: which runs these are.
        first: the chart that stands before all chapters, if any.
        chapters: in order.
        samples: per row with a number: processes -> repetitions -> nanoseconds per call of each
            block.
    """

    title: str
    counts: str
    warnings: list[str]
    summary: list[str]
    notes: list[str]
    first: Chart | None
    chapters: list[Chapter]
    samples: list[list[list[list[float]]]]

    @property
    def charts(self) -> list[Chart]:
        """All charts."""
        first = [] if self.first is None else [self.first]
        return [*first, *(chart for chapter in self.chapters for chart in chapter.charts)]

    def tables(self, *titles: str) -> list[Table]:
        """The tables of these titles, as far as there are any."""
        tables = {table.title: table for chapter in self.chapters for table in chapter.tables}
        return [tables[title] for title in titles if title in tables]


def document(report: Report) -> Document:
    """Everything that a report says, its charts drawn."""
    rows = report.rows
    missing = rows[rows.status != OK].status.value_counts()
    reasons = ", ".join(f"{count} {status}" for status, count in missing.items())
    with style():
        chapters = [make(report) for make in CHAPTERS] if len(rows) else []
    charts = {chart.name: chart for chapter in chapters for chart in chapter.charts}
    first = next((charts[name] for name in FIRST if name in charts), None)
    chapters = [
        replace(chapter, charts=tuple(chart for chart in chapter.charts if chart is not first))
        for chapter in chapters
    ]
    return Document(
        title="samegrad: the same networks, trained by several implementations"
        if report.only_trained
        else "samegrad: speed of one network in several idioms",
        counts=f"{len(report.ok)} of {len(rows)} rows have a number"
        + (f"; {reasons}" if reasons else "")
        + ".",
        warnings=[*_partial(report), *report.notes],
        summary=summary.sentences(report),
        notes=_notes(report),
        first=first,
        chapters=[chapter for chapter in chapters if not chapter.empty],
        samples=[sample for source in report.sources for sample in source.samples()],
    )


def _partial(report: Report) -> list[str]:
    return [
        f"PARTIAL: run {journal.run['run']} did not come to its end; what it measured is here."
        for journal in report.journals
        if not journal.complete
    ]


def _notes(report: Report) -> list[str]:
    notes = []
    for source in report.sources:
        run = source.journal.run
        notes.append(
            f"{source.label}: run {run['run']}, {run.get('started', 'unknown time')}, preset "
            f"{run.get('preset', 'unknown')}, commit {run['machine'].get('commit', 'unknown')}."
        )
    return notes
