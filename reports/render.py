"""Journals in, report out: index.html, report.md, results.csv and figures."""

import os
import shutil
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from samegrad.implementations.contract.commands import install
from samegrad.reports.charts import saving
from samegrad.reports.data.loading import load, paths
from samegrad.reports.data.report import Report, flat
from samegrad.reports.data.values import folded
from samegrad.reports.document import page
from samegrad.reports.document.chapters import Document, document

PathLike = str | os.PathLike[str]


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


def render(
    journals: PathLike | Iterable[PathLike],
    output: PathLike | None = None,
    *,
    parquet: bool = False,
) -> Rendered:
    """Write the report of one or more runs: index.html, report.md, results.csv and figures.

    Args:
        journals: journal files, run directories, or directories of runs.
        output: the directory to write into, made where it does not exist. Without it, the first
            of `journals` if that is a directory, else the directory that the file lies in.
        parquet: whether to write results.parquet, too.

    Raises:
        NotAJournalError: none of the files is a journal that can be read.
        NoParquetError: what writes Parquet is not installed.
        OSError: the directory cannot be written.
    """
    places = [journals] if isinstance(journals, str | os.PathLike) else list(journals)
    report = load(paths(places))
    if output is None:
        output = Path(places[0]) if Path(places[0]).is_dir() else Path(places[0]).parent
    if parquet:
        _check_parquet()
    output = Path(output)
    figures = output / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    report.write_csv(output / "results.csv")
    if parquet:
        flat(report.all_rows).to_parquet(output / "results.parquet", index=False)
    with warnings.catch_warnings():
        # A name in letters that the figures' font lacks is drawn as boxes, and costs no report.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        made = document(report)
        saving.save(made.charts, figures)
    (output / "report.md").write_text(page.markdown(made), encoding="utf-8")
    (output / "index.html").write_text(page.html(made, figures), encoding="utf-8")
    return Rendered(output / "index.html", report.warnings, summary(report, made))


def _check_parquet() -> None:
    try:
        import pyarrow  # noqa: F401 # only whether it is installed
    except ImportError:
        raise NoParquetError(
            f"Parquet needs pyarrow, which is not installed: {install('parquet')}"
        ) from None


def summary(report: Report, made: Document) -> list[str]:
    """What a terminal shows: tables, how many rows have no number, and sentences."""
    lines = [""]
    for table in made.tables("Time per call", "Floors and peers"):
        lines += [f"{table.title}:", terminal(table.frame), ""]
    if not len(report.rows):
        lines += ["Time per call:", "no rows", ""]
    lines += [made.counts, *made.summary]
    if not all(journal.complete for journal in report.journals):
        lines.append("PARTIAL: a run did not come to its end; what was measured is in the report.")
    return lines


def terminal(table: pd.DataFrame) -> str:
    """A table in the terminal's width, if that suffices without the layers."""
    width = shutil.get_terminal_size((200, 40)).columns
    table = table.map(lambda value: folded(value) if isinstance(value, str) else value)
    text = str(table.to_string(index=False))
    if max(map(len, text.splitlines())) > max(width, 80):
        text = str(table.drop(columns=["layers"], errors="ignore").to_string(index=False))
    return text
