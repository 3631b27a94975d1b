"""The line where one small change makes the gradient right, found by running it changed."""

import ast
import builtins
import difflib
import linecache
import time
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from samegrad.implementations.state.snapshot import Snapshot
from samegrad.implementations.tracing.edits import (
    Edit,
    Known,
    Shape,
    edits,
    telling,
)
from samegrad.implementations.tracing.outcome import Outcome
from samegrad.implementations.tracing.probe import Event
from samegrad.implementations.tracing.quantities import READ, Measured
from samegrad.implementations.tracing.search import clean, equal, proportional
from samegrad.implementations.tracing.sites import FUTURE, Site, codes_within, place
from samegrad.implementations.tracing.turned import like_another, takes_off, turning

SECONDS = 3.0  # of the processor, counted by the quickest run
SLOWED = 1.5  # times that is the end
COMPILED = 6e-4  # seconds that a change takes to be made
MOST_NAMES = 30  # of a function
FEW, RUNS = 10, 3  # entries of a parameter that are measured at least; runs that are timed
SAME_LOSS = 1e-9  # relative: rounding of a loss that is computed in another order


@dataclass(frozen=True)
class Repair:
    """A change that makes the gradient right.

    Attributes:
        file, edit: where and what it is.
        turns: whether it gives an update the other sign.
    """

    file: str
    edit: Edit
    turns: bool = False

    @property
    def text(self) -> str:
        """What is there and what was expected, in words."""
        if self.turns:
            return f"`{self.edit.was}` goes up the gradient; expected `{self.edit.new}`"
        return f"`{self.edit.was}`; the gradient is right with `{self.edit.new}`"


class Repairs:
    """Small changes to the user's source that make the gradient right.

    Args:
        backward: computes the gradient.
        outcome: says whether it is right.
        measured: has the loss, and slopes of it.
        snapshot: of the state from which every run starts.
        sites: of the user's functions.
    """

    def __init__(
        self,
        backward: Callable[[], Any],
        outcome: Outcome,
        measured: Measured,
        snapshot: Snapshot,
        sites: Sequence[Site],
    ) -> None:
        self.backward, self.outcome, self.measured = backward, outcome, measured
        self.snapshot, self.sites = snapshot, sites
        self.judged: Sequence[bool | None] = ()
        self.texts: list[str] = []  # of the statements that were seen

    def find(
        self,
        functions: Sequence[FunctionType],
        events: Sequence[Event],
        uphill: bool = False,
        alone: Container[tuple[str, int]] = (),
    ) -> Repair | None:
        """The change that makes the gradient right, where all that do are in one line.

        Args:
            functions: whose code may be changed.
            events: of a run of the backward pass.
            uphill: whether updates have the wrong sign and nothing else: that of their statements
                is tried first, as what they take may be right.
            alone: (file, line) of what no right gradient depends on: these are tried first.
        """
        taken = []
        for _ in range(RUNS):
            self.snapshot.restore()  # gradients that are kept are by now those of an experiment
            start = time.process_time()
            result = self.backward()
            taken.append(time.process_time() - start)
        self.judged = self.outcome.judge(result)
        left = int(SECONDS / (min(taken) + COMPILED))
        until = time.process_time() + SLOWED * SECONDS
        factors = self._factors(result)
        for kind in (turning, telling, edits) if uphill else (telling, edits):
            found: list[Repair] = []
            for unit, edit, first in self._edits(functions, events, factors, kind, alone):
                left -= 1
                if left < 0 or time.process_time() > until or (found and not first):
                    break
                if unit.tried(edit, self._right):
                    found.append(Repair(unit.file, edit, kind is turning))
            if kind is turning:
                # Taking off is what others do, too: then the sign was lost in what is taken off.
                alike = [r for r in found if like_another(r.edit, self.texts)]
                found = alike or [r for r in found if takes_off(r.edit)]
            if found:
                break
        return _decided(found)

    def _factors(self, result: Any) -> tuple[float, ...]:
        """By which gradients are off."""
        params = self.outcome.params
        pairs = zip(self.outcome.gradients(result), params, strict=True)
        off = [
            proportional(g, p.slopes, self.measured.same)
            for g, p in pairs
            if g is not None and (g.size > 1 or len(params) < 3)
        ]
        return tuple(dict.fromkeys(clean(1 / c) for c in off if c and abs(abs(c) - 1) > 1e-3))

    def _edits(
        self,
        functions: Sequence[FunctionType],
        events: Sequence[Event],
        factors: tuple[float, ...],
        kind: Callable[[ast.stmt, Known], Iterator[Edit]],
        alone: Container[tuple[str, int]],
    ) -> Iterator[tuple["_Unit", Edit, bool]]:
        places: list[tuple[bool, _Unit, Any, Known]] = []
        for file in dict.fromkeys(self.sites[event.site].file for event in events):
            members = [f for f in functions if f.__code__.co_filename == file]
            known = _known(file, events, self.sites, factors)
            lines = {s.line for event in events if (s := self.sites[event.site]).file == file}
            tree = ast.parse("".join(linecache.getlines(file, members[0].__globals__)))
            misspelt = _misspelt(tree)
            for top in tree.body:
                if not lines & set(range(top.lineno, (top.end_lineno or top.lineno) + 1)):
                    continue
                unit, clues = _Unit(file, top, members), _clues(top)
                for name, statement in _statements(top, ""):
                    self.texts.append(ast.unparse(statement))
                    if name not in known:
                        continue  # it did not run
                    own = replace(known[name], misspelt=misspelt, **clues.get(name, {}))
                    first = any((file, line) in alone for line in lines_of(statement))
                    places.append((first, unit, statement, own))
        some = any(first for first, *_ in places)
        for first, unit, statement, own in sorted(places, key=lambda place: not place[0]):
            for edit in kind(statement, own):
                yield unit, edit, first or not some

    def _right(self, forward: bool) -> bool:
        """Whether the code as it is now gives right gradients: of the same loss, or of its own."""
        self.snapshot.restore()
        result = self.backward()
        now = self.outcome.judge(result)
        right = all(a is None or b is True for a, b in zip(self.judged, now, strict=True))
        if not right and not forward:
            return False
        gradients = self.outcome.gradients(result)
        self.snapshot.restore()
        here = float(np.asarray(self.measured.loss(), np.float64).reshape(()))
        if equal(np.asarray(here), np.asarray(self.measured.here), SAME_LOSS):
            return right
        if not forward or self.outcome.free or not np.isfinite(here):
            return False
        kept, self.measured.here = self.measured.here, here
        try:
            for g, p in zip(gradients, self.outcome.params, strict=True):
                known = int(np.count_nonzero(~np.isnan(p.slopes)))  # of a large one, a sample
                slopes = self.measured.of_leaf(p.leaf, max(known, FEW))
                if g is None or not np.any(slopes) or not equal(g, slopes, self.measured.same):
                    return False
        finally:
            self.measured.here = kept
        return True


def _decided(found: Sequence[Repair]) -> Repair | None:
    plain = [r for r in found if r.edit.plain]
    plain = [r for r in plain if not r.edit.adds] or plain
    if plain and not all(r.edit.early for r in plain):
        return plain[0] if len({(r.file, r.edit.line) for r in plain}) == 1 else None
    if not plain and len({(r.file, r.edit.line) for r in found}) > 1:
        return None  # a factor or a sign may stand in many a line
    return min(found, key=lambda r: r.edit.line, default=None)


def _known(
    file: str, events: Sequence[Event], sites: Sequence[Site], factors: tuple[float, ...]
) -> dict[str, Known]:
    """By the names of functions."""
    names: dict[str, dict[str, set[Shape]]] = {}
    texts: dict[str, dict[str, set[Shape]]] = {}
    for event in events:
        site = sites[event.site]
        if site.file != file or event.array.dtype.kind not in "fiub":
            continue
        of = texts.setdefault(site.function, {})
        of.setdefault(site.text, set()).add(event.array.shape)
        named = [site.text] if READ.fullmatch(site.text) else []
        named += [site.target] if site.whole and READ.fullmatch(site.target) else []
        for name in named:
            if name != "return" and event.array.dtype.kind == "f":
                own = names.setdefault(site.function, {})
                if name in own or len(own) < MOST_NAMES:
                    own.setdefault(name, set()).add(event.array.shape)
    for site in sites:  # a closure sees what is set around it
        around = names.get(site.owner[-1], {}) if site.owner and site.file == file else {}
        if around and site.function in texts:
            own = names.setdefault(site.function, {})
            for name in list(around)[: MOST_NAMES - len(own)]:
                own.setdefault(name, around[name])
    return {name: Known(names.get(name, {}), of, factors) for name, of in texts.items()}


def lines_of(statement: Any) -> range:
    """The lines of a statement, without those of the statements that it holds."""
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if isinstance(body, list) else statement.end_lineno
    return range(statement.lineno, max(last, statement.lineno) + 1)


def _statements(node: Any, function: str) -> Iterator[tuple[str, Any]]:
    """(function, statement) of all statements inside functions, and lambdas."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function = node.name
    elif function and isinstance(node, ast.stmt):
        yield function, node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            yield "<lambda>", child
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.expr | ast.keyword):
            yield from _statements(child, function)


def _clues(top: ast.stmt) -> dict[str, dict[str, Any]]:
    """What is unused, divides or is called, as `Known` has it, by the names of functions."""
    found = {}
    for node in ast.walk(top):
        if isinstance(node, ast.FunctionDef):
            names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
            read = {n.id for n in names if isinstance(n.ctx, ast.Load)} | {"_"}
            divided = [
                ast.unparse(n.right)
                for n in ast.walk(node)
                if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)
                if not isinstance(n.right, ast.Constant | ast.BinOp)
            ]
            unread = dict.fromkeys(n.id for n in names if n.id not in read)
            calls = [n.func for n in ast.walk(node) if isinstance(n, ast.Call) and len(n.args) == 1]
            called = [ast.unparse(f) for f in calls if _is_users(f)]
            found[node.name] = {
                "unused": list(unread),
                "divisors": list(dict.fromkeys(divided)),
                "callees": list(dict.fromkeys(called)),
            }
    return found


def _misspelt(tree: ast.Module) -> list[tuple[str, str]]:
    """As `Known` has it."""
    nodes = list(ast.walk(tree))
    attributes = [n for n in nodes if isinstance(n, ast.Attribute)]
    set_only = {n.attr for n in attributes if isinstance(n.ctx, ast.Store)}
    read = {n.attr for n in attributes if isinstance(n.ctx, ast.Load)}
    read |= {n.target.attr for n in nodes
             if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Attribute)}  # fmt: skip
    return [
        (name, near)
        for name in sorted(set_only - read)
        for near in difflib.get_close_matches(name, sorted(read))
    ]


def _is_users(called: ast.expr) -> bool:
    """Whether what is called is an entry, an attribute of self, or a name that is no builtin."""
    if isinstance(called, ast.Attribute):
        return isinstance(called.value, ast.Name) and called.value.id == "self"
    return isinstance(called, ast.Subscript) or (
        isinstance(called, ast.Name) and not hasattr(builtins, called.id)
    )


class _Unit:
    """A statement of a module, compiled again with each change."""

    def __init__(self, file: str, top: ast.stmt, functions: Sequence[FunctionType]) -> None:
        self.file, self.top = file, top
        self.flags = functions[0].__code__.co_flags & FUTURE
        plain = self._codes()
        self.length = len(plain)
        self.places = [(f, at) for f in functions if (at := place(f.__code__, plain)) is not None]

    def _codes(self) -> list[CodeType]:
        module = ast.Module([self.top], [])
        return list(codes_within(compile(module, self.file, "exec", self.flags, True)))

    def tried(self, edit: Edit, right: Callable[[bool], bool]) -> bool:
        """Whether the gradient is right with a change."""
        undo = edit.apply()
        try:
            codes = self._codes()
        except (SyntaxError, ValueError, TypeError):
            return False
        finally:
            undo()
        if len(codes) != self.length:
            return False
        kept = [(function, function.__code__) for function, _ in self.places]
        try:
            for function, at in self.places:
                if codes[at].co_freevars == function.__code__.co_freevars:
                    function.__code__ = codes[at]
            return right(edit.forward)
        except (Exception, SystemExit):  # what the code does not bear
            return False
        finally:
            for function, code in kept:
                function.__code__ = code
