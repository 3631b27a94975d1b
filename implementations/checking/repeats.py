"""What a function gives when it is called again: the same, if it keeps nothing of the last call.

Gradients that add up, a buffer that is returned and used again, what was computed for other data:
each is right in the first call.
"""

from typing import Any

import numpy as np

from samegrad.implementations.checking.comparison import Comparison
from samegrad.implementations.checking.messages import CallResult
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.contract.spec import Tree

Array = Any
# Sums in another order, as threads may form them, are off by less; whatever is kept, by far more.
SAME = {"float64": 1e-10, "float32": 1e-4}
WORDS = {"grads": "gradients", "outputs": "outputs"}


def faults(result: CallResult, right: Expected, dtype: str) -> list[str]:
    """What a function keeps from call to call, a sentence each; none if it gave the same."""
    said = [
        f"{result.function}: {WORDS.get(name, name)} returned by one call are overwritten by the "
        "next: return a new array"
        for name in result.overwritten
    ]
    for name, first in result.results.items():
        calls = [flat(call.get(name)) for call in (result.second, result.other, result.last)]
        changed = _changed(name, flat(first), calls, flat(getattr(right, name, None)), dtype)
        said += [f"{result.function}: {text}" for text in changed]
    return said


def changes_by_itself(result: CallResult, dtype: str) -> bool:
    """Whether the loss or the outputs differ between two calls on the same arguments."""
    return any(
        not near(flat(result.results[name]), flat(again), dtype)
        for name, again in result.second.items()
        if name != "grads"
    )


def wrong_later(result: CallResult, comparison: Comparison, dtype: str) -> list[str]:
    """That a call on other data is wrong, where the first one is right."""
    if not comparison.disagrees:
        return []
    stale = [
        WORDS.get(name, name)
        for name, first in result.results.items()
        if near(flat(result.other.get(name)), flat(first), dtype)
    ]
    if stale:
        return [
            f"{result.function}: {stale[0]} of a call on other data are those of the data before: "
            "something is kept"
        ]
    return [
        f"{result.function}: the first call is right, one on other data is not: {comparison.reason}"
    ]


def _changed(name: str, first: Array, calls: list[Array], right: Array, dtype: str) -> list[str]:
    """What is kept, from the first call on, then again, on other data, and again."""
    if first is None or any(call is None for call in calls):
        return []
    second, other, last = calls
    word = WORDS.get(name, name)
    if near(first, second, dtype) and near(first, last, dtype):
        return []
    if name == "grads":
        ratio = _ratio(second, first, dtype)
        twice = ratio is not None and abs(ratio - 2) < 1e-3
        if twice or (near(last, other + first, dtype) and near(second, 2 * first, dtype)):
            return ["gradients add up over calls: the second is 2 times the first"]
        if right is not None and right.shape == first.shape and near(second, first + right, dtype):
            return ["gradients add up over calls: each call adds its own to those before"]
        if (
            right is not None
            and right.shape == first.shape
            and _partly(first, second, right, dtype)
        ):
            return ["some gradients add up over calls: each call adds its own to those before"]
        if ratio is not None and not near(first, second, dtype):
            return [
                f"gradients change from call to call: the second is {ratio:.6g} times the first"
            ]
    if near(first, second, dtype):
        kept = "is that of the call before" if near(last, other, dtype) else "is another"
        return [f"{word}: what is returned after a call on other data {kept}"]
    off = float(np.max(np.abs(second - first)) / max(np.max(np.abs(first)), 1e-300))
    return [f"{word} change from call to call on the same arguments, by {off:.2g} of the largest"]


def _partly(first: Array, second: Array, right: Array, dtype: str) -> bool:
    """Whether each entry is the same again, or has the right one added."""
    largest = max(np.max(np.abs(second), initial=0.0), np.max(np.abs(right), initial=0.0))
    with np.errstate(invalid="ignore"):
        off = np.minimum(np.abs(second - first), np.abs(second - first - right))
    return bool(np.all(off <= SAME[dtype] * largest))


def _ratio(result: Array, base: Array, dtype: str) -> float | None:
    """The constant between two results, or None."""
    if base.shape != result.shape or not base @ base > 0:
        return None
    ratio = float(result @ base / (base @ base))
    return ratio if near(result, ratio * base, dtype) else None


def near(a: Array, b: Array, dtype: str) -> bool:
    """Whether two results are the same but for rounding; NaN is NaN."""
    if a is None or b is None or a.shape != b.shape:
        return a is b
    if np.array_equal(a, b, equal_nan=True):
        return True
    with np.errstate(invalid="ignore"):
        off = np.max(np.abs(a - b), initial=0.0)
    largest = max(np.max(np.abs(a), initial=0.0), np.max(np.abs(b), initial=0.0))
    return bool(off <= SAME[dtype] * largest)


def flat(tree: Tree) -> Array | None:
    """All numbers of a tree in a row, or None where something else is among them."""
    if isinstance(tree, list | tuple):
        parts = [flat(branch) for branch in tree if branch is not None]
        whole = [part for part in parts if part is not None]
        return np.concatenate([*whole, np.zeros(0)]) if len(whole) == len(parts) else None
    if not isinstance(tree, np.ndarray | np.generic | float | int):
        return None
    array = np.asarray(tree)
    if array.dtype == object:  # exact numbers
        return np.ravel(array.astype(np.float64))
    return np.ravel(array).astype(np.float64) if array.dtype.kind in "fiub" else None
