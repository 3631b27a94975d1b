"""The page and its Markdown twin: the same content in two forms."""

import base64
import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, select_autoescape
from matplotlib.figure import Figure

from benchmarks.journal import Journal
from benchmarks.schema import OK
from reports import learning, sections, tables
from reports.sections import HEADERS, NO_GPU

INCLUDES = (
    "A time is one call: forward, loss and gradient, training step (loss, gradient, update), or "
    "an epoch (all steps of one pass over the examples, the loop included).",
    "Every case was checked first, in the same process and on the timed functions, against a "
    "float64 reference: loss and every gradient (and the outputs of a forward pass), or loss and "
    "one updated step, at a learning rate at which it shows every gradient. A case that "
    "disagrees has no time.",
    "Included: dispatch, the Python call, and waiting until every result is computed. Chained "
    "steps wait once per block; independent calls wait for up to 32 results at once.",
    "Not included: start of the process, imports, the first call (compilation; a column of its "
    "own), warm-up, placing data on the device (resident rows; end-to-end rows include it).",
    "Each implementation runs in fresh processes of its own, in an order drawn anew each round; "
    "each case is visited three times in a process. The value of a process is the median block of "
    "its least disturbed visit, averaged over processes on a log scale, with "
    "a 95 % Student t interval from 5 processes up.",
    "GFLOP/s count matrix products only: 2 operations per weight and example forward, twice "
    "that backward, less the first layer's input gradient. The ceiling is the best matrix product "
    "of any library on the device, with as many threads and in the same arithmetic, measured "
    "before, between and after the cases.",
    "Split: matrix products of a call alone, by the same library in the same process, less what "
    "calling it costs; dispatch and Python, the same call with every layer of width 1; the rest.",
    "Verdicts: FASTER or SLOWER if the interval of the ratio clears 1.05, SAME if it lies within "
    "1.05, else CAN'T TELL; never across precisions, thread counts or machines.",
    "float32 is IEEE float32 everywhere; tf32 and bfloat16 are rows of their own. Looped Python "
    "computes in float64; a speed-up over it is formed with float64 rows only.",
    "First call: the first process compiles, later ones load from the run's own cache. Transfers "
    "are a batch to the device and the result back, through the interface and its checks.",
)


@dataclass
class Content:
    """What a report says.

    Attributes:
        title: one line.
        counts: how many rows have a number, and why others have none.
        notes: one line each.
        overview: time per call, a line per case.
        sections: (heading, text, table) in order.
        drawn: name -> (figure, caption).
    """

    title: str
    counts: str
    notes: list[str]
    overview: pd.DataFrame
    sections: list[tuple[str, str, pd.DataFrame]] = field(default_factory=list)
    drawn: Mapping[str, tuple[Figure, str]] = field(default_factory=dict)


def content(
    journals: Sequence[Journal], rows: pd.DataFrame, drawn: Mapping[str, tuple[Figure, str]]
) -> Content:
    """Everything that a report says, computed from the journals."""
    ok, missing = rows[rows.status == OK], rows[rows.status != OK]
    said = ", ".join(f"{n} {status}" for status, n in missing.status.value_counts().items())
    made = Content(
        title="samegrad: speed of one network in several idioms",
        counts=f"{len(ok)} of {len(rows)} rows have a number" + (f"; {said}" if said else "") + ".",
        notes=_notes(journals, rows),
        overview=_overview(journals, rows) if len(rows) else pd.DataFrame(),
        drawn=drawn,
    )
    if not len(rows):
        return made
    many = rows.source.nunique() > 1
    made.sections = [
        *learning.sections(journals),
        ("GPU against CPU", sections.gpu_text(journals, rows), sections.gpu(rows)),
        (
            "Speed-up over looped Python",
            "float64 on both sides, on the same machine; 95 % interval from 5 processes up.",
            sections.over_scalar(rows, many),
        ),
        (
            "Against NumPy",
            sections.verdict_text(rows),
            sections.verdicts(rows, many),
        ),
        *sections.differentiation(rows, many),
        (
            "What a call consists of",
            "Seconds of one call, and the share of the machine's best matrix product.",
            sections.split(ok, many),
        ),
        (
            "What the machine can do",
            "The maximum of all measurements.",
            sections.ceilings(journals),
        ),
        (
            "First call, compilation, transfer, memory",
            "Quantities of their own, in no mean. Memory: the peak of a few steps above what was "
            "resident before, in a process of its own (preset full).",
            sections.apart(ok, many),
        ),
        (
            "When a compilation has paid for itself",
            "Training steps after which the compiled implementation is ahead, first calls "
            "included.",
            sections.break_even(rows, many),
        ),
        (
            "Where one overtakes another",
            "Training step; between the last size at which the one is faster beyond doubt and the "
            "first at which the other is.",
            sections.crossovers(rows),
        ),
        ("Every row with a number", sections.marks(ok), sections.every(ok, many)),
        (
            "Rows without a number",
            "" if len(missing) else "Every row has a number.",
            sections.without(rows, many),
        ),
        ("Machines and versions", "", sections.machines(journals)),
    ]
    return made


def _notes(journals: Sequence[Journal], rows: pd.DataFrame) -> list[str]:
    notes = []
    for journal, source in zip(journals, tables.source_labels(journals), strict=True):
        run = journal.run
        state = "" if journal.complete else " PARTIAL: the run did not come to its end."
        notes.append(
            f"{source}: run {run['run']}, {run.get('started', 'unknown time')}, preset "
            f"{run.get('preset', 'unknown')}, commit {run['machine'].get('commit', 'unknown')}, "
            f"command `{run.get('command', 'unknown')}`.{state}"
        )
        if not run.get("intervals", True):
            notes.append("One process per implementation: no intervals, no verdicts.")
    if len(rows):
        differ = _spread(rows)
        if differ:
            notes.append(differ)
    return notes


def _spread(rows: pd.DataFrame) -> str:
    """How far processes differ, in one sentence: what small differences are worth."""
    ok = rows[(rows.status == OK) & rows.seconds_low.notna()]
    if ok.empty:
        return ""
    half = ((ok.seconds_high / ok.seconds_low) ** 0.5 - 1).median()
    return (
        f"Half of the rows have a 95 % interval within +-{100 * half:.0f} %; "
        "a difference smaller than the intervals is no difference."
    )


def _overview(journals: Sequence[Journal], rows: pd.DataFrame) -> pd.DataFrame:
    table = tables.overview(rows)
    if not (rows.device == "cuda").any():
        table["cuda"] = NO_GPU if sections.no_gpu(journals) else "not measured"
    return table.rename(columns=HEADERS)


def markdown(made: Content) -> str:
    """The report for a Git host or a pull request."""
    parts = [f"# {made.title}", *map(_cell, made.notes), made.counts]
    parts += ["## Time per call", _markdown_table(made.overview)]
    parts += [
        f"![{_cell(caption)}](figures/{name}.png)\n\n{caption}"
        for name, (_, caption) in made.drawn.items()
    ]
    for heading, text, table in made.sections:
        parts += [f"## {heading}", text, _markdown_table(table)]
    parts += ["## What a number includes", "\n".join(f"- {line}" for line in INCLUDES)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    return table.rename(columns=_cell).map(_cell).to_markdown(index=False, disable_numparse=True)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def html(made: Content, directory: Path) -> str:
    """One self-contained page, with the PNG figures of a directory: no request leaves it."""
    source = importlib.resources.files("reports").joinpath("page.html").read_text("utf-8")
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    drawn = [
        (name, caption, base64.b64encode((directory / f"{name}.png").read_bytes()).decode())
        for name, (_, caption) in made.drawn.items()
    ]
    page: str = environment.from_string(source).render(made=made, drawn=drawn, includes=INCLUDES)
    return page
