"""The same multi-layer perceptron in plain Python, NumPy, PyTorch and JAX.

    import samegrad as sg

gives everything that is public. Names are imported when they are first used, so the import itself
takes milliseconds and loads no framework.

PYTEST_DONT_REWRITE: nothing is asserted here, and pytest would warn of finding it imported.
"""

import os.path
import sys
from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true; `typing` itself would cost milliseconds
if TYPE_CHECKING:
    from samegrad.benchmarks.api import measure as measure
    from samegrad.implementations.checking.assertions import (
        assert_gradients_agree as assert_gradients_agree,
    )
    from samegrad.implementations.checking.function_check import check_function as check_function
    from samegrad.implementations.checking.function_check import check_gradient as check_gradient
    from samegrad.implementations.checking.objects.check import check as check
    from samegrad.implementations.contract.initializers import init_params as init_params
    from samegrad.implementations.contract.registry import load as load
    from samegrad.implementations.contract.registry import names as names
    from samegrad.implementations.contract.spec import MLPSpec as MLPSpec
    from samegrad.implementations.proof.prove import prove as prove
    from samegrad.implementations.reading.files import verify as verify
    from samegrad.reports.data.comparison import compare as compare
    from samegrad.reports.render import render as render

__version__ = "0.2.0"

# public name -> the module that defines it
_PUBLIC = {
    "MLPSpec": "samegrad.implementations.contract.spec",
    "assert_gradients_agree": "samegrad.implementations.checking.assertions",
    "check": "samegrad.implementations.checking.objects.check",
    "check_function": "samegrad.implementations.checking.function_check",
    "check_gradient": "samegrad.implementations.checking.function_check",
    "compare": "samegrad.reports.data.comparison",
    "init_params": "samegrad.implementations.contract.initializers",
    "load": "samegrad.implementations.contract.registry",
    "measure": "samegrad.benchmarks.api",
    "names": "samegrad.implementations.contract.registry",
    "prove": "samegrad.implementations.proof.prove",
    "render": "samegrad.reports.render",
    "verify": "samegrad.implementations.reading.files",
}

__all__ = ["__version__", *_PUBLIC]

if __name__ != "samegrad":
    raise ImportError(f"{__name__} is samegrad itself: write `import samegrad`")


def _in_checkout(root: str) -> bool:
    """Whether a folder is this project's own: a wheel's parent is site-packages, which is not."""
    try:
        with open(os.path.join(root, "pyproject.toml"), encoding="utf-8") as file:  # noqa: PTH118, PTH123 # pathlib is half of the import's time
            return '\nname = "samegrad"\n' in file.read()
    except OSError:
        return False


# In a checkout benchmarks/, implementations/ and reports/ lie beside this folder; installed, in it.
_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 # the same
if _in_checkout(_root):
    __path__.append(_root)


def __getattr__(name: str) -> object:
    if name in _PUBLIC:
        value = globals()[name] = getattr(_imported(_PUBLIC[name]), name)
        return value
    program = os.path.basename(sys.argv[0] if sys.argv else "")  # noqa: PTH119 # the same
    if name == "main" and program.startswith("samegrad"):
        # The script of an install from before samegrad was one package.
        raise SystemExit(f"{sys.argv[0]} is of an older samegrad: install it again")
    raise AttributeError(f"module 'samegrad' has no attribute {name!r}")  # Python says what is near


def _imported(module: str) -> object:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        from samegrad.implementations.contract.commands import MissingExtraError, missing_extra

        line = missing_extra(error)
        if line is None:
            raise
        raise MissingExtraError(line) from None


def __dir__() -> list[str]:
    return sorted(__all__)
