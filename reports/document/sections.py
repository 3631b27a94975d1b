"""The sections of a report: each a table, ready to be shown, and what to say of it."""

import math
import re
import shlex
from collections.abc import Sequence
from typing import Any

import pandas as pd
from samegrad.benchmarks.records.journal import Journal
from samegrad.implementations.contract.commands import PORTABLE
from samegrad.reports.data import analysis, tables
from samegrad.reports.data.tables import narrow

HEADERS = {
    "batch_size": "batch",
    "seconds_text": "time per call",
    "interval_text": "95 % interval",
    "rate_text": "examples/s",
    "gflops_text": "GFLOP/s",
    "share_text": "% of ceiling",
    "flags": "marks",
    "error_text": "largest error",
    "percent_text": "% of bound",
    "end_to_end_speed_up": "end to end",
    "resident_speed_up": "resident",
    "speed_up": "times faster",
}
MOST_RUNS = 12  # that a report shows side by side
NO_GPU = "no GPU on this machine"


def no_gpu(journals: Sequence[Journal]) -> bool:
    """Whether none of the machines has one."""
    return all(str(journal.run["machine"].get("gpu", "none")) == "none" for journal in journals)


def gpu_text(journals: Sequence[Journal], rows: pd.DataFrame) -> str:
    """What to say of the GPU rows, or why there are none."""
    if (rows.device == "cuda").any():
        return (
            "Times faster than the CPU with the same implementation. End to end: the batch comes "
            "from the host's memory (through the interface's checks) and the loss goes back. "
            "Machines are named where they differ."
        )
    if no_gpu(journals):
        return f"There are no CUDA rows: {NO_GPU}."
    return "There are no CUDA rows: the GPU was not asked for, or no framework sees it."


def gpu(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times faster a GPU is."""
    table = tables.gpu_over_cpu(rows)
    for column in ("end_to_end_speed_up", "resident_speed_up"):
        if column in table:
            table[column] = table[column].map(tables.digits)
    return narrow(table).rename(columns=HEADERS)


def over_scalar(rows: pd.DataFrame, many: bool) -> pd.DataFrame:
    """How many times faster than looped Python."""
    table = tables.over_scalar(rows)
    if table.empty:
        return table
    table["95 % interval"] = [
        between(tables.digits, low, high) for low, high in zip(table.low, table.high, strict=True)
    ]
    table["speed_up"] = table.speed_up.map(tables.digits)
    drop = ["low", "high", "transfer", *([] if many else ["source"])]
    return narrow(table.drop(columns=drop)).rename(columns=HEADERS)


def differentiation(rows: pd.DataFrame, many: bool) -> list[tuple[str, str, pd.DataFrame]]:
    """The cost of a gradient in forward passes, where it was measured."""
    table = tables.differentiation(rows)
    if table.empty:
        return []
    shown = pd.DataFrame(
        {
            "implementation": table.implementation,
            "device": table.device,
            "parameters": [f"{n:,}" for n in table.parameters],
            "forward": table.forward_seconds.map(tables.duration),
            "gradient": table.gradient_seconds.map(tables.duration),
            "gradient / forward": table.ratio.map(tables.digits),
            "95 % interval": [
                between(tables.digits, low, high)
                for low, high in zip(table.low, table.high, strict=True)
            ],
            "reason": table.reason,
        }
    )
    if many:
        shown.insert(0, "source", table.source)
    text = (
        "How many forward passes of the same implementation one gradient takes. Each gradient was "
        "checked first, as every row."
    )
    return [("Cost of differentiation", text, shown)]


def verdict_text(rows: pd.DataFrame) -> str:
    """How often each verdict was reached."""
    found = analysis.verdicts(rows)
    if found.empty:
        return "Nothing stands beside NumPy here."
    counts = found.groupby("implementation", sort=False).verdict.value_counts()
    said = []
    for name in tables.by_idiom(found.implementation):
        part = [f"{v} in {n}" for v, n in counts[name].items()]
        said.append(f"{name} {', '.join(part)}")
    return "Its time over NumPy's: below 1 is faster. " + "; ".join(said) + "."


def verdicts(rows: pd.DataFrame, many: bool) -> pd.DataFrame:
    """Each implementation against NumPy, case by case."""
    table = analysis.verdicts(rows)
    if table.empty:
        return table
    table["95 % interval"] = [
        between(tables.digits, low, high) for low, high in zip(table.low, table.high, strict=True)
    ]
    table["ratio"] = table.ratio.map(tables.digits)
    drop = ["low", "high", *([] if many else ["source"])]
    return narrow(table.drop(columns=drop)).rename(columns=HEADERS)


def split(ok: pd.DataFrame, many: bool) -> pd.DataFrame:
    """What each call consists of."""
    part = ok[ok.products_seconds.notna() & (ok.transfer == "resident")]
    if part.empty:
        return pd.DataFrame()
    kept = [*(["source"] if many else []), *tables.CASE, "implementation", "device"]
    table = part[kept].assign(
        time=part.seconds.map(tables.duration),
        products=part.products_seconds.map(tables.duration),
        dispatch=part.dispatch_seconds.map(tables.duration),
        rest=part.rest_seconds.map(tables.duration),
        gflops=part.gflops_per_second.map(tables.digits),
        share=share(part),
    )
    names = {"products": "matrix products", "dispatch": "dispatch and Python"}
    names |= {"gflops": "GFLOP/s", "share": "% of ceiling"}
    return narrow(table).rename(columns=HEADERS | names)


def share(part: pd.DataFrame) -> list[str]:
    """Of the ceiling, in percent."""
    shares = 100 * part.gflops_per_second / part.ceiling_gflops_per_second
    return [tables.digits(value) for value in shares]


def ceilings(journals: Sequence[Journal]) -> pd.DataFrame:
    """What machine and libraries have shown at best."""
    found: dict[tuple[str, ...], float] = {}
    for journal, source in zip(journals, tables.source_labels(journals), strict=True):
        for record in journal.ceilings:
            names = ("quantity", "implementation", "device", "threads", "arithmetic")
            key = (source, *(record[name] for name in names))
            if record["quantity"] == "bandwidth" and record["device"] == "cpu":
                key = (source, "bandwidth", "", *key[3:])  # of the memory, whoever measured it
            best = min if record["quantity"] == "launch" else max
            found[key] = best(found.get(key, record["value"]), record["value"])
    records = []
    for (source, quantity, name, device, threads, arithmetic), value in found.items():
        shown = tables.duration(value)
        if quantity != "launch":
            unit = "GFLOP/s" if quantity == "gemm" else "GB/s"
            shown = f"{tables.digits(value / 1e9)} {unit}"
        records.append(
            {"source": source, "quantity": CEILINGS[quantity], "library": name, "device": device}
            | {"threads": threads, "dtype": arithmetic, "at best": shown}
        )
    table = pd.DataFrame.from_records(records)
    if len(journals) == 1 and len(table):
        table = table.drop(columns="source")
    return narrow(table)


CEILINGS = {
    "gemm": "matrix product",
    "bandwidth": "memory bandwidth",
    "launch": "launch, one after another",
    "transfer_in": "to the device, with checks",
    "transfer_out": "from the device",
}


def apart(ok: pd.DataFrame, many: bool) -> pd.DataFrame:
    """The quantities that are in no mean."""
    shown = {
        "first call": ok.first_call_seconds.map(tables.duration),
        "compilation": ok.compile_seconds.map(tables.duration),
        "transfer in": ok.transfer_in_seconds.map(tables.duration),
        "transfer out": ok.transfer_out_seconds.map(tables.duration),
    }
    return _filled(ok, many, shown)


def memory(ok: pd.DataFrame, many: bool) -> pd.DataFrame:
    """Peak memory of a call, where it was measured."""
    part = ok[ok.host_bytes.notna() | ok.device_bytes.notna()]
    shown = {
        "peak memory": part.host_bytes.map(bytes_text),
        "peak GPU memory": part.device_bytes.map(bytes_text),
    }
    return _filled(part, many, shown)


def _filled(ok: pd.DataFrame, many: bool, shown: dict[str, Any]) -> pd.DataFrame:
    """The rows with those columns that hold anything."""
    some = {name: column for name, column in shown.items() if column.astype(bool).any()}
    if not some:
        return pd.DataFrame()
    kept = [*(["source"] if many else []), *tables.CASE, "implementation", "device", "transfer"]
    if (ok.transfer == "resident").all():
        kept.remove("transfer")
    return narrow(ok[kept].assign(**some)).rename(columns=HEADERS)


def bytes_text(value: float) -> str:
    """In KiB or MiB; empty for none."""
    if not math.isfinite(value):
        return ""
    if value < 2**20:
        return f"{value / 2**10:.0f} KiB"
    return f"{tables.digits(value / 2**20)} MiB"


def agreement(ok: pd.DataFrame, many: bool) -> pd.DataFrame:
    """The largest error against the reference, as a share of its bound, per implementation."""
    part = ok[ok.gradient_bound > 0]
    if part.empty:
        return pd.DataFrame()
    part = part.assign(percent=100 * part.gradient_error / part.gradient_bound)
    names = [*(["source"] if many else []), "implementation", "device", "dtype"]
    worst = part.loc[part.groupby(names, sort=False).percent.idxmax()]
    counts = part.groupby(names, sort=False).size()
    table = worst[names].assign(
        rows=counts.to_numpy(),
        error=[f"{e:.1e}" for e in worst.gradient_error],
        bound=[f"{b:.0e}" for b in worst.gradient_bound],
        percent=worst.percent.map(tables.digits),
        where=worst.worst_tensor + " of " + worst.workload + " " + worst.operation
        + " batch " + worst.batch_size.astype(str),
    )  # fmt: skip
    return table.rename(columns={"error": "largest error", "percent": "% of bound"})


def reproduce(journals: Sequence[Journal]) -> list[str]:
    """What to type to have these runs and this report again."""
    said = []
    for journal in journals:
        run = journal.run
        commit = str(run["machine"].get("commit", "unknown"))
        known = re.fullmatch(r"[0-9a-f]{7,40}", commit)
        lines = [f"git checkout {commit}"] if known else []
        lines.append(str(run.get("command", "unknown")))
        said.append("\n".join(lines))
    names = [shlex.quote(f"{journal.run['run']}/journal.jsonl") for journal in journals]
    return [*said[:MOST_RUNS], f"{PORTABLE} render {' '.join(names[:MOST_RUNS])}"]


def break_even(rows: pd.DataFrame, many: bool) -> pd.DataFrame:
    """When a compilation has paid for itself."""
    table = analysis.break_even(rows)
    if table.empty:
        return table
    table["extra_seconds"] = table.extra_seconds.map(tables.duration)
    table["steps"] = [tables.digits(s) if math.isfinite(s) else "" for s in table.steps]
    drop = ["operation", *([] if many else ["source"])]
    names = {"extra_seconds": "first call longer by", "steps": "pays after", "says": "in words"}
    return narrow(table.drop(columns=drop)).rename(columns=HEADERS | names)


def marks(ok: pd.DataFrame) -> str:
    """How many rows are marked, and what for."""
    if not len(ok) or not ok.seconds_low.notna().any():
        return ""
    wide = ok["flags"].str.contains("interval").sum()
    clean = (ok["flags"] == "").sum()
    return (
        f"{len(ok) - wide} of {len(ok)} rows have an interval within +-"
        f"{100 * tables.WIDE:.0f} %, the others are marked; {clean} have no mark at all."
    )


def every(ok: pd.DataFrame, many: bool) -> pd.DataFrame:
    """Every row with its number."""
    table = ok.assign(
        seconds_text=ok.seconds.map(tables.duration),
        interval_text=[
            between(tables.duration, low, high)
            for low, high in zip(ok.seconds_low, ok.seconds_high, strict=True)
        ],
        rate_text=ok.examples_per_second.map(tables.digits),
        gflops_text=ok.gflops_per_second.map(tables.digits),
        share_text=share(ok),
        error_text=[
            f"{e:.1e} ({t})" for e, t in zip(ok.gradient_error, ok.worst_tensor, strict=True)
        ],
        percent_text=[
            tables.digits(100 * e / b)
            for e, b in zip(ok.gradient_error, ok.gradient_bound, strict=True)
        ],
    )
    kept = [*(["source"] if many else []), *tables.CASE, "implementation", "device", "transfer"]
    if (ok.transfer == "resident").all():
        kept.remove("transfer")
    kept += [column for column in HEADERS if column.endswith("_text")]
    kept += ["processes", "blocks", "flags"]
    return narrow(table[kept]).rename(columns=HEADERS)


def without(rows: pd.DataFrame, many: bool) -> pd.DataFrame:
    """Every row without a number, with its reason."""
    table = tables.without_number(rows)
    table = table.drop(columns=["transfer", *([] if many else ["source"])])
    return narrow(table).rename(columns=HEADERS)


def machines(journals: Sequence[Journal]) -> pd.DataFrame:
    """Facts, a column per journal."""
    columns: dict[str, dict[str, str]] = {}
    for journal, source in zip(journals, tables.source_labels(journals), strict=True):
        facts = {key: str(value) for key, value in journal.run["machine"].items()}
        facts["fingerprint"] = str(journal.run["fingerprint"])
        for record in journal.implementations:
            who = f"{record['name']} on {record['device']}"
            if record.get("reason"):
                facts[who] = f"unavailable: {record['reason']}"
                continue
            said = "; ".join(f"{k}: {v}" for k, v in dict(record.get("facts", {})).items())
            facts[who] = f"{said}; source {record.get('source_sha256', 'unknown')}"
        columns[source] = facts
    table = pd.DataFrame(columns).fillna("")
    return table.rename_axis("fact").reset_index()


def between(show: Any, low: float, high: float) -> str:
    """An interval, or nothing."""
    return f"{show(low)} to {show(high)}" if math.isfinite(low) else ""


def crossovers(rows: pd.DataFrame) -> pd.DataFrame:
    """Where one overtakes another."""
    return narrow(analysis.crossovers(rows))
