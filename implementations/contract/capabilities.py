"""What a network or its backend can do beyond the contract: one typed thing, under one name.

A file says `CAPABILITIES = Capabilities(...)`. Under any other name, and under this name unless it
is an instance, nothing of a file is taken for ours: its own `accuracy` or `products` are its own.
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from samegrad.implementations.contract.spec import DType, MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree

# start(), then stop() which gives a reader of nanoseconds, for once the device is synchronised
Events = tuple[Callable[[], None], Callable[[], Callable[[], int]]]


def _exact(_: MLPSpec) -> Mapping[str, float] | None:
    return None


def _refuse_nothing(_: MLPSpec) -> None:
    pass


def _no_facts(_: str) -> dict[str, str]:
    return {}


def _no_events(_: str) -> Events | None:
    return None


def _unknown_memory(_: str) -> int | None:
    return None


def _never_compiled() -> tuple[int, int]:
    return 0, 0


def _no_precision(name: str) -> AbstractContextManager[None]:
    raise NotImplementedError(f"it has no precision {name}")


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What an implementation declares, and what it offers for measuring.

    Attributes:
        dtypes: the dtypes in which it computes.
        accuracy: the bound per dtype that an inexact implementation declares for a spec, wider than
            the standard one, with its derivation beside it; None where it is exact.
        refuse: raises NotImplementedError for a spec that it does not support.
        passes_per_parameter: how many forward passes a gradient takes for each parameter, if it
            does: a run predicts its cost from it.
        leaves_cycles: whether only Python's garbage collector frees what a step leaves: it then
            runs while steps are timed.
        products: the framework's matrix products alone, products(kinds, pairs, out=None): "nn" A B,
            "tn" A^T B, "nt" A B^T, into the arrays `out` where it can. By it a run measures the
            least that a step could take.
        take: take(X, y, chosen), a batch of some examples of a placed one, by an int64 NumPy array
            of their indices.
        epoch: epoch(spec, params, state, batches, learning_rate), a step on each of some placed
            batches: params, state and the last loss.
        perceptron: perceptron(params, X, y), one pass of P1: params and the number of mistakes.
        describe: what the framework says of itself on a device.
        events: a pair of functions around work on a device, for measuring it by the device's clock.
        peak_memory: the most bytes that were taken on a GPU in this process; None on a CPU.
        compilations: how many functions this process has compiled so far, and in how many
            nanoseconds.
        precision: a context manager under which products are computed in "tf32" or "bfloat16".

    Raises:
        ValueError: dtypes are not a tuple of known ones, or products cannot be called as a run
            calls them: the timing of all other rows would be lost.
    """

    dtypes: tuple[str, ...] = get_args(DType)
    accuracy: Callable[[MLPSpec], Mapping[str, float] | None] = _exact
    refuse: Callable[[MLPSpec], None] = _refuse_nothing
    passes_per_parameter: int = 0
    leaves_cycles: bool = False
    products: Callable[..., list[Array]] | None = None
    take: Callable[..., tuple[Array, Array]] | None = None
    epoch: Callable[..., tuple[Params, Tree, Array]] | None = None
    perceptron: Callable[..., tuple[Params, int]] | None = None
    describe: Callable[[str], dict[str, str]] = _no_facts
    events: Callable[[str], Events | None] = _no_events
    peak_memory: Callable[[str], int | None] = _unknown_memory
    compilations: Callable[[], tuple[int, int]] = _never_compiled
    precision: Callable[[str], AbstractContextManager[None]] = _no_precision

    def __post_init__(self) -> None:
        known = get_args(DType)
        if not isinstance(self.dtypes, tuple) or not self.dtypes or set(self.dtypes) - set(known):
            raise ValueError(
                f"dtypes {self.dtypes!r} is not accepted; give a tuple of {', '.join(known)}, "
                'for example ("float64",)'
            )
        if self.products is not None:
            _refuse_products(self.products)

    def over(self, other: "Capabilities") -> "Capabilities":
        """Another's capabilities, with ours in the place of theirs where ours are not defaults."""
        ours = {f.name: getattr(self, f.name) for f in fields(self)}
        stated = {f.name for f in fields(self) if ours[f.name] is not f.default}
        return replace(other, **{name: ours[name] for name in stated})


def _refuse_products(function: Any) -> None:
    """Raise ValueError unless it takes (kinds, pairs, out)."""
    try:
        inspect.signature(function).bind((), [], [])
    except TypeError as error:  # not called like this, or not a function
        raise ValueError(
            f"its products does not take three arguments ({error}); accepted: products(kinds, "
            "pairs, out=None), results in the arrays of out where it can; or leave it out"
        ) from None
    except ValueError:  # of a builtin nobody knows
        return
