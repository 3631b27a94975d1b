"""A turn of a program's loop, run again as often as one likes from where it stood.

What it computes is seen: the variables of all of the user's functions as they return.
"""

import ast
import contextlib
import copy
import random
import re
import sys
from collections.abc import Mapping, Sequence
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.lines import leaf_at
from samegrad.implementations.contract.sources import is_users
from samegrad.implementations.reading import names
from samegrad.implementations.reading.bounded import at_most
from samegrad.implementations.reading.effects import Place
from samegrad.implementations.reading.harmless import harmless
from samegrad.implementations.reading.loops import draws
from samegrad.implementations.reading.turn_source import as_written
from samegrad.implementations.reading.watching import Turn, copied
from samegrad.implementations.reading.written import Written
from samegrad.implementations.state.reach import Reached

Array = Any
Quantity = tuple[str, int, str, int]  # function, its line, variable, which return: first 0, last -1
RETURNED = "returned"
TURN = "turn"
ALL = 1  # which returns: each of them
MOST_TIMES = 200
STATE = "net"
HELD = "held"  # in the place of a function, of targets that an object holds
TARGET = {"y", "target", "targets", "label", "labels", "expected", "desired", "truth"}
MOST_HELD = 6
PRIVATE = re.compile(r"__\w*?(?<!__)")  # which the compiler names by the class
MOST_NUMBERS = 20_000  # in a quantity
MOST_LISTED = 1000
ENDS = (ast.Yield, ast.YieldFrom, ast.Await, ast.Nonlocal)


class Replay:
    """A turn with its own copy of everything.

    Attributes:
        root: the variables by name, of other modules with these before.
        places: of floats in them.
        data: of all numbers in them.
        groups: names of what a turn changes, with the paths of their numbers.
        inner: variables that loops within a turn change.
        stored: variables that a turn binds anew.
        owners: objects of the user's classes.
        held: places of what may be targets, by the names of attributes.
        codes: of the user's functions that the last turn ran.
    """

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        made = copied([
            *(held for _, held in turn.spaces),
            *([] if turn.variables is None else [turn.variables]),
        ])  # fmt: skip
        self.root: dict[str, Any] = {}
        self.groups: dict[str, list[str]] = {}
        self.codes: set[CodeType] = set()
        self._owner: dict[str, tuple[dict[str, Any] | None, str]] = {}
        local = made.pop() if turn.variables is not None else {}
        for name, value in local.items():
            self._add(name, value, None, name)
        for (space, _), held in zip(turn.spaces, made, strict=True):
            for name, value in held.items():
                self._add(name, value, space, name)
        within = [
            n
            for s in turn.loop.node.body
            for n in ast.walk(s)
            if isinstance(n, ast.For | ast.While)
        ]
        stored = [n for loop in within for n in ast.walk(loop) if isinstance(n, ast.Name)]
        self.inner = {n.id for n in stored if isinstance(n.ctx, ast.Store)}
        bound = [n for s in turn.loop.node.body for n in ast.walk(s) if isinstance(n, ast.Assign)]
        targets = [n for b in bound for t in b.targets for n in ast.walk(t)]
        self.stored = {
            n.id for n in targets if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        self.top = turn.variables is None
        self.code, self.function = _compiled(turn.loop, turn, local)
        reached = Reached(closures=False).add(self.root, "net")
        for leaf in reached.leaves:
            if leaf.promotable and leaf.shape:
                with contextlib.suppress(Exception):  # it is held where nothing can be put
                    leaf.promote()
        self.places = [Place(leaf) for leaf in reached.leaves]
        whole = Reached(closures=False, integers=True).add(self.root, "net")
        self.data = [Place(leaf) for leaf in whole.leaves if leaf.size]
        reached = Reached(closures=False).add(self.root, "net")
        self.owners = reached.owners
        words = [(p, re.findall(r"[A-Za-z_]\w*", p.name)[-1]) for p in self.data]
        kept = [(w, p) for p, w in words if "." in p.name and TARGET & set(names.words(w))]
        self.held = dict(kept[:MOST_HELD])
        self.snapshot = reached.snapshot(random=True)

    def _add(self, name: str, value: Any, space: dict[str, Any] | None, own: str) -> None:
        key = name
        while key in self.root:
            key = f"{key}_"
        self.root[key] = value
        self._owner[key] = (space, own)

    def run(
        self, values: Mapping[str, Array] | None = None, wanted: set[Quantity] | None = None,
        read: Sequence[str] = (),
    ) -> tuple[dict[Quantity, Array], dict[str, Array]]:  # fmt: skip
        """What a turn computes, and numbers at some paths after it.

        Args:
            values: put at places before it, by their names.
            wanted: quantities; None: all.
        """
        code = self.code if self.function is None else self.function.__code__  # traced, perhaps
        seen = _Seen(wanted, code, self.top)
        held = [(space, dict(space)) for space, _ in self.turn.spaces]
        np.random.seed(0)
        random.seed(0)
        try:
            if values:
                for place in {p.name: p for p in (*self.places, *self.data)}.values():
                    if place.name in values:
                        place.write(values[place.name])
            targets = {w: p.read() for w, p in self.held.items() if wanted is None or (
                HELD, 0, w, 0) in wanted}  # fmt: skip
            local = {}
            for key, (space, name) in self._owner.items():
                if space is None:
                    local[name] = self.root[key]
                else:
                    space[name] = self.root[key]
            profiler = sys.getprofile()
            with harmless(), at_most():
                sys.setprofile(seen)
                try:
                    if self.function is None:
                        exec(self.code, self.turn.module)  # the user's own loop
                    else:
                        self.function(**local)
                finally:
                    sys.setprofile(profiler)
            self.codes = seen.codes
            ends = self.turn.module if self.top else seen.ends
            if self.top:
                seen.keep((TURN, self.turn.loop.node.lineno), ends)
            for key, (space, name) in self._owner.items():
                now = ends if space is None else space
                if name in now:
                    self.root[key] = now[name]
            for name, members in self.groups.items():
                if wanted is None or (STATE, 0, name, 0) in wanted:
                    leaves = [leaf_at(self.root, path) for path in members]
                    if all(leaf is not None for leaf in leaves):
                        numbers = [np.ravel(leaf.read()) for leaf in leaves if leaf is not None]
                        seen.found[(STATE, 0, name, 0)] = np.concatenate(numbers)
                        seen.found[(STATE, 0, name, -1)] = seen.found[(STATE, 0, name, 0)]
            for word, numbers in targets.items():
                if 0 < numbers.size <= MOST_NUMBERS:
                    seen.found[(HELD, 0, word, 0)] = seen.found[(HELD, 0, word, -1)] = numbers
            seen.stacked()
            after = {}
            for path in read:
                leaf = leaf_at(self.root, path)
                if leaf is not None:
                    after[path] = leaf.read()
            return seen.found, after
        finally:
            for space, before in held:
                for name in [n for n in space if n not in before]:
                    del space[name]
                space.update(before)
            self.snapshot.restore()


class _Seen:
    """A profiler that keeps the variables of functions as they return."""

    def __init__(self, wanted: set[Quantity] | None, code: CodeType, top: bool) -> None:
        self.found: dict[Quantity, Array] = {}
        self.ends: dict[str, Any] = {}
        self.several: dict[tuple[str, int, str], list[Array]] = {}
        self.code, self.top = code, top
        self.wanted = wanted
        self.codes: set[CodeType] = set()
        self.functions = None if wanted is None else {(w[0], w[1]) for w in wanted}

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        if event != "return":
            return
        code = frame.f_code
        if code is self.code:
            if not self.top:
                self.ends = dict(frame.f_locals)
                self.keep((TURN, code.co_firstlineno), self.ends)
            return
        if not is_users(code.co_filename):
            return
        key = (code.co_qualname, code.co_firstlineno)
        self.codes.add(code)
        if self.functions is None or key in self.functions:
            self.keep(key, frame.f_locals)
            self._one((*key, RETURNED), value)

    def keep(self, key: tuple[str, int], variables: Mapping[str, Any]) -> None:
        """Keep the variables that are numbers."""
        if self.functions is not None and key not in self.functions:
            return
        for name, value in list(variables.items()):
            self._one((*key, name), value)

    def _one(self, key: tuple[str, int, str], value: Any) -> None:
        if (
            self.wanted is not None
            and (*key, 0) not in self.wanted
            and (*key, -1) not in self.wanted
        ):
            return
        if isinstance(value, tuple) and key[2] == RETURNED:
            for index, part in enumerate(value):
                self._one((*key[:2], f"{RETURNED}[{index}]"), part)
        numbers = numeric(value)
        if numbers is not None:
            self.found.setdefault((*key, 0), numbers)
            self.found[(*key, -1)] = numbers
            if len(several := self.several.setdefault(key, [])) <= MOST_TIMES:
                several.append(numbers)

    def stacked(self) -> None:
        """Put together what was computed several times."""
        for key, several in self.several.items():
            if 1 < len(several) <= MOST_TIMES and len({v.shape for v in several}) == 1:
                self.found[(*key, ALL)] = np.stack(several)


def numeric(value: Any) -> Array | None:
    """Numbers as an array of floats; None if it is something else."""
    if isinstance(value, np.ndarray):
        known = value.dtype.kind in "fiub" and 0 < value.size <= MOST_NUMBERS
        return np.array(value, np.float64) if known else None
    if isinstance(value, float | int | np.number) and not isinstance(value, bool):
        return np.array(float(value))
    if not (isinstance(value, list | tuple) and 0 < len(value) <= MOST_LISTED):
        return None
    if not isinstance(value[0], float | int | np.number | list | tuple | np.ndarray):
        return None
    try:
        made = np.array(value, np.float64)
    except (TypeError, ValueError):
        return None
    return made if 0 < made.size <= MOST_NUMBERS else None


def _compiled(
    loop: Written, turn: Turn, local: dict[str, Any]
) -> tuple[CodeType, FunctionType | None]:
    """The code of one turn; of a function's loop a function of its variables.

    Raises:
        ValueError: its body cannot stand alone.
    """
    body = [copy.deepcopy(s) for s in loop.node.body if not draws(s)] or [ast.Pass()]
    nodes = [node for s in body for node in ast.walk(s)]
    if any(isinstance(node, ENDS) for node in nodes):
        raise ValueError("a generator's loop")
    for node in nodes:
        if loop.cls and isinstance(node, ast.Attribute) and PRIVATE.fullmatch(node.attr):
            node.attr = f"_{loop.cls.lstrip('_')}{node.attr}"
    given = [n for n in local if n.isidentifier() and n not in loop.shared and n != "__class__"]
    written = as_written(loop, body, TURN, None if turn.variables is None else given)
    if written is not None:
        return written, FunctionType(written, turn.module)
    turns = ast.List([ast.Constant(0)], ast.Load())
    once = ast.For(ast.Name("_turn", ast.Store()), turns, body, [])
    once.lineno, once.end_lineno, once.col_offset = loop.node.lineno, loop.node.end_lineno, 0
    whole = body if isinstance(loop.node, ast.FunctionDef) else [once]
    if turn.variables is None:
        tree = ast.fix_missing_locations(ast.Module([once], []))
        return compile(tree, loop.filename, "exec", dont_inherit=True), None
    shared: list[ast.stmt] = [ast.Global(sorted(loop.shared))] if loop.shared else []
    arguments = ast.arguments([], [ast.arg(n) for n in given], None, [], [], None, [])
    made = ast.FunctionDef(TURN, arguments, [*shared, *whole], [], None)
    made.lineno, made.end_lineno, made.col_offset = loop.node.lineno, loop.node.end_lineno, 0
    tree = ast.fix_missing_locations(ast.Module([made], []))
    code = compile(tree, loop.filename, "exec", dont_inherit=True)
    own = next(c for c in code.co_consts if isinstance(c, CodeType))
    return own, FunctionType(own, turn.module)
