"""A speedrun: one clock from raw examples in memory to weights, everything in between included.

Inside it: drawing the order, pooling and normalising, placing, the first call with whatever it
compiles, every step, and the wait for the last one. Outside: imports, reading files, and the test.
"""

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.training.data.datasets import Fold, refitted
from samegrad.benchmarks.training.loop import DivergedError, Epoch, Trained, batches
from samegrad.benchmarks.training.recipe import SCHEDULES, Recipe
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import Params

Array = Any


@dataclass(frozen=True)
class Finished:
    """The outcome of a speedrun.

    Attributes:
        params: NumPy, after the last step.
        losses: of each step, before its update.
        elapsed_ns: the whole of it.
    """

    params: Params
    losses: Array
    elapsed_ns: int


def normalised(recipe: Recipe, fold: Fold, rows: Array) -> Array:
    """Some examples as the network is fed them, from the raw ones: (rows, features)."""
    X = fold.X[rows]
    squares = 1
    if recipe.pooled:  # the bytes of two neighbours are a number; then those of two lines
        pairs = X.view(np.uint16)
        pairs = (pairs & 255) + (pairs >> 8)
        side = round(X.shape[1] ** 0.5)
        lines = pairs.reshape(len(X), side // 2, 2, side // 2)
        X, squares = (lines[:, :, 0] + lines[:, :, 1]).reshape(len(X), -1), 4
    made = X.astype(recipe.spec.dtype)
    made -= (squares * fold.shift).astype(made.dtype)
    made /= (squares * fold.scale).astype(made.dtype)
    return made


def fed(recipe: Recipe, fold: Fold, rows: Array) -> Fold:
    """A fold of these rows alone, as the network is fed them; all are training and test rows."""
    X, every, none = normalised(recipe, fold, rows), np.arange(len(rows)), np.arange(0)
    return Fold(X, fold.y[rows], every, none, every, np.zeros(1), np.ones(1), len(rows))


def run(
    implementation: Implementation, recipe: Recipe, fold: Fold, seed: int, device: str = "cpu"
) -> Finished:
    """Train on the fold's training part from weights of this seed, once, against the clock.

    Raises:
        NotImplementedError: the implementation does not have the recipe's rule.
    """
    spec, steps = recipe.spec, recipe.updates
    schedule, place = SCHEDULES[recipe.schedule], implementation.backend.place
    y = fold.y

    def train() -> tuple[Any, list[Any]]:
        rng = np.random.default_rng([seed, 1])
        start = init_params(spec, seed, recipe.initializer)
        params = implementation.params_from_numpy(spec, start, device)
        state, losses = implementation.init_state(spec, params), list[Any]()
        while len(losses) < steps:
            order = fold.training[rng.permutation(len(fold.training))]
            for rows in islice(batches(order, recipe.batch_size), steps - len(losses)):
                X = normalised(recipe, fold, rows)
                rate = schedule(recipe.learning_rate, steps, len(losses))
                params, state, loss = implementation.train_step(
                    spec,
                    params,
                    state,
                    place(X, device),
                    place(y[rows], device),
                    implementation.backend.rate(rate, device),
                )
                losses.append(loss)
        return params, losses

    (params, losses), elapsed_ns = timer.timed(train, implementation.synchronize)
    values = np.array([np.asarray(implementation.to_numpy(loss)).item() for loss in losses])
    return Finished(implementation.to_numpy(params), values, elapsed_ns)


def tell(setting: Any, seed: int, save: str | None) -> Trained:
    """One speedrun of a task on all of its training data, and say what it reached.

    Args:
        setting: a `one_task.Setting`.

    Raises:
        DivergedError: the loss is not finite.
        ValueError: its weights are to be saved.
    """
    if save is not None:
        raise ValueError("--save: weights for pooled pixels are not kept; train mnist has others")
    recipe, fold = setting.recipe, refitted(setting.fold)
    made = run(setting.implementation, recipe, fold, seed, setting.device)
    if not np.isfinite(made.losses).all():
        raise DivergedError("the loss is not finite: the training diverged")
    held = replace(setting, fold=fed(recipe, fold, fold.test))
    held.tell_test(recipe.spec, made.params)
    setting.say(
        f"{made.elapsed_ns / 1e9:.3f} s from raw bytes to weights: {recipe.updates} steps, their "
        "order, normalising, the first call and what it compiled"
    )
    return Trained(made.params, [Epoch(made.losses, made.elapsed_ns)])
