"""What a report says: chapters of text, tables, figures and code, the same in every form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from benchmarks import results
from benchmarks.journal import Journal
from benchmarks.schema import OK
from reports import learning, listing, sections, summary, tables
from reports.listing import Listing
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
MAIN = ("time_per_step", "time_to_target", "cost_of_differentiation")  # the first there is leads
FIGURES = {  # chapter -> its figures
    "Speed": ("time_per_step", "batch_size", "width", "over_looped_python", "gflops"),
    "GPU against CPU": ("gpu_over_cpu",),
    "Cost of differentiation": ("cost_of_differentiation",),
    "Learning": ("time_to_target", "learning_curves", "spread_over_seeds", "one_loss_curve"),
    "Agreement": ("gradient_error",),
    "How near the machine's limit": ("roofline", "split"),
    "Code": ("lines_and_speed",),
    "Course of the runs": ("history",),
}
Drawn = Mapping[str, tuple[Figure, str]]


@dataclass(frozen=True)
class Table:
    """A table, ready to be shown.

    Attributes:
        title, text: above it.
        frame: texts and counts.
        samples: per row, the number of its samples in `Content.samples`.
    """

    title: str
    text: str
    frame: pd.DataFrame
    samples: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Chapter:
    """One part of a report."""

    heading: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    listings: tuple[Listing, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it has nothing to say."""
        return not (
            self.text
            or self.points
            or self.commands
            or self.figures
            or self.tables
            or self.listings
        )


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
    history: Sequence[Table] = (),
) -> Content:
    """Everything that a report says, computed from the journals."""
    ok, missing = rows[rows.status == OK], rows[rows.status != OK]
    said = ", ".join(f"{n} {status}" for status, n in missing.status.value_counts().items())
    trained = bool(learning.trained(journals))
    made = Content(
        title="samegrad: the same networks, trained by several implementations"
        if trained and not (rows.operation != learning.TRAINING).any()
        else "samegrad: speed of one network in several idioms",
        counts=f"{len(ok)} of {len(rows)} rows have a number" + (f"; {said}" if said else "") + ".",
        warnings=[*_partial(journals), *warnings],
        summary=summary.sentences(rows, journals),
        notes=_notes(journals),
        overview=_overview(journals, rows) if len(rows) else pd.DataFrame(),
        drawn=drawn,
        main=next(((name,) for name in MAIN if name in drawn), ()),
    )
    made.samples = _samples(journals)
    chapters = _chapters(journals, rows, made.overview, history) if len(rows) else {}
    known = {name for names in FIGURES.values() for name in names}
    for heading, chapter in chapters.items():
        names = FIGURES.get(heading, ())
        if heading == "Learning":  # and the pictures of single tasks
            names = (*names, *(name for name in drawn if name not in known))
        shown = tuple(n for n in names if n in drawn and n not in made.main)
        chapter = Chapter(**{**vars(chapter), "figures": shown})
        if not chapter.empty:
            made.chapters.append(chapter)
    return made


def _chapters(
    journals: Sequence[Journal],
    rows: pd.DataFrame,
    overview: pd.DataFrame,
    history: Sequence[Table],
) -> dict[str, Chapter]:
    """All of them in order; those with nothing to say are left out later."""
    ok = rows[rows.status == OK]
    many = rows.source.nunique() > 1
    speed = [
        Table("Time per call", "", overview),
        Table("Against NumPy", sections.verdict_text(rows), sections.verdicts(rows, many)),
        Table(
            "Speed-up over looped Python",
            "float64 on both sides, on the same machine; 95 % interval from 5 processes up.",
            sections.over_scalar(rows, many),
        ),
        Table(
            "Where one overtakes another",
            "Training step; between the last size at which the one is faster beyond doubt and the "
            "first at which the other is.",
            sections.crossovers(rows),
        ),
        Table(
            "Every row with a number",
            " ".join(
                [sections.marks(ok), "On the page, a row opens its samples: the blocks of each "
                 "process."]
            ).strip(),
            sections.every(ok, many),
            tuple(range(len(ok))),
        ),
    ]  # fmt: skip
    gpu = sections.gpu(rows)
    found = {
        "Speed": _chapter("Speed", speed),
        "GPU against CPU": _chapter(
            "GPU against CPU",
            [Table("Times faster than the CPU", "", gpu)],
            sections.gpu_text(journals, rows),
        ),
        "Cost of differentiation": _chapter(
            "Cost of differentiation",
            [Table("Gradient time over forward time", t, f)
             for _, t, f in sections.differentiation(rows, many)],
        ),
        "Learning": _chapter("Learning", [Table(*part) for part in learning.sections(journals)]),
        "Agreement": _chapter(
            "Agreement",
            [Table("Largest error of each implementation", "", sections.agreement(ok, many))],
            "The gate of every row compares with a float64 reference; a row that disagrees has no "
            "time.",
        ),
        "How near the machine's limit": _chapter(
            "How near the machine's limit",
            [
                Table(
                    "What a call consists of",
                    "Seconds of one call, and the share of the machine's best matrix product.",
                    sections.split(ok, many),
                ),
                Table(
                    "What the machine can do",
                    "The maximum of all measurements.",
                    sections.ceilings(journals),
                ),
            ],
        ),
        "Compilation and break-even": _chapter(
            "Compilation and break-even",
            [
                Table(
                    "First call, compilation, transfer",
                    "Quantities of their own, in no mean.",
                    sections.apart(ok, many),
                ),
                Table(
                    "When a compilation has paid for itself",
                    "Training steps after which the compiled implementation is ahead, first calls "
                    "included.",
                    sections.break_even(rows, many),
                ),
            ],
        ),
        "Memory": _chapter(
            "Memory",
            [Table("Peak memory of a call", "", sections.memory(ok, many))],
            "The peak of a few steps above what was resident before, in a process of its own."
            if ok.host_bytes.notna().any()
            else "Not measured in this run: `--preset full` measures the peak memory of each "
            "training step in a process of its own.",
        ),
        "Code": Chapter(
            "Code",
            text=tuple(listing.notes(journals)) if listing.sources(journals) else (),
            tables=_some([Table("Lines of code and speed", "", listing.table(rows, journals))]),
            listings=tuple(listing.listings(journals)),
        ),
        "Course of the runs": Chapter("Course of the runs", tables=_some(history)),
        "What has no number, and why": _chapter(
            "What has no number, and why",
            [Table("Rows without a number", "", sections.without(rows, many))],
            "" if (rows.status != OK).any() else "Every row has a number.",
        ),
        "Machines": _chapter(
            "Machines", [Table("Machines and versions", "", sections.machines(journals))]
        ),
        "What a number includes": Chapter("What a number includes", points=INCLUDES),
        "How to reproduce this": Chapter(
            "How to reproduce this",
            text=(
                "In a checkout of the commit, each run again, and the report from its journal:",
            ),
            commands=tuple(sections.reproduce(journals)),
        ),
    }  # fmt: skip
    if not gpu.empty or not (rows.operation == learning.TRAINING).all():
        return found
    return {name: chapter for name, chapter in found.items() if name not in ("Memory",)}


def _chapter(heading: str, parts: Sequence[Table], text: str = "") -> Chapter:
    """A chapter of tables, without those that are empty."""
    return Chapter(heading, text=(text,) if text else (), tables=_some(parts))


def _some(parts: Sequence[Table]) -> tuple[Table, ...]:
    return tuple(part for part in parts if len(part.frame))


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
    return [float(f"{ns / calls:.4g}") for ns in elapsed]  # type: ignore[attr-defined]


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
