"""Backward passes that go through the layers from the first to the last, as the forward pass does.

What is said follows from the file's text: two loops go through the same layers in the same order,
each hands what it has computed from layer to layer, and one of them calls the layers' backward
passes, or takes their weights transposed where the other does not.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from samegrad.implementations.reading import names
from samegrad.implementations.reading.averages import assigned
from samegrad.implementations.reading.loading import Loaded

REVERSED = re.compile(r"reverse|\[::-1\]|flip|pop\(|sort|-1\)$")
ALL = re.compile(r"(?:list|tuple|iter)\((.*)\)")
VALUES = re.compile(r"\.(?:values|items|children|modules|named_children)\(\)$")


@dataclass(frozen=True)
class _Chain:
    """A loop that hands a value from layer to layer.

    Attributes:
        line: at which it begins.
        layers: the text of what it goes through, or of what it takes elements of.
        kind: "forward" or "backward" of calls of layers, "weights" or "transposed" of products.
        owner: the function that it is in, or "".
        passes: whether what is computed of a layer is handed on under the same name.
    """

    line: int
    layers: str
    kind: str
    owner: str
    passes: bool = True


def not_reversed(loaded: Loaded) -> int | None:
    """The line of a loop of a backward pass that goes through layers from the first on, or None."""
    found = [chain for tree, owner in _bodies(loaded) for chain in _chains(tree, owner)]
    for chain in found:
        others = {c.kind for c in found if c.layers == chain.layers and c != chain}
        if chain.kind == "backward" and "forward" in others:
            return chain.line
    products = [c for c in found if c.kind in ("weights", "transposed")]
    for chain in products:
        for other in products:
            if other.layers == chain.layers and other.kind != chain.kind and chain.passes:
                later = other.owner == chain.owner and other.line < chain.line
                if later or (_is_backward(chain) and not _is_backward(other)):
                    return chain.line
    return None


def _is_backward(chain: _Chain) -> bool:
    return bool(names.BACKWARD.match(chain.owner))


def _bodies(loaded: Loaded) -> Iterator[tuple[ast.AST, str]]:
    """What is to be read by itself: each function with its name, and the rest of the file."""
    whole = ast.Module(loaded.statements, [])
    functions = [n for n in ast.walk(whole) if isinstance(n, ast.FunctionDef)]
    yield from ((f, f.name) for f in functions)
    rest = [s for s in loaded.statements if not isinstance(s, ast.FunctionDef | ast.ClassDef)]
    yield ast.Module(rest, []), ""


def _chains(tree: ast.AST, owner: str) -> Iterator[_Chain]:
    nodes = list(ast.walk(tree))
    held = {name: ast.unparse(value) for n in nodes for name, value in assigned(n)}
    text = "\n".join(ast.unparse(n) for n in nodes if isinstance(n, ast.Expr | ast.Assign))
    for loop in (n for n in nodes if isinstance(n, ast.For)):
        iterated = _plain(held.get(ast.unparse(loop.iter), ast.unparse(loop.iter)))
        if REVERSED.search(ast.unparse(loop.iter)) or REVERSED.search(iterated):
            continue
        if f"{ast.unparse(loop.iter)}.reverse()" in text or ".reverse()" in ast.unparse(loop):
            continue
        for statement in _within(loop):
            for target, value in assigned(statement):
                if kind := _calls(value, target, loop.target):
                    yield _Chain(loop.lineno, iterated, kind, owner)
            for node in ast.walk(statement):
                for side, other in _factors(node):
                    transposed, layers = _weights(other, loop)
                    if layers and ast.unparse(side) != ast.unparse(_transposed(other)[1]):
                        kind = "transposed" if transposed else "weights"
                        passes = _passes(statement, side)
                        yield _Chain(loop.lineno, layers, kind, owner, passes)


def _within(loop: ast.For) -> Iterator[ast.stmt]:
    """The statements of a loop that hold no others."""
    for statement in loop.body:
        if isinstance(statement, ast.If | ast.With):
            yield from (s for s in [*statement.body, *getattr(statement, "orelse", ())]
                        if not isinstance(s, ast.If | ast.For | ast.While))  # fmt: skip
        elif not isinstance(statement, ast.For | ast.While):
            yield statement


def _passes(statement: ast.stmt, side: ast.expr) -> bool:
    """Whether a statement makes a variable of itself, by one of the factors of a product."""
    return any(target in map(ast.unparse, _parts(side)) for target, _ in assigned(statement))


def _plain(text: str) -> str:
    """What a loop goes through, without what keeps its order."""
    while match := ALL.fullmatch(text):
        text = match[1]
    return VALUES.sub("", text)


def _calls(value: ast.expr, target: str, layer: ast.expr) -> str:
    """Whether a layer is given the target of an assignment, and which way it goes; or ""."""
    names_of = {n.id for n in ast.walk(layer) if isinstance(n, ast.Name)}
    if not isinstance(value, ast.Call) or target not in map(ast.unparse, value.args):
        return ""
    if isinstance(value.func, ast.Name):
        return "forward" if value.func.id in names_of else ""
    if not isinstance(value.func, ast.Attribute) or ast.unparse(value.func.value) not in names_of:
        return ""
    if names.BACKWARD.match(value.func.attr):
        return "backward"
    return "forward" if names.FORWARD.match(value.func.attr) else ""


def _weights(node: ast.expr, loop: ast.For) -> tuple[bool, str]:
    """Whether an expression is an element of some weights transposed, and what these are, or ""."""
    transposed, weight = _transposed(node)
    inside = {name: value for s in _within(loop) for name, value in assigned(s)}
    return transposed, _element(inside.get(ast.unparse(weight), weight), loop)


def _factors(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Both sides of a matrix product, in both orders."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        pairs = [(node.left, node.right)]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".dot", ".matmul")):
        method = not isinstance(node.func.value, ast.Name) or len(node.args) == 1  # type: ignore[attr-defined] # a dot has one
        given = [node.func.value, *node.args] if method else node.args  # type: ignore[attr-defined] # the same
        pairs = [(given[0], given[1])] if len(given) == 2 else []
    else:
        return
    for left, right in pairs:
        yield left, right
        yield right, left


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    """An expression, and the factors of it, if it is a product of entries."""
    yield node
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from _parts(node.left)
        yield from _parts(node.right)


def _transposed(node: ast.expr) -> tuple[bool, ast.expr]:
    if isinstance(node, ast.Attribute) and node.attr == "T":
        return True, node.value
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("transpose"):
        of = node.func.value if not node.args else node.args[0]  # type: ignore[attr-defined] # of a method
        return True, of
    return False, node


def _element(weight: ast.expr, loop: ast.For) -> str:
    """The list of which a loop takes one weight after the other, from the first on; or ""."""
    if isinstance(weight, ast.Name):  # for W, b in zip(weights, biases)
        over, target = loop.iter, loop.target
        if isinstance(over, ast.Call) and ast.unparse(over.func) == "zip":
            elements = target.elts if isinstance(target, ast.Tuple) else []
            pairs = zip(elements, over.args, strict=False)
            return next((ast.unparse(o) for t, o in pairs if ast.unparse(t) == weight.id), "")
        return ast.unparse(over) if ast.unparse(target) == weight.id else ""
    index = ast.unparse(loop.target)
    ascending = isinstance(loop.iter, ast.Call) and ast.unparse(loop.iter.func) == "range"
    down = ascending and len(loop.iter.args) == 3  # type: ignore[attr-defined] # a call's
    if not isinstance(weight, ast.Subscript) or not ascending or down:
        return ""
    part = re.compile(rf"(?:str\()?\b{re.escape(index)}\b(?: [+-] \d+)?\)?")
    at = ast.unparse(weight.slice)
    counted = re.compile(r"#|'[^'#]*' \+ #|f'[^'{]*\{#\}[^'{]*'")
    if not counted.fullmatch(part.sub("#", at)):
        return ""
    base = ast.unparse(weight.value)
    return base if part.fullmatch(at) else f"{base}[{part.sub('#', at)}]"
