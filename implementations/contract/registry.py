"""Which implementations there are, and how one is loaded.

A name of the table, the path of a Python file, or a dotted module name: all three give a
module that satisfies `Implementation`. Nothing is imported before it is asked for.
"""

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import cast

from samegrad.implementations.contract.adapter import adapted
from samegrad.implementations.contract.interface import Implementation


@dataclass(frozen=True)
class Entry:
    """One implementation of the table.

    Attributes:
        module: dotted name of the module.
        idiom: how the network is written, in a few words, for tables and reports.
        requires: import name of the framework that it needs, or None.
        distribution: name under which that framework is installed, or None.
        extra: the extra of this project that installs it, or None.
        gpu: whether the framework can use a CUDA device.
        dtypes: the module's DTYPES, for its rows where it cannot be loaded.
        kind: "idiom" (the four that are compared everywhere), "variant" (an idiom in a faster
            form, or in another place), "differentiation" (another way to get the gradient) or
            "peer" (what people would use instead of an idiom).
        base: the idiom of which it is a variant or a peer, or whose arrays it uses; or None.
        cpu: whether it runs on a CPU.
        whole: whether it keeps the whole contract; if not, it has a training step and no gradient.
        compiles: whether a function's first call compiles, so that many of them take minutes.
    """

    module: str
    idiom: str
    requires: str | None = None
    distribution: str | None = None
    extra: str | None = None
    gpu: bool = False
    dtypes: tuple[str, ...] = ("float32", "float64")
    kind: str = "idiom"
    base: str | None = None
    cpu: bool = True
    whole: bool = True
    compiles: bool = False


KINDS = ("idiom", "variant", "differentiation", "peer")
TABLE = {
    "scalar": Entry(
        "samegrad.implementations.mlp_scalar", "looped scalar Python", dtypes=("float64",)
    ),
    "numpy": Entry(
        "samegrad.implementations.mlp_numpy", "vectorised NumPy, backpropagation by hand"
    ),
    "torch": Entry(
        "samegrad.implementations.mlp_torch",
        "torch operations, autograd",
        "torch",
        "torch",
        "torch",
        True,
    ),
    "jax": Entry(
        "samegrad.implementations.mlp_jax",
        "jax.jit, jax.value_and_grad",
        "jax",
        "jax",
        "jax",
        True,
        compiles=True,
    ),
    "numpy_inplace": Entry(
        "samegrad.implementations.variants.mlp_numpy_inplace",
        "NumPy and BLAS in place, backpropagation by hand",
        kind="variant",
        base="numpy",
    ),
    "torch_compile": Entry(
        "samegrad.implementations.variants.mlp_torch_compile",
        "torch.compile of the whole step",
        "torch",
        "torch",
        "torch",
        True,
        kind="variant",
        base="torch",
        compiles=True,
    ),
    "numba": Entry(
        "samegrad.implementations.variants.mlp_numba",
        "looped Python, compiled by Numba",
        "numba",
        "numba",
        "numba",
        dtypes=("float64",),
        kind="variant",
        base="scalar",
        compiles=True,
    ),
    "cupy": Entry(
        "samegrad.implementations.variants.mlp_cupy",
        "the NumPy source on a GPU by CuPy",
        "cupy",
        "cupy-cuda13x",
        "cupy",
        True,
        kind="variant",
        base="numpy",
        cpu=False,
    ),
    "graph": Entry(
        "samegrad.implementations.differentiation.mlp_graph",
        "expression graph over NumPy, reverse mode",
        kind="differentiation",
        base="numpy",
    ),
    "dual": Entry(
        "samegrad.implementations.differentiation.mlp_dual",
        "dual numbers in plain Python, forward mode",
        dtypes=("float64",),
        kind="differentiation",
        base="scalar",
    ),
    "numerical": Entry(
        "samegrad.implementations.differentiation.mlp_numerical",
        "NumPy, complex step or central differences",
        dtypes=("float64",),
        kind="differentiation",
        base="numpy",
    ),
    "micrograd": Entry(
        "samegrad.implementations.peers.mlp_micrograd",
        "scalar autograd objects, micrograd's way",
        dtypes=("float64",),
        kind="peer",
        base="scalar",
    ),
    "sklearn": Entry(
        "samegrad.implementations.peers.mlp_sklearn",
        "scikit-learn's MLP, partial_fit",
        "sklearn",
        "scikit-learn",
        None,
        kind="peer",
        base="numpy",
        whole=False,
    ),
    "torch_nn": Entry(
        "samegrad.implementations.peers.mlp_torch_nn",
        "nn.Sequential, nn.Linear, torch.optim",
        "torch",
        "torch",
        "torch",
        True,
        kind="peer",
        base="torch",
    ),
    "flax": Entry(
        "samegrad.implementations.peers.mlp_flax",
        "flax.nnx, optax, nnx.jit",
        "flax",
        "flax",
        "peers",
        True,
        kind="peer",
        base="jax",
        compiles=True,
    ),
}


class UnknownImplementationError(ValueError):
    """The name is neither in the table nor a file nor a module."""


class NotInstalledError(ImportError):
    """The framework that the implementation needs is not installed."""


class BrokenImplementationError(ImportError):
    """The module is there but does not import, or defines nothing that could be called."""


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


def label(name: str) -> str:
    """The name that tables and records show: the file's stem for a path."""
    return Path(name).stem if is_path(name) else name


def is_path(name: str) -> bool:
    """Whether the name means a Python file."""
    return name.endswith(".py")


def absolute(name: str) -> str:
    """A name that means the same from any folder."""
    return str(Path(name).resolve()) if is_path(name) else name


def check_name(name: str) -> None:
    """Raise UnknownImplementationError unless the name can mean something, importing nothing."""
    if name in TABLE or (is_path(name) and Path(name).is_file()):
        return
    if is_path(name):
        raise UnknownImplementationError(f"implementation {name!r}: no such file")
    if "." in name and all(part.isidentifier() for part in name.split(".")):
        return  # a dotted module; whether it imports is known when it is loaded
    raise UnknownImplementationError(
        f"implementation {name!r} is not known; accepted: {', '.join(TABLE)}, "
        "a path such as ./my_mlp.py, or a module such as package.module"
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
        f'install it with: pip install "samegrad[{entry.extra}]" (a checkout: ".[{entry.extra}]")'
    )


def looped(name: str) -> bool:
    """Whether it takes one number at a time: looped Python, its variants and its peers."""
    return name in TABLE and "scalar" in (name, TABLE[name].base)


def load(name: str) -> Implementation:
    """The module of an implementation, completed to the contract if it defines a part of it.

    Raises:
        UnknownImplementationError: no such name, file or module.
        NotInstalledError: its framework is not installed; the message has the command.
        BrokenImplementationError: it is there and fails to import, or has nothing to call.
    """
    check_name(name)
    missing = why_not_installed(name)
    if missing is not None:
        raise NotInstalledError(f"implementation {name!r}: {missing}")
    try:
        if is_path(name):
            module = _module_from_path(Path(name))
        else:
            module = importlib.import_module(TABLE[name].module if name in TABLE else name)
    except ModuleNotFoundError as error:
        if name not in TABLE and error.name and f"{name}.".startswith(f"{error.name}."):
            raise UnknownImplementationError(
                f"implementation {name!r}: no module named {error.name!r}"
            ) from None
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:  # whatever the import raised is the message
        raise _broken(name, error) from error
    try:
        return cast(Implementation, adapted(module, label(name)))
    except ValueError as error:
        raise BrokenImplementationError(f"implementation {name!r}: {error}") from None


def _broken(name: str, error: BaseException) -> BrokenImplementationError:
    reason = " ".join(str(error).split()) or "no message"
    return BrokenImplementationError(
        f"implementation {name!r} is there but does not import: {type(error).__name__}: {reason}"
    )


def _module_from_path(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise BrokenImplementationError(f"implementation {str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # for what lies beside the file; after everything else
    spec.loader.exec_module(module)
    return module
