"""What Python and NumPy had once and files still call, and what notebooks alone have."""

import builtins
import re
import time
from typing import Any

import numpy as np

OF_NUMPY: dict[str, Any] = {
    "asfarray": lambda values, dtype=float: np.asarray(values, dtype), "float": float, "int": int,
    "float_": np.float64, "NaN": np.nan, "Inf": np.inf, "product": np.prod, "bool8": np.bool_,
}  # fmt: skip
OF_TIME: dict[str, Any] = {"clock": time.process_time}
GONE = [(m, n, instead) for m, known in ((time, OF_TIME), (np, OF_NUMPY))
        for n, instead in known.items() if not hasattr(m, n)]  # fmt: skip


class Shell:
    """What get_ipython() gives: whatever is called of it does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def put_back(source: str) -> list[str]:
    """Give a file what it calls and is gone; remarks that say so."""
    if not hasattr(builtins, "get_ipython"):
        vars(builtins)["get_ipython"] = Shell
    remarks = []
    for module, name, instead in GONE:
        of = "(?:np|numpy)" if module is np else module.__name__
        if re.search(rf"\b{of}\.{name}\b", source):
            setattr(module, name, instead)
            said = f"{module.__name__}.{name} is gone: what it was stands for it here"
            remarks.append(said)
    return remarks
