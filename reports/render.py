"""Journals in, report out: index.html, report.md, results.csv, figures."""

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from samegrad.benchmarks.records.journal import Journal
from samegrad.implementations.contract.commands import install
from samegrad.reports.charts import figures, saving
from samegrad.reports.data.loading import NoParquetError, load
from samegrad.reports.data.tables import folded
from samegrad.reports.document import content, page
from samegrad.reports.document.chapters import PEERS


def render(journals: Sequence[Path], directory: Path, *, parquet: bool = False) -> list[str]:
    """Write the report of some journals into a directory.

    Returns:
        What to print last: warnings, a summary table, the path of the page.

    Raises:
        NotAJournalError: none of the files is a journal that can be read.
        NoParquetError: what writes Parquet is not installed.
        OSError: the directory cannot be written.
    """
    found = load(journals)
    if parquet:
        _parquet_library()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "figures").mkdir(exist_ok=True)
    found.write_csv(directory / "results.csv")
    if parquet:
        found.rows.to_parquet(directory / "results.parquet", index=False)
    shown, rows = found.shown, found.rows_shown
    with warnings.catch_warnings():
        # A name in letters that the figures' font lacks is drawn as boxes, and costs no report.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        drawn = figures.all_figures(rows, shown) if len(rows) else {}
        for name, (figure, _) in drawn.items():
            saving.save(figure, directory / "figures", name)
    made = content.content(shown, rows, drawn, found.said)
    (directory / "report.md").write_text(page.markdown(made), encoding="utf-8")
    (directory / "index.html").write_text(page.html(made, directory / "figures"), encoding="utf-8")
    saving.close(figure for figure, _ in drawn.values())
    lines = [f"warning: {line}" for line in found.warnings]
    return [*lines, *summary(shown, made), f"report: {directory / 'index.html'}"]


def _parquet_library() -> None:
    try:
        import pyarrow  # noqa: F401 # only whether it is there
    except ImportError:
        raise NoParquetError(
            f"Parquet needs pyarrow, which is not installed: {install('parquet')}"
        ) from None


def summary(journals: Sequence[Journal], made: content.Content) -> list[str]:
    """The table that a terminal shows, and how many rows have no number."""
    lines = ["", "Time per call:", terminal(made.overview), ""]
    for chapter in made.chapters:
        if chapter.heading == PEERS and chapter.tables:
            lines += [f"{chapter.tables[0].title}:", terminal(chapter.tables[0].frame), ""]
    lines += [made.counts, *made.summary]
    if not all(journal.complete for journal in journals):
        lines.append("PARTIAL: a run did not come to its end; what was measured is in the report.")
    return lines


def terminal(table: pd.DataFrame) -> str:
    """A table in the terminal's width, if it can be had."""
    width = shutil.get_terminal_size((200, 40)).columns
    table = table.map(lambda value: folded(value) if isinstance(value, str) else value)
    text = str(table.to_string(index=False)) if len(table) else "no rows"
    if max(map(len, text.splitlines())) > max(width, 80):
        text = str(table.drop(columns=["layers"], errors="ignore").to_string(index=False))
    return text
