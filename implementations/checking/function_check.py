"""`check_function`: any hand-written gradient against its own loss, as functions of params.

Judges: a complex step (exact where the loss is analytic and runs on complex numbers), central
differences (with an estimate of their own error), or the user's own torch or JAX version of the
loss. Nothing is assumed about the loss but that it maps nested arrays to a number.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.implementations.checking.comparison import BOUNDS, NOT_FINITE, ONE_NUMBER
from samegrad.implementations.checking.frameworks import by_jax, by_torch
from samegrad.implementations.checking.function_lines import with_lines
from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects.calls import Stopped, check_takes_params, number
from samegrad.implementations.checking.objects.matching import Candidate, fit
from samegrad.implementations.checking.objects.report import (
    AGREES,
    DISAGREES,
    UNDECIDED,
    CheckReport,
    Match,
)
from samegrad.implementations.checking.slopes import (
    BOUND,
    DOUBLE,
    Noise,
    Slopes,
    bound_of,
    by_complex_steps,
    check_tolerance,
    complex_slopes,
    noise_of,
    quiet,
    slopes,
)
from samegrad.implementations.checking.trees import (
    alike,
    array_of,
    leaves,
    wrong_form,
    wrong_nesting,
)
from samegrad.implementations.contract.spec import map_tree
from samegrad.implementations.contract.texts import clean_errors, described

Array = Any
Tree = Any  # of float arrays or floats, nested as `items` knows; None stands for nothing
METHODS = ("auto", "complex", "central")
# A complex step through abs, max or .real is silently wrong, so differences must confirm it: to so
# many times what the difference may itself be off, and at least to this share of the largest slope.
CONFIRMED, PLAUSIBLE = 4, 1e-4
JITTER = 0.05  # of an array's largest entry (or of 1): a nearby point, clear of kinks


class _Slot:
    """One array of the params, written in place."""

    eps = float(np.finfo(np.float64).eps)

    def __init__(self, name: str, array: Array) -> None:
        self.name, self.array, self.shape = name, array, array.shape

    def read(self) -> Array:
        """A copy."""
        return self.array.copy()

    def write(self, values: Array) -> None:
        """In place."""
        self.array[...] = values

    def put(self, entry: int, value: float) -> None:
        """One entry, in C order."""
        self.array.flat[entry] = value


@clean_errors()
@quiet()
def check_function(
    loss: Callable[[Tree], Any] | None,
    grad: Callable[[Tree], Tree] | Tree,
    params: Tree,
    *,
    method: str = "auto",
    torch_loss: Callable[[Tree], Any] | None = None,
    jax_loss: Callable[[Tree], Any] | None = None,
    tolerance: float | None = None,
    seed: int = 0,
) -> CheckReport:
    """Compare a gradient with the slopes of its loss, array by array.

    Args:
        loss: params -> a number. May be None with torch_loss or jax_loss; else its value must be
            theirs.
        grad: params -> the gradient, nested and shaped like params; or the gradient itself.
        params: nested dicts, lists, tuples (named ones, too) and dataclasses of arrays (of NumPy,
            torch or JAX) or floats. Functions get float64 copies, of the same library.
        method: "complex" (the loss must be analytic), "central", or "auto": complex where it
            works, which central differences must confirm, else central.
        torch_loss: the same loss of the same nesting of torch tensors, for autograd.
        jax_loss: the same loss of the same nesting of JAX arrays, for jax.grad.
        tolerance: what a gradient may be off, relative to the largest of its array.
        seed: of the entries and directions that are checked of a large array.

    Returns:
        A CheckReport: `.agrees`, `.verdict`, `.reason`, and a table as its str().

    Raises:
        TypeError: a loss is no function.
        ValueError: an argument is not accepted, or the loss gives no finite number.
    """
    for name, function in (("loss", loss), ("torch_loss", torch_loss), ("jax_loss", jax_loss)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} is {described(function)}; give a function of params")
        check_takes_params(name, function)
    check_takes_params("grad", grad)
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not known; accepted: {', '.join(METHODS)}")
    check_tolerance(tolerance)
    if torch_loss is not None and jax_loss is not None:
        raise ValueError("give torch_loss or jax_loss, not both")
    if loss is None and torch_loss is None and jax_loss is None:
        raise ValueError("give a loss, or torch_loss or jax_loss")
    numbers = map_tree(array_of, params)
    named = dict(leaves(numbers))
    for name, value in named.items():
        if value.dtype.kind not in "fiu":
            raise ValueError(f"{name}: dtype {value.dtype}, expected real numbers")
    if not named:
        raise ValueError("params hold no array")
    checked = _Check(loss, grad, params, numbers, seed, tolerance)
    if torch_loss is not None or jax_loss is not None:
        return checked.against(torch_loss, jax_loss)
    return checked.with_slopes(method)


check_gradient = check_function  # its first name


class _Check:
    """One check: work holds float64 copies of the params, which the slopes move."""

    def __init__(
        self, loss: Any, grad: Any, params: Tree, numbers: Tree, seed: int, tolerance: float | None
    ) -> None:
        self.params, self.seed, self.tolerance, self.grad = params, seed, tolerance, grad
        self.dtypes = {name: str(value.dtype) for name, value in leaves(numbers)}
        self.given = numbers
        self.work = map_tree(lambda p: np.array(p, np.float64), numbers)
        self.slots = [_Slot(name, array) for name, array in leaves(self.work)]
        self.notes: list[Note] = []
        self.remarks: list[str] = []
        self.tensors = False
        self.user_loss = loss

    def of(self, work: Tree) -> Any:
        """The loss of other params: a number of whatever kind."""
        with quiet():
            return _entry(self.user_loss(self._as_given(work)), self.notes)

    def loss(self) -> float:
        """The loss at the work's point."""
        try:
            return number(self.of(self.work))
        except Stopped as stopped:
            raise ValueError(stopped.said.replace("loss()", "the loss")) from None

    def _as_given(self, work: Tree) -> Tree:
        """Copies of the kind of array that the user's params are."""
        kinds = iter([leaf for _, leaf in leaves(self.params)])
        return map_tree(lambda p: alike(next(kinds), p, self.tensors), work)

    def _gradient(self, here: Tree) -> Tree:
        with quiet():
            return self.grad(self._as_given(here)) if callable(self.grad) else self.grad

    def with_slopes(self, method: str) -> CheckReport:
        """Against slopes of the loss itself."""
        try:
            value = self.loss()
        except Exception:  # torch's functions take tensors alone
            if "torch" not in sys.modules:
                raise
            self.tensors = True
            value = self.loss()
        gradient = self._gradient(map_tree(np.copy, self.given))
        wrong = wrong_nesting(self.params, gradient)
        if wrong:
            match = Match("params", (), bound=BOUNDS["float64"], verdict=DISAGREES, reason=wrong)
            return CheckReport(DISAGREES, (match,), tuple(self.notes), method="nesting")
        if not np.isfinite(value):
            raise ValueError(f"the loss is {value}; nothing can be compared")
        noise = noise_of(self.loss, self.slots, self.seed)
        if method == "auto":
            double = noise.relative <= DOUBLE  # else a complex step has no more digits than that
            method = "complex" if double and self._analytic(noise) else "central"
        report = self._compared(gradient, method, noise)
        if report.verdict != DISAGREES and self._vague and callable(self.grad):
            report = self._moved(report, method, noise)
        users = (self.user_loss, self.grad)
        return with_lines(report, self.loss, lambda: self._gradient(self.work), self.slots, users)

    def _compared(self, gradient: Tree, method: str, noise: Noise) -> CheckReport:
        if method == "complex":
            whole = [slot for slot in self.slots if slot.array.size]
            measured = [by_complex_steps(self._along(slot), slot, self.seed) for slot in whole]
        else:
            whole = [slot for slot in self.slots if slot.array.size]
            measured = slopes(self.loss, whole, noise=noise, seed=self.seed)
        known = {m.name: m for m in measured}
        grads = dict(leaves(gradient))
        bound = BOUND if method == "complex" else bound_of(noise)
        if bound > 10 * BOUND and not any(n.code == "few-digits" for n in self.notes):
            text = f"the loss has few digits: judged to {bound:.0e}"
            self.notes.append(Note("few-digits", text))
        self._vague, undecided, matches = False, [], []
        for slot in self.slots:
            limit = self._limit(slot.name, method, bound)
            g = array_of(grads[slot.name])
            match = Match(slot.name, slot.shape, bound=limit, entries=slot.array.size)
            wrong = wrong_form(g, slot.array)
            if wrong:
                said = f"{slot.name}: {wrong}"
                match = _with(match, verdict=DISAGREES, reason=said)
            elif slot.array.size:
                match, left = _judged(match, known[slot.name], g, limit)
                undecided += left
                self._vague |= bool(left)
            else:
                match = _with(match, error=0.0)
            matches.append(match)
        verdicts = [m.verdict for m in matches]
        verdict = next((v for v in (DISAGREES, UNDECIDED) if v in verdicts), AGREES)
        remarks = [f"not decided: {text}" for text in undecided]
        return CheckReport(
            verdict, tuple(matches), tuple(self.notes), remarks=tuple(remarks), method=method
        )

    def _moved(self, first: CheckReport, method: str, noise: Noise) -> CheckReport:
        """At a nearby point, where a kink or rounding leaves slopes open at the user's."""
        rng = np.random.default_rng(self.seed + 1)
        for slot in self.slots:
            size = max(float(np.max(np.abs(slot.array), initial=0)), 0.5)
            slot.write(slot.array + JITTER * size * rng.normal(size=slot.shape))
        try:
            value = self.loss()
            gradient = self._gradient(map_tree(np.copy, self.work))
            if not np.isfinite(value) or wrong_nesting(self.params, gradient):
                return first
            if not all(np.isfinite(array_of(g)).all() for _, g in leaves(gradient)):
                return first  # what overflows there alone says nothing about the user's point
            there = self._compared(gradient, method, noise)
        except Exception:  # what a user's code refuses there says nothing about it here
            return first
        if there.verdict == UNDECIDED or self._vague:
            return first
        text = "slopes at your point are open (a kink, or rounding): judged at one nearby"
        notes = (*there.notes, Note("moved", text))
        return CheckReport(
            there.verdict, there.matches, notes, remarks=first.remarks, method=method
        )

    def _along(self, slot: _Slot) -> Callable[[Array], Any]:
        """The loss of another array in one slot's place, complex ones too."""
        return lambda moved: self.of(map_tree(lambda p: moved if p is slot.array else p, self.work))

    def _analytic(self, noise: Noise) -> bool:
        """Whether a complex step works and differences confirm it, in every array."""
        slots = [slot for slot in self.slots if slot.array.size]
        near = slopes(self.loss, slots, noise=noise, seed=self.seed, most_entries=3, directions=3)
        for slot, m in zip(slots, near, strict=True):
            try:
                exact = complex_slopes(self._along(slot), slot.array, m.entries, m.directions)
            except Exception:
                return False  # the loss does not run on complex numbers
            enough = np.minimum(
                CONFIRMED * m.errors, PLAUSIBLE * np.max(np.abs(m.values), initial=0)
            )
            if (np.abs(exact - m.values) > enough).any():
                return False
        return True

    def against(self, torch_loss: Any, jax_loss: Any) -> CheckReport:
        """Against the user's own version of the loss, differentiated by its framework."""
        method = "torch" if torch_loss is not None else "jax"
        other = torch_loss if torch_loss is not None else jax_loss
        gradient = self._gradient(map_tree(np.copy, self.given))
        wrong = wrong_nesting(self.params, gradient)
        if wrong:
            match = Match("params", (), bound=BOUNDS["float64"], verdict=DISAGREES, reason=wrong)
            return CheckReport(DISAGREES, (match,), method="nesting")
        of_framework = by_torch if torch_loss is not None else by_jax
        theirs, right = of_framework(lambda p: _entry(other(p), self.notes), self.given)
        matches = []
        if self.user_loss is not None:
            limit = max(self._limit(name, "exact", 0.0) for name in self.dtypes)
            matches.append(_of_value(self.loss(), theirs, limit))
        for name, g in leaves(gradient):
            limit = self._limit(name, "exact", 0.0)
            match = Match(name, right[name].shape, bound=limit, entries=right[name].size)
            matches.append(_against(match, array_of(g), right[name]))
        verdicts = [m.verdict for m in matches]
        verdict = next((v for v in (DISAGREES, UNDECIDED) if v in verdicts), AGREES)
        return CheckReport(verdict, tuple(matches), tuple(self.notes), method=method)

    def _limit(self, name: str, method: str, bound: float) -> float:
        """1e-12 or 1e-5 by dtype; of differences what they are good for."""
        if self.tolerance is not None:
            return self.tolerance
        exact = BOUNDS["float32"] if self.dtypes[name] == "float32" else BOUNDS["float64"]
        return max(exact, bound) if method == "central" else exact


def _judged(match: Match, m: Slopes, g: Array, limit: float) -> tuple[Match, list[str]]:
    """One array against its slopes, and what is left open."""
    of = fit(m, Candidate("gradient", g, "returned"), "", g, limit, True)
    left = []
    open_ones = int(np.count_nonzero(~m.trusted(limit)))
    if open_ones:
        left.append(
            f"{m.name}: {open_ones} of {len(m.values)} slopes cannot be measured "
            "(a kink, noise, or too large a curvature)"
        )
    match = _with(match, error=of.error, measured=len(m.entries), constant=of.constant)
    if not of.decided:
        said = f"{m.name}: no slope could be trusted"
        return _with(match, error=None, verdict=UNDECIDED, reason=said), left
    if of.wrong:
        said = f"{m.name}: error {of.error:.2g} {of.where}"
        if of.constant is not None and m.size > 1:
            said += f"; it is {of.constant:.6g} times the slopes of the loss"
        return _with(match, verdict=DISAGREES, reason=said), left
    return match, left


def _against(match: Match, g: Array, right: Array) -> Match:
    wrong = wrong_form(g, right)
    if wrong:
        return _with(match, verdict=DISAGREES, reason=f"{match.name}: {wrong}")
    if not np.isfinite(right).all():
        return _with(match, verdict=UNDECIDED, reason=f"{match.name}: {NOT_FINITE}")
    largest = max(float(np.max(np.abs(right), initial=0)), 1e-30)
    error = float(np.max(np.abs(np.asarray(g, np.float64) - right), initial=0)) / largest
    match = _with(match, error=error, measured=right.size)
    if error <= match.bound:
        return match
    return _with(match, verdict=DISAGREES, reason=f"{match.name}: error {error:.2g}")


def _of_value(value: float, theirs: float, limit: float) -> Match:
    match = Match("loss", (), bound=limit)
    if not np.isfinite(theirs):
        return _with(match, verdict=UNDECIDED, reason=f"loss: {NOT_FINITE}")
    match = _with(match, error=abs(value - theirs) / max(abs(theirs), 1e-30))
    if match.error is not None and match.error <= limit:
        return match
    said = f"loss: {value:.6g}, the other version gives {theirs:.6g}"
    return _with(match, verdict=DISAGREES, reason=said)


def _with(match: Match, **changes: Any) -> Match:
    return Match(**{**vars(match), **changes})


def _entry(value: Any, notes: list[Note]) -> Any:
    """The loss, of an array of shape (1,) the number in it; that is noted once."""
    if np.shape(value) != (1,):
        return value
    notes[:] = [Note("one-number", f"loss: {ONE_NUMBER}")]
    return value[0]
