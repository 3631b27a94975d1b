"""A contract file's `loss_and_grad` over exact numbers, on small networks of every kind it has.

Sizes and batches are powers of two, so that a mean has no rounding. This runs in the child process.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from samegrad.implementations.checking import exact
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree, map_tree, plain_tree
from samegrad.implementations.proof.arrays import exact as exact_array
from samegrad.implementations.proof.exactness import COMPUTED, DIGITS, exact_run
from samegrad.implementations.proof.number import interval
from samegrad.implementations.proof.point import Point
from samegrad.implementations.proof.prove import proof
from samegrad.implementations.proof.result import Proof

Array = Any
BATCH = 4
ENOUGH = 4
COMPILERS = ("numba",)  # what they made reads the memory of any array as floats
LITTLE = 1e-2  # of the largest entry: by no more an epsilon changes a gradient
SIMPLE = 100  # largest denominator of a constant that loss and gradient share: sizes and batches
NEARER = 1e-3  # to the contract's gradient than to that of the file's own loss: then it is that one


def networks() -> list[MLPSpec]:
    """Every kind that a file may have: what is rational first."""
    base = MLPSpec((2, 4, 2), loss="mse", dtype="float64")
    rational: list[Any] = ["identity", "relu", "leaky_relu"]
    smooth: list[Any] = ["sigmoid", "tanh", "gelu", "silu", "softplus"]
    entropies: list[Any] = ["cross_entropy", "binary_cross_entropy"]
    classes = replace(base, loss="cross_entropy")
    return [
        *(replace(base, activation=name) for name in rational),
        *(replace(base, activation=name, weight_decay=0.5) for name in rational),
        *(replace(base, activation=name, bias=False) for name in rational),
        *(replace(base, layer_sizes=sizes) for sizes in ((4, 2), (2, 4, 4, 2), (4, 8, 1))),
        *(replace(base, activation=name) for name in smooth),
        *(replace(base, activation=name, output_activation="sigmoid") for name in ("sigmoid",)),
        *(replace(base, activation=a, loss=loss) for loss in entropies for a in ("relu", "tanh")),
        *(replace(classes, activation=name) for name in ("sigmoid", "leaky_relu")),
        replace(classes, weight_decay=0.5),
    ]


def label(spec: MLPSpec) -> str:
    """A network in a line."""
    parts = [spec.activation, spec.loss, "-".join(map(str, spec.layer_sizes))]
    parts += [f"{spec.output_activation} out"] if spec.output_activation != "identity" else []
    parts += [] if spec.bias else ["no bias"]
    parts += [f"weight_decay {spec.weight_decay:g}"] if spec.weight_decay else []
    return " ".join(parts)


class _UnsupportedError(Exception):
    """The file does not take such arrays: the reason."""


@dataclass(frozen=True)
class Case:
    """One network of a file, drawn anew at each point."""

    implementation: Implementation
    spec: MLPSpec
    lists: bool

    def drawn(self, point: Point) -> tuple[Params, Array, Array]:
        """Params, X and y."""
        spec, params = self.spec, []
        for fan_in, fan_out in zip(spec.layer_sizes, spec.layer_sizes[1:], strict=False):
            W = point.numbers((fan_in, fan_out))
            params.append((W, point.numbers((fan_out,)) if spec.bias else None))
        X = point.numbers((BATCH, spec.layer_sizes[0]), variable=False)
        outputs = spec.layer_sizes[-1]
        if spec.loss == "cross_entropy":
            return params, X, np.arange(BATCH) % outputs
        y = point.numbers((BATCH, outputs), variable=False)
        if spec.loss == "binary_cross_entropy":
            y = y / 4 + 0.5  # from 0 to 1
        return params, X, y

    def __call__(self, point: Point) -> tuple[Any, Tree, Tree]:
        """The loss, the gradient and the variables, by the names of the arrays."""
        params, X, y = self.drawn(point)
        model, spec = self.implementation.model, self.spec
        if self.lists:
            given = map_tree(_to_lists, params), _to_lists(X), _to_lists(y)
        else:
            given = map_tree(_copy, params), _copy(X), y
        loss, grads = model.loss_and_grad(spec, *given)
        return loss, _by_name(plain_tree(grads)), _by_name(params)


def _copy(array: Array) -> Array:
    return array.copy()


def _to_lists(array: Array) -> Any:
    return np.ndarray.view(array, np.ndarray).tolist()


def _by_name(params: Any) -> dict[str, Any]:
    """dW1, db1, ...: arrays, also of nested lists."""
    named: dict[str, Any] = {}
    for layer, pair in enumerate(params, 1):
        for name, leaf in zip((f"dW{layer}", f"db{layer}"), pair, strict=True):
            if leaf is not None:
                named[name] = leaf if isinstance(leaf, np.ndarray) else exact_array(leaf)
    return named


def takes_lists(implementation: Implementation) -> bool:
    """Whether it computes with lists of floats; False for NumPy's arrays.

    Raises:
        NotImplementedError: it computes with something else.
    """
    for name, held in vars(implementation.model).items():
        if type(held).__module__.partition(".")[0] in COMPILERS:
            raise NotImplementedError(f"{name} is compiled: it takes nothing but floats")
    placed = implementation.backend.place(np.zeros((2, 2)), implementation.devices()[0])
    if type(placed) in (list, np.ndarray):
        return type(placed) is list
    kind = f"{type(placed).__module__.partition('.')[0]}.{type(placed).__name__}"
    raise NotImplementedError(
        f"its arrays are {kind}; only NumPy's and Python's own arithmetic runs over exact numbers"
    )


def prove_networks(
    implementation: Implementation, seed: int, tell: Callable[[str, Proof], None]
) -> None:
    """Tell the proof of every network that the file supports, by its label.

    After ENOUGH that fail for one reason the others are left.
    """
    lists = takes_lists(implementation)
    reasons: list[str] = []
    for spec in networks():
        case = Case(implementation, spec, lists)
        if not _supported(case, seed):
            continue
        found = _proved(case, seed)
        tell(label(spec), found)
        reasons.append(found.reason if found.verdict == "not proved" else "")
        if reasons[-1] and reasons[-ENOUGH:] == ENOUGH * reasons[-1:]:
            return


def _supported(case: Case, seed: int) -> bool:
    """Whether it runs over floats; where it doesn't, verify says why."""
    try:
        case(Point((seed, 0), floats=True))
    except Exception:
        return False
    return True


def _proved(case: Case, seed: int) -> Proof:
    if case.implementation.capabilities.accuracy(case.spec):
        return Proof("not proved", "it is inexact by its own declaration")
    found = proof(case, seed=seed, functions=(case.implementation.model.loss_and_grad,))
    if found.verdict == "disagrees" and _is_the_contracts(case, found, seed):
        return Proof(
            "not proved",
            "the gradient is the contract's own, but not that of the file's loss: this one "
            "differs from the contract's, by an epsilon, a clip or a fault",
        )
    return found


def _is_the_contracts(case: Case, found: Proof, seed: int) -> bool:
    """Whether the gradient is the contract's but for rounding, and not nearly so the file's own.

    It may be a simple constant times it, as where loss and gradient are sums, if the file's own is
    nearly so, too: an epsilon changes little.
    """
    params, X, y = case.drawn(Point((seed, found.points - 1), floats=True))
    _, _, grads = right(case.spec, params, X, y)
    with exact_run():
        pairs = {
            name: [
                (mpmath.mpf(interval(found.given[_entry(name, index)].value).mid), array[index])
                for index in np.ndindex(array.shape)
            ]
            for name, array in _by_name(grads).items()
        }
        factor = Fraction(1)
        given, exact_one = max(
            (pair for entries in pairs.values() for pair in entries), key=lambda pair: abs(pair[1])
        )
        if found.share < LITTLE and exact_one:
            factor = Fraction(float(given / exact_one)).limit_denominator(SIMPLE)
        times = mpmath.mpf(factor.numerator) / factor.denominator
        worst = 0.0
        for entries in pairs.values():
            largest = max((abs(times * b) for _, b in entries), default=0) or 1
            worst = max([worst, *(float(abs(a - times * b) / largest) for a, b in entries)])
    return worst < min(NEARER * found.share, float(COMPUTED))


def _entry(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]"


def right(spec: MLPSpec, params: Params, X: Array, y: Array) -> tuple[Array, Any, Params]:
    """Outputs, loss and gradient of the contract, in as many digits as an enclosure has."""
    with mpmath.workdps(DIGITS):
        return exact.results(spec, map_tree(exact.exactly, params), exact.exactly(X), y)
