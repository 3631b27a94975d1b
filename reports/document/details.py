"""The chapters that say how far a number can be trusted, and where it comes from."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract.commands import PORTABLE, pinned
from samegrad.reports.charts import explanation
from samegrad.reports.charts import speed as charts
from samegrad.reports.data import analysis, code, kinds
from samegrad.reports.data.loading import MOST_RUNS
from samegrad.reports.data.report import CASE, Report, Source
from samegrad.reports.data.values import bytes_text, digits, duration
from samegrad.reports.document.chapter import Chapter, Table, columns, present
from samegrad.reports.document.speed import over_limit

INCLUDES = (
    "Included: dispatch, the Python call, and waiting until every result is computed. Chained "
    "steps wait once per block; independent calls wait for up to 16 results at once.",
    "Not included: start of the process, imports, the first call (compilation; a column of its "
    "own), warm-up, placing data on the device (resident rows; end-to-end rows include it).",
    "Each implementation runs in fresh worker processes of its own, in random order; on a CPU all "
    "of them stay alive, and short repetitions of their cases alternate until the case's "
    "interval is within 1.5 % or the time is up. The value of a process is the longest of the "
    "least disturbed tenth of its repetitions, averaged over processes on a log scale, with "
    "a 95 % Student t interval from 5 processes up.",
)
COMPARES = (
    "Verdicts: FASTER or SLOWER if the interval of the ratio clears 1.05, SAME if it lies within "
    "1.05, else CAN'T TELL; never across precisions, thread counts or machines.",
    "float32 is IEEE float32 everywhere; tf32 and bfloat16 are rows of their own. Looped Python "
    "computes in float64; a speed-up over it is formed with float64 rows only.",
    "First call: the first process compiles, later ones load from the run's own cache. Transfers "
    "are a batch to the device and the result back; what it must be is checked before.",
)
LIMIT = (
    "Seconds of one call. The limit is the least that it could take on this machine, however it is "
    "written: its multiply-adds at the most that the cores can do, or what it must move at the "
    "bandwidth of the cache that holds it, whichever is longer (by), and a call of a function that "
    "does nothing. What a time has more is products that are slower than that, dispatch beyond "
    "such a call, and the rest: passes over memory."
)
QUANTITIES = {  # of ceilings
    "peak": "multiply-adds in registers",
    "gemm": "matrix product",
    "bandwidth": "memory bandwidth",
    "call": "call of a function that does nothing",
    "launch": "launch, one after another",
    "transfer_in": "to the device",
    "transfer_out": "from the device",
}


def agreement(report: Report) -> Chapter:
    """The largest error against the reference, per implementation."""
    return Chapter(
        "Agreement",
        [
            "What first calls and timed blocks gave is compared with a float64 reference, by a "
            "process of its own; a row that disagrees has no time. Proofs are those of timed "
            "blocks, and take their time outside of all clocks; `results.csv` has it of each row."
        ],
        charts=[charts.gradient_error(report.rows)],
        tables=[Table("Largest error of each implementation", "", largest_errors(report))],
    )


def largest_errors(report: Report) -> pd.DataFrame:
    """The largest error as a share of its bound, per implementation, device and dtype."""
    part = report.ok[report.ok.gradient_bound > 0]
    if part.empty:
        return pd.DataFrame()
    part = part.assign(percent=100 * part.gradient_error / part.gradient_bound)
    names = ["source", "implementation", "device", "dtype"]
    groups = part.groupby(names, sort=False)
    worst = part.loc[groups.percent.idxmax()]
    table = worst[names].assign(
        **{
            "rows": groups.size().to_numpy(),
            "proofs": groups.proofs.sum().to_numpy(),
            "they took": groups.proof_seconds.sum().map(duration).to_numpy(),
            "largest error": worst.gradient_error.map("{:.1e}".format),
            "bound": worst.gradient_bound.map("{:.0e}".format),
            "% of bound": worst.percent.map(digits),
            "where": worst.worst_tensor + " of " + worst.workload + " " + worst.operation
            + " batch " + worst.batch_size.astype(str),
        }
    )  # fmt: skip
    return present(report, table)


def limits(report: Report) -> Chapter:
    """What a call consists of, and what the machine can do at most."""
    return Chapter(
        "How near the machine's limit",
        charts=[explanation.roofline(report.rows, report.sources), explanation.split(report.rows)],
        tables=[
            Table(
                "What a call consists of",
                LIMIT,
                split(report),
            ),
            Table("What the machine can do", "The maximum of all measurements.", ceilings(report)),
        ],
    )


def split(report: Report) -> pd.DataFrame:
    """The parts of each call, where they were measured."""
    part = report.ok[report.ok.products_seconds.notna() & (report.ok.transfer == "resident")]
    table = columns(
        part,
        **{
            "time": part.seconds.map(duration),
            **over_limit(part),
            "limit": part.limit_seconds.map(duration),
            "by": part.limited_by,
            "products beyond it": _beyond(part.products_seconds, part.limit_arithmetic_seconds),
            "dispatch beyond it": _beyond(part.dispatch_seconds, part.limit_call_seconds),
            "matrix products": part.products_seconds.map(duration),
            "dispatch and Python": part.dispatch_seconds.map(duration),
            "rest": part.rest_seconds.map(duration),
            "GFLOP/s": part.gflops_per_second.map(digits),
        },
    )
    if part.limit_seconds.isna().all():
        table = table.drop(columns=["limit", "by", "products beyond it", "dispatch beyond it"])
    return present(report, table)


def _beyond(seconds: pd.Series, least: pd.Series) -> pd.Series:
    """What a part takes more than the limit has for it."""
    return (seconds - least).clip(lower=0).map(duration)


def ceilings(report: Report) -> pd.DataFrame:
    """What machine and libraries reached at best."""
    measured = pd.DataFrame.from_records(
        [
            record | {"source": source.label}
            for source in report.sources
            for record in source.journal.ceilings
        ]
    )
    if measured.empty:
        return measured
    of_memory = (measured.quantity == "bandwidth") & (measured.device == "cpu")
    measured.loc[of_memory, "implementation"] = ""  # by whatever library
    names = ["source", "quantity", "implementation", "device", "threads", "arithmetic"]
    table = measured.groupby(names, sort=False).value.agg(["min", "max"]).reset_index()
    best = [
        duration(low) if quantity in ("launch", "call")
        else f"{digits(high / 1e9)} {'GFLOP/s' if quantity in ('peak', 'gemm') else 'GB/s'}"
        for quantity, low, high in zip(table.quantity, table["min"], table["max"], strict=True)
    ]  # fmt: skip
    table = table[names].assign(quantity=table.quantity.map(_quantity), **{"at best": best})
    return present(report, table, names={"implementation": "library", "arithmetic": "dtype"})


def _quantity(name: str) -> str:
    known, _, of = name.partition(" ")
    return f"bandwidth of {of}" if of else QUANTITIES.get(known, known)


def compilation(report: Report) -> Chapter:
    """First calls, compilation, transfers, and when a compilation has paid for itself."""
    rows = report.measured
    quantities = {
        "first call": rows.first_call_seconds.map(duration),
        "compilation": rows.compile_seconds.map(duration),
        "transfer in": rows.transfer_in_seconds.map(duration),
        "transfer out": rows.transfer_out_seconds.map(duration),
    }
    return Chapter(
        "Compilation and break-even",
        tables=[
            Table(
                "First call, compilation, transfer",
                "Quantities of their own, in no mean.",
                _filled(report, rows, quantities),
            ),
            Table(
                "When a compilation has paid for itself",
                "Training steps after which the compiled implementation is ahead, first calls "
                "included.",
                break_even(report),
            ),
        ],
    )


def break_even(report: Report) -> pd.DataFrame:
    """When a compilation has paid for itself, as texts."""
    table = analysis.break_even(report.conclusive)
    if table.empty:
        return table
    table["extra_seconds"] = table.extra_seconds.map(duration)
    table["steps"] = table.steps.map(digits)
    names = {"extra_seconds": "first call longer by", "steps": "pays after"}
    return present(report, table, ["operation"], names)


def memory(report: Report) -> Chapter:
    """Peak memory of a call, or how to measure it."""
    rows = report.measured
    part = rows[rows.host_bytes.notna() | rows.device_bytes.notna()]
    quantities = {
        "peak memory": part.host_bytes.map(bytes_text),
        "peak GPU memory": part.device_bytes.map(bytes_text),
    }
    table = _filled(report, part, quantities)
    text = (
        "Not measured in this run: `--preset full` measures the peak memory of each training step "
        "in a process of its own."
    )
    if len(table):
        text = "The peak of a few steps above what was in memory before, in a process of its own."
    elif report.only_trained:
        text = ""
    return Chapter("Memory", [text], tables=[Table("Peak memory of a call", "", table)])


def _filled(report: Report, rows: pd.DataFrame, quantities: dict[str, pd.Series]) -> pd.DataFrame:
    """The rows with those quantities that any row has."""
    filled = {name: texts for name, texts in quantities.items() if (texts != "").any()}
    return present(report, columns(rows, **filled)) if filled else pd.DataFrame()


def measured_code(report: Report) -> Chapter:
    """The idioms side by side, and lines of code against speed."""
    sources = code.sources(report.journals)
    if not sources:
        return Chapter("Code")
    table = code.lines_and_speed(report.conclusive, sources)
    titles = {
        "network": "lines of the network",
        "lines": "with its tables",
        "factor": "times the fastest",
    }
    shown = table.assign(factor=table.factor.map(digits)) if len(table) else table
    return Chapter(
        "Code",
        ["The code as it was measured, from the journal.", *code.changes(sources)],
        charts=[charts.lines_and_speed(report.rows, table)],
        tables=[Table("Lines of code and speed", "", present(report, shown, names=titles))],
        listings=code.listings(sources),
    )


def without_number(report: Report) -> Chapter:
    """Every row without a number, with its reason."""
    rows = report.rows[report.rows.status != OK]
    kept = ["source", *CASE, "implementation", "device", "status", "reason"]
    return Chapter(
        "What has no number, and why",
        [] if len(rows) else ["Every row has a number."],
        tables=[Table("Rows without a number", "", present(report, rows[kept]))],
    )


def machines(report: Report) -> Chapter:
    """Facts about machines and versions, a column per source."""
    facts: dict[str, dict[str, str]] = {}
    for source in report.sources:
        run = source.journal.run
        facts[source.label] = {key: str(value) for key, value in run["machine"].items()}
        facts[source.label]["fingerprint"] = str(run["fingerprint"])
        for record in source.journal.implementations:
            text = "; ".join(f"{k}: {v}" for k, v in dict(record.get("facts", {})).items())
            text += f"; source {record.get('source_sha256', 'unknown')}"
            if record.get("reason"):
                text = f"unavailable: {record['reason']}"
            facts[source.label][f"{record['name']} on {record['device']}"] = text
    table = pd.DataFrame(facts).fillna("").rename_axis("fact").reset_index()
    return Chapter("Machines", tables=[Table("Machines and versions", "", table)])


def includes(report: Report) -> Chapter:
    """What a number includes, for each kind of workload that has rows."""
    times, rates = kinds.of_kinds(report.rows)
    points = (*times, *INCLUDES, *rates, *COMPARES)
    return Chapter("What a number includes", points=points)


def reproduce(report: Report) -> Chapter:
    """What to type to have these runs and this report again."""
    return Chapter(
        "Reproduce this",
        [
            "In a checkout: the commit, an environment with the same versions, the variables, each "
            "run again, and the report of its journal."
        ],
        commands=commands(report.journals),
    )


def cite(report: Report) -> Chapter:
    """How these numbers are referred to: run, commit, machine, date."""
    return Chapter(
        "Cite this",
        ["As BibTeX; what a number is of is part of it."],
        commands=[_citation(source) for source in report.sources[:MOST_RUNS]],
    )


def _citation(source: Source) -> str:
    run = source.journal.run
    started, commit = str(run.get("started", "")), str(run["machine"].get("commit", "unknown"))
    key = re.sub(r"[^A-Za-z0-9]+", "-", str(run["run"]))
    lines = {
        "title": f"samegrad: times of one network in several idioms, run {run['run']}",
        "author": "{the samegrad authors}",
        "year": started[:4] or "unknown",
        "note": f"commit {commit}, {source.label}, {started or 'unknown time'}",
    }
    fields = ",\n".join(f"  {name} = {{{value}}}" for name, value in lines.items())
    return f"@misc{{samegrad-{key},\n{fields}\n}}"


def commands(journals: Sequence[Journal]) -> list[str]:
    """The commands of the runs, and the one of the report."""
    blocks = []
    for journal in journals[:MOST_RUNS]:
        machine = journal.run["machine"]
        commit = str(machine.get("commit", "unknown"))
        known = re.fullmatch(r"[0-9a-f]{7,40}", commit)
        lines = [f"git checkout {commit}"] if known else []
        lines += _environment(machine)
        blocks.append("\n".join([*lines, str(journal.run.get("command", "unknown"))]))
    names = [shlex.quote(f"{journal.run['run']}/journal.jsonl") for journal in journals]
    return [*blocks, f"{PORTABLE} render {' '.join(names[:MOST_RUNS])}"]


def _environment(machine: Mapping[str, Any]) -> Iterator[str]:
    """The interpreter, the versions and the variable of a run, as far as its journal says them."""
    try:
        versions = json.loads(machine.get("versions", ""))
    except (TypeError, ValueError):
        versions = {}
    python = re.match(r"3\.\d+", str(machine.get("python", "")))
    if python and isinstance(versions, dict) and versions:
        yield f"python{python[0]} -m venv .venv && . .venv/bin/activate"
        known = [f"{name}=={str(one).partition('+')[0]}" for name, one in versions.items()]
        yield pinned(known, "benchmark")
        for name, one in versions.items():
            if "+" in str(one):
                yield f"# {name} was the build {one}"
    for variable in str(machine.get("thread_variables", "not set")).split():
        if re.fullmatch(r"[A-Z_]+=\d+", variable):
            yield f"export {variable}"
    kernels = str(machine.get("openblas_coretype", ""))
    if kernels == "not set":
        yield "unset OPENBLAS_CORETYPE"
    elif re.fullmatch(r"\w+", kernels) and kernels != "unknown":
        yield f"export OPENBLAS_CORETYPE={kernels}"
