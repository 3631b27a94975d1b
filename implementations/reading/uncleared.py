"""Training that never sets its gradients to zero: each pass adds to what the last one left.

What is said follows from the file's text: a graph's `backward` adds to the gradients that are
there, an update takes them, and nothing in the file clears them. It has to run more than once, in
a loop or as a step, on parameters that live longer than a turn.
"""

import ast
import copy
import re
from collections.abc import Iterator
from typing import TypeGuard

from samegrad.implementations.reading import names
from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.never_called import ZEROES

CLEARS = re.compile(
    r"(?:zero(?!s(?:_like)?\()|clear|reset)\w*\(|\.grad(?:\.data)?(?:\[.*\])?\s*\*?=(?!=)(?!\s*(?:1(?:\.0*)?$|.*ones))"
    r"|\.grad(?:\.data)?\.(?:fill|mul|copy|sub)\w*\(|accumulat",
    re.IGNORECASE | re.MULTILINE,
)
# Gradients that are taken otherwise, or by what is in other files.
ELSEWHERE = re.compile(
    r"autograd\.grad|\.vjp|closure|lightning|accelerate|ignite|deepspeed|fabric|manual_backward",
    re.IGNORECASE,
)
TORCH = re.compile(r"^\s*(?:import|from) torch\b", re.MULTILINE)
JAX = re.compile(r"^\s*(?:import|from) jax\b", re.MULTILINE)
GRAD = re.compile(r"\b(?:value_and_)?grad\b(?!\s*=)|\bapply_updates\b")  # of JAX, and of optax
STEPS = re.compile(
    r"(?:.*\.)?(?:opt|optim|optimi[sz]er\w*|sgd|adam\w*|solver)\.step", re.IGNORECASE
)
ANEW = re.compile(r"=\s*[\w.]*(?:optim\.\w+|SGD|Adam\w*|RMSprop)\(|requires_grad|\.detach\(\)")
STEP = re.compile(r"\.step\b|[gs]etattr|\.grad\b")  # of an optimizer, or what may be one by hand
OPTIMIZER = re.compile(
    r"(?:torch\.)?(?:optim\.)?(?:SGD|Adam\w*|NAdam|RAdam|RMSprop|Adagrad|Adadelta)"
)
Repeated = ast.For | ast.While | ast.FunctionDef


def never_cleared(loaded: Loaded) -> int | None:
    """The line of a backward pass whose gradients are used and never set to zero, or None."""
    tree = _WithoutClearing().visit(copy.deepcopy(ast.Module(loaded.statements, [])))
    source = ast.unparse(tree)  # without comments, too
    adds = any(
        isinstance(node, ast.AugAssign) and ast.unparse(node.target).endswith(".grad")
        for node in ast.walk(tree)
    )
    if not (adds or TORCH.search(source)) or ELSEWHERE.search(source) or CLEARS.search(source):
        return None
    for body in repeated(tree):
        inside = list(_inside(body))
        passes = [getattr(node, "lineno", 0) for node in inside if is_pass(node)]
        if passes and any(map(_updates, inside)) and not ANEW.search(ast.unparse(body)):
            return passes[0]
    return None


def never_steps(loaded: Loaded) -> int | None:
    """The line of a backward pass in a loop of a file that makes an optimizer and never steps.

    None where there is none, or where something of other files is given the optimizer.
    """
    tree = ast.Module(loaded.statements, [])
    source = ast.unparse(tree)
    if ELSEWHERE.search(source) or STEP.search(source) or not TORCH.search(source):
        return None
    nodes = list(ast.walk(tree))
    made = [n.targets[0] for n in nodes if isinstance(n, ast.Assign) and makes(n.value)]
    own = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    held = {ast.unparse(target) for target in made}
    given = (
        ast.unparse(call.func)
        for call in nodes
        if isinstance(call, ast.Call)
        for value in (*call.args, *(k.value for k in call.keywords))
        if ast.unparse(value) in held
    )
    if not made or any(name not in own and name != "print" for name in given):
        return None
    loops = (n for n in nodes if isinstance(n, ast.For | ast.While))
    passes = (n for loop in loops for n in ast.walk(loop) if is_pass(n) and not n.args)
    return next((n.lineno for n in passes), None)


def makes(value: ast.expr) -> bool:
    """Whether an expression makes an optimizer of torch's."""
    return isinstance(value, ast.Call) and OPTIMIZER.fullmatch(ast.unparse(value.func)) is not None


class _WithoutClearing(ast.NodeTransformer):
    """Leaves out constructors, and what would clear gradients if it were called."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef | None:
        left_out = node.name == "__init__" or ZEROES.fullmatch(node.name)
        return None if left_out else self.generic_visit(node)  # type: ignore[return-value] # None removes a node


def repeated(tree: ast.AST) -> Iterator[Repeated]:
    """What runs more than once: loops, and functions that are called a step."""
    for node in ast.walk(tree):
        step = isinstance(node, ast.FunctionDef) and (
            names.STEP.fullmatch(node.name) and not names.BACKWARD.match(node.name)
        )
        if step or isinstance(node, ast.For | ast.While):
            assert isinstance(node, Repeated)
            yield node


def trains(tree: ast.AST) -> bool:
    """Whether something that runs more than once takes gradients of a loss, or steps by such."""
    return _by_jax(tree) or any(
        _updates(node) or (is_pass(node) and not _is_layers(node, body))
        for body in repeated(tree)
        for node in ast.walk(body)
    )


def _by_jax(tree: ast.AST) -> bool:
    """Whether something of JAX that runs more than once takes gradients, by itself or by a name."""
    if not JAX.search(ast.unparse(tree)):
        return False
    taking = {
        node.name if isinstance(node, ast.FunctionDef) else ast.unparse(node.targets[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.Assign) and GRAD.search(ast.unparse(node))
    }
    calls = (n for body in repeated(tree) for n in ast.walk(body) if isinstance(n, ast.Call))
    return any(GRAD.search(text) or text in taking for text in (ast.unparse(c.func) for c in calls))


def _is_layers(node: ast.Call, body: Repeated) -> bool:
    """Whether `node.backward()` goes backwards through layers: a loop over these, or a gradient."""
    targets = ast.walk(body.target) if isinstance(body, ast.For) else ()
    return bool(node.args) or any(
        isinstance(t, ast.Name) and f"{t.id}.backward" == ast.unparse(node.func) for t in targets
    )


def _inside(repeated: ast.AST) -> Iterator[ast.AST]:
    """All that is in a body, without the bodies of loops that run a backward pass themselves."""
    for node in ast.iter_child_nodes(repeated):
        inner = isinstance(node, ast.For | ast.While) and any(map(is_pass, ast.walk(node)))
        if not inner:
            yield node
            yield from _inside(node)


def is_pass(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether it is `loss.backward()`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "backward"
        and "super" not in ast.unparse(node.func.value)
    )


def _updates(node: ast.AST) -> bool:
    """Whether it takes a step by the gradients that are kept."""
    if isinstance(node, ast.Call):
        return STEPS.fullmatch(ast.unparse(node.func)) is not None
    if isinstance(node, ast.AugAssign):
        return ".grad" in ast.unparse(node.value) and "grad" not in ast.unparse(node.target)
    return isinstance(node, ast.Assign) and bool(re.search(r"-.*\.grad\b", ast.unparse(node.value)))
