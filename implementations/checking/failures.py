"""What is said of a case that raises something, and whether its process can go on after it."""

import os
import sys
from typing import Any

import numpy as np

from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.sources import raised
from samegrad.implementations.contract.texts import message

# Every framework has a class of its own for a lack of memory; what they share is what they say.
# cuBLAS says only that it could not allocate its workspace.
NO_MEMORY = (
    "out of memory", "outofmemory", "out_of_memory", "resource_exhausted", "_alloc_failed",
)  # fmt: skip


def failure(error: BaseException) -> dict[str, Any]:
    """Status and reason of an exception."""
    text = f"{type(error).__name__} {message(error)}".lower()
    status = "crashed"
    if isinstance(error, NotImplementedError):
        status = "unavailable"
    elif isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
        status = "out_of_memory"
    return {"status": status, "reason": raised(error)}


def failure_here(
    error: BaseException, implementation: Implementation, device: str
) -> dict[str, Any]:
    """The same; but a process whose GPU takes no more work ends, for this case's fault.

    After an illegal access, say, every later call of CUDA fails in this process, whoever's it is:
    the other cases go on in another one.
    """
    failed = failure(error)
    if failed["status"] == "crashed" and not usable(implementation, device):
        sys.stderr.write(f"{failed['reason']}; after that {device} took no more work\n")
        sys.stderr.flush()
        os._exit(1)  # what frees a broken device's memory may hang
    return failed


def usable(implementation: Implementation, device: str) -> bool:
    """Whether a number still gets to a device and back."""
    if device == "cpu":
        return True
    backend = implementation.backend
    try:
        backend.fetch(backend.place(np.zeros(1, np.float32), device))
    except Exception:
        return False
    return True
