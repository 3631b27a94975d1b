"""What a worker process makes of a workload, whatever its kind: first calls, and what is timed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.draws import Draw
from samegrad.benchmarks.clock import timer
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import Params, Tree

Array = Any
Message = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """The result of a block that is looked at.

    Attributes:
        number: of its call, where calls are independent.
        block: number of the block in its repetition.
        result: outputs; loss and gradient; loss and params after a chain of steps; or a state.
        passed: params after each part of a chain of steps but the last, as NumPy trees.
        values: some numbers of it, as soon as the clock had stopped.
    """

    number: int
    block: int
    result: Tree
    passed: list[Params]
    values: list[Array]


class Draws:
    """What is drawn for one block of a repetition after the other.

    Attributes:
        now: of the present one.
    """

    def __init__(self, draw: Draw) -> None:
        self.now = replace(draw, block=draw.block - 1)

    def next(self) -> Draw:
        """Of the next one."""
        self.now = replace(self.now, block=self.now.block + 1)
        return self.now


class Subject(ABC):
    """A workload on its device, in one process: the base of each kind.

    Attributes:
        implementation: what computes it.
        first_ns, compile_ns: operation -> duration of its first call, and of compiling within it.
    """

    def __init__(self, implementation: Implementation) -> None:
        """Nothing is called yet."""
        self.implementation = implementation
        self.first_ns: dict[str, int] = {}
        self.compile_ns: dict[str, int] = {}

    @property
    def scale(self) -> float:
        """As of `Draw`."""
        return 1.0

    @abstractmethod
    def results(self, operation: str) -> Tree:
        """What the first call of an operation gives, as NumPy trees by the judge's names."""

    @abstractmethod
    def work(self, operation: str, transfer: str, draw: Draw) -> timer.Work:
        """What is timed of an operation; its `fetch` gives a `Seen`."""

    def requests(self, draw: Draw) -> timer.Work:
        """Forward passes that are asked for one by one, each with other examples."""
        raise NotImplementedError("there are no forward passes of it")

    @abstractmethod
    def named(self, operation: str, results: Tree, passed: list[Params]) -> Mapping[str, Tree]:
        """What the judge gets of a block, by its names.

        Args:
            results, passed: of a `Seen`, the results as NumPy trees.
        """

    def fetched(self, seen: Seen) -> Tree:
        """The result of a block as NumPy trees."""
        return self.implementation.to_numpy(seen.result)

    def about(self) -> Message:
        """What the judge needs to know of whose results they are."""
        return {}

    def again(self, operation: str, blocks: timer.Blocks) -> bool:  # noqa: ARG002 # another kind's does
        """Whether the blocks say something for which they must be timed again."""
        return False

    def release(self) -> None:  # noqa: B027 # most hold nothing large
        """Give back memory until it is entered again."""

    def enter(self) -> None:  # noqa: B027 # may do nothing
        """Hold again what was given back."""

    def explained(self, case: Case, breakdown: Any, seen: Seen | None) -> Message:  # noqa: ARG002 # another kind's does
        """What a call consists of, where that is known."""
        return {}

    def first(self, operation: str, call: Callable[[], Tree]) -> Tree:
        """The result of a first call, whose time is kept."""
        compiled = self.implementation.capabilities.compilations()[1]
        result, first_ns = timer.timed(call, self.implementation.synchronize)
        now_compiled = self.implementation.capabilities.compilations()[1]
        self.first_ns[operation], self.compile_ns[operation] = first_ns, now_compiled - compiled
        return result
