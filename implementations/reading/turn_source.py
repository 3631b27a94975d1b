"""The source of one turn, or call, as a function of its own on the lines of its file.

So it can be traced and changed as any function of the user's.
"""

import ast
import linecache
import os
from collections.abc import Sequence
from types import CodeType

from samegrad.implementations.reading.loading import remember
from samegrad.implementations.reading.written import Written
from samegrad.implementations.tracing.sites import codes_within

LOOPS = (ast.For, ast.While, ast.FunctionDef, ast.ClassDef, ast.Lambda)
NAMED = (ast.FunctionDef, ast.ClassDef, ast.ExceptHandler)


def another_name(filename: str) -> str:
    """A name of the same file that no source is kept by."""
    folder, slash, name = filename.rpartition(os.sep)
    while True:
        folder, slash = f"{folder}{slash}.", os.sep
        if (found := f"{folder}{slash}{name}") not in linecache.cache:
            return found


def spaced(line: str) -> str:
    """A line with its first tabs as spaces, so that it may stand below others."""
    plain = line.lstrip(" \t")
    return line[: len(line) - len(plain)].expandtabs() + plain


def as_written(
    loop: Written, body: Sequence[ast.stmt], name: str, given: Sequence[str] | None
) -> CodeType | None:
    """The code of a function of a turn; None where the lines before it have no room.

    Args:
        body: statements of the loop, or the function, without those that only show something.
        given: arguments; None: it stands at the top level, and all that it sets is global.
    """
    lines = linecache.getlines(loop.filename)
    body = [s for s in body if not isinstance(getattr(s, "value", None), ast.Constant)
            or not isinstance(s, ast.Expr)]  # fmt: skip
    called = isinstance(loop.node, ast.FunctionDef)
    if not lines or not body or getattr(body[0], "lineno", 0) <= loop.node.lineno:
        return None
    shared = sorted(_stored(body)) if given is None else [] if called else sorted(loop.shared)
    head = [*([f"class {loop.cls}:"] if loop.cls else []), f"def {name}({', '.join(given or ())}):"]
    globals_of = f"global {', '.join(shared)}" if shared else ""
    once = ["for _turn in [0]:"] if not called and any(map(_turns, body)) else []
    room, first = body[0].lineno - 1, body[0]
    inner = [*([globals_of] if globals_of else []), *once]
    before = ""
    if len(head) + len(inner) > room and globals_of and not once and hasattr(first, "value"):
        inner, before = [], f"{globals_of}; "
    if len(head) + len(inner) > room:
        return None
    depth = len(head)
    above = [" " * at + line for at, line in enumerate(head)]
    for line in inner:
        above.append(" " * depth + line)
        depth += line in once
    text = ["\n"] * len(lines)
    text[room - len(above) : room] = [f"{line}\n" for line in above]
    own = lines[room]
    base = own[: len(own) - len(own.lstrip())]
    for statement in body:
        begins = [d.lineno for d in getattr(statement, "decorator_list", ())]
        for i in range(min([statement.lineno, *begins]) - 1, statement.end_lineno or 0):
            line = lines[i]
            plain = line[len(base) :] if line.startswith(base) else line.lstrip(" \t")
            text[i] = f"{' ' * depth}{plain}"
    if before:
        text[room] = f"{' ' * depth}{before}{own[len(base) :]}"
    source, filename = "".join(text), another_name(loop.filename)
    try:
        codes = list(codes_within(compile(source, filename, "exec", dont_inherit=True)))
    except (SyntaxError, ValueError):
        return None
    code = next(c for c in codes if c.co_name == name)
    if code.co_freevars:
        return None
    remember(filename, source)
    return code


def _stored(body: Sequence[ast.stmt]) -> set[str]:
    """What statements set, at the top level of a module."""
    nodes = [n for s in body for n in ast.walk(s)]
    found = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    found |= {n.name for n in nodes if isinstance(n, NAMED) and n.name}
    imports = [a for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names]
    return found | {(a.asname or a.name).partition(".")[0] for a in imports}


def _turns(statement: ast.AST) -> bool:
    """Whether something ends a turn of the loop around it."""
    if isinstance(statement, ast.Break | ast.Continue):
        return True
    if isinstance(statement, LOOPS):
        return any(map(_turns, getattr(statement, "orelse", ())))
    return any(map(_turns, ast.iter_child_nodes(statement)))


__all__ = ["another_name", "as_written", "spaced"]
