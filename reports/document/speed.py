"""The chapters of speed: how long calls take, and what is faster than what."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from samegrad.benchmarks.records import limits
from samegrad.benchmarks.records.quality import GOOD, NARROW, NOISY, UNUSABLE
from samegrad.reports.charts import explanation, growth
from samegrad.reports.charts import speed as charts
from samegrad.reports.data import analysis, code, ranks, scaling, threads
from samegrad.reports.data.report import FEW_EXAMPLES, Report
from samegrad.reports.data.values import bytes_text, digits, duration, in_order, interval_text
from samegrad.reports.document.chapter import Chapter, Table, columns, present

OF_CALLS = ("time per call", "p50", "p99", "examples/s")  # what a busy machine spoils
SCALING = {  # titles of columns
    "seconds": "time",
    "alone_seconds": "alone",
    "exchange_seconds": "exchange",
    "communication_seconds": "communication",
    "overlap": "hidden",
}


def speed(report: Report) -> Chapter:
    """Time per call, verdicts, speed-ups and crossovers; every row with a number."""
    rows, ok, compared = report.rows, report.ok, report.conclusive
    verdicts, speed_ups = analysis.verdicts(compared), analysis.over_looped(compared)
    return Chapter(
        "Speed",
        charts=[
            charts.time_per_step(rows),
            growth.against_batch_size(rows),
            growth.against_width(rows),
            explanation.profile(compared),
            charts.over_looped(rows, speed_ups),
            charts.gflops(rows),
        ],
        tables=[
            Table(
                "Against NumPy", verdict_text(verdicts), with_interval(report, verdicts, "ratio")
            ),
            Table(
                "Speed-up over looped Python",
                "float64 on both sides, on the same machine; 95 % interval from 5 processes up.",
                with_interval(report, speed_ups, "speed_up", drop=["transfer"]),
            ),
            Table(
                "Where one overtakes another",
                "Training step; between the last size at which the one is certainly faster and the "
                "first at which the other is.",
                present(report, analysis.crossovers(compared)),
            ),
            Table(
                "Best number of threads",
                "Of each case that was measured with several, and how many times as long the next "
                "best takes; certain if its interval says so.",
                best_threads(report),
            ),
            Table(
                "Every row with a number",
                f"{qualities(rows)} On the page, a row opens its samples: the blocks of each "
                "process.".strip(),
                present(report, every_row(ok)),
                opens=True,
            ),
        ],
    )


def best_threads(report: Report) -> pd.DataFrame:
    """The best number of threads of each case, as texts."""
    table = threads.best(report.conclusive)
    if table.empty:
        return table
    shown = table.drop(columns="flops").assign(
        seconds=table.seconds.map(duration),
        times=table.times.map(digits),
        certain=table.certain.map({True: "yes", False: "no"}),
    )
    names = {"best": "best threads", "seconds": "time", "next": "next best"}
    return present(report, shown, ["device", "workload"], names)


def best(report: Report) -> Chapter:
    """Each idiom in its fastest form: against its own matrix products, and against its peers."""
    contests = analysis.contests(report.conclusive, report.families)
    sources = code.sources(report.journals)
    return Chapter(
        "Each idiom at its best",
        charts=[charts.peers(report.conclusive, report.families) if len(contests) else None],
        tables=[
            Table(
                "Limit, products and peers",
                "Each idiom in its fastest form, its variants included. Times the limit: over the "
                "least that this machine allows, however it is written. Over its products: its "
                "time over that of the step's matrix products alone, by the same library in the "
                "same processes, into arrays that exist already; no way of writing the step over "
                "that library can go below. Of the best product: its rate of arithmetic over that "
                "of large square products by the library that is best at them, in the same run; "
                "where that is its own library, in the same processes. Peer over best: the time of "
                "what people would use instead over that of the idiom's best; over its products, "
                "which is the most that any way of writing the idiom could gain; and over the "
                "idiom as it is written first, without its variants.",
                best_forms(report, contests),
            ),
            Table(
                "What a variant gains and costs",
                "Lines of code, those of its idiom in brackets; times over all networks of this "
                "run.",
                code.variants(report.conclusive, report.families, sources),
            ),
        ],
    )


def several_ranks(report: Report) -> Chapter:
    """What more ranks gain, and what they wait for."""
    gains = ranks.scaling(report.rows)
    machines = [journal.run["machine"] for journal in report.journals]
    cores, hosts = (_most(machines, name) for name in ("cores", "hosts"))
    times = ("seconds", "alone_seconds", "exchange_seconds", "communication_seconds")
    shares = ("strong", "weak", "overlap")
    shown = (
        gains.assign(
            **{
                name: gains[name].map(lambda x: "" if pd.isna(x) else duration(x)) for name in times
            },
            **{
                name: gains[name].map(lambda x: "" if pd.isna(x) else f"{x:.0%}") for name in shares
            },
        )
        if len(gains)
        else gains
    )
    return Chapter(
        "Several ranks",
        text=list(ranks.sharing(report.rows, cores, hosts)),
        tables=[
            Table(
                "Scaling and communication",
                "Strong: time of one rank / (ranks x time), at the same batch. Weak: time of one "
                "rank with its rows of the batch / time. Alone: a step on the rows of one rank "
                "by the idiom, all ranks at once and none waiting. Exchange: an all-reduce of as "
                "many numbers as the gradient has, the least that ranks could wait. "
                "Communication: what the step is longer than alone, bookkeeping included. Hidden: "
                "how much of the exchange goes on while the step computes.",
                present(report, shown, drop=["transfer"], names=SCALING),
            )
        ],
    )


def _most(machines: Iterable[Mapping[str, Any]], name: str) -> int:
    """The largest of a number that machines say of themselves; 1 if none does."""
    said = (str(machine.get(name)) for machine in machines)
    return max((int(text) for text in said if text.isdigit()), default=1)


def cost_growth(report: Report) -> Chapter:
    """How the cost grows with batch size, width and depth, where all three were measured."""
    points = scaling.curves(report.rows)
    gains = scaling.thread_gains(scaling.curves(report.conclusive))
    caches = {source.label: limits.caches(source.journal) for source in report.sources}
    chart = growth.scaling(report.rows, points, gains, caches)
    if chart is None:  # a run of other cases: its batch sizes have a chart of their own
        return Chapter("How the cost grows")
    return Chapter(
        "How the cost grows",
        charts=[chart],
        tables=[
            Table(
                "Exponents and bends",
                "Time of a training step fitted by a + c x^p: p is the exponent with its standard "
                "error, the bend is where the fixed cost a equals the work. Beyond it, where the "
                f"rate of arithmetic falls below {100 * scaling.FALLS:.0f} % of its best, which "
                "cache the working set (inputs, params, gradients, activations and deltas) "
                "outgrows there, and the part of a step that grew most for each operation, with "
                "its share of the time before and there.",
                present(report, scaling.growth(points, caches)),
            ),
            Table(
                "All cores over one thread",
                "How many times faster, and at which size.",
                present(report, scaling.thread_table(gains)),
            ),
        ],
    )


def gpu(report: Report) -> Chapter:
    """How many times faster a GPU is than a CPU; nothing without rows of a GPU."""
    if not (report.rows.device == "cuda").any():
        return Chapter("GPU against CPU")
    speed_ups = analysis.gpu_over_cpu(report.conclusive)
    text = (
        "Times faster than the CPU with the same implementation. End to end: the batch comes "
        "from the host's memory (through the interface's checks) and the loss goes back. "
        "Machines are named where they differ."
    )
    ratios = speed_ups.filter(like="_speed_up").map(digits)
    return Chapter(
        "GPU against CPU",
        [text],
        charts=[charts.gpu_over_cpu(speed_ups)],
        tables=[
            Table("Times faster than the CPU", "", present(report, speed_ups.assign(**ratios)))
        ],
    )


def differentiation(report: Report) -> Chapter:
    """The cost of a gradient in forward passes, where it was measured."""
    costs = analysis.differentiation(report.conclusive)
    if costs.empty:
        return Chapter("Cost of differentiation")
    table = pd.DataFrame(
        {
            "source": costs.source,
            "implementation": costs.implementation,
            "device": costs.device,
            "parameters": [f"{number:,}" for number in costs.parameters],
            "forward": costs.forward_seconds.map(duration),
            "gradient": costs.gradient_seconds.map(duration),
            "gradient / forward": costs.ratio.map(digits),
            "95 % interval": list(map(interval_text, costs.ratio_low, costs.ratio_high)),
            "reason": costs.reason,
        }
    )
    text = (
        "How many forward passes of the same implementation one gradient takes. Each gradient was "
        "checked first, as every row."
    )
    return Chapter(
        "Cost of differentiation",
        charts=[growth.cost_of_differentiation(report.rows, costs)],
        tables=[Table("Cost of differentiation", text, present(report, table))],
    )


def inference(report: Report) -> Chapter:
    """Forward passes of few examples: what a request waits for, warm and cold."""
    rows = report.measured
    part = rows[(rows.operation == "forward") & (rows.batch_size <= FEW_EXAMPLES)]
    part = part[part.transfer == "resident"]
    texts = {
        "time per call": part.seconds.map(duration),
        "p50": part.p50_seconds.map(duration),
        "p99": part.p99_seconds.map(duration),
        "examples/s": part.examples_per_second.map(digits),
        "first call": part.first_call_seconds.map(duration),
        "import": part.import_seconds.map(duration),
        "memory once imported": part.imported_bytes.map(bytes_text),
        "weights and activations": part.bytes.map(bytes_text),
        "peak of a call": part.host_bytes.map(bytes_text),
    }
    filled = {name: column for name, column in texts.items() if (column != "").any()}
    absent = [name for name in texts if name not in filled]
    text = (
        "Time per call is that of many calls in a row. p50 and p99 are of calls that are timed one "
        "by one, each waited for. A cold start is the import (Python and NumPy are there already) "
        "and the first call, which compiles where the framework compiles. Memory is that of the "
        "whole process once it has imported, and what a pass needs at least: inputs, weights and "
        "the outputs of all layers (the peak of a call above that: --preset full)."
    )
    if unusable := int((part.status == UNUSABLE).sum()):
        text += f" Of {unusable} of {len(part)} rows the times are not usable (why: below)."
        absent = [name for name in absent if name not in OF_CALLS]
    if absent:
        text += f" Not measured in this run: {', '.join(absent)}."
    table = present(report, columns(part, **filled), drop=["operation"])
    return Chapter(
        "Inference",
        [text] if len(part) else [],
        tables=[Table("Forward passes of few examples", "", table)] if len(part) else [],
    )


def verdict_text(verdicts: pd.DataFrame) -> str:
    """How often each verdict was reached."""
    if verdicts.empty:
        return "No other implementation has a case of NumPy's here."
    counts = verdicts.groupby("implementation", sort=False).verdict.value_counts()
    lines = [
        f"{name} " + ", ".join(f"{verdict} in {n}" for verdict, n in counts[name].items())
        for name in in_order(verdicts.implementation)
    ]
    return "Its time over NumPy's: below 1 is faster. " + "; ".join(lines) + "."


def with_interval(
    report: Report, table: pd.DataFrame, column: str, drop: Sequence[str] = ()
) -> pd.DataFrame:
    """A table of ratios as text, each with its interval."""
    if table.empty:
        return table
    low, high = f"{column}_low", f"{column}_high"
    intervals = list(map(interval_text, table[low], table[high]))
    table = table.assign(**{column: table[column].map(digits), "95 % interval": intervals})
    return present(report, table, drop=[low, high, *drop])


def qualities(rows: pd.DataFrame) -> str:
    """How many rows are of each quality, and what that means."""
    counts = rows["quality"].value_counts()
    known = [f"{counts[name]} {name}" for name in (GOOD, NOISY, UNUSABLE) if name in counts]
    return (
        f"{', '.join(known)}. Good: within +-{100 * NARROW:.0f} %, hardly disturbed; noisy: by as "
        "much as the row says; unusable: no number (why: below)."
    )


def every_row(ok: pd.DataFrame) -> pd.DataFrame:
    """Every row with its number, as texts."""
    return columns(
        ok,
        **{
            "time per call": ok.seconds.map(duration),
            "95 % interval": [
                interval_text(low, high, duration)
                for low, high in zip(ok.seconds_low, ok.seconds_high, strict=True)
            ],
            "examples/s": ok.examples_per_second.map(digits),
            "GFLOP/s": ok.gflops_per_second.map(digits),
            **over_limit(ok),
            "largest error": [
                f"{error:.1e} ({tensor})"
                for error, tensor in zip(ok.gradient_error, ok.worst_tensor, strict=True)
            ],
            "% of bound": (100 * ok.gradient_error / ok.gradient_bound).map(digits),
            "processes": ok.processes,
            "blocks": ok.blocks,
            "quality": [
                f"{level}: {why}" if why else level
                for level, why in zip(ok["quality"], ok["remarks"], strict=True)
            ],
        },
    )


def over_limit(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Each time over the least that the machine allows, as a column, where that is known."""
    known = (rows.seconds / rows.limit_seconds).map(digits)
    return {"times the limit": known} if (known != "").any() else {}


def best_forms(report: Report, contests: pd.DataFrame) -> pd.DataFrame:
    """The contests as texts."""
    if contests.empty:
        return contests

    def ratios(name: str, unit: float = 1, sign: str = "") -> list[str]:
        ends = zip(*(unit * contests[name + end] for end in ("", "_low", "_high")), strict=True)
        return [
            digits(value) + (sign if math.isfinite(value) else "")
            + (f" ({interval_text(low, high)})" if math.isfinite(low) else "")
            for value, low, high in ends
        ]  # fmt: skip

    table = contests[[*analysis.NETWORK, "operation", "dtype", "best"]].assign(
        **{
            "time": contests.seconds.map(duration),
            **over_limit(contests),
            "over its products": ratios("over_products"),
            "of the best product": ratios("of_square", 100, " %"),
            "peer": contests.peer,
            "peer's time": contests.peer_seconds.map(duration),
            "peer over best": ratios("over_best"),
            "over its products alone": ratios("over_floor"),
            "over the idiom itself": contests.over_idiom.map(digits),
        }
    )
    drop = ["workload", *(["device"] if table.device.nunique() == 1 else [])]
    return present(report, table, drop, {"best": "best of the idiom"})
