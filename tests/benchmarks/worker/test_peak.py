"""What the cores can do at most."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.worker import peak
from samegrad.implementations.contract.registry import why_not_installed

CACHES = {"L1": 2**14, "L2": 2**18, "L3": 2**22}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """As little as shows something."""
    monkeypatch.setattr(peak, "BLOCKS", 4)
    monkeypatch.setattr(peak, "MEMORY_BYTES", 2**22)
    monkeypatch.setattr(peak, "SWEPT_BYTES", 2**22)


def no_compiler(*_):
    """In the place of what compiles C."""
    raise NotImplementedError("no C compiler")


def answers(caches=CACHES):
    """What is answered for float32."""
    said: list[dict[str, Any]] = []
    peak.answer({"dtypes": ["float32"], "caches": caches}, said.append)
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


@pytest.mark.skipif(why_not_installed("c") is not None, reason="there is no C compiler")
def test_in_c_cores_caches_and_calls_have_rates_that_can_be():
    """Neither of a clock that stands nor of a loop that was left out."""
    found = {a["ceiling"]["quantity"]: a["ceiling"]["value"] for a in answers()}

    caches = [f"bandwidth {name}" for name in CACHES]
    assert ["call", "peak", *caches, "bandwidth"] == [*found]
    assert 1e-9 < found["call"] < 1e-4
    assert 1e8 < found["peak"] < 1e14
    assert all(1e7 < found[name] < 1e14 for name in [*caches, "bandwidth"])
    assert ["call", "peak", "bandwidth"] == [a["ceiling"]["quantity"] for a in answers({})]


def test_rate_is_one_of_a_core_that_computes(monkeypatch):
    """With Numba where there is no C compiler."""
    pytest.importorskip("numba")
    monkeypatch.setattr(peak, "library", no_compiler)
    _, said = answers()

    assert {"quantity": "peak", "arithmetic": "float32"}.items() <= said["ceiling"].items()
    assert 1e8 < said["ceiling"]["value"] < 1e14


def test_without_compilers_calls_are_measured_alone(monkeypatch):
    """The best product of any library stands in."""
    monkeypatch.setattr(peak, "library", no_compiler)
    monkeypatch.setitem(__import__("sys").modules, "numba", None)

    assert [["ceiling"], ["missing"]] == [[*answer] for answer in answers()]


def test_rate_counts_every_thread(monkeypatch):
    """Each has numbers of its own."""
    seen = []
    monkeypatch.setattr(system, "cores", lambda: 3)
    block = SimpleNamespace(elapsed_ns=1_000_000)
    monkeypatch.setattr(timer, "block", lambda work, _: work.run(1, None) and block)

    rate = peak.rate(lambda x, *_: seen.append(id(x)), "float64")

    assert 3 == len(set(seen)) and 3e3 * peak.REPEATS * peak.NUMBERS * peak.OPERATIONS == rate
