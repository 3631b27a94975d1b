"""The runs that this repository publishes: how each is measured, and what its documents say of it.

A page has the place of a run's text between two comments, `<!-- NAME:begin -->` and `end`; what
stands there is made from the journal and never typed.
"""

import contextlib
import json
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from samegrad.benchmarks.records import limits
from samegrad.benchmarks.records.schema import OK, Record
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.files import PART, ordinary, replaceable, replaced
from samegrad.implementations.contract.registry import COMPARED_WITH
from samegrad.reports.data import analysis, loading, scaling, versions
from samegrad.reports.data.matrix import times_text
from samegrad.reports.data.report import (
    PARTS,
    Report,
    comparable,
    machine_label,
    pivoted,
    shares,
)
from samegrad.reports.data.values import folded, in_order, markdown_table
from samegrad.reports.document import learning, speed, summary

# Of the table of best forms and peers: what a page has room for.
PEERS = ["layers", "batch", "operation", "best of the idiom", "over its products", "peer",
         "peer over best", "over its products alone"]  # fmt: skip
RANKS = ["layers", "batch", "implementation", "ranks", "time", "strong", "weak", "alone",
         "exchange", "communication", "hidden"]  # fmt: skip
TRAINED = ["task", "implementation", "test", "goal", "time per epoch", "time to target"]
LIBRARIES = {"numpy": "NumPy", "torch": "torch", "jax": "JAX"}
FEW = 0.5  # of the sizes: who has fewer is left out
ALIKE, MOST = 1.25, 0.5  # times the fastest, what is called alike; share of a step
PRODUCTS = PARTS["products_seconds"]
FOLDER = Path("reports/results")  # in a checkout
JOURNAL, FIGURES = "journal.jsonl", "figures"
# Those of 2024 and 2025 that the registry has for Python 3.11, and the newest; 0.4.32, which it has
# withdrawn, comes if both of its halves are named. XLA's new runtime for CPUs could be turned off.
OLD_RUNTIME = "XLA_FLAGS=--xla_cpu_use_thunk_runtime=false"
JAX_VERSIONS = (
    "jax==0.4.30", "jax==0.4.31", "jax==0.4.32 jaxlib==0.4.32", "jax==0.4.33", "jax==0.4.35",
    f"jax==0.4.35 {OLD_RUNTIME}", "jax==0.4.38", "jax==0.5.3", "jax==0.6.2",
    f"jax==0.6.2 {OLD_RUNTIME}", "jax==0.10.2",
)  # fmt: skip


ALL_FORMS = ("--implementation", "numpy,numpy_inplace,c,torch,jax")
ON_GPU = ("--implementation", "torch,jax,cupy,triton,pallas,torch_compile")
STEPS = ("-k", "train_step and not end_to_end")


@dataclass(frozen=True)
class Published:
    """A run and its text.

    Attributes:
        arguments: of the command.
        minutes: that it takes on two cores.
        shows: what its figure shows.
        page: the document that tells of it.
        command: of samegrad, by which it is measured.
    """

    arguments: tuple[str, ...]
    minutes: int
    shows: str
    page: str = "docs/results.md"
    command: str = "benchmark"

    @property
    def needs_gpu(self) -> bool:
        """Whether it has rows of a GPU."""
        return any("cuda" in argument for argument in self.arguments)


RUNS = {
    "example": Published(("--time", "900"), 16, "Time of one training step."),
    "differentiation": Published(
        ("--preset", "differentiation", "--time", "900"),
        11,
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
        ("-m", "training", "--implementation", "numpy,torch,jax", "--limit", "100"),
        90,
        "Time per epoch and to the validation target, compilation and validation included, loading "
        "the data not: median over the seeds.",
        "docs/training.md",
    ),
    "speedrun": Published(
        ("-m", "training", "--workload", "speedrun*", "--limit", "100", *ALL_FORMS),
        10,
        "MNIST from raw bytes in memory to weights, once through: median over ten seeds.",
        "docs/training.md",
    ),
    "ranks": Published(
        ("--ranks", "1,2"),
        10,
        "Time of one training step on one rank and on two, each with a core of its own.",
        "docs/data-parallel.md",
    ),
    "gpu": Published(
        ("--device", "cpu,cuda", "--time", "1200"),
        20,
        "Time of one training step on CPU and GPU.",
        "docs/gpu.md",
    ),
    "gpu_hello": Published(
        ("--preset", "hello", "--device", "cpu,cuda"),
        1,
        "Time of a gradient and a training step on CPU and GPU, one process each: no intervals.",
        "docs/gpu.md",
    ),
    "gpu_best": Published(
        ("--preset", "hello", "--device", "cuda", *STEPS, "--time", "115", *ON_GPU),
        3,
        "Time of one training step on the GPU, whose memory holds the batch; one process each: no "
        "intervals.",
        "docs/gpu.md",
    ),
    "versions": Published(
        JAX_VERSIONS,
        8,
        "Time of one training step in each version.",
        "docs/versions.md",
        "versions",
    ),
}
FRONT = ("README.md", "docs/index.md")  # which show the first of them, too
LECTURES = "docs/from-lectures.md"  # which tells of trainings with and without dropout
DROPOUT = "_dropout"  # how a task ends that is another one with dropout


def text(name: str, report: Report, page: str) -> str:
    """What a page says of a run: its figure, machine and date; answers; and its table."""
    if page == LECTURES:
        return dropout(report)
    run = RUNS[name]
    link = os.path.relpath(FOLDER / name, Path(page).parent)
    links = f"[Report]({link}/report.md), [journal]({link}/{JOURNAL})."
    caption = f"*{run.shows} {_where(report)} {links}*"
    if page in FRONT:
        return "\n\n".join(filter(None, [caption, in_words(report)]))
    if run.command == "versions":
        return over_versions(report, caption, link)
    answers = [*report.machine_states, *summary.sentences(report)]
    parts = [caption, "\n".join(f"- {line}" for line in answers)]
    if name == "peers":
        contests = analysis.contests(report.conclusive, report.families)
        parts.append(markdown_table(speed.best_forms(report, contests)[PEERS]))
    if name == "scaling":
        caches = {source.label: limits.caches(source.journal) for source in report.sources}
        grown = scaling.growth(scaling.curves(report.rows), caches)
        parts.append(markdown_table(grown.drop(columns=["source", "device", "beyond"])))
    if name == "ranks":
        (gains,) = speed.several_ranks(report).tables
        parts.append(markdown_table(gains.frame[RANKS]))
    if name == "speedrun":
        parts.append(markdown_table(learning.speedruns(report).drop(columns=["source", "device"])))
    if name == "training":
        parts.append(markdown_table(learning.results(report)[TRAINED]))
    return "\n\n".join(part for part in parts if part)


def over_versions(report: Report, caption: str, link: str) -> str:
    """The figure of a run over versions, what is certain of each network, and the table."""
    lines = versions.table(report)
    figure = f"![Time of a training step over versions]({link}/figures/time_over_versions.png)"
    answers = "\n".join(f"- {line}" for line in versions.sentences(lines))
    return "\n\n".join([figure, caption, answers, markdown_table(versions.shown(lines))])


def dropout(report: Report) -> str:
    """Times and test results of tasks with a target, without dropout and with it."""
    rows = {(row.case.workload.name, row.case.implementation): row for _, row in report.trained}
    both = [
        (task, name)
        for (task, name), row in rows.items()
        if (task + DROPOUT, name) in rows and row.training[0].get("target") is not None
    ]
    factors = [
        (rows[task + DROPOUT, name].median_seconds or 0) / (rows[task, name].median_seconds or 1)
        for task, name in both
    ]
    if not both:
        return ""
    tasks = {*(task for task, _ in both), *(task + DROPOUT for task, _ in both)}
    table = learning.results(report)
    table = table[table.task.isin(tasks)].sort_values(["implementation", "task"], kind="stable")
    ends = " to ".join(dict.fromkeys(map(times_text, (min(factors), max(factors)))))
    said = f"With dropout an epoch takes {ends} times as long. {_where(report, bars=False)}"
    return f"{markdown_table(table[[c for c in TRAINED if c != 'goal']])}\n\n*{said}*"


def in_words(report: Report) -> str:
    """What the times of a training step come to: on the smallest network, and from where on alike.

    Of rows with an interval, on all cores and no GPU; "" where they do not say it.
    """
    rows = comparable(report.conclusive)
    rows = rows[(rows.status == OK) & (rows.operation == "train_step") & (rows.threads == "all")]
    rows = rows[(rows.device == "cpu") & ~rows.implementation.map(registry.looped)]
    size = ["flops", "layers", "batch_size"]
    times = pivoted(rows.sort_values(size), size, "implementation", "seconds")
    times = times.loc[:, times.notna().mean() > FEW].dropna()  # c has one network, and tells of one
    if times.empty or len(times.columns) < 2:
        return ""
    (_, layers, batch), parts = times.index[0], []
    own = rows[(rows.layers == layers) & (rows.batch_size == batch)].sort_values("seconds")
    best, *others = own.drop_duplicates("implementation").itertuples()
    factors = [
        f"{times_text(one.seconds / best.seconds)} times as fast as {_name(one.implementation)}"
        for one in others
        if analysis.slower(one, best)
    ]
    if factors:
        said = f"{_name(best.implementation)} is {' and '.join(factors)}"
        parts.append(f"On {folded(layers)} (batch {batch:,}) {said}")
    spread = times.max(axis=1) / times.min(axis=1)
    alike = times[spread[::-1].cummax()[::-1] <= ALIKE]
    if len(alike):
        flops, layers, batch = alike.index[0]
        names = ", ".join(map(_name, in_order(times.columns)))
        within = f"{100 * (spread[alike.index].max() - 1):.0f} %"
        large = map(shares, rows[rows.flops >= flops].itertuples())
        share = statistics.median([one[PRODUCTS] for one in large if PRODUCTS in one] or [0.0])
        why = f": {100 * share:.0f} % of a step is the same products" if share > MOST else ""
        alike_from = f"from {folded(layers)} (batch {batch:,}) on {names}"
        parts.append(f"{alike_from} are within {within} of each other{why}")
    looped = analysis.over_looped(report.conclusive)
    looped = looped[(looped.operation == "train_step") & (looped.implementation == COMPARED_WITH)]
    if len(looped):
        ends = dict.fromkeys(map(times_text, (looped.speed_up.min(), looped.speed_up.max())))
        parts.append(f"looped Python takes {' to '.join(ends)} times as long as NumPy")
    text = "; ".join(parts)
    return f"**{text[:1].upper()}{text[1:]}.**" if text else ""


def _name(implementation: str) -> str:
    return LIBRARIES.get(implementation, implementation)


def _where(report: Report, bars: bool = True) -> str:
    """Machine, date, versions and processes of a run."""
    run = report.journals[0].run
    machine = run["machine"]
    labels = LIBRARIES
    libraries = _versions(machine.get("versions"))
    if versions.named(report):  # each had an environment of its own
        libraries, labels = versions.shared(report), {"python": "Python", **LIBRARIES}
    known = [
        f"{label} {str(libraries[name]).partition('+')[0]}"
        for name, label in labels.items()
        if name in libraries
    ]
    processes = report.rows[report.rows.status == OK].processes.max()
    several = f"; bars are 95 % intervals over {processes:.0f} processes" * bool(
        bars and processes >= 5
    )
    core_type = machine.get("openblas_coretype", "not set")
    kernels = "" if core_type == "not set" else f"; OPENBLAS_CORETYPE={core_type} was set"
    gpu = ", no GPU" if machine.get("gpu", "none") == "none" else ""
    label = machine_label(run).split(" [")[0]
    return f"{label}{gpu}, {date(run)}; {', '.join(known)}{several}{kernels}."


def _versions(text: object) -> dict[str, object]:
    """Library -> version, of a run's machine; nothing of what is no JSON object."""
    with contextlib.suppress(ValueError):
        known = json.loads(str(text))
        return known if isinstance(known, dict) else {}
    return {}


def date(run: Record) -> str:
    """When a run began."""
    return str(run["started"])[:10] if "started" in run else "at an unknown time"


def pages(name: str) -> list[str]:
    """The documents that have a place for a run's text."""
    more = {"example": FRONT, "training": (LECTURES,)}
    return [*more.get(name, ()), RUNS[name].page]


def told(name: str, root: Path, journal: Path) -> dict[Path, str]:
    """Page -> the whole of it, with the text of a run where it has the place for it.

    Raises:
        ValueError: a page has no such place, or there is nothing to tell.
    """
    report = loading.load([journal])
    if report.rows.empty:
        raise ValueError(f"{journal} has no rows, so there is nothing to tell")
    made = {}
    for page in pages(name):
        path = root / page
        before, after = f"<!-- {name}:begin -->\n", f"\n<!-- {name}:end -->"
        old = path.read_text(encoding="utf-8")
        if not (old.count(before) == old.count(after) == 1):
            raise ValueError(f"{page}: there is no place for {name}: write {before.strip()}")
        start, end = old.index(before), old.index(after)
        new = text(name, report, page).replace("<!--", "&lt;!--")  # no place of another text
        made[path] = old[:start] + before + new + old[end:]
    return made


def write(name: str, root: Path, run: Path | None = None) -> None:
    """Put the text of a run on its pages and, of a new one, its files into its folder.

    All of it or nothing: whatever stops it before the last file is written, what was there stays.
    The journal comes last, after which the folder has nothing of another run. Once files take
    their places, only a kill stops it, after which it can be done again (`begin`).

    Args:
        run: the folder of a new run, with its report; without it, the text alone.

    Raises:
        ValueError, OSError: as `told`; or something cannot be written.
    """
    folder = root / FOLDER / name
    made = told(name, root, (run or folder) / JOURNAL)
    inside = [] if run is None else sorted(path for path in run.rglob("*") if path.is_file())
    files = [path for path in inside if not path.name.startswith(PART)]
    files.sort(key=lambda path: path.name != JOURNAL)  # opened first, it is closed last
    with contextlib.ExitStack() as stack:
        for path in files:
            target = folder / path.relative_to(run or folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            written(stack.enter_context(replaced(target)), path.read_bytes())
        for page, content in made.items():
            written(stack.enter_context(replaced(page)), content.encode())
    if run is not None:
        for path in (folder / FIGURES).glob("*.*"):
            if not (run / FIGURES / path.name).exists():
                path.unlink()


def written(path: Path, data: bytes) -> None:
    """Write a file that the disk has then: a full one is known before anything takes its place."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def begin(name: str, root: Path, run: Path) -> None:
    """Note which run is to be published: if that is cut short, the next one goes on with it."""
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    with replaced(_note(name, root)) as beside:
        beside.write_bytes(os.fsencode(run))


def begun(name: str, root: Path) -> Path | None:
    """The run whose publication was cut short, or None; it may be gone."""
    note = _note(name, root)
    return Path(os.fsdecode(ordinary(note).read_bytes())) if note.exists() else None


def end(name: str, root: Path) -> None:
    """Remove that note, and the parts of files that a kill has left."""
    left = [*(root / FOLDER / name).rglob(f"{PART}*")]
    left += [one for page in pages(name) for one in (root / page).parent.glob(f"{PART}*.md")]
    left += [*(root / FOLDER).glob(PART + 8 * "[0-9a-f]")]
    for path in (*left, _note(name, root)):  # which comes last
        path.unlink(missing_ok=True)


def _note(name: str, root: Path) -> Path:
    return root / FOLDER / f"{PART}{name}"


def refused(name: str, root: Path) -> str:
    """Why the text and files of a run could not be written, in a line, or ""."""
    folder = root / FOLDER / name
    there = next(path for path in (folder, *folder.parents) if path.exists())
    for place in (there, *(root / page for page in pages(name))):
        try:
            inside = place if place == there else replaceable(place).parent
            tempfile.TemporaryFile(dir=inside).close()
        except OSError as error:
            return f"{place}: cannot be written: {error.strerror}"
    return ""
