"""Loops that train: of scripts, and of functions such as `fit`; one turn of one as a function."""

import ast
import linecache
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from types import FunctionType, MappingProxyType
from typing import Any

from samegrad.implementations.reading import names
from samegrad.implementations.reading.loading import Loaded, remember
from samegrad.implementations.reading.turn_source import another_name, spaced
from samegrad.implementations.tracing.sites import codes_within

DRAWS = ("plt", "pyplot", "ax", "fig", "sns", "print", "tqdm", "display", "pbar", "writer")
STEPS = "_steps"  # a variable: whether a turn updates the weights
# What a body of a loop may hold that no function around it alone can.
ENDS = (ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal)
TURNING = (ast.Break, ast.Continue)
NONE: Mapping[str, str] = MappingProxyType({})


@dataclass
class Loop:
    """A loop that updates arrays.

    Attributes:
        before: statements of the file before it, and those of outer loops before inner ones.
        bindings: loop variables with what they run over.
        body: one turn, without what prints and draws.
        filename: of the statements.
        header: its first line.
        function: the qualified name of the function that it stands in, or "".
        given: names that this function has from elsewhere: its arguments.
        held: data within the object that it has from there.
        supplied: names of what it loads, where that is ours.
        learnt: names of the weights, of a pass that stands in no loop and may change none.
    """

    before: list[ast.stmt]
    bindings: list[tuple[ast.expr, ast.expr]]
    body: list[ast.stmt]
    filename: str
    header: int
    function: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    held: tuple[Any, ...] = ()
    supplied: tuple[str, ...] = ()
    learnt: tuple[str, ...] = ()

    @property
    def turn(self) -> str:
        """It in words."""
        return "one pass" if self.learnt else "one turn of the loop"

    @property
    def lines(self) -> str:
        """Where it stands."""
        first = self.body[0].lineno if self.learnt else self.header
        return f"lines {first} to {max(s.end_lineno or 0 for s in self.body)}"

    @property
    def elements(self) -> set[str]:
        """The variables of loops within a turn."""
        inner = [n for s in self.body for n in ast.walk(s) if isinstance(n, ast.For)]
        return {n.id for each in inner for n in ast.walk(each.target) if isinstance(n, ast.Name)}


def loops(loaded: Loaded) -> Iterator[Loop]:
    """The loops that update something, of the top level and below `if __name__`."""
    before: list[ast.stmt] = []
    for block in loaded.blocks:
        yield from _of_body(block.tree.body, before, block.filename)


def loops_of(function: ast.FunctionDef, cls: str, filename: str) -> Iterator[Loop]:
    """Those of a function, or of a method of a class."""
    name = f"{cls}.{function.name}" if cls else function.name
    for node in ast.walk(function) if cls else ():  # as the compiler names what is private
        if isinstance(node, ast.Attribute) and node.attr.startswith("__") > node.attr.endswith(
            "__"
        ):
            node.attr = f"_{cls.lstrip('_')}{node.attr}"
    for loop in _of_body(function.body, [], filename):
        yield replace(loop, function=name)


def _of_body(body: Sequence[ast.stmt], before: list[ast.stmt], filename: str) -> Iterator[Loop]:
    for statement in flat(body):
        if isinstance(statement, ast.For | ast.While) and updated(
            statement, _unpacked(statement.body)
        ):
            yield _inner(statement, list(before), filename)
        else:
            before.append(statement)


def updates(loop: Loop) -> dict[str, list[ast.stmt]]:
    """The statements of a turn that change something by what it was, by its name."""
    found: dict[str, list[ast.stmt]] = {}
    unpacked = _unpacked(loop.body)
    for statement in loop.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign | ast.AugAssign):
                for name in updated(node, unpacked):
                    found.setdefault(name, []).append(node)
    return found


def literal_rate(loop: Loop, weights: Set[str]) -> float | None:
    """The one number below 1 that all updates of weights have in their lines; None: no such one."""
    known = set()
    for name, statements in updates(loop).items():
        if name in weights:
            nodes = [n for s in statements for n in ast.walk(s) if isinstance(n, ast.Constant)]
            known.add(frozenset(n.value for n in nodes if type(n.value) is float and n.value < 1))
    (one,) = known if len(known) == 1 else (frozenset(),)
    return next(iter(one)) if len(one) == 1 else None


def flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements with those of `if __name__ == "__main__"` and `with` among them."""
    for statement in body:
        if (
            isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)
        ) or isinstance(statement, ast.With):
            yield from flat(statement.body)
        else:
            yield statement


def updated(node: ast.AST, unpacked: Mapping[str, str] = NONE) -> set[str]:
    """Names that are changed by what they were: W -= ..., W = W - ..., W[i] += ...

    Args:
        unpacked: variables with what they are of: to read or change one is to do so with that.
    """
    found = set()
    for child in ast.walk(node):
        if isinstance(child, ast.AugAssign):
            found.add(_root(child.target))
        if isinstance(child, ast.Assign):
            read = {_root(n) for n in ast.walk(child.value) if isinstance(n, ast.expr)}
            read |= {unpacked[name] for name in read if name in unpacked}
            for target in child.targets:
                found |= {_root(part) for part in _parts(target)} & read
    return (found | {unpacked[name] for name in found if name in unpacked}) - {""}


def _unpacked(body: Sequence[ast.stmt]) -> dict[str, str]:
    """Variables with what they are of: of `W, b = params`, params; p of `zip(params, grads)`."""
    found: dict[str, str] = {}
    for node in (n for s in body for n in ast.walk(s)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            if isinstance(node.targets[0], ast.Tuple | ast.List):
                names_of = (n for n in ast.walk(node.targets[0]) if isinstance(n, ast.Name))
                found |= {name.id: node.value.id for name in names_of}
        elif isinstance(node, ast.For):
            over, given = node.iter, [node.iter]
            if isinstance(over, ast.Call) and getattr(over.func, "id", "") == "zip":
                given = over.args
            for part, of in zip(_parts(node.target), given, strict=False):
                if isinstance(part, ast.Name) and isinstance(of, ast.Name):
                    found[part.id] = of.id
    return found


def _parts(target: ast.expr) -> list[ast.expr]:
    return target.elts if isinstance(target, ast.Tuple | ast.List) else [target]


def _root(node: ast.expr) -> str:
    """The variable, or the attribute of self, that an expression starts at."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self":
            return node.attr
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_read(node: ast.expr) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Load)


def _inner(loop: ast.For | ast.While, before: list[ast.stmt], filename: str) -> Loop:
    """The innermost loop that holds every update of the outer one's weights."""
    bindings = [(loop.target, loop.iter)] if isinstance(loop, ast.For) else []
    held = {name for name in updated(loop) if names.WEIGHT.fullmatch(names.plain(name))}
    body = list(loop.body)
    for index, statement in enumerate(body):
        if not isinstance(statement, ast.For | ast.While):
            continue
        outside = set().union(*(updated(s) for s in body if s is not statement))
        changes = updated(statement)
        made = {id(s): new for s in body[:index] if (new := _made(s)) and new <= changes}
        anew = bool(held) and held <= set().union(*made.values())  # as in a loop over seeds
        ahead = any(
            isinstance(node, ast.expr)
            and (_root(node) in held or (_root(node) in changes and _is_read(node)))
            for s in body[:index]
            if not (draws(s) or _keeps(s) or (anew and id(s) in made))
            for node in ast.walk(s)
        )  # what is computed of weights is the forward pass, and this loop only goes through them
        own = ast.walk(statement.target) if isinstance(statement, ast.For) else ()
        changed = held - {_root(n) for n in own if isinstance(n, ast.Name)}  # its own are of others
        if changed and changed <= changes and not changed & outside and not ahead:
            found = _inner(statement, before, filename)
            setup = [s for s in body[:index] if not draws(s)]
            return replace(
                found, before=[*found.before, *setup], bindings=bindings + found.bindings
            )
    return Loop(before, bindings, [s for s in body if not draws(s)], filename, loop.lineno)


def _made(statement: ast.stmt) -> set[str]:
    """The variables that a statement gives what calls have made, such as random numbers."""
    if not isinstance(statement, ast.Assign):
        return set()
    if not any(isinstance(node, ast.Call) for node in ast.walk(statement.value)):
        return set()
    found = {part for target in statement.targets for part in _parts(target)}
    return {p.id for p in found if isinstance(p, ast.Name)}


def draws(statement: ast.stmt) -> bool:
    """Whether a statement only shows something, by itself, in an `if` or a loop."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return _root(statement.value.func) in DRAWS
    if isinstance(statement, ast.For):  # what is appended in one goes on
        return all(map(draws, [*statement.body, *statement.orelse]))
    if isinstance(statement, ast.If):
        return all(draws(s) or _keeps(s) for s in [*statement.body, *statement.orelse])
    return False


def with_shown(loop: Loop) -> Loop | None:
    """The loop with the loss that it computes in some turns, to show it; None if it has none."""
    body = [_loss_within(s) if isinstance(s, ast.If) else s for s in loop.body]
    return replace(loop, body=body) if body != loop.body else None


def _loss_within(choice: ast.If) -> ast.stmt:
    """What an `if` assigns to a loss, of what is there without it; or all of it."""
    stored = [n.id for s in choice.body for n in ast.walk(s)
              if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # fmt: skip
    for inner in choice.body:
        target = inner.targets[0] if isinstance(inner, ast.Assign) else None
        if not isinstance(inner, ast.Assign) or not isinstance(target, ast.Name):
            continue
        read = {n.id for n in ast.walk(inner.value) if isinstance(n, ast.Name)}
        others = set(stored) - {target.id}
        if names.LOSS.fullmatch(names.plain(target.id)) and not read & others:
            return inner
    return choice


def _keeps(statement: ast.stmt) -> bool:
    """Whether a statement only keeps a value for later, or passes."""
    return isinstance(statement, ast.Pass | ast.Break) or (
        isinstance(statement, ast.Expr) and "append(" in ast.unparse(statement)
    )


def one_turn(loop: Loop) -> ast.stmt:
    """A loop of one turn, for what ends it, or goes on."""
    once = ast.For(ast.Name("_turn", ast.Store()), ast.List([ast.Constant(0)], ast.Load()),
                   loop.body, [])  # fmt: skip
    return ast.fix_missing_locations(once)


def as_function(loop: Loop, space: dict[str, Any], weights: set[str]) -> FunctionType | None:
    """One turn as a function over a namespace, on the lines of the file; None where it has no room.

    Its source is the file's with nothing but the turn, under another name of the same file, so
    that it can be traced and changed as any function of the user's. Weights, by the names of their
    variables and attributes, are updated where STEPS is true in the namespace.
    """
    lines = linecache.getlines(loop.filename)
    cls, top = loop.function.rpartition(".")[0], loop.header - 1
    nodes = [node for statement in loop.body for node in ast.walk(statement)]
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    stored |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    indent = " " if cls else ""
    head = [
        *([f"class {cls}:\n"] if cls else []),  # which private names are of
        f"{indent}def turn():\n",
        f"{indent} global {', '.join(sorted(stored | {'_turn'}))}\n",
        f"{indent} for _turn in [0]:\n",
    ]
    short = top + 1 < len(head)  # as in a cell that begins with the loop
    if any(isinstance(node, (*ENDS, *TURNING) if short else ENDS) for node in nodes):
        return None
    first = loop.body[0]
    if short:
        if cls or first.lineno == loop.header or not hasattr(first, "value"):
            return None
        head = head[:1]
    kept = {n for s in loop.body for n in range(s.lineno - 1, s.end_lineno or s.lineno)}
    text = [line if i in kept else "\n" for i, line in enumerate(lines)]
    at_first = 2 if loop.learnt else first.col_offset  # all go in alike
    for statement in loop.body:
        at = statement.col_offset
        for i in range(statement.lineno - 1, (statement.end_lineno or 0) if at != at_first else 0):
            own = lines[i][:at]
            text[i] = f"{' ' * at_first}{lines[i][at:] if own.isspace() else lines[i]}"

    text[top + 1 - len(head) : top + 1] = head
    unpacked, held = _unpacked(loop.body), set[int]()
    for statement in loop.body:
        if isinstance(statement, ast.Assign | ast.AugAssign):
            number, at = statement.lineno - 1, at_first
            if number not in held and weights & updated(statement, unpacked):
                held.add(number)  # those after it on its line, too
                text[number] = f"{text[number][:at]}if {STEPS}: {text[number][at:]}"
    if short:  # in front of a simple statement
        line, at = text[first.lineno - 1], first.col_offset
        text[first.lineno - 1] = f"{line[:at]}global {', '.join(sorted(stored))}; {line[at:]}"
    source, filename = "".join(map(spaced, text)), another_name(loop.filename)
    try:
        plain = list(codes_within(compile(source, filename, "exec", dont_inherit=True)))
    except (SyntaxError, ValueError):
        return None
    remember(filename, source)
    return FunctionType(next(code for code in plain if code.co_name == "turn"), space)
