"""The kinds of runs: what is done with the rows that `pytest --benchmark` selects.

A kind is a module with the functions of `session.Kind`. It is known by its name here and imported
when a run of it begins, so that a run of speed loads nothing of a training.
"""

import importlib
from typing import Any

SPEED = "speed"
KINDS = {
    SPEED: "samegrad.benchmarks.runs.speed",
    "training": "samegrad.benchmarks.training.run",
}


def load(name: str) -> Any:
    """The module of a kind, which has the functions of `session.Kind`."""
    return importlib.import_module(KINDS[name])
