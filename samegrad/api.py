"""Runs compared and rendered from Python: what `samegrad compare` and `samegrad render` do."""

import math
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from samegrad.benchmarks.records.journal import read
from samegrad.reports import render as rendering
from samegrad.reports.data import comparison
from samegrad.reports.data.comparison import Comparison
from samegrad.reports.data.loading import paths

PathLike = str | os.PathLike[str]


def compare(
    old: PathLike, new: PathLike, *, across: Collection[str] = (), fail_above: float = math.inf
) -> Comparison:
    """Which rows of a run have become faster or slower than those of an older one.

    Args:
        old: a run's folder or its journal.
        new: the later one's.
        across: what may differ between compared rows: "machine", "code", "inputs".
        fail_above: 0.05 puts rows that are slower by more than 5 %, beyond doubt, into `beyond`.

    Raises:
        NotAJournalError: one of them is no journal of samegrad.
    """
    return comparison.compare(
        read(journal(old)), read(journal(new)), across=across, fail_above=fail_above
    )


def journal(run: PathLike) -> Path:
    """The journal of a run's folder, or the file itself."""
    path = Path(run)
    return path / "journal.jsonl" if path.is_dir() else path


def render(
    journals: PathLike | Sequence[PathLike],
    output: PathLike | None = None,
    *,
    parquet: bool = False,
) -> list[str]:
    """Write the report of one run or of several: index.html, report.md, results.csv, figures.

    Args:
        journals: a journal, a run's folder, a folder of runs, or several of these.
        output: where the report goes; by default beside the first journal.
        parquet: whether to write results.parquet too.

    Returns:
        What a terminal shows: warnings, a summary, and last the path of the page.

    Raises:
        NotAJournalError: none of them can be read.
        NoParquetError: what writes Parquet is not installed.
        OSError: the output cannot be written.
    """
    several = [journals] if isinstance(journals, str | os.PathLike) else journals
    runs = [os.fspath(run) for run in several]
    files = paths(runs)
    folder = Path(runs[0]) if Path(runs[0]).is_dir() else files[0].parent
    return rendering.render(files, folder if output is None else Path(output), parquet=parquet)
