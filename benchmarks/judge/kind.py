"""What the judge does of each kind of workload, and what all of these share."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.inputs import Drawn
from samegrad.implementations.checking.comparison import Comparison, TensorCheck
from samegrad.implementations.contract.spec import Tree
from samegrad.implementations.contract.texts import in_one_line

Message = dict[str, Any]


class NothingToCompareError(Exception):
    """What results are held against is gone: no fault of who gave them."""


class Kind(ABC):
    """What must come out of workloads of a kind.

    Attributes:
        directory: where the inputs are.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @staticmethod
    @abstractmethod
    def prepare(workload: Any, seed: int) -> tuple[Drawn, Mapping[str, Tree]]:
        """The inputs of a workload, and what must come out of its first call.

        Raises:
            ValueError: there are none that could be judged.
        """

    @abstractmethod
    def first(self, call: Message, results: Any) -> Comparison:
        """The verdict on a first call; both arguments as of `Proofs.verdict`."""

    @abstractmethod
    def block(self, block: Message, results: Mapping[str, Any]) -> Comparison:
        """The verdict on a block."""


@contextlib.contextmanager
def our_files() -> Iterator[None]:
    """Where the judge reads what it has written itself."""
    try:
        yield
    except (MemoryError, Exception) as error:
        lost = f"the judge's own files are lost: {in_one_line(error)}"
        raise NothingToCompareError(lost) from None


def wrong(reason: str) -> Comparison:
    """The verdict on what cannot be compared."""
    return Comparison((TensorCheck("block", None, 1.0, reason),))
