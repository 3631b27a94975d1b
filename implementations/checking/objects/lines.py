"""The lines at fault of gradients that were judged: what was taken for which is kept to."""

from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.judge import Judged
from samegrad.implementations.checking.objects.leaves import Leaf
from samegrad.implementations.checking.objects.matching import UPDATE, Fit, forms, pieces
from samegrad.implementations.checking.objects.parameters import place_of
from samegrad.implementations.checking.objects.reach import Reached
from samegrad.implementations.checking.objects.report import AGREES, DISAGREES, Match
from samegrad.implementations.checking.objects.trial import Trial
from samegrad.implementations.tracing.explain import Line, explain
from samegrad.implementations.tracing.reach import functions_of

Array = Any


def lines_of(trial: Trial, judged: Judged) -> list[Line]:
    """The lines that make the gradients wrong; [] where nothing shows it. All is put back.

    Args:
        trial: at the point that was judged.
        judged: with what was taken for the gradient of each parameter.
    """
    held = [
        (leaf, match, of)
        for leaf, match, of in zip(trial.parameters, judged.matches, judged.chosen, strict=True)
        if match.verdict in (AGREES, DISAGREES) and match.gradient
    ]
    state = trial.walk().snapshot()
    loss, backward = trial.calls.functions
    read = _Reader(trial, held)
    owners = trial.walk().owners
    try:
        return explain(
            trial.calls.loss,
            _cheapest(trial, read, state.restore),
            functions_of(loss, backward, *owners),
            params={_name(leaf): leaf for leaf, _, _ in held},
            grads=read.gradients,
            state=(loss, backward, *owners),
        )
    finally:
        state.restore()


def _name(leaf: Leaf) -> str:
    return leaf.name.removeprefix("net.")


def _cheapest(trial: Trial, read: "_Reader", restore: Callable[[], None]) -> Callable[[], Any]:
    """The backward pass without the loss before it, where that gives the same."""
    alone = trial.calls.functions[1]
    wanted = read.gradients(trial.calls.backward())
    restore()
    try:
        found = read.gradients(alone())
    except (Exception, SystemExit):
        found = []
    finally:
        restore()
    same = len(found) == len(wanted) and all(
        (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in zip(found, wanted, strict=False)
    )
    return alone if same and not trial.calls.seeded else trial.calls.backward


class _Reader:
    """Reads, after a run, what was taken for the gradients, in the shapes of the parameters."""

    def __init__(self, trial: Trial, held: list[tuple[Leaf, Match, Fit | None]]) -> None:
        self.held = held
        shapes = [p.shape for p in trial.parameters]
        self.pieces = [
            {
                form: (order, trial.parameters.index(leaf), shapes)
                for order in trial._orders()
                for form in [of.form if of else ""]
            }
            for leaf, _, of in held
        ]
        self.before = [leaf.read() for leaf, _, _ in held]
        self.rates = [_rate(match, of, held) for _, match, of in held]
        self.kept = {name: leaf for leaf in trial.walk().leaves for name in leaf.names}
        trial.calls.backward()  # buffers exist by then
        self.kept |= {name: leaf for leaf in trial.walk().leaves for name in leaf.names}

    def gradients(self, returned: Any) -> list[Array | None]:
        """In the order of the parameters; None where nothing is there."""
        leaves = Reached().add(returned, "returned", place_of(None, ())).leaves
        got = {name: leaf.read() for leaf in leaves for name in leaf.names}
        return [self._gradient(i, got) for i in range(len(self.held))]

    def _gradient(self, i: int, got: dict[str, Array]) -> Array | None:
        leaf, match, of = self.held[i]
        name = match.gradient if of is None else of.candidate.name
        if of is not None and of.candidate.origin == UPDATE:
            now = leaf.held()
            return None if now is None else (self.before[i] - now) / self.rates[i]
        if name in got:
            values = got[name]
        elif name == f"{leaf.name}.grad":
            values = np.array(leaf.gradient(), np.float64)
        elif name in self.kept:
            values = self.kept[name].held()
        else:
            return None
        if values is None or of is None:
            return values
        for form, turned in forms(leaf.shape, values):
            if form == of.form:
                return turned / self.rates[i]
        for form, (order, index, shapes) in self.pieces[i].items():
            for other, piece in pieces(shapes, order, index, values):
                if other == form:
                    return piece / self.rates[i]
        return values / self.rates[i]


def _rate(match: Match, of: Fit | None, held: list[tuple[Leaf, Match, Fit | None]]) -> float:
    """What the right gradients of the same origin are multiplied by."""
    if of is None:
        return 1.0
    alike = [
        m.constant
        for _, m, f in held
        if f is not None
        and (f.candidate.origin == UPDATE) == (of.candidate.origin == UPDATE)
        and m.verdict == AGREES
        and m.constant
    ]
    if match.verdict == AGREES and match.constant:
        return match.constant
    return float(np.median(alike)) if alike else 1.0
