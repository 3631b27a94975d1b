"""`prove`: is a gradient the exact derivative of its own loss?

The file's own code runs over exact numbers at random points, and every entry is compared with the
derivative of the same file's loss. Where its arithmetic is rational (identity, relu, leaky_relu,
squared errors) they are compared by ==, and `result` says what that proves. With exp, log, tanh and
their like both are intervals of 60 digits that enclose the results: no proof by ==, but closer than
any fault that a float could show.
"""

import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from samegrad.implementations.contract.spec import Tree, items, map_tree
from samegrad.implementations.contract.texts import clean_errors, described
from samegrad.implementations.proof.arrays import ExactArray
from samegrad.implementations.proof.derivative import gradient
from samegrad.implementations.proof.exactness import (
    COMPUTED,
    DIGITS,
    ROUNDED,
    Run,
    exact_run,
    place,
    users,
)
from samegrad.implementations.proof.number import Degree, Number, interval, lift
from samegrad.implementations.proof.patches import exact_numpy
from samegrad.implementations.proof.point import NotProvedError, Point
from samegrad.implementations.proof.result import Proof, shown

Array = Any
POINTS = 3
ENCLOSED_POINTS = 2  # intervals are ten times as slow, and prove no more with another point
SAME = 1e-6  # of the largest entry: what rounding of a small network is far below
LEAST_DIGITS = 20  # that an enclosure has to have; a float has 16


# What is proved: gives the loss and its gradient, nested like the variables that it drew.
Evaluate = Callable[[Point], tuple[Any, Tree, Tree]]


@dataclass(frozen=True)
class _Entry:
    """One entry of the gradient: what the file gave, what is right, and by how much they differ."""

    name: str
    given: Number
    right: Any
    share: float
    digits: int | None
    degree: int | None


@dataclass(frozen=True)
class _Evaluated:
    loss: Number
    is_float: bool
    entries: list[_Entry]
    run: Run

    @property
    def worst(self) -> _Entry:
        return max(self.entries, key=lambda entry: entry.share)


@clean_errors()
def prove(
    loss: Callable[[Tree], Any],
    grad: Callable[[Tree], Tree],
    params: Tree,
    *,
    points: int = POINTS,
    seed: int = 0,
    functions: Iterable[Callable[..., Any]] = (),
) -> Proof:
    """Run a loss and its gradient over exact numbers and compare all entries.

    Args:
        loss: params -> a number.
        grad: params -> the gradient, nested and shaped like params.
        params: nested lists, tuples, dicts and dataclasses of float arrays and floats. Their shapes
            count: the numbers are drawn.
        points: random points; of enclosures at most ENCLOSED_POINTS.
        seed: of the points.
        functions: more functions of the user's, whose globals have to be known.

    Returns:
        A Proof: `.verdict`, `.reason`, and as its str() what it says.

    Raises:
        TypeError: a function is none.
        ValueError: no point is asked for.
    """
    for name, function in (("loss", loss), ("grad", grad)):
        if not callable(function):
            raise TypeError(f"{name} is {described(function)}; give a function of params")
    if type(points) is not int or points < 1:
        raise ValueError(f"points {points!r} is not accepted; give a whole number >= 1")

    def evaluate(point: Point) -> tuple[Any, Tree, Tree]:
        tree = point.like(params)

        def copy() -> Tree:
            return map_tree(lambda p: p.copy() if isinstance(p, np.ndarray) else p, tree)

        return loss(copy()), grad(copy()), tree

    return proof(evaluate, points=points, seed=seed, functions=(loss, grad, *functions))


def proof(
    evaluate: Evaluate,
    *,
    points: int = POINTS,
    seed: int = 0,
    functions: Iterable[Callable[..., Any]] = (),
) -> Proof:
    """The same of anything that draws its variables from a Point.

    Args:
        evaluate: gives the loss, the gradient, and the variables in the same nesting.
    """
    functions, patterns = tuple(functions), set()
    digits: list[int] = []
    degrees: list[int | None] = []
    read: dict[float, Fraction] = {}
    entries = done = 0
    for number in range(points):
        chosen = (seed, number)
        try:
            found = _evaluated(evaluate, chosen, functions)
            if found.worst.share:
                found = _decided(found, evaluate, chosen, functions)
        except NotProvedError as failure:
            return Proof("not proved", str(failure))
        if found.worst.share:
            return Proof(
                "disagrees",
                _difference(found.worst),
                len(found.entries),
                number + 1,
                share=found.worst.share,
                given={entry.name: entry.given for entry in found.entries},
            )
        patterns.add(found.run.pattern)
        read |= found.run.read
        digits += [e.digits for e in found.entries if e.digits is not None]
        degrees += [e.degree for e in found.entries]
        entries, done = len(found.entries), number + 1
        if digits and done == ENCLOSED_POINTS:
            break
    constants = tuple(f"{constant!r} as {meant}" for constant, meant in read.items())
    if digits:
        if min(digits) < LEAST_DIGITS:
            wide = f"the intervals are too wide: {min(digits)} digits"
            return Proof("not proved", wide, entries, done)
        return Proof(
            "enclosed", "", entries, done, len(patterns), digits=min(digits), read=constants
        )
    degree = max((d for d in degrees if d is not None), default=0)
    return Proof("proved", "", entries, done, len(patterns), degree, read=constants)


def _decided(
    found: _Evaluated, evaluate: Evaluate, seed: Sequence[int], functions: Sequence[Any]
) -> _Evaluated:
    """A difference that is a fault, or the run in which rounded constants are read as meant.

    Raises:
        NotProvedError: it is no more than rounding, or the code does something else than over
            floats.
    """
    if found.is_float:  # right where it is constant, as behind a unit that is off
        raise NotProvedError("the loss came back as a float: its exact value was lost on the way")
    again = _evaluated(evaluate, seed, functions)
    pairs = [(a.given, b.given) for a, b in zip(found.entries, again.entries, strict=True)]
    if any(_differ(a.value, b.value) for a, b in [*pairs, (found.loss, again.loss)]):
        raise NotProvedError("a second call on the same numbers gives something else")
    if found.worst.share < ROUNDED:
        meant = _evaluated(evaluate, seed, functions, simple=True)
        if not meant.worst.share:
            return meant
        if meant.worst.share < COMPUTED:
            raise NotProvedError(
                f"{meant.worst.name} differs by {meant.worst.share:.1g} of the largest entry: no "
                "more than rounded constants do"
            )
    with warnings.catch_warnings(action="ignore"):
        _, grads, _ = evaluate(Point(seed, floats=True))
    floats = np.array([float(leaf) for _, leaf in _leaves(grads)])
    given = np.array([entry.given.near() for entry in found.entries])
    if np.max(np.abs(floats - given)) > SAME * np.max(np.abs(floats)):
        raise NotProvedError("over exact numbers the code computes something else than over floats")
    return found


def _evaluated(
    evaluate: Evaluate, seed: Sequence[int], functions: Sequence[Any], *, simple: bool = False
) -> _Evaluated:
    """One run over exact numbers, every entry compared.

    Raises:
        NotProvedError: exactness was lost, or nothing comparable came out.
    """
    point = Point(seed)
    with exact_run(simple) as run:
        try:
            with exact_numpy(functions), warnings.catch_warnings(action="ignore"):
                loss, grads, params = evaluate(point)
        except NotProvedError:
            raise
        except Exception as error:
            raise NotProvedError(next(iter(run.lost), "") or _raised(error)) from error
        if run.lost:
            raise NotProvedError(run.lost[0])
        value = _loss(loss)
        slopes = dict(zip(map(id, point.variables), gradient(value, point.variables), strict=True))
        degree = _slope_degree(value.degree)
        compared = [
            (name, number, slopes[id(variable)])
            for (name, number), (_, variable) in _paired(grads, params)
            if id(variable) in slopes
        ]
        scale: dict[str, Any] = {}
        for name, _, right in compared:
            array = _array_of(name)
            scale[array] = max(scale.get(array, 0.0), float(_middle(abs(right))))
        entries = [
            _entry(name, given, right, scale[_array_of(name)], degree)
            for name, given, right in compared
        ]
    if not entries:
        raise NotProvedError("there is no parameter of floats")
    return _Evaluated(value, isinstance(loss, float), entries, run)


def _loss(loss: Any) -> Number:
    if isinstance(loss, ExactArray | np.ndarray) and loss.size == 1:
        loss = loss.item()
    try:
        value = lift(loss)
    except TypeError:
        raise NotProvedError(f"the loss is a {type(loss).__name__}") from None
    if not isinstance(value, Number):
        raise NotProvedError(f"the loss is {value}")
    return value


def _entry(name: str, given: Number, right: Any, scale: float, degree: Degree) -> _Entry:
    a, b = given.value, right
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        share = 0.0 if a == b else float(abs(a - b)) / (scale or float(abs(a)))
        bound = None
        if degree is not None and given.degree is not None:
            (p, q), (r, s) = degree, given.degree
            bound = max(p + s, r + q)
        return _Entry(name, given, right, share, None, bound)
    difference = interval(a) - interval(b)
    if _differ(a, b):
        size = float(mpmath.mpf(abs(difference).a))
        return _Entry(name, given, right, size / (scale or abs(given.near())), 0, None)
    width = mpmath.mpf(difference.delta)
    digits = int(-mpmath.log10(width / scale)) if width and scale else DIGITS
    return _Entry(name, given, right, 0.0, min(digits, DIGITS), None)


def _differ(a: Any, b: Any) -> bool:
    """Whether two values are certainly not the same."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a != b
    difference = interval(a) - interval(b)
    return bool(difference.a > 0 or difference.b < 0)  # mpmath 1.4: only points compare


def _slope_degree(degree: Degree) -> Degree:
    """Of the derivatives of a quotient p/q: (p'q - pq') / q^2."""
    if degree is None:
        return None
    p, q = degree
    return (p + q - 1, 2 * q) if p + q else (0, 0)


def _paired(grads: Tree, params: Tree) -> list[tuple[tuple[str, Number], tuple[str, Number]]]:
    """Entries of the gradient beside the variables that they belong to."""
    left, right = list(_leaves(grads)), list(_leaves(params))
    if [name for name, _ in left] != [name for name, _ in right]:
        names = (dict.fromkeys(_array_of(n) for n, _ in side) for side in (left, right))
        mine, theirs = (", ".join(side) or "nothing" for side in names)
        raise NotProvedError(
            f"the gradient is not nested and shaped like the parameters: {mine} for {theirs}"
        )
    return [
        ((name, _checked(name, number)), variable)
        for (name, number), variable in zip(left, right, strict=True)
    ]


def _checked(name: str, number: Any) -> Number:
    try:
        lifted = lift(number)
    except TypeError:
        lifted = number
    if not isinstance(lifted, Number):
        raise NotProvedError(f"{name} is {lifted}")
    return lifted


def _leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every entry of every array, by a name such as 0.1[2, 3]."""
    held = items(tree)
    if held is not None:
        for key, branch in held:
            yield from _leaves(branch, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, np.ndarray):
        whole = np.ndarray.view(tree, np.ndarray)
        for index in np.ndindex(whole.shape):
            yield f"{path}[{', '.join(map(str, index))}]", whole[index]
    elif tree is not None:
        yield path, tree


def _array_of(name: str) -> str:
    """The array that an entry is of."""
    return name.rpartition("[")[0] or name


def _middle(value: Any) -> Any:
    return value if isinstance(value, Fraction) else mpmath.mpf(value.mid)


def _difference(entry: _Entry) -> str:
    """What differs, with both exact values."""
    return (
        f"{entry.name} is {shown(entry.given.value)}, the derivative of the file's own loss is "
        f"{shown(entry.right)} (they differ by {entry.share:.1g} of the largest entry)"
    )


def _raised(error: BaseException) -> str:
    """That the code raises, at its own innermost line."""
    where = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if users(frame.f_code):
            instruction = frame.f_lasti
            where = place(frame.f_code, instruction, line)
    text = " ".join(str(error).split())[:200]
    return f"{where}over exact numbers it raises {type(error).__name__}: {text}"
