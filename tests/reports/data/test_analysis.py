"""What follows from rows: verdicts, break-even, crossovers, comparisons; each with its doubt."""

import math
from typing import Any

import pandas as pd
import pytest

from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data import analysis

TIGHT = (0.999, 1.0, 1.001, 0.9995, 1.0005)
WIDE = (0.5, 1.0, 2.0, 0.7, 1.4)


def row(implementation: str, seconds: float, spread: Any = TIGHT, **changes: Any) -> dict[str, Any]:
    """A row of a training step."""
    return {
        "source": "here",
        "workload": "mnist",
        "series": "",
        "series_value": math.nan,
        "layers": "784-128-10",
        "operation": "train_step",
        "batch_size": 32,
        "dtype": "float32",
        "threads": "all",
        "ranks": 1,
        "implementation": implementation,
        "device": "cpu",
        "transfer": "resident",
        "status": OK,
        "seconds": seconds,
        "first_call_seconds": seconds,
        "compile_seconds": math.nan,
        "process_medians": [seconds * factor for factor in spread],
    } | changes


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    """Rows as a table."""
    return pd.DataFrame.from_records(list(rows))


def test_verdicts_are_against_numpy_in_the_same_case() -> None:
    """Not in another thread regime or precision."""
    verdicts = analysis.verdicts(
        frame(
            row("numpy", 1e-3),
            row("jax", 5e-4),
            row("torch", 2e-3),
            row("graph", 1.01e-3),
            row("flax", 1e-3, WIDE),
            row("jax", 1e-5, threads="1"),
            row("jax", 1e-5, dtype="tf32"),
        )
    )

    assert {"jax": "FASTER", "torch": "SLOWER", "graph": "SAME", "flax": "CAN'T TELL"} == dict(
        zip(verdicts.implementation, verdicts.verdict, strict=True)
    )


@pytest.mark.parametrize(
    ("compiled", "eager", "answer"),
    [
        ((1e-4, TIGHT, 0.5), (2e-4, TIGHT), "after 4,9"),  # 0.5 s over 0.1 ms: 5,000 steps
        ((3e-4, TIGHT, 0.5), (2e-4, TIGHT), "never: numpy is faster in every step"),
        ((2e-4, WIDE, 0.5), (2e-4, TIGHT), "not determined: the intervals overlap"),
        ((2e-4, TIGHT[:4], 0.5), (2e-4, TIGHT), "not determined: fewer than 5 processes"),
        ((1e-4, TIGHT, 1e-4), (2e-4, TIGHT), "from the first step"),
    ],
)
def test_compilation_pays_after_so_many_steps(compiled: Any, eager: Any, answer: str) -> None:
    """Or never, or nobody can say."""
    seconds, spread, first = compiled
    jax = row("jax", seconds, spread, first_call_seconds=first, compile_seconds=0.9 * first)

    (line,) = analysis.break_even(frame(jax, row("numpy", *eager))).itertuples()

    assert line.answer.startswith(answer)
    if answer.startswith("after"):
        assert 4950 <= line.steps <= 5050


def sweep(name: str, times: dict[int, float], spread: Any = TIGHT, **changes: Any) -> Any:
    """Rows over batch sizes."""
    return [row(name, t, spread, batch_size=b, **changes) for b, t in times.items()]


@pytest.mark.parametrize(
    ("first", "second", "spread", "answer"),
    [
        ({1: 1, 8: 2, 64: 9}, {1: 3, 8: 3, 64: 3}, TIGHT, "torch cpu overtakes between 8 and 64"),
        (
            {1: 1, 8: 2, 64: 3},
            {1: 3, 8: 4, 64: 5},
            TIGHT,
            "numpy cpu is faster at every size from 1 to 64",
        ),
        (
            {1: 1, 8: 2, 64: 3},
            {1: 3, 8: 2, 64: 5},
            TIGHT,
            "numpy cpu is faster at 1, 64; in doubt at 8",
        ),
        (
            {1: 1, 8: 2, 64: 9},
            {1: 1, 8: 2, 64: 9},
            WIDE,
            "not determined: the intervals overlap",
        ),
        (
            {1: 1, 8: 5, 64: 1},
            {1: 3, 8: 3, 64: 3},
            TIGHT,
            "torch cpu overtakes between 1 and 8, then numpy cpu overtakes between 8 and 64",
        ),
        ({1: 1, 8: 2, 64: 9}, {1: 3, 8: 2, 64: 3}, TIGHT, "torch cpu overtakes between 1 and 64"),
        (
            {1: 1, 8: 2, 64: 9},
            {1: 3, 8: 3, 64: 3},
            TIGHT[:3],
            "not determined: fewer than 5 processes",
        ),
    ],
)
def test_crossover_is_an_interval_of_sizes(
    first: Any, second: Any, spread: Any, answer: str
) -> None:
    """Between the last size at which one is certainly faster and the first of the other."""
    rows = frame(*sweep("numpy", first, spread), *sweep("torch", second, spread))

    (line,) = analysis.crossovers(rows).itertuples()

    assert ("batch size", "784-128-10", answer) == (line.against, line.network, line.answer)


def test_gpu_is_compared_as_it_is_used() -> None:
    """End to end, against a CPU of any machine."""
    rows = frame(
        *sweep("jax", {1: 1, 8: 2, 64: 9}, source="laptop"),
        *sweep("jax", {1: 3, 8: 3, 64: 3}, device="cuda", transfer="end_to_end", source="server"),
        *sweep("jax", {1: 0.1, 8: 0.1, 64: 0.1}, device="cuda", source="server"),
    )

    (line,) = analysis.crossovers(rows).itertuples()

    assert "jax cuda (server) overtakes between 8 and 64" == line.answer


def test_two_sizes_are_no_series() -> None:
    """Nothing is said of them."""
    rows = frame(*sweep("numpy", {1: 1, 8: 2}), *sweep("torch", {1: 3, 8: 1}))

    assert analysis.crossovers(rows).empty
