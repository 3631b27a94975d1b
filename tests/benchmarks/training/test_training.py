"""The training loop, its schedules, metrics, parity, gate and weights."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.training import loop, recipe, worker
from samegrad.benchmarks.training import weights as weights_file
from samegrad.benchmarks.training.data import datasets
from samegrad.benchmarks.training.loop import Examples, train
from samegrad.benchmarks.training.recipe import Recipe
from samegrad.benchmarks.training.tasks import PARITY, TASKS
from samegrad.benchmarks.training.worker import gate, parity_losses
from samegrad.implementations.checking.comparison import compare
from samegrad.implementations.contract import initializers
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.registry import load, names
from samegrad.implementations.contract.spec import MLPSpec, Optimizer
from tests.helpers.shared_data import fold_of

SPEC = MLPSpec((3, 4, 2), optimizer="adam", dtype="float64")
RECIPE = Recipe(SPEC, 3, 4, 0.01)


def part(count: int = 10, seed: int = 0) -> Examples:
    """Some examples of three features and two classes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 3))
    return Examples(X, (X[:, 0] > 0).astype(np.int64))


class Recorder:
    """An implementation that notes what it is given."""

    def __init__(self, **changes: Any) -> None:
        self.numpy = load("numpy")
        self.batches: list[Any] = []
        self.rates: list[float] = []
        self.masks: list[Any] = []
        self.changes = changes

    def __getattr__(self, name: str) -> Any:
        if name == "capabilities":  # none: no `take`
            return Capabilities()
        return self.changes.get(name) or getattr(self.numpy, name)

    def train_step(self, *arguments: Any) -> Any:
        """Note batch, rate and masks, and take the step."""
        spec, params, state, X, y, rate, masks = arguments
        self.batches.append(np.array(X))
        self.rates.append(rate)
        self.masks.append(masks)
        return self.numpy.train_step(spec, params, state, X, y, rate, masks)


def test_masks_are_drawn_and_placed_outside_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """In as many parts as the memory for them asks for, which change nothing."""
    recipe = replace(RECIPE, spec=replace(SPEC, dropout=0.5), schedule="cosine")
    timed, drawn, inside = timer.timed, initializers.draw_masks, list[bool]()

    def noted(*arguments: Any) -> Any:
        inside.append(True)
        result = timed(*arguments)
        inside.clear()
        return result

    def outside(*arguments: Any) -> Any:
        assert not inside
        return drawn(*arguments)

    monkeypatch.setattr(timer, "timed", noted)
    monkeypatch.setattr(loop, "draw_masks", outside)
    made = []
    for most in (loop.MASK_BYTES, 1):
        monkeypatch.setattr(loop, "MASK_BYTES", most)
        recorder = Recorder()
        trained = train(recorder, recipe, part(), None, 0)
        masks = [mask.tolist() for masks in recorder.masks for mask in masks]
        losses = [epoch.losses.tolist() for epoch in trained.epochs]
        made.append((trained.params[0][0].tolist(), masks, recorder.rates, losses))

    assert made[0] == made[1] and 9 == len(made[0][2])


def test_each_epoch_sees_every_example_once_in_a_new_order_and_the_last_batch_is_smaller() -> None:
    """Ten examples in batches of four."""
    seen, data = Recorder(), part()

    train(seen, RECIPE, data, None, seed=0)

    assert [4, 4, 2] * 3 == [len(batch) for batch in seen.batches]
    epochs = [np.vstack(seen.batches[i : i + 3]) for i in (0, 3, 6)]
    for epoch in epochs:
        assert sorted(map(tuple, data.X)) == sorted(map(tuple, epoch))
    assert not np.array_equal(epochs[0], epochs[1])


def test_same_seed_gives_the_same_training_and_another_one_another() -> None:
    """Order, weights and masks come from the seed alone."""
    spec = replace(SPEC, dropout=0.5)
    runs = [Recorder(), Recorder(), Recorder()]
    trainings = [
        train(run, replace(RECIPE, spec=spec), part(), None, seed)
        for run, seed in zip(runs, (0, 0, 1), strict=True)
    ]

    losses = [np.concatenate([epoch.losses for epoch in made.epochs]) for made in trainings]
    assert np.array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])
    assert all(
        np.array_equal(a[0], b[0]) for a, b in zip(runs[0].masks, runs[1].masks, strict=True)
    )


def test_implementations_with_and_without_take_get_the_same_batches() -> None:
    """`take` is a shorter way, not another one."""
    without = train(Recorder(), RECIPE, part(), None, seed=3)
    with_take = train(load("numpy"), RECIPE, part(), None, seed=3)

    assert np.array_equal(without.epochs[-1].losses, with_take.epochs[-1].losses)


def test_rate_follows_the_schedule_over_all_steps() -> None:
    """Nine steps of one cycle."""
    seen = Recorder()

    train(seen, replace(RECIPE, schedule="one_cycle"), part(), None, seed=0)

    assert [recipe.one_cycle(0.01, 9, step) for step in range(9)] == seen.rates
    assert all(type(rate) is float for rate in seen.rates)


def test_schedules_begin_and_end_where_they_should() -> None:
    """Constant; half a cosine; up to the maximum and down to almost nothing, as torch does."""
    steps = 100
    constant, cosine, cycle = (
        [rule(2.0, steps, step) for step in range(steps)]
        for rule in (recipe.constant, recipe.cosine, recipe.one_cycle)
    )

    assert {2.0} == set(constant)
    assert cosine[0] == 2.0 and cosine[50] == pytest.approx(1.0) and 0 < cosine[-1] < 0.001
    assert cycle[0] == pytest.approx(2.0 / 25)
    assert 29 == int(np.argmax(cycle)) and max(cycle) == pytest.approx(2.0)
    assert cycle[-1] == pytest.approx(2.0 / 25e4)
    assert recipe.one_cycle(0.5, 1, 0) == pytest.approx(0.5 / 25)


def test_one_cycle_is_that_of_torch() -> None:
    """`OneCycleLR` with its defaults and cosine annealing."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, total_steps=50, cycle_momentum=False
    )
    expected = []
    for _ in range(50):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step() if len(expected) < 50 else None

    ours = [recipe.one_cycle(0.3, 50, step) for step in range(50)]

    assert expected == pytest.approx(ours, rel=1e-9)


def test_divergence_is_reported_with_its_step_and_ends_the_training() -> None:
    """The fifth step's loss is not a number: second step of the second epoch."""
    seen = Recorder()
    steps = iter(range(1, 100))

    def train_step(*arguments: Any) -> Any:
        params, state, loss = seen.numpy.train_step(*arguments)
        return params, state, math.nan if next(steps) == 5 else loss

    made = train(Recorder(), RECIPE, part(), None, 0)
    assert made.diverged is None
    seen.train_step = train_step  # type: ignore[method-assign] # a fault
    made = train(seen, RECIPE, part(), part(5, 1), 0)

    assert 5 == made.diverged
    assert 2 == len(made.epochs)
    assert made.epochs[-1].validation is None


def test_time_to_target_counts_until_the_first_epoch_that_reaches_it() -> None:
    """Placing, steps and validation; nothing afterwards; None if it is never reached."""
    made = loop.Trained([], placing_ns=5)
    for value in (0.5, 0.9, 0.95):
        made.epochs.append(loop.Epoch(np.zeros(1), 100, None, value, 0.0, 10))

    def at(target: float | None, metric: str = "accuracy") -> int | None:
        return made.to_target_ns(replace(RECIPE, target=target, metric=metric))

    assert 5 + 2 * 110 == at(0.9)
    assert at(0.99) is None and at(None) is None
    assert 5 + 110 == at(0.6, "rmse")  # smaller is better


def test_metrics_of_known_outputs() -> None:
    """Classes by the largest output or the middle of a single one; R² and RMSE."""
    three = MLPSpec((1, 3))
    single = MLPSpec((1, 1), loss="binary_cross_entropy")
    values = MLPSpec((1, 1), loss="mse")
    y = np.array([[1.0], [3.0]])

    assert recipe.accuracy(three, np.eye(3), np.array([0, 1, 0])) == pytest.approx(2 / 3)
    assert recipe.accuracy(single, np.array([[-1.0], [2.0]]), np.array([[0.0], [1.0]])) == 1.0
    assert recipe.r2(values, np.array([[1.0], [3.0]]), y) == 1.0
    assert recipe.r2(values, np.array([[2.0], [2.0]]), y) == 0.0
    assert recipe.rmse(values, np.array([[2.0], [2.0]]), y) == 1.0


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "mse"])
def test_loss_from_outputs_is_the_loss_of_the_network(loss: Any) -> None:
    """L1, from outputs that are there already."""
    spec = MLPSpec((3, 4, 2), loss=loss, dtype="float64")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(7, 3)), rng.integers(0, 2, 7)
    targets = y if loss == "cross_entropy" else np.eye(2)[y]
    numpy = load("numpy")
    params = numpy.params_from_numpy(spec, init_params(spec, 0), "cpu")
    batch = numpy.batch_from_numpy(spec, X, targets, "cpu")

    outputs = numpy.forward(spec, params, batch[0])

    assert loop.mean_loss(spec, outputs, targets) == pytest.approx(
        float(numpy.loss(spec, params, *batch)), rel=1e-12
    )


def test_evaluation_pads_the_last_batch_and_gives_every_output_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seven examples in batches of three."""
    monkeypatch.setattr(loop, "EVALUATION_BATCH", 3)
    numpy, data = load("numpy"), part(7)
    params = numpy.params_from_numpy(SPEC, init_params(SPEC, 0), "cpu")

    evaluated = loop.Evaluation(numpy, SPEC, data, "cpu").outputs(params)

    assert np.allclose(numpy.forward(SPEC, params, data.X), evaluated, rtol=1e-14)


# Each takes seconds: every rule on the smallest task, two on the others; the rest are `full`.
CURVES = [
    pytest.param(
        task,
        optimizer,
        marks=[] if task == "xor" or optimizer in ("sgd", "adam") else [pytest.mark.full],
        id=f"{task}-{optimizer}",
    )
    for task in PARITY
    for optimizer in get_args(Optimizer)
]


@pytest.mark.parametrize(("task", "optimizer"), CURVES)
def test_all_implementations_follow_one_loss_curve(task: str, optimizer: Optimizer) -> None:
    """float64, 200 steps, within 1e-8."""
    fold = fold_of(task)
    curves = {}
    for name in names():
        try:
            curves[name] = np.array(parity_losses(load(name), task, fold, optimizer))
        except ImportError:
            continue

    reference = curves["numpy"]
    assert len(curves) > 1 and 200 == len(reference)
    assert reference[-20:].mean() < reference[:20].mean()
    for name, curve in curves.items():
        assert np.abs(curve - reference).max() <= 1e-8, name


def test_parity_notices_a_rate_that_differs_by_a_millionth() -> None:
    """The check can fail."""
    fold, numpy = fold_of("digits"), load("numpy")

    class Other:
        def __getattr__(self, name: str) -> Any:
            return getattr(numpy, name)

        def train_step(
            self, spec: Any, params: Any, state: Any, X: Any, y: Any, rate: float
        ) -> Any:
            return numpy.train_step(spec, params, state, X, y, rate * (1 + 1e-6))

    right = np.array(parity_losses(numpy, "digits", fold, "sgd"))
    other: Any = Other()
    wrong = np.array(parity_losses(other, "digits", fold, "sgd"))

    assert np.abs(right - wrong).max() > 1e-8


@pytest.mark.full  # the curves, above, agree step by step
def test_final_accuracies_agree_within_the_spread_over_seeds() -> None:
    """float32, digits: the same weights and batches end at the same accuracy, or almost."""
    task = TASKS["digits"]
    fold = fold_of("digits")
    training, test = (fold.examples(rows, "float32") for rows in (fold.training, fold.test))
    accuracies: dict[str, list[float]] = {}
    for name in ("numpy", "torch", "jax"):
        try:
            implementation = load(name)
        except ImportError:
            continue
        for seed in range(3):
            made = train(implementation, replace(task.recipe, epochs=20), training, None, seed)
            spec = task.recipe.spec
            params = implementation.params_from_numpy(spec, made.params, "cpu")
            outputs = loop.Evaluation(implementation, spec, test, "cpu").outputs(params)
            accuracies.setdefault(name, []).append(recipe.accuracy(spec, outputs, test.y))

    values = np.array(list(accuracies.values()))
    spread = np.ptp(values.mean(axis=0))
    assert np.ptp(values.mean(axis=1)) <= max(spread, 1 / len(test))
    assert values.min() > 0.85


@pytest.mark.parametrize("name", names())
def test_gate_passes_what_is_right_and_refuses_a_gradient_wrong_by_a_thousandth(name: str) -> None:
    """With dropout, on the task's own data, before anything is trained."""
    try:
        implementation = load(name)
    except ImportError as error:
        pytest.skip(str(error))
    recipe = TASKS["digits"].recipe.in_dtype(implementation.dtypes[-1])
    fold = fold_of("digits")

    class Wrong:
        def __getattr__(self, attribute: str) -> Any:
            return getattr(implementation, attribute)

        def loss_and_grad(self, *arguments: Any) -> Any:
            loss, grads = implementation.loss_and_grad(*arguments)
            grads = [
                (W * 1.001 if not isinstance(W, list) else [[1.001 * w for w in r] for r in W], b)
                for W, b in grads
            ]
            return loss, grads

    assert gate(implementation, recipe, fold, 0, "cpu").agrees
    assert "dW1: error" in gate(Wrong(), recipe, fold, 0, "cpu").reason


@pytest.mark.parametrize("name", ["scalar", "jax"])
def test_weights_of_one_implementation_are_evaluated_by_another(name: str, tmp_path: Path) -> None:
    """The file holds plain arrays, and is read without unpickling anything."""
    task = TASKS["xor"]
    made = train(
        load("numpy"), task.recipe, *(fold_of("xor").examples(np.arange(4), "float32"), None), 0
    )
    path = tmp_path / "xor.weights"
    weights_file.save_weights(path, task.recipe.spec, made.params, {"task": "xor"})

    spec, params, about = weights_file.load_weights(path)
    other = load(name)
    in_its_dtype = replace(spec, dtype=other.dtypes[-1])
    placed = other.params_from_numpy(in_its_dtype, params, "cpu")
    data = fold_of("xor").examples(np.arange(4), in_its_dtype.dtype)
    outputs = loop.Evaluation(other, in_its_dtype, data, "cpu").outputs(placed)

    assert recipe.accuracy(spec, outputs, data.y) == 1.0
    assert task.recipe.spec == spec and "xor" == about["task"]
    assert all(
        np.array_equal(a, b)
        for one, other in zip(made.params, params, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_files_that_hold_no_weights_are_refused(tmp_path: Path) -> None:
    """Missing, broken, of something else, or not fitting their own spec: one line each."""
    path = tmp_path / "w.npz"
    with pytest.raises(weights_file.WeightsError, match="no such file"):
        weights_file.load_weights(path)
    path.write_text("no zip")
    with pytest.raises(weights_file.WeightsError, match="no weights that `train --save` wrote"):
        weights_file.load_weights(path)
    np.savez(path, W1=np.zeros((2, 2)))
    with pytest.raises(weights_file.WeightsError, match="no weights that `train --save` wrote"):
        weights_file.load_weights(path)
    weights_file.save_weights(path, MLPSpec((2, 3)), [(np.zeros((2, 2)), np.zeros(3))], {})
    with pytest.raises(weights_file.WeightsError, match=r"W1: shape \(2, 2\), expected \(2, 3\)"):
        weights_file.load_weights(path)
    objects: Any = np.array([{"a": 1}], dtype=object)
    np.savez(path, description=objects)
    with pytest.raises(weights_file.WeightsError, match="Object arrays cannot be loaded"):
        weights_file.load_weights(path)


@pytest.mark.parametrize(("value", "status"), [(np.nan, "unavailable"), (1.0, "wrong")])
def test_reference_that_is_not_finite_fails_no_training(
    value: float, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be said, so there is no row; where something differs, it is wrong."""
    verdict = compare(np.array([value]), np.array([2.0]), "float64", name="dW1")
    monkeypatch.setattr(worker, "gate", lambda *_: verdict)
    monkeypatch.setattr(datasets, "read", lambda _: [None])
    request = {
        "task": "digits", "implementation": "numpy", "dtype": "float64", "device": "cpu",
        "seed": 0, "directory": "nowhere", "pictures": False,
    }  # fmt: skip

    assert status == worker._outcome(request, lambda _: None)["status"]
