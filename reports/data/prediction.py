"""How far predictions were off: each row's predicted time beside what came out."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.predictions import Model, models
from samegrad.benchmarks.records.schema import OK

LEAST_ERRORS = 6  # that say how far another prediction may be off
UNKNOWN_FACTOR = 2.0
WITHIN = 0.9  # share of the rows that are within the factor


def errors(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a number that had been predicted, with `error`: predicted over measured - 1."""
    if "predicted_seconds" not in rows:  # of no run at all
        return pd.DataFrame(columns=["implementation", "error"])
    known = rows[(rows.status == OK) & rows.predicted_seconds.notna()]
    return known.assign(error=known.predicted_seconds / known.seconds - 1)


@dataclass(frozen=True)
class Predictor:
    """Models of the newest runs that have probes, and how far they were off there.

    Attributes:
        models: of each worker.
        factors: implementation -> the factor within which nine tenths of its rows were.
    """

    models: dict[WorkerSpec, Model]
    factors: dict[str, float]

    @classmethod
    def of(cls, journals: Iterable[Journal], rows: pd.DataFrame) -> "Predictor":
        """From journals, newer ones after older ones, and the rows of the same machine."""
        made: dict[WorkerSpec, Model] = {}
        for journal in sorted(journals, key=lambda j: str(j.run.get("started", ""))):
            made |= models(journal)
        factors = {}
        for name, own in errors(rows).groupby("implementation"):
            if len(own) >= LEAST_ERRORS:
                off = np.abs(np.log1p(own.error))
                factors[str(name)] = math.exp(float(np.quantile(off, WITHIN, method="higher")))
        return cls(made, factors)

    def seconds(self, case: Case) -> tuple[float, float] | None:
        """(seconds, by what factor they may be off) of a call, or None."""
        model = self.models.get(case.worker)
        predicted = model.seconds(case) if model else None
        if not predicted:
            return None
        return predicted, self.factors.get(case.implementation, UNKNOWN_FACTOR)
