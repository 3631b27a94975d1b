"""Journals in, report out: index.html, report.md, results.csv and figures.

Beside the journal of a single run lies its summary then, too, which archives take.
"""

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract.columns import sentences
from samegrad.implementations.contract.commands import install
from samegrad.implementations.contract.files import named, replaced
from samegrad.implementations.contract.texts import clean_errors, described, say
from samegrad.reports.archive import summary as summaries
from samegrad.reports.charts import chart
from samegrad.reports.data import archives
from samegrad.reports.data.comparison import RunComparison, compare
from samegrad.reports.data.files import flat
from samegrad.reports.data.loading import load, paths
from samegrad.reports.data.matrix import Matrix, matrix
from samegrad.reports.data.report import Report, Source
from samegrad.reports.data.values import in_order
from samegrad.reports.document import (
    details,
    forecast,
    learning,
    page,
    speed,
    summary,
    terminal,
    versions,
)
from samegrad.reports.document.changes import changes
from samegrad.reports.document.chapter import Document, Look

PathLike = str | os.PathLike[str]
CHAPTERS = (
    versions.over_time,
    speed.speed,
    speed.inference,
    speed.best,
    speed.cost_growth,
    speed.several_ranks,
    speed.gpu,
    speed.differentiation,
    learning.learning,
    details.agreement,
    details.limits,
    forecast.predictions,
    details.compilation,
    details.memory,
    details.measured_code,
    details.without_number,
    details.machines,
    details.includes,
    details.reproduce,
    details.cite,
)
# One of these leads.
FIRST = ("time_over_versions", "time_per_step", "time_to_target", "cost_of_differentiation")


class NoParquetError(ValueError):
    """Parquet was asked for, and what writes it is not installed."""


@dataclass(frozen=True)
class Rendered:
    """A report that was written.

    Attributes:
        page: the path of its index.html, beside which everything else lies.
        warnings: one line for each thing that could not be read.
        summary: what a terminal shows: time per call, counts, the answers in sentences.
    """

    page: Path
    warnings: list[str]
    summary: list[str]

    @property
    def lines(self) -> list[str]:
        """Warnings, summary, and where the report is: what to print last."""
        return [*(f"warning: {line}" for line in self.warnings), *self.summary,
                f"report: {self.page}"]  # fmt: skip


@clean_errors()
def render(
    journals: PathLike | Iterable[PathLike],
    output: PathLike | None = None,
    *,
    parquet: bool = False,
    reference: str | None = None,
    base: PathLike | None = None,
) -> Rendered:
    """Write the report of one or more runs: index.html, report.md, results.csv and figures.

    Args:
        journals: journal files, run directories, directories of runs, or archives of gpu-proof.
        output: the directory to write into, made where it does not exist. Without it, the first
            of `journals` if that is a directory, else the directory that the file lies in; of an
            archive one beside it.
        parquet: whether to write results.parquet, too.
        reference: the implementation that times are divided by; by default NumPy.
        base: an earlier run, of other code perhaps; the report says what changed since.

    Raises:
        TypeError: `journals` are no paths.
        NotAJournalError: none of the files is a journal that can be read.
        NoParquetError: what writes Parquet is not installed.
        ValueError: a path is an empty text, or there is no such reference.
        OSError: the directory cannot be written.
    """
    if not isinstance(journals, str | os.PathLike | Iterable):
        raise TypeError(f"journals is {described(journals)}; give a path, or several")
    places = [journals] if isinstance(journals, str | os.PathLike) else list(journals)
    into = None if output is None else named("output", output)
    with archives.unpacked(places) as unpacked:
        found = paths(unpacked)
        report = load(found)
    shown = report.shown()
    since = None if base is None else compare(base, report.journals[0], across=("code",))
    times = matrix(shown, reference)
    first = Path(places[0])
    if archives.is_archive(first):
        first = first.with_suffix("")
    output = into or (first if first.is_dir() or not first.exists() else first.parent)
    if parquet:
        _check_parquet()
    figures = output / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    report.write_csv(output / "results.csv")
    if [path.parent for path in found] == [output]:
        _write_summary(found[0], report.sources[0])
    if parquet:
        with replaced(output / "results.parquet") as beside:
            flat(report.all_rows).to_parquet(beside, index=False)
    if shown is not report:  # which takes minutes
        say(f"{output / 'results.csv'} is written. {shown.notes[-1]}", error=True)
    with warnings.catch_warnings():
        # A name in letters that the figures' font lacks is drawn as boxes, one that is too long is
        # drawn over what is beside it, and neither costs a report.
        for message in ("Glyph .* missing from", "Tight layout not applied"):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        made = document(shown, times, since)
        chart.save(made.charts, figures)
    for name, text in (
        ("report.md", page.markdown(made)),
        ("index.html", page.html(made, figures)),
    ):
        with replaced(output / name) as beside:
            beside.write_text(text, encoding="utf-8")
    return Rendered(output / "index.html", report.warnings, terminal_lines(shown, made))


def _write_summary(path: Path, source: Source) -> None:
    """Write the summary of a journal beside it."""
    try:
        read = summaries.content(path)
    except OSError:  # somebody has removed it meanwhile
        return
    made = summaries.summary(source.journal, read, source.rows)
    summaries.write(made, path.with_name(summaries.NAME))


def _check_parquet() -> None:
    try:
        import pyarrow  # noqa: F401 # only whether it is installed
    except ImportError:
        raise NoParquetError(
            f"Parquet needs pyarrow, which is not installed: {install('parquet')}"
        ) from None


def document(
    report: Report, times: Matrix | None = None, since: RunComparison | None = None
) -> Document:
    """Everything that a report says, its charts drawn."""
    rows, runs = report.rows, [(s.label, s.journal.run, s.journal) for s in report.sources]
    missing = rows[rows.status != OK].status.value_counts()
    reasons = ", ".join(f"{count} {status}" for status, count in missing.items())
    with chart.style():
        chapters = [make(report) for make in CHAPTERS] if len(rows) else []
    if since is not None:
        chapters.insert(0, changes(since))
    drawn = {one.name: (chapter, one) for chapter in chapters for one in chapter.charts}
    leading = next((drawn[name] for name in FIRST if name in drawn), None)
    if leading is not None:
        leading[0].charts.remove(leading[1])
    return Document(
        title="samegrad: the same networks, trained by several implementations"
        if report.only_trained
        else "samegrad: speed of one network in several idioms",
        counts=f"{len(report.ok):,} of {len(rows):,} rows have a number"
        + f" (results.csv has {len(report.all_rows):,})" * (len(report.all_rows) > len(rows))
        + (f"; {reasons}" if reasons else "")
        + ".",
        machine=report.machine_states,
        matrix=times or matrix(report),
        warnings=[
            f"PARTIAL: run {journal.run['run']} did not come to its end; what it measured is here."
            for journal in report.journals
            if not journal.complete
        ]
        + report.notes,
        summary=summary.sentences(report),
        notes=[
            f"{label}: run {run['run']}, {run.get('started', 'unknown time')}, preset "
            f"{run.get('preset', 'unknown')}, commit {run['machine'].get('commit', 'unknown')}."
            + products(journal)
            for label, run, journal in runs
        ],
        first=None if leading is None else leading[1],
        chapters=[chapter for chapter in chapters if not chapter.empty],
        looks=looks(report),
        samples=[sample for source in report.sources for sample in source.samples()],
    )


def looks(report: Report) -> dict[str, Look]:
    """How each implementation of a report looks in its charts."""
    if report.rows.empty:
        return {}
    palette = chart.colours(report.rows)
    return {
        name: Look(palette[name], chart.shape(name))
        for name in in_order(report.rows.implementation)
    }


def products(journal: Journal) -> str:
    """Which library and kernels NumPy's products ran on: a processor has fast ones and slow ones.

    "" where it is not known.
    """
    facts = [dict(record.get("facts") or {}) for record in journal.implementations]
    known = {str(fact["numpy_blas"]) for fact in facts if "numpy_blas" in fact}
    return f" NumPy's matrix products: {' or '.join(sorted(known))}." if known else ""


def terminal_lines(report: Report, made: Document) -> list[str]:
    """The machine's state, times, answers, and how many rows have no number."""
    lines = ["", *sentences(made.machine), "", *terminal.matrix(made.matrix), ""]
    lines += sentences([*map(str, made.summary), made.counts])
    if not all(journal.complete for journal in report.journals):
        lines.append("PARTIAL: a run did not come to its end; what was measured is in the report.")
    return lines
