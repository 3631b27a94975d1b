"""Networks that are trained for a picture, in NumPy and float64, here and now."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.benchmarks.training import loop
from samegrad.benchmarks.training.data import datasets
from samegrad.benchmarks.training.loop import Examples, Trained
from samegrad.benchmarks.training.recipe import Recipe
from samegrad.benchmarks.training.tasks import TASKS
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec, Params

Array = Any


@dataclass(frozen=True)
class Run:
    """A training and what a picture shows of it.

    Attributes:
        recipe: how it was trained.
        made: losses, metrics and the last weights.
        moments: number of an epoch -> the weights after it; 0 before the first.
        training, test: the examples.
    """

    recipe: Recipe
    made: Trained
    moments: dict[int, Params]
    training: Examples
    test: Examples

    @property
    def params(self) -> Params:
        """After the last epoch."""
        return self.made.params

    def curve(self, held_out: bool = False) -> tuple[Array, Array]:
        """(epochs, loss): of the training examples in each, or of the others where it is known."""
        epochs = [*enumerate(self.made.epochs, start=1)]
        if held_out:
            known = [(n, e.validation_loss) for n, e in epochs if e.validation_loss is not None]
        else:
            known = [(n, float(e.losses.mean())) for n, e in epochs]
        numbers, losses = zip(*known, strict=True)
        return np.array(numbers), np.array(losses)


def trained(
    recipe: Recipe, training: Examples, test: Examples, at: Collection[int] = (), seed: int = 0
) -> Run:
    """A training whose test examples are watched, with the weights after some of its epochs."""
    recipe = recipe.in_dtype("float64")
    moments = {0: recipe.params(seed)}

    def seen(number: int, _: Any, params: Any) -> None:
        if number in at:
            moments[number] = params()

    made = loop.train(load("numpy"), recipe, training, test, seed, seen=seen)
    moments[len(made.epochs)] = made.params
    return Run(recipe, made, moments, training, test)


def of_task(name: str, at: Collection[int] = (), seed: int = 0, **changes: Any) -> Run:
    """A task of `samegrad train`, its test examples watched.

    Args:
        changes: of the recipe or its network, as `train` takes them.
    """
    fold = datasets.make(TASKS[name].data, None).folds[0]
    training, test = (fold.examples(rows, "float64") for rows in (fold.training, fold.test))
    return trained(TASKS[name].recipe.changed(changes), training, test, at, seed)


def outputs(spec: MLPSpec, params: Params, X: Array) -> Array:
    """a_L of some examples, (examples, outputs)."""
    spec, numpy = replace(spec, dtype="float64"), load("numpy")
    return numpy.to_numpy(numpy.forward(spec, params, np.asarray(X, np.float64)))


def softmax(logits: Array) -> Array:
    """Probabilities of the classes, row by row."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def grid(low: float, high: float, count: int) -> tuple[Array, Array]:
    """(places along one side, points of the square row by row)."""
    side = np.linspace(low, high, count)
    return side, np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
