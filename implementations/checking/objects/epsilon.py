"""Small constants that a loss has and its gradient ignores: log(p + 1e-8), clip(p, 1e-7, 1 - 1e-7).

They are found by effect as well: a gradient that is right once they are a million times smaller is
that of the loss without them. Of probabilities that are smaller still it is once they are nothing.
"""

import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from samegrad.implementations.checking.objects.report import DISAGREES
from samegrad.implementations.state.leaves import Leaf, NumberLeaf
from samegrad.implementations.state.reach import Reached

SMALLEST, LARGEST = 1e-30, 1e-4  # of what people add to a probability, or clip it to
# What is left of it: of 1e-4 no more than rounding in float32, of 1e-8 in float64; or nothing.
TIMES = (1e-6, 1e-200)
NOT_PROVED = "not proved"


@dataclass(frozen=True)
class NotProved:
    """What stands for a proof of a loss that has small constants."""

    meaning: str
    verdict: str = NOT_PROVED


def shrunk(number: Any, times: float = TIMES[0]) -> Any:
    """A small constant (or 1 less one) so many times as far from 0 (or from 1); others stay."""
    if isinstance(number, float):
        if SMALLEST <= number <= LARGEST:
            return number * times
        if SMALLEST <= 1.0 - number <= LARGEST:
            return 1.0 - (1.0 - number) * times
    return number


def proved_without(prove: Callable[[], Any], reached: Reached) -> Any:
    """A proof, or if it disagrees one that says so of the loss without its small constants.

    Exact numbers show those everywhere, slopes only where probabilities are as small.

    Args:
        prove: gives it, of functions that can be reached.
        reached: what can be.
    """
    proof = prove()
    if proof.verdict == DISAGREES:
        with without_epsilons(reached.functions, reached.leaves, TIMES[-1]) as epsilons:
            there = prove() if epsilons else proof
        if there.verdict not in (DISAGREES, NOT_PROVED):
            said = f"the gradient is that of the loss without {', '.join(epsilons[:3])}"
            return NotProved(f"{said}; of that: {there.verdict}: {there.meaning}")
    return proof


@contextmanager
def without_epsilons(
    functions: Sequence[Any], leaves: Sequence[Leaf], times: float
) -> Iterator[list[str]]:
    """The user's functions with their small constants shrunk; gives where these are."""
    found: list[str] = []
    codes = [(f, f.__code__, f.__defaults__, f.__kwdefaults__) for f in functions]
    numbers = [
        leaf
        for leaf in leaves
        if isinstance(leaf, NumberLeaf) and _small(leaf.value) and leaf.places[0].settable
    ]
    values = [leaf.value for leaf in numbers]
    try:
        for function, code, defaults, keywords in codes:
            found += [f"{c:g} in {function.__name__}" for c in _constants(code)]
            for c in (*(defaults or ()), *(keywords or {}).values()):
                found += [f"{c:g} in {function.__name__}"] if _small(c) else []
            function.__code__ = _of_code(code, times)
            if defaults:
                function.__defaults__ = tuple(shrunk(c, times) for c in defaults)
            if keywords:
                function.__kwdefaults__ = {k: shrunk(c, times) for k, c in keywords.items()}
        for leaf, value in zip(numbers, values, strict=True):
            found.append(f"{leaf.name} = {value:g}")
            leaf.replace(shrunk(float(value), times))
        yield list(dict.fromkeys(found))
    finally:
        for function, code, defaults, keywords in codes:
            function.__code__ = code
            function.__defaults__, function.__kwdefaults__ = defaults, keywords
        for leaf, value in zip(numbers, values, strict=True):
            leaf.replace(value)


def _small(number: Any) -> bool:
    return isinstance(number, float) and shrunk(number) != number


def _constants(code: Any) -> Iterator[float]:
    for constant in code.co_consts:
        if _small(constant):
            yield constant
        elif isinstance(constant, types.CodeType):
            yield from _constants(constant)


def _of_code(code: Any, times: float) -> Any:
    constants = tuple(
        _of_code(c, times) if isinstance(c, types.CodeType) else shrunk(c, times)
        for c in code.co_consts
    )
    return code.replace(co_consts=constants) if constants != code.co_consts else code
