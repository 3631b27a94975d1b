"""An implementation by its name, in a process that times it."""

from pathlib import Path

from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.reading.source import in_contract


def load(name: str) -> Implementation:
    """What `registry.load` gives, or of a file in nobody's dialect what can be read in it.

    Raises:
        ImportError: it cannot be loaded, or nothing of it can be timed; `status` of its rows,
            where that is not "unavailable".
    """
    where, _ = registry.split(name)
    if name in registry.TABLE or not where.endswith(".py") or in_contract(Path(where)):
        return registry.load(name)
    from samegrad.implementations.reading.timed import load_file  # much, for few files

    return load_file(name)
