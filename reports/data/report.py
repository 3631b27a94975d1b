"""The data of a report, made once: the runs that it shows, and a table of all of their rows.

A run is one source; rows of different sources never overwrite each other, and a ratio across
sources says so.
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from samegrad.benchmarks.cases.case import FEW_EXAMPLES as FEW_EXAMPLES
from samegrad.benchmarks.cases.workload import PRODUCTS, TRAINING, MLPWorkload
from samegrad.benchmarks.clock.intervals import LEAST_PROCESSES, interval
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records import states
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.quality import UNUSABLE, often_wide
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.records.schema import OK, Record
from samegrad.implementations.contract.commands import again
from samegrad.implementations.contract.files import replaced
from samegrad.reports.data.files import flat, to_csv

PARTS = {  # of a call's time
    "products_seconds": "matrix products",
    "dispatch_seconds": "dispatch and Python",
    "rest_seconds": "elementwise work and memory traffic",
}
CASE = ["workload", "layers", "operation", "batch_size", "dtype", "threads", "ranks"]
NUMBERS = (
    "seconds examples_per_second gflops_per_second ceiling_gflops_per_second limit_seconds "
    "limit_arithmetic_seconds limit_call_seconds predicted_seconds first_call_seconds "
    "compile_seconds transfer_in_seconds transfer_out_seconds products_seconds dispatch_seconds "
    "rest_seconds host_bytes device_bytes p50_seconds p99_seconds import_seconds imported_bytes"
).split()
LEAST_REQUESTS = 200  # calls one by one, for percentiles
WITHHELD = "No summary is drawn, and nothing is compared: rerun when it is quiet, or `{}`."
NEVER = "No row is usable, and nothing is compared; that is for tests, rerunning changes nothing."
WAITING = ("--wait-quiet", "600")  # with which a run waits until the machine is quiet
FEW_PROCESSES = (
    f"Fewer than {LEAST_PROCESSES} processes: no intervals, so none is called faster than another "
    f"(--processes {LEAST_PROCESSES})."
)
MOST_SHOWN = 10_000  # rows; more would be a page of more than 30 MB, which takes minutes to write
HEADLINE = ("mnist", "cifar10")  # what the names of the main tasks begin with

Samples = list[list[tuple[float | None, list[list[float]]]]]


@dataclass(frozen=True)
class Source:
    """One run that a report shows: its label, its journal, and its rows."""

    label: str
    journal: Journal
    rows: list[Row]

    @cached_property
    def too_busy(self) -> bool:
        """Whether nothing is concluded from it: its machine was too busy."""
        return states.run_too_busy(self.journal.states)

    def samples(self) -> Samples:
        """Of every row with a number and each of its processes: its value, and what it is of.

        Nanoseconds per call; the latter by repetitions and blocks.
        """
        records: dict[str, list[Record]] = {}
        for case, record in self.journal.outcomes:
            records.setdefault(case.id, []).append(record)
        made: Samples = []
        for row in self.rows:
            if row.status == OK and row.quality.level != UNUSABLE:
                own = records[row.case.id]
                sound = set(map(id, results.sound(self.journal, row.case, own)))
                made.append(
                    [
                        (_value([r for r in process if id(r) in sound]), list(map(_block, process)))
                        for process in results.by_process(own)
                    ]
                )
        return made


def _value(records: Sequence[Record]) -> float | None:
    """The value of a process, in four digits; None if none of its repetitions counts."""
    times = list(map(results.call_seconds, records))
    return float(f"{1e9 * results.undisturbed(times):.4g}") if times else None


def _block(record: Record) -> list[float]:
    """Nanoseconds per call of each block of a repetition, in four digits."""
    return [float(f"{ns / record['calls']:.4g}") for ns in record["elapsed_ns"]]


@dataclass(frozen=True)
class Report:
    """What a report is made from; no row is computed twice.

    Attributes:
        sources: the runs that are shown.
        rows: their rows, as `frame` describes them.
        all_rows: the rows of all runs that were read, also of those that are not shown.
        notes: what a reader must know of the choice of runs and of what could not be read.
        warnings: one line for each thing that could not be read.
        csv: of many runs, the rows of each as CSV, in the order of `all_rows`.
    """

    sources: list[Source]
    rows: pd.DataFrame
    all_rows: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    csv: list[str] = field(default_factory=list)

    def shown(self) -> "Report":
        """The same, or of far too many rows for figures and a page the first of each run."""
        if len(self.rows) <= MOST_SHOWN:
            return self
        share = MOST_SHOWN // len(self.sources)
        what = f"{len(self.rows):,} rows are too many for one page"
        note = f"{what}: the first {share:,} of each run are shown here, all are in results.csv."
        return replace(
            self,
            sources=[replace(source, rows=source.rows[:share]) for source in self.sources],
            rows=self.rows.groupby("source", sort=False).head(share).reset_index(drop=True),
            notes=[*self.notes, note],
        )

    @property
    def journals(self) -> list[Journal]:
        """The journals that are shown."""
        return [source.journal for source in self.sources]

    @cached_property
    def ok(self) -> pd.DataFrame:
        """The rows with a number."""
        return self.rows[self.rows.status == OK]

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The rows with a number, and those whose time is worth nothing: their memory is."""
        return self.rows[self.rows.status.isin([OK, UNUSABLE])]

    @cached_property
    def conclusive(self) -> pd.DataFrame:
        """The rows that are compared: with an interval, of a machine that was not too busy.

        And those without a number, which say why there is no answer.
        """
        if not len(self.rows):
            return self.rows
        rows = self.rows[~self.rows.machine_too_busy]
        return rows[(rows.status != OK) | rows.seconds_low.notna()]

    @cached_property
    def too_busy(self) -> list[str]:
        """The labels of the runs from which nothing is concluded: their machine was too busy."""
        return [source.label for source in self.sources if source.too_busy]

    @cached_property
    def machine_states(self) -> list[str]:
        """What each machine was while it measured, and what follows from that."""
        said = []
        for source in self.sources:
            run, label = source.journal.run, f"{source.label}: " * (len(self.sources) > 1)
            line = f"{label}{states.sentence(source.journal.states)}"
            if shared := run["machine"].get("shared"):
                line = f"{label}Shared machine: {shared}. {NEVER}"
            elif source.label in self.too_busy:
                line += f" {WITHHELD.format(again(str(run.get('command', '')), *WAITING))}"
            elif states.run_quiet(source.journal.states):
                timed = [r for r in source.rows if r.status == OK and r.case.operation != TRAINING]
                line += often_wide([row.process_medians for row in timed])
            said.append(line)
        return said

    @cached_property
    def many(self) -> bool:
        """Whether the rows are of several sources."""
        return bool(self.rows.source.nunique() > 1)

    @cached_property
    def trained(self) -> list[tuple[str, Row]]:
        """(label of the source, row) of every trained network."""
        return [
            (source.label, row)
            for source in self.sources
            for row in source.rows
            if row.case.operation == TRAINING and row.status == OK and row.training
        ]

    @cached_property
    def only_trained(self) -> bool:
        """Whether all rows are trainings."""
        return bool(len(self.rows) and (self.rows.operation == TRAINING).all())

    @cached_property
    def families(self) -> dict[str, tuple[str, str]]:
        """Implementation -> (its kind, its idiom), as far as the journals say it."""
        known = {}
        for journal in self.journals:
            for record in journal.implementations:
                if record.get("kind"):
                    name = record["name"]
                    base = name if record["kind"] == "idiom" else record.get("base", name)
                    known[name] = (str(record["kind"]), str(base))
        return known

    def write_csv(self, path: Path) -> None:
        """Write all rows as `results.csv`."""
        rows = self.all_rows.head(0) if self.csv else self.all_rows
        with replaced(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
            to_csv(flat(rows), file)
            file.writelines(self.csv)


def report(journals: Sequence[Journal]) -> Report:
    """The report of journals that are all shown; the rows of each are computed here, once."""
    sources = [
        Source(label, journal, results.rows(journal))
        for journal, label in zip(journals, labels(j.run for j in journals), strict=True)
    ]
    rows = frame(sources)
    return Report(sources, rows, rows)


def machine_label(run: Record) -> str:
    """A machine in a few words: processor, cores, GPU, and the start of its fingerprint."""
    machine = run["machine"]
    gpu = str(machine.get("gpu", "none"))
    words = [str(machine.get("cpu", "unknown CPU")), f"{machine.get('cores', '?')} cores"]
    if gpu not in ("none", "unknown"):
        words.append(gpu.split(",")[0])
    return ", ".join(words) + f" [{str(run['fingerprint'])[:4]}]"


def labels(runs: Iterable[Record]) -> list[str]:
    """One label per run, all different: the machine, and the run where a machine has several."""
    runs = list(runs)
    names = pd.Series([machine_label(run) for run in runs], dtype=object)
    of_run = names + [f", run {run['run']}" for run in runs]
    names = of_run.where(names.duplicated(keep=False), names)
    used, copies = dict[str, None](), Counter[str]()
    for name in names:
        label = name
        while label in used:  # a run may be called "out (2)" itself
            copies[name] += 1
            label = f"{name} ({copies[name] + 1})"
        used[label] = None
    return list(used)


def frame(sources: Iterable[Source]) -> pd.DataFrame:
    """One line per case and source, tidy.

    seconds is the mean of the processes' log medians, taken back; seconds_low and seconds_high
    are its 95 % Student t interval, NaN below 5 processes. dtype is the contract of arithmetic
    (tf32 and bfloat16 are float32 networks). products, dispatch and rest add up to seconds.
    series says which series of networks a workload belongs to, series_value its number there.
    process_medians are the seconds per call of each process, in six digits.
    """
    records = [record(source, row) for source in sources for row in source.rows]
    if not records:
        facts = ["source", "machine", "run", "started", "commit", "fingerprint"]
        return pd.DataFrame(columns=[*facts, *CASE, "implementation", "device", "status"])
    rows = pd.DataFrame.from_records(records)
    return rows.astype(dict.fromkeys(NUMBERS, float))


def record(source: Source, row: Row) -> dict[str, Any]:
    """One row as `frame` has it."""
    run, case, workload = source.journal.run, row.case, row.case.workload
    # A number that is worth nothing is none: its samples stay in the journal.
    usable = row.status == OK and row.quality.level != UNUSABLE
    unusable = row.status == OK and not usable
    medians = row.process_medians if usable else ()
    known = run.get("intervals", True) and medians
    low, high = interval(medians) if known else (math.nan, math.nan)
    gate = row.gate or {"name": "", "error": math.nan, "bound": math.nan}
    products, dispatch, rest = (row.split if usable else None) or (math.nan,) * 3
    series, value = workload.series or ("", math.nan)
    sizes = workload.spec.layer_sizes if isinstance(workload, MLPWorkload) else ()
    return {
        "source": source.label,
        "machine": machine_label(run),
        "run": run["run"],
        "started": str(run.get("started", "")),
        "commit": str(run["machine"].get("commit", "unknown")),
        "fingerprint": run["fingerprint"],
        "workload": workload.name,
        "series": series,
        "series_value": value,
        "layers": "-".join(map(str, sizes)),
        "operation": case.operation,
        "batch_size": workload.batch_size,
        "dtype": case.arithmetic,
        **{name: getattr(case, name) for name in ("threads", "ranks", "implementation")},
        "device": case.device,
        "transfer": case.transfer,
        "status": UNUSABLE if unusable else row.status,
        "reason": row.quality.why if unusable else row.reason,
        "seconds": row.median_seconds if usable else None,
        "seconds_low": low,
        "seconds_high": high,
        "processes": len(row.process_medians),
        "blocks": row.blocks,
        "quality": row.quality.level if row.status == OK else "",
        "machine_too_busy": source.too_busy,
        "remarks": "; ".join(filter(None, [row.quality.why if usable else "", *row.remarks])),
        "examples_per_second": row.examples_per_second if usable else None,
        "flops": case.flops,
        "bytes": case.bytes,
        "gflops_per_second": row.gflops if usable else None,
        "ceiling_gflops_per_second": None if row.ceiling is None else row.ceiling / 1e9,
        "limit_seconds": row.limit and row.limit.seconds,
        "limit_arithmetic_seconds": row.limit and row.limit.arithmetic,
        "limit_call_seconds": row.limit and row.limit.call,
        "predicted_seconds": row.predicted_seconds,
        "limited_by": row.limit.by if row.limit else "",
        **{name: getattr(row, name) for name in ("alone_seconds", "exchange_seconds")},
        "products_seconds": products,
        "dispatch_seconds": dispatch,
        "rest_seconds": rest,
        "first_call_seconds": row.first_call_seconds,
        "compile_seconds": row.compile_seconds,
        "import_seconds": row.import_seconds,
        "imported_bytes": row.imported_bytes,
        "p50_seconds": _percentile(row.request_seconds, 50) if usable else None,
        "p99_seconds": _percentile(row.request_seconds, 99) if usable else None,
        "request_medians": row.request_medians if usable else (),
        **{name: getattr(row, name) for name in ("transfer_in_seconds", "transfer_out_seconds")},
        **{name: getattr(row, name) for name in ("host_bytes", "device_bytes")},
        "worst_tensor": gate["name"],
        "gradient_error": gate["error"],
        "gradient_bound": gate["bound"],
        "proofs": row.proofs,
        "proof_seconds": row.proof_seconds,
        "code": row.code,
        "inputs": row.inputs,
        "process_medians": tuple(float(f"{seconds:.6g}") for seconds in medians),
    }


def _percentile(values: Sequence[float], percent: int) -> float | None:
    """Of calls one by one, if they are enough for it: ten beyond the 99th are 1,000."""
    if len(values) < LEAST_REQUESTS:
        return None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def by_task(trained: Iterable[tuple[str, Row]]) -> dict[str, list[Row]]:
    """Task -> its trained rows, in order."""
    tasks: dict[str, list[Row]] = {}
    for _, row in trained:
        tasks.setdefault(row.case.workload.name, []).append(row)
    return tasks


def headline(names: Iterable[str]) -> list[str]:
    """The main tasks among some."""
    return [name for name in names if name.startswith(HEADLINE)]


def shares(row: Any) -> dict[str, float]:
    """Part of a call -> its share of the time; empty where the parts were not measured."""
    seconds = {name: getattr(row, column) for column, name in PARTS.items()}
    known = {name: value for name, value in seconds.items() if math.isfinite(value)}
    whole = math.fsum(known.values())
    return {name: value / whole for name, value in known.items()} if whole else {}


def pivoted(rows: pd.DataFrame, index: list[str], columns: str, values: str) -> pd.DataFrame:
    """A line for each of several columns' values, a column for each of one's; in their order."""
    table = rows.pivot_table(values, index, columns, aggfunc="last", sort=False)
    lines = pd.MultiIndex.from_frame(rows[index].drop_duplicates())
    return table.reindex(lines).rename_axis(columns=None)


def products(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of matrix products alone: the least that a step by that library could take."""
    return rows[rows.operation == PRODUCTS]


def without_products(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks: those of matrix products alone are no way to write one."""
    return rows[rows.operation != PRODUCTS]


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """float32 rows, and those of implementations that have no float32 at all."""
    with_float32 = rows[rows.dtype == "float32"].implementation.unique()
    return rows[(rows.dtype == "float32") | ~rows.implementation.isin(with_float32)]
