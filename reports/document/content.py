"""What a report says: chapters of text, tables, figures and code, the same in every form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data import tables
from samegrad.reports.document import chapters, learning, sections, summary
from samegrad.reports.document.chapters import Chapter
from samegrad.reports.document.sections import HEADERS, NO_GPU

MAIN = ("time_per_step", "time_to_target", "cost_of_differentiation")  # the first there is leads
Drawn = Mapping[str, tuple[Figure, str]]


@dataclass
class Content:
    """What a report says.

    Attributes:
        title: one line.
        counts: how many rows have a number, and why others have none.
        warnings: what makes the report less than it should be.
        summary: sentences that answer what most readers ask.
        notes: which runs these are.
        overview: time per call, a line per case.
        chapters: in order.
        drawn: name -> (figure, caption).
        main: names of the figures that stand first.
        samples: per row with a number: processes -> visits -> nanoseconds per call of each block.
    """

    title: str
    counts: str
    warnings: list[str]
    summary: list[str]
    notes: list[str]
    overview: pd.DataFrame
    drawn: Drawn
    chapters: list[Chapter] = field(default_factory=list)
    main: tuple[str, ...] = ()
    samples: list[list[list[list[float]]]] = field(default_factory=list)


def content(
    journals: Sequence[Journal],
    rows: pd.DataFrame,
    drawn: Drawn,
    warnings: Sequence[str] = (),
) -> Content:
    """Everything that a report says, computed from the journals.

    Args:
        warnings: what could not be read, or is not shown.
    """
    ok, missing = rows[rows.status == OK], rows[rows.status != OK]
    said = ", ".join(f"{n} {status}" for status, n in missing.status.value_counts().items())
    trained = len(rows) and (rows.operation == learning.TRAINING).all()
    made = Content(
        title="samegrad: the same networks, trained by several implementations"
        if trained
        else "samegrad: speed of one network in several idioms",
        counts=f"{len(ok)} of {len(rows)} rows have a number" + (f"; {said}" if said else "") + ".",
        warnings=[*_partial(journals), *warnings],
        summary=summary.sentences(rows, journals),
        notes=_notes(journals),
        overview=_overview(journals, rows) if len(rows) else pd.DataFrame(),
        drawn=drawn,
        main=next(((name,) for name in MAIN if name in drawn), ()),
        samples=_samples(journals),
    )
    if len(rows):
        others = [name for name in drawn if name not in made.main]
        made.chapters = chapters.chapters(journals, rows, made.overview, others)
    return made


def _samples(journals: Sequence[Journal]) -> list[list[list[list[float]]]]:
    """Of every row with a number, in the order of the rows."""
    made = []
    for journal in journals:
        found: dict[str, list[dict[str, object]]] = {}
        for case, record in journal.outcomes:
            found.setdefault(case.id, []).append(record)
        for row in results.rows(journal):
            if row.status == OK:
                processes = results.by_process(found[row.case.id])
                made.append([[_block(v) for v in visits] for visits in processes])
    return made


def _block(record: dict[str, object]) -> list[float]:
    """Nanoseconds per call of each block, in four digits."""
    calls, elapsed = record["calls"], record["elapsed_ns"]
    return [float(f"{ns / calls:.4g}") for ns in elapsed]  # type: ignore[attr-defined] # a list


def _partial(journals: Sequence[Journal]) -> list[str]:
    return [
        f"PARTIAL: run {journal.run['run']} did not come to its end; what it measured is here."
        for journal in journals
        if not journal.complete
    ]


def _notes(journals: Sequence[Journal]) -> list[str]:
    notes = []
    for journal, source in zip(journals, tables.source_labels(journals), strict=True):
        run = journal.run
        notes.append(
            f"{source}: run {run['run']}, {run.get('started', 'unknown time')}, preset "
            f"{run.get('preset', 'unknown')}, commit {run['machine'].get('commit', 'unknown')}."
        )
    return notes


def _overview(journals: Sequence[Journal], rows: pd.DataFrame) -> pd.DataFrame:
    table = tables.overview(rows)
    if not (rows.device == "cuda").any():
        table["cuda"] = NO_GPU if sections.no_gpu(journals) else "not measured"
    return table.rename(columns=HEADERS)
