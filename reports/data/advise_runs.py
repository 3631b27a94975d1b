"""Whose runs answer a question: this machine's, else what they had predicted, else another's."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from samegrad.benchmarks.records import states
from samegrad.benchmarks.records.quality import UNUSABLE
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data import versions
from samegrad.reports.data.advise import PREDICTED, Answer, Question, answers
from samegrad.reports.data.prediction import Predictor
from samegrad.reports.data.report import Report

MOST_OTHERS = 3  # machines that are asked besides this one, the latest


@dataclass(frozen=True)
class Machine:
    """What the runs of a machine tell.

    Attributes:
        rows: of its runs; where it was too busy without usable times.
        predictor: from the probes of its runs.
        name: in words; "" of this one.
        busy: whether it was too busy while it measured.
    """

    rows: pd.DataFrame
    predictor: Predictor
    name: str = ""
    busy: bool = False

    def answers(self, asked: Question) -> list[Answer]:
        """What it knows; how each is known says so where it is not of this machine, or was busy."""
        mark = ", while it was busy" if self.busy else ", another machine" if self.name else ""
        known = answers(self.rows, asked, self.predictor)
        return [replace(one, how=f"{one.how}{mark}") for one in known]

    def first(self, known: Sequence[Answer]) -> str:
        """What must be known before its answers are read, in a line; or ""."""
        if self.busy:
            return "Its times are not used: these are predictions, from the probes of its runs."
        if not self.name:
            return ""
        predicted = [one.how.startswith(PREDICTED) for one in known]
        what = "Predicted for" if all(predicted) else "Measured on"
        probes = ", from the probes of its runs" if any(predicted) else ""
        return f"No usable time of this one. {what} another machine: {self.name}{probes}."


def machines(report: Report, here: Collection[str]) -> Iterator[Machine]:
    """This machine, then as it was while it was busy, then others.

    Args:
        here: fingerprints of this machine.
    """
    rows = report.all_rows
    rows = rows[~rows.implementation.isin(versions.named(report))]  # which are no implementations
    too_busy, own = rows.machine_too_busy.astype(bool), rows.fingerprint.isin(list(here))
    for busy in (False, True):
        its = rows[own & (too_busy == busy)]
        if len(its):
            predictor = _predictor(report, its, here, busy)
            spoiled = its.assign(status=its.status.replace(OK, UNUSABLE))
            yield Machine(spoiled if busy else its, predictor, busy=busy)
    others = rows[~own & ~too_busy].sort_values("started", kind="stable")
    latest = others.drop_duplicates("fingerprint", keep="last")[::-1]
    for fingerprint, name in list(zip(latest.fingerprint, latest.machine, strict=True))[
        :MOST_OTHERS
    ]:
        its = others[others.fingerprint == fingerprint]
        yield Machine(its, _predictor(report, its, {fingerprint}, busy=False), name)


def _predictor(
    report: Report, rows: pd.DataFrame, fingerprints: Collection[str], busy: bool
) -> Predictor:
    return Predictor.of(
        [
            journal
            for journal in report.journals
            if journal.run["fingerprint"] in fingerprints
            and states.run_too_busy(journal.states) == busy
        ],
        rows,
    )
