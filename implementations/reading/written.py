"""The loops and the functions of a file, by the lines that their turns begin with."""

import ast
import types
from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """A loop, or a function, as it is written.

    Attributes:
        node: of the loop or the function, of which a call counts as a turn.
        function: the name of the function that it stands in, or "".
        cls: of the class that this stands in, or "".
        filename: of the code.
        shared: names that the function declares global.
    """

    node: ast.For | ast.While | ast.FunctionDef
    function: str
    cls: str
    filename: str
    shared: frozenset[str] = frozenset()

    @property
    def first(self) -> int:
        """The line that each turn begins with."""
        function = isinstance(self.node, ast.FunctionDef)
        return self.node.lineno if function else self.node.body[0].lineno

    def called(self, frame: types.FrameType) -> bool:
        """Whether a frame is a call of the function."""
        return isinstance(self.node, ast.FunctionDef) and self.node.name == frame.f_code.co_name

    def holds(self, line: int) -> bool:
        """Whether a line is in the loop."""
        return self.node.lineno <= line <= (self.node.end_lineno or 0)


def loops_of(tree: ast.Module, filename: str) -> dict[int, Written]:
    """The loops and functions of a file by the lines that their turns begin with."""
    found: dict[int, Written] = {}

    def visit(node: ast.AST, function: str, cls: str, shared: frozenset[str]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                declared = {
                    n for g in ast.walk(child) if isinstance(g, ast.Global) for n in g.names
                }
                if not (child.decorator_list or child.name.startswith("__")):
                    found.setdefault(
                        child.lineno, Written(child, child.name, cls, filename, frozenset(declared))
                    )
                visit(child, child.name, cls, frozenset(declared))
            elif isinstance(child, ast.ClassDef):
                visit(child, "", child.name, frozenset())
            else:
                if isinstance(child, ast.For | ast.While) and child.body[0].lineno > child.lineno:
                    found[child.body[0].lineno] = Written(child, function, cls, filename, shared)
                visit(child, function, cls, shared)

    visit(tree, "", "", frozenset())
    return found
