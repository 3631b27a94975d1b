"""Functions compiled anew with a probe around every quantity: what is traced, line by line.

The whole file of a function is parsed, so that classes, closures and name mangling stay what they
are; a probe is a constant of the code, so that nothing is written into the user's module.
"""

import ast
import contextlib
import linecache
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from samegrad.implementations.tracing.syntax import (
    changed_by,
    copied,
    is_simple,
    root_of,
    span_of,
    targets_of,
)

PLACE = "\0samegrad probe\0"  # stands in the code for the probe itself
FUTURE = 0x1FF0000  # the bits of `from __future__ import ...` in co_flags (CPython, code.h)
# Calls whose values are no quantities, and names that hold none.
PLAIN_CALLS = {
    "range",
    "len",
    "zip",
    "enumerate",
    "print",
    "isinstance",
    "super",
    "type",
    "reversed",
}
PLAIN_NAMES = {"self", "cls", "True", "False", "None"}
KEEPING = (".append", ".insert", ".extend")
MUTATING = {"append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse", "fill"}
WRAPPED = (
    ast.BinOp, ast.UnaryOp, ast.Call, ast.Compare, ast.Subscript, ast.Attribute, ast.Name,
    ast.ListComp, ast.IfExp, ast.List,
)  # fmt: skip


@dataclass(frozen=True)
class Site:
    """An expression whose values are traced.

    Attributes:
        number: its place in the list of all sites.
        file, line: where it stands.
        target: what the statement assigns ("delta"), "return", or "".
        text: the expression.
        kind: "value", "name" (a bare name is read), "kept" (a bare name that is put into a list or
            tuple), or "stored" (after a store into an array, list or attribute: its whole).
        whole: whether the expression is all that the statement assigns.
        function: the name of the function.
        argument: the function whose argument it is, or "".
        operands: the numbers of the sites of which it is made.
        operator: of a BinOp, such as "Mult", or "".
        owner: the class, or the function, in which the function is defined, by its whole path.
        passes: whether an argument is returned as it came.
    """

    number: int
    file: str
    line: int
    target: str
    text: str
    kind: str
    whole: bool
    function: str
    argument: str = ""
    operands: tuple[int, ...] = ()
    operator: str = ""
    owner: tuple[str, ...] = ()
    passes: bool = False

    @property
    def path(self) -> str:
        """The file without the `.` by which a turn of one of its loops has another name."""
        return os.path.normpath(self.file)


class _Probing(ast.NodeTransformer):
    """Wraps expressions inside functions into calls of the probe."""

    def __init__(self, file: str, tree: ast.Module, sites: list[Site]) -> None:
        self.file, self.sites = file, sites
        self.functions: list[str] = []
        self.path: list[str] = []  # of classes and functions
        self.given: list[set[str]] = []  # arguments that keep their values
        self.target = ""
        self.names: list[str] = []  # of the elements of a tuple that is assigned
        self.root: ast.expr | None = None
        self.imported = PLAIN_NAMES | {
            (alias.asname or alias.name).split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }

    # ---- functions and statements ----

    def visit_FunctionDef(self, node: Any) -> Any:
        kept = self.target, self.root
        with self._inside(node, node.name):
            node.body = self.statements(node.body)
        self.target, self.root = kept
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        kept = self.target, self.root
        self.target, self.root = "return", node.body
        with self._inside(node, "<lambda>"):
            node.body = self.visit(node.body)
        self.target, self.root = kept
        return node

    @contextlib.contextmanager
    def _inside(self, node: Any, name: str) -> Iterator[None]:
        self.functions.append(name)
        self.path.append(name)
        names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
        set_anew = {n.id for n in names if not isinstance(n.ctx, ast.Load)}
        self.given.append({a.arg for a in (*node.args.posonlyargs, *node.args.args)} - set_anew)
        try:
            yield
        finally:
            for held in (self.functions, self.path, self.given):
                held.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        kept, self.functions = self.functions, []  # a class body is run once, when it is defined
        self.path.append(node.name)
        node.body = self.statements(node.body)
        self.path.pop()
        self.functions = kept
        return node

    def statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Each of them, and what is to run after it."""
        found: list[ast.stmt] = []
        for statement in body:
            new = self.visit(statement)
            found += new if isinstance(new, list) else [new]
        return found

    def visit_Assign(self, node: ast.Assign) -> Any:
        if not self.functions:
            return self.generic_visit(node)
        return self._assigned(node, node.targets, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if not self.functions or node.value is None:
            return node
        return self._assigned(node, [node.target], node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        if not self.functions:
            return node
        return self._assigned(node, [node.target], node.value)

    def _assigned(self, node: Any, targets: Sequence[ast.expr], value: ast.expr) -> Any:
        text = ", ".join(map(ast.unparse, targets))
        plain = isinstance(node, ast.Assign | ast.AnnAssign)
        self.target, self.root = text, value if plain else None
        elements = targets[0].elts if isinstance(targets[0], ast.Tuple | ast.List) else []
        self.names = [ast.unparse(e) for e in elements if not isinstance(e, ast.Starred)]
        after = []
        for target in targets:
            inner = target
            if isinstance(node, ast.AugAssign) and is_simple(target):
                after.append(self._stored(node, target, ast.unparse(target)))
                if not isinstance(target, ast.Subscript):
                    continue
            while isinstance(inner, ast.Subscript):
                inner = inner.value
            if plain and inner is target:
                continue
            if isinstance(inner, ast.Name | ast.Attribute) and is_simple(inner):
                after.append(self._stored(node, inner, ast.unparse(inner)))
        node.value = self.visit(value)
        for target in targets:  # indices are quantities too: labels
            if isinstance(target, ast.Subscript):
                target.slice = self.visit(target.slice)
        self.target, self.root = "", None
        return [node, *after] if after else node

    def _stored(self, node: ast.stmt, base: ast.expr, text: str) -> ast.stmt:
        """A statement after `node` in which the whole of `base` is probed, and stored again."""
        site = self._site(node, text, "stored", True)
        call = self._call(site, copied(base, ast.Load()))
        new: ast.stmt = ast.Assign([copied(base, ast.Store())], call)
        if isinstance(base, ast.Name) and text not in map(ast.unparse, targets_of(node)):
            new = ast.Expr(call)  # an entry was stored: a global must not become a local
        return ast.fix_missing_locations(ast.copy_location(new, node))

    def visit_Expr(self, node: ast.Expr) -> Any:
        held = changed_by(node.value)  # np.add.at(held, ...), np.dot(..., out=held)
        self.target = ast.unparse(held) if held else ""
        after = held if self.functions and held and is_simple(held) else None
        self.generic_visit(node)
        return [node, self._stored(node, after, ast.unparse(after))] if after else node

    def visit_Return(self, node: ast.Return) -> Any:
        if node.value is not None and self.functions:
            self.target, self.root = "return", node.value
            node.value = self.visit(node.value)
            self.target, self.root = "", None
        return node

    # ---- expressions ----

    def visit(self, node: Any) -> Any:
        if not isinstance(node, ast.expr) or not self.functions:
            return super().visit(node)
        if isinstance(node, ast.JoinedStr | ast.Constant):
            return node
        text = ast.unparse(node) if isinstance(node, WRAPPED) else ""
        first = len(self.sites)
        kept, whole = self.root, node is self.root
        argument = getattr(node, "argument_of", "")
        new = super().visit(node)
        self.root = kept
        if not text or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            return new
        if isinstance(node, ast.Name) and node.id in self.imported:
            return new
        called = getattr(node, "func", None)
        if isinstance(called, ast.Name) and called.id in PLAIN_CALLS:
            return new
        if isinstance(node, ast.Attribute) and root_of(node) in self.imported - {"self", "cls"}:
            return new
        operands = tuple(range(first, len(self.sites)))
        operator = type(node.op).__name__ if isinstance(node, ast.BinOp) else ""
        kind = "value"
        if isinstance(node, ast.Name):
            kept_so = whole or getattr(node, "is_kept", False)
            kind = "kept" if kept_so or argument.endswith(KEEPING) else "name"
        site = self._site(node, text, kind, whole, argument, operands, operator)
        return ast.copy_location(self._call(site, new), node)

    def visit_Call(self, node: ast.Call) -> Any:
        name = ast.unparse(node.func)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            argument.argument_of = name  # type: ignore[attr-defined] # an attribute of ours
        if isinstance(node.func, ast.Attribute):
            if node.func.attr not in MUTATING:  # a changed copy would be what is mutated
                node.func.value = self.visit(node.func.value)
        elif not isinstance(node.func, ast.Name):
            node.func = self.visit(node.func)
        at = getattr(node.func, "attr", "") == "at"
        kept = node.args[:1] if at else []  # of a copy nobody would have the change
        node.args = [*kept, *(self.visit(argument) for argument in node.args[len(kept) :])]
        for keyword in node.keywords:
            if keyword.arg != "out":
                keyword.value = self.visit(keyword.value)
        return node

    def visit_Tuple(self, node: Any) -> Any:
        names, self.names = self.names, []
        for element in node.elts:
            element.is_kept = True
        whole = node is self.root
        if whole and len(names) == len(node.elts):  # a, b = x, y
            kept = self.target
            found = list[Any]()
            for name, element in zip(names, node.elts, strict=True):
                self.target, self.root = name, element
                found.append(self.visit(element))
            node.elts, self.target, self.root = found, kept, node
        else:
            node.elts = [self.visit(element) for element in node.elts]
        return node

    visit_List = visit_Tuple

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        node.value = self.visit(node.value)
        return node

    def visit_NamedExpr(self, node: ast.NamedExpr) -> Any:
        node.value = self.visit(node.value)
        return node

    def _site(
        self, node: Any, text: str, kind: str, whole: bool, argument: str = "",
        operands: tuple[int, ...] = (), operator: str = "",
    ) -> int:  # fmt: skip
        number = len(self.sites)
        self.sites.append(
            Site(
                number, self.file, node.lineno, self.target, text, kind, whole,
                self.functions[-1], argument, operands, operator, tuple(self.path[:-1]),
                kind == "kept" and self.target == "return" and text in self.given[-1],
            )
        )  # fmt: skip
        return number

    @staticmethod
    def _call(site: int, value: ast.expr) -> ast.Call:
        return ast.Call(ast.Constant(PLACE), [ast.Constant(site), value], [])


def codes_within(code: CodeType) -> Iterator[CodeType]:
    """The code of all functions in the code of a module, in its order."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes_within(constant)


def _with_probe(code: CodeType, probe: Any) -> CodeType:
    constants = tuple(
        probe
        if isinstance(constant, str) and constant == PLACE
        else _with_probe(constant, probe)
        if isinstance(constant, CodeType)
        else constant
        for constant in code.co_consts
    )
    return code.replace(co_consts=constants)


def probed(
    functions: Sequence[FunctionType], probe: Callable[[int, Any], Any], sites: list[Site]
) -> dict[FunctionType, CodeType]:
    """The code of each function with probes; functions without a source that fits are left out.

    Args:
        functions: the user's.
        probe: called as probe(site number, value); its result takes the place of the value.
        sites: extended by what is probed.
    """
    by_file: dict[tuple[str, int], list[FunctionType]] = {}
    for function in functions:
        code = function.__code__
        by_file.setdefault((code.co_filename, code.co_flags & FUTURE), []).append(function)
    found: dict[FunctionType, CodeType] = {}
    for (file, flags), members in by_file.items():
        lines = linecache.getlines(file, members[0].__globals__)
        kept = len(sites)
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):
            source = "".join(lines)
            tree = ast.parse(source)
            plain = list(codes_within(compile(source, file, "exec", flags, True)))
            places = {f: at for f in members if (at := place(f.__code__, plain)) is not None}
            probing = _Probing(file, tree, sites)
            wanted = {plain[at].co_firstlineno for at in places.values()}
            tree.body = [
                new
                for top in tree.body
                for new in (probing.statements([top]) if wanted & span_of(top) else [top])
            ]
            ast.fix_missing_locations(tree)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "'str' object is not callable": the place
                traced = list(codes_within(compile(tree, file, "exec", flags, True)))
            for function, at in places.items() if len(traced) == len(plain) else ():
                new = traced[at]
                if new.co_freevars == function.__code__.co_freevars:
                    found[function] = _with_probe(new, probe)
            continue
        del sites[kept:]
    return found


def place(code: CodeType, codes: Sequence[CodeType]) -> int | None:
    """Where the code of a function stands among those of its file, or None: another version."""
    same = [i for i, other in enumerate(codes) if other == code]
    if same:
        return same[0]
    alike = [
        i
        for i, other in enumerate(codes)
        if (other.co_qualname, other.co_firstlineno, other.co_varnames, other.co_freevars)
        == (code.co_qualname, code.co_firstlineno, code.co_varnames, code.co_freevars)
    ]
    return alike[0] if len(alike) == 1 else None
