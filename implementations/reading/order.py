"""The order of what a loop of torch does: gradients set to zero, a backward pass, a step.

What is said follows from the text of one loop, where all of it stands in the loop itself. What
functions of other files do to an optimizer is not known: then nothing is said.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from samegrad.implementations.reading.averages import flat
from samegrad.implementations.reading.cut_off import cut_off, losses_in
from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.uncleared import (
    CLEARS,
    ELSEWHERE,
    TORCH,
    makes,
    repeated,
)

KNOWN = re.compile(
    r"torch\w*|numpy|math|random|matplotlib|sklearn|time|tqdm|os|sys|pandas|typing|pathlib|json"
    r"|argparse|collections|itertools|copy|datetime|seaborn|scipy|__future__|functools"
)
GRADIENTS = re.compile(r"backward|\bgrad\b|closure")
GRAD = re.compile(r"\.grad\b")
# Methods, and functions of modules, after which gradients are there still.
QUIET = ("item", "append", "clip_grad_norm_", "clip_grad_value_", "parameters")
LOOPS = ast.For | ast.While


def out_of_order(loaded: Loaded) -> tuple[int, str, str] | None:
    """The line of a loop that is out of order, what it does, and what is expected; or None."""
    tree = ast.Module(loaded.statements, [])
    source = ast.unparse(tree)
    if not TORCH.search(source) or ELSEWHERE.search(source):
        return None
    nodes = list(ast.walk(tree))
    made = {
        ast.unparse(n.targets[0]): _whose(n.value)
        for n in nodes
        if isinstance(n, ast.Assign) and makes(n.value)
    }
    if not GRADIENTS.search(source) and all(map(KNOWN.fullmatch, _imported(nodes))):
        for loop in (n for n in nodes if isinstance(n, LOOPS)):
            for statement in flat(loop.body):
                if (name := _call(statement, "step")) in made:
                    return statement.lineno, f"{name} steps without gradients", "loss.backward()"
    for each in repeated(tree):
        body = list(flat(each.body))
        if (line := _between(body, made)) is not None:
            return line, "gradients are set to zero before the step", "this before loss.backward()"
        steps = any(_call(s, "step") in made for s in body)
        taken = GRAD.search("\n".join(map(ast.unparse, body)))  # by hand
        line = cut_off(body, losses_in(nodes)) if steps and not taken else None
        if line is not None:
            said = "what is trained on is cut off from the model"
            return line, said, "no detach() or item() before loss.backward()"
    for loop in (n for n in nodes if isinstance(n, LOOPS)):
        body = list(flat(loop.body))
        inner = [s for s in body if isinstance(s, LOOPS)]
        for once in (name for s in body if (name := _call(s, "zero_grad"))):
            for each in inner:
                if (line := _summed(list(flat(each.body)), once, nodes)) is not None:
                    said = "gradients add up over the steps of the inner loop"
                    return line, said, f"{once}.zero_grad() in each"
    return None


def _imported(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def _call(statement: ast.stmt, method: str) -> str:
    """What a statement calls a method of, without arguments; or ""."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Attribute):
        return ""
    return ast.unparse(call.func.value) if call.func.attr == method else ""


def _whose(value: ast.expr) -> str:
    """The model whose parameters an optimizer is given, or ""."""
    given = value.args[0] if isinstance(value, ast.Call) and value.args else value
    text = ast.unparse(given)
    return text.removesuffix(".parameters()") if text.endswith(".parameters()") else ""


def _between(body: Sequence[ast.stmt], made: Mapping[str, str]) -> int | None:
    """The line that sets gradients to zero after the backward pass and before their step.

    Args:
        made: optimizers, each with the model whose parameters it was given, or "".
    """
    last = -1
    cleared: dict[str, int] = {}
    for index, statement in enumerate(body):
        if _call(statement, "backward"):
            last, cleared = index, {}
        elif name := _call(statement, "zero_grad"):
            if last >= 0:
                cleared[name] = statement.lineno
        elif name := _call(statement, "step"):
            of = next((n for n in (name, made.get(name, "")) if n in cleared), "")
            if of:
                return cleared[of]
            last = -1  # what comes after it is of the next turn
        elif not _only_shows(statement):
            last, cleared = -1, {}
    return None


def _only_shows(statement: ast.stmt) -> bool:
    """Whether a statement calls nothing but `print`, and what makes numbers of tensors."""
    calls = (n.func for n in ast.walk(statement) if isinstance(n, ast.Call))
    return all(
        ast.unparse(f) in ("print", "float", "len") or getattr(f, "attr", "") in QUIET
        for f in calls
    )


def _summed(body: Sequence[ast.stmt], optimizer: str, nodes: Sequence[ast.AST]) -> int | None:
    """The line of a backward pass after which the optimizer steps, with nothing set to zero."""
    passes = [s.lineno for s in body if _call(s, "backward")]
    steps = [s.lineno for s in body if _call(s, "step") == optimizer]
    text = "\n".join(map(ast.unparse, body))
    called = {
        getattr(n.func, "attr", getattr(n.func, "id", ""))
        for s in body
        for n in ast.walk(s)
        if isinstance(n, ast.Call)
    }
    own = (n for n in nodes if isinstance(n, ast.FunctionDef) and n.name in called)
    text = "\n".join((text, *map(ast.unparse, own)))
    return passes[0] if passes and steps and not CLEARS.search(text) else None
