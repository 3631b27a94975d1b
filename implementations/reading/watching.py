"""A program that runs as its user runs it, watched: how things stand where turns of loops begin.

It is stopped as soon as a loop has had some turns that change numbers. In a child process only.
"""

import ast
import copy
import os
import random
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.implementations.contract.sources import is_users
from samegrad.implementations.contract.texts import UNPARSABLE
from samegrad.implementations.reading import absent
from samegrad.implementations.reading.bounded import TooLongError, at_most
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.harmless import harmless
from samegrad.implementations.reading.hinted import flat
from samegrad.implementations.reading.loading import Loaded, execute
from samegrad.implementations.reading.loops import updated
from samegrad.implementations.reading.programs import imported, siblings
from samegrad.implementations.reading.source import Block, blocks, folder_of_data
from samegrad.implementations.reading.stubs import MOST_STUBS, Stubs
from samegrad.implementations.reading.written import Written, loops_of

SECONDS = 8.0  # of this process for one program
IDLE = 2.5  # the same, in which no turn changes a number
IN_ALL = 10.0  # the same, for several; what has begun may go on
TURNS = 4  # of one loop that are kept; of XOR's examples the first has no slopes
MANY, SOME = 300, 1.5  # turns of a loop, and seconds, after which enough is seen
MOST_COPIED = 10**6  # entries of an array; a larger one is not copied
MOST_LISTED = 200  # items of a list; those of a longer one are shared
KNOWN = {*sys.stdlib_module_names, "numpy", "scipy", "pandas", "matplotlib"}
MOST_NAMES = 400  # of one module
LEAST_CHANGED = 2  # places that a turn of a loop which trains changes
FOREIGN = (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType)


class EnoughError(BaseException):
    """The program has shown what it does."""


@dataclass
class Turn:
    """How things stood as a turn began, copied.

    Attributes:
        loop: the loop.
        module: the variables of its module, as they are called in the program.
        spaces: data among the variables of each module.
        variables: of the function, None at the top level.
        depth: calls around it.
        number: of the turn.
        ids: of what the variables of the loop held.
        changes: at how many places numbers that were there before are others after it.
    """

    loop: Written
    module: dict[str, Any]
    spaces: list[tuple[dict[str, Any], dict[str, Any]]]
    variables: dict[str, Any] | None
    depth: int
    number: int
    ids: dict[str, int]
    changes: int = 0


@dataclass
class _State:
    turns: list[Turn] = field(default_factory=list)
    count: int = 0


def watched(loaded: Loaded) -> Iterator[tuple[Path, list[Turn]]]:
    """Programs that use what a file defines, itself first, and the turns of their loops."""
    until = time.process_time() + IN_ALL
    for path in [loaded.path, *siblings(loaded)]:
        if time.process_time() > until:
            return
        turns = Watch(path).run()
        if turns:
            yield path, turns


def data_of(space: dict[str, Any]) -> dict[str, Any]:
    """What a module holds, without what it defines or imports."""
    kept = {
        k: v for k, v in space.items()
        if not (k.startswith("__") or isinstance(v, FOREIGN) or v is None)
        and k not in ("_turn",)
    }  # fmt: skip
    return dict(list(kept.items())[:MOST_NAMES])


def _is_data(value: Any) -> bool:
    """Whether something is as large as data alone are."""
    if isinstance(value, np.ndarray):
        return value.size > MOST_COPIED
    return isinstance(value, list) and len(value) > MOST_LISTED


def copied(spaces: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Deep copies of variables, in which what was shared is shared; what cannot be is as it is."""
    memo: dict[int, Any] = {}
    found = []
    for space in spaces:
        made = {}
        for name, value in space.items():
            if _is_data(value):  # what it holds stays as it is, though its order may not
                made[name] = list(value) if isinstance(value, list) else value
                continue
            try:
                made[name] = copy.deepcopy(value, memo)
            except Exception:  # a file that is open, a generator
                made[name] = value
        found.append(made)
    return found


class Watch:
    """One run of a program, or of some calls of what a file defines."""

    def __init__(
        self, path: Path, calls: Callable[[], None] | None = None, seconds: float = SECONDS
    ) -> None:
        """Nothing runs yet.

        Args:
            path: of the program, or of the file that defines what is called.
            calls: what is done in the place of the program's statements.
            seconds: of this process, after which it ends.
        """
        self.path, self.calls, self.seconds = path, calls, seconds
        self.loops: dict[str, dict[int, Written]] = {}
        self.states: dict[tuple[str, int], _State] = {}
        self.open: dict[tuple[int, int], Turn | None] = {}
        self.before: dict[int, int] = {}
        self.blocks: list[Block] = []
        self.begins = time.process_time()
        self.ends = self.begins + seconds
        self.done = self.digits = False

    def run(self) -> list[Turn]:
        """The turns that change something, innermost first."""
        try:
            self.blocks = blocks(self.path)
            for block in self.blocks:
                self.loops[block.filename] = loops_of(block.tree, block.filename)
        except (OSError, RecursionError, *UNPARSABLE):
            return []
        known = self.calls or any(updated(b.tree) or imported(b.tree) - KNOWN for b in self.blocks)
        if not known:
            return []  # nothing in it becomes something of what it was
        self.digits = absent.meant("".join(block.source for block in self.blocks))
        module = types.ModuleType("__main__")
        module.__file__ = str(self.path)
        tracer, deep = sys.gettrace(), sys.getrecursionlimit()
        held, here = sys.modules.get("__main__"), os.getcwd()  # noqa: PTH109 # gone back to
        if self.calls is None:
            sys.path.insert(0, str(self.path.parent))
        try:
            os.chdir(folder_of_data(self.path) or self.path.parent)
            if self.calls is None:
                sys.modules["__main__"] = module
            with harmless(self.digits), at_most(self.seconds):
                np.random.seed(0)
                random.seed(0)
                sys.settrace(self._called)
                try:
                    (self.calls or partial(self._run, module))()
                finally:
                    sys.settrace(tracer)
        except (Exception, SystemExit, EnoughError):
            pass  # what was seen until then counts
        finally:
            sys.setrecursionlimit(deep)  # of what reads it, whatever the program has set
            if held is not None:
                sys.modules["__main__"] = held
            os.chdir(here)
        turns = [t for state in self.states.values() for t in state.turns]
        most = {id(t): max(s.changes for s in state.turns)
                for state in self.states.values() for t in state.turns}  # fmt: skip
        return sorted(
            (t for t in turns if t.changes),
            # Where a loop steps after some turns alone, those come first.
            key=lambda t: (-t.depth, -t.loop.first, t.changes < most[id(t)], -t.number),
        )

    def _run(self, module: types.ModuleType) -> None:
        """Run the statements; what raises is left out, as what shows something may."""
        stubs = Stubs(absent.called)
        sys.meta_path.append(stubs)
        stubs.answer()
        for block in self.blocks:
            for statement in flat(block.tree.body):
                self._statement(statement, block.filename, module, stubs)

    def _statement(
        self, statement: ast.stmt, filename: str, module: types.ModuleType, stubs: Stubs
    ) -> None:
        for _ in range(MOST_STUBS):
            try:
                execute([statement], filename, vars(module))
            except ModuleNotFoundError as error:
                if stubs.add(error.name) or _moved(error.name or ""):
                    continue
            except (Exception, SystemExit) as error:
                if self.done or isinstance(error, TooLongError):
                    raise
            return

    def _called(self, frame: types.FrameType, *_: Any) -> Any:
        name = frame.f_code.co_filename
        if name not in self.loops:
            self.loops[name] = self._of_file(name)
        if self.done:
            raise EnoughError
        if not self.loops[name]:
            return None
        function = self.loops[name].get(frame.f_code.co_firstlineno)
        if function is not None and function.called(frame):
            self._turn(frame, function)
        return self._line

    def _of_file(self, name: str) -> dict[int, Written]:
        if name.startswith("<") or not is_users(name):
            return {}
        try:
            return loops_of(ast.parse(Path(name).read_bytes()), name)
        except (OSError, RecursionError, *UNPARSABLE):
            return {}

    def _line(self, frame: types.FrameType, event: str, _: Any) -> Any:
        if self.done:
            raise EnoughError
        if event == "return":
            self._ended(frame)
        if event != "line":
            return self._line
        line, last = frame.f_lineno, self.before.get(id(frame), 0)
        self.before[id(frame)] = line
        loop = self.loops[frame.f_code.co_filename].get(line)
        if loop is None or isinstance(loop.node, ast.FunctionDef):
            return self._line
        if frame.f_code.co_name not in (loop.function, "<module>"):
            return self._line
        inner = loop.node.body[0]
        if isinstance(inner, ast.For | ast.While) and inner.lineno < last <= (
            inner.end_lineno or 0
        ):
            return self._line
        self._turn(frame, loop)
        return self._line

    def _ended(self, frame: types.FrameType) -> None:
        """A call has come to its end."""
        before = self.open.pop((id(frame), frame.f_code.co_firstlineno), None)
        if before is not None:
            _differ(before, frame)

    def _turn(self, frame: types.FrameType, loop: Written) -> None:
        state = self.states.setdefault((loop.filename, loop.first), _State())
        key = (id(frame), loop.first)
        before = self.open.pop(key, None)
        state.count += 1
        if isinstance(loop.node, ast.FunctionDef):
            if before is not None or state.count > TURNS:  # of another frame, or enough
                return
        elif state.count > TURNS + 1:
            now = time.process_time()
            if now > self.begins + IDLE and not any(
                turn.changes for other in self.states.values() for turn in other.turns
            ):
                self._stop()
            seen = state.count > MANY and _is_seen(state)
            if now > self.ends or (seen and now > self.begins + SOME):
                self._stop()
            return
        depth = _depth(frame)
        if before is not None:
            _differ(before, frame)
        if state.count > TURNS:
            outermost = not self._within(frame, loop)
            if outermost and _is_seen(state):
                self._stop()
            return
        spaces = self._spaces(frame)
        local = None if frame.f_code.co_name == "<module>" else dict(frame.f_locals)
        made = copied([*(data_of(s) for s in spaces), *([] if local is None else [local])])
        pairs = list(zip(spaces, made, strict=False))
        variables = None if local is None else made[-1]
        ids = {name: id(value) for name, value in frame.f_locals.items()}
        turn = Turn(loop, frame.f_globals, pairs, variables, depth, state.count, ids)
        state.turns.append(turn)
        self.open[key] = turn

    def _stop(self) -> None:
        self.done = True
        raise EnoughError

    def _within(self, frame: types.FrameType, loop: Written) -> bool:
        """Whether the loop runs within a turn of another."""
        now: types.FrameType | None = frame
        while now is not None:
            for other in self.loops.get(now.f_code.co_filename, {}).values():
                own = now.f_code.co_name == (other.function or "<module>")
                around = now is not frame or other.node.lineno < loop.node.lineno
                around = around and not isinstance(other.node, ast.FunctionDef)
                if own and around and other.holds(now.f_lineno):
                    return True
            now = now.f_back
        return False

    def _spaces(self, frame: types.FrameType) -> list[dict[str, Any]]:
        """The variables of the modules that the user wrote."""
        own = [frame.f_globals]
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            space: dict[str, Any] = getattr(module, "__dict__", {})
            known = isinstance(file, str) and self._is_near(file)
            if known and not any(space is s for s in own):
                own.append(space)
        return own

    def _is_near(self, file: str) -> bool:
        """Whether a file is the user's, and of the same project."""
        return is_users(file) and Path(file).is_relative_to(self.path.parent.parent)


def _moved(name: str) -> bool:
    """Whether what a module had is in the one around it by now; it then stands for that."""
    above = name.rpartition(".")[0]
    if above not in sys.modules or name in sys.modules:
        return False
    sys.modules[name] = sys.modules[above]
    return True


def _depth(frame: types.FrameType) -> int:
    depth, now = 0, frame.f_back
    while now is not None:
        depth, now = depth + 1, now.f_back
    return depth


def _is_seen(state: _State) -> bool:
    """Whether a loop trains: what only fills one array is another one."""
    return any(turn.changes >= LEAST_CHANGED for turn in state.turns)


def _differ(turn: Turn, frame: types.FrameType) -> None:
    """Count the places where numbers that were there before the turn are others by now."""
    pairs = [(held, data_of(space)) for space, held in turn.spaces]
    if turn.variables is not None:
        pairs.append((turn.variables, dict(frame.f_locals)))
    goes_on = updated(turn.loop.node)
    now = frame.f_locals
    bound = {  # anew, whatever it was before
        k for k, held in turn.ids.items() if id(now.get(k)) != held and k not in goes_on
    }
    for old, new in pairs:
        own = new is pairs[-1][1] or turn.variables is None
        kept = [k for k in old if k in new and not (own and k in bound) and not _is_data(old[k])]
        olds = {p.name: p for p in places({k: old[k] for k in kept}, "")}
        news = {p.name: p for p in places({k: new[k] for k in kept}, "")}
        for name, place in olds.items():
            if name in news:
                a, b = place.read(), news[name].read()
                if np.shape(a) == np.shape(b) and not np.array_equal(a, b):
                    turn.changes += 1
