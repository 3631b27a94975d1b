"""What is verified: small networks with a batch each, that show each kind of fault.

Random ones for every activation, loss, depth and option; and some made by hand, whose numbers are
exact: kinks and huge logits.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, get_args

import numpy as np

from samegrad.implementations.checking.reference import clear_of_kinks, expected
from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.equations import FORWARD_ONLY
from samegrad.implementations.contract.initializers import draw_masks, init_params
from samegrad.implementations.contract.spec import (
    Activation,
    DType,
    Loss,
    MLPSpec,
    Optimizer,
    OutputActivation,
    Params,
    Tree,
)

Array = Any
ACTIVATIONS = tuple(name for name in get_args(Activation) if name not in FORWARD_ONLY)
LOSSES = get_args(Loss)
OUTPUT_ACTIVATIONS = tuple(n for n in get_args(OutputActivation) if n not in FORWARD_ONLY)
# The examples stay this far (in units of rounding, see clear_of_kinks) from every kink: no
# rounding of any precision down to bfloat16, and no difference quotient, gets across.
CLEAR = 2.0**-6
SMALL = 10_000  # parameters of a network whose examples are looked for one by one
AT_ONCE = 50  # of these; a whole part of the tries
MOST = 1_000_000_000  # multiplications of a forward pass; those of a gradient are checked singly
AT_THE_KINK = "at the kink"
# A tensor whose terms cancel to less has too few digits left to be told right from wrong.
LEFT = {"float64": 1e-4, "float32": 3e-2}
# A loss that is this share of large outputs, at least, has digits enough in float32, too.
LARGE_OUTPUT, LOSS_LEFT = 10.0, 0.1
TRIES = 20  # draws of targets until no tensor cancels
RATE_SCALE = 0.01  # of weights behind lif_rate: rates of 100 Hz then give preactivations near 1


@dataclass(frozen=True, eq=False)  # one and the same or not: arrays have no ==
class Problem:
    """A network with its weights and one batch.

    Attributes:
        name: what is special about it, for tables.
        spec, params, X, y: as in the contract, NumPy.
        masks: dropout masks, or None.
        layout: of X and W in memory, for a file with NumPy's arrays: "C", "F" or "strided".
    """

    name: str
    spec: MLPSpec
    params: Params
    X: Array
    y: Array
    masks: Tree = None
    layout: str = "C"

    @property
    def label(self) -> str:
        """Everything that tells it from others, in one line."""
        spec = self.spec
        parts = [spec.activation, spec.loss, "-".join(map(str, spec.layer_sizes))]
        parts += [f"batch {len(self.X)}"]
        parts += [] if spec.output_activation == "identity" else [f"{spec.output_activation} out"]
        parts += [] if spec.bias else ["no bias"]
        parts += [f"weight_decay {spec.weight_decay:g}"] if spec.weight_decay else []
        parts += [f"dropout {spec.dropout:g}"] if self.masks is not None else []
        parts += [] if self.layout == "C" else [f"{self.layout} order"]
        return " ".join(parts) + (f" ({self.name})" if self.name else "")


def draw(spec: MLPSpec, batch_size: int = 6, seed: int = 0, name: str = "") -> Problem:
    """Random weights and a random batch clear of kinks; masks if the spec has dropout."""
    rng = np.random.default_rng([seed, 1])
    params = init_params(spec, seed)
    if spec.activation == "lif_rate":
        scale = np.asarray(RATE_SCALE, spec.dtype)
        params[1:] = [(W * scale, b) for W, b in params[1:]]
    masks = draw_masks(spec, batch_size, seed) if spec.dropout else None
    rows: list[Array] = []
    tries, at_once = 1000 if spec.parameters < SMALL else 0, AT_ONCE if masks is None else 1
    for _ in range(0, tries, at_once):
        if len(rows) == batch_size:
            break
        before = rng.bit_generator.state
        X = rng.normal(size=(at_once, spec.layer_sizes[0])).astype(spec.dtype)
        mask = None if masks is None else [m[len(rows) : len(rows) + 1] for m in masks]
        (clear,) = np.nonzero(clear_of_kinks(spec, params, X, mask, CLEAR))
        taken = clear[: batch_size - len(rows)]
        rows += list(X[taken])
        if len(rows) == batch_size:  # what follows is drawn as if they had come one by one
            rng.bit_generator.state = before
            rng.normal(size=(taken[-1] + 1, spec.layer_sizes[0]))
    if len(rows) < batch_size:  # a wide network: far from all kinks is asking too much
        X = rng.normal(size=(4 * batch_size, spec.layer_sizes[0])).astype(spec.dtype)
        rows = list(X[clear_of_kinks(replace(spec, dropout=0.0), params, X)][:batch_size])
    if len(rows) < batch_size:
        raise ValueError(f"no {batch_size} examples of {spec} are clear of kinks")
    for _ in range(TRIES):
        y = targets(spec, batch_size, rng)
        problem = Problem(name, spec, params, np.array(rows), y, masks)
        if spec.parameters >= SMALL or not spec.differentiable or tells(problem):
            break
    return problem


def tells(problem: Problem, left: float | None = None) -> bool:
    """Whether no tensor of the gradient cancels to a rest in which rounding decides.

    Args:
        left: of the terms, at least; by default LEFT.
    """
    return _kept(problem) >= (LEFT[problem.spec.dtype] if left is None else left)


def _kept(problem: Problem) -> float:
    """Of the terms of each tensor of the gradient, the least share that is left of their sum."""
    p = problem
    with np.errstate(all="ignore"):
        right = expected(replace(p.spec, dtype="float64"), p.params, p.X, p.y, p.masks)
    largest = float(np.max(np.abs(right.outputs)))
    if largest > LARGE_OUTPUT and right.loss < LOSS_LEFT * largest:
        return 0.0  # the loss is what is left of large logits
    return min(
        float(np.max(np.abs(grad))) / max(float(np.max(terms)), 1e-300)
        for pair, sums in zip(right.grads, right.magnitudes or (), strict=True)
        for grad, terms in zip(pair, sums, strict=True)
        if terms is not None
    )


def other_batch(problem: Problem) -> Problem:
    """The same network with a batch of the same shapes that has another loss and gradient.

    The same examples in reverse, so that they are as clear of kinks, with other targets: the first
    of some with which no tensor cancels, or those with which they cancel least.
    """
    p, outputs = problem, problem.spec.layer_sizes[-1]
    masks = None if p.masks is None else [mask[::-1].copy() for mask in p.masks]
    others: list[Array]
    if p.spec.loss == "cross_entropy":
        others = [(p.y + shift) % outputs for shift in range(1, max(2, min(outputs, 4)))]
    elif p.spec.loss == "binary_cross_entropy":
        others = [1 - p.y, p.y[::-1].copy()]
    else:
        others = [-p.y, 1 - p.y, 2 * p.y + 1]
    batches = [replace(p, X=p.X[::-1].copy(), y=y, masks=masks) for y in others]
    return batches[0] if tells(batches[0]) else max(batches, key=_kept)


def targets(spec: MLPSpec, batch_size: int, rng: np.random.Generator) -> Array:
    """Random classes, probabilities or values, whichever the loss takes."""
    outputs = spec.layer_sizes[-1]
    if spec.loss == "cross_entropy":
        return rng.integers(0, outputs, batch_size)
    if spec.loss == "binary_cross_entropy":
        # Not near the network's own first probabilities: a gradient that cancels has no digits.
        return rng.choice([0, 0.05, 0.95, 1], (batch_size, outputs)).astype(spec.dtype)
    return rng.normal(size=(batch_size, outputs)).astype(spec.dtype)


def standard(dtype: Any, seed: int = 0) -> list[Problem]:
    """Every activation and loss, depths, weight decay, bias, dropout, and hard cases."""
    base = MLPSpec((5, 7, 3), dtype=dtype)
    tanh = replace(base, activation="tanh")
    specs = [
        *((replace(base, activation=activation), 6) for activation in ACTIVATIONS),
        *(
            (replace(base, activation=activation, loss=loss, weight_decay=0.1), 6)
            for activation in ACTIVATIONS
            for loss in LOSSES[1:]
        ),
        *((replace(tanh, loss=loss, output_activation="sigmoid"), 6) for loss in LOSSES),
        *((replace(tanh, loss=loss, bias=False), 6) for loss in LOSSES),
        *((replace(tanh, loss=loss), 1) for loss in LOSSES),
        *(
            (replace(base, layer_sizes=sizes, weight_decay=0.1), 4)
            for sizes in ((5, 3), (5, 4, 6, 3), (5, 6, 6, 6, 3), (4, 4, 4))
        ),
        (replace(base, layer_sizes=(5, 7, 6, 3), dropout=0.4), 6),
    ]
    drawn = [draw(spec, batch_size, seed) for spec, batch_size in dict.fromkeys(specs)]
    return [*drawn, *by_hand(dtype)]


def classics(dtype: Any, seed: int = 0) -> list[Problem]:
    """What people write first: sigmoids everywhere, squares without decay, one or two outputs."""
    base = MLPSpec((5, 7, 3), dtype=dtype)
    sigmoid = replace(base, activation="sigmoid")
    everywhere = replace(sigmoid, output_activation="sigmoid")
    squares = replace(base, loss="mse")
    binary = replace(sigmoid, loss="binary_cross_entropy")
    specs = [
        *(
            replace(everywhere, loss="mse", layer_sizes=sizes)
            for sizes in ((5, 7, 3), (5, 3), (2, 4, 1), (5, 6, 4, 2))
        ),
        *(replace(everywhere, loss=loss) for loss in LOSSES[:2]),
        *(replace(squares, layer_sizes=sizes) for sizes in ((5, 7, 3), (5, 3), (5, 7, 1))),
        *(replace(sigmoid, layer_sizes=sizes) for sizes in ((5, 3), (5, 7, 2))),
        *(replace(binary, layer_sizes=sizes) for sizes in ((5, 7, 3), (5, 7, 1), (5, 1))),
        *(replace(base, layer_sizes=sizes) for sizes in ((5, 3), (5, 7, 2), (5, 6, 6, 3))),
    ]
    return [draw(spec, 6, seed) for spec in specs]


def by_hand(dtype: Any) -> list[Problem]:
    """Cases whose numbers are exact: kinks at exact zeros, huge and equal logits."""

    def floats(*values: Any) -> list[Array]:
        return [np.array(value, dtype) for value in values]

    made = []
    for activation in ("relu", "leaky_relu"):
        spec = MLPSpec((2, 3, 2), activation, dtype=dtype)
        W1, b1, W2, b2, X = floats(
            np.zeros((2, 3)), np.zeros(3), np.ones((3, 2)) * [1, 2], [0, 0], np.ones((4, 2))
        )
        made.append(Problem(AT_THE_KINK, spec, [(W1, b1), (W2, b2)], X, np.array([0, 1, 0, 0])))
    W, b, X = floats([[1e4, -1e4], [-1e4, 1e4]], [0, 0], [[1, 0], [0, 1], [1, 1]])
    for loss in LOSSES[:2]:
        y = np.array([1, 1, 0]) if loss == "cross_entropy" else np.array(np.eye(3, 2), dtype)
        spec = MLPSpec((2, 2), loss=loss, dtype=dtype)
        made.append(Problem("logits of +-1e4", spec, [(W, b)], X, y))
    return made


def improbable(probability: float, loss: Any, dtype: Any) -> Problem:
    """One example, with a small probability of its class or of its first output."""
    gap = float(np.log(1 / probability - 1))  # between logits; of a sigmoid, the logit itself
    far = gap / 2 if loss == "cross_entropy" else gap
    W = np.array([[-far, far], [0, 0]], dtype)
    y: Array = np.array([0]) if loss == "cross_entropy" else np.array([[1, 0]], dtype)
    spec = MLPSpec((2, 2), loss=loss, dtype=dtype)
    X = np.array([[1, 0]], dtype)
    return Problem("small probability", spec, [(W, np.zeros(2, dtype))], X, y)


def select(
    layers: tuple[int, ...] | None = None,
    batch_size: int = 6,
    activations: Sequence[str] | None = None,
    losses: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    weight_decay: float | None = None,
    optimizer: str = "sgd",
    seed: int = 0,
    output_activations: Sequence[str] | None = None,
    bias: bool | None = None,
) -> tuple[Problem, ...]:
    """The standard problems that are left by a selection, or those of one network.

    Args:
        layers: features, hidden widths and outputs of the network, or None for the standard ones.
        batch_size: examples of its batch.
        activations, losses, dtypes: only these; None for all (of `layers`: relu, cross_entropy).
        weight_decay: only this L2 coefficient, or None for any (of `layers`: 0).
        optimizer: the update rule of all of them.
        seed: of weights and batches, >= 0.
        output_activations: only these; None for all (of `layers`: identity).
        bias: only with biases, or without; None for both (of `layers`: with).

    Raises:
        ValueError: a value is not accepted, or no problem is left.
    """
    for kind, names, accepted in (
        ("activation", activations, ACTIVATIONS),
        ("loss", losses, LOSSES),
        ("output_activation", output_activations, OUTPUT_ACTIVATIONS),
        ("dtype", dtypes, get_args(DType)),
        ("optimizer", (optimizer,), get_args(Optimizer)),
    ):
        for name in names or ():
            if name not in accepted:
                raise ValueError(
                    f"{kind} {name!r} is not known; accepted: {', '.join(accepted)}"
                    f"{did_you_mean(name, accepted)}"
                )
    if batch_size < 1 or seed < 0:
        raise ValueError(
            f"batch_size {batch_size}, seed {seed}: the first must be >= 1, the other >= 0"
        )
    selected: list[Problem] = []
    for dtype in dtypes or ("float64", "float32"):
        if layers is None:
            problems = [
                p
                for p in [*standard(dtype, seed), *classics(dtype, seed)]
                if (activations is None or p.spec.activation in activations)
                and (losses is None or p.spec.loss in losses)
                and (weight_decay is None or p.spec.weight_decay == weight_decay)
                and (output_activations is None or p.spec.output_activation in output_activations)
                and (bias is None or p.spec.bias == bias)
            ]
        else:
            if MLPSpec(layers).parameters * batch_size > MOST:
                sizes = "-".join(map(str, layers))
                raise ValueError(f"layers {sizes} at batch size {batch_size} are too large")
            problems = []
            for activation, loss, last in product(
                activations or ("relu",),
                losses or LOSSES[:1],
                output_activations or OUTPUT_ACTIVATIONS[:1],
            ):
                options: Any = {"activation": activation, "loss": loss, "dtype": dtype}
                options |= {"output_activation": last, "bias": bias is not False}
                spec = MLPSpec(layers, weight_decay=weight_decay or 0.0, **options)
                problems.append(draw(spec, batch_size, seed))
        if optimizer != "sgd":
            rule: Any = optimizer
            problems = [replace(p, spec=replace(p.spec, optimizer=rule)) for p in problems]
        selected += problems
    if not selected:
        asked = "these options together"
        if weight_decay is not None:
            asked = f"weight_decay {weight_decay:g} with these activations and losses"
        raise ValueError(f"no problem has {asked}; give layers too for a network of your own")
    return tuple(selected)


def probes(problem: Problem, seed: int = 0) -> dict[str, Problem]:
    """The same network with one thing made trivial: what agrees then points at that thing."""
    spec, batch_size = problem.spec, len(problem.X)
    simpler: dict[str, Problem] = {}
    plain = replace(spec, dropout=0.0)
    for applies, name, other, size in (
        (
            spec.activation != "identity" and len(spec.layer_sizes) > 2,
            "identity activation",
            replace(plain, activation="identity"),
            batch_size,
        ),
        (batch_size > 1, "a batch of 1", plain, 1),
        (spec.weight_decay, "weight_decay 0", replace(plain, weight_decay=0.0), batch_size),
        (problem.masks is not None, "no dropout", plain, batch_size),
    ):
        if applies:
            with contextlib.suppress(ValueError):  # no example of it is clear of kinks
                simpler[name] = draw(other, size, seed)
    ones = [
        (np.full_like(W, 1 / len(W)), None if b is None else np.full_like(b, 0.25))
        for W, b in problem.params
    ]
    simpler["inputs and weights all equal"] = Problem(
        "", replace(spec, dropout=0.0), ones, np.ones_like(problem.X), problem.y
    )
    return simpler
