"""Which implementations there are, and how one is loaded.

A name of the table, the path of a Python file, or a dotted module name: all three give an
`Implementation`. `FILE.py:NAME` and `package.module:NAME` are an object of a file or a module.
Nothing is imported before it is asked for.
"""

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from samegrad.implementations.contract import commands
from samegrad.implementations.contract.adapter import Implementation, adapted
from samegrad.implementations.contract.old_names import what_to_write

Family = Literal["scalar", "numpy", "torch", "jax"]
Kind = Literal["idiom", "variant", "differentiation", "peer"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One implementation of the table.

    Attributes:
        module: dotted name of the module.
        idiom: how the network is written, in a few words, for tables and reports.
        family: the idiom that it is or varies, or whose arrays it uses.
        colour: of its lines and bars in charts. A family shares a hue of Okabe and Ito's palette
            and differs in lightness: every common colour deficiency tells its members apart.
        marker: of its points in charts, as matplotlib names it.
        requires: import name of the framework that it needs, or None.
        distribution: name under which that framework is installed, or None.
        extra: the extra of this project that installs it, or None.
        gpu: whether the framework can use a CUDA device.
        cpu: whether it runs on a CPU.
        dtypes: those that its model has, for its rows where it cannot be loaded.
        kind: "idiom" (the four that are compared everywhere), "variant" (an idiom in a faster
            form, or in another place), "differentiation" (another way to get the gradient) or
            "peer" (what people would use instead of an idiom).
        looped: whether Python or what compiles it takes one number at a time.
        whole: whether it keeps the whole contract; if not, it has a training step and no gradient.
        compiles: whether a function's first call compiles, so that many of them take minutes.
    """

    module: str
    idiom: str
    family: Family
    colour: str
    marker: str = "o"
    requires: str | None = None
    distribution: str | None = None
    extra: str | None = None
    gpu: bool = False
    cpu: bool = True
    dtypes: tuple[str, ...] = ("float32", "float64")
    kind: Kind = "idiom"
    looped: bool = False
    whole: bool = True
    compiles: bool = False

    @property
    def base(self) -> str | None:
        """The idiom that it varies; None for an idiom itself."""
        return None if self.kind == "idiom" else self.family


KINDS: tuple[Kind, ...] = get_args(Kind)
FAMILIES: tuple[Family, ...] = get_args(Family)  # from loops to compilers
SPEED_UPS_OVER = "scalar"  # looped Python
COMPARED_WITH = "numpy"  # every user has it
TABLE = {
    "scalar": Entry(
        module="samegrad.implementations.mlp_scalar",
        idiom="looped scalar Python",
        family="scalar",
        colour="#E69F00",
        dtypes=("float64",),
        looped=True,
    ),
    "numpy": Entry(
        module="samegrad.implementations.mlp_numpy",
        idiom="vectorised NumPy, backpropagation by hand",
        family="numpy",
        colour="#0072B2",
    ),
    "torch": Entry(
        module="samegrad.implementations.mlp_torch",
        idiom="torch operations, autograd",
        family="torch",
        colour="#D55E00",
        requires="torch",
        distribution="torch",
        extra="torch",
        gpu=True,
    ),
    "jax": Entry(
        module="samegrad.implementations.mlp_jax",
        idiom="jax.jit, jax.value_and_grad",
        family="jax",
        colour="#009E73",
        requires="jax",
        distribution="jax",
        extra="jax",
        gpu=True,
        compiles=True,
    ),
    "scalar_fast": Entry(
        module="samegrad.implementations.variants.mlp_scalar_fast",
        idiom="lists and floats, inner products in C",
        kind="variant",
        family="scalar",
        colour="#F2C56B",
        marker="D",
        dtypes=("float64",),
        looped=True,
    ),
    "numpy_inplace": Entry(
        module="samegrad.implementations.variants.mlp_numpy_inplace",
        idiom="NumPy and BLAS in place, backpropagation by hand",
        requires="scipy",
        distribution="scipy",
        extra="benchmark",
        kind="variant",
        family="numpy",
        colour="#00365C",
        marker="D",
    ),
    "torch_compile": Entry(
        module="samegrad.implementations.variants.mlp_torch_compile",
        idiom="torch.compile of the whole step",
        kind="variant",
        family="torch",
        colour="#7A2E00",
        marker="D",
        requires="torch",
        distribution="torch",
        extra="torch",
        gpu=True,
        compiles=True,
    ),
    "numba": Entry(
        module="samegrad.implementations.variants.mlp_numba",
        idiom="looped Python, compiled by Numba",
        kind="variant",
        family="scalar",
        colour="#8A6100",
        marker="D",
        requires="numba",
        distribution="numba",
        extra="numba",
        dtypes=("float64",),
        looped=True,
        compiles=True,
    ),
    "cupy": Entry(
        module="samegrad.implementations.variants.mlp_cupy",
        idiom="the NumPy source on a GPU by CuPy",
        kind="variant",
        family="numpy",
        colour="#332288",
        marker="D",
        requires="cupy",
        distribution="cupy-cuda13x",
        extra="cupy",
        gpu=True,
        cpu=False,
    ),
    "graph": Entry(
        module="samegrad.implementations.differentiation.mlp_graph",
        idiom="expression graph over NumPy, reverse mode",
        kind="differentiation",
        family="numpy",
        colour="#CC79A7",
        marker="X",
    ),
    "dual": Entry(
        module="samegrad.implementations.differentiation.mlp_dual",
        idiom="dual numbers in plain Python, forward mode",
        kind="differentiation",
        family="scalar",
        colour="#000000",
        marker="X",
        dtypes=("float64",),
        looped=True,
    ),
    "numerical": Entry(
        module="samegrad.implementations.differentiation.mlp_numerical",
        idiom="NumPy, complex step or central differences",
        kind="differentiation",
        family="numpy",
        colour="#882255",
        marker="X",
        dtypes=("float64",),
    ),
    "micrograd": Entry(
        module="samegrad.implementations.peers.mlp_micrograd",
        idiom="scalar autograd objects, micrograd's way",
        kind="peer",
        family="scalar",
        colour="#C9B458",
        marker="P",
        dtypes=("float64",),
        looped=True,
    ),
    "sklearn": Entry(
        module="samegrad.implementations.peers.mlp_sklearn",
        idiom="scikit-learn's MLP, partial_fit",
        kind="peer",
        family="numpy",
        colour="#56B4E9",
        marker="P",
        requires="sklearn",
        distribution="scikit-learn",
        extra="peers",
        whole=False,
    ),
    "torch_nn": Entry(
        module="samegrad.implementations.peers.mlp_torch_nn",
        idiom="nn.Sequential, nn.Linear, torch.optim",
        kind="peer",
        family="torch",
        colour="#F2946B",
        marker="P",
        requires="torch",
        distribution="torch",
        extra="torch",
        gpu=True,
    ),
    "flax": Entry(
        module="samegrad.implementations.peers.mlp_flax",
        idiom="flax.nnx, optax, nnx.jit",
        kind="peer",
        family="jax",
        colour="#66C2A5",
        marker="P",
        requires="flax",
        distribution="flax",
        extra="peers",
        gpu=True,
        compiles=True,
    ),
}


class UnknownImplementationError(ValueError):
    """The name is neither in the table nor a file nor a module."""


class NotInstalledError(ImportError):
    """The framework that the implementation needs is not installed."""


class BrokenImplementationError(ImportError):
    """The module exists but could not be imported, or defines nothing that could be called."""


def names(kind: str = "idiom") -> tuple[str, ...]:
    """The implementations of a kind, or of "all", in the order in which reports show them.

    Raises:
        ValueError: no such kind.
    """
    if kind not in (*KINDS, "all"):
        raise ValueError(f"kind {kind!r} is not known; accepted: {', '.join(KINDS)}, all")
    return tuple(name for name, entry in TABLE.items() if kind in (entry.kind, "all"))


def path(name: str) -> str:
    """Where the file of an implementation of the table stands in the project."""
    return TABLE[name].module.removeprefix("samegrad.").replace(".", "/") + ".py"


def split(name: str) -> tuple[str, str]:
    """(file or module, NAME of an object in it or ""); the C of C:/my_mlp.py is part of a path."""
    where, _, of = name.rpartition(":")
    return (where, of) if of.isidentifier() and len(where) > 1 else (name, "")


def label(name: str) -> str:
    """The name that tables and records show: of a path, the file's stem."""
    where, of = split(name)
    return ":".join(filter(None, (Path(where).stem if _is_path(where) else where, of)))


def absolute(name: str) -> str:
    """A name that means the same from any folder."""
    where, of = split(name)
    return ":".join(filter(None, (str(Path(where).resolve()) if _is_path(where) else where, of)))


def _is_path(where: str) -> bool:
    return where.endswith(".py")


def check_name(name: str) -> None:
    """Raise UnknownImplementationError unless the name can mean something, importing nothing."""
    where, of = split(name)
    if name in TABLE or (_is_path(where) and Path(where).is_file()):
        return
    if _is_path(where):
        raise UnknownImplementationError(f"implementation {name!r}: no such file")
    dotted = all(part.isidentifier() for part in where.split("."))
    if dotted and where not in TABLE and ("." in where or of):
        return  # a module; whether it imports is known when it is loaded
    raise UnknownImplementationError(
        f"implementation {name!r} is not known; accepted: {', '.join(TABLE)}, a path such as "
        "./my_mlp.py, a module such as package.module, or one object of these, ./my_mlp.py:NAME"
        f"{commands.did_you_mean(where, TABLE)}"
    )


def why_not_installed(name: str) -> str | None:
    """The reason why the implementation cannot be loaded here, or None if nothing is missing."""
    entry = TABLE.get(name)
    if entry is None or entry.requires is None:
        return None
    if importlib.util.find_spec(entry.requires) is not None:
        return None
    return (
        f"{entry.requires} is not installed in {sys.prefix}; "
        f"install it with: {commands.install(str(entry.extra))}"
    )


def looped(name: str) -> bool:
    """Whether it takes one number at a time; a file outside the table is taken not to."""
    return name in TABLE and TABLE[name].looped


def by_family() -> tuple[str, ...]:
    """The table's names from loops to compilers, each idiom before what varies it."""
    return tuple(sorted(TABLE, key=lambda name: FAMILIES.index(TABLE[name].family)))


def load(name: str) -> Implementation:
    """The network of that name, joined with its backend and completed to the contract.

    Raises:
        UnknownImplementationError: no such name, file or module.
        NotInstalledError: its framework is not installed; the message has the command.
        BrokenImplementationError: it exists and fails to import, or has nothing to call.
    """
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
                f"implementation {name!r}: no module named {error.name!r}"
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
    reason = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
    where, _ = split(name)
    if _is_path(where) and isinstance(error, ImportError):
        reason = what_to_write(Path(where)) or reason
    return BrokenImplementationError(f"implementation {name!r} could not be loaded: {reason}")


def _module_from_path(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise BrokenImplementationError(f"implementation {str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # for what lies beside the file; after everything else
    arguments, sys.argv = sys.argv, [str(path)]  # a file that parses them gets none of ours
    try:
        spec.loader.exec_module(module)
    finally:
        sys.argv = arguments
    return module
