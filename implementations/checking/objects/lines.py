"""The lines at fault of gradients that were judged: what was taken for which is kept to."""

import ast
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.judge import Judged
from samegrad.implementations.checking.objects.matching import UPDATE, Fit, forms, pieces
from samegrad.implementations.checking.objects.report import AGREES, DISAGREES, Match
from samegrad.implementations.checking.objects.trial import Trial
from samegrad.implementations.state.leaves import Leaf, fixed, leaf_of
from samegrad.implementations.state.reach import Reached
from samegrad.implementations.tracing.explain import Line, explain

Array = Any
Held = tuple[Leaf, Match, Fit | None]  # a parameter, its verdict, and what was taken for it


def lines_of(trial: Trial, judged: Judged, net: Any = None) -> list[Line]:
    """The lines that make the gradients wrong; [] where nothing shows it. All is put back.

    Args:
        trial: at the point that was judged.
        judged: with what was taken for the gradient of each parameter.
        net: what paths that begin with "net" start at.
    """
    held = [
        (leaf, match, of)
        for leaf, match, of in zip(trial.parameters, judged.matches, judged.chosen, strict=True)
        if match.verdict in (AGREES, DISAGREES) and match.gradient
    ]
    held = _each_once(held)
    for leaf, _, _ in held:  # a float is read where it is held: it may have been put back there
        now = leaf.held()
        if leaf.size == 1 and now is not None:
            leaf.write(now)
    state = trial.walk().snapshot()
    loss, backward = trial.calls.functions
    read = _Reader(trial, held, net)
    owners = trial.walk().owners
    try:
        return explain(
            trial.calls.loss,
            _cheapest(trial, read, state.restore),
            # Weights may lie in a dict that no function names.
            (loss, backward, net, *owners, *_looked_into(loss)),
            {_name(leaf): leaf for leaf, _, _ in held},
            read.gradients,
            _free(held),
            _uphill(held),
        )
    finally:
        state.restore()


def _looked_into(function: Any) -> tuple[Any, ...]:
    """What a function that only stands for others has these in."""
    while function is not None and not hasattr(function, "looked_into"):
        function = getattr(function, "__wrapped__", None)
    found: tuple[Any, ...] = getattr(function, "looked_into", ())
    return found


def _each_once(held: list[Held]) -> list[Held]:
    """Without what the gradient of another parameter was taken for, for lack of a better one."""
    taken: dict[int, Held] = {}
    for one in held:
        leaf, _, of = one
        key = id(of.candidate) if of is not None and not of.form.startswith("[") else id(leaf)
        if key not in taken or _claim(taken[key]) < _claim(one):
            taken[key] = one
    return [one for one in held if any(one is kept for kept in taken.values())]


def _claim(one: Held) -> tuple[bool, ...]:
    leaf, _, of = one
    if of is None:
        return ()
    shaped = leaf.shape == of.candidate.values.shape
    return (of.right, of.named, shaped, of.constant is not None)


def _name(leaf: Leaf) -> str:
    return leaf.name.removeprefix("net.")


def _free(held: list[Held]) -> bool:
    """Whether there are updates alone, and not enough right ones to show the rate."""
    updates = all(of is not None and of.is_update for _, _, of in held)
    several = [match.verdict == AGREES for leaf, match, _ in held if leaf.size > 1]
    return updates and sum(several) < 2 and 2 * sum(several) < len(several)


def _uphill(held: list[Held]) -> bool:
    """Whether all that is wrong are updates in the wrong direction."""
    wrong = [(match, of) for _, match, of in held if match.verdict == DISAGREES]
    return all(
        of is not None and of.is_update and (match.constant or of.constant or 0) < 0
        for match, of in wrong
    )


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
    plain = same and not trial.calls.seeded and not trial.faults
    return alone if plain else trial.calls.backward


class _Reader:
    """Reads, after a run, what was taken for the gradients, in the shapes of the parameters."""

    def __init__(self, trial: Trial, held: list[Held], net: Any) -> None:
        self.held, self.trial, self.net = held, trial, net
        self.leaves: dict[str, Leaf] = {}  # of kept gradients, by their paths
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

    def gradients(self, returned: Any) -> list[Array | None]:
        """In the order of the parameters; None where nothing is there."""
        leaves = Reached().add(returned, "returned").leaves
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
        else:
            values = self._kept(name)
        if values is None or of is None:
            return values
        # A square one that is right when it is transposed is judged as it stands.
        meant = "" if match.verdict == DISAGREES and of.right else of.form
        for form, turned in forms(leaf.shape, values):
            if form == meant:
                return turned / self.rates[i]
        for form, (order, index, shapes) in self.pieces[i].items():
            for other, piece in pieces(shapes, order, index, values):
                if other == form:
                    return piece / self.rates[i]
        return values / self.rates[i]

    def _kept(self, path: str) -> Array | None:
        """What is at a path by now, in containers that may be new."""
        root = path.partition("[")[0].partition(".")[0]
        if root == "returned":
            return None  # it is not there, wherever one looks
        if root == "net" and self.net is not None and steps_of(path)[1] is not None:
            leaf = leaf_at(self.net, path)
            return None if leaf is None else leaf.read()
        kept = self.leaves.get(path)
        now = None if kept is None else kept.held()
        if now is None:  # a walk takes long: it is made where nothing is by now
            found = (leaf for leaf in self.trial.walk().leaves if path in leaf.names)
            if (leaf := next(found, None)) is None:
                return None
            self.leaves[path], now = leaf, leaf.read()
        return now


def leaf_at(net: Any, path: str) -> Leaf | None:
    """The numbers at a path that begins with "net", or None: none are there, or it is no path."""
    _, steps = steps_of(path)
    value = net
    try:
        for key, attribute in steps or ():
            value = getattr(value, key) if attribute else value[key]
    except (AttributeError, LookupError, TypeError):
        return None
    return None if steps is None else leaf_of(value, path, fixed(value))


STEP = re.compile(r"\.(\w+)|\[('(?:[^'\\]|\\.)*'|-?\d+)\]")


@cache  # it is asked after every run
def steps_of(path: str) -> tuple[str, list[tuple[Any, bool]] | None]:
    """The root of a path and its (key, whether it is an attribute); None: written otherwise."""
    root = re.match(r"\w*", path)
    at = root.end() if root else 0
    steps: list[tuple[Any, bool]] = []
    while at < len(path):
        step = STEP.match(path, at)
        if step is None:
            return path[:at], None
        name, key = step.groups()
        steps.append((name, True) if name else (ast.literal_eval(key), False))
        at = step.end()
    return path[: root.end() if root else 0], steps


def _rate(match: Match, of: Fit | None, held: list[Held]) -> float:
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
