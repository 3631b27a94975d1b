"""`check_gradient`: any hand-written gradient against its own loss, network or not.

Three judges: a complex step (exact where the loss is analytic and runs on complex numbers),
central differences (with an estimate of their own error), or the user's own torch or JAX version
of the loss. Nothing is assumed about the loss but that it maps nested arrays to a number.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.comparison import (
    BOUNDS,
    NOT_FINITE,
    ONE_NUMBER,
    Comparison,
    TensorCheck,
)
from samegrad.implementations.contract.spec import items, map_tree

Array = Any
Tree = Any  # of float arrays or floats, nested as `items` knows; None stands for nothing
METHODS = ("auto", "complex", "central")
COMPLEX_STEP = 1e-20
LEAST_ERROR = 1e-8  # of a slope, below which rounding is not worth a longer step
STEP = float(np.finfo(np.float64).eps ** (1 / 3))  # balances truncation and rounding
MOST_ENTRIES = 500  # of one array; of more a random choice is checked, and directions for all
DIRECTIONS = 4
# Where rounding hides a slope at STEP, longer steps are tried: of these the one with least error.
LONGER = (1.0, 8.0, 64.0)
# A complex step through abs, max or .real is silently wrong, so a difference must confirm it: to so
# many times what the difference may itself be off, and at least to this share of the largest slope.
CONFIRMED, PLAUSIBLE = 4, 1e-4
BEYOND = 10  # times what a slope may be off: a fault, whatever the slope's digits
NEAR = 1e-7  # between points at which values of a smooth loss differ from a line by rounding alone


@dataclass(frozen=True)
class GradientCheck(Comparison):
    """The verdicts of all arrays, and how they were reached.

    Attributes:
        method: "complex", "central", "torch" or "jax".
        undecided: why entries were left out, one line each.
        notes: what was taken for something else, one line each.
    """

    method: str = ""
    undecided: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One of "agrees", "disagrees", and "undecided": no slope of an array could be trusted."""
        if self.agrees:
            return "agrees"
        return "disagrees" if self.disagrees else "undecided"

    def __str__(self) -> str:
        verdict = self.verdict if self.agrees else self.verdict.upper()
        lines = [f"gradient against {self.method}: {verdict}"]
        for t in self.tensors:
            error = "-" if t.error is None else f"{t.error:.1e}"
            verdict = "agrees" if t.reason is None else t.reason
            lines.append(f"  {t.name:24}{error:>9}  bound {t.bound:.0e}  {verdict}")
        lines += [f"  not decided: {text}" for text in self.undecided]
        return "\n".join([*lines, *(f"  note: {text}" for text in self.notes)])


def check_gradient(
    loss: Callable[[Tree], Any] | None,
    grad: Callable[[Tree], Tree] | Tree,
    params: Tree,
    *,
    method: str = "auto",
    torch_loss: Callable[[Tree], Any] | None = None,
    jax_loss: Callable[[Tree], Any] | None = None,
    seed: int = 0,
) -> GradientCheck:
    """Compare a gradient with the slopes of its loss, array by array.

    Args:
        loss: params -> a number. May be None with torch_loss or jax_loss; else its value must be
            theirs.
        grad: params -> the gradient, nested and shaped like params; or the gradient itself.
        params: nested dicts, lists, tuples (named ones, too) and dataclasses of NumPy arrays or
            floats.
        method: "complex" (the loss must be analytic), "central", or "auto": complex where it
            works, which a central difference must confirm, else central.
        torch_loss: the same loss of the same nesting of torch tensors, for autograd.
        jax_loss: the same loss of the same nesting of JAX arrays, for jax.grad.
        seed: of the entries and directions that are checked of a large array.

    Returns:
        A GradientCheck: `.agrees`, `.verdict`, `.reason`, and a table as its str().

    Raises:
        TypeError: a loss is no function.
        ValueError: an argument is not accepted, or the loss gives no finite number.
    """
    for name, function in (("loss", loss), ("torch_loss", torch_loss), ("jax_loss", jax_loss)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} {function!r} is not accepted; give a function of params")
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not known; accepted: {', '.join(METHODS)}")
    if torch_loss is not None and jax_loss is not None:
        raise ValueError("give torch_loss or jax_loss, not both")
    named = dict(_leaves(params))
    for name, value in named.items():
        if np.asarray(value).dtype.kind not in "fiu":
            raise ValueError(f"{name}: dtype {np.asarray(value).dtype}, expected real numbers")
    if not named:
        raise ValueError("params hold no array")
    work = map_tree(lambda p: np.array(p, np.float64), params)
    gradient = grad(map_tree(np.copy, params)) if callable(grad) else grad
    notes: list[str] = []
    if loss is not None:
        loss = _of_one_number(loss, notes)
    wrong = _nesting(params, gradient)
    if wrong:
        return GradientCheck((TensorCheck("params", None, BOUNDS["float64"], wrong),), "nesting")
    grads = {name: np.asarray(value) for name, value in _leaves(gradient)}
    if torch_loss is not None or jax_loss is not None:
        other, by = (torch_loss, _torch) if torch_loss is not None else (jax_loss, _jax)
        assert other is not None
        theirs, slopes = by(_of_one_number(other, notes), params)
        values = () if loss is None else (_value(_number(loss, work), theirs, named),)
        checked = _against(grads, named, slopes, "torch" if torch_loss else "jax")
        return replace(checked, tensors=values + checked.tensors, notes=tuple(notes))
    if loss is None:
        raise ValueError("give a loss, or torch_loss or jax_loss")
    if not np.isfinite(value := _number(loss, work)):
        raise ValueError(f"the loss is {value}; nothing can be compared")
    noise = 0.0 if method == "complex" else _noise(loss, work, seed)
    if method == "auto":
        method = "complex" if _analytic(loss, work, noise, seed) else "central"
    checked = _differences(loss, grads, work, named, method, noise, seed)
    return replace(checked, notes=tuple(notes))


def _differences(
    loss: Callable[[Tree], Any],
    grads: dict[str, Array],
    work: Tree,
    named: dict[str, Any],
    method: str,
    noise: float,
    seed: int,
) -> GradientCheck:
    rng = np.random.default_rng(seed)
    checks, undecided = [], []
    for name, p in _leaves(work):
        g = np.asarray(grads[name], np.float64)
        limit = _limit(method, np.asarray(named[name]).dtype)
        wrong = _form(grads[name], p)
        if wrong:
            checks.append(TensorCheck(name, None, limit, f"{name}: {wrong}"))
            continue
        if not p.size:
            checks.append(TensorCheck(name, 0.0, limit, None))
            continue
        entries = np.arange(p.size)
        if p.size > MOST_ENTRIES:
            entries = np.sort(rng.choice(p.size, MOST_ENTRIES, replace=False))
        moves = [_unit(p.shape, entry) for entry in entries]
        moves += [rng.choice([-1.0, 1.0], p.shape) for _ in range(DIRECTIONS if p.size > 1 else 0)]
        slopes, errors = _slopes(loss, work, p, moves, method, noise)
        claimed = np.array([float(np.sum(g * move)) for move in moves])
        scales = np.array([1.0] * len(entries) + [np.sqrt(p.size)] * (len(moves) - len(entries)))
        largest = max(float(np.max(np.abs(slopes[: len(entries)]), initial=0)), 1e-30)
        trusted = errors <= limit * largest * scales
        off = np.abs(claimed - slopes)
        beyond = off > BEYOND * errors  # so wrong that a slope of few digits shows it
        off = np.where(trusted | beyond, off / scales / largest, 0.0)
        if not trusted.all():
            undecided.append(
                f"{name}: {np.count_nonzero(~trusted)} of {len(moves)} slopes cannot be measured "
                "(a kink, noise, or too large a curvature)"
            )
        worst = int(np.argmax(off))
        error = float(off[worst])
        reason = None
        if not (trusted | beyond).any():
            reason = f"{name}: no slope could be trusted"
        elif error > limit:
            where = np.unravel_index(entries[worst], p.shape) if worst < len(entries) else None
            at = "along a random direction"
            if where is not None:
                at = f"at {tuple(int(i) for i in where)}" if where else ""
            reason = (
                f"{name}: error {error:.2g} {at} (got {claimed[worst]:.6g}, the loss has slope "
                f"{slopes[worst]:.6g})"
            )
        checks.append(
            TensorCheck(name, error, limit, reason, undecided=not (trusted | beyond).any())
        )
    return GradientCheck(tuple(checks), method, tuple(undecided))


def _slopes(
    loss: Callable[[Tree], Any], work: Tree, p: Array, moves: list[Array], method: str, noise: float
) -> tuple[Array, Array]:
    """Slopes of the loss along moves of one array, and estimates of their errors.

    Args:
        noise: by how much a value of the loss may be off.
    """
    if method == "complex":
        moved = (_replaced(work, {id(p): p + 1j * COMPLEX_STEP * move}) for move in moves)
        exact = np.array([complex(loss(params)).imag / COMPLEX_STEP for params in moved])
        return exact, np.zeros(len(exact))
    slopes, errors = [], []
    here = _number(loss, work)
    for move in moves:
        best = (0.0, np.inf)
        for longer in LONGER:
            h = longer * STEP * max(1.0, float(np.max(np.abs(p * move), initial=0)))
            quotients, bends = [], []
            for step in (h, h / 4):
                above = _number(loss, _replaced(work, {id(p): p + step * move}))
                below = _number(loss, _replaced(work, {id(p): p - step * move}))
                quotients.append((above - below) / (2 * step))
                bends.append(abs(above - 2 * here + below) / step)  # right slope less left slope
            rounding = noise / h
            error = abs(quotients[0] - quotients[1])
            if bends[1] > bends[0] / 2 + 16 * rounding:  # a kink: a curve straightens out
                error = max(error, bends[1])
            best = min(best, (quotients[0], error + rounding), key=lambda pair: pair[1])
            if rounding <= LEAST_ERROR * abs(quotients[0]):
                break
        slopes.append(best[0])
        errors.append(best[1])
    return np.array(slopes), np.array(errors)


def _noise(loss: Callable[[Tree], Any], work: Tree, seed: int) -> float:
    """By how much rounding may put a value of the loss off, whatever the loss cancels inside.

    Values at points on a short line differ from a line by rounding, but for the few beside a kink.
    """
    rng = np.random.default_rng(seed)
    line = [
        (p, NEAR * rng.choice([-1.0, 1.0], p.shape) * np.maximum(1.0, np.abs(p)))
        for _, p in _leaves(work)
    ]
    points = ({id(p): p + k * move for p, move in line} for k in range(-5, 6))
    values = [_number(loss, _replaced(work, point)) for point in points]
    rounded = np.finfo(np.float64).eps * np.max(np.abs(values))
    return max(float(rounded), 2 * float(np.median(np.abs(np.diff(values, 2)))))


def _analytic(loss: Callable[[Tree], Any], work: Tree, noise: float, seed: int) -> bool:
    """Whether a complex step works and a central difference confirms it, in every array."""
    rng = np.random.default_rng(seed)
    for _, p in _leaves(work):
        moves = [rng.choice([-1.0, 1.0], p.shape) * rng.random(p.shape) for _ in range(3)]
        try:
            exact, _ = _slopes(loss, work, p, moves, "complex", noise)
        except Exception:
            return False  # the loss does not run on complex numbers
        near, errors = _slopes(loss, work, p, moves, "central", noise)
        enough = np.minimum(CONFIRMED * errors, PLAUSIBLE * np.max(np.abs(near), initial=0))
        if (np.abs(exact - near) > enough).any():
            return False
    return True


def _against(
    grads: dict[str, Array], named: dict[str, Any], right: dict[str, Array], method: str
) -> GradientCheck:
    checks = []
    for name, g in grads.items():
        limit = _limit("exact", np.asarray(named[name]).dtype)
        wrong = _form(g, right[name])
        if wrong:
            checks.append(TensorCheck(name, None, limit, f"{name}: {wrong}"))
            continue
        if not np.isfinite(right[name]).all():
            checks.append(TensorCheck(name, None, limit, f"{name}: {NOT_FINITE}", undecided=True))
            continue
        off = np.abs(np.asarray(g, np.float64) - right[name])
        largest = max(float(np.max(np.abs(right[name]), initial=0)), 1e-30)
        error = float(np.max(off, initial=0)) / largest
        reason = None if error <= limit else f"{name}: error {error:.2g}"
        checks.append(TensorCheck(name, error, limit, reason))
    return GradientCheck(tuple(checks), method)


def _value(value: float, theirs: float, named: dict[str, Any]) -> TensorCheck:
    limit = max(_limit("exact", np.asarray(p).dtype) for p in named.values())
    if not np.isfinite(theirs):
        return TensorCheck("loss", None, limit, f"loss: {NOT_FINITE}", undecided=True)
    error = abs(value - theirs) / max(abs(theirs), 1e-30)
    wrong = None if error <= limit else f"loss: {value:.6g}, the other version gives {theirs:.6g}"
    return TensorCheck("loss", error, limit, wrong)


def _limit(method: str, dtype: Any) -> float:
    """1e-12 or 1e-5 by dtype; a central difference is good to 1e-6 (see mlp_numerical)."""
    exact = BOUNDS["float32"] if dtype == np.float32 else BOUNDS["float64"]
    return max(exact, 1e-6) if method == "central" else exact


def _form(g: Any, p: Array) -> str:
    g = np.asarray(g)
    if g.dtype.kind not in "fiu":
        return f"dtype {g.dtype}, expected real numbers"
    if g.shape != p.shape:
        return f"shape {g.shape}, expected {p.shape}"
    if not np.isfinite(g).all():
        return f"{np.count_nonzero(~np.isfinite(g))} of {g.size} values not finite"
    return ""


def _of_one_number(loss: Callable[[Tree], Any], notes: list[str]) -> Callable[[Tree], Any]:
    """The loss, of an array of shape (1,) the number in it; that is noted once."""

    def number(params: Tree) -> Any:
        value = loss(params)
        if np.shape(value) != (1,):
            return value
        notes[:] = [f"loss: {ONE_NUMBER}"]
        return value[0]

    return number


def _number(loss: Callable[[Tree], Any], params: Tree) -> float:
    value = np.asarray(loss(params))
    if value.shape != () or value.dtype.kind not in "fiu":
        raise ValueError(f"the loss gave {value.dtype} of shape {value.shape}, expected a number")
    return float(value)


def _torch(loss: Callable[[Tree], Any], params: Tree) -> tuple[float, dict[str, Array]]:
    import torch  # only for who passes a torch loss

    leaves: list[Any] = []

    def leaf(p: Any) -> Any:
        leaves.append(torch.tensor(np.asarray(p, np.float64), requires_grad=True))
        return leaves[-1]

    value = loss(map_tree(leaf, params))
    slopes = torch.autograd.grad(value, leaves, allow_unused=True)
    return float(value.detach()), {
        name: np.zeros(np.shape(p)) if g is None else g.numpy()
        for (name, p), g in zip(_leaves(params), slopes, strict=True)
    }


def _jax(loss: Any, params: Tree) -> tuple[float, dict[str, Array]]:
    import jax  # only for who passes a JAX loss

    jax.config.update("jax_enable_x64", True)
    value, slopes = jax.value_and_grad(loss)(
        map_tree(lambda p: jax.numpy.asarray(p, np.float64), params)
    )
    return float(value), {name: np.asarray(g) for name, g in _leaves(slopes)}


def _leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    held = items(tree)
    if held is not None:
        for key, branch in held:
            yield from _leaves(branch, f"{path}[{key!r}]")
    elif tree is not None:
        yield path or "params", tree


def _replaced(tree: Tree, new: dict[int, Array]) -> Tree:
    return map_tree(lambda p: new.get(id(p), p), tree)


def _unit(shape: tuple[int, ...], entry: int) -> Array:
    unit = np.zeros(shape)
    unit.flat[entry] = 1.0
    return unit


def _nesting(params: Tree, grads: Tree, path: str = "params") -> str:
    """Where the gradient's nesting differs from that of the params; "" if it does not."""
    held, given = items(params), items(grads)
    if held is None:
        if given is not None or (params is None) != (grads is None):
            return f"{path}: expected an array, got {type(grads).__name__}"
        return ""
    keys = [key for key, _ in held]
    found = None if given is None else dict(given)
    if found is None or set(found) != set(keys):
        if isinstance(params, list | tuple):
            got = type(grads).__name__ if found is None else len(found)
            return f"{path}: expected {len(keys)} entries, got {got}"
        names = type(grads).__name__ if found is None else sorted(map(str, found))
        kind = "dict" if isinstance(params, dict) else type(params).__name__
        return f"{path}: expected a {kind} of {sorted(map(str, keys))}, got {names}"
    pairs = ((branch, found[key], f"{path}[{key!r}]") for key, branch in held)
    return next((wrong for pair in pairs if (wrong := _nesting(*pair))), "")
