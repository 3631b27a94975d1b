"""The comparison rejects what it must: a check that cannot fail proves nothing."""

from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking import comparison
from samegrad.implementations.checking.comparison import Comparison, compare, in_norm
from samegrad.implementations.checking.reference import Expected, expected, updated
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.networks import check, problem

SPEC = MLPSpec((5, 7, 3), dtype="float64")


def grads() -> Any:
    """(reference gradient, its magnitudes, an independent copy)."""
    right = expected(SPEC, *problem(SPEC, 6))
    return right.grads, right.magnitudes, [(W.copy(), b.copy()) for W, b in right.grads]


def verdict(actual: Any, dtype: str = "float64") -> Comparison:
    """Compare with the reference gradient."""
    reference, magnitudes, _ = grads()
    return compare(reference, actual, dtype, name="d{}", magnitudes=magnitudes)


def test_comparison_accepts_the_reference_itself() -> None:
    """With an error of exactly 0 in each of the four tensors."""
    comparison = verdict(grads()[2])

    assert comparison.agrees
    assert ["dW1", "db1", "dW2", "db2"] == [t.name for t in comparison.tensors]
    assert {0.0} == {t.error for t in comparison.tensors}


def nan(grads: Any) -> Any:
    grads[0][0][0, 0] = np.nan
    return grads


def infinite(grads: Any) -> Any:
    grads[1][1][0] = np.inf
    return grads


def zeros(grads: Any) -> Any:
    return [(W * 0, b * 0) for W, b in grads]


def wrong_by_a_thousandth(grads: Any) -> Any:
    grads[0] = (grads[0][0] * 1.001, grads[0][1])
    return grads


def small_tensor_with_wrong_sign(grads: Any) -> Any:
    grads[1] = (grads[1][0], -grads[1][1])
    return grads


def missing_layer(grads: Any) -> Any:
    return grads[1:]


def missing_bias(grads: Any) -> Any:
    return [(W, None) for W, _ in grads]


def not_a_pair(grads: Any) -> Any:
    return [W for W, _ in grads]


def not_a_list(grads: Any) -> Any:
    return "exception swallowed"


def nothing(grads: Any) -> Any:
    return None


def transposed(grads: Any) -> Any:
    return [(W.T, b) for W, b in grads]


def float32(grads: Any) -> Any:
    return [(W.astype(np.float32), b.astype(np.float32)) for W, b in grads]


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        (nan, "dW1: 1 of 35 values not finite"),
        (infinite, "db2: 1 of 3 values not finite"),
        (zeros, "dW1: error 1 "),
        (wrong_by_a_thousandth, "dW1: error 0.001 "),
        (small_tensor_with_wrong_sign, "db2: error 2 "),
        (missing_layer, "expected 2 layers, got 1"),
        (missing_bias, "db1: expected ndarray, got None"),
        (not_a_pair, "expected a pair"),
        (not_a_list, "expected a list of 2 pairs"),
        (nothing, "got None"),
        (transposed, "dW1: shape (7, 5), expected (5, 7)"),
        (float32, "dW1: dtype float32, expected float64"),
    ],
    ids=lambda v: v.__name__ if callable(v) else "",
)
def test_comparison_rejects(fault: Any, names: str) -> None:
    """Each planted fault is a disagreement, and the reason names it."""
    comparison = verdict(fault(grads()[2]))

    assert not comparison.agrees
    assert names in comparison.reason


def test_comparison_decides_nothing_when_the_reference_is_not_finite() -> None:
    """NaN on the other side is no agreement, even with NaN on both, and no disagreement."""
    for value in (1.0, np.nan):
        undecided = compare(np.array([np.nan]), np.array([value]), "float64", name="x")
        assert (False, False) == (undecided.agrees, undecided.disagrees)
        assert "x: the reference is not finite here; nothing can be said" == undecided.reason
        wrong = compare(np.array([1.0]), np.array([2.0]), "float64", name="y")
        both = Comparison(undecided.tensors + wrong.tensors)
        assert both.disagrees and both.reason.startswith("y: error 1 ")


def test_comparison_rejects_wrong_sign_of_a_small_gradient() -> None:
    """An entry 1e-14 of the largest, of the wrong sign, is within the tensor's bound alone."""
    reference = np.array([1.0, 1e-14])
    wrong = np.array([1.0, -1e-14])

    assert compare(reference, wrong, "float64", name="x").agrees
    comparison = compare(reference, wrong, "float64", name="x", magnitudes=np.array([1.0, 2e-14]))
    assert not comparison.agrees
    assert "of the terms that it sums" in comparison.reason


def test_comparison_of_nothing_is_no_agreement() -> None:
    """An empty comparison does not pass."""
    assert not Comparison(()).agrees
    assert "nothing was compared" == Comparison(()).reason


def test_check_rejects_an_implementation_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception during validation never reads as valid, wherever it comes from."""
    numpy_mlp: Any = load("numpy")
    for function in ("forward", "loss", "loss_and_grad", "train_step", "to_numpy"):
        with monkeypatch.context() as patch:
            patch.setattr(numpy_mlp, function, lambda *args: 1 / 0)
            comparison = check(numpy_mlp, SPEC, *problem(SPEC, 4), "cpu")
        assert not comparison.agrees
        assert "it raises ZeroDivisionError" in comparison.reason


def test_check_rejects_a_step_that_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Params that come back unchanged are no step."""
    numpy_mlp: Any = load("numpy")
    monkeypatch.setattr(
        numpy_mlp,
        "train_step",
        lambda spec, p, state, X, y, rate: (p, state, numpy_mlp.loss(spec, p, X, y)),
    )

    comparison = check(numpy_mlp, SPEC, *problem(SPEC, 4), "cpu")

    assert "after a step" in comparison.reason


def test_check_rejects_a_step_whose_gradient_is_wrong_by_a_thousandth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In float32 too, where the weights would hide it at an everyday learning rate."""
    numpy_mlp: Any = load("numpy")
    spec = MLPSpec((5, 7, 3))
    right = numpy_mlp.train_step
    monkeypatch.setattr(numpy_mlp, "train_step", lambda *a: right(*a[:-1], a[-1] * 1.001))

    comparison = check(numpy_mlp, spec, *problem(spec, 4), "cpu")

    assert "after a step" in comparison.reason


def test_declared_accuracy_widens_the_bound_of_that_implementation_only() -> None:
    """And the check carries the bound that was used."""
    wrong = np.array([1.0 + 1e-7])

    declared = compare(np.array([1.0]), wrong, "float64", name="x", accuracy={"float64": 1e-6})

    assert declared.agrees and declared.tensors[0].bound == 1e-6
    assert not compare(np.array([1.0]), wrong, "float64", name="x").agrees


def test_floor_keeps_rounding_of_subnormal_numbers_from_failing() -> None:
    """Below the floor the error counts relative to the floor, which is far below any value."""
    tiny = np.array([np.finfo(np.float64).smallest_subnormal * 3])

    assert compare(tiny, tiny * 2, "float64", name="x").agrees
    assert comparison.floor("float64") < 1e-290


@pytest.mark.parametrize(
    ("scale", "noise", "agrees"),
    [
        (1.0, 0.05, True),
        (1.0, 0.5, False),
        (-1.0, 0.0, False),
        (0.0, 0.0, False),
        (2.0, 0.0, False),
    ],
)
def test_fewer_digits_are_compared_in_the_norm(scale: float, noise: float, agrees: bool) -> None:
    """Rounding at kinks passes; a wrong sign, zeros, twice the gradient and noise do not."""
    rng = np.random.default_rng(0)
    reference = [(rng.normal(size=(5, 4)), rng.normal(size=4))]
    before = [(np.ones((5, 4)), np.ones(4))]
    results = [
        tuple(
            (b + scale * (r - b) + noise * np.linalg.norm(r - b) / r.size**0.5).astype(np.float32)
            for r, b in zip(pair, old, strict=True)
        )
        for pair, old in zip(reference, before, strict=True)
    ]

    verdict = in_norm(reference, results, before, "float32", "bfloat16", "{} after a step")

    assert agrees == verdict.agrees
    assert ["W1 after a step", "b1 after a step"] == [t.name for t in verdict.tensors]


def test_norm_forgives_neither_shape_nor_nan() -> None:
    """Nor another dtype."""
    reference = [(np.ones((2, 3)), None)]
    for wrong in (
        np.ones((3, 2), np.float32),
        np.full((2, 3), np.nan, np.float32),
        np.ones((2, 3)),
    ):
        zeros = [(np.zeros((2, 3)), None)]
        assert not in_norm(reference, [(wrong, None)], zeros, "float32", "tf32", "d{}").agrees


@pytest.mark.parametrize(("share", "agrees"), [(0.9, True), (1.1, False)])
def test_bounds_are_those_of_the_documents(share: float, agrees: bool) -> None:
    """1e-5 and 1e-12 of the largest entry; 1e-11 of the terms of each in float64."""
    for dtype, limit in (("float32", 1e-5), ("float64", 1e-12)):
        actual = np.array([1 + share * limit, 0.5], dtype)
        assert agrees == compare(np.array([1.0, 0.5]), actual, dtype, name="x").agrees
    small = np.array([1.0, share * 1e-11 * 1e-3])
    terms = np.array([1.0, 1e-3])
    held = compare(np.array([1.0, 0.0]), small, "float64", name="x", magnitudes=terms)
    assert agrees == held.agrees


def test_bounds_of_fewer_digits_are_derived_as_their_comments_say() -> None:
    """From the rounding of a product, 2^-11 and 2^-9."""
    for name, rounding in (("tf32", 2**-11), ("bfloat16", 2**-9)):
        assert 25 * rounding == pytest.approx(comparison.PRECISIONS[name], rel=0.05)
        assert 3 * (4 * rounding) ** 0.5 == pytest.approx(comparison.IN_NORM[name], rel=0.05)


def test_change_is_compared_and_not_what_it_was_added_to() -> None:
    """A step that changes nothing of large params is no step of a small gradient."""
    before, after = [(np.full((5, 4), 100.0), None)], [(np.full((5, 4), 101.0), None)]
    nothing = [(np.full((5, 4), 100.0, np.float32), None)]

    assert not in_norm(after, nothing, before, "float32", "bfloat16", "{}").agrees


def test_more_digits_show_in_many_entries_that_are_all_correctly_rounded() -> None:
    """From 98 % of at least 200; what a step left as it was does not count."""
    exact = np.random.default_rng(0).normal(size=1000)
    rounded = exact.astype(np.float32)
    some = rounded.copy()
    some[::30] = np.nextafter(some[::30], np.float32(9))  # 96.6 % are
    zeros, few = np.zeros(1000), slice(150)

    assert 1.0 == comparison.in_more_digits(exact, rounded, zeros)
    assert comparison.in_more_digits(exact, some, zeros) is None
    assert comparison.in_more_digits(exact[few], rounded[few], zeros[few]) is None
    assert comparison.in_more_digits(exact, exact, zeros) is None  # float64 is said to be
    unchanged = rounded.copy()
    unchanged[few] = 0
    assert comparison.in_more_digits(exact, rounded, unchanged) is None


def test_tolerance_is_what_is_taken_off_an_error() -> None:
    """Once."""
    for off, agrees in ((0.09, True), (0.15, False)):
        result = np.array([1.0 + off, 1.0])
        tolerance = np.array([0.1, 0.1])
        verdict = compare(np.ones(2), result, "float64", name="x", tolerance=tolerance)
        assert agrees == verdict.agrees


@pytest.mark.parametrize(("optimizer", "forgiven"), [("sgd", False), ("adagrad", True)])
def test_step_may_turn_round_only_where_the_rule_divides(optimizer: Any, forgiven: bool) -> None:
    """An entry of the gradient within its bound of 0; by sgd an error stays what it is."""
    spec = MLPSpec((2, 1), loss="mse", optimizer=optimizer, dtype="float64")
    params: Any = [(np.full((2, 1), 0.1), np.array([0.1]))]
    right: Any = [(np.array([[1.0], [4e-13]]), np.array([1.0]))]
    near: Any = [(np.array([[1.0], [-4e-13]]), np.array([1.0]))]
    far: Any = [(np.array([[1.0 + 1.6e-12], [4e-13]]), np.array([1.0]))]
    after = [updated(spec, params, [grads], 4.0) for grads in (right, near, far)]
    reference = Expected(np.zeros((1, 1)), 1.0, right, None, 4.0, after[0])

    turned, off = (comparison.judge(spec, reference, {"updated": each}) for each in after[1:])

    assert turned.agrees  # by sgd it hardly moves
    assert (off.agrees, forgiven) in ((True, True), (False, False))


def test_declared_accuracy_is_of_gradient_and_step_alone() -> None:
    """Outputs and losses of an inexact implementation are exact."""
    right = expected(SPEC, *problem(SPEC, 6))
    results = {"outputs": right.outputs * (1 + 1e-8), "loss": right.loss * (1 + 1e-8)}
    grads = [(W * (1 + 1e-8), b * (1 + 1e-8)) for W, b in right.grads]

    for name, result in results.items():
        near = {name: np.asarray(result)}
        assert comparison.judge(SPEC, right, near, {"float64": 1e-6}).disagrees
    assert comparison.judge(SPEC, right, {"grads": grads}, {"float64": 1e-6}).agrees


def test_precision_shows_in_errors_above_those_of_float32() -> None:
    """Products that were IEEE float32 after all stay below 1e-5."""
    errors = [comparison.TensorCheck("x", error, 1.0, None) for error in (1e-6, 2e-5)]

    assert [False, True, False] == [comparison.rounds(e) for e in (errors[:1], errors, [])]


def test_one_number_in_an_array_is_the_number_and_that_is_noted() -> None:
    """Of shape (1,) where a number belongs, and nowhere else."""
    one = compare(np.float64(2.0), np.array([2.0]), "float64", name="loss")
    wrong = compare(np.float64(2.0), np.array([3.0]), "float64", name="loss")
    two = compare(np.float64(2.0), np.array([2.0, 2.0]), "float64", name="loss")
    array = compare(np.array([2.0]), np.array([2.0]), "float64", name="db1")

    assert one.agrees and one.tensors[0].note.startswith("loss: an array of shape (1,)")
    assert wrong.disagrees and two.disagrees
    assert "" == array.tensors[0].note
