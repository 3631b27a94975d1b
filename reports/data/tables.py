"""Journals as data frames: every row, its interval, and the ratios between rows.

A journal is one source; rows of different sources never overwrite each other, and a ratio
across sources says so.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from samegrad.benchmarks.clock.intervals import interval, ratio
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.records.schema import OK, Record

WIDE = 0.03  # half an interval; a wider one is marked
IDIOMS = ["scalar", "numpy", "torch", "jax"]
ORDER = (  # an idiom, its variants, its peers
    "scalar numba micrograd numpy numpy_inplace cupy sklearn torch torch_compile torch_nn jax flax"
).split()
PARTS = {  # of a call's time
    "products_seconds": "matrix products",
    "dispatch_seconds": "dispatch and Python",
    "rest_seconds": "elementwise work and memory traffic",
}
SQUARE = "square"  # a workload of large products: the best rate of a library
PRODUCTS = "products"  # an operation that is a floor of others, and no way to write a network
COST = "cost"  # what the names of these workloads begin with (samegrad.benchmarks.cases.case)
CASE = ["workload", "layers", "operation", "batch_size", "dtype", "threads"]


def machine_label(run: Record) -> str:
    """A machine in a few words: processor, cores, GPU, and the start of its fingerprint."""
    machine = run["machine"]
    gpu = str(machine.get("gpu", "none"))
    parts = [str(machine.get("cpu", "unknown CPU")), f"{machine.get('cores', '?')} cores"]
    if gpu not in ("none", "unknown"):
        parts.append(gpu.split(",")[0])
    return ", ".join(parts) + f" [{str(run['fingerprint'])[:4]}]"


def source_labels(journals: Sequence[Journal]) -> list[str]:
    """One label per journal: the machine, and the run where a machine has several."""
    return labels([journal.run for journal in journals])


def labels(runs: Sequence[Record]) -> list[str]:
    """The same from the first records alone; no two of them are alike."""
    machines = [machine_label(run) for run in runs]
    counts = Counter(machines)
    found = [
        f"{machine}, run {run['run']}" if counts[machine] > 1 else machine
        for machine, run in zip(machines, runs, strict=True)
    ]
    seen: Counter[str] = Counter()
    for place, label in enumerate(found):
        seen[label] += 1
        if seen[label] > 1:
            found[place] = f"{label} ({seen[label]})"
    return found


def all_rows(journals: Sequence[Journal]) -> pd.DataFrame:
    """One line per case and source, tidy: `results.csv`.

    seconds is the mean of the processes' log medians, taken back; seconds_low and seconds_high
    are its 95 % Student t interval, empty below 5 processes. dtype is the contract of arithmetic
    (tf32 and bfloat16 are float32 networks). products, dispatch and rest are parts of seconds.
    """
    records = [
        _record(journal, source, row)
        for journal, source in zip(journals, source_labels(journals), strict=True)
        for row in results.rows(journal)
    ]
    if not records:
        return pd.DataFrame(columns=["source", *CASE, "implementation", "device", "status"])
    frame = pd.DataFrame.from_records(records)
    return frame.astype(dict.fromkeys([c for c in NUMBERS if c in frame], float))


NUMBERS = (
    "seconds examples_per_second gflops_per_second ceiling_gflops_per_second first_call_seconds "
    "compile_seconds transfer_in_seconds transfer_out_seconds products_seconds dispatch_seconds "
    "rest_seconds host_bytes device_bytes"
).split()


def _record(journal: Journal, source: str, row: Row) -> dict[str, Any]:
    case = row.case
    low, high = math.nan, math.nan
    if journal.run.get("intervals", True) and row.process_medians:
        low, high = interval(row.process_medians)
    flags = list(row.flags)
    half = (high / low) ** 0.5 - 1 if math.isfinite(low) else math.nan
    if half > WIDE:
        flags.insert(0, f"interval +-{100 * half:.0f} %")
    gate = row.gate or {"name": "", "error": math.nan, "bound": math.nan}
    products, dispatch, rest = row.split or (math.nan,) * 3
    return {
        "source": source,
        "machine": machine_label(journal.run),
        "run": journal.run["run"],
        "started": str(journal.run.get("started", "")),
        "commit": str(journal.run["machine"].get("commit", "unknown")),
        "fingerprint": journal.run["fingerprint"],
        "workload": case.workload.name,
        "layers": "-".join(map(str, case.spec.layer_sizes)),
        "operation": case.operation,
        "batch_size": case.workload.batch_size,
        "dtype": case.arithmetic,
        "threads": case.threads,
        "implementation": case.implementation,
        "device": case.device,
        "transfer": case.transfer,
        "status": row.status,
        "reason": row.reason,
        "seconds": row.median_seconds,
        "seconds_low": low,
        "seconds_high": high,
        "processes": len(row.process_medians),
        "blocks": row.blocks,
        "flags": "; ".join(flags),
        "examples_per_second": row.examples_per_second,
        "flops": case.flops,
        "bytes": case.bytes,
        "gflops_per_second": row.gflops,
        "ceiling_gflops_per_second": None if row.ceiling is None else row.ceiling / 1e9,
        "products_seconds": products,
        "dispatch_seconds": dispatch,
        "rest_seconds": rest,
        "first_call_seconds": row.first_call_seconds,
        "compile_seconds": row.compile_seconds,
        "transfer_in_seconds": row.transfer_in_seconds,
        "transfer_out_seconds": row.transfer_out_seconds,
        "host_bytes": row.host_bytes,
        "device_bytes": row.device_bytes,
        "worst_tensor": gate["name"],
        "gradient_error": gate["error"],
        "gradient_bound": gate["bound"],
        "code": row.code,
        "inputs": row.inputs,
        "process_medians": json.dumps([float(f"{s:.6g}") for s in row.process_medians]),
    }


def to_csv(frame: pd.DataFrame, file: Any = None, header: bool = True) -> str:
    """A table as CSV; a text that a spreadsheet would take for a formula becomes a text to it."""
    texts = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    columns = {name: frame[name].tolist() for name in texts}
    changed = {
        name: list(map(_inert, values))
        for name, values in columns.items()
        if any(map(_begins_a_formula, set(values)))
    }
    return frame.assign(**changed).to_csv(file, index=False, header=header) or ""


def _inert(value: Any) -> Any:
    return f"'{value}" if _begins_a_formula(value) else value


def _begins_a_formula(value: Any) -> bool:
    return isinstance(value, str) and value[:1] in FORMULA


FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what begins one


def medians(row: Any) -> list[float]:
    """Seconds per call, the median of each process."""
    return [float(value) for value in json.loads(row.process_medians)]


def shares(row: Any) -> dict[str, float]:
    """Part of a call -> its share of the time; empty where the parts were not measured."""
    parts = {name: getattr(row, column) for column, name in PARTS.items()}
    known = {name: value for name, value in parts.items() if math.isfinite(value)}
    whole = math.fsum(known.values())
    return {name: value / whole for name, value in known.items()} if whole else {}


def contested(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the floors: what implementations are compared by."""
    return rows[rows.operation != PRODUCTS]


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """float32 rows, and those of implementations that have no float32 at all."""
    have = rows[rows.dtype == "float32"].implementation.unique()
    return rows[(rows.dtype == "float32") | ~rows.implementation.isin(have)]


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive numbers."""
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs))


def over_scalar(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times faster than looped Python: float64 on both sides, on one machine."""
    ok = contested(rows[(rows.status == OK) & (rows.dtype == "float64")])
    base = {
        (r.source, *(getattr(r, key) for key in CASE)): r
        for r in ok[ok.implementation == "scalar"].itertuples()
    }
    records = []
    for row in ok[ok.implementation != "scalar"].itertuples():
        slow = base.get((row.source, *(getattr(row, key) for key in CASE)))
        if slow is None:
            continue
        found = ratio(medians(slow), medians(row))
        records.append(
            {key: getattr(row, key) for key in ["source", *CASE, "implementation", "device"]}
            | {"transfer": row.transfer, "speed_up": found.value}
            | {"low": found.low, "high": found.high}
        )
    return pd.DataFrame.from_records(records)


def gpu_over_cpu(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times faster a GPU is than a CPU with the same implementation.

    End to end first: the batch comes from the host's memory and the loss goes back, against the
    CPU with its batch in memory. Rows name both machines, which may differ.
    """
    ok = rows[rows.status == OK]
    key = [*CASE, "implementation"]
    found = {
        (row.source, row.transfer, *(getattr(row, k) for k in key)): row
        for row in ok[ok.device != "cpu"].itertuples()
    }
    records = []
    for cpu in ok[ok.device == "cpu"].itertuples():
        case = tuple(getattr(cpu, k) for k in key)
        for gpu_source in dict.fromkeys(source for source, *_ in found):
            gpus = {t: found.get((gpu_source, t, *case)) for t in ("end_to_end", "resident")}
            if not any(gpus.values()):
                continue
            record = {k: getattr(cpu, k) for k in key}
            record |= {"cpu": cpu.source, "gpu": gpu_source}
            for transfer, gpu in gpus.items():
                value = ratio(medians(cpu), medians(gpu)).value if gpu is not None else math.nan
                record[f"{transfer}_speed_up"] = value
            records.append(record)
    return pd.DataFrame.from_records(records)


def differentiation(rows: pd.DataFrame) -> pd.DataFrame:
    """The cost of a gradient in forward passes, by implementation and number of parameters.

    One line per implementation, device and network of the series `cost...`, in float64; without
    a ratio where either of its two times is missing, with the reason.
    """
    part = rows[rows.workload.str.fullmatch(rf"{COST}\d+") & (rows.transfer == "resident")]
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in part.itertuples():
        parameters = int(row.workload.removeprefix(COST))
        key = (row.source, row.dtype, row.implementation, row.device, parameters, row.layers)
        found.setdefault(key, {})[row.operation] = row
    records = []
    for key, pair in found.items():
        forward, gradient = pair.get("forward"), pair.get("loss_and_grad")
        if forward is None or gradient is None:
            continue
        names = ["source", "dtype", "implementation", "device", "parameters", "layers"]
        record = dict(zip(names, key, strict=True))
        record |= {"forward_seconds": forward.seconds, "gradient_seconds": gradient.seconds}
        values = (math.nan, math.nan, math.nan)
        reasons = [f"{r.status}: {r.reason}" for r in (gradient, forward) if r.status != OK]
        if not reasons:
            found_ratio = ratio(medians(gradient), medians(forward))
            values = found_ratio.value, found_ratio.low, found_ratio.high
        record |= dict(zip(("ratio", "low", "high"), values, strict=True))
        records.append({**record, "reason": reasons[0] if reasons else ""})
    order = by_idiom(part.implementation)
    records.sort(key=lambda r: (order.index(r["implementation"]), r["device"], r["parameters"]))
    return pd.DataFrame.from_records(records)


def without_number(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that have no number, with status and reason."""
    kept = ["source", *CASE, "implementation", "device", "transfer", "status", "reason"]
    return rows.loc[rows.status != OK, kept]


def overview(rows: pd.DataFrame) -> pd.DataFrame:
    """Time per call as text: a line per case, a column per implementation and device.

    An implementation without float32 (looped Python) stands in the float32 line, marked, where
    no other one has computed the case in float64.
    """
    resident = rows[rows.transfer == "resident"]
    many = rows.source.nunique() > 1
    no_float32 = set(rows.implementation) - set(rows[rows.dtype == "float32"].implementation)
    shared = {
        _case(row, many) for row in resident.itertuples() if row.implementation not in no_float32
    }
    lines: dict[tuple[Any, ...], dict[str, str]] = {}
    for row in resident.itertuples():
        case, mark = _case(row, many), ""
        alike = (*case[:-2], "float32", case[-1])
        if case not in shared and alike in shared:
            case, mark = alike, " (float64)"
        text = duration(row.seconds) + mark if row.status == OK else row.status
        lines.setdefault(case, {})[f"{row.implementation} {row.device}"] = text
    order = by_idiom(rows.implementation)
    pairs = list(dict.fromkeys((r.implementation, r.device) for r in resident.itertuples()))
    pairs.sort(key=lambda pair: order.index(pair[0]))
    columns = list(dict.fromkeys(f"{name} {device}" for name, device in pairs))
    records = [
        dict(zip([*(("source",) if many else ()), *CASE], case, strict=True))
        | {column: line.get(column, "") for column in columns}
        for case, line in lines.items()
    ]
    return narrow(pd.DataFrame.from_records(records))


def folded(text: str) -> str:
    """Layer sizes as a reader wants them: 784-(64 x 128)-10 where 128 stands 64 times."""
    return re.sub(
        r"(?<=-)(\d+)(?:-\1){3,}(?=-)", lambda m: f"({m[0].count('-') + 1} x {m[1]})", text
    )


def narrow(table: pd.DataFrame) -> pd.DataFrame:
    """Without the column of threads where all rows have as many as there are cores."""
    if "threads" in table and (table.threads == "all").all():
        return table.drop(columns="threads")
    return table


def by_idiom(names: Iterable[str]) -> list[str]:
    """Distinct names, from loops to compilers; others after them as they come."""
    found = list(dict.fromkeys(names))

    def place(name: str) -> int:
        return ORDER.index(name) if name in ORDER else len(ORDER)

    return sorted(found, key=place)


def _case(row: Any, with_source: bool) -> tuple[Any, ...]:
    return (*((row.source,) if with_source else ()), *(getattr(row, key) for key in CASE))


def duration(seconds: float) -> str:
    """Three digits with a unit: 97.4 us."""
    if not math.isfinite(seconds):
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds / 1e-9)} ns"


def digits(value: float) -> str:
    """Three significant digits without an exponent; thousands apart."""
    if not math.isfinite(value):
        return ""
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{round(value, 2 - math.floor(math.log10(abs(value)))):,.{places}f}"
