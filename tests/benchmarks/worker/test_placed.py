"""What belongs to the calls that are timed: conversions, buffers, work that is done ahead."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from samegrad.benchmarks.cases.draws import Draw, most_calls
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock import threads
from samegrad.benchmarks.clock.calls import Several
from samegrad.benchmarks.judge.inputs import draw
from samegrad.benchmarks.worker import placed as module
from samegrad.benchmarks.worker.placed import Placed
from samegrad.implementations.backends.numpy_backend import NumpyBackend
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec

WORKLOAD = MLPWorkload("random", MLPSpec((7, 5, 3)), 4, 16)
INPUTS = draw(WORKLOAD, 0)
MODEL = load("numpy").model


class Noted(NumpyBackend):
    """A backend of somebody's own, which writes down what it is asked for."""

    def __init__(self):
        self.done = []

    def place_params(self, spec, params, device):
        """A copy."""
        self.done.append("placed")
        return super().place_params(spec, params, device)

    def synchronize(self, tree):
        """Nothing to wait for."""
        self.done.append("waited")


def placed(backend=None, **functions):
    """A network of NumPy, with other functions."""
    names = {name: getattr(MODEL, name) for name in ("forward", "loss", "loss_and_grad",
                                                     "init_state", "train_step")}  # fmt: skip
    model = SimpleNamespace(**{**names, **functions}, BACKEND=backend or MODEL.BACKEND)
    return Placed(WORKLOAD, Implementation(model, "own"), "cpu", INPUTS)


def test_results_of_known_types_are_left_as_they_are():
    """And what else becomes of them is seen at once."""
    ours = placed()

    assert "" == ours.look("forward", np.ones((4, 3), np.float32))
    assert not ours.converts


class Late:
    """Something like an array."""

    def __array__(self, dtype=None, copy=None):
        return np.ones((4, 3), np.float32)


class Other(NumpyBackend):
    """It makes something else of what it fetches."""

    def fetch(self, tree):
        """Twice as much."""
        return 2 * super().fetch(tree)


class Filling(NumpyBackend):
    """It fills the arrays that it fetches."""

    def fetch(self, tree):
        """With ones."""
        tree[:] = 1
        return super().fetch(tree)


@pytest.mark.parametrize(
    ("backend", "result"),
    [(None, Late()), (Other(), np.ones((4, 3), np.float32))],
)
def test_results_that_may_compute_are_converted_inside_the_clock(backend, result):
    """By their type, or because other numbers come out."""
    own = placed(backend, forward=lambda *_: result)

    assert "" == own.look("forward", result) and {"forward"} == own.converts
    work = own.work("forward")
    assert isinstance(work.run(1, work.start(1)).last[0], np.ndarray)


def test_arrays_that_change_when_they_are_fetched_are_refused():
    """They were not there when the call returned."""
    reason = placed(Filling()).look("forward", np.zeros((4, 3), np.float32))

    assert "change when they are converted" in reason


@pytest.mark.parametrize(
    ("kept", "expected"),
    [("same", True), ("view", True), ("other", False), ("tuples", True), ("one", False)],
)
def test_results_that_share_their_memory_are_noted(kept, expected):
    """Then the last one is looked at, and each is waited for before the next begins."""
    buffer, ours = np.ones((4, 3), np.float32), placed()
    last = {
        "same": [buffer, buffer],
        "view": [buffer, buffer.T],
        "other": [buffer, buffer.copy()],
        "tuples": [(1.0, [(buffer.copy(), buffer)]), (1.0, [(buffer.copy(), buffer)])],
        "one": [buffer],
    }[kept]

    assert expected is ours.overwritten("forward", Several(last, 0))
    assert ({"forward"} if expected else set()) == ours.overwrites
    assert not ours.overwritten("forward", Several(last, 0))  # once is enough
    if expected:
        assert 1 == ours._one("forward", Several(last, 0))[0]


def test_one_of_the_calls_before_is_in_the_same_memory():
    """Of five buffers in turn, more than one is kept."""
    buffers = [np.ones((4, 3), np.float32) for _ in range(5)]

    assert placed().overwritten("forward", Several(buffers, 5, (2, buffers[2])))
    assert not placed().overwritten("forward", Several(buffers[:2], 5, (2, buffers[2])))


def test_ring_of_buffers_that_comes_round_later_is_noted():
    """None of the last is in the memory of the one before; a few calls later one is."""
    buffers = [np.ones((4, 3), np.float32) for _ in range(5)]
    ring = itertools.cycle(buffers)
    ours = placed(forward=lambda *_: next(ring))

    assert ours.overwritten("forward", Several(buffers[:2], 90, (7, buffers[2])))


@pytest.mark.parametrize(("backend", "waits"), [(None, 1), (Noted(), 5)])
def test_calls_are_not_made_together_where_the_backend_is_somebodys_own(backend, waits):
    """Each is waited for; those of ours may wait together."""
    own = placed(backend)
    work = own.work("forward")
    start = work.start(5)
    waited: list[object] = []
    own.implementation.synchronize = waited.append
    work = own.work("forward")
    result = work.run(5, start)
    work.synchronize(result)

    assert waits == len(waited)


def test_what_places_and_waits_is_ours_or_not():
    """By the module whose names it uses, whatever it says of itself."""
    own = Noted()
    foreign = NumpyBackend()
    vars(foreign)["synchronize"] = id

    assert (False, False) == (placed().own_placing, placed().own_waiting)
    assert (True, True) == (placed(own).own_placing, placed(own).own_waiting)
    assert (False, True) == (placed(foreign).own_placing, placed(foreign).own_waiting)
    assert not placed().own_state and placed(init_state=lambda *_: None).own_state


def counted(own, operation, spent, monkeypatch):
    """Start a block while which so much is computed; what `prepared` says of it."""
    ticks = iter([0] * (2 if operation in module.INDEPENDENT else 1))
    monkeypatch.setattr(threads, "cpu_time", lambda: next(ticks, spent))
    work = own.work(operation)
    work.start(1)
    return own.prepared(operation, [1_000_000])


@pytest.mark.parametrize("operation", ["forward", "loss_and_grad", "train_step", "epoch"])
def test_what_is_computed_while_weights_are_placed_belongs_to_the_calls(operation, monkeypatch):
    """Where it comes twice: placing is inside the clock then."""
    own = placed(Noted())
    done = own.implementation.backend.done

    assert not counted(own, operation, 90_000, monkeypatch)
    assert counted(own, operation, 300_000, monkeypatch)
    assert not own.prepares
    assert counted(own, operation, 300_000, monkeypatch)
    assert {operation} == own.prepares
    work = own.work(operation)
    done.clear()
    start = work.start(2)
    work.synchronize(start)
    assert [] == done
    work.run(2, start)
    assert "placed" == done[0]
    assert not own.prepared(operation, [1])


def test_once_is_an_accident(monkeypatch):
    """As a first call may be one."""
    own = placed(Noted())

    said = [counted(own, "forward", 1000 * us, monkeypatch) for us in (300, 10, 300, 10)]

    assert [True, False, True, False] == said and not own.prepares


def test_placing_by_ours_is_not_asked(monkeypatch):
    """It does nothing else."""
    assert not counted(placed(), "forward", 10**9, monkeypatch)


def test_block_has_no_more_calls_than_there_are_pairs():
    """And steps as many as they like."""
    ours = placed()
    pairs = most_calls(INPUTS.params, len(ours.host))

    assert pairs == ours.work("forward").most_calls
    assert 10**9 < ours.work("train_step").most_calls
    arguments = ours.work("loss_and_grad", draw=Draw(3)).start(pairs)
    assert pairs == len({(id(params), id(X)) for params, X, _ in arguments})


def test_blocks_that_are_timed_again_are_of_other_weights():
    """Somebody may remember those of before."""
    first, again = ({p.tobytes() for (p, _), *_ in (a[0] for a in start)}
                    for start in (placed().work("forward", draw=Draw(3, block=n)).start(9)
                                  for n in (0, 1)))  # fmt: skip

    assert not first & again
