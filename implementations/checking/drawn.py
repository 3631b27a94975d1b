"""Problems drawn anew for every run: what small fixed ones cannot show.

A fault may depend on size (five layers, a batch above 32, a width above 64), on values (units that
are saturated, huge logits, a column of zeros) or on options together (decay without biases). So
every pair of values of the factors that an implementation accepts is drawn, from a seed that is
printed and repeats them.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from samegrad.implementations.checking.comparison import bound
from samegrad.implementations.checking.problems import Problem, targets, tells
from samegrad.implementations.checking.reference import (
    KINKED,
    clear_of_kinks,
    expected,
    outputs,
)
from samegrad.implementations.contract.initializers import draw_masks, init_params
from samegrad.implementations.contract.spec import MLPSpec, Params, map_tree

Array = Any
Choice = dict[str, Any]  # a value of each factor
# Ranges of sizes: one is drawn within. Of a batch, a width, a depth each may be a fault's limit.
BATCHES = ((1, 1), (2, 8), (9, 32), (33, 64), (65, 200))
WIDTHS = ((1, 3), (4, 32), (65, 128), (129, 300))
DEPTHS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (7, 8))
FEATURES = ((1, 2), (3, 12), (20, 60))
OUTPUTS = ((1, 1), (2, 2), (3, 10), (11, 20))
DECAYS = (0.0, 0.003, 0.5, 2.0)
DROPOUTS = (0.0, 0.2, 0.6)
DATA = (
    "",
    "units saturated at 30",  # |z|; exp overflows at 88 in float32, at 709 in float64
    "units saturated at 900",
    "logits of 50",
    "logits of 200",
    "logits of 1000",
    "a zero row",
    "a zero column",
    "one label",
    "equal logits",
)
LAYOUTS = ("C", "F", "strided")
TRIES = 6  # draws of one choice, until it is clear of kinks and does not cancel
CANDIDATES = 30  # choices looked at for each problem; the one with the most new pairs is taken
MOST = 90  # problems: enough for all pairs of these factors
LARGE = 3e7  # parameters times examples: 50 ms of a gradient in NumPy
# A tensor keeps this share of its terms: with 1.1e-16 of them for each of a handful of roundings
# (1 - a of a saturated unit is one) it is off by less than its bound, 1e-12; in float32, 1e-5.
LEFT = {"float64": 1e-3, "float32": 3e-2}
STEADY = 0.2  # of the bound, for one rounding of every number; a network has a few in a row
MARGIN = 64  # roundings that an example stays away from every kink


def problems(accepted: Sequence[Problem], seed: int) -> list[Problem]:
    """Networks of the kinds that an implementation accepts, small ones first.

    Args:
        accepted: problems on which it gave a gradient.
        seed: of everything that is drawn.
    """
    rng = np.random.default_rng([seed, 2])
    factors = _factors(accepted)
    left = _pairs(factors)
    drawn: list[Problem] = []
    for _ in range(MOST):
        best = max((_choice(factors, rng) for _ in range(CANDIDATES)), key=lambda c: _new(c, left))
        if not _new(best, left):
            break
        left -= _pairs_of(best)
        problem = _problem(best, int(rng.integers(2**31)))
        if problem is not None:
            drawn.append(problem)
    return sorted(drawn, key=cost)


def cost(problem: Problem) -> float:
    """What a call takes, up to a constant."""
    return float(problem.spec.parameters * len(problem.X))


def _factors(accepted: Sequence[Problem]) -> dict[str, Sequence[Any]]:
    """The values that each factor may have, as far as accepted problems show."""

    def seen(name: str) -> list[Any]:
        return list(dict.fromkeys(getattr(p.spec, name) for p in accepted))

    layers = {len(p.spec.layer_sizes) - 1 for p in accepted}
    depths = [d for d in DEPTHS if d[0] in layers or (d[0] > 2 and max(layers) > 2)]
    several = len({p.spec.layer_sizes for p in accepted}) > 1
    decays: Sequence[float] = DECAYS if any(p.spec.l2 for p in accepted) else DECAYS[:1]
    if not any(not p.spec.l2 for p in accepted):
        decays = DECAYS[1:]
    return {
        "activation": [name for name in seen("activation") if name != "lif_rate"],
        "output_activation": seen("output_activation"),
        "loss": seen("loss"),
        "bias": seen("bias"),
        "dtype": seen("dtype"),
        "weight_decay": decays,
        "dropout": DROPOUTS if any(p.masks is not None for p in accepted) else (0.0,),
        "depth": depths,
        "width": WIDTHS,
        "features": FEATURES if several else ((5, 5),),
        "outputs": OUTPUTS if several else ((3, 3),),
        "batch": BATCHES,
        "data": DATA,
        "layout": LAYOUTS,
    }


def _pairs(factors: dict[str, Sequence[Any]]) -> set[tuple[Any, ...]]:
    return {
        (a, x, b, y) for a, b in combinations(factors, 2) for x in factors[a] for y in factors[b]
    }


def _pairs_of(choice: Choice) -> set[tuple[Any, ...]]:
    return {(a, choice[a], b, choice[b]) for a, b in combinations(choice, 2)}


def _new(choice: Choice, left: set[tuple[Any, ...]]) -> int:
    return len(_pairs_of(choice) & left)


def _choice(factors: dict[str, Sequence[Any]], rng: np.random.Generator) -> Choice:
    """A value of each factor, changed to where a combination means nothing."""
    chosen = {name: values[int(rng.integers(len(values)))] for name, values in factors.items()}
    hidden = chosen["depth"][0] > 1
    if chosen["loss"] == "cross_entropy" and chosen["outputs"] == (1, 1):
        chosen["outputs"] = (2, 2)  # of one class the gradient is 0
    if not hidden:
        chosen["dropout"] = 0.0
    elif chosen["dropout"] and chosen["activation"] in KINKED:
        chosen["dtype"] = factors["dtype"][0]
    # Of the others a right value far to the left is 0 in one form and 1e-300 in another.
    smooth = chosen["activation"] in ("sigmoid", "tanh")
    plain = chosen["output_activation"] == "identity" and chosen["loss"] != "mse"
    if chosen["data"].startswith("units saturated") and not (smooth and hidden):
        chosen["data"] = ""
    if chosen["data"].startswith("logits") and not plain:
        chosen["data"] = ""
    if chosen["data"] == "a zero row" and not chosen["bias"] and chosen["activation"] in KINKED:
        chosen["data"] = "a zero column"  # every z of that example would be at the kink
    return chosen


def _problem(choice: Choice, seed: int) -> Problem | None:
    """A problem of a choice, clear of kinks and of cancellation; None if none is found."""
    for attempt in range(TRIES):
        rng = np.random.default_rng([seed, attempt])
        spec, batch = _spec(choice, rng)
        params = init_params(spec, seed + attempt, "fan_in")
        params = [(W, None if b is None else _small(rng, b)) for W, b in params]
        kind, _, size = choice["data"].rpartition(" ")
        if kind == "units saturated at":
            params = _saturated(spec, params, float(size), rng)
        masks = draw_masks(spec, batch, [seed, attempt]) if spec.dropout else None
        X = rng.normal(size=(batch, spec.layer_sizes[0])).astype(spec.dtype)
        if choice["data"] == "a zero row":
            X[int(rng.integers(batch))] = 0
        if choice["data"] == "a zero column":
            X[:, int(rng.integers(X.shape[1]))] = 0
        if choice["data"] == "equal logits":
            W, b = params[-1]
            params[-1] = (np.zeros_like(W), b if b is None else np.full_like(b, b[0]))
        if kind == "logits of":
            params[-1] = _large(spec, params, X, float(size), masks)
        X = _clear(spec, params, X, masks, rng)
        y = targets(spec, batch, rng)
        if choice["data"] == "one label":
            y[...] = y[0]
        problem = Problem(choice["data"] or "drawn", spec, params, X, y, masks, choice["layout"])
        near = ~clear_of_kinks(spec, params, X, masks, MARGIN * float(np.finfo(spec.dtype).eps))
        if not near.any() and tells(problem, LEFT[spec.dtype]) and _steady(problem, rng):
            return problem
    return None


def _steady(problem: Problem, rng: np.random.Generator) -> bool:
    """Whether rounding of params and X moves outputs and gradient by a share of the bound at most.

    Where large terms cancel before a unit that is not saturated, any right code is off by more.
    """
    p, eps = problem, float(np.finfo(problem.spec.dtype).eps)

    def rounded(leaf: Array) -> Array:
        exact = np.asarray(leaf, np.float64)
        return exact * (1 + eps * rng.uniform(-1, 1, exact.shape))

    spec = replace(p.spec, dtype="float64")
    with np.errstate(all="ignore"):
        here, there = (
            expected(spec, params, X, p.y, p.masks)
            for params, X in ((p.params, p.X), (map_tree(rounded, p.params), rounded(p.X)))
        )
    pairs = [*zip(here.grads, there.grads, strict=True)]
    pairs += [((here.outputs, None), (there.outputs, None))]
    return all(
        a is None or np.max(np.abs(a - b)) <= STEADY * bound(p.spec.dtype) * np.max(np.abs(a))
        for one, other in pairs
        for a, b in zip(one, other, strict=True)
    )


def _spec(choice: Choice, rng: np.random.Generator) -> tuple[MLPSpec, int]:
    """A network within the ranges of a choice, and its batch size."""

    def within(bounds: tuple[int, int]) -> int:
        return int(rng.integers(bounds[0], bounds[1] + 1))

    depth, batch = within(choice["depth"]), within(choice["batch"])
    widths = [within(choice["width"]) for _ in range(depth - 1)]
    for layer in range(1, len(widths)):  # one wide layer and no more, so that it stays fast
        if widths[layer] > WIDTHS[1][1]:
            widths[layer] = within(WIDTHS[1])
    rng.shuffle(widths)
    sizes = (within(choice["features"]), *widths, within(choice["outputs"]))
    names = ("activation", "output_activation", "loss", "bias", "dtype", "weight_decay", "dropout")
    return MLPSpec(sizes, **{name: choice[name] for name in names}), batch


def _small(rng: np.random.Generator, b: Array) -> Array:
    return rng.uniform(-0.5, 0.5, b.shape).astype(b.dtype)


def _saturated(spec: MLPSpec, params: Params, size: float, rng: np.random.Generator) -> Params:
    """With some units of the first layer far out on both sides."""
    (W, b), *rest = params
    far = rng.random(W.shape[1]) < 0.5
    scale = np.where(far, size, 1.0).astype(spec.dtype)
    return [(W * scale, b if b is None else b * scale), *rest]


def _large(spec: MLPSpec, params: Params, X: Array, largest: float, masks: Any) -> Any:
    """The last layer, scaled so that the largest output has that size."""
    W, b = params[-1]
    found = float(np.max(np.abs(outputs(spec, params, X, masks))))
    scale = np.asarray(largest / max(found, 1e-3), spec.dtype)
    return W * scale, b if b is None else b * scale


def _clear(spec: MLPSpec, params: Params, X: Array, masks: Any, rng: np.random.Generator) -> Array:
    """With the examples that are near a kink drawn again."""
    eps = MARGIN * float(np.finfo(spec.dtype).eps)
    for _ in range(TRIES):
        near = ~clear_of_kinks(spec, params, X, masks, eps)
        if not near.any():
            break
        X = X.copy()
        again = rng.normal(size=(int(near.sum()), X.shape[1])).astype(spec.dtype)
        X[near] = np.where(X[near] == 0, 0, again)  # what is zero on purpose stays
    return X
