"""The same multi-layer perceptron in plain Python, NumPy, PyTorch and JAX.

    import samegrad as sg

gives everything that is public. Names are imported when they are first used, so the import itself
takes milliseconds and loads no framework.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from samegrad.benchmarks.api import measure as measure
    from samegrad.implementations.checking.assertions import (
        assert_gradients_agree as assert_gradients_agree,
    )
    from samegrad.implementations.checking.gradient_check import check_gradient as check_gradient
    from samegrad.implementations.checking.verifier import verify as verify
    from samegrad.implementations.contract.initializers import init_params as init_params
    from samegrad.implementations.contract.registry import load as load
    from samegrad.implementations.contract.registry import names as names
    from samegrad.implementations.contract.spec import MLPSpec as MLPSpec
    from samegrad.reports.data.comparison import compare as compare
    from samegrad.reports.render import render as render

__version__ = "0.1.0"

# public name -> the module that defines it
_PUBLIC = {
    "MLPSpec": "samegrad.implementations.contract.spec",
    "assert_gradients_agree": "samegrad.implementations.checking.assertions",
    "check_gradient": "samegrad.implementations.checking.gradient_check",
    "compare": "samegrad.reports.data.comparison",
    "init_params": "samegrad.implementations.contract.initializers",
    "load": "samegrad.implementations.contract.registry",
    "measure": "samegrad.benchmarks.api",
    "names": "samegrad.implementations.contract.registry",
    "render": "samegrad.reports.render",
    "verify": "samegrad.implementations.checking.verifier",
}

__all__ = [*_PUBLIC, "__version__"]  # all of them are texts


def _in_checkout(root: Path) -> bool:
    """Whether a folder is this project's own: a wheel's parent is site-packages, which is not."""
    try:
        return '\nname = "samegrad"\n' in (root / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return False


# In a checkout benchmarks/, implementations/ and reports/ lie beside this folder; installed, in it.
_root = Path(__file__).resolve().parent.parent
if _in_checkout(_root):
    __path__.append(str(_root))


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'samegrad' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_PUBLIC[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
