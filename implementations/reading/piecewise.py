"""Gradients that no one function of a file gives: by JAX, or each array's by its own."""

import itertools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import Plan, call, plans
from samegrad.implementations.reading.bounded import at_most
from samegrad.implementations.reading.effects import Place, places
from samegrad.implementations.reading.trials import Trial
from samegrad.implementations.state.leaves import JaxLeaf

MOST_WAYS = 3  # to call one loss
# What the name of a function of one gradient has besides the name of the array.
OF_ONE = r"_*(?:j|d|dl|dj|dc|de|d?loss|d?cost|grad(?:ient)?(?:_of)?|deriv(?:ative)?|partial)"


@dataclass(frozen=True, eq=False)
class Piecewise:
    """Functions of a file that each give the gradient of one array: `J_W1`, `grad_b2`."""

    trial: Trial
    plans: dict[str, tuple[Callable[..., Any], Plan]]

    @property
    def names(self) -> list[str]:
        """Of the functions."""
        return [function.__name__ for function, _ in self.plans.values()]

    def __call__(self) -> dict[str, Any]:
        """Every gradient by the name of its array."""
        trial, board = self.trial, self.trial.board
        trial.forward()
        trial.show_outputs()
        return {f"d_{name}": call(f, plan, board) for name, (f, plan) in self.plans.items()}


def piecewise(trial: Trial, found: Sequence[Place]) -> Piecewise | None:
    """Functions for the gradients of all matrices, if the file has them and they run."""
    chosen: dict[str, tuple[Callable[..., Any], Plan]] = {}
    for place in found:
        name = re.split(r"\W+", place.name.strip("'\"]"))[-1]
        word = re.escape(name)
        pattern = re.compile(rf"{OF_ONE}_?{word}|{word}_(?:grad\w*|prime)", re.IGNORECASE)
        own = [f for n, f in trial.network.functions.items() if pattern.fullmatch(names.plain(n))]
        plan = next((p for f in own[:1] if (p := _runs_by(f, trial, place)) is not None), None)
        if plan is not None:
            chosen[name] = own[0], plan
        elif np.ndim(place.read()) > 1:
            return None
    return Piecewise(trial, chosen) if len(chosen) > 1 else None


def _runs_by(function: Callable[..., Any], trial: Trial, place: Place) -> Plan | None:
    """A way to call a function that gives as many numbers as an array has."""
    for plan in plans(function, trial.board, ["out"] if trial.outs else [], "backward"):
        try:
            with at_most():
                trial.forward()
                trial.show_outputs()
                if np.size(call(function, plan, trial.board)) == np.size(place.read()):
                    return plan
        except (Exception, SystemExit):
            continue
    return None


def by_jax(trial: Trial, own: Sequence[str]) -> Iterator[tuple[Callable[[], Any], str, str]]:
    """What JAX differentiates a loss to, of which the file may define rules."""
    jax = sys.modules.get("jax")
    leaves = [p.leaf for p in places(trial.board.values.get("params"), "")]
    if jax is None or not any(isinstance(leaf, JaxLeaf) for leaf in leaves):
        return
    for name in own:
        function = trial.network.functions[name]
        for plan in itertools.islice(plans(function, trial.board, [], "loss"), MOST_WAYS):
            taken = next((n for n, key in plan if key == "params"), "")
            given = tuple((n, key) for n, key in plan if n != taken)

            def gradient(function: Any = function, taken: str = taken, given: Plan = given) -> Any:
                def of(params: Any) -> Any:
                    return call(partial(function, **{taken: params}), given, trial.board)

                return jax.grad(of)(trial.board.values["params"])

            if taken and _runs(gradient):
                trial.sure["jax.grad"] = True
                yield gradient, "jax.grad", "explicit"
                return


def _runs(function: Callable[[], Any]) -> bool:
    try:
        function()
    except (Exception, SystemExit):
        return False
    return True
