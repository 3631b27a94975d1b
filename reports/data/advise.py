"""Which implementation for a network: from what this machine has measured, or how to measure it.

Between measured sizes a call's time is taken for a sum of what it must do (Amdahl's and the
roofline's parts): c0 + c1 layers + c2 operations + c3 bytes, each c >= 0, fitted to all measured
calls of an implementation by relative error. How far the fit may be off is shown by leaving out
one network after the other and predicting it. Sizes outside those measured get no answer.

Beyond what was measured, the probes of a run predict (`prediction`), and the answer says so.

Which is the faster one is asked of the ratio of two, over the networks that one run has of both:
what makes a network slow for one makes it slow for the other, and cancels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock.intervals import FASTER, SLOWER, Ratio, ratio
from samegrad.benchmarks.records.schema import OK
from samegrad.benchmarks.records.sheets import LEAST_OF_SHEET, SHEETS, band
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.registry import TABLE
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.data import analysis
from samegrad.reports.data.prediction import Predictor
from samegrad.reports.data.report import shares
from samegrad.reports.data.values import bytes_text, digits, duration, in_order

LEAST_NETWORKS = 6  # that a fit takes; it has four unknowns
BEYOND = 1.25  # times the largest, or below the smallest, is no longer between
PREDICTED = "predicted"
WORST = 0.9  # share of left-out networks within the stated factor
SIZES = ["layers", "batch_size"]
TITLES = {"train_step": "Training step", "loss_and_grad": "Gradient", "forward": "Forward pass"}


@dataclass(frozen=True)
class Question:
    """What is asked: a call of a network at a batch size, on a device with some threads."""

    spec: MLPSpec
    batch_size: int
    device: str = "cpu"
    threads: str = "all"
    operation: str = "train_step"

    @property
    def layers(self) -> str:
        """Its sizes, as rows have them."""
        return "-".join(map(str, self.spec.layer_sizes))

    def case(self, implementation: str) -> Case:
        """The call by an implementation."""
        workload = MLPWorkload("asked", self.spec, self.batch_size, self.batch_size)
        where = implementation, self.device
        return Case(workload, self.operation, *where, threads=self.threads)

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with a number that are of this kind of call, whatever the network."""
        part = rows[(rows.status == OK) & (rows.transfer == "resident")]
        part = part[(part.operation == self.operation) & (part.device == self.device)]
        return part[part.threads == self.threads]

    def exactly(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Those of the very network and batch size."""
        return rows[(rows.layers == self.layers) & (rows.batch_size == self.batch_size)]


@dataclass(frozen=True)
class Answer:
    """What is known of one implementation.

    Attributes:
        seconds, low, high: of a call; low and high are its interval, or how far a fit may be off.
        how: "measured", "between N measured networks", or "predicted".
        memory: bytes of its peak, or NaN.
        row: the measured row, or None.
        ratio: its time over that of the fastest, with its range.
    """

    implementation: str
    seconds: float
    low: float
    high: float
    how: str
    memory: float = math.nan
    row: Any = None
    ratio: Ratio = field(default_factory=lambda: Ratio(math.nan))


def answers(
    rows: pd.DataFrame, asked: Question, predictor: Predictor | None = None
) -> list[Answer]:
    """What is known of every implementation of which anything is known, the fastest first.

    Args:
        predictor: tells of what was never measured.
    """
    part, known = asked.of(rows), list[Answer]()
    probed = [worker.implementation for worker in predictor.models] if predictor else []
    for name in in_order([*part.implementation, *probed]):
        own = _own(part, name, asked)
        exact = asked.exactly(own)
        if len(exact):
            row = exact.sort_values("started").iloc[-1]
            times = (row.seconds, row.seconds_low, row.seconds_high)
            known.append(Answer(name, *times, "measured", row.host_bytes, row))
        elif (fitted := between(own, asked)) is not None:
            seconds, factor, count = fitted
            how = f"between {count} measured networks"
            known.append(Answer(name, seconds, seconds / factor, seconds * factor, how))
        elif predictor and (made := predictor.seconds(asked.case(name))):
            seconds, factor = made
            known.append(Answer(name, seconds, seconds / factor, seconds * factor, PREDICTED))
    known.sort(key=lambda answer: answer.seconds)
    for _ in known:  # a ratio may say that another is the faster one
        known = [replace(one, ratio=_ratio(one, known[0], part, asked)) for one in known]
        first = min(known, key=lambda one: one.ratio.value)
        if first is known[0] or first.ratio.value >= 1:
            break
        known = [first, *(one for one in known if one is not first)]
    return known


def _own(part: pd.DataFrame, name: str, asked: Question) -> pd.DataFrame:
    """The rows of an implementation.

    One that has no such dtype computes in the one that it has, whatever is asked for.
    """
    dtypes = TABLE[name].dtypes if name in TABLE else (asked.spec.dtype,)
    dtype = asked.spec.dtype if asked.spec.dtype in dtypes else dtypes[0]
    return part[(part.implementation == name) & (part.dtype == dtype)]


def between(rows: pd.DataFrame, asked: Question) -> tuple[float, float, int] | None:
    """(seconds, by what factor it may be off, networks), or None where it would be a guess."""
    newest = rows.sort_values("started").drop_duplicates(SIZES, keep="last")
    if not _within(newest, asked):
        return None
    factor = _spread(_left_out(newest, newest.seconds))
    predicted = float(_predicted(newest, newest.seconds, _features_of(asked)))
    if predicted <= 0 or not math.isfinite(factor):
        return None
    return predicted, factor, len(newest)


def _within(rows: pd.DataFrame, asked: Question) -> bool:
    """Whether the network lies between enough measured ones: depth is hardly ever varied."""
    if len(rows) < LEAST_NETWORKS:
        return False
    sizes, size = _features(rows)[:, 2:], _features_of(asked)[2:]
    low, high = sizes.min(axis=0) / BEYOND, sizes.max(axis=0) * BEYOND
    return not ((size < low).any() or (size > high).any())


def _features(rows: pd.DataFrame) -> Any:
    """What the time of each is a sum of."""
    ones, layers = np.ones(len(rows)), rows.layers.str.count("-")
    return np.column_stack([ones, layers, rows.flops, rows.bytes]).astype(float)


def _features_of(asked: Question) -> Any:
    step = MLPWorkload("asked", asked.spec, asked.batch_size, asked.batch_size)
    depth = len(asked.spec.layer_sizes) - 1
    return np.array([1, depth, step.flops(asked.operation), step.bytes(asked.operation)])


def _predicted(rows: pd.DataFrame, seconds: pd.Series, features: Any) -> Any:
    return features @ _fit(_features(rows), seconds.to_numpy())


def _left_out(rows: pd.DataFrame, seconds: pd.Series) -> Any:
    """The log of predicted over measured time of each network, by a fit to the others."""
    errors, places = [], np.arange(len(rows))
    for number in places:
        others = places != number
        features = _features(rows)[number]
        predicted = float(_predicted(rows[others], seconds[others], features))
        times = predicted / seconds.iloc[number]
        errors.append(math.inf if times <= 0 else math.log(times))
    return np.array(errors)


def _spread(errors: Any) -> float:
    """The factor within which nine tenths of the errors are."""
    return math.exp(float(np.quantile(np.abs(errors), WORST, method="higher")))


def _ratio(one: Answer, best: Answer, part: pd.DataFrame, asked: Question) -> Ratio:
    """The time of one over that of the fastest; with a range where that is known."""
    if one is best:
        return Ratio(1.0, 1.0, 1.0)
    if one.row is not None and best.row is not None:
        return ratio(one.row.process_medians, best.row.process_medians)
    if PREDICTED in (one.how, best.how):
        times, off = one.seconds / best.seconds, one.high * best.high / one.seconds / best.seconds
        return Ratio(times, times / off, times * off)
    names = ["source", *SIZES]
    own, other = (_own(part, answer.implementation, asked) for answer in (one, best))
    pairs = analysis.paired_rows(own, other, names)
    # The run that has most networks of both.
    pairs = pairs[pairs.source == pairs.source.mode().iloc[0]] if len(pairs) else pairs
    pairs = pairs.drop_duplicates(SIZES).rename(columns={"flops_other": "same"})
    if not _within(pairs, asked):
        return Ratio(one.seconds / best.seconds)
    features = _features_of(asked)
    value = float(_predicted(pairs, pairs.seconds, features)) / max(
        float(_predicted(pairs, pairs.seconds_other, features)), 1e-12
    )
    errors = _left_out(pairs, pairs.seconds) - _left_out(pairs, pairs.seconds_other)
    factor = _spread(np.nan_to_num(errors, nan=math.inf))
    low, high = value / factor, value * factor
    measured = list(map(ratio, pairs.process_medians, pairs.process_medians_other))
    if all(times.verdict == SLOWER for times in measured):  # all measured networks tell them apart
        low = max(low, min(times.low for times in measured))
        value, high = max(value, low), max(high, low)
    return Ratio(value, low, high)


def _fit(known: Any, seconds: Any) -> Any:
    """The coefficients, none below 0, with the least squares of relative errors."""
    from scipy.optimize import nnls

    relative = known / seconds[:, None]
    scale = relative.max(axis=0)
    return nnls(relative / scale, np.ones(len(seconds)))[0] / scale


def title(asked: Question) -> str:
    """What is asked, in words."""
    regime = "" if asked.threads == "all" else f", {asked.threads} threads"
    return (
        f"{TITLES[asked.operation]} of {asked.layers}, batch {asked.batch_size:,}, "
        f"{asked.spec.dtype}, on {asked.device}{regime}:"
    )


def text(known: Sequence[Answer], rows: pd.DataFrame, asked: Question) -> list[str]:
    """The answer in lines: a table, the advice with its reason, and what to measure."""
    if not known:
        return [title(asked), "No run here has measured it or anything near it. To measure it:", "",
                f"  {command(asked)}"]  # fmt: skip
    table = pd.DataFrame(
        {
            "implementation": [a.implementation for a in known],
            "time": [duration(a.seconds) for a in known],
            "from": [duration(a.low) for a in known],
            "to": [duration(a.high) for a in known],
            "times the fastest": [_times(a.ratio) for a in known],
            "known": [a.how for a in known],
            "peak memory": [bytes_text(a.memory) or "not measured" for a in known],
        }
    )
    lines = [title(asked), "", *table.to_string(index=False).splitlines(), ""]
    lines += [_advice(known), *_break_even(known[0], rows), *_threads(known, rows, asked)]
    lines += _cold(known, asked)
    part = asked.of(rows)
    unknown = [
        n for n in in_order(part.implementation) if n not in {a.implementation for a in known}
    ]
    if unknown:
        lines.append(f"Nothing near it is measured of {', '.join(unknown)}.")
    if unknown or any(a.row is None for a in known):
        lines += ["", "To measure it instead:", "", f"  {command(asked)}"]
    elif all(math.isnan(a.memory) for a in known):
        lines.append("Memory was not measured; --preset full measures it.")
    return lines


def on_a_gpu(asked: Question, gpu: str) -> list[str]:
    """The band of a call on a GPU that is not there, by its data sheet, in lines.

    Raises:
        ValueError: no data sheet of it is known here, or it says nothing of the dtype.
    """
    dtype, sheet = asked.spec.dtype, SHEETS.get(gpu, {})
    if dtype not in sheet:
        has = [name for name, rates in SHEETS.items() if dtype in rates]
        raise ValueError(f"--gpu {gpu!r:.60} in {dtype}: not known; accepted: {', '.join(has)}")
    workload = MLPWorkload("asked", asked.spec, asked.batch_size, asked.batch_size)
    low, high = map(duration, band(sheet, workload, asked.operation, dtype))
    return [
        f"{TITLES[asked.operation]} of {asked.layers}, batch {asked.batch_size:,}, {dtype}, on "
        f"{gpu}, which is not here: predicted {low} to {high}, nothing is measured.",
        "The least: a graph of its products at the data sheet's rates. The most: an eager "
        f"framework that starts each kernel by itself, at {LEAST_OF_SHEET:.0%} of these rates.",
    ]


def _times(times: Ratio) -> str:
    span = f" ({digits(times.low)} to {digits(times.high)})" if times.low != times.high else ""
    return digits(times.value) + (span if math.isfinite(times.low) else "")


def _advice(known: Sequence[Answer]) -> str:
    """Which one, and why; several where they cannot be told apart."""
    best = known[0]
    equals = [best, *(a for a in known[1:] if a.ratio.verdict != SLOWER)]
    names = " or ".join(a.implementation for a in equals)
    reason = _reason(best)
    if len(equals) > 1:
        return f"Use {names}: their times cannot be told apart.{reason}"
    if len(known) == 1:
        return f"Only {names} is known.{reason}"
    times = digits(known[1].ratio.value)
    return f"Use {names}: {known[1].implementation} takes {times} times as long.{reason}"


def _threads(known: Sequence[Answer], rows: pd.DataFrame, asked: Question) -> list[str]:
    """What other numbers of threads take for the fastest one, as far as that is measured."""
    if asked.device != "cpu":
        return []
    name, said = known[0].implementation, []
    for regime in dict.fromkeys(rows.threads):
        other = replace(asked, threads=regime)
        exact = other.exactly(_own(other.of(rows), name, asked))
        if regime == asked.threads or exact.empty or known[0].row is None:
            continue
        times = ratio(exact.iloc[-1].process_medians, known[0].row.process_medians)
        verdict = {FASTER: ", which is faster", SLOWER: ", which is slower"}.get(times.verdict, "")
        many, took = "s" * (regime != "1"), duration(exact.iloc[-1].seconds)
        said.append(f"With {regime} thread{many} {name} takes {took}{verdict}.")
    return said or ["Other numbers of threads were not measured (--threads 1,all)."]


def _cold(known: Sequence[Answer], asked: Question) -> list[str]:
    """What the first call takes, of a forward pass: who starts for each request waits for it."""
    if asked.operation != "forward":
        return []
    lines = []
    for what, columns in (
        ("One by one, p50 and p99", ("p50_seconds", "p99_seconds")),
        ("First call in a process", ("first_call_seconds",)),
        ("Import", ("import_seconds",)),
    ):
        said = [
            f"{a.implementation} {' and '.join(duration(getattr(a.row, c)) for c in columns)}"
            for a in known
            if a.row is not None and not pd.isna(getattr(a.row, columns[-1]))
        ]
        lines += [f"{what}: {', '.join(said)}."] if said else []
    return lines


def _reason(best: Answer) -> str:
    """Where its time goes, if that was measured."""
    parts = {} if best.row is None else shares(best.row)
    text = ", ".join(f"{100 * share:.0f} % {name}" for name, share in parts.items())
    return f" Its time: {text}." if text else ""


def _break_even(best: Answer, rows: pd.DataFrame) -> list[str]:
    """When the fastest one's compilation has paid for itself, against those without one."""
    if best.row is None or best.row.operation != "train_step":
        return []
    table = analysis.break_even(rows[rows.source == best.row.source])
    if table.empty:
        return []
    alike = ["layers", "batch_size", "dtype", "device"]
    own = table[(table.compiled == best.implementation) & (table.threads == "all")]
    own = own[(own[alike] == best.row[alike]).all(axis=1)]
    return [
        f"Its compilation ({duration(r.extra_seconds)} more at the first call) has paid for itself "
        f"against {r.against}: {r.answer}."
        for r in own.itertuples()
    ]


def command(asked: Question) -> str:
    """What measures it."""
    size = ["--layers", asked.layers, "--batch-size", str(asked.batch_size)]
    threads = ["--threads", asked.threads] if asked.threads != "all" else []
    where = ["--device", asked.device, "--dtype", asked.spec.dtype, *threads]
    return commands.command("benchmark", *size, *where)
