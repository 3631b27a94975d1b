"""Journals in, report out: index.html, report.md, results.csv, figures."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.journal import Journal, read
from reports import figures, page, style, tables


def render(journals: Sequence[Path], directory: Path) -> list[str]:
    """Write the report of some journals into a directory.

    Returns:
        What to print last: warnings, a summary table, the path of the page.

    Raises:
        NotAJournalError: a file is not a journal.
        OSError: the directory cannot be written.
    """
    loaded = [read(path) for path in journals]
    rows = tables.all_rows(loaded)
    directory.mkdir(parents=True, exist_ok=True)
    drawn = figures.all_figures(rows, loaded) if len(rows) else {}
    (directory / "figures").mkdir(exist_ok=True)
    for name, (figure, _) in drawn.items():
        style.save(figure, directory / "figures", name)
    rows.to_csv(directory / "results.csv", index=False)
    content = page.content(loaded, rows, drawn)
    (directory / "report.md").write_text(page.markdown(content), encoding="utf-8")
    (directory / "index.html").write_text(
        page.html(content, directory / "figures"), encoding="utf-8"
    )
    style.close(figure for figure, _ in drawn.values())
    warnings = [f"warning: {line}" for journal in loaded for line in journal.warnings]
    return [*warnings, *summary(loaded, content), f"report: {directory / 'index.html'}"]


def summary(journals: Sequence[Journal], content: page.Content) -> list[str]:
    """The table that a terminal shows, and how many rows have no number."""
    table = content.overview
    width = shutil.get_terminal_size((200, 40)).columns
    text = table.to_string(index=False) if len(table) else "no rows"
    if max(map(len, text.splitlines())) > max(width, 80):
        text = table.drop(columns=["layers"], errors="ignore").to_string(index=False)
    lines = ["", "Time per call:", text, "", content.counts]
    lines += [note for note in content.notes if note]
    if not all(journal.complete for journal in journals):
        lines.append("PARTIAL: a run did not come to its end; what was measured is in the report.")
    return lines
