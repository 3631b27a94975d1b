"""Which implementation for a network: from what this machine has measured, or how to measure it.

Between measured sizes a fit to all measured calls of an implementation answers
(`interpolation`). Sizes outside those measured get no answer.

Beyond what was measured, the probes of a run predict (`prediction`), and the answer says so.

Which is the faster one is asked of the ratio of two, over the networks that one run has of both:
what makes a network slow for one makes it slow for the other, and cancels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock.intervals import SLOWER, Ratio, ratio
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.registry import TABLE
from samegrad.implementations.contract.spec import DType, MLPSpec
from samegrad.reports.data.interpolation import Networks, paired, predicted, spread
from samegrad.reports.data.values import digits, in_order

if TYPE_CHECKING:  # half a second, which a question to an archive need not wait for
    import pandas as pd

    from samegrad.reports.data.prediction import Predictor

PREDICTED = "predicted"
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

    def of(self, rows: "pd.DataFrame", status: str = OK) -> "pd.DataFrame":
        """The rows of a status, with a number by default, of this kind of call on any network."""
        part = rows[(rows.status == status) & (rows.transfer == "resident")]
        part = part[(part.operation == self.operation) & (part.device == self.device)]
        part = part[part.threads == self.threads]
        return part[part.ranks == 1] if "ranks" in part else part  # others take other cores, too

    def exactly(self, rows: "pd.DataFrame") -> "pd.DataFrame":
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
    rows: "pd.DataFrame", asked: Question, predictor: "Predictor | None" = None
) -> list[Answer]:
    """What is known of every implementation of which anything is known, the fastest first.

    Args:
        predictor: tells of what was never measured.
    """
    return answers_of(list(of_their_dtype(asked.of(rows), asked).iloc), asked, predictor)


def answers_of(
    rows: Sequence[Any], asked: Question, predictor: "Predictor | None" = None
) -> list[Answer]:
    """The same of rows that are of this kind of call, and of the dtype."""
    known = list[Answer]()
    own = Networks.by_implementation(rows)
    size = asked.layers, asked.batch_size
    same = [row for row in rows if (row.layers, row.batch_size) == size]
    # The newest of each: the last of its name.
    exact = {row.implementation: row for row in sorted(same, key=lambda row: row.started)}
    probed = [worker.implementation for worker in predictor.models] if predictor else []
    for name in in_order([*own, *probed]):
        if (row := exact.get(name)) is not None:
            times = (row.seconds, row.seconds_low, row.seconds_high)
            known.append(Answer(name, *times, "measured", row.host_bytes, row))
        elif name in own and (fitted := between(own[name], _parts(asked, name))):
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


def of_their_dtype(part: "pd.DataFrame", asked: Question) -> "pd.DataFrame":
    """The rows with the dtype that is asked for.

    Of an implementation that has no such dtype those with the one that it has.
    """
    theirs = {name: dtype_of(name, asked.spec.dtype) for name in set(part.implementation)}
    return part[part.dtype == part.implementation.map(theirs)]


def dtype_of(name: str, asked: str) -> str:
    """The dtype of an implementation's answer: the one that is asked for, if it has that."""
    dtypes = TABLE[name].dtypes if name in TABLE else (asked,)
    return asked if asked in dtypes else dtypes[0]


def between(known: Networks, parts: Any) -> tuple[float, float, int] | None:
    """(seconds, by what factor it may be off, networks), or None where it would be a guess.

    Args:
        parts: what the time of the call is a sum of.
    """
    newest = known.newest()
    if not newest.around(parts):
        return None
    seconds, errors = predicted(newest, parts)
    factor = spread(errors)
    if seconds <= 0 or not math.isfinite(factor):
        return None
    return seconds, factor, len(newest)


def _parts(asked: Question, name: str) -> Any:
    """What the time of the call by an implementation is a sum of, in the dtype that it has."""
    dtype = cast(DType, dtype_of(name, asked.spec.dtype))
    spec = replace(asked.spec, dtype=dtype)
    step = MLPWorkload("asked", spec, asked.batch_size, asked.batch_size)
    depth = len(asked.spec.layer_sizes) - 1
    return np.array([1, depth, step.flops(asked.operation), step.bytes(asked.operation)])


def _ratio(one: Answer, best: Answer, own: Mapping[str, Networks], asked: Question) -> Ratio:
    """The time of one over that of the fastest; with a range where that is known."""
    if one is best:
        return Ratio(1.0, 1.0, 1.0)
    if one.row is not None and best.row is not None:
        return ratio(one.row.process_medians, best.row.process_medians)
    if PREDICTED in (one.how, best.how):
        times, off = one.seconds / best.seconds, one.high * best.high / one.seconds / best.seconds
        return Ratio(times, times / off, times * off)
    both = paired(own[one.implementation], own[best.implementation])
    parts, best_parts = (_parts(asked, answer.implementation) for answer in (one, best))
    if not both[0].around(parts):
        return Ratio(one.seconds / best.seconds)
    seconds, errors = predicted(both[0], parts)
    best_seconds, others = predicted(both[1], best_parts)
    value = seconds / max(best_seconds, 1e-12)
    factor = spread(np.nan_to_num(errors - others, nan=math.inf))
    low, high = value / factor, value * factor
    measured = list(map(ratio, both[0].medians, both[1].medians))
    if all(times.verdict == SLOWER for times in measured):  # all measured networks tell them apart
        low = max(low, min(times.low for times in measured))
        value, high = max(value, low), max(high, low)
    return Ratio(value, low, high)


def times(one: Ratio) -> str:
    """A ratio in words, with its range where that is known."""
    span = f" ({digits(one.low)} to {digits(one.high)})" if one.low != one.high else ""
    return digits(one.value) + (span if math.isfinite(one.low) else "")


def shown(name: str, asked: Question) -> str:
    """An implementation as it is shown: with its dtype, where it has not the one that is asked."""
    dtype = dtype_of(name, asked.spec.dtype)
    return name if dtype == asked.spec.dtype else f"{name} ({dtype})"


def no_interval(known: Sequence[Answer]) -> bool:
    """Whether of several nothing says which is the faster one: too few processes, or no pairs."""
    return len(known) > 1 and all(math.isnan(one.ratio.low) for one in known[1:])


NO_ADVICE = (
    "No advice: no interval says which is faster (rows of fewer than 5 processes have none)."
)


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
