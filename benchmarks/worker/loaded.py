"""An implementation by its name, in a process that times it."""

from pathlib import Path

from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import PLAIN, Implementation
from samegrad.implementations.contract.supplied import supply_step
from samegrad.implementations.reading.source import in_contract


def load(name: str) -> Implementation:
    """What `registry.load` gives, or of a file in nobody's dialect what can be read in it.

    A file with a gradient and no training step gets one; see `supplied`.

    Raises:
        ImportError: it cannot be loaded, or nothing of it can be timed; `status` of its rows,
            where that is not "unavailable".
    """
    where, _ = registry.split(name)
    if name in registry.TABLE:
        return registry.load(name)
    if not where.endswith(".py") or in_contract(Path(where)):
        implementation = registry.load(name)
        # Of other arrays than NumPy's a step would be timed with their way to NumPy and back.
        if implementation.backend is PLAIN and "loss_and_grad" not in implementation.lacks:
            supply_step(implementation)
        return implementation
    from samegrad.implementations.reading.timed import load_file  # much, for few files

    return load_file(name)
