"""An implementation read in a file in nobody's dialect, which keeps to conventions of its own.

No file can say that it is one: what must come out is ours to say.
"""

from abc import abstractmethod
from typing import Any

from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec

Network = tuple[tuple[int, ...], int, dict[str, Any]]  # layer sizes, batch size, form


class OwnCalls(Implementation):
    """What a run asks of it besides; each may raise NotImplementedError for a network."""

    @abstractmethod
    def networks(self) -> list[Network]:
        """Small networks that it may take, in order."""

    @abstractmethod
    def shows(self, spec: MLPSpec) -> tuple[str, ...]:
        """Names of the results that are compared (see `comparison.judge`)."""

    @abstractmethod
    def convention(self, spec: MLPSpec) -> dict[str, Any] | None:
        """The fields of its convention (`predictions.Convention`); None where it is ours."""

    @abstractmethod
    def conventions(self, spec: MLPSpec) -> str:
        """In which conventions it differs from ours, or ""."""
