"""A wrong gradient is told from none: by names, places, and by what backward() computes."""

import math
from functools import reduce
from operator import getitem
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking.objects import names
from samegrad.implementations.checking.objects.analogy import carried_over
from samegrad.implementations.checking.objects.check import check
from samegrad.implementations.state.leaves import item, leaf_of

rng = np.random.default_rng(3)
X, Y = rng.normal(size=(7, 4)), rng.normal(size=(7, 3))


class Layer:
    """Keeps its gradients under the parameters' names with something before them."""

    def __init__(self, n: int, m: int, before: str, fault: float = 0.0) -> None:
        self.W, self.b = rng.normal(size=(n, m)) * 0.6, rng.normal(size=m) * 0.1
        self.before, self.fault, self.frozen = before, fault, False

    def forward(self, x: Any) -> Any:
        """Tanh."""
        self.x, self.y = x, np.tanh(x @ self.W + self.b)
        return self.y

    def backward(self, d: Any) -> Any:
        """The gradient of the inputs."""
        d = d * (1 - self.y**2 * (1 + self.fault))
        if not self.frozen:
            setattr(self, f"{self.before}W", self.x.T @ d)
            setattr(self, f"{self.before}b", d.sum(0))
        return d @ self.W.T


class Stack:
    """Layers under half the squared error."""

    def __init__(self, before: str, faults: tuple[float, ...] = (0.0, 0.0)) -> None:
        self.layers = [Layer(4, 4, before, faults[0]), Layer(4, 3, before, faults[1])]

    def loss(self, x: Any, y: Any) -> float:
        """Mean over examples."""
        for layer in self.layers:
            x = layer.forward(x)
        self.error = (x - y) / len(x)
        return float(((x - y) ** 2).sum() / len(x) / 2)

    def back(self, x: Any, y: Any) -> None:
        """Kept in the layers."""
        self.loss(x, y)
        d = self.error
        for layer in reversed(self.layers):
            d = layer.backward(d)


def judged(net: Any, loss: Any, backward: Any, data: Any = (X, Y)) -> tuple[str, list[str]]:
    """(verdict, codes of notes)."""
    report = check(net, loss, backward, data)
    return report.verdict, [note.code for note in report.notes]


@pytest.mark.parametrize("before", ["g", "zz_"])
def test_wrong_gradient_lies_where_another_layer_has_a_right_one(before: str) -> None:
    """Whatever the name: `layers[1].zz_W` is right, so `layers[0].zz_W` is meant to be."""
    right, wrong = Stack(before), Stack(before, (0.3, 0.0))

    assert ("agrees", []) == judged(right, right.loss, right.back)
    assert "disagrees" == judged(wrong, wrong.loss, wrong.back)[0]


@pytest.mark.parametrize("before", ["g", "zz_"])
def test_buffer_that_backward_leaves_alone_is_no_gradient(before: str) -> None:
    """Of a frozen layer: its gradient was not computed, so none is wrong."""
    net = Stack(before)
    first = net.layers[0]
    first.frozen = True
    setattr(first, f"{before}W", np.zeros((4, 4)))
    setattr(first, f"{before}b", np.zeros(4))

    assert ("agrees", ["no-gradient"] * 2) == judged(net, net.loss, net.back)


@pytest.mark.parametrize("fault", [0.0, 0.3])
def test_sums_that_a_step_clears_are_no_gradients(fault: float) -> None:
    """They are zero when it is over; what it took off the weights is judged."""
    net = Stack("d", (fault, 0.0))

    def step(x: Any, y: Any) -> None:
        net.back(x, y)
        for layer in net.layers:
            for name in ("W", "b"):
                held = vars(layer)
                held[name] -= 0.1 * held[f"d{name}"]
                held[f"d{name}"] = np.zeros(held[name].shape)

    assert judged(net, net.loss, step)[0] == ("disagrees" if fault else "agrees")


@pytest.mark.parametrize("times", [1.0, 2.0])
def test_step_that_puts_all_weights_into_a_new_dict_is_an_update(times: float) -> None:
    """What lies beside it by their names, a velocity, is judged by nobody."""
    held = {"W": rng.normal(size=(4, 3)), "b": rng.normal(size=3)}
    net: Any = SimpleNamespace(weights=held, speed={k: np.zeros(v.shape) for k, v in held.items()})

    def error() -> Any:
        return X @ net.weights["W"] + net.weights["b"] - Y

    def step() -> None:
        d = error()
        grads = {"W": X.T @ d * times, "b": d.sum(axis=0)}
        net.speed = {k: 0.9 * net.speed[k] + g for k, g in grads.items()}
        net.weights = {k: w - 0.1 * net.speed[k] for k, w in net.weights.items()}

    verdict, _ = judged(net, lambda: float((error() ** 2).sum() / 2), step, ())

    assert verdict == ("agrees" if times == 1 else "disagrees")
    assert net.weights is held


def test_zeros_beside_the_gradient_of_the_same_layer_s_weights_are_wrong() -> None:
    """Who forgets the bias: `db` stays as the constructor made it, `dW` does not."""
    net = Stack("d")
    back = net.layers[0].backward

    def without_bias(d: Any) -> Any:
        returned = back(d)
        net.layers[0].__dict__["db"] = np.zeros(4)
        return returned

    net.layers[0].backward = without_bias  # type: ignore[method-assign] # a planted fault

    report = check(net, net.loss, net.back, (X, Y))

    assert "disagrees" == report.verdict
    assert "net.layers[0].db is not the gradient of net.layers[0].b" in report.reason


def test_zeros_that_are_never_written_are_so_too() -> None:
    """Made once, in the constructor."""
    net: Any = SimpleNamespace(W=rng.normal(size=(4, 3)), b=np.zeros(3), db=np.zeros(3))

    def backward(x: Any, y: Any) -> None:
        net.dW = x.T @ (x @ net.W + net.b - y)

    report = check(net, lambda x, y: ((x @ net.W + net.b - y) ** 2).sum() / 2, backward, (X, Y))

    assert "disagrees" == report.verdict and "net.db is not the gradient" in report.reason


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("net.layers[0].W", "net.layers[0].b", True),
        ("net.weights1", "net.bias1", True),
        ("net['W1']", "net['b1']", True),
        ("net.layers[0].W", "net.layers[1].b", False),
        ("net['W1']", "net['b2']", False),
        ("net.W1", "net.W2", False),
        ("net.gamma", "net.beta", False),
    ],
)
def test_weights_and_biases_of_a_layer_are_told_by_their_names(
    one: str, other: str, same: bool
) -> None:
    """In one object, or by one number."""
    assert same == names.of_one_layer(one, other) == names.of_one_layer(other, one)


@pytest.mark.parametrize("faults", [(0.0, 0.0), (0.2, 0.3)])
def test_list_in_the_order_of_all_parameters_is_meant_for_their_gradients(
    faults: tuple[float, float],
) -> None:
    """Also where not one of them is right."""
    net: Any = SimpleNamespace(net=Stack("g", faults))

    def backward(x: Any, y: Any) -> None:
        net.net.back(x, y)
        net.found = [held for layer in net.net.layers for held in (layer.gW, layer.gb)]
        for layer in net.net.layers:
            del layer.gW, layer.gb

    assert judged(net, net.net.loss, backward)[0] == ("disagrees" if any(faults) else "agrees")


def test_result_as_long_as_all_parameters_is_no_gradient() -> None:
    """An output that is kept, of 12 examples, beside 12 weights whose gradients are returned."""
    net: Any = SimpleNamespace(W=rng.normal(size=(2, 3)), b=np.zeros(3), V=rng.normal(size=(3, 1)))
    x, y = rng.normal(size=(12, 2)), rng.normal(size=(12, 1))

    def loss() -> float:
        net.h = np.tanh(x @ net.W + net.b)
        net.out = net.h @ net.V
        return float(((net.out - y) ** 2).mean())

    def backward() -> Any:
        loss()
        d = 2 * (net.out - y) / 12
        z = d @ net.V.T * (1 - net.h**2)
        return x.T @ z, z.sum(0), net.h.T @ d

    assert ("agrees", []) == judged(net, loss, backward, (x, y))


def test_error_that_is_kept_is_no_gradient_of_a_bias() -> None:
    """It is proportional to it; the bias is not trained."""
    net: Any = SimpleNamespace(W=rng.normal(size=(4, 3)), b=np.zeros(3))

    def backward() -> Any:
        net.e = X[0] @ net.W + net.b - Y[0]
        return {"W": np.outer(X[0], 2 * net.e)}

    found = judged(net, lambda: float(((X[0] @ net.W + net.b - Y[0]) ** 2).sum()), backward)

    assert ("agrees", ["no-gradient"]) == found


@pytest.mark.parametrize("transposed", [True, False])
def test_closures_are_told_apart(transposed: bool) -> None:
    """Each has a `W`, and a `store` with its gradient; square weights hide a lost transpose."""

    def dense() -> Any:
        W, store = rng.normal(size=(4, 4)), {}

        def forward(x: Any) -> Any:
            def back(d: Any) -> Any:
                store["w"] = x.T @ d
                return d @ (W.T if transposed else W)

            return x @ W, back

        return forward

    first, second = dense(), dense()
    t = rng.normal(size=(7, 4))

    def net(x: Any) -> Any:
        h, back = first(x)
        out, after = second(np.tanh(h))
        return out, lambda d: back(after(d) * (1 - np.tanh(h) ** 2))

    def backward() -> None:
        out, back = net(X)
        back(out - t)

    found = judged(net, lambda: float(((net(X)[0] - t) ** 2).sum() / 2), backward, (X, t))

    assert found[0] == ("agrees" if transposed else "disagrees")


def test_targets_that_add_up_to_1_still_do_in_other_data() -> None:
    """p - q is the gradient for these only; labels that are remembered are a fault."""
    net: Any = SimpleNamespace(W=rng.normal(size=(4, 3)), q=None)
    q = rng.dirichlet([1, 1, 1], 7)

    def loss(x: Any, q: Any) -> float:
        z = x @ net.W
        return float(-np.mean(np.sum(q * (z - np.log(np.exp(z).sum(1, keepdims=True))), 1)))

    def backward(x: Any, q: Any) -> Any:
        p = np.exp(x @ net.W)
        return x.T @ (p / p.sum(1, keepdims=True) - (q if net.q is None else net.q)) / 7

    assert "agrees" == judged(net, loss, backward, (X, q))[0]
    net.q = q.copy()
    assert "disagrees" == judged(net, loss, backward, (X, q))[0]


def test_constant_of_the_loss_is_no_rate() -> None:
    """An update of a bias that is 5 times too large is not excused by 0.5 in the loss."""
    net: Any = SimpleNamespace(W=rng.normal(size=(4, 3)), b=np.zeros(3))

    def backward(x: Any, y: Any, times: float = 5) -> None:
        d = x @ net.W + net.b - y
        net.W -= 0.1 * x.T @ d
        net.b -= 0.1 * times * d.sum(0)

    report = check(
        net, lambda x, y: 0.5 * float(((x @ net.W + net.b - y) ** 2).sum()), backward, (X, Y)
    )

    assert "disagrees" == report.verdict
    assert report.matches[0].error is not None and report.matches[0].error < 1e-6


@pytest.mark.quick
@pytest.mark.parametrize(
    ("parameter", "gradient", "other", "expected"),
    [
        ("net.layers[2].W", "net.layers[2].gW", "net.layers[0].W", "net layers 0 gW"),
        ("net.layers[2].W", "net.layers[2].gW", "net.layers[2].b", "net layers 2 gb"),
        ("net.W[1]", "net.foo[1]", "net.W[0]", "net foo 0"),
        ("net.W", "net.foo", "net.b", None),
        ("net.W1", "returned[0]", "net.W2", None),
    ],
)
def test_path_is_carried_over_if_it_follows(
    parameter: str, gradient: str, other: str, expected: str | None
) -> None:
    """What a gradient's path does not say is not guessed."""
    paths = [tuple(names.parts(path)) for path in (parameter, gradient, other)]

    found = [" ".join(path) for path in carried_over(*paths)]

    assert (expected in found) if expected else not found


class Link:
    """A weight that is a number, with its slope beside it."""

    def __init__(self, weight: float) -> None:
        self.weight, self.slope = weight, 0.0


class Chained:
    """tanh of a weighted sum, times a weight, for each of three outputs."""

    def __init__(self) -> None:
        self.first = [Link(w) for w in (0.3, -0.8, 0.5)]
        self.second = [Link(w) for w in (0.7, 0.2, -0.9)]

    def outputs(self, x: list[float]) -> list[float]:
        self.hidden = [math.tanh(a.weight * v) for a, v in zip(self.first, x, strict=True)]
        return [b.weight * h for b, h in zip(self.second, self.hidden, strict=True)]

    def loss(self, x: list[float]) -> float:
        return sum((o - 1) ** 2 for o in self.outputs(x))

    def backward(self, x: list[float]) -> None:
        for a, b, h, o, v in zip(
            self.first, self.second, self.hidden, self.outputs(x), x, strict=True
        ):
            b.slope = 2 * (o - 1) * h
            a.slope = 2 * (o - 1) * b.weight * (1 - h) * v


def test_number_whose_slope_lies_as_those_of_others_do_is_judged_by_it() -> None:
    """It is no setting without a gradient because its gradient is wrong."""
    net, x = Chained(), [0.4, 1.1, -0.6]

    report = check(net, lambda: net.loss(x), lambda: net.backward(x), x)

    wrong = [m.name for m in report.matches if m.verdict == "disagrees"]
    assert ("disagrees", 3) == (report.verdict, len(wrong)), report


def test_square_gradient_that_is_wrong_in_every_form_is_called_no_transpose() -> None:
    """Of two wrong forms one is nearer by chance: that says nothing."""
    x = np.random.default_rng(2).normal(size=(6, 4))

    for seed in range(4):
        draws = np.random.default_rng(seed)
        net, wrong = {"W": draws.normal(size=(4, 4))}, draws.normal(size=(6, 4))
        report = check(
            net,
            lambda n=net: (np.tanh(x @ n["W"]) ** 2).sum(),
            lambda n=net, w=wrong: {"dW": x.T @ (np.tanh(x @ n["W"]) * w)},
            x,
        )

        assert ("disagrees", False) == (report.verdict, "transpose" in str(report)), report


def test_change_of_a_step_is_of_the_parameter_whose_path_it_has() -> None:
    """However deep that is, and whatever quotes are in it."""
    for path in ("net.hidden[1].bias", "net['W1']", 'net[0]["w"]'):
        returned = f"returned[{f'd {path}'!r}]"
        assert names.pairs([path], returned)
        assert not names.pairs(["net.hidden[0].bias"], returned)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 2, 2)])
def test_lists_are_written_row_by_row_and_stay_the_same_lists(shape: tuple[int, ...]) -> None:
    """Whoever holds a row goes on with it; integers become floats, as one by one."""
    count = int(np.prod(shape))
    lists = np.arange(count).reshape(shape).tolist()
    rows = [reduce(getitem, index, lists) for index in np.ndindex(shape[:-1])]
    rows[0][0] = 0.5
    leaf = leaf_of(lists, "W", item([lists], 0))
    assert leaf is not None

    leaf.write(np.arange(count).reshape(shape) + 1)
    leaf.put(count - 1, -7.0)

    assert np.array_equal([*range(1, count), -7], np.ravel(lists))
    again = [reduce(getitem, index, lists) for index in np.ndindex(shape[:-1])]
    assert all(new is old for new, old in zip(again, rows, strict=True))
    assert {float} == {type(number) for row in rows for number in row}


@pytest.mark.parametrize("seed", [2, 8, 36])
@pytest.mark.parametrize("kind", ["softmax of two", "softmax", "logistic"])
def test_small_number_in_a_log_is_no_decay_and_no_constant(kind: str, seed: int) -> None:
    """Of few entries everything is a constant, and a small difference a multiple of anything."""
    rng = np.random.default_rng(seed)
    k, n = (2 if kind == "softmax of two" else 3), 9
    small = 10.0 ** rng.uniform(-7, -5)
    X, y = rng.normal(size=(n, 4)), rng.integers(0, k, n)
    net = SimpleNamespace(W=rng.normal(size=(4, k)), b=rng.normal(size=k))
    if kind == "logistic":
        net.W, net.b = rng.normal(size=4), float(rng.normal())

    def out() -> Any:
        z = X @ net.W + net.b
        if kind == "logistic":
            return 1 / (1 + np.exp(-z))
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def loss() -> float:
        p = out()
        chosen = np.where(y > 0, p, 1 - p) if kind == "logistic" else p[np.arange(n), y]
        return float(-np.log(chosen + small).mean())

    def backward() -> None:
        d = out() - (np.minimum(y, 1) if kind == "logistic" else np.eye(k)[y])
        net.dW, net.db = X.T @ d / n, d.sum(axis=0) / n

    report = check(net, loss, backward, (X, y))

    assert report.agrees, report
    assert {note.code for note in report.notes} <= {"epsilon-in-log"}
