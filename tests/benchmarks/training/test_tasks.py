"""The table of tasks and what their data are made of: nothing of the test part is known before."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.training.data import datasets, features, simulated
from samegrad.benchmarks.training.data.records import Records
from samegrad.benchmarks.training.loop import Examples, train
from samegrad.benchmarks.training.recipe import Recipe
from samegrad.benchmarks.training.tasks import TASKS, Task, select
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.shared_data import DATA, data_dir, fold_of

RECIPE = Recipe(MLPSpec((3, 4, 2), optimizer="adam", dtype="float64"), 3, 4, 0.01)


def test_folds_of_a_cross_validation_are_disjoint_and_cover_everything() -> None:
    """Every labelled record is test data once, and never of the network that it tests."""
    records = Records(np.arange(47.0)[:, None], np.arange(47.0)[:, None], 47)
    data = datasets.Data("x", validation=0.2, cross_validation=True)

    folds = list(datasets._folds(data, records))

    assert list(range(47)) == sorted(np.concatenate([fold.test for fold in folds]).tolist())
    for fold in folds:
        parts = np.concatenate([fold.training, fold.validation, fold.test])
        assert list(range(47)) == sorted(parts.tolist())
        assert sorted(datasets.refitted(fold).training) == sorted(
            np.concatenate([fold.training, fold.validation])
        )


def test_what_is_fitted_to_data_does_not_know_the_test_part() -> None:
    """Changing every test passenger changes no feature of a training passenger, and no scale."""
    records = datasets.load("titanic", data_dir("titanic"))
    rows, test = np.arange(600), np.arange(600, 891)
    changed = records.X.copy()
    changed.loc[test, "Age"] = 99.0
    changed.loc[test, "Fare"] = 1e4
    changed.loc[test, "Embarked"] = "X"
    other = Records(changed, records.y, records.training)

    (a, _), (b, _) = (features.passengers(one, rows) for one in (records, other))

    kept = [j for j in range(b.shape[1]) if b[rows, j].any()]
    assert np.array_equal(a[rows][:, a[rows].any(axis=0)], b[rows][:, kept])
    ages = records.X.Age.iloc[rows]
    imputed = a[rows, 0][ages.isna().to_numpy()]
    titles = records.X.Name.str.extract(r",\s*([A-Za-z ]+)\.", expand=False).iloc[rows]
    mister = ages[titles == "Mr"].median()
    assert mister in imputed


def test_telling_words_are_chosen_without_held_out_documents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither their words nor their groups have a say; a training document's group has."""
    monkeypatch.setattr(features, "NEWS_WORDS", 2)
    documents = ["red ball", "red cup", "blue ball", "blue cup", "ball cup", "cup red ball"]
    groups, rows = np.array([0, 0, 1, 1, 0, 1]), np.arange(4)

    def made(documents: list[str], groups: Any) -> Any:
        return features.telling_words(Records(documents, groups, 4), rows)[0]

    X = made(documents, groups)

    assert [[0, 1], [0, 1], [1, 0], [1, 0], [0, 0], [0, 1]] == X.tolist()  # blue and red
    held_out = made([*documents[:4], "blue red", "green"], np.array([0, 0, 1, 1, 1, 0]))
    assert np.array_equal(X[rows], held_out[rows])
    assert not np.array_equal(X[rows], made(documents, np.array([0, 1, 0, 1, 0, 1]))[rows])
    assert not TASKS["newsgroups_words"].data.refit


def test_category_that_training_has_not_seen_has_no_effect() -> None:
    """It is all zeros, like a missing one."""
    import pandas as pd

    column = pd.Series(["a", "b", None, "c"])

    columns = features._one_hot({"x": column}, np.array([0, 1]))

    assert [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]] == columns.tolist()


def test_shifted_copies_move_by_a_pixel_and_stay_out_of_the_held_out_part() -> None:
    """A digit's five copies are all in training, or none is."""
    image = np.zeros((1, 16))
    image[0, 5] = 1.0
    moved = features.shifted(image)
    assert [6, 4, 9, 1] == moved.argmax(axis=1).tolist()

    fold = fold_of("digits_shifted")
    assert not set(fold.training % fold.records) & set(fold.validation % fold.records)
    assert 5 * 1437 == len(datasets.refitted(fold).training)


def test_table_of_tasks_tells_the_truth() -> None:
    """Examples and features are those of the data; a target has data to be reached on."""
    for task in TASKS.values():
        if task.data.records not in simulated.SIMULATED and not (
            task.data.records in ("titanic", "automobile") and DATA.is_dir()
        ):
            continue
        fold = datasets.make(task.data, DATA if DATA.is_dir() else None).folds[0]
        assert task.examples == len(fold.training), task.name
        assert task.recipe.spec.layer_sizes[0] == fold.X.shape[1], task.name
        assert task.recipe.target is None or len(fold.validation), task.name
        assert len(fold.test), task.name


def test_tasks_are_selected_by_name_pattern_and_family() -> None:
    """And an unknown one is refused with what there is."""

    def selected(*names: str) -> list[str]:
        return [task.name for task in select(names)]

    assert ["mnist"] == selected("mnist")
    assert ["mnist", "mnist_fast", "mnist_512"] == selected("mnist*")
    assert all(name.startswith("approximation_") for name in selected("approximation"))
    with pytest.raises(ValueError, match="task 'mnits' is not known; accepted: digits, "):
        select(["mnits"])


def test_best_candidate_is_chosen_without_the_test_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test part is never handed to a training, and the network is trained again on the rest."""
    from samegrad.benchmarks.training import worker

    records = Records(np.random.default_rng(0).normal(size=(50, 3)), np.zeros(0), 50)
    y = (records.X[:, :1] > 0).astype(float)
    data = datasets.Data("x", validation=0.25, cross_validation=True)
    fold = next(iter(datasets._folds(data, replace(records, y=y))))
    spec = MLPSpec((3, 1), loss="binary_cross_entropy", dtype="float64")
    task = Task("t", data, replace(RECIPE, spec=spec), 1, "", candidates=(0.0, 100.0))
    trainings: list[tuple[int, int, float]] = []
    right = train

    def watched(
        implementation: Any, recipe: Recipe, training: Examples, held: Any, *rest: Any
    ) -> Any:
        trainings.append((len(training), len(held or ()), recipe.spec.weight_decay))
        assert not set(map(tuple, training.X)) & set(map(tuple, fold.X[fold.test]))
        return right(implementation, recipe, training, held, *rest)

    monkeypatch.setattr(worker, "train", watched)
    worker._one_fold(load("numpy"), task, task.recipe, fold, 0, "cpu", lambda *_: None)

    assert [(34, 11, 0.0), (34, 11, 100.0), (45, 0, 0.0)] == trainings


def test_goal_of_softmax_regression_is_what_the_chain_itself_reaches() -> None:
    """No predictor does better in the long run."""
    records, P = simulated.tokens(), simulated.chain()
    X, y = records.X[records.training :], records.y[records.training :]

    best = (P.argmax(axis=1)[X.argmax(axis=1)] == y).mean()

    assert TASKS["softmax_regression"].goal.startswith(f"{100 * best:.2f} %")
