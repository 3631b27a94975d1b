"""What a parameter is for, by what the body of its function does with it."""

import ast
import inspect
import linecache
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import CodeType, FunctionType
from typing import Any

from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import parameters

SIZED = {"len", "zip", "enumerate", "pairwise", "list", "tuple", "sum"}
SHAPED = {"zeros", "ones", "empty", "full", "randn", "rand", "normal", "uniform", "standard_normal",
          "random", "random_sample", "range", "eye", "integers", "randint"}  # fmt: skip

SIZES = {"shape", "size"}  # of an array
VALUE = ("loss", "forward", "fn", "calculate", "__call__", "compute", "calc_loss", "calc", "cost")
SLOPE = ("grad", "backward", "gradient", "derivative", "prime", "delta", "derivate", "deriv",
         "dLoss", "d_loss", "dloss", "loss_prime", "loss_grad", "loss_derivative")  # fmt: skip


def body(function: Callable[..., Any]) -> ast.AST | None:
    """The syntax tree of a function or class; None if its text is not known."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return _of_cell(function) if isinstance(function, type) else None


def _of_cell(cls: type) -> ast.AST | None:
    """The syntax tree of a class of a notebook, whose module has no text, by one of its methods."""
    codes = (value.__code__ for value in vars(cls).values() if isinstance(value, FunctionType))
    code = next(codes, None)
    text = "".join(linecache.getlines(code.co_filename)) if code is not None else ""
    try:
        nodes = ast.walk(ast.parse(text))
    except (SyntaxError, ValueError):
        return None
    line = code.co_firstlineno if code is not None else 0
    found = (n for n in nodes if isinstance(n, ast.ClassDef) and n.name == cls.__name__)
    return next((n for n in found if n.lineno <= line <= (n.end_lineno or 0)), None)


def used_as(function: Callable[..., Any], name: str) -> str:
    """How a body uses a parameter.

    Returns:
        "sizes" (a list that is measured, cut or run through), "pairs" or "triples" (a list of
        tuples of so many), "width" (a number in a shape), "callable", or "".
    """
    tree = body(function)
    if tree is None:
        return ""
    nodes = list(ast.walk(tree))
    several = {id(n.value) for n in nodes if isinstance(n, ast.Assign)}  # self.X, self.y = X, y
    found = [kind for n in nodes if id(n) not in several and (kind := _use(n, name))]
    held = held_as(nodes, name) if isinstance(function, type) else ""
    found += [kind for n in nodes if held and (kind := _tuples(n, held))]
    order = ("triples", "pairs", "sizes", "callable", "width")
    return next((kind for kind in order if kind in found), "")


def _use(node: ast.AST, name: str) -> str:
    if isinstance(node, ast.For | ast.comprehension) and is_name(node.iter, name):
        return _tuples(node, name) or "sizes"
    if isinstance(node, ast.Subscript) and is_name(node.value, name):
        return "sizes"
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else (
            getattr(node.func, "id", ""))  # fmt: skip
        if is_name(node.func, name):
            return "callable"
        given = [*node.args, *(kw.value for kw in node.keywords)]
        if called in SIZED and any(is_name(a, name) for a in given):
            return "sizes"
        if called in SHAPED and any(is_name(a, name) for a in given):
            return "width"
    if isinstance(node, ast.Tuple) and len(node.elts) <= 4 and any(
        is_name(e, name) for e in node.elts
    ) and isinstance(node.ctx, ast.Load):  # fmt: skip
        return "width"
    return ""


def held_as(nodes: Sequence[ast.AST], name: str) -> str:
    """The attribute that holds a parameter of a constructor as it is, and never anything else."""
    stored = [(target, n.value) for n in nodes if isinstance(n, ast.Assign) for target in n.targets]
    held = [ast.unparse(target) for target, value in stored if is_name(value, name)]
    if len(held) != 1 or sum(ast.unparse(t) == held[0] for t, _ in stored) > 1:
        return ""
    return held[0]


def _tuples(node: ast.AST, text: str) -> str:
    """Say "pairs" or "triples" if a loop goes through such, by itself or with their numbers."""
    if not isinstance(node, ast.For | ast.comprehension):
        return ""
    over, target = node.iter, _unpacked_in(node) or node.target
    numbered = getattr(getattr(over, "func", None), "id", "") == "enumerate"
    if isinstance(over, ast.Call) and numbered and isinstance(target, ast.Tuple):
        over, target = over.args[0], target.elts[1]
    if ast.unparse(over) != text or not isinstance(target, ast.Tuple):
        return ""
    return {2: "pairs", 3: "triples"}.get(len(target.elts), "")


def _unpacked_in(loop: ast.For | ast.comprehension) -> ast.expr | None:
    """What the body of a loop unpacks its variable into."""
    for node in loop.body if isinstance(loop, ast.For) else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == ast.unparse(loop.target):
            return node.targets[0]
    return None


def compared(cls: type, name: str) -> list[Any]:
    """The constants that a parameter, or the attribute that keeps it, is compared with."""
    tree = body(cls)
    found: list[Any] = []
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.Is | ast.NotEq):
            texts = ast.unparse(node.left), node.comparators[0]
            if texts[0] in (name, f"self.{name}") and isinstance(texts[1], ast.Constant):
                found.append(texts[1].value)
    return list(dict.fromkeys(v for v in found if isinstance(v, str | bool)))


def keys_of(cls: type, name: str, namespace: dict[str, Any]) -> list[Any]:
    """The keys of the dict that a parameter, or the attribute that keeps it, is looked up in."""
    tree = body(cls)
    nodes = list(ast.walk(tree)) if tree is not None else []
    held = (name, held_as(nodes, name))
    for node in nodes:
        of: ast.expr | None = None
        key: ast.expr = ast.Constant(None)
        if isinstance(node, ast.Subscript):
            of, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            of, key = node.func.value if node.func.attr == "get" else None, node.args[0]
        if of is None or ast.unparse(key) not in held:
            continue
        try:
            if isinstance(of, ast.Attribute) and is_name(of.value, "self"):
                found = getattr(cls, of.attr)
            else:
                found = eval(ast.unparse(of), dict(namespace))  # a dict of the user's file
        except Exception:  # what only an object has
            continue
        if isinstance(found, dict) and found:
            return list(found)
    return []


def loss_methods(cls: type) -> tuple[str, str] | None:
    """The methods of a loss object that give the loss of outputs and targets, and its slopes."""
    value, slope = (next((n for n in known if _defined(cls, n)), "") for known in (VALUE, SLOPE))
    if not value or not slope:
        return None
    static = isinstance(inspect.getattr_static(cls, value), staticmethod)
    try:
        several = len(parameters(getattr(cls, value))) >= 3 - static
    except (TypeError, ValueError):
        return None
    return (value, slope) if several else None


def _defined(cls: type, name: str) -> bool:
    return any(name in klass.__dict__ for klass in cls.__mro__[:-1])


def unpacked(function: Callable[..., Any], name: str) -> list[Any]:
    """The names that a body unpacks a parameter into, nested as they are there; [] if it does not.

    Of `W1, b1, W2, b2 = params` these four; of `(W1, b1), (W2, b2) = params` two lists of two.
    """
    tree = body(function)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Assign) and is_name(node.value, name):
            pattern = _pattern(node.targets[0])
            if isinstance(pattern, list):
                return pattern
    return []


def _pattern(target: ast.AST) -> list[Any] | str | None:
    """A target of an assignment: a name, or a list of such; None where it is anything else."""
    if isinstance(target, ast.Tuple | ast.List):
        parts = [_pattern(part) for part in target.elts]
        return None if any(part is None for part in parts) else parts
    return target.id if isinstance(target, ast.Name) else None


def is_name(node: ast.AST, name: str) -> bool:
    """Whether a node is a name."""
    return isinstance(node, ast.Name) and node.id == name


def judged(statements: Sequence[ast.stmt]) -> list[str]:
    """Functions whose results a loss is given as they are: `loss(net(x), y)`."""
    calls = (node for s in statements for node in ast.walk(s) if isinstance(node, ast.Call))
    given = (a for c in calls if names.LOSS.fullmatch(getattr(c.func, "id", "")) for a in c.args)
    return [a.func.id for a in given
            if isinstance(a, ast.Call) and isinstance(a.func, ast.Name)]  # fmt: skip


def called_in(function: Callable[..., Any], name: str) -> bool:
    """Whether a body calls a parameter."""
    tree = body(function)
    nodes = ast.walk(tree) if tree is not None else ()
    return any(isinstance(node, ast.Call) and is_name(node.func, name) for node in nodes)


def subtracts(function: Callable[..., Any], name: str) -> bool:
    """Whether a parameter is subtracted, as targets are; or may be, for all that is known."""
    tree = body(function)
    return tree is None or any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and any(is_name(side, name) for side in (node.left, node.right))
        for node in ast.walk(tree)
    )


def calls(name: str, statements: Sequence[ast.stmt]) -> int:
    """In how many places statements call something by a name."""
    nodes = (node for s in statements for node in ast.walk(s))
    return sum(isinstance(node, ast.Call) and is_name(node.func, name) for node in nodes)


def returns_several(function: Callable[..., Any]) -> bool:
    """Whether a function returns a tuple somewhere."""
    tree = body(function)
    return tree is not None and any(
        isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple)
        for node in ast.walk(tree)
    )


@cache
def gives_loss(code: CodeType) -> bool:
    """Whether a function returns what it calls a loss, beside gradients."""
    parts = returned_names(code)
    called = [p for p in parts if names.LOSS.fullmatch(p) and not names.WEAK.fullmatch(p)]
    others = {"" if names.role(p) == "grads" or names.GRADIENT.fullmatch(p) else p
              for p in parts if p not in called}  # fmt: skip
    return bool(called) and others == {""}


def kept_arguments(cls: type) -> Iterator[tuple[str, str]]:
    """Attributes that a method other than the constructor takes from its parameters, with these."""
    tree = body(cls)
    for function in ast.walk(tree) if tree is not None else ():
        if not isinstance(function, ast.FunctionDef) or function.name == "__init__":
            continue
        given = {a.arg for a in function.args.args}
        for node in ast.walk(function):
            if not isinstance(node, ast.Assign) or len(node.targets) != 1:
                continue
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=False))
            for left, right in pairs:
                if (
                    isinstance(left, ast.Attribute)
                    and is_name(left.value, "self")
                    and isinstance(right, ast.Name)
                    and right.id in given
                ):
                    yield left.attr, right.id


def placed_arguments(cls: type) -> Iterator[tuple[str, str]]:
    """Attributes that get a parameter of a method, or each of its rows, at their first place."""
    tree = body(cls)
    for function in ast.walk(tree) if tree is not None else ():
        if not isinstance(function, ast.FunctionDef) or function.name == "__init__":
            continue
        of = {a.arg: a.arg for a in function.args.args}
        for node in ast.walk(function):
            if isinstance(node, ast.For):
                over = [n.id for n in ast.walk(node.iter) if isinstance(n, ast.Name)]
                each = [n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)]
                of |= {name: of[p] for p in over[:1] if p in of for name in each}
        for node in ast.walk(function):
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if not isinstance(node, ast.Assign) or not isinstance(target, ast.Subscript):
                continue
            held = target.value
            place = target.slice.value if isinstance(target.slice, ast.Constant) else None
            if not (isinstance(held, ast.Attribute) and is_name(held.value, "self")):
                continue
            value = node.value
            while isinstance(value, ast.Attribute | ast.Subscript):
                value = value.value
            if place == 0 and isinstance(value, ast.Name) and value.id in of:
                yield held.attr, of[value.id]


def returned_names(function: Callable[..., Any] | CodeType) -> list[str]:
    """The names of what a function returns: of `return A2, cache` these two; or []."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return []
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value]
    if not found:
        return []
    last = found[-1]
    parts = last.elts if isinstance(last, ast.Tuple) else [last]
    return [
        part.id if isinstance(part, ast.Name)
        else part.attr if isinstance(part, ast.Attribute) else ""
        for part in parts
    ]  # fmt: skip


def calls_of(
    cls: type, statements: Sequence[ast.stmt], namespace: dict[str, Any]
) -> Iterator[tuple[ast.Call, dict[str, Any]]]:
    """Calls of a class anywhere in a file; arguments by name where they can be evaluated."""
    for statement in statements:
        for node in ast.walk(statement):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == cls.__name__):
                continue
            try:
                known = parameters(cls)
            except (TypeError, ValueError):
                return
            pairs = [*zip((p.name for p in known), node.args, strict=False),
                     *((kw.arg, kw.value) for kw in node.keywords if kw.arg)]  # fmt: skip
            evaluated: dict[str, Any] = {}
            for parameter, expression in pairs:
                try:
                    code = compile(ast.Expression(expression), "samegrad", "eval")
                    evaluated[parameter] = eval(code, dict(namespace))  # of the user's file
                except Exception:  # a name that is not there without a run
                    continue
            yield node, evaluated


def calls_for_each(function: Callable[..., Any], name: str) -> bool:
    """Whether a function calls another one, by its name, with each example that it runs through.

    What is measured there, or called a batch, is none.
    """
    tree = body(function)
    nodes = list(ast.walk(tree)) if tree is not None else []
    measured = {n.value.id for n in nodes if isinstance(n, ast.Attribute) and n.attr in SIZES
                and isinstance(n.value, ast.Name)}  # fmt: skip
    measured |= {arg.id for n in nodes if isinstance(n, ast.Call)
                 and getattr(n.func, "id", "") == "len"
                 for arg in n.args if isinstance(arg, ast.Name)}  # fmt: skip
    each: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.For | ast.comprehension):
            parts = {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
            if not parts & measured and not any("batch" in part.lower() for part in parts):
                each |= parts
    return any(
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) == name
        and any(isinstance(arg, ast.Name) and arg.id in each for arg in node.args)
        for node in nodes
    )


def needed(function: Callable[..., Any]) -> list[str]:
    """The names of parameters without which a function cannot be called."""
    try:
        return [p.name for p in parameters(function) if p.default is p.empty]
    except (TypeError, ValueError):
        return []


def first_of(backward: Any) -> str:
    """The backward pass that is called before another one, or before its step; or ""."""
    return getattr(getattr(getattr(backward, "step", backward), "first", None), "name", "")
