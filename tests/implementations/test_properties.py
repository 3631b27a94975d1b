"""Drawn networks, batches and values, extremes included (hypothesis; the same draws every time)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samegrad.implementations.checking import problems
from samegrad.implementations.checking.comparison import floor
from samegrad.implementations.checking.reference import clear_of_kinks, expected
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.registry import load, why_not_installed
from samegrad.implementations.contract.spec import MLPSpec

# The compilers would compile each draw.
NAMES = [n for n in ("scalar", "numpy", "torch", "graph") if why_not_installed(n) is None]
# Errors in units of rounding. A sum of k terms is off by up to k roundings of its terms; the
# networks drawn have fewer than 200 terms to a sum, over at most 5 layers forth and back.
ROUNDINGS = 4000
VALUES = (0.0, 1.0, -1.0, 1e4, -1e4, 5e-324, -1e-310, 1e-160, 3.7)


@st.composite
def networks(draw: Any) -> Any:
    """(spec, params, X, y) with any activation, loss, depth, width, bias and decay."""
    hidden = draw(
        st.one_of(
            st.lists(st.integers(1, 6), max_size=4),  # deep
            st.lists(st.integers(60, 120), min_size=1, max_size=1),  # wide
        )
    )
    loss = draw(st.sampled_from(problems.LOSSES))
    outputs = draw(st.integers(1, 5))  # one class, too
    spec = MLPSpec(
        (draw(st.integers(1, 6)), *hidden, outputs),
        activation=draw(st.sampled_from(problems.ACTIVATIONS)),
        output_activation=draw(st.sampled_from(("identity", "sigmoid"))),
        loss=loss,
        bias=draw(st.booleans()),
        weight_decay=draw(st.sampled_from((0.0, 0.1, 10.0))),
        dtype="float64",
    )
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    params = init_params(
        spec, draw(st.integers(0, 1000)), draw(st.sampled_from(("torch", "normal")))
    )
    batch_size = draw(st.sampled_from((1, 1, 2, 7)))
    X = rng.normal(size=(batch_size, spec.layer_sizes[0])) * draw(
        st.sampled_from((0, 1e-3, 1, 1e4))
    )
    for _ in range(draw(st.integers(0, 4))):  # single extreme values
        X[rng.integers(batch_size), rng.integers(X.shape[1])] = draw(st.sampled_from(VALUES))
    if draw(st.booleans()):  # equal examples
        X[:] = X[0]
    return spec, params, X, problems.targets(spec, batch_size, rng)


def steepness(spec: MLPSpec, params: Any, X: Any) -> float:
    """By how much the network may enlarge rounding: the terms of every preactivation.

    softmax and g' turn an absolute error of z into a relative one of the gradient, and z has an
    absolute error of rounding times sum |a| |W| + |b|; lif_rate has 1/LIF_WIDTH = 50 times that
    in its steepest place, and gelu a cubic argument.
    """
    from samegrad.implementations.checking.reference import activation_value

    a, total = np.abs(X), 1.0
    for (W, b), name in zip(params, spec.activations, strict=True):
        terms = a @ np.abs(W) + (0 if b is None else np.abs(b))
        factor = {"lif_rate": 50.0, "gelu": 1 + float(np.max(terms)) ** 2}.get(name, 1.0)
        total += factor * float(np.max(terms))
        a = np.maximum(np.abs(activation_value(name, terms)), terms if name != "sigmoid" else 1)
    return total


def within_rounding(implementation: Any, network: Any) -> str:
    """Where an implementation is further from the reference than rounding explains; ""."""
    spec, params, X, y = network
    placed = implementation.params_from_numpy(spec, params, "cpu")
    batch = implementation.batch_from_numpy(spec, X, y, "cpu")
    loss, grads = implementation.loss_and_grad(spec, placed, *batch)
    right = expected(spec, params, X, y)
    if not np.isfinite(float(loss)):
        return f"loss {loss}"
    allowed = ROUNDINGS * np.finfo(np.float64).eps * steepness(spec, params, X)
    clear = clear_of_kinks(spec, params, X, eps=1e-12).all()
    for pair, wanted, terms in zip(
        implementation.to_numpy(grads), right.grads, right.magnitudes or [], strict=True
    ):
        for g, w, t in zip(pair, wanted, terms, strict=True):
            if g is None:
                assert w is None
                continue
            if g.shape != w.shape or not np.isfinite(g).all():
                return f"shape {g.shape} or values not finite"
            # Next to a kink either side is right; at an exact zero it is the left one.
            tolerance = allowed * max(float(np.max(t)), floor("float64"))
            if clear and not (np.abs(g - w) <= tolerance).all():
                return f"off by {np.max(np.abs(g - w)):.3g}, rounding explains {tolerance:.3g}"
    return ""


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(network=networks())
def test_drawn_networks_agree_within_rounding(name: str, network: Any) -> None:
    """Finite, shaped like the params, and as near to the reference as rounding allows."""
    assert "" == within_rounding(load(name), network)


class OffByAMillionth:
    """NumPy's network with a gradient that is too large by 1e-6."""

    def __init__(self) -> None:
        self._right = load("numpy")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._right, name)

    def loss_and_grad(self, *given: Any) -> Any:
        """As NumPy's, and wrong."""
        loss, grads = self._right.loss_and_grad(*given)
        return loss, [
            (dW * (1 + 1e-6), None if db is None else db * (1 + 1e-6)) for dW, db in grads
        ]


def test_check_sees_a_gradient_that_is_off_by_a_millionth() -> None:
    """So the tolerance is rounding's and no more, wherever the gradient is not rounding itself."""
    tried = []

    @settings(max_examples=100, deadline=None, derandomize=True, database=None)
    @given(network=networks())
    def look(network: Any) -> None:
        spec, params, X, y = network
        right = expected(spec, params, X, y)
        shares = [
            float(np.max(np.abs(dW))) / max(float(np.max(t)), floor("float64"))
            for (dW, _), (t, _) in zip(right.grads, right.magnitudes or [], strict=True)
        ]
        smooth = clear_of_kinks(spec, params, X, eps=1e-12).all()
        if smooth and steepness(spec, params, X) < 100 and max(shares) > 1e-3:
            tried.append(network)
            assert "rounding explains" in within_rounding(OffByAMillionth(), network)

    look()
    assert len(tried) >= 10


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    shift=st.sampled_from((0.0, 1e4, -1e4)),
    spread=st.sampled_from((0.0, 1e-8, 1.0, 1e4)),
    classes=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_huge_and_equal_logits_have_a_right_loss(
    shift: float, spread: float, classes: int, seed: int
) -> None:
    """cross_entropy of logits around +-1e4: as softmax of the logits less their shift."""
    rng = np.random.default_rng(seed)
    logits = shift + spread * np.round(rng.normal(size=(3, classes)), 3)
    y = rng.integers(0, classes, 3)
    near = logits - logits.max(axis=1, keepdims=True)
    right = float(np.mean(np.log(np.exp(near).sum(axis=1)) - near[np.arange(3), y]))
    spec = MLPSpec((classes, classes), bias=False, dtype="float64")
    params = [(np.eye(classes), None)]

    for name in NAMES:
        implementation = load(name)
        placed = implementation.params_from_numpy(spec, params, "cpu")
        batch = implementation.batch_from_numpy(spec, logits, y, "cpu")
        actual = float(implementation.loss(spec, placed, *batch))
        assert abs(actual - right) <= 1e-14 * (abs(right) + np.abs(logits).max()), name


def test_draws_reach_the_extremes() -> None:
    """One class, batch of one, wide, deep, zeros at a kink: each is among the draws."""
    seen: set[str] = set()

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(network=networks())
    def look(network: Any) -> None:
        spec, _, X, _ = network
        seen.update(
            name
            for name, there in {
                "one class": spec.layer_sizes[-1] == 1 and spec.loss == "cross_entropy",
                "batch of one": len(X) == 1,
                "wide": max(spec.layer_sizes) >= 60,
                "deep": len(spec.layer_sizes) >= 6,
                "zero at a kink": spec.activation == "relu" and not spec.bias and not X.any(),
                "subnormal": bool(((X != 0) & (np.abs(X) < 1e-307)).any()),
                "huge": bool((np.abs(X) >= 1e4).any()),
            }.items()
            if there
        )

    look()
    assert {
        "one class",
        "batch of one",
        "wide",
        "deep",
        "zero at a kink",
        "subnormal",
        "huge",
    } == seen
