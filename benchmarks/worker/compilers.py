"""How much has been compiled in this process, without the help of whose code is timed.

No backend of ours is loaded for it: importing one sets options of its framework.
"""

import sys
from functools import cache
from importlib import import_module
from typing import Any

from samegrad.implementations.contract.adapter import Implementation


def compilations(implementation: Implementation) -> int:
    """Functions compiled so far: by the frameworks that are loaded, or by its own count."""
    found = 0
    if "jax" in sys.modules:
        found += len(_jax())
    if "numba" in sys.modules:
        found += len(_numba())
    if dynamo := sys.modules.get("torch._dynamo.utils"):
        by_dynamo, by_others = ("stats", "unique_graphs"), ("aot_autograd", "total")
        found += max(int(dynamo.counters[of][what]) for of, what in (by_dynamo, by_others))
    return max(found, implementation.capabilities.compilations()[0])


@cache
def _jax() -> list[str]:
    """What JAX compiles from now on."""
    compiled: list[str] = []

    def told(event: str, _: float, **__: Any) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    import_module("jax.monitoring").register_event_duration_secs_listener(told)
    return compiled


@cache
def _numba() -> list[Any]:
    """What Numba compiles from now on."""
    event, compiled = import_module("numba.core.event"), list[Any]()

    class Told(event.Listener):  # type: ignore[misc,name-defined] # of a library without types
        def on_start(self, started: Any) -> None:
            compiled.append(started)

        def on_end(self, _: Any) -> None:
            pass

    event.register("numba:compile", Told())
    return compiled
