"""`check_gradient`: anybody's gradient over nested arrays against its loss."""

from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from samegrad.implementations.checking.function_check import check_function, check_gradient
from samegrad.implementations.checking.notes import Note

A = np.random.default_rng(0).normal(size=(4, 3))


def loss(p: Any) -> Any:
    """A small smooth function of nested params."""
    return np.sum(np.tanh(A @ p["W"] + p["layers"][0]) ** 2)


def grad(p: Any) -> Any:
    """Its gradient by hand."""
    t = np.tanh(A @ p["W"] + p["layers"][0])
    d = 2 * t * (1 - t * t)
    return {"W": A.T @ d, "layers": [d.sum(axis=0), None]}


def params() -> Any:
    """A dict with a matrix and a list that holds an array and None."""
    return {"W": np.full((3, 2), 0.3), "layers": [np.array([0.1, -0.2]), None]}


def test_loss_of_data_and_flat_parameters_is_told_what_to_give() -> None:
    """With the call that does it, and not Python's own words about an argument."""

    def squares(x: Any, y: Any, *weights: Any) -> Any:
        return ((x @ weights[0] - y) ** 2).sum()

    def of_one(x: Any, y: Any, weights: Any) -> Any:
        return squares(x, y, *weights)

    for loss, call in ((squares, "squares(x, y, *p)"), (of_one, "of_one(x, y, p)")):
        with pytest.raises(TypeError, match="with params alone; give loss=lambda p: ") as raised:
            check_function(loss, lambda p: p, [np.ones((3, 2))])
        assert str(raised.value).endswith(call)


@pytest.mark.parametrize(
    ("method", "used", "bound"),
    [("auto", "complex", 1e-12), ("complex", "complex", 1e-12), ("central", "central", 1e-6)],
)
def test_right_gradient_agrees(method: str, used: str, bound: float) -> None:
    """By a complex step to 12 digits, by central differences to 6."""
    report = check_gradient(loss, grad, params(), method=method)

    assert report.agrees and used == report.method
    assert {bound} == {tensor.bound for tensor in report.tensors}
    assert ["['W']", "['layers'][0]"] == [tensor.name for tensor in report.tensors]
    assert "agrees" in str(report)


def test_right_gradient_agrees_with_torch_and_jax() -> None:
    """The user's own version of the loss."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")

    by_torch = check_gradient(
        loss,
        grad,
        params(),
        torch_loss=lambda p: (torch.tanh(torch.tensor(A) @ p["W"] + p["layers"][0]) ** 2).sum(),
    )
    by_jax = check_gradient(
        loss, grad, params(), jax_loss=lambda p: (jnp.tanh(A @ p["W"] + p["layers"][0]) ** 2).sum()
    )
    wrong = check_gradient(loss, grad, params(), jax_loss=lambda p: (A @ p["W"]).sum())

    assert by_torch.agrees and by_jax.agrees
    assert ("torch", "jax") == (by_torch.method, by_jax.method)
    assert not wrong.agrees and ["loss", "['W']", "['layers'][0]"] == [
        t.name for t in wrong.tensors if t.reason is not None
    ]


def test_another_version_of_the_loss_may_be_all_that_there_is() -> None:
    """loss=None with jax_loss; without either there is nothing to compare with."""
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")

    def other(p: Any) -> Any:
        return (jnp.tanh(A @ p["W"] + p["layers"][0]) ** 2).sum()

    assert check_gradient(None, grad, params(), jax_loss=other).agrees
    with pytest.raises(ValueError, match="give a loss, or torch_loss or jax_loss"):
        check_gradient(None, grad, params())


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda g: {**g, "W": g["W"] * 1.0001}, "['W']: error 0.0001"),
        (lambda g: {**g, "W": -g["W"]}, "['W']: error 2"),
        (lambda g: {**g, "W": g["W"].T}, "shape (2, 3), expected (3, 2)"),
        (lambda g: {**g, "W": g["W"] * np.nan}, "6 of 6 values not finite"),
        (lambda g: {**g, "W": g["W"] * 0}, "['W']: error 1"),
        (lambda g: {"W": g["W"]}, "expected a dict of ['W', 'layers'], got ['W']"),
        (lambda g: {**g, "layers": g["layers"][:1]}, "expected 2 entries, got 1"),
        (lambda g: {**g, "layers": [g["layers"][0], 0.0]}, "expected an array, got float"),
        (lambda g: None, "expected a dict"),
        (lambda g: {**g, "W": g["W"].astype(str)}, "expected real numbers"),
    ],
)
@pytest.mark.parametrize("method", ["auto", "central"])
def test_wrong_gradient_is_refused(fault: Any, says: str, method: str) -> None:
    """Each with its array and what is wrong with it."""
    report = check_gradient(loss, fault(grad(params())), params(), method=method)

    assert not report.agrees and "disagrees" == report.verdict
    assert says in report.reason


def test_loss_that_is_not_analytic_gets_central_differences() -> None:
    """Through abs a complex step is silently 0; auto finds out and does not use it."""
    report = check_gradient(
        lambda p: np.sum(np.abs(A @ p)), lambda p: A.T @ np.sign(A @ p), np.ones(3)
    )

    assert report.agrees and "central" == report.method
    assert not check_gradient(
        lambda p: np.sum(np.abs(A @ p)),
        lambda p: A.T @ np.sign(A @ p),
        np.ones(3),
        method="complex",
    ).agrees


@pytest.mark.parametrize("error", [TypeError, ValueError, RuntimeError])
def test_loss_that_refuses_complex_numbers_gets_central_differences(error: Any) -> None:
    """As NumPy's and torch's functions do, each with an exception of its own."""

    def real(p: Any) -> Any:
        if np.iscomplexobj(p):
            raise error("real numbers only")
        return np.sum(p**2)

    report = check_gradient(real, lambda p: 2 * p, np.ones(3))

    assert report.agrees and "central" == report.method


def test_kink_is_left_undecided_and_said() -> None:
    """At 0 the loss has no slope; the other entries are checked; all undecided does not pass."""

    def relu(x: Any) -> Any:
        return np.sum(np.maximum(x, 0))

    mixed = check_gradient(relu, np.array([1.0, 0.0, 0.0]), np.array([1.0, -2.0, 0.0]))
    only = check_gradient(relu, np.array([0.0]), np.array([0.0]))

    assert mixed.agrees and "cannot be measured" in mixed.remarks[0]
    assert "not decided" in str(mixed)
    assert not only.agrees and "no slope could be trusted" in only.reason
    assert ("agrees", "undecided") == (mixed.verdict, only.verdict)
    assert str(only).startswith("gradient against central: UNDECIDED")


def test_kink_at_the_point_is_judged_at_a_nearby_one_where_the_gradient_is_a_function() -> None:
    """Right, it agrees with a note; wrong, it is seen although its own point decides nothing."""

    def relu(x: Any) -> Any:
        return np.sum(np.maximum(x, 0))

    right = check_gradient(relu, lambda x: (x > 0) * 1.0, np.zeros(3))
    wrong = check_gradient(relu, lambda x: (x > 0) * 2.0, np.zeros(3))

    assert (True, ["moved"]) == (right.agrees, [note.code for note in right.notes])
    assert wrong.disagrees


def test_gradient_that_overflows_at_a_drawn_point_alone_is_not_wrong() -> None:
    """The user's own point has a kink, which is why another was drawn."""
    given = np.array([0.0, 1.0])

    def sign(p: Any) -> Any:
        return np.sign(p) if (p == 0).any() else np.full(2, np.inf)

    report = check_function(lambda p: np.abs(p).sum(), sign, given)

    assert not report.disagrees
    assert check_function(lambda p: np.abs(p).sum(), sign, given + 1).disagrees


def test_large_array_is_checked_by_samples_and_directions() -> None:
    """A fault in one entry of 10,000 shows along the random directions."""
    x = np.random.default_rng(0).normal(size=(100, 100))

    def wrong(x: Any) -> Any:
        g = 3 * x * x
        g[17, 3] += 1.0
        return g

    assert check_gradient(lambda x: np.sum(x**3), lambda x: 3 * x * x, x).agrees
    assert not check_gradient(lambda x: np.sum(x**3), wrong, x).agrees


def test_plain_numbers_and_float32_are_params_too() -> None:
    """A float, and an array of fewer digits with its wider bound."""
    assert check_gradient(lambda x: x**2, lambda x: 2 * x, 3.0).agrees
    single = np.ones(3, np.float32)
    report = check_gradient(lambda x: np.sum(x**2), lambda x: 2 * x, single)
    assert report.agrees and 1e-5 == report.tensors[0].bound


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "method 'magic' is not known; accepted: auto, complex, central"),
        ({"params": {"W": np.array(["a"])}}, "expected real numbers"),
        ({"params": []}, "params hold no array"),
        ({"tolerance": float("inf")}, "tolerance inf is not accepted; give a number between 0"),
        ({"tolerance": float("nan")}, "tolerance nan is not accepted"),
        ({"tolerance": True}, "tolerance True is not accepted"),
        ({"tolerance": 10**400}, "tolerance 1000"),
        ({"tolerance": 1.5, "jax_loss": loss}, "tolerance 1.5 is not accepted"),
        ({"loss": lambda p: np.ones(3)}, "the loss gave float64 of shape (3,), expected a number"),
        ({"loss": lambda p: float("nan")}, "the loss is nan; nothing can be compared"),
        ({"torch_loss": loss, "jax_loss": loss}, "give torch_loss or jax_loss, not both"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    """Before anything is compared."""
    arguments: dict[str, Any] = {"loss": loss, "grad": lambda p: p, "params": params()} | changes

    with pytest.raises(ValueError) as caught:
        check_gradient(
            arguments.pop("loss"), arguments.pop("grad"), arguments.pop("params"), **arguments
        )

    assert message in str(caught.value)


def test_other_version_of_the_loss_that_is_not_finite_decides_nothing() -> None:
    """NaN of the user's JAX version is no disagreement of the gradient."""
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")

    report = check_gradient(
        loss, grad, params(), jax_loss=lambda p: jnp.nan * (A @ p["W"] + p["layers"][0]).sum()
    )

    assert (False, "undecided") == (report.agrees, report.verdict)
    assert "loss: the reference is not finite here" in report.reason


class Layer(NamedTuple):
    """A layer by name."""

    W: Any
    b: Any


@dataclass(frozen=True)
class Frozen:
    """The same, frozen."""

    W: Any
    b: Any


class Pair(tuple[Any, Any]):
    """The same with a constructor of its own."""

    __slots__ = ()

    def __new__(cls, W: Any, b: Any) -> "Pair":
        """Of two."""
        return super().__new__(cls, (W, b))


def attributes(W: Any, b: Any) -> Any:
    """A dict that is none of Python's own."""
    made: Any = defaultdict(list)
    made.update(W=W, b=b)
    return made


@pytest.mark.parametrize(
    "make",
    [Layer, Frozen, Pair, attributes, lambda W, b: OrderedDict(W=W, b=b)],
    ids=["named tuple", "dataclass", "tuple of its own", "defaultdict", "OrderedDict"],
)
def test_layers_of_any_kind_are_params_and_gradient(make: Any) -> None:
    """The loss gets the kind that was given; a fault in one of them is found."""
    given = [make(np.full((3, 2), 0.3), np.array([0.1, -0.2])), make(np.ones((2, 1)), None)]

    def parts(layer: Any) -> Any:
        assert type(layer) is type(given[0])
        if isinstance(layer, dict):
            return layer["W"], layer["b"]
        return layer if isinstance(layer, tuple) else (layer.W, layer.b)

    def loss(p: Any) -> Any:
        (W, b), (V, _) = map(parts, p)
        return np.sum(np.tanh(A @ W + b) @ V)

    def grad(p: Any, scale: float = 1.0) -> Any:
        (W, b), (V, _) = map(parts, p)
        t = np.tanh(A @ W + b)
        d = (1 - t * t) * V[:, 0]
        return [make(A.T @ d, scale * d.sum(axis=0)), make(t.sum(axis=0)[:, None], None)]

    assert check_gradient(loss, grad, given).agrees
    wrong = check_gradient(loss, lambda p: grad(p, 1.01), given)
    assert wrong.disagrees and "error 0.01" in wrong.reason
    missing = check_gradient(loss, lambda p: [grad(p)[0], 1.0], given)
    assert missing.disagrees and "params[1]: expected" in missing.reason


def test_loss_of_one_entry_is_the_number_in_it_and_that_is_noted() -> None:
    """By every method; two entries are no number."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")
    x, right = np.array([1.0, 2.0]), (lambda x: 2 * x)

    checks = [
        *(
            check_gradient(lambda x: np.sum(x**2, keepdims=True), right, x, method=method)
            for method in ("auto", "complex", "central")
        ),
        check_gradient(None, right, x, torch_loss=lambda x: (x**2).sum().reshape(1)),
        check_gradient(None, right, x, jax_loss=lambda x: jnp.sum(x**2).reshape(1)),
    ]

    assert torch and all(check.agrees for check in checks)
    note = "loss: an array of shape (1,) was taken for the number in it"
    assert {(Note("one-number", note),)} == {check.notes for check in checks}
    assert all(f"note: {note}" in str(check) for check in checks)
    with pytest.raises(ValueError, match=r"of shape \(2,\), expected a number"):
        check_gradient(lambda x: x**2, right, x)


@pytest.mark.parametrize("share", [1e-3, 1e-4, 1e-5])
def test_small_term_that_is_not_analytic_is_seen(share: float) -> None:
    """A complex step is blind for abs: a difference must confirm it as far as it can."""
    rng = np.random.default_rng(0)
    A, w = rng.normal(size=(8, 5)), rng.normal(size=5)

    def loss(p: Any) -> Any:
        return np.sum((A @ p) ** 2) + 8 * share * np.sum(np.abs(p))

    right = check_gradient(loss, lambda p: 2 * A.T @ (A @ p) + 8 * share * np.sign(p), w)
    forgotten = check_gradient(loss, lambda p: 2 * A.T @ (A @ p), w)

    assert "central" == right.method and right.agrees, str(right)
    assert forgotten.disagrees, str(forgotten)


@pytest.mark.parametrize("seed", range(5))
def test_rounding_of_a_large_loss_is_no_fault(seed: int) -> None:
    """Prices of houses: slopes have few digits, which accuse nobody; a wrong factor still shows."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(50, 4)), 3e5 + 1e5 * rng.normal(size=50)
    params = {"w": rng.normal(size=4), "b": 0.0}

    def loss(p: Any) -> Any:
        return np.mean(np.abs(X @ p["w"] + p["b"] - y))

    def grad(p: Any, factor: float = 1.0) -> Any:
        s = factor * np.sign(X @ p["w"] + p["b"] - y) / 50
        return {"w": X.T @ s, "b": s.sum()}

    assert not check_gradient(loss, grad, params).disagrees
    assert check_gradient(loss, lambda p: grad(p, 1.01), params).disagrees


def test_empty_array_and_a_loss_that_asserts_its_dtype_are_checked() -> None:
    """An array without entries has nothing wrong; any exception means: not on complex numbers."""

    def loss(p: Any) -> Any:
        assert p["w"].dtype == np.float64
        return np.sum(p["w"] ** 2)

    params = {"w": np.ones(3), "none": np.zeros((0, 3))}

    checked = check_gradient(loss, lambda p: {"w": 2 * p["w"], "none": p["none"]}, params)

    assert checked.agrees and "central" == checked.method


def test_first_name_is_an_alias() -> None:
    """`check_gradient` is `check_function`."""
    assert check_gradient is check_function


def test_torch_loss_of_arrays_or_tensors_is_checked() -> None:
    """Tensors go in and come out where params are tensors, or where the loss takes nothing else."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, w = np.random.default_rng(0).normal(size=(6, 3)), np.ones(3)

    def loss(p: Any) -> Any:
        return torch.tanh(torch.tensor(X) @ p["w"]).sum()

    def grad(p: Any, factor: float = 1.0) -> Any:
        h = torch.tanh(torch.tensor(X) @ p["w"])
        return {"w": factor * torch.tensor(X).T @ (1 - h * h)}

    for params in ({"w": w}, {"w": torch.tensor(w)}):
        assert check_function(loss, grad, params).agrees
        assert check_function(loss, lambda p: grad(p, 1.01), params).disagrees


def test_float32_loss_is_judged_by_its_digits() -> None:
    """A note says so; a wrong factor still shows."""
    A = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)

    def loss(w: Any) -> Any:
        return np.sum(np.tanh(A @ w.astype(np.float32)) ** 2)

    def grad(w: Any) -> Any:
        t = np.tanh(A @ w)
        return A.T @ (2 * t * (1 - t * t))

    right = check_function(loss, grad, np.ones(3) / 3)

    assert (True, ["few-digits"]) == (right.agrees, [note.code for note in right.notes])
    assert check_function(loss, lambda w: 1.01 * grad(w), np.ones(3) / 3).disagrees


def test_analytic_float32_loss_is_not_judged_to_twelve_digits() -> None:
    """A complex step through complex64, as JAX's default, has no more than seven."""
    A = np.random.default_rng(0).normal(size=(6, 3))

    def loss(w: Any) -> Any:
        single = w.astype(np.complex64 if np.iscomplexobj(w) else np.float32)
        return np.sum(np.tanh(A.astype(np.float32) @ single) ** 2)

    def grad(w: Any) -> Any:
        t = np.tanh(A @ w)
        return A.T @ (2 * t * (1 - t * t))

    report = check_function(loss, grad, np.ones(3) / 3)

    assert (True, "central") == (report.agrees, report.method), str(report)
