"""What the cores can do at most."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.worker import peak


def answers():
    """What is answered for float32."""
    said: list[dict[str, Any]] = []
    peak.answer({"dtypes": ["float32"]}, said.append)
    return said


def test_loop_does_what_is_counted():
    """By hand, for one number: 4 chains of 8 steps each."""
    x = np.array([0.5])
    peak.multiply_adds(x, 0.25, 0.125, 1)

    limit = 0.125 / 0.75
    assert sum(limit + 0.25**8 * (start - limit) for start in (0.5, 0.625, 0.75, 0.875)) == (
        pytest.approx(x[0], rel=1e-14)
    )
    assert 4 * 8 * 2 == peak.OPERATIONS


def test_numbers_stay_such_that_no_operation_is_slow():
    """Neither 0 nor infinite nor subnormal, however often."""
    x = np.full(3, 0.5, np.float32)
    peak.multiply_adds(x, np.float32(0.5), np.float32(0.5), 50)

    assert ((x > 0.5) & (x < 8)).all()


def test_rate_is_one_of_a_core_that_computes():
    """Neither of a clock that stands nor of a loop that was left out."""
    pytest.importorskip("numba")
    (said,) = answers()

    assert {"quantity": "peak", "arithmetic": "float32"}.items() <= said["ceiling"].items()
    assert 1e8 < said["ceiling"]["value"] < 1e14


def test_without_numba_nothing_is_measured(monkeypatch):
    """The best product of any library stands in."""
    monkeypatch.setitem(__import__("sys").modules, "numba", None)

    assert ["missing"] == [*answers()[0]]


def test_rate_counts_every_thread(monkeypatch):
    """Each has numbers of its own."""
    seen = []
    monkeypatch.setattr(system, "cores", lambda: 3)
    block = SimpleNamespace(elapsed_ns=1_000_000)
    monkeypatch.setattr(timer, "block", lambda work, _: work.run(1, None) and block)

    rate = peak.rate(lambda x, *_: seen.append(id(x)), "float64")

    assert 3 == len(set(seen)) and 3e3 * peak.REPEATS * peak.NUMBERS * peak.OPERATIONS == rate
