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
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock.intervals import SLOWER, Ratio, ratio
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.registry import TABLE
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.data import analysis
from samegrad.reports.data.prediction import Predictor
from samegrad.reports.data.values import in_order

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

    def of(self, rows: pd.DataFrame, status: str = OK) -> pd.DataFrame:
        """The rows of a status, with a number by default, of this kind of call on any network."""
        part = rows[(rows.status == status) & (rows.transfer == "resident")]
        part = part[(part.operation == self.operation) & (part.device == self.device)]
        part = part[part.threads == self.threads]
        return part[part.ranks == 1] if "ranks" in part else part  # others take other cores, too

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
    return answers_of(of_their_dtype(asked.of(rows), asked), asked, predictor)


def answers_of(
    part: pd.DataFrame, asked: Question, predictor: Predictor | None = None
) -> list[Answer]:
    """The same of rows that are of this kind of call, and of the dtype."""
    known = list[Answer]()
    own = {str(name): its for name, its in part.groupby("implementation")}
    # The newest of each: the last of its name.
    exact = {row.implementation: row for row in asked.exactly(part).sort_values("started").iloc}
    probed = [worker.implementation for worker in predictor.models] if predictor else []
    for name in in_order([*own, *probed]):
        if (row := exact.get(name)) is not None:
            times = (row.seconds, row.seconds_low, row.seconds_high)
            known.append(Answer(name, *times, "measured", row.host_bytes, row))
        elif (fitted := between(own.get(name, part[:0]), asked)) is not None:
            seconds, factor, count = fitted
            how = f"between {count} measured networks"
            known.append(Answer(name, seconds, seconds / factor, seconds * factor, how))
        elif predictor and (made := predictor.seconds(asked.case(name))):
            seconds, factor = made
            known.append(Answer(name, seconds, seconds / factor, seconds * factor, PREDICTED))
    known.sort(key=lambda answer: answer.seconds)
    for _ in known:  # a ratio may say that another is the faster one
        known = [replace(one, ratio=_ratio(one, known[0], own, asked)) for one in known]
        first = min(known, key=lambda one: one.ratio.value)
        if first is known[0] or first.ratio.value >= 1:
            break
        known = [first, *(one for one in known if one is not first)]
    return known


def of_their_dtype(part: pd.DataFrame, asked: Question) -> pd.DataFrame:
    """The rows with the dtype that is asked for.

    Of an implementation that has no such dtype those with the one that it has.
    """
    theirs = {name: _dtype(name, asked.spec.dtype) for name in set(part.implementation)}
    return part[part.dtype == part.implementation.map(theirs)]


def _dtype(name: str, asked: str) -> str:
    dtypes = TABLE[name].dtypes if name in TABLE else (asked,)
    return asked if asked in dtypes else dtypes[0]


def between(rows: pd.DataFrame, asked: Question) -> tuple[float, float, int] | None:
    """(seconds, by what factor it may be off, networks), or None where it would be a guess."""
    if len(rows) < LEAST_NETWORKS:
        return None
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
    errors, places, features, values = [], np.arange(len(rows)), _features(rows), seconds.to_numpy()
    for number in places:
        others = places != number
        predicted = float(features[number] @ _fit(features[others], values[others]))
        times = predicted / values[number]
        errors.append(math.inf if times <= 0 else math.log(times))
    return np.array(errors)


def _spread(errors: Any) -> float:
    """The factor within which nine tenths of the errors are."""
    return math.exp(float(np.quantile(np.abs(errors), WORST, method="higher")))


def _ratio(
    one: Answer, best: Answer, of_each: Mapping[str, pd.DataFrame], asked: Question
) -> Ratio:
    """The time of one over that of the fastest; with a range where that is known."""
    if one is best:
        return Ratio(1.0, 1.0, 1.0)
    if one.row is not None and best.row is not None:
        return ratio(one.row.process_medians, best.row.process_medians)
    if PREDICTED in (one.how, best.how):
        times, off = one.seconds / best.seconds, one.high * best.high / one.seconds / best.seconds
        return Ratio(times, times / off, times * off)
    names = ["source", *SIZES]
    own, other = (of_each[answer.implementation] for answer in (one, best))
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


def command(asked: Question) -> str:
    """What measures it."""
    size = ["--layers", asked.layers, "--batch-size", str(asked.batch_size)]
    threads = ["--threads", asked.threads] if asked.threads != "all" else []
    where = ["--device", asked.device, "--dtype", asked.spec.dtype, *threads]
    return commands.command("benchmark", *size, *where)
