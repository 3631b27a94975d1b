"""Small changes to a line of source: a sign, an axis, a name, a term, `+=` for `=`.

Each is a mistake that people make, undone. Which of them makes a gradient right is found by
running the code with it; see `repairs`.
"""

import ast
import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from samegrad.implementations.tracing.arguments import REDUCING, of_axis, of_number, of_whole

SWAPPED: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE,
}  # fmt: skip
LONGEST = 60  # characters of a statement that is shown
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Edit:
    """A change to one place of a tree.

    Attributes:
        line: where it is.
        plain: whether it is more than a factor or a sign, which could stand in many a line.
        apply: makes it, and gives what undoes it.
        was, new: what it changes, in words of source.
        forward: whether it may be made in the forward pass, too.
        early: whether the first line where it helps is meant, of several.
        adds: whether it adds a factor or a term, which could as well stand in a later line.
    """

    line: int
    plain: bool
    apply: Callable[[], Callable[[], None]]
    was: str
    new: str
    forward: bool = False
    early: bool = False
    adds: bool = False


@dataclass(frozen=True)
class Known:
    """What is known of the values in a function.

    Attributes:
        names: variables, attributes and entries, with the shapes that they had.
        texts: expressions by their source, with their shapes.
        factors: by which gradients are off.
        unused: variables that are set and never read: forgotten, perhaps.
        divisors: what other lines are divided by.
        callees: the user's functions of one argument that are called.
        misspelt: (an attribute that is set and never read, one of nearly that name that is).
    """

    names: Mapping[str, set[Shape]]
    texts: Mapping[str, set[Shape]]
    factors: tuple[float, ...] = ()
    unused: Sequence[str] = ()
    divisors: Sequence[str] = ()
    callees: Sequence[str] = ()
    misspelt: Sequence[tuple[str, str]] = ()

    def of_shape(self, shapes: set[Shape], but: str) -> list[str]:
        """Names of values of one of these shapes."""
        return [name for name, own in self.names.items() if own & shapes and name != but]


def telling(statement: ast.stmt, known: Known) -> Iterator[Edit]:
    """What the code gives away by names that it sets and never reads: they were meant elsewhere."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute):
        target = statement.targets[0]
        for name in (right for wrong, right in known.misspelt if wrong == target.attr):
            meant = ast.Attribute(target.value, name, ast.Store())
            yield statement_edit(statement, ast.Assign([meant], statement.value))
    for parent, field, index, node in expressions(statement) if known.unused else ():
        if isinstance(node, ast.Name) and node.id in known.names:
            for name in known.unused:
                yield replacing(statement, parent, field, index, node, _parsed(name))


def edits(statement: ast.stmt, known: Known) -> Iterator[Edit]:
    """Of one statement, without those nested in it."""
    yield from _of_assignment(statement, known)
    yield from _of_names(statement, known)
    for parent, field, index, node in expressions(statement):
        plain = [*_of_operator(node), *_of_call(node), *of_whole(node), *_of_subscript(node)]
        plain += [*_of_operand(parent, node, known), *_of_indices(node, statement)]
        if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in known.callees:
            others = (name for name in known.callees if name != called)
            plain += [ast.Call(_parsed(name), node.args, node.keywords) for name in others]
        for new in plain:
            early = ".reshape(" in ast.unparse(new)
            yield replacing(statement, parent, field, index, node, new, early=early)
        for new in _of_one(node, known):
            yield replacing(statement, parent, field, index, node, new, adds=True)
        for new in of_axis(node):
            yield replacing(statement, parent, field, index, node, new, forward=True)
        for new in of_number(parent, node):
            yield replacing(statement, parent, field, index, node, new, plain=False)
    for parent, field, index, node in _wholes(statement):
        shapes = known.texts.get(ast.unparse(node), set())
        for name in known.of_shape(shapes, "") if shapes else ():
            if name not in ast.unparse(node):
                new = ast.BinOp(node, ast.Add(), _parsed(name))
                yield replacing(statement, parent, field, index, node, new, adds=True)
                for text in (name, f"({name} > 0)", f"(1 - {name})"):
                    new = ast.BinOp(node, ast.Mult(), _parsed(text))
                    yield replacing(statement, parent, field, index, node, new, adds=True)
        for name in known.unused:
            if name not in ast.unparse(node):
                new = ast.BinOp(node, ast.Add(), _parsed(name))
                yield replacing(statement, parent, field, index, node, new, adds=True)
                new = _parsed(f"list(map(lambda: 0, x, {name}))")
                new.args[0].args[:2] = [_parsed("__import__('operator').add"), node]
                yield replacing(statement, parent, field, index, node, new, adds=True)
        for name in known.divisors if shapes else ():
            if name not in ast.unparse(node):
                new = ast.BinOp(node, ast.Div(), _parsed(name))
                yield replacing(statement, parent, field, index, node, new, adds=True)
        if any(len(shape) == 1 for shape in shapes):
            new = _parsed("x.reshape(-1, 1)")
            new.func.value = node
            yield replacing(statement, parent, field, index, node, new, early=True, adds=True)
        negative = node.operand if isinstance(node, ast.UnaryOp) else ast.UnaryOp(ast.USub(), node)
        yield replacing(statement, parent, field, index, node, negative, plain=False)
        for factor in known.factors:
            new = ast.BinOp(node, ast.Mult(), ast.Constant(factor))
            yield replacing(statement, parent, field, index, node, new, plain=False)


def expressions(statement: ast.stmt) -> Iterator[tuple[Any, str, int | None, ast.expr]]:
    """(parent, field, index in it, expression) of all in a statement, not in nested ones."""
    stack: list[Any] = [] if isinstance(statement, ast.While) else [statement]
    while stack:
        parent = stack.pop()
        for field, value in ast.iter_fields(parent):
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.keyword | ast.Slice | ast.comprehension):
                    stack.append(node)
                if isinstance(node, ast.expr) and not isinstance(node, ast.Lambda):
                    stack.append(node)
                    if isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
                        yield parent, field, index, node


def _wholes(statement: ast.stmt) -> Iterator[tuple[Any, str, int | None, ast.expr]]:
    """What a statement assigns or returns: the value, or the elements of a tuple or dict."""
    value = getattr(statement, "value", None)
    if isinstance(statement, ast.Expr) and isinstance(value, ast.Call) and value.args:
        yield value, "args", len(value.args) - 1, value.args[-1]  # errors.append(error)
    if isinstance(statement, ast.Lambda):
        yield statement, "body", None, statement.body
    if not isinstance(statement, ast.Assign | ast.AugAssign | ast.Return) or value is None:
        return
    if isinstance(value, ast.Tuple | ast.List):
        for index, node in enumerate(value.elts):
            yield value, "elts", index, node
    elif isinstance(value, ast.Dict):
        for index, node in enumerate(value.values):
            yield value, "values", index, node
    else:
        yield statement, "value", None, value


def replacing(
    statement: ast.stmt, parent: Any, field: str, index: int | None, node: ast.expr,
    new: ast.expr, *, plain: bool = True, forward: bool = False, early: bool = False,
    adds: bool = False,
) -> Edit:  # fmt: skip
    """One expression of a statement for another, in place."""
    ast.fix_missing_locations(ast.copy_location(new, node))

    def put(value: ast.expr) -> None:
        if index is None:
            setattr(parent, field, value)
        else:
            getattr(parent, field)[index] = value

    def apply() -> Callable[[], None]:
        put(new)
        return lambda: put(node)

    was, text = ast.unparse(node), ast.unparse(new)
    whole = ast.unparse(statement)
    if "\n" not in whole and len(whole) <= LONGEST:
        undo = apply()
        was, text = whole, ast.unparse(statement)
        undo()
    text = text.replace("__import__('operator').add", "operator.add")
    return Edit(node.lineno, plain, apply, was, text, forward, early, adds)


def _of_assignment(statement: ast.stmt, known: Known) -> Iterator[Edit]:
    """`=` for `+=` and the other way round; `np.add.at` where indices repeat."""
    other: list[ast.stmt] = []
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        if isinstance(statement.targets[0], ast.Attribute | ast.Subscript):
            other.append(ast.AugAssign(statement.targets[0], ast.Add(), statement.value))
    elif (
        isinstance(statement, ast.AugAssign)
        and isinstance(statement.op, ast.Add | ast.Sub)
        and ast.unparse(statement.target) in known.texts  # no counter of a loop
    ):
        target = statement.target
        op: ast.operator = ast.Sub() if isinstance(statement.op, ast.Add) else ast.Add()
        other += [
            ast.Assign([target], statement.value),
            ast.AugAssign(target, op, statement.value),
        ]
        if isinstance(target, ast.Subscript):
            kind = "add" if isinstance(statement.op, ast.Add) else "subtract"
            call = _parsed(f"__import__('numpy').{kind}.at()")
            base = copy.copy(target.value)
            call.args = [base, target.slice, statement.value]
            other.append(ast.Expr(call))
    for new in other:
        yield statement_edit(statement, new)


def _of_names(statement: ast.stmt, known: Known) -> Iterator[Edit]:
    """Another name wherever a statement has one more than once."""
    if not isinstance(statement, ast.Assign | ast.AugAssign | ast.Return):
        return
    read = [ast.unparse(n) for *_, n in expressions(statement) if not isinstance(n, ast.Constant)]
    for text in dict.fromkeys(t for t in read if t in known.names and read.count(t) > 1):
        for name in known.of_shape(known.texts.get(text, set()), text):
            new = _Renaming(text, name).visit(copy.deepcopy(statement))
            if not _cancels(new):
                yield statement_edit(statement, new)


def _cancels(tree: ast.AST) -> bool:
    """Whether something is taken off itself: with zeros, what was right before stays so."""
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and ast.unparse(node.left) == ast.unparse(node.right)
        for node in ast.walk(tree)
    )


def _with_side(parent: Any, node: ast.expr, new: ast.expr) -> ast.expr:
    """An operation with another operand; what is none, as the operand alone."""
    if not isinstance(parent, ast.BinOp):
        return new
    left, right = (new if side is node else side for side in (parent.left, parent.right))
    return ast.BinOp(left, parent.op, right)


class _Renaming(ast.NodeTransformer):
    """Puts one name for another, where it is read."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        read = isinstance(getattr(node, "ctx", None), ast.Load)
        if read and ast.unparse(node) == self.old:
            return ast.copy_location(_parsed(self.new), node)
        return self.generic_visit(node)


def statement_edit(statement: ast.stmt, new: ast.stmt) -> Edit:
    """One statement for another, in place, so that whatever holds it has the new one."""
    ast.fix_missing_locations(ast.copy_location(new, statement))
    kept = dict(vars(statement)), type(statement)

    def apply() -> Callable[[], None]:
        _become(statement, vars(new), type(new))
        return lambda: _become(statement, *kept)

    text = ast.unparse(new).replace("__import__('numpy')", "np")
    return Edit(statement.lineno, True, apply, ast.unparse(statement), text)


def _become(node: ast.AST, fields: Mapping[str, Any], kind: type) -> None:
    node.__class__ = kind
    vars(node).clear()
    vars(node).update(fields)


def _parsed(text: str) -> Any:
    return ast.parse(text, mode="eval").body


def _of_operator(node: ast.expr) -> Iterator[ast.expr]:
    """Another operator, or one operand alone."""
    if isinstance(node, ast.BinOp):
        if type(node.op) in SWAPPED:
            yield ast.BinOp(node.left, SWAPPED[type(node.op)](), node.right)
            yield node.left
        if isinstance(node.op, ast.Sub):
            yield ast.BinOp(node.right, node.op, node.left)
        if isinstance(node.op, ast.Add | ast.Mult):
            yield node.right
        if isinstance(node.op, ast.Pow):
            yield node.left
        yield from _regrouped(node)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPPED:
        yield ast.Compare(node.left, [SWAPPED[type(node.ops[0])]()], node.comparators)


def _regrouped(node: ast.BinOp) -> Iterator[ast.expr]:
    """(a - b) ** 2 for a - b ** 2, and the other way round."""
    if isinstance(a := node.left, ast.BinOp) and not isinstance(a.op, node.op.__class__):
        yield ast.BinOp(a.left, a.op, ast.BinOp(a.right, node.op, node.right))
    if isinstance(b := node.right, ast.BinOp):
        yield ast.BinOp(ast.BinOp(node.left, node.op, b.left), b.op, b.right)


def _of_call(node: ast.expr) -> Iterator[ast.expr]:
    """What a function is applied to, alone; the mean for the sum."""
    if not isinstance(node, ast.Call):
        return
    if len(node.args) == 1 and not node.keywords:
        yield node.args[0]
    name = getattr(node.func, "attr", "")
    if isinstance(node.func, ast.Attribute) and REDUCING.get(name, name) != name:
        func = ast.Attribute(node.func.value, REDUCING[name], ast.Load())
        yield ast.Call(func, node.args, node.keywords)


def _of_subscript(node: ast.expr) -> Iterator[ast.expr]:
    """The index beside it, indices the other way round, the other end left out."""
    if not isinstance(node, ast.Subscript):
        return
    inner = node.slice
    if isinstance(inner, ast.Name | ast.BinOp) or (
        isinstance(inner, ast.Constant) and isinstance(inner.value, int)
    ):
        for op in (ast.Sub(), ast.Add()):
            yield ast.Subscript(node.value, ast.BinOp(inner, op, ast.Constant(1)), ast.Load())
    if isinstance(inner, ast.Slice):
        for text, other in (("1:", ":-1"), (":-1", "1:")):
            if ast.unparse(inner) == text:
                yield ast.Subscript(node.value, _parsed(f"x[{other}]").slice, ast.Load())
    if isinstance(inner, ast.Tuple) and len(inner.elts) == 2:
        turned = ast.Tuple(inner.elts[::-1], ast.Load())
        yield ast.Subscript(node.value, turned, ast.Load())
    if isinstance(node.value, ast.Subscript) and isinstance(inner, ast.Name):
        first = ast.Subscript(node.value.value, inner, ast.Load())
        yield ast.Subscript(first, node.value.slice, ast.Load())


def _of_indices(node: ast.expr, statement: ast.stmt) -> Iterator[ast.expr]:
    """An entry at another index, of those that the statement has."""
    if not isinstance(node, ast.Subscript):
        return
    entries = (n for n in ast.walk(statement) if isinstance(n, ast.Subscript))
    own, every = ([n.id for e in of for n in ast.walk(e.slice) if isinstance(n, ast.Name)]
                  for of in ([node], entries))  # fmt: skip
    for old, new in dict.fromkeys(itertools.product(own, every)):
        at = _Renaming(old, new).visit(copy.deepcopy(node.slice))
        yield ast.Subscript(node.value, at, ast.Load())


def _of_operand(parent: Any, node: ast.expr, known: Known) -> Iterator[ast.expr]:
    """Another name of the same shape, a transpose, a square, a column for a row."""
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
        return
    text = ast.unparse(node)
    shapes = known.texts.get(text, set())
    if text in known.names and not isinstance(parent, ast.Attribute):
        for name in known.of_shape(shapes, text):
            if not _cancels(_with_side(parent, node, _parsed(name))):
                yield _parsed(name)
        if isinstance(parent, ast.BinOp):
            yield ast.BinOp(node, ast.Pow(), ast.Constant(2))
    product = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.MatMult)
    if product or (isinstance(parent, ast.Call) and getattr(parent.func, "attr", "") == "dot"):
        yield ast.Attribute(node, "T", ast.Load())
    sum_of = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Sub | ast.Add)
    if sum_of and text in known.names:
        for name in known.of_shape(shapes, text):
            yield ast.BinOp(node, ast.Mult(), _parsed(name))
    if sum_of and any(len(shape) in (1, 2) for shape in shapes):
        for ending in ("reshape(-1, 1)", "ravel()"):
            call = _parsed(f"x.{ending}")
            call.func.value = node
            yield call


def _of_one(node: ast.expr, known: Known) -> Iterator[ast.expr]:
    """What is left of 1, 1 more, or whether it is above 0."""
    if ast.unparse(node) in known.names:
        yield ast.BinOp(ast.Constant(1), ast.Sub(), node)
        yield ast.BinOp(node, ast.Add(), ast.Constant(1))
        yield ast.Compare(node, [ast.Gt()], [ast.Constant(0)])
