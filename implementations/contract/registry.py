"""Which implementations there are, and how one is loaded.

A name of the table, the path of a Python file, or a dotted module name: all three give an
`Implementation`. `FILE.py:NAME` and `package.module:NAME` are an object of a file or a module.
Nothing is imported before it is asked for.
"""

import contextlib
import importlib
import importlib.util
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from samegrad.implementations.contract import commands
from samegrad.implementations.contract.adapter import Implementation, adapted
from samegrad.implementations.contract.files import (
    instead_of_file,
    instead_of_folder,
    without_bytecode,
)
from samegrad.implementations.contract.old_names import what_to_write
from samegrad.implementations.contract.sources import place
from samegrad.implementations.contract.texts import clean_errors, message

Family = Literal["scalar", "numpy", "torch", "jax", "c"]
Kind = Literal["idiom", "variant", "differentiation", "parallel", "peer", "loader"]
FAMILIES: tuple[Family, ...] = get_args(Family)  # from loops to compilers
# kind: the folder of its files, and the marker of its points in charts, as matplotlib names it
KINDS: dict[Kind, tuple[str, str]] = {
    "idiom": ("", "o"),
    "variant": ("variants.", "D"),
    "differentiation": ("differentiation.", "X"),
    "parallel": ("parallel.", "s"),
    "peer": ("peers.", "P"),
    "loader": ("peers.", "^"),
}
FLOAT64 = ("float64",)
SPEED_UPS_OVER = "scalar"  # looped Python
COMPARED_WITH = "numpy"  # every user has it
COMPILER = "C compiler"


@dataclass(frozen=True)
class Entry:
    """One implementation of the table.

    Attributes:
        name: of the implementation; its file is mlp_NAME.py.
        kind: "idiom" (a way to write the network from nothing), "variant" (an idiom in a faster
            form, or in another place), "differentiation" (another way to get the gradient),
            "parallel" (over several processes), "peer" (what people would use instead of an
            idiom) or "loader" (an idiom whose epochs get their batches as guides have it).
        family: the idiom that it is, varies, or whose arrays it uses.
        colour: of its lines and points in charts. Those of one kind (one shape of points) are told
            apart with every common colour deficiency, and all of them from white and from black
            (test_colours.py measures both).
        requires, extra: import name of the framework that it needs, COMPILER, or None; the extra
            that installs it, if it has another name.
        gpu, cpu: whether it runs on a CUDA device, and is timed on a CPU.
        dtypes: of its model, for its rows where it cannot be loaded.
        whole: whether it keeps the whole contract; if not, it has only a training step.
        compiles: whether a function's first call compiles, so that many of them take minutes.
        small, processes: whether it refuses large networks; how many others compute for it.
    """

    name: str
    kind: Kind
    family: Family
    colour: str
    requires: str | None = None
    extra: str | None = None
    gpu: bool = False
    cpu: bool = True
    dtypes: tuple[str, ...] = ("float32", "float64")
    whole: bool = True
    compiles: bool = False
    small: bool = False
    processes: int = 0

    @property
    def module(self) -> str:
        """Dotted name of the network's module."""
        return f"samegrad.implementations.{KINDS[self.kind][0]}mlp_{self.name}"

    @property
    def marker(self) -> str:
        """Of its points in charts."""
        return KINDS[self.kind][1]

    @property
    def base(self) -> str | None:
        """The idiom that it varies; None for an idiom itself."""
        return None if self.kind == "idiom" else self.family


# Narrow networks as one kernel, for a GPU.
_kernel = partial(Entry, kind="variant", gpu=True, cpu=False, compiles=True, small=True)
_ENTRIES = (
    Entry("scalar", "idiom", "scalar", "#BD7E04", dtypes=FLOAT64),
    Entry("numpy", "idiom", "numpy", "#3769A6"),
    Entry("torch", "idiom", "torch", "#B64529", requires="torch", gpu=True),
    Entry("jax", "idiom", "jax", "#09A377", requires="jax", gpu=True, compiles=True),
    Entry("c", "idiom", "c", "#5B6770", requires=COMPILER),
    Entry("scalar_fast", "variant", "scalar", "#B47747", dtypes=FLOAT64),
    Entry("numpy_inplace", "variant", "numpy", "#006EA3", requires="scipy", extra="benchmark"),
    Entry(
        "torch_compile", "variant", "torch", "#CB5B70", requires="torch", gpu=True, compiles=True
    ),
    Entry("numba", "variant", "scalar", "#969000", requires="numba", dtypes=FLOAT64, compiles=True),
    Entry("cupy", "variant", "numpy", "#7150CD", requires="cupy", gpu=True, cpu=False),
    _kernel("pallas", family="jax", colour="#00A08A", requires="jax"),
    _kernel("triton", family="torch", colour="#CC28AB", requires="triton"),
    Entry("graph", "differentiation", "numpy", "#BD79C3"),
    Entry("dual", "differentiation", "scalar", "#796650", dtypes=FLOAT64),
    Entry("numerical", "differentiation", "numpy", "#B0387D", dtypes=FLOAT64),
    Entry(
        "symbolic",
        "differentiation",
        "numpy",
        "#5A9A00",
        requires="sympy",
        extra="peers",
        dtypes=FLOAT64,
        small=True,
    ),
    Entry("torch_ddp", "parallel", "torch", "#C44076", requires="torch", gpu=True),
    Entry("torch_fsdp", "parallel", "torch", "#C67E17", requires="torch", gpu=True),
    Entry("jax_sharded", "parallel", "jax", "#00994C", requires="jax", gpu=True, compiles=True),
    Entry("jax_tensor", "parallel", "jax", "#4E74DB", requires="jax", gpu=True, compiles=True),
    Entry("micrograd", "peer", "scalar", "#9A7D3E", dtypes=FLOAT64),
    Entry("sklearn", "peer", "numpy", "#6C84B2", requires="sklearn", extra="peers", whole=False),
    Entry("torch_nn", "peer", "torch", "#D17F1E", requires="torch", gpu=True),
    Entry(
        "flax", "peer", "jax", "#26A38C", requires="flax", extra="peers", gpu=True, compiles=True
    ),
    Entry("torch_loader", "loader", "torch", "#C2497A", requires="torch"),
    Entry("torch_loader_2", "loader", "torch", "#C77C02", requires="torch", processes=2),
)
TABLE = {entry.name: entry for entry in _ENTRIES}


class UnknownImplementationError(ValueError):
    """The name is neither in the table nor a file nor a module."""


class NotInstalledError(ImportError):
    """The framework that the implementation needs is not installed."""


class BrokenImplementationError(ImportError):
    """The module exists but could not be imported, or defines nothing that could be called."""


@clean_errors()
def names(kind: str = "idiom") -> tuple[str, ...]:
    """The implementations of a kind, or of "all", in the order in which reports show them.

    Raises:
        ValueError: no such kind.
    """
    if kind not in (*KINDS, "all"):
        raise ValueError(f"kind {kind!r} is not known; accepted: {', '.join(KINDS)}, all")
    return tuple(name for name, entry in TABLE.items() if kind in (entry.kind, "all"))


def split(name: str) -> tuple[str, str]:
    """(file or module, NAME of an object in it or ""); the C of C:/my_mlp.py is part of a path."""
    where, _, of = name.rpartition(":")
    return (where, of) if of.isidentifier() and len(where) > 1 else (name, "")


def label(name: str) -> str:
    """The name that tables and records show: of a path, the file's stem."""
    where, of = split(name)
    return _joined(Path(where).stem if _is_path(where) else where, of)


def absolute(name: str) -> str:
    """A name that means the same from any folder."""
    where, of = split(name)
    return _joined(str(Path(where).resolve()) if _is_path(where) else where, of)


def _joined(where: str, of: str) -> str:
    return f"{where}:{of}" if of else where


def _is_path(where: str) -> bool:
    return where.endswith(".py")


def check_name(name: str) -> None:
    """Raise UnknownImplementationError unless the name can mean something, importing nothing."""
    where, of = split(name)
    if name in TABLE:
        return
    if _is_path(where):
        try:
            if Path(where).is_file():
                return
        except OSError as error:  # too long, or in a folder that may not be read
            raise UnknownImplementationError(
                f"implementation {name!r:.200}: {error.strerror}"
            ) from None
        raise UnknownImplementationError(f"implementation {name!r}{instead_of_file(where)}")
    with contextlib.suppress(OSError):  # too long for one
        if Path(name).is_dir():
            raise UnknownImplementationError(f"implementation {name!r} {instead_of_folder(name)}")
        if Path(name).is_file():
            raise UnknownImplementationError(
                f"implementation {name!r} is no Python file; give one that ends in .py (verify "
                "also takes .ipynb)"
            )
    dotted = all(part.isidentifier() for part in where.split("."))
    if dotted and where not in TABLE and ("." in where or of):
        return  # a module; whether it imports is known when it is loaded
    beside = False
    with contextlib.suppress(OSError):  # too long for one
        beside = Path(f"{where}.py").is_file()
    if beside:
        file = _joined(f"{where}.py", of)
        raise UnknownImplementationError(
            f"implementation {name!r} is not known; did you mean the file {file}?"
        )
    raise UnknownImplementationError(
        f"implementation {name!r} is not known; accepted: {', '.join(TABLE)}, a path such as "
        "./my_mlp.py, a module such as package.module, or one object of these, ./my_mlp.py:NAME"
        f"{commands.did_you_mean(where, TABLE)}"
    )


def check_ranks(name: str, ranks: int) -> None:
    """Raise ValueError unless an implementation can compute in so many processes together."""
    parallel = names("parallel")
    if ranks > 1 and name not in parallel:
        raise ValueError(
            f"{name} runs in one process, not in {ranks} ranks; accepted: {', '.join(parallel)}"
        )


def why_not_installed(name: str) -> str | None:
    """The reason why the implementation cannot be loaded here, or None if nothing is missing."""
    entry = TABLE.get(name)
    if entry is None or entry.requires is None:
        return None
    if entry.requires == COMPILER:
        return None if c_compiler() else "it needs a C compiler: install gcc or clang, or set $CC"
    if importlib.util.find_spec(entry.requires) is not None:
        return None
    return (
        f"{entry.requires} is not installed in {sys.prefix}; "
        f"install it with: {commands.install(entry.extra or entry.requires)}"
    )


def c_compiler() -> list[str] | None:
    """The command of a C compiler: that of $CC, or cc, gcc or clang; None if there is none.

    Nor on Windows, whose files have no owner that the cache of compiled code could be held to.
    """
    if os.name != "posix":
        return None
    own = os.environ.get("CC", "").strip()
    try:
        commands_of_it = [shlex.split(own)] if own else [["cc"], ["gcc"], ["clang"]]
    except ValueError:  # a quotation without an end
        return None
    return next((words for words in commands_of_it if shutil.which(words[0])), None)


def looped(name: str) -> bool:
    """Whether it takes one number at a time; a file outside the table is taken not to."""
    return name in TABLE and TABLE[name].family == "scalar"


@clean_errors()
def load(name: str | Path) -> Implementation:
    """The network of that name, joined with its backend and completed to the contract.

    Raises:
        TypeError: it is no name.
        UnknownImplementationError: no such name, file or module.
        NotInstalledError: its framework is not installed; the message has the command.
        BrokenImplementationError: it exists and fails to import, or has nothing to call.
    """
    if not isinstance(name, str | Path):
        raise TypeError(
            f"implementation {name!r} is not accepted; give a name such as 'numpy', the path of a "
            "Python file, or a dotted module name, as a text"
        )
    name = str(name)
    check_name(name)
    where, of = split(name)
    if name in _LOADED:
        return _LOADED[name]
    missing = why_not_installed(name)
    if missing is not None:
        raise NotInstalledError(f"implementation {name!r}: {missing}")
    try:
        if _is_path(where):
            module = _module_from_path(Path(where))
        else:
            module = importlib.import_module(TABLE[name].module if name in TABLE else where)
    except ModuleNotFoundError as error:
        if name not in TABLE and error.name and f"{where}.".startswith(f"{error.name}."):
            raise UnknownImplementationError(
                f"implementation {name!r}: no module named {error.name!r}, and no file {where!r}"
            ) from None
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:  # whatever the import raised is the message
        raise _broken(name, error) from error
    try:
        implementation = adapted(module, label(name), of)
    except ValueError as error:
        raise BrokenImplementationError(f"implementation {name!r}: {error}") from None
    if name in TABLE:
        _LOADED[name] = implementation
    return implementation


_LOADED: dict[str, Implementation] = {}  # of the table


def _broken(name: str, error: BaseException) -> BrokenImplementationError:
    text = " ".join(message(error).split()) or "no message"
    reason = f"{type(error).__name__}: {text}{place(error)}"
    where, _ = split(name)
    if _is_path(where) and isinstance(error, ImportError):
        reason = what_to_write(Path(where)) or reason
    return BrokenImplementationError(f"implementation {name!r} could not be loaded: {reason}")


def _module_from_path(path: Path) -> ModuleType:
    path = path.resolve()
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BrokenImplementationError(f"implementation {str(path)!r} is not a Python file")
    # What the file defines looks for its module there (dataclasses do), and so do its neighbours.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # for what lies beside the file; after everything else
    arguments, sys.argv = sys.argv, [str(path)]  # a file that parses them gets none of ours
    try:
        with without_bytecode():
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.argv = arguments
    return module


def _module_name(path: Path) -> str:
    """The file's stem, unless it names another module: a file may be called numpy.py."""
    name = path.stem
    if name.isidentifier():
        known = sys.modules.get(name)
        spec = importlib.util.find_spec(name) if known is None else None
        origin = spec.origin if spec is not None else getattr(known, "__file__", None)
        if known is None or origin is not None:
            return name if origin in (None, str(path)) else f"samegrad file {path}"
    return f"samegrad file {path}"
