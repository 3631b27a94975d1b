"""Training with another network, rule or rate, with a file that has only a gradient, and P1."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.judge.proofs import KEEPS, _with_hint
from samegrad.benchmarks.training import loop, one_task, supplied
from samegrad.benchmarks.training.data import datasets
from samegrad.benchmarks.training.data.simulated import chain
from samegrad.benchmarks.training.loop import Epoch, Trained
from samegrad.benchmarks.training.tasks import TASKS
from samegrad.cli import main
from samegrad.implementations import mlp_numpy
from samegrad.implementations.checking.comparison import Comparison, TensorCheck
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec, map_tree

ONLY = """
import numpy as np
import samegrad.implementations.mlp_numpy as ours

KEPT = []


def loss_and_grad(spec, params, X, y, masks=None):
    return ours.loss_and_grad(spec, params, X, y, masks)
"""


def said(task: str, name: str = "numpy", epochs: int = 2, **changes: object) -> list[str]:
    """The lines of a training."""
    lines: list[str] = []
    one_task.train(task, name, epochs=epochs, changes=changes, say=lines.append)
    return lines


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("name", ["numpy", "torch_nn", "jax"])
def test_first_layer_without_a_bias_is_trained_as_if_it_had_none(name: str, rule: Any) -> None:
    """b stays 0, and the losses are those of the same rule on a gradient without it."""
    pytest.importorskip(registry.TABLE[name].requires or "numpy")
    task = TASKS["discrete_mapping"]
    recipe = task.recipe.in_dtype("float64").changed({"optimizer": rule, "learning_rate": 0.1})
    recipe = replace(recipe, epochs=3, batch_size=64, initializer="torch")
    fold = datasets.make(task.data, None).folds[0]
    training = fold.examples(fold.training, "float64")
    ours = load("numpy")
    params, losses, spec = recipe.params(5), [], recipe.spec
    state, order = ours.init_state(spec, params), np.random.default_rng([5, 1])
    for _ in range(3):
        for rows in loop.batches(order.permutation(300), 64):
            X, y = training.X[rows], training.y[rows]
            loss, (first, *others) = ours.loss_and_grad(spec, params, X, y)
            losses.append(float(loss))
            grads = [(first[0], np.zeros(10)), *others]  # what a layer without a bias has of it
            params, state = mlp_numpy.update(spec, params, grads, state, 0.1)

    made = loop.train(load(name), recipe, training, None, 5)

    assert 0.0 == np.abs(made.params[0][1]).max() < np.abs(made.params[1][1]).max()
    np.testing.assert_allclose(np.concatenate([e.losses for e in made.epochs]), losses, rtol=1e-10)
    other = loop.train(load("numpy"), replace(recipe, first_bias=True), training, None, 5)
    assert abs(other.epochs[-1].losses[-1] - losses[-1]) > 1e-6


def test_softmax_regression_reaches_its_goal_from_every_seed() -> None:
    """That of the chain's own probabilities, which no other guess of the next token can beat."""
    task = TASKS["softmax_regression"]
    fold = datasets.make(task.data, None).folds[0]
    training, test = (fold.examples(rows, "float32") for rows in (fold.training, fold.test))
    best = chain().argmax(axis=1)[test.X.argmax(axis=1)] == test.y

    reached = set()
    for seed in range(3):
        made = loop.train(load("numpy"), task.recipe, training, test, seed)
        reached.add(made.epochs[-1].validation)

    assert {float(best.mean())} == reached
    assert f"{100 * best.mean():.2f} %" == task.goal.split(",")[0]


@pytest.mark.parametrize("rule", ["sgd", "adamw"])
def test_file_with_a_gradient_alone_trains_as_numpy_does(rule: str, tmp_path: Path) -> None:
    """By any rule, with dropout, and the outputs of the reference."""
    path = tmp_path / "only.py"
    path.write_text(ONLY)
    implementation, ours = load(path), load("numpy")
    spec = MLPSpec((3, 5, 2), "tanh", optimizer=rule, weight_decay=0.1, dtype="float64")
    params = init_params(spec)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4, 3)), np.array([0, 1, 1, 0])

    lines = supplied.complete(implementation)
    found = [map_tree(np.copy, params), implementation.init_state(spec, params)]
    right = [map_tree(np.copy, params), ours.init_state(spec, params)]
    for _ in range(3):
        *found, loss = implementation.train_step(spec, *found, X, y, 0.1)
        *right, expected = ours.train_step(spec, *right, X, y, 0.1)

    assert 2 == len(lines) and expected == loss
    for pair, other in zip(right[0], found[0], strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(pair, other, strict=True))
    outputs = implementation.forward(spec, found[0], X)
    assert np.allclose(ours.forward(spec, right[0], X), outputs, rtol=1e-12)


def test_options_change_network_rule_and_start() -> None:
    """A line of the training says each number that depends on it."""
    plain, *others = (
        [line for line in said("xor", **changes) if line.startswith("test ")]
        for changes in (
            {}, {"layer_sizes": (2, 8, 1)}, {"optimizer": "sgd"}, {"learning_rate": 0.1},
            {"initializer": "uniform"}, {"weight_decay": 0.1}, {"dropout": 0.5}, {"batch_size": 1},
        )
    )  # fmt: skip

    assert plain and plain not in others
    recipe = TASKS["digits"].recipe.changed({"optimizer": "sgd", "batch_size": 7})
    assert (False, 7) == (recipe.spec.decoupled, recipe.batch_size)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--layers", "3-4-1"], "the task has 2 features and 1 outputs; give 2-...-1"),
        (["--batch-size", "-3"], "give examples, or 0 for all"),
        (["--learning-rate", "0"], "give a number above 0"),
        (["--initializer", "unifrm"], "did you mean 'uniform'?"),
        (["--activation", "relo"], "did you mean 'relu'?"),
        (["--dropout", "1.5"], "give a number from 0 to below 1"),
        (["--epochs", "0"], "give a whole number >= 1, at most 10,000,000"),
        (["--epochs", "9" * 400], "give a whole number >= 1, at most 10,000,000"),
        (["--layers", "2-1000000-1000000-1"], "GiB of memory to be trained"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any data are loaded."""
    assert 2 == main(["train", "xor", *arguments])

    printed = capsys.readouterr()
    assert expected in printed.err and "examples; data in" not in printed.out


def test_rate_that_diverges_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Finite or not; NumPy's warnings, which are errors here, say it no better."""
    for epochs, how in ((2, "the loss rose from "), (100, "the loss is not finite at step")):
        with pytest.raises(one_task.DivergedError, match=f"{how}.*a learning rate below 0.05 may"):
            said("sine", epochs=epochs, learning_rate=0.05)
    assert 1 == main(["train", "sine", "--learning-rate", "100", "--epochs", "5"])
    assert "the training diverged" in capsys.readouterr().err
    made, y = Trained([], [Epoch(np.ones(1), 1)]), np.array([[1.0], [-1.0]])
    lines = one_task.remarks(TASKS["sine"].recipe, made, y, 0 * y, -0.1 * y)
    assert ["the loss has not fallen, from 0.5 to 0.605: try a smaller rate"] == lines[:1]
    assert not any("diverged" in line or "fallen" in line for line in said("sine"))


@pytest.mark.parametrize(
    ("task", "epochs", "changes", "shown"),
    [
        ("digits", 3, {"learning_rate": 10.0, "optimizer": "sgd"}, "accuracy 10."),
        ("xor", 2, {"weight_decay": 100.0, "learning_rate": 0.01}, "accuracy 50.00 %"),
        ("overfit", 300, {"weight_decay": 0.1}, "RMSE 0.33"),
        ("digits", 3, {}, ""),
        ("xor", 300, {}, ""),
        ("overfit", 100, {}, ""),
    ],
)
def test_network_that_has_become_a_constant_is_said(
    task: str, epochs: int, changes: dict[str, Any], shown: str
) -> None:
    """Its held-out loss may look well: one answer does better than one that learned the noise."""
    lines = said(task, epochs=epochs, **changes)

    found = [line for line in lines if line.startswith("nothing is learned so far")]
    assert bool(shown) == bool(found) and all(f": {shown}" in line for line in found)


def test_time_of_data_says_what_of_it_are_features(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counting words takes 20 s of a task whose training takes four; the task is said before."""
    make, lines = datasets.make, list[str]()

    def slow(*arguments: Any) -> Any:
        assert lines[0].startswith("xor: ")
        return replace(make(*arguments), seconds=19.0, of_features=17.25)

    monkeypatch.setattr(datasets, "make", slow)
    one_task.train("xor", epochs=1, say=lines.append)

    assert "data in 19.0 s, 17.2 s of them for features: as given" in lines[1]
    main(["train", "--help"])
    assert "examples a step, 0 for all" in " ".join(capsys.readouterr().out.split())


def test_goal_of_a_task_is_said_with_what_was_reached() -> None:
    """And that no guess is better, where it is what chance allows."""
    lines = said("softmax_regression")

    assert "no guess beats the chain's own probabilities" in lines[0]
    assert any(
        line.startswith("test accuracy ") and "goal: 44.45 %, that of the chain's own" in line
        for line in lines
    )


@pytest.mark.parametrize(
    "name", ["numpy", "scalar", "torch", pytest.param("jax", marks=pytest.mark.full)]
)
def test_perceptron_settles_where_it_can_and_says_where_it_does_not(name: str) -> None:
    """In every idiom."""
    if name in ("torch", "jax"):
        pytest.importorskip(name, reason=f"{name} is not installed")

    parted = said("perceptron", name, epochs=50)
    xor = said("perceptron_xor", name, epochs=10)

    assert any("a pass without a mistake after 6 passes" in line for line in parted)
    assert any("it has not settled: 75% mistakes in pass 10" in line for line in xor)


def test_wrong_gradient_of_a_file_is_said_before_it_trains(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Gradients that add up; and it trains, as whoever wrote it may want to see."""
    path = tmp_path / "adds.py"
    path.write_text(
        ONLY.replace("    return", "    value, grads =")
        + "    KEPT.append(grads)\n"
        + "    return value, [tuple(sum(p) for p in zip(*pairs)) for pairs in zip(*KEPT)]\n"
    )

    status = main(["train", "xor", "--implementation", str(path), "--epochs", "2"])

    printed = capfd.readouterr().out
    assert 0 == status
    assert "its gradient is wrong: loss_and_grad: gradients add up over calls" in printed
    assert "its gradient is wrong, see above" in printed.partition("training took")[2]


def test_file_without_masks_is_told_how_to_train(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where the task has dropout."""
    path = tmp_path / "only.py"
    path.write_text(ONLY.replace(", masks=None", "").replace(", masks", ""))

    assert 2 == main(["train", "digits", "--implementation", str(path)])
    assert "--dropout 0 trains without" in " ".join(capfd.readouterr().err.split())


def test_what_is_kept_from_call_to_call_is_named_of_a_timed_block() -> None:
    """Where the loss is right and the gradient is not; elsewhere nothing is added."""
    loss, slope = TensorCheck("loss with the gradient", 0.0, 1e-12, None), "off by 2"
    wrong = TensorCheck("dW1", 1.0, 1e-12, slope)

    assert f"{slope}; {KEEPS}" in _with_hint(Comparison((loss, wrong)))
    both = Comparison((TensorCheck("loss with the gradient", 1.0, 1e-12, "off"), wrong))
    assert KEEPS not in _with_hint(both)


def test_what_is_trained_is_said_with_the_choices_of_the_task() -> None:
    """A decay that was chosen for adamw is none of another rule's loss."""
    task, lines = "digits", said("digits", optimizer="sgd", learning_rate=0.1)

    assert "decay 0.1" in said(task)[2] and "64-32-10 relu; adamw, rate 0.005" in said(task)[2]
    assert "64-32-10 relu; sgd, rate 0.1 one-cycle, dropout 0.3; 2 epochs, batches of 32" in lines
    kept = said(task, optimizer="sgd", weight_decay=0.1)
    assert "decay 0.1" in kept[2]


def test_initializers_of_other_names_are_found() -> None:
    """As torch and the lectures call them."""
    with pytest.raises(ValueError, match="did you mean 'glorot_uniform'"):
        said("xor", initializer="xavier_uniform_")
