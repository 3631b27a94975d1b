"""The runs that this repository publishes: how each is measured, and what its documents say of it.

A page has the place of a run's text between two comments, `<!-- NAME:begin -->` and `end`; what
stands there is made from the journal and never typed.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract.files import replaced
from samegrad.reports.data import analysis, loading
from samegrad.reports.data.report import Report, machine_label
from samegrad.reports.data.values import markdown_table
from samegrad.reports.document import learning, speed, summary

# Of the table of floors and peers: what a page has room for.
PEERS = ["layers", "batch", "operation", "best of the idiom", "over its products", "peer",
         "peer over best", "over its products alone"]  # fmt: skip
LIBRARIES = {"numpy": "NumPy", "torch": "torch", "jax": "JAX"}
FOLDER = Path("reports/results")  # in a checkout
JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Published:
    """A run and its text.

    Attributes:
        arguments: of `samegrad benchmark`.
        minutes: that it takes on two cores.
        shows: what its figure shows.
        page: the document that tells of it.
    """

    arguments: tuple[str, ...]
    minutes: int
    shows: str
    page: str = "docs/results.md"


RUNS = {
    "example": Published(("--time", "900"), 16, "Time of one training step."),
    "differentiation": Published(
        ("--preset", "differentiation"),
        6,
        "Gradient time over forward time by every way to differentiate: reverse mode takes a few "
        "forward passes for any number of parameters, dual numbers and differences of the loss "
        "take passes in proportion to it.",
    ),
    "peers": Published(
        ("-m", "peers"),
        30,
        "One training step in units of the fastest library's matrix products (black line; "
        "strokes: each one's own).",
    ),
    "scaling": Published(("-m", "scaling"), 30, "Solid: all cores, dashed: one thread."),
    "training": Published(
        ("-m", "training"),
        90,
        "Time per epoch and to the validation target, compilation and validation included, loading "
        "the data not: median over the seeds.",
        "docs/training.md",
    ),
}
README = "README.md"  # which shows the first of them, too


def text(name: str, report: Report, page: str) -> str:
    """What a page says of a run: its figure, machine and date; answers; and its table."""
    run = RUNS[name]
    link = os.path.relpath(FOLDER / name, Path(page).parent)
    links = f"[Report]({link}/report.md), [journal]({link}/{JOURNAL})."
    caption = f"*{run.shows} {_where(report)} {links}*"
    if page == README:
        return caption
    answers = [*report.machine_states, *summary.sentences(report)]
    parts = [caption, "\n".join(f"- {line}" for line in answers)]
    if name == "peers":
        contests = analysis.contests(report.conclusive, report.families)
        parts.append(markdown_table(speed.floors(report, contests)[PEERS]))
    if name == "training":
        parts.append(markdown_table(learning.results(report)))
    return "\n\n".join(part for part in parts if part)


def _where(report: Report) -> str:
    """Machine, date, versions and processes of a run."""
    run = report.journals[0].run
    machine = run["machine"]
    versions = json.loads(machine.get("versions", "{}"))
    known = [
        f"{label} {versions[name].partition('+')[0]}"
        for name, label in LIBRARIES.items()
        if name in versions
    ]
    processes = report.rows[report.rows.status == OK].processes.max()
    several = f"; bars are 95 % intervals over {processes:.0f} processes" * bool(processes >= 5)
    core_type = machine.get("openblas_coretype", "not set")
    kernels = "" if core_type == "not set" else f"; OPENBLAS_CORETYPE={core_type} was set"
    gpu = ", no GPU" if machine.get("gpu", "none") == "none" else ""
    label = machine_label(run).split(" [")[0]
    return f"{label}{gpu}, {run['started'][:10]}; {', '.join(known)}{several}{kernels}."


def pages(name: str) -> list[str]:
    """The documents that have a place for a run's text."""
    return [*([README] if name == "example" else []), RUNS[name].page]


def write(name: str, root: Path) -> None:
    """Put the text of a run where its pages have the place for it.

    Raises:
        ValueError: a page has no such place.
    """
    report = loading.load([root / FOLDER / name / JOURNAL])
    for page in pages(name):
        path = root / page
        before, after = f"<!-- {name}:begin -->\n", f"\n<!-- {name}:end -->"
        old = path.read_text()
        if not (old.count(before) == old.count(after) == 1):
            raise ValueError(f"{page}: there is no place for {name}: write {before.strip()}")
        start, end = old.index(before), old.index(after)
        with replaced(path) as file:
            file.write_text(old[:start] + before + text(name, report, page) + old[end:])
