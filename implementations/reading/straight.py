"""Scripts without a loop: one forward and one backward pass, statement after statement.

Worked examples and cells of a notebook are written so. What reads weights begins the pass; it ends
where a second one begins. Weights that it does not change are known by their names.
"""

import ast
from collections.abc import Iterator, Sequence

from samegrad.implementations.reading import names
from samegrad.implementations.reading.loading import Loaded, remember
from samegrad.implementations.reading.loops import Loop, draws, flat, updated

DEFINES = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
LOOPS = (ast.For, ast.While)
LEAST = 3  # statements: a layer, a loss, a gradient
KEPT = ("copy", "shape", "print", "format", "append")  # what reads weights and computes nothing


def straight(loaded: Loaded) -> Iterator[Loop]:
    """The pass of a file that has one outside any loop, as a loop of one turn."""
    body, filename = _whole(loaded)
    trains = _trainers(loaded.statements)
    statements = [s for s in _once(flat(body)) if not (draws(s) or _trained(s, trains))]
    if any(isinstance(s, LOOPS) and _calls_step(s) for s in statements):
        return
    made = _made(statements)
    first = next((i for i, s in enumerate(statements) if _computes(s, set(made))), len(statements))
    before, turn = statements[:first], list[ast.stmt]()
    stored = [name for s in statements for name in _stored(s)]
    for statement in statements[first:]:
        defines = isinstance(statement, DEFINES) or any(statement is s for s in made.values())
        number = isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        set_once = number and all(stored.count(name) == 1 for name in _stored(statement))
        (before if defines or set_once else turn).append(statement)
    turn = _pass(turn, set(made))
    read = {n.id for s in turn for n in ast.walk(s) if isinstance(n, ast.Name)}
    learnt = tuple(name for name in made if name in read)
    if len(turn) >= LEAST and learnt:
        header = turn[0].lineno - 1
        yield Loop(before, [], turn, filename, header, learnt=learnt)


def _trainers(statements: Sequence[ast.stmt]) -> set[str]:
    """Functions of a file that go through many backward passes in a loop."""
    functions = (s for s in statements if isinstance(s, ast.FunctionDef))
    return {
        f.name
        for f in functions
        for loop in ast.walk(f)
        if isinstance(loop, LOOPS)
        for call in ast.walk(loop)
        if isinstance(call, ast.Call) and names.BACKWARD.match(getattr(call.func, "id", ""))
    }


def _trained(statement: ast.stmt, trainers: set[str]) -> bool:
    """Whether weights are given to a function that trains, and come back."""
    value = statement.value if isinstance(statement, ast.Assign) else None
    called = getattr(value.func, "id", "") if isinstance(value, ast.Call) else ""
    return called in trainers and bool(_stored(statement) & _read(statement))


def _whole(loaded: Loaded) -> tuple[Sequence[ast.stmt], str]:
    """The statements of a file; those of cells on the lines of one text."""
    blocks = [block for block in loaded.blocks if not block.fault]
    if len(blocks) == 1:
        return blocks[0].tree.body, blocks[0].filename
    filename = f"{loaded.path}[all cells]"
    source = "\n".join(block.source for block in blocks)
    remember(filename, source)
    return ast.parse(source, filename).body, filename


def _once(statements: Iterator[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements with those of loops that do the same in every turn, and once are enough."""
    for statement in statements:
        turn = statement.body if isinstance(statement, ast.For) else []
        if not turn or not isinstance(statement, ast.For) or updated(statement):
            yield statement
            continue
        read = {n.id for s in turn for n in ast.walk(s) if isinstance(n, ast.Name)}
        if getattr(statement.target, "id", "") not in read and _counts(statement.iter):
            zero = ast.Assign([statement.target], ast.Constant(0), lineno=0)
            yield ast.fix_missing_locations(zero)
            yield from turn
        else:
            yield statement


def _counts(over: ast.expr) -> bool:
    return isinstance(over, ast.Call) and getattr(over.func, "id", "") in ("range", "tqdm")


def _calls_step(loop: ast.stmt) -> bool:
    """Whether a loop is what trains."""
    return any(names.WEIGHT.fullmatch(names.plain(n)) for n in updated(loop))


def _made(statements: Sequence[ast.stmt]) -> dict[str, ast.stmt]:
    """Weights by their names, with the statement that makes them of nothing but numbers."""
    found: dict[str, ast.stmt] = {}
    for statement in statements:
        if not isinstance(statement, ast.Assign):
            continue
        read = {n.id for n in ast.walk(statement.value) if isinstance(n, ast.Name)}
        targets = [n.id for t in statement.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        known = all(_is_weight(name) for name in targets)
        if known and not read & set(found) and not set(targets) & set(found):
            found |= dict.fromkeys(targets, statement)
    return found


def _is_weight(name: str) -> bool:
    plain = names.plain(name)
    return bool(names.WEIGHT.fullmatch(plain)) and names.role(name) not in ("X", "y", "lr", "n")


def _computes(statement: ast.stmt, weights: set[str]) -> bool:
    """Whether a statement computes something of weights."""
    if isinstance(statement, (*DEFINES, ast.Expr)):
        return False
    nodes = list(ast.walk(statement))
    called = [getattr(n.func, "attr", getattr(n.func, "id", "")) for n in nodes
              if isinstance(n, ast.Call)]  # fmt: skip
    works = any(isinstance(n, ast.BinOp) for n in nodes) or any(c not in KEPT for c in called)
    return works and any(isinstance(n, ast.Name) and n.id in weights for n in nodes)


def _pass(turn: Sequence[ast.stmt], weights: set[str]) -> list[ast.stmt]:
    """The first pass: what comes after it computes again what was there before the loss."""
    ahead: set[str] = set()
    behind = False
    for index, statement in enumerate(turn):
        stored = _stored(statement)
        again = isinstance(statement, ast.Assign) and stored & ahead - weights
        if behind and again and not stored & _read(statement):
            return list(turn[:index])
        behind = behind or bool(stored & weights) or any(
            names.LOSS.fullmatch(names.plain(n)) for n in stored
        )  # fmt: skip
        if not behind:
            ahead |= stored
    return list(turn)


def _stored(statement: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(statement)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip


def _read(statement: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(statement)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}  # fmt: skip
