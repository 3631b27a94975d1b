"""What the text of a file says before anything of it is run."""

import ast
import contextlib
import json
import linecache
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from samegrad.implementations.contract.texts import (
    UNPARSABLE,
    UnreadableError,
    not_utf8,
    unparsable,
)

# Calls at the top level that train, ask, draw or fetch.
RUNS = re.compile(
    r"train|fit|main$|optimi[sz]e$|learn$|gradient_descent|sgd$|^run|input$|parse_args|show$|plot"
    r"|download|urlopen|urlretrieve|read_csv|^open$|load|fetch|get$|model$|simulate|evaluate"
)
ROOTS = {"np", "numpy", "math", "random", "jnp", "itertools", "functools", "collections", "torch"}
CONSTRUCTORS = {
    "abs", "array", "bool", "dict", "enumerate", "float", "frozenset", "int", "len", "list", "max",
    "min", "namedtuple", "object", "range", "reversed", "round", "set", "slice", "sorted", "str",
    "sum", "tuple", "type", "zip", "default_rng", "exp", "log", "sqrt",
}  # fmt: skip
# Calls at the top level that only set something.
SETTING = ("seed", "manual_seed", "setrecursionlimit", "defvjp", "defjvp", "set_default_dtype")
# Methods of arrays and of generators, which give arrays.
DRAWN = {
    "reshape", "astype", "copy", "T", "transpose", "flatten", "ravel", "squeeze", "dot", "sum",
    "mean", "std", "max", "min", "rand", "randn", "random", "normal", "uniform", "standard_normal",
    "integers", "randint", "choice", "permutation", "format", "partial", "tolist", "split", "float",
    "double", "long", "tensor", "from_numpy", "zeros", "ones", "eye", "arange", "linspace",
}  # fmt: skip
# Of IPython: %timeit f(), !ls, f?, and names = !ls.
MAGIC = re.compile(r"^(?P<indent>\s*)(?:[%!?].*|[^#\"']*\?\s*|[\w, .]+=\s*[%!].*)$")
IMPORTS = re.compile(r"\s*(?:import [\w., ]+|from [\w.]+ import [\w, ]+)$")
DATA = re.compile(r"[^/~\n][^\n]{,120}\.(?:csv|txt|npy|npz|dat|data|json|pkl|gz|xlsx?|tsv|ubyte)")
MOST_ABOVE = 3  # folders of a file that are looked into
MODEL = {"forward", "loss", "loss_and_grad", "init_state", "train_step"}


@dataclass(frozen=True)
class Block:
    """A file, or a code cell of a notebook.

    Attributes:
        filename: that its code objects have.
        shown: the same without folders.
        source: its text.
        tree: its statements.
        fault: why a cell has none: it is no Python; else "".
    """

    filename: str
    shown: str
    source: str
    tree: ast.Module
    fault: str = ""


def blocks(path: Path) -> list[Block]:
    """The file's source, a block for each code cell of a notebook; magics are dropped.

    Raises:
        SyntaxError, ValueError: it is no Python, or no notebook.
    """
    data = path.read_bytes()
    if fault := not_utf8(data):
        raise UnreadableError(fault)
    if path.suffix.lower() != ".ipynb":
        tree = ast.parse(data, str(path))
        _compiles(tree, str(path))
        return [Block(str(path), path.name, data.decode("utf-8-sig", "replace"), tree)]
    try:
        read = json.loads(data)
    except (ValueError, RecursionError) as error:
        at = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        again = "it is cut off or damaged: save it again as .ipynb, or as a Python file"
        raise UnreadableError(f"it is no notebook: no JSON{at}; {again}") from None
    try:
        cells = read["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (KeyError, TypeError):
        said = "it is no notebook of format 4: it has no list of cells; save it again in Jupyter"
        raise UnreadableError(said) from None
    found = []
    for number, text in enumerate(texts, 1):
        filename, shown = f"{path}[cell {number}]", f"{path.name}[cell {number}]"
        if text.startswith("%%") and not text.startswith(("%%time", "%%capture")):
            continue
        source, tree, fault = _of_cell(text, filename)
        lines = source.splitlines(keepends=True)
        linecache.cache[filename] = (len(source), None, lines, filename)
        found.append(Block(filename, shown, source, tree, fault))
    return found


def _of_cell(text: str, filename: str) -> tuple[str, ast.Module, str]:
    """Its source, without magics where these are no Python, its statements, and its fault or ""."""
    lines = text.splitlines()
    without = "\n".join(MAGIC.sub(_nothing, line) for line in lines)
    fault = ""
    for source in ("\n".join(lines), without):  # a line that begins with % may go on with another
        try:
            tree = ast.parse(source, filename)
            _compiles(tree, filename)
        except UNPARSABLE as error:
            fault = unparsable(error)
            continue
        return source, tree, ""
    kept = "\n".join(line.strip() if IMPORTS.match(line) else "" for line in lines)
    with contextlib.suppress(*UNPARSABLE):
        return without, ast.parse(kept, filename), fault  # what it imports others need
    return without, ast.Module([], []), fault


def _nothing(found: re.Match[str]) -> str:
    """A statement that does nothing, as far in as a magic is."""
    return f"{found['indent']}pass"


def _compiles(tree: ast.Module, filename: str) -> None:
    """Raise SyntaxError for what only compiling shows, such as two parameters of one name."""
    with warnings.catch_warnings(), contextlib.suppress(RecursionError, MemoryError):
        warnings.simplefilter("ignore")
        compile(tree, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def calls(node: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Root and last name of every call below a node, and its line."""
    for child in ast.walk(node):
        if isinstance(child, ast.Call):
            name, root = child.func, child.func
            while isinstance(root, ast.Attribute):
                root = root.value
            last = name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")
            yield getattr(root, "id", ""), last, child.lineno


def defines(statement: ast.stmt) -> bool:
    """Whether a statement only defines: an import, a def, a class, a constant or an array."""
    if isinstance(
        statement,
        ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef,
    ):
        return True
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return statement.value is None or all(
            root in ROOTS or last in CONSTRUCTORS or _makes(last)
            for root, last, _ in calls(statement.value)
        )
    if isinstance(statement, ast.Expr):  # np.random.seed(0)
        return isinstance(statement.value, ast.Call) and all(
            last in SETTING or root == "jax" for root, last, _ in calls(statement)
        )
    return False


def _makes(name: str) -> bool:
    """A class, a function that initializes, or a method of an array, by its name."""
    return bool(
        re.match(r"_*(?:[A-Z]|init|make|create|build|one_?hot)", name) or name in DRAWN
    ) and not RUNS.search(name)


def trains(statements: Sequence[ast.stmt]) -> str:
    """What at the top level does more than define, in a few words with its line; or ""."""
    own = {s.name for s in statements if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef)}
    for statement in statements:
        if isinstance(statement, ast.For | ast.While):
            works = any(isinstance(node, ast.AugAssign | ast.BinOp) for node in ast.walk(statement))
            if works or any(root in own or last for root, last, _ in calls(statement)):
                return f"at import it runs a loop (line {statement.lineno})"
        if defines(statement) and isinstance(statement, ast.Expr):
            continue
        if isinstance(statement, ast.Expr | ast.Assign | ast.With | ast.AugAssign):
            for root, last, line in calls(statement):
                if last == "input" or last == "parse_args":
                    what = "asks for input" if last == "input" else "reads the command line"
                    return f"at import it {what} (line {line})"
                if re.search("train|fit$|gradient_descent|download|urlretrieve|urlopen", last) and (
                    root not in ROOTS and "split" not in last
                ):
                    return f"at import it calls {last}() (line {line})"
                if isinstance(statement, ast.Expr) and (root in own or last in own):
                    return f"at import it calls {last}() (line {line})"
    return ""


def folder_of_data(path: Path) -> Path | None:
    """The folder by which names in a file's text are those of files, if it is not the present one.

    Its own folder, or one of those above it: where it is run from.
    """
    try:
        nodes = [n for block in blocks(path) for n in ast.walk(block.tree)]
    except (OSError, *UNPARSABLE):
        return None
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    named = [t for t in texts if DATA.fullmatch(t)]
    folders = [Path(), *path.resolve().parents[:MOST_ABOVE]]
    found = next((f for f in folders if any((f / name).is_file() for name in named)), Path())
    return None if found == Path() else found


def is_python(path: Path) -> bool:
    """Whether a file can be parsed, or is one of which its own loading says what is wrong."""
    try:
        ast.parse(path.read_bytes())
    except SyntaxError as error:
        return "nested" in str(error)
    except (OSError, *UNPARSABLE):
        pass
    return True


def in_contract(path: Path) -> bool:
    """Whether a file is written to the contract: functions whose first parameter is a spec.

    Decided from the text; a file that is no Python, or nested too deep for it, counts as one.
    """
    if path.suffix.lower() == ".ipynb":
        return False
    try:
        data = path.read_bytes()
        if not_utf8(data):
            return False
        tree = ast.parse(data)
    except (OSError, *UNPARSABLE):
        return True  # today's path says what is wrong with it
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in MODEL:
            names = [a.arg for a in node.args.args if a.arg not in ("self", "cls")]
            if names and ("spec" in names[0].lower() or names[1:3] == ["params", "X"]):
                return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("samegrad."):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
            "implementations",
            "benchmarks",
        ):
            return True
        if isinstance(node, ast.Name) and node.id in ("loss_and_grad", "BACKEND"):
            return isinstance(node.ctx, ast.Store) or not any(
                isinstance(n, ast.FunctionDef) and n.name == node.id for n in ast.walk(tree)
            )
    return False
