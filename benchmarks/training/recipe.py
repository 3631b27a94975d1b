"""How a network is trained and judged: a recipe, its learning rates, its metric."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.initializers import INITIALIZERS, init_params
from samegrad.implementations.contract.spec import MLPSpec, Params

Array = Any
# Smith and Topin (2018), in the form of torch's OneCycleLR: where the maximum is, and how much
# smaller the rate is at the start and at the end.
WARM_UP, START, END = 0.3, 25.0, 25.0e4
MOST_EPOCHS = 10_000_000  # each is remembered


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        spec: the network, its loss, its update rule and its dropout.
        epochs: passes over the training examples.
        updates: steps in all, of a speedrun; 0 of others, whose epochs say it.
        pooled: whether a speedrun takes the means of 2 x 2 pixels of square images.
        batch_size: examples per step; 0 for all of them.
        learning_rate: the largest one of the schedule.
        schedule: one of SCHEDULES.
        initializer: of `samegrad.implementations.contract.initializers`.
        metric: one of METRICS.
        target: value of the metric on the validation data to which time is taken, or None.
        rule: "gradient" (`train_step`) or "perceptron" (P1, until a pass makes no mistake).
        first_bias: whether the first layer has a bias. Where it has none, its b is 0 before each
            step: no rule looks at b otherwise, so that is the network without it.
    """

    spec: MLPSpec
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str = "constant"
    initializer: str = "torch"
    metric: str = "accuracy"
    target: float | None = None
    rule: str = "gradient"
    first_bias: bool = True
    updates: int = 0
    pooled: bool = False

    def steps(self, examples: int) -> int:
        """Steps per epoch, the last, smaller batch included."""
        return -(-examples // (self.batch_size or examples))

    def params(self, seed: int) -> Params:
        """The weights that training starts from."""
        return self.held(init_params(self.spec, seed, self.initializer))

    def held(self, params: Params) -> Params:
        """NumPy params; where the first layer has no bias, with zeros in its place."""
        (W, b), *others = params
        return params if self.first_bias or b is None else [(W, np.zeros_like(b)), *others]

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """The same with other values of the fields of the recipe, or of its network, by name.

        Raises:
            ValueError: a value is not accepted, or the task's data do not fit.
        """
        for name in changes:
            if self.rule != "gradient" and name != "epochs":
                option = name.replace("layer_sizes", "layers").replace("_", "-")
                raise ValueError(f"--{option}: the {self.rule} rule has none")
        if self.updates and "epochs" in changes:
            raise ValueError(f"--epochs: a speedrun counts steps, and has {self.updates}")
        own = {name: value for name, value in changes.items() if hasattr(self, name)}
        of_spec: dict[str, Any] = {n: value for n, value in changes.items() if n not in own}
        sizes, task = of_spec.get("layer_sizes"), self.spec.layer_sizes
        if sizes is not None and (sizes[0], sizes[-1]) != (task[0], task[-1]):
            raise ValueError(
                f"--layers {'-'.join(map(str, sizes))}: the task has {task[0]} features and "
                f"{task[-1]} outputs; give {task[0]}-...-{task[-1]}"
            )
        if "optimizer" in of_spec:  # adamw sets it, and another rule keeps it
            of_spec["decoupled"] = of_spec["optimizer"] == "adamw"
            if of_spec["decoupled"] != self.spec.decoupled:  # the task's was chosen for the other
                of_spec.setdefault("weight_decay", 0.0)
        epochs = own.get("epochs", 1)
        if not 1 <= epochs <= MOST_EPOCHS:
            most = f"give a whole number >= 1, at most {MOST_EPOCHS:,}"
            raise ValueError(f"--epochs {epochs!s:.60} is not accepted; {most}")
        batch, rate = own.get("batch_size", 0), own.get("learning_rate", 1.0)
        if batch < 0:
            raise ValueError(f"--batch-size {batch} is not accepted; give examples, or 0 for all")
        if not 0 < rate < math.inf:
            raise ValueError(f"--learning-rate {rate:g} is not accepted; give a number above 0")
        if (chosen := own.get("initializer", self.initializer)) not in INITIALIZERS:
            accepted = ", ".join(INITIALIZERS)
            meant = re.sub("xavier", "glorot", re.sub("kaiming", "he", str(chosen).lower()))
            raise ValueError(
                f"--initializer {chosen!r} is not known; accepted: {accepted}"
                f"{did_you_mean(meant.strip('_'), INITIALIZERS)}"
            )
        return replace(self, spec=replace(self.spec, **of_spec), **own)

    def in_dtype(self, dtype: Any) -> "Recipe":
        """The same in another dtype."""
        return replace(self, spec=replace(self.spec, dtype=dtype))


def constant(rate: float, steps: int, step: int) -> float:
    """The same rate at every step."""
    return rate


def cosine(rate: float, steps: int, step: int) -> float:
    """Half a cosine from the rate to zero (Loshchilov and Hutter 2017, without restarts)."""
    return rate * _half_cosine(step / steps)


def one_cycle(rate: float, steps: int, step: int) -> float:
    """Up from rate/25 to the rate in the first 30 % of the steps, then down to almost zero."""
    peak = max(1.0, WARM_UP * steps - 1)
    if step <= peak:
        return rate + (rate / START - rate) * _half_cosine(step / peak)
    end = rate / END
    return end + (rate - end) * _half_cosine((step - peak) / max(1.0, steps - 1 - peak))


def _half_cosine(share: float) -> float:
    """From 1 to 0 as the share goes from 0 to 1."""
    return (1 + math.cos(math.pi * share)) / 2


# (largest rate, number of steps, step from 0) -> its rate
SCHEDULES: dict[str, Callable[[float, int, int], float]] = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
}


@dataclass(frozen=True)
class Metric:
    """A number that says how good a network's outputs are.

    Attributes:
        of: (spec, outputs, y) -> the number.
        larger: whether larger is better.
        name: as shown.
    """

    of: Callable[[MLPSpec, Array, Array], float]
    larger: bool
    name: str

    def reached(self, value: float, target: float) -> bool:
        """Whether the value is as good as the target."""
        return value >= target if self.larger else value <= target

    def shown(self, value: float, digits: int = 2) -> str:
        """The number as people read it."""
        if self.name == "accuracy":
            return f"{100 * value:.{digits}f} %"
        return f"{value:.{digits + 2}g}"


def predicted(spec: MLPSpec, outputs: Array) -> Array:
    """Class of each example: the largest output, or whether a single one is above its middle."""
    if spec.layer_sizes[-1] > 1:
        return np.argmax(outputs, axis=1)
    middle = 0.0 if spec.output_activation == "identity" and spec.loss != "mse" else 0.5
    return (outputs[:, 0] > middle).astype(np.int64)


def accuracy(spec: MLPSpec, outputs: Array, y: Array) -> float:
    """Share of examples whose class is right; y in any form that a loss takes."""
    if y.ndim > 1:
        y = np.argmax(y, axis=1) if y.shape[1] > 1 else y[:, 0] > 0.5
    return float(np.mean(predicted(spec, outputs) == y))


def r2(spec: MLPSpec, outputs: Array, y: Array) -> float:
    """1 - squared error / variance."""
    return 1 - float(np.sum((outputs - y) ** 2) / np.sum((y - y.mean(axis=0)) ** 2))


def rmse(spec: MLPSpec, outputs: Array, y: Array) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((outputs - y) ** 2)))


METRICS = {
    "accuracy": Metric(accuracy, True, "accuracy"),
    "r2": Metric(r2, True, "R²"),
    "rmse": Metric(rmse, False, "RMSE"),
}
