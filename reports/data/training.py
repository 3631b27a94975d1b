"""What networks have learned: the results of a training run, task by task."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.rows import Row

HEADLINE = ("mnist", "cifar10")  # what the names of the main tasks begin with
PARITY = 1e-8  # by how much losses in float64 may differ in the first steps


@dataclass(frozen=True)
class LossCurves:
    """The losses of the first steps of a task by one update rule, per implementation."""

    task: str
    optimizer: str
    losses: dict[str, list[float]]

    def differences(self) -> Any:
        """Per step, how far the implementations are apart; relative to losses above 1."""
        steps = min(map(len, self.losses.values()))
        losses = np.array([curve[:steps] for curve in self.losses.values()])
        return (losses.max(axis=0) - losses.min(axis=0)) / np.maximum(1.0, losses.max(axis=0))


def loss_curves(journals: Iterable[Journal]) -> list[LossCurves]:
    """Every recorded set of loss curves in float64."""
    losses: dict[tuple[str, str], dict[str, list[float]]] = {}
    for journal in journals:
        for record in journal.parity:
            one = losses.setdefault((record["task"], record["optimizer"]), {})
            one[record["implementation"]] = record["losses"]
    return [LossCurves(*key, curves) for key, curves in losses.items()]


def tasks(trained: Iterable[tuple[str, Row]]) -> list[str]:
    """The distinct tasks of trained rows."""
    return list(dict.fromkeys(row.case.workload.name for _, row in trained))


def headline(names: Iterable[str]) -> list[str]:
    """The main tasks among some."""
    return [name for name in names if name.startswith(HEADLINE)]


def metric_text(metric: str, value: float) -> str:
    """A metric as people read it."""
    return f"{100 * value:.2f} %" if metric == "accuracy" else f"{value:.4g}"
