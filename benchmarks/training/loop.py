"""The training loop, the same for every implementation.

From the same weights, the same batches in the same order, the same dropout masks and the same
learning rates: all of them are drawn here, in NumPy, from one seed. An implementation does the
steps and the forward passes, and nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.training.recipe import METRICS, SCHEDULES, Recipe
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.initializers import draw_masks
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree

Array = Any
Step = tuple[Array, Any, Tree]  # indices of its examples, learning rate, masks
EVALUATION_BATCH = 1000  # examples of a forward pass in evaluation
POINTS = 100  # of a curve, at most
TRAIN_EVALUATED = 2_000  # training examples, at most, whose metric is computed after an epoch
MASK_BYTES = 2**24  # of dropout masks that wait on the device; lists of floats take 8 times as much


@dataclass
class Examples:
    """Examples in the host's memory: X (examples, features) and y as the spec's loss wants it."""

    X: Array
    y: Array

    def __len__(self) -> int:
        return len(self.y)


@dataclass
class Epoch:
    """What one epoch gave.

    Attributes:
        losses: of each step, before its update, with dropout where the spec has it.
        elapsed_ns: the steps, until all is computed; their masks and rates are there before.
        training, validation: the metric afterwards; None where it was not computed.
        validation_loss: the loss of the validation data, without dropout.
        validation_ns: the forward passes over the validation data, and the metric.
    """

    losses: Array
    elapsed_ns: int
    training: float | None = None
    validation: float | None = None
    validation_loss: float | None = None
    validation_ns: int = 0


class DivergedError(RuntimeError):
    """The loss of a training is not finite."""


@dataclass
class Trained:
    """The outcome of a training.

    Attributes:
        params: NumPy, after the last epoch.
        placing_ns: examples and weights to the device, with the interface's checks.
        diverged: the step (counted from 1 over all epochs) whose loss was not finite, or None.
    """

    params: Params
    epochs: list[Epoch] = field(default_factory=list)
    placing_ns: int = 0
    diverged: int | None = None

    def to_target_ns(self, recipe: Recipe) -> int | None:
        """Placing, training and validation until the metric reached its target; None if never."""
        spent = self.placing_ns
        for epoch in self.epochs:
            spent += epoch.elapsed_ns + epoch.validation_ns
            if recipe.target is None or epoch.validation is None:
                continue
            if METRICS[recipe.metric].reached(epoch.validation, recipe.target):
                return spent
        return None


def train(
    implementation: Implementation,
    recipe: Recipe,
    training: Examples,
    validation: Examples | None,
    seed: int,
    device: str = "cpu",
    seen: Callable[[int, Epoch, Callable[[], Params]], None] = lambda number, epoch, params: None,
) -> Trained:
    """Train from weights of this seed.

    Args:
        seen: told after each epoch: its number from 1, what it gave, and how to get the weights.

    Raises:
        NotImplementedError: the implementation does not have the recipe's rule.
    """
    spec, examples, steps = recipe.spec, len(training), recipe.steps(len(training))
    one_pass = perceptron(implementation) if recipe.rule == "perceptron" else None
    start = recipe.params(seed)

    def placed() -> tuple[Tree, Tree, Feed, Evaluation | None]:
        params = implementation.params_from_numpy(spec, start, device)
        state = implementation.init_state(spec, params)
        held_out = None
        if validation is not None:
            held_out = Evaluation(implementation, spec, validation, device)
        return params, state, Feed(implementation, spec, training, device), held_out

    (*weights, feed, held_out), placing_ns = timer.timed(
        placed, lambda made: implementation.synchronize((made[0], made[2].placed))
    )
    sample = Examples(training.X[:TRAIN_EVALUATED], training.y[:TRAIN_EVALUATED])
    seen_again = Evaluation(implementation, spec, sample, device)

    def parts(order: Array, first: int) -> Iterator[list[Step]]:
        """The steps of an epoch, as many at a time as their masks may wait on the device."""
        made, held = list[Step](), 0
        for step, chosen in enumerate(batches(order, recipe.batch_size), start=first):
            rate = SCHEDULES[recipe.schedule](recipe.learning_rate, recipe.epochs * steps, step)
            masks = None
            if spec.dropout:
                drawn = draw_masks(spec, len(chosen), [seed, 2, step])
                masks = implementation.masks_from_numpy(spec, drawn, device)
                held += sum(mask.nbytes for mask in drawn)
            made.append((chosen, implementation.backend.rate(rate, device), masks))
            if held > MASK_BYTES or not recipe.first_bias:
                yield made
                made, held = [], 0
        if made:
            yield made

    def several(weights: list[Tree], made: list[Step]) -> tuple[Tree, Tree, list[Any]]:
        (params, state), losses = weights, []
        weights.clear()  # no copy of them lives on while steps are made
        for chosen, rate, masks in made:
            X, y = feed.take(chosen)
            params, state, loss = implementation.train_step(spec, params, state, X, y, rate, masks)
            losses.append(loss)
        return params, state, losses

    def one_epoch(weights: list[Tree], order: Array, first: int) -> tuple[list[Any], int]:
        """Losses of the steps, and nanoseconds; the weights are replaced by those after it."""
        if one_pass is not None:
            (after, mistakes), elapsed_ns = timer.timed(
                lambda: one_pass(weights[0], *feed.take(order)), implementation.synchronize
            )
            weights[0] = after
            return [mistakes / examples], elapsed_ns
        losses, elapsed_ns = list[Any](), 0
        for made in parts(order, first):
            implementation.synchronize([masks for *_, masks in made])
            (*weights[:], more), ns = timer.timed(
                partial(several, weights, made), implementation.synchronize
            )
            losses, elapsed_ns = losses + more, elapsed_ns + ns
            if not recipe.first_bias:
                kept = recipe.held(implementation.to_numpy(weights[0]))
                weights[0] = implementation.params_from_numpy(spec, kept, device)
        return losses, elapsed_ns

    def evaluate(on: Evaluation, params: Tree) -> tuple[float, float]:
        outputs, y = on.outputs(params), on.examples.y
        return METRICS[recipe.metric].of(spec, outputs, y), mean_loss(spec, outputs, y)

    made = Trained(start, placing_ns=placing_ns)
    rng = np.random.default_rng([seed, 1])  # of the order of the examples
    evaluated = set(points(recipe.epochs))
    for number in range(1, recipe.epochs + 1):
        order = rng.permutation(examples) if steps > 1 else np.arange(examples)
        first = (number - 1) * steps
        losses, elapsed_ns = one_epoch(weights, order, first)
        values = np.array([np.asarray(implementation.to_numpy(loss)).item() for loss in losses])
        epoch = Epoch(values, elapsed_ns)
        made.epochs.append(epoch)
        bad = np.flatnonzero(~np.isfinite(epoch.losses))
        if len(bad):
            made.diverged = int(first + bad[0] + 1)
        elif number in evaluated:
            if held_out is not None:
                (epoch.validation, epoch.validation_loss), epoch.validation_ns = timer.timed(
                    partial(evaluate, held_out, weights[0])
                )
            epoch.training, _ = evaluate(seen_again, weights[0])
        seen(number, epoch, partial(implementation.to_numpy, weights[0]))
        if made.diverged or (one_pass is not None and epoch.losses[-1] == 0):
            break
    made.params = implementation.to_numpy(weights[0])
    return made


def perceptron(implementation: Implementation) -> Callable[..., Any]:
    """The implementation's pass of P1, which is optional.

    Raises:
        NotImplementedError: it has none.
    """
    one_pass = implementation.capabilities.perceptron
    if one_pass is None:
        raise NotImplementedError(
            "it has no perceptron rule; scalar, numpy, torch and jax have one"
        )
    return one_pass


def points(epochs: int) -> list[int]:
    """The epochs after which metrics are computed: all of them, or POINTS if there are more."""
    return sorted({round(i) for i in np.linspace(1, epochs, min(epochs, POINTS))})


def batches(order: Array, batch_size: int) -> Iterator[Array]:
    """Indices of one batch after another; the last one may be smaller."""
    size = batch_size or len(order)
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]


class Feed:
    """Batches of placed examples by the implementation's `take`, or one by one from the host."""

    def __init__(
        self, implementation: Implementation, spec: MLPSpec, part: Examples, device: str
    ) -> None:
        self.implementation, self.spec, self.device = implementation, spec, device
        self.examples = part
        self.own = implementation.capabilities.take
        self.placed: Any = None
        if self.own is not None:
            self.placed = implementation.batch_from_numpy(spec, part.X, part.y, device)

    def take(self, chosen: Array) -> tuple[Any, Any]:
        """The chosen examples on the device."""
        if self.own is not None:
            X, y = self.own(*self.placed, chosen)
            return X, y
        X, y = self.examples.X[chosen], self.examples.y[chosen]
        return self.implementation.batch_from_numpy(self.spec, X, y, self.device)


class Evaluation:
    """Forward passes over a part that is placed once, in batches of one size: compiled once."""

    def __init__(
        self, implementation: Implementation, spec: MLPSpec, part: Examples, device: str
    ) -> None:
        self.implementation, self.spec, self.examples = implementation, spec, part
        X, y, size = part.X, part.y, min(EVALUATION_BATCH, len(part))
        short = -len(X) % size
        X = np.concatenate([X, np.repeat(X[:1], short, axis=0)])
        y = np.concatenate([y, np.repeat(y[:1], short, axis=0)])
        self.placed = [
            implementation.batch_from_numpy(spec, X[i : i + size], y[i : i + size], device)[0]
            for i in range(0, len(X), size)
        ]

    def outputs(self, params: Tree) -> Array:
        """a_L of all examples, NumPy (examples, outputs)."""
        outputs = [self.implementation.forward(self.spec, params, X) for X in self.placed]
        return np.concatenate(self.implementation.to_numpy(outputs))[: len(self.examples)]


def mean_loss(spec: MLPSpec, outputs: Array, y: Array) -> float:
    """L1 of the contract, from the outputs; without the L2 term."""
    a = np.asarray(outputs, np.float64)
    if spec.loss == "mse":
        return float(np.sum((a - y) ** 2) / (2 * len(a)))
    if spec.loss == "binary_cross_entropy":
        return float(np.sum(np.logaddexp(0, a) - y * a) / len(a))
    return float(np.mean(np.logaddexp.reduce(a, axis=1) - a[np.arange(len(a)), y]))
