"""A speedrun: one recipe for all, and nothing that belongs to its time is done before."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.training import run, speedrun, worker
from samegrad.benchmarks.training.data import datasets
from samegrad.benchmarks.training.data.datasets import Fold
from samegrad.benchmarks.training.recipe import Recipe
from samegrad.benchmarks.training.tasks import TASKS
from samegrad.cli import main
from samegrad.implementations.checking import comparison
from samegrad.implementations.contract import registry
from tests.helpers.shared_data import data_dir, fold_of

NAMES = ("speedrun_97", "speedrun_98")
TASK = TASKS["speedrun_97"]
STEPS = 25


def recipe(**changes: Any) -> Recipe:
    """That of the task, in float64 and short."""
    return replace(TASK.recipe.in_dtype("float64"), updates=STEPS, **changes)


@pytest.fixture
def fold() -> Fold:
    """A few hundred images of noise, one label each; more steps than batches of them."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (900, 784), np.uint8), rng.integers(0, 10, 900)
    rows = np.arange(900)
    shift, scale = np.array([33.0]), np.array([255.0])
    return Fold(X, y, rows[:700], rows[700:800], rows[800:], shift, scale, 900)


def test_pooled_pixels_are_means_of_four(fold: Fold) -> None:
    """Less the mean of all, by their deviation; without pooling every pixel."""
    rows = np.array([3, 1])
    squares = (fold.X[rows].reshape(2, 14, 2, 14, 2).mean(axis=(2, 4)) - 33) / 255

    pooled = speedrun.normalised(recipe(), fold, rows)
    whole = speedrun.normalised(recipe(pooled=False), fold, rows)

    assert np.allclose(squares.reshape(2, 196), pooled, rtol=1e-13)
    assert np.allclose((fold.X[rows] - 33.0) / 255, whole, rtol=1e-13)


@pytest.mark.parametrize("name", ["numpy_inplace", "torch", "jax", "c"])
def test_losses_of_all_idioms_agree_in_float64(name: str, fold: Fold) -> None:
    """Step by step with NumPy's: the same weights, batches and rates."""
    if why := registry.why_not_installed(name):
        pytest.skip(why)
    expected = speedrun.run(registry.load("numpy"), recipe(), fold, 1)

    losses = speedrun.run(registry.load(name), recipe(), fold, 1).losses

    assert STEPS == len(losses) and expected.losses[0] > 2
    assert np.abs(losses - expected.losses).max() < 1e-9
    other = speedrun.run(registry.load("numpy"), recipe(), fold, 2)
    assert np.abs(other.losses - expected.losses).max() > 1e-3


def test_first_call_is_within_the_time_and_the_gate_after_it(
    fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the gate calls would have been compiled before."""
    order: list[str] = []

    def noted(module: Any, name: str) -> None:
        real = getattr(module, name)

        def call(*arguments: Any) -> Any:
            order.append(name)
            return real(*arguments)

        monkeypatch.setattr(module, name, call)

    noted(speedrun, "run")
    noted(worker, "gate")

    made = worker._speedrun(registry.load("numpy"), TASK, recipe(), fold, 0, "cpu")

    assert ["run", "gate"] == order
    assert ("ok", 100) == (made["status"], made["training"]["test_examples"])
    assert made["elapsed_ns"] == [made["training"]["speedrun_ns"]]
    assert made["training"]["to_target_ns"] is None  # of noise nothing is learned


def test_speedrun_of_a_wrong_gradient_has_no_time(
    fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it may have learned."""
    wrong = SimpleNamespace(agrees=False, nothing_said=False, reason="dW1 disagrees")
    monkeypatch.setattr(comparison, "judge", lambda *a, **k: wrong)

    made = worker._speedrun(registry.load("numpy"), TASK, recipe(), fold, 0, "cpu")

    assert {"status": "wrong", "reason": "dW1 disagrees"} == made


def test_ten_seeds_unless_others_are_asked_for_or_trained_beside() -> None:
    """Median and worst of ten."""
    assert 10 == run.parse(",".join(NAMES), None, None, None).seeds
    assert 5 == run.parse("speedrun,digits", None, None, None).seeds
    assert 3 == run.parse("speedrun", "3", None, None).seeds
    assert NAMES == run.parse("speedrun", None, None, None).tasks


@pytest.mark.parametrize("option", [("--epochs", "3"), ("--save", "w.npz")])
def test_options_that_a_speedrun_has_not_are_refused(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In a line, the option first."""
    folder = str(data_dir("mnist"))
    assert 2 == main(["train", "speedrun_97", "--data-dir", folder, *option])
    assert option[0] in capsys.readouterr().err


def test_report_has_median_and_worst_of_its_seeds() -> None:
    """Of time and of test metric, and how many have reached the target."""
    pytest.importorskip("pandas")
    from samegrad.reports.document.learning import speedruns
    from samegrad.reports.document.summary import learned

    def seed(ns: int, test: float) -> dict[str, Any]:
        of_task = {"test": test, "metric": "accuracy", "target": 0.97}
        return {"speedrun_ns": ns, "to_target_ns": ns, **of_task}

    case = SimpleNamespace(
        implementation="c", device="cpu", workload=SimpleNamespace(name="speedrun_97")
    )
    seeds = [seed(60_000_000, 0.972), seed(90_000_000, 0.969), seed(50_000_000, 0.974)]
    rows = [("here", SimpleNamespace(case=case, training=seeds))]
    shown: Any = SimpleNamespace(trained=rows, too_busy=())

    (line,) = speedruns(shown).to_dict("records")

    assert ("60.0 ms", "90.0 ms") == (line["time, median"], line["time, worst"])
    assert ("97.20 %", "96.90 %") == (line["test, median"], line["test, worst"])
    assert "2 of 3" == line["reached"]
    (said,) = map(str, learned(shown))
    assert "from raw bytes to weights: c cpu 60.0 ms" in said and "validation" not in said


@pytest.mark.full  # half a minute each, where nothing else computes
@pytest.mark.parametrize("name", NAMES)
def test_losses_of_all_idioms_agree_through_a_whole_speedrun(name: str) -> None:
    """In float64, over every step on MNIST: rounding does not add up (1.7e-15 was seen)."""
    whole = TASKS[name].recipe.in_dtype("float64")
    data = datasets.refitted(fold_of(name))
    idioms = [n for n in ("numpy", "torch", "jax", "c") if not registry.why_not_installed(n)]

    losses = {n: speedrun.run(registry.load(n), whole, data, 1).losses for n in idioms}

    assert {len(one) for one in losses.values()} == {whole.updates}
    off = {n: np.abs(one - losses["numpy"]).max() for n, one in losses.items()}
    assert max(off.values()) < 1e-12, off


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_recipe_reaches_its_target(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On the test data of MNIST, in any idiom: the losses are the same."""
    folder = str(data_dir("mnist"))
    assert 0 == main(["train", name, "--implementation", "numpy_inplace", "--data-dir", folder])
    said = capsys.readouterr().out

    reached = float(said.partition("test accuracy ")[2].partition(" ")[0])
    assert reached >= 100 * (TASKS[name].recipe.target or 1)
