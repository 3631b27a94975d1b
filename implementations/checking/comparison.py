"""Comparison with the reference: what agrees, what does not, and by how much.

A tensor agrees when nesting, shape and dtype are as expected, everything is finite on both
sides, and max|a - ref| / max(max|ref|, floor) is within the bound of its dtype. Where the reference
is not finite nothing is decided. In float64
every entry is held, besides, to the size of the terms that it sums, so that a small entry with
a wrong sign does not hide behind a large one. Nothing agrees by default: no tensor, an
exception or a missing result is a disagreement.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.checking.reference import LINEAR, Expected, slack
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree

BOUNDS = {"float32": 1e-5, "float64": 1e-12}
# 25 times the rounding of a product in TF32 (2^-11) and in bfloat16 (2^-9), as 1e-5 is about a
# hundred times that of float32: sums of such products, through a few layers.
PRECISIONS = {"ieee": BOUNDS["float32"], "tf32": 1.2e-2, "bfloat16": 5e-2}
# In fewer digits a preactivation within rounding of a kink falls on either side, and takes its
# example's share of the gradient with it. The share of such preactivations grows with rounding, the
# norm of what they change with its root: three times sqrt(4 * 2^-11) and sqrt(4 * 2^-9).
IN_NORM = {"tf32": 0.13, "bfloat16": 0.27}
# Float32 sums round many times: of their results about half are the correctly rounded ones. Where
# nearly all of many are, the sums were formed in more digits.
TOO_GOOD, TOO_GOOD_FROM = 0.98, 200
# An error in a preactivation reaches its gradient entry through softmax and g', which the sum of
# |terms| does not count; ten times the tensor's bound leaves room for it.
ELEMENTWISE_BOUND = 1e-11
ONE_NUMBER = "an array of shape (1,) was taken for the number in it"
NOT_FINITE = "the reference is not finite here; nothing can be said"


@dataclass(frozen=True)
class TensorCheck:
    """One tensor's verdict.

    Attributes:
        name: "outputs", "loss", "dW1", "db1", "W1 after a step", ...
        error: max|a - ref| / max(max|ref|, floor), or None where it cannot be formed.
        bound: what the error may be.
        reason: why it disagrees, or None if it agrees.
        ulps: max|a - ref| in units in the last place of the tensor's largest entry, in its dtype.
        undecided: whether the reason is that nothing can be said: it is no agreement either.
        note: what was taken for something else, or "".
    """

    name: str
    error: float | None
    bound: float
    reason: str | None
    ulps: float | None = None
    undecided: bool = False
    note: str = ""

    @property
    def disagrees(self) -> bool:
        """Whether it is wrong, and not only undecided."""
        return self.reason is not None and not self.undecided

    @property
    def percent_of_bound(self) -> float | None:
        """100 is just within the bound."""
        return None if self.error is None else 100 * self.error / self.bound


@dataclass(frozen=True)
class Comparison:
    """The verdicts of all tensors of one comparison."""

    tensors: tuple[TensorCheck, ...]

    @property
    def agrees(self) -> bool:
        """True only if something was compared and all of it agrees."""
        return bool(self.tensors) and all(tensor.reason is None for tensor in self.tensors)

    @property
    def disagrees(self) -> bool:
        """True if something is wrong; where nothing can be said it neither agrees nor disagrees."""
        return any(tensor.disagrees for tensor in self.tensors)

    @property
    def nothing_said(self) -> bool:
        """True if nothing is wrong, and nothing can be said of something: no fault of theirs."""
        return not self.disagrees and any(tensor.undecided for tensor in self.tensors)

    @property
    def worst(self) -> TensorCheck | None:
        """The tensor that disagrees first, or else the one with the largest share of its bound."""
        no_agreement = [tensor for tensor in self.tensors if tensor.reason is not None]
        if no_agreement:
            return min(no_agreement, key=lambda tensor: tensor.undecided)
        return max(self.tensors, key=lambda t: t.percent_of_bound or 0.0, default=None)

    @property
    def reason(self) -> str:
        """One line for a table: why this is no agreement; empty if it is one."""
        if self.agrees:
            return ""
        return "nothing was compared" if self.worst is None else f"{self.worst.reason}"


def floor(dtype: str) -> float:
    """Smallest normal number over eps: below it, rounding is no longer relative to the value."""
    info = np.finfo(dtype)
    return float(info.smallest_normal) / float(info.eps)


def bound(dtype: str, accuracy: Mapping[str, float] | None = None) -> float:
    """The accepted error: the declared accuracy of an inexact implementation, or the standard."""
    return (accuracy or BOUNDS).get(dtype, BOUNDS[dtype])


def compare(
    reference: Tree,
    actual: Tree,
    dtype: str,
    *,
    name: str = "",
    magnitudes: Tree = None,
    accuracy: Mapping[str, float] | None = None,
    tolerance: Tree = None,
) -> Comparison:
    """Compare a tree of arrays with the reference, tensor by tensor.

    Args:
        reference: an array, or params or grads as a list of pairs (W, b); of float64, or of
            exact numbers (objects, see `exact`).
        actual: an implementation's results, as NumPy arrays in the same nesting.
        dtype: what `actual` must be made of.
        name: of the tensor, or a pattern with {} for the "W1" of each of several.
        magnitudes: like `reference`; the sum of |terms| behind each entry (used in float64).
        accuracy: an inexact implementation's declared bound per dtype.
        tolerance: like `reference`; by how much each entry may differ before it counts.
    """
    limit = bound(dtype, accuracy)
    checks = []
    extra = iter(_leaves(tolerance))
    for path, ref, result, terms in _walk(reference, actual, magnitudes):
        allowed = next(extra, None)
        label = name.format(path or "params")
        if isinstance(result, str):
            checks.append(TensorCheck(label, None, limit, f"{label}: {result}"))
        else:
            exact = terms if dtype == "float64" and accuracy is None else None
            checks.append(_check(label, ref, result, dtype, limit, exact, allowed))
    return Comparison(tuple(checks))


def judge(
    spec: MLPSpec,
    reference: Expected,
    results: Mapping[str, Tree],
    accuracy: Mapping[str, float] | None = None,
    bounds: Mapping[str, float] | None = None,
) -> Comparison:
    """Compare an implementation's results on a batch: outputs, losses, gradient, one step.

    Args:
        spec: the network; its dtype is required of every result.
        reference: what they should be.
        results: NumPy trees by name, any of "outputs", "loss", "loss with the gradient",
            "grads", "loss of the step" and "updated".
        accuracy: an inexact implementation's declared bound per dtype, of its gradient and step.
        bounds: other bounds than the standard ones, of everything.
    """
    expected: dict[str, tuple[Tree, str, Tree]] = {
        "outputs": (reference.outputs, "outputs", None),
        "loss": (reference.loss, "loss", None),
        "loss with the gradient": (reference.loss, "loss with the gradient", None),
        "loss of the step": (reference.loss, "loss of the step", None),
        "grads": (reference.grads, "d{}", reference.magnitudes),
        "updated": (reference.updated, "{} after a step", None),
    }
    checks: tuple[TensorCheck, ...] = ()
    for key, result in results.items():
        ref, name, magnitudes = expected[key]
        tolerance = None
        if key == "updated" and spec.optimizer not in LINEAR:
            limit = bound(spec.dtype, accuracy or bounds)
            tolerance = slack(spec, as_float64(reference.grads), reference.learning_rate, limit)
        checks += compare(
            ref,
            result,
            spec.dtype,
            name=name,
            magnitudes=magnitudes,
            accuracy=(accuracy if key in ("grads", "updated") else None) or bounds,
            tolerance=tolerance,
        ).tensors
    return Comparison(checks)


def in_norm(
    reference: Tree, actual: Tree, before: Tree, dtype: str, precision: str, name: str
) -> Comparison:
    """Compare what fewer digits changed `before` into, tensor by tensor, in the Euclidean norm.

    Args:
        before: subtracted from both sides: zeros for a gradient, the params for a step.
        precision: "tf32" or "bfloat16".
        name: as for `compare`.
    """
    limit = IN_NORM[precision]
    form = compare(reference, actual, dtype, name=name, accuracy={dtype: float("inf")})
    if not form.agrees:
        return form
    checks = []
    leaves = zip(_leaves(reference), _leaves(actual), _leaves(before), strict=True)
    for tensor, (ref, result, old) in zip(form.tensors, leaves, strict=True):
        start = np.asarray(old, np.float64)
        right, change = (np.asarray(side, np.float64) - start for side in (ref, result))
        size = max(float(np.linalg.norm(right)), floor(dtype))
        error = float(np.linalg.norm(change - right)) / size
        reason = None
        if not error <= limit:
            reason = f"{tensor.name}: error {error:.2g} in the norm, {precision} allows {limit:g}"
        checks.append(TensorCheck(tensor.name, error, limit, reason))
    return Comparison(tuple(checks))


def rounds(tensors: Iterable[TensorCheck]) -> bool:
    """Whether some error is far above IEEE float32's: fewer digits were really used."""
    return max((t.error or 0.0 for t in tensors), default=0.0) > BOUNDS["float32"]


def in_more_digits(reference: Tree, actual: Tree, before: Tree = None) -> float | None:
    """The share of float32 entries that are correctly rounded if it betrays float64 inside.

    Args:
        before: entries that equal these (a step that changed nothing) say nothing.
    """
    right = counted = 0
    for ref, leaf, old in zip(_leaves(reference), _leaves(actual), _leaves(before), strict=True):
        exact, result = np.asarray(ref, np.float64), np.asarray(leaf)
        if result.dtype != np.float32 or result.shape != exact.shape:
            return None
        telling = exact.astype(np.float32) != np.asarray(old, np.float32)
        counted += int(np.count_nonzero(telling))
        right += int(np.count_nonzero(telling & (exact.astype(np.float32) == result)))
    share = right / max(1, counted)
    return share if counted >= TOO_GOOD_FROM and share > TOO_GOOD else None


def as_float64(tree: Tree) -> Tree:
    """The tree with exact numbers rounded to float64."""
    return map_tree(lambda array: np.asarray(array).astype(np.float64), tree)


def _leaves(tree: Tree) -> Iterator[Any]:
    if isinstance(tree, list | tuple):
        for branch in tree:
            yield from _leaves(branch)
    elif tree is not None:
        yield tree


def _walk(ref: Tree, result: Tree, terms: Tree, path: str = "") -> Iterator[tuple[Any, ...]]:
    """(path, ref, result, terms) per tensor; where nesting differs, result is the reason."""
    if isinstance(ref, list):  # params or grads: a list of pairs
        if not isinstance(result, list | tuple):
            yield path, ref, f"expected a list of {len(ref)} pairs, got {_kind(result)}", None
        elif len(result) != len(ref):
            yield path, ref, f"expected {len(ref)} layers, got {len(result)}", None
        else:
            for layer, pair in enumerate(ref, start=1):
                below = terms[layer - 1] if terms is not None else (None, None)
                yield from _walk(pair, result[layer - 1], below, str(layer))
    elif isinstance(ref, tuple):
        if not isinstance(result, list | tuple) or len(result) != 2:
            yield f"layer {path}", ref, f"expected a pair (W, b), got {_kind(result)}", None
        else:
            for letter, r, f, t in zip("Wb", ref, result, terms, strict=True):
                yield from _walk(r, f, t, letter + path)
    elif (ref is None) != (result is None):
        yield path, ref, f"expected {_kind(ref)}, got {_kind(result)}", None
    elif isinstance(result, Strange | list | tuple | dict):
        yield path, ref, f"expected an array, got {_kind(result)}", None
    elif ref is not None:
        yield path, ref, result, terms


class Strange:
    """A result that is no array, of which only the type is known."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def _kind(value: Any) -> str:
    if isinstance(value, Strange):
        return value.kind
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if value is None:
        return "None"
    kind = type(value).__name__
    return {"mpf": "a number", "float": "a number"}.get(kind, kind)


def _check(
    name: str,
    ref: Any,
    result: Any,
    dtype: str,
    limit: float,
    terms: Any | None,
    allowed: Any | None = None,
) -> TensorCheck:
    exact, result = np.asarray(ref), np.asarray(result)
    ref = exact.astype(np.float64)  # exact numbers are rounded only where they are shown
    note = ""
    if ref.shape == () and result.shape == (1,):
        result, note = result.reshape(()), f"{name}: {ONE_NUMBER}"

    def no(reason: str, error: float | None = None, ulps: float | None = None) -> TensorCheck:
        return TensorCheck(name, error, limit, f"{name}: {reason}", ulps)

    if result.shape != ref.shape:
        return no(f"shape {result.shape}, expected {ref.shape}")
    if result.dtype != np.dtype(dtype):
        return no(f"dtype {result.dtype}, expected {dtype}")
    if not np.isfinite(ref).all():
        return TensorCheck(name, None, limit, f"{name}: {NOT_FINITE}", undecided=True)
    if not np.isfinite(result).all():
        return no(f"{np.count_nonzero(~np.isfinite(result))} of {result.size} values not finite")
    if exact.dtype == object:  # a float minus an exact number is exact but for its own rounding
        difference = np.asarray(np.abs(result.astype(object) - exact), np.float64)
    else:
        difference = np.abs(result.astype(np.float64) - ref)
    if allowed is not None:
        difference = np.maximum(difference - allowed, 0)
    largest = float(np.max(np.abs(ref), initial=0.0))
    farthest = float(np.max(difference, initial=0.0))
    error = farthest / max(largest, floor(dtype))
    ulps = farthest / float(np.spacing(np.asarray(max(largest, floor(dtype)), dtype)))
    if not error <= limit:
        where = tuple(int(i) for i in np.unravel_index(np.argmax(difference), ref.shape))
        at = f" at {where}" if where else ""
        if largest < floor(dtype):
            return no(f"got {result[where]:.6g}{at}, expected zeros")
        return no(
            f"error {error:.2g} is {_digits(100 * error / limit)} % of its bound {limit:g}{at} "
            f"(got {result[where]:.6g}, expected {ref[where]:.6g})",
            error,
            ulps,
        )
    if terms is not None:
        share = difference / np.maximum(np.asarray(terms), floor(dtype))
        if not np.max(share, initial=0.0) <= ELEMENTWISE_BOUND:
            where = tuple(int(i) for i in np.unravel_index(np.argmax(share), ref.shape))
            return no(
                f"entry {where} is {result[where]:.6g}, expected {ref[where]:.6g}: off by "
                f"{np.max(share):.2g} of the terms that it sums (bound {ELEMENTWISE_BOUND:g})",
                error,
                ulps,
            )
    return TensorCheck(name, error, limit, None, ulps, note=note)


def _digits(percent: float) -> str:
    return f"{percent:.0f}" if percent < 1e6 else f"{percent:.1e}"
