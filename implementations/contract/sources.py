"""Whose code runs: a user's, a library's, or what of this project runs it; and what is empty."""

import ast
import functools
import os
import site
import sysconfig
import traceback
from pathlib import Path

from samegrad.implementations.contract.texts import in_one_line

_HERE = Path(__file__).parents[1]
# Networks of ours are not among these: they are looked into as a user's are.
_MACHINERY = [
    str(_HERE / name) for name in ("checking", "exercises", "proof", "reading", "state", "tracing")
]
_INSTALLED = [
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *site.getsitepackages(),
    site.getusersitepackages(),
]
_NOT_THEIRS = tuple(os.path.realpath(path) + os.sep for path in (*_MACHINERY, *_INSTALLED))
_OURS = tuple(
    os.path.realpath(_HERE.parent / name) + os.sep
    for name in ("benchmarks", "implementations", "reports", "samegrad")
)
_BUILT_IN = ("<frozen", "<__array_function__")  # files of functions that have none


@functools.cache
def is_users(path: str) -> bool:
    """Whether the file of some code, as its `co_filename` has it, is a user's.

    What runs from a text ("<string>", a cell of a notebook) is.
    """
    return not path.startswith(_BUILT_IN) and not os.path.realpath(path).startswith(_NOT_THEIRS)


def place(error: BaseException) -> str:
    """Where in a user's own file an exception was raised, " (my_net.py:17)"; "" if in none."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = frame.f_code.co_filename
        if path[:1] != "<" and is_users(path) and not os.path.realpath(path).startswith(_OURS):
            found = f" ({Path(path).name}:{line})"
    return found


def raised(error: BaseException) -> str:
    """An exception in one line, with its place in a user's file, which is where to look first."""
    return f"{in_one_line(error)}{place(error)}"


def unwritten(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function has nothing in it yet: a docstring, pass, ..., NotImplementedError."""
    return all(_nothing(statement) for statement in function.body)


def _nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Expr):  # a docstring, an ellipsis
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Return):
        value = statement.value
        return value is None or (isinstance(value, ast.Constant) and value.value in (None, ...))
    raised = statement.exc if isinstance(statement, ast.Raise) else None
    raised = raised.func if isinstance(raised, ast.Call) else raised
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
