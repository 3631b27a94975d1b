"""The chapters of a report, in their order, and which figures and tables each has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.document import learning, listing, peers, scaling, sections
from samegrad.reports.document.listing import Listing

INCLUDES = (
    "A time is one call: forward, loss and gradient, training step (loss, gradient, update), or "
    "an epoch (all steps of one pass over the examples, the loop included).",
    "Every case was checked first, in the same process and on the timed functions, against a "
    "float64 reference: loss and every gradient (and the outputs of a forward pass), or loss and "
    "one updated step, at a learning rate at which it shows every gradient. A case that "
    "disagrees has no time.",
    "Included: dispatch, the Python call, and waiting until every result is computed. Chained "
    "steps wait once per block; independent calls wait for up to 16 results at once.",
    "Not included: start of the process, imports, the first call (compilation; a column of its "
    "own), warm-up, placing data on the device (resident rows; end-to-end rows include it).",
    "Each implementation runs in fresh processes of its own, in an order drawn anew each round; "
    "on a CPU they all stay and are visited in turns, a block of each case at a time, until its "
    "interval is within 1.5 % or the time is up. The value of a process is the longest of the "
    "least disturbed tenth of its visits, averaged over processes on a log scale, with "
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
PEERS = "Each idiom at its best"
FIGURES = {  # chapter -> its figures
    "Speed": ("time_per_step", "batch_size", "width", "profile", "over_looped_python", "gflops"),
    PEERS: ("peers",),
    "How the cost grows": ("scaling",),
    "GPU against CPU": ("gpu_over_cpu",),
    "Cost of differentiation": ("cost_of_differentiation",),
    "Learning": ("time_to_target", "learning_curves", "spread_over_seeds", "one_loss_curve"),
    "Agreement": ("gradient_error",),
    "How near the machine's limit": ("roofline", "split"),
    "Code": ("lines_and_speed",),
}


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


def chapters(
    journals: Sequence[Journal],
    rows: pd.DataFrame,
    overview: pd.DataFrame,
    figures: Sequence[str],
) -> list[Chapter]:
    """All that have something to say.

    Args:
        overview: time per call, a line per case.
        figures: the names of those that are drawn and stand in no other place.
    """
    ok = rows[rows.status == OK]
    many = rows.source.nunique() > 1
    rest = [name for name in figures if not any(name in names for names in FIGURES.values())]

    def chapter(heading: str, tables: Sequence[Table] = (), text: str = "") -> Chapter:
        names = [*FIGURES.get(heading, ()), *(rest if heading == "Learning" else ())]
        return Chapter(
            heading,
            text=(text,) if text else (),
            figures=tuple(name for name in names if name in figures),
            tables=tuple(table for table in tables if len(table.frame)),
        )

    found = [
        chapter("Speed", _speed(rows, ok, overview, many)),
        chapter(PEERS, _best(rows, journals)),
        chapter("How the cost grows", _growth(rows, journals) if "scaling" in figures else ()),
        chapter(
            "GPU against CPU",
            [Table("Times faster than the CPU", "", sections.gpu(rows))],
            sections.gpu_text(journals, rows),
        ),
        chapter(
            "Cost of differentiation",
            [Table(*part) for part in sections.differentiation(rows, many)],
        ),
        chapter("Learning", [Table(*part) for part in learning.sections(journals)]),
        chapter(
            "Agreement",
            [Table("Largest error of each implementation", "", sections.agreement(ok, many))],
            "The gate of every row compares with a float64 reference; a row that disagrees has no "
            "time.",
        ),
        chapter("How near the machine's limit", _limit(journals, ok, many)),
        chapter("Compilation and break-even", _compilation(rows, ok, many)),
        _memory(rows, ok, many, chapter("Memory")),
        _code(journals, rows, chapter("Code")),
        chapter(
            "What has no number, and why",
            [Table("Rows without a number", "", sections.without(rows, many))],
            "" if len(ok) < len(rows) else "Every row has a number.",
        ),
        chapter("Machines", [Table("Machines and versions", "", sections.machines(journals))]),
        replace(chapter("What a number includes"), points=INCLUDES),
        replace(
            chapter("How to reproduce this"),
            text=("In a checkout of the commit, each run again, and the report of its journal:",),
            commands=tuple(sections.reproduce(journals)),
        ),
    ]
    return [one for one in found if not one.empty]


def _speed(rows: pd.DataFrame, ok: pd.DataFrame, overview: pd.DataFrame, many: bool) -> list[Table]:
    opens = "On the page, a row opens its samples: the blocks of each process."
    return [
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
            f"{sections.marks(ok)} {opens}".strip(),
            sections.every(ok, many),
            tuple(range(len(ok))),
        ),
    ]


def _best(rows: pd.DataFrame, journals: Sequence[Journal]) -> list[Table]:
    return [
        Table("Floors and peers", peers.TEXT, peers.table(rows, journals)),
        Table(
            "What a variant gains and costs",
            "Lines of code, those of its idiom in brackets; times over all networks of this run.",
            peers.variants(rows, journals),
        ),
    ]


def _growth(rows: pd.DataFrame, journals: Sequence[Journal]) -> list[Table]:
    return [
        Table("Exponents and bends", scaling.TEXT, scaling.table(rows, journals)),
        Table(
            "All cores over one thread",
            "How many times faster, and at which size.",
            scaling.threads_table(rows),
        ),
    ]


def _limit(journals: Sequence[Journal], ok: pd.DataFrame, many: bool) -> list[Table]:
    return [
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
    ]


def _compilation(rows: pd.DataFrame, ok: pd.DataFrame, many: bool) -> list[Table]:
    return [
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
    ]


def _memory(rows: pd.DataFrame, ok: pd.DataFrame, many: bool, empty: Chapter) -> Chapter:
    table = sections.memory(ok, many)
    if len(table):
        text = "The peak of a few steps above what was resident before, in a process of its own."
        return replace(empty, text=(text,), tables=(Table("Peak memory of a call", "", table),))
    if (rows.operation == learning.TRAINING).all():
        return empty
    text = (
        "Not measured in this run: `--preset full` measures the peak memory of each training step "
        "in a process of its own."
    )
    return replace(empty, text=(text,))


def _code(journals: Sequence[Journal], rows: pd.DataFrame, empty: Chapter) -> Chapter:
    if not listing.sources(journals):
        return empty
    table = listing.table(rows, journals)
    return replace(
        empty,
        text=tuple(listing.notes(journals)),
        tables=(Table("Lines of code and speed", "", table),) if len(table) else (),
        listings=tuple(listing.listings(journals)),
    )
