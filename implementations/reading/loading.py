"""A file or a notebook as a namespace: run as an import would, or only what defines something.

What trains, asks, draws or parses arguments at the top level is left out where it can be told from
the text, or after it has failed; that is said in a remark with its remedy. In a child process only.
"""

import ast
import builtins
import importlib.util
import io
import linecache
import os
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from samegrad.implementations.contract.files import without_bytecode
from samegrad.implementations.reading.older import put_back
from samegrad.implementations.reading.paths import hidden_library, on_the_path, without_here
from samegrad.implementations.reading.source import Block, blocks, defines, trains
from samegrad.implementations.reading.stubs import MOST_STUBS, Stubs

AT_IMPORT = "at import it"  # the beginning of what is said of the top level
TRAINS = (f"{AT_IMPORT} runs a loop", f"{AT_IMPORT} calls ")  # of what trains, by its text
BELOW = 'put it below `if __name__ == "__main__":`'
INSTEAD = f"{BELOW}, or write the answer in its place"  # of what asks for input
GUARD = f"{BELOW}, or give --no-run"  # of `verify`


@dataclass
class Loaded:
    """What came of loading a file.

    Attributes:
        path: the file.
        blocks: its source, a cell of a notebook each.
        module: whose `__dict__` holds what it defines.
        remarks: what was left out or is missing, a line each with its remedy.
        whole: whether everything at the top level was run.
        raised: by turns of loops that train, with the file's own data.
        lent: names that a module does not define and that stand for widths, by the module's name.
        watch: whether programs that use it may be run, to see what they do.
    """

    path: Path
    blocks: Sequence[Block]
    module: types.ModuleType
    remarks: list[str] = field(default_factory=list)
    whole: bool = True
    raised: list[BaseException] = field(default_factory=list)
    lent: dict[str, set[str]] = field(default_factory=dict)
    watch: bool = False

    @property
    def namespace(self) -> dict[str, Any]:
        """What the file defines, by name."""
        return vars(self.module)

    @property
    def statements(self) -> list[ast.stmt]:
        """All statements of the top level."""
        return [statement for block in self.blocks for statement in block.tree.body]


def own_functions(loaded: Loaded) -> dict[str, Callable[..., Any]]:
    """The functions that the file defines, without rules that JAX alone calls.

    Those that it takes from other files of its folder are its own too: losses, as a rule.
    """
    files = {block.filename for block in loaded.blocks}
    folder = loaded.path.parent
    rules = {
        argument.id
        for statement in loaded.statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("defvjp", "defjvp")
        for argument in node.args
        if isinstance(argument, ast.Name)
    }
    given = dict(loaded.namespace)
    for module in [v for v in given.values() if isinstance(v, types.ModuleType)]:
        if Path(getattr(module, "__file__", None) or "/").parent == folder:
            given = {**vars(module), **given}
    return {
        name: value
        for name, value in given.items()
        if name not in rules
        if (file := _file_of(value)) in files or (file and Path(file).parent == folder)
    }


def _file_of(value: Any) -> str:
    """Where a function was written, also below what jit() or no_grad() has made of it."""
    library = type(value).__module__.partition(".")[0] in ("jax", "jaxlib", "functools")
    if not isinstance(value, types.FunctionType) and not library:
        return ""
    inner = getattr(value, "__wrapped__", value)
    return inner.__code__.co_filename if isinstance(inner, types.FunctionType) else ""


def own_classes(loaded: Loaded) -> dict[str, type]:
    """The classes that the file itself defines."""
    return {
        name: value
        for name, value in loaded.namespace.items()
        if isinstance(value, type) and value.__module__ == loaded.module.__name__
    }


def parts(loaded: Loaded) -> set[str]:
    """Names of classes that methods of other classes of the file construct."""
    found: set[str] = set()
    for statement in loaded.statements:
        if isinstance(statement, ast.ClassDef):
            called = {n.func.id for n in ast.walk(statement)
                      if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}  # fmt: skip
            found |= called - {statement.name}
    return found & set(own_classes(loaded))


class AskedForInputError(Exception):
    """The file has called input()."""


@without_bytecode()
def load(
    path: Path,
    run: bool = True,
    before_running: Callable[[], None] = lambda: None,
    remedy: str = GUARD,
    libraries_first: bool = False,
) -> Loaded:
    """Load a file.

    Args:
        path: of Python or of a notebook.
        run: whether what does more than define may be run; of a notebook nothing else is.
        before_running: called when imports are done, so that a time limit begins there.
        remedy: for what trains or asks at the top level, in the words of the command that loads it.
        libraries_first: no file beside it hides a library, nor does it itself.

    Raises:
        SyntaxError, ValueError: it is no Python, or no notebook.
    """
    path = path.resolve()
    parts = blocks(path)
    statements = [statement for part in parts for statement in part.tree.body]
    isolate(path)
    remarks = [
        f"{part.shown}: {part.fault}; no more of it than imports was run"
        for part in parts
        if part.fault
    ]
    remarks += put_back("".join(part.source for part in parts))
    stubs = Stubs()
    sys.meta_path.append(stubs)
    if libraries_first:  # and they find nothing beside it that is called like an optional part
        with without_here():
            _imports(statements, stubs)
    name = on_the_path(path, statements, libraries_first)
    _imports(statements, stubs)
    before_running()
    run = run and path.suffix.lower() == ".py"
    why = trains(statements) if run else ""
    if run and not why:
        module, error = _run(name, path, parts, stubs)
        if isinstance(error, ImportError) and error.name == name:
            # What it imports imports it: as of `python FILE`, that is another module then.
            del sys.modules[name]
            package, name = name.rpartition(".")[0], f"samegrad file {path}"
            module, error = _run(name, path, parts, stubs, package)
        if error is None:
            return Loaded(path, parts, module, remarks + _missing(stubs))
        why = _why(error)
        remedy = hidden_library(error, path.parent) or remedy
    if why and not (why.startswith(TRAINS) and _all_defined(statements)):
        if why.startswith(f"{AT_IMPORT} asks") and remedy == GUARD:
            remedy = INSTEAD  # with --no-run no more of it is run
        remarks.append(f"{why}; only what defines something was run: {remedy}")
    module = _module(name, path)
    for part in parts:
        _define(part, part.tree.body, module, remarks, stubs)
    return Loaded(path, parts, module, remarks + _missing(stubs), whole=False)


def _all_defined(statements: Sequence[ast.stmt]) -> bool:
    """Whether all that the top level gives a name to is there without a run of what trains."""
    return all(defines(s) for s in statements if isinstance(s, ast.Assign | ast.AnnAssign))


def isolate(path: Path) -> None:
    """Nothing is printed, asked or shown; arguments are those of `python FILE`."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.argv = [str(path)]
    sys.stdin = io.StringIO()
    sys.stdout = sys.stderr = _Nowhere()
    warnings.simplefilter("ignore")
    builtins.input = _no_input


def execute(nodes: Sequence[ast.stmt], filename: str, namespace: dict[str, Any]) -> None:
    """Run statements of a file in a namespace."""
    tree = ast.Module(list(nodes), [])
    exec(compile(tree, filename, "exec", dont_inherit=True), namespace)  # a user's file is run


def _no_input(*_: object) -> NoReturn:
    raise AskedForInputError("it asks for input")


class _Nowhere(io.TextIOBase):
    """What is printed is thrown away, however much it is."""

    encoding = "utf-8"

    def write(self, text: str, /) -> int:
        return len(text)

    def isatty(self) -> bool:
        return False

    @property
    def buffer(self) -> io.BytesIO:
        return io.BytesIO()


def _module(name: str, path: Path) -> types.ModuleType:
    module = sys.modules[name] = types.ModuleType(name)
    module.__file__ = str(path)
    if "." in name:
        module.__package__ = name.rpartition(".")[0]
    return module


def _run(
    name: str, path: Path, parts: Sequence[Block], stubs: "Stubs", package: str = ""
) -> tuple[types.ModuleType, BaseException | None]:
    """Run all of it, as an import would; the exception that ended it, or None."""
    while True:
        module = _module(name, path)
        if package:
            module.__package__ = package
        try:
            for part in parts:
                execute(part.tree.body, part.filename, vars(module))
        except ModuleNotFoundError as error:
            if stubs.add(error.name):
                continue
            return module, error
        except (Exception, SystemExit) as error:
            return module, error
        return module, None


def _why(error: BaseException) -> str:
    """Why the top level could not be run, in a few words."""
    if isinstance(error, SystemExit):
        return "at import it reads the command line or exits"
    if isinstance(error, AskedForInputError):
        return "at import it asks for input"
    text = " ".join(str(error).split())[:200]
    trace, line = error.__traceback__, 0
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(str(Path(__file__).parent)):
            line = line or trace.tb_lineno
        trace = trace.tb_next
    where = f" in line {line}" if line else ""
    return f"at import it raises {type(error).__name__}{where}: {text}"


def _define(
    part: Block,
    body: Sequence[ast.stmt],
    module: types.ModuleType,
    remarks: list[str],
    stubs: "Stubs",
) -> None:
    """Run the statements that define something, each by itself."""
    for statement in body:
        if isinstance(statement, ast.Try):
            _define(part, statement.body, module, remarks, stubs)
            if any(isinstance(s, ast.Import | ast.ImportFrom) for s in statement.body):
                continue
        if not defines(statement):
            continue
        for _ in range(MOST_STUBS):
            try:
                execute([statement], part.filename, vars(module))
            except ModuleNotFoundError as error:
                if stubs.add(error.name):
                    continue
            except (Exception, SystemExit) as error:
                if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.ImportFrom):
                    text = " ".join(str(error).split())[:150]
                    remarks.append(
                        f"{part.shown}:{statement.lineno}: {type(error).__name__}: {text}"
                    )
            break


def _imports(statements: Sequence[ast.stmt], stubs: "Stubs") -> None:
    """Import what is installed before the clock of the file begins."""
    for node in (n for s in statements for n in ast.walk(s)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            if top in sys.modules or top in sys.stdlib_module_names:
                continue
            try:
                spec = importlib.util.find_spec(top)
                origin = getattr(spec, "origin", "") or ""
                if spec is not None and "site-packages" in origin:
                    importlib.import_module(name)
            except Exception:  # the file's own import will say it
                continue


def _missing(stubs: "Stubs") -> list[str]:
    if not stubs.names:
        return []
    return [f"not installed here, so a stub stands for it: {', '.join(sorted(stubs.names))}"]


def imported_torch() -> Any:
    """torch, if it was imported; None where another module has its name, such as a stub."""
    torch = sys.modules.get("torch")
    module = getattr(getattr(torch, "nn", None), "Module", None)
    return torch if isinstance(module, type) else None


def remember(filename: str, source: str) -> None:
    """Let tracebacks and inspect find the source of a cell."""
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)
