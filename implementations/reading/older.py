"""What NumPy had once and files still call, and what notebooks alone have."""

import builtins
import re
import sys
import sysconfig
from typing import Any

import numpy as np

OF_NUMPY: dict[str, Any] = {
    "asfarray": lambda values, dtype=float: np.asarray(values, dtype), "float": float, "int": int,
    "float_": np.float64, "NaN": np.nan, "Inf": np.inf, "product": np.prod, "bool8": np.bool_,
}  # fmt: skip
LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
GONE = [(n, instead) for n, instead in OF_NUMPY.items() if not hasattr(np, n)]


class Shell:
    """What get_ipython() gives: whatever is called of it does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def shell() -> Shell:
    """What get_ipython() is for files; libraries which ask by it where they run are not misled.

    JAX imports IPython where it is.
    """
    caller = sys._getframe(1).f_code.co_filename
    if caller.startswith(LIBRARIES):
        raise NameError("name 'get_ipython' is not defined")
    return Shell()


def put_back(source: str) -> list[str]:
    """Give a file what it calls and is gone; remarks that say so."""
    if not hasattr(builtins, "get_ipython"):
        vars(builtins)["get_ipython"] = shell
    remarks = []
    for name, instead in GONE:
        if re.search(rf"\b(?:np|numpy)\.{name}\b", source):
            setattr(np, name, instead)
            remarks.append(f"numpy.{name} is gone: what it was stands for it here")
    return remarks
