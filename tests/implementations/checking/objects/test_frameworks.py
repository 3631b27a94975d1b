"""`samegrad.check` on torch modules, autograd functions, JAX pytrees and custom_vjp, tensors."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking.objects.check import check
from tests.implementations.checking.objects.styles import rows

torch = pytest.importorskip("torch", reason="torch is not installed")
jax = pytest.importorskip("jax", reason="jax is not installed")
jnp = jax.numpy


class Squared(torch.autograd.Function):  # type: ignore[name-defined] # torch is Any here
    """x squared, its derivative times a factor."""

    factor = 2.0

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        """Of each entry."""
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        """By hand."""
        (x,) = ctx.saved_tensors
        return g * Squared.factor * x


def torch_module(wrong: bool) -> Any:
    """Two float32 layers with an autograd.Function between them."""
    torch.manual_seed(0)
    Squared.factor = 1.0 if wrong else 2.0
    net = torch.nn.ModuleDict({"a": torch.nn.Linear(5, 4), "b": torch.nn.Linear(4, 3)})
    X, y = (torch.tensor(part) for part in rows()[:2])
    X = X.float()

    def loss() -> Any:
        z = net["b"](Squared.apply(net["a"](X)))
        return torch.nn.functional.cross_entropy(z, y)

    return net, loss, lambda: loss().backward(), (X, y)


def torch_dropout(wrong: bool) -> Any:
    """A mask drawn anew; the gradient of twice the loss is wrong."""
    torch.manual_seed(0)
    layers = torch.nn.Linear(5, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 3)
    net = torch.nn.Sequential(*layers)
    X, y = (torch.tensor(part) for part in rows()[:2])
    X = X.float()

    def loss() -> Any:
        return torch.nn.functional.cross_entropy(net(X), y)

    return net, loss, lambda: (loss() * (2 if wrong else 1)).backward(), (X, y)


def torch_by_hand(wrong: bool) -> Any:
    """Tensors as arrays, no autograd."""
    X, _, t = (torch.tensor(part) for part in rows())
    net = SimpleNamespace(W=torch.ones(5, 3).double() / 3, b=torch.zeros(3).double())

    def loss() -> Any:
        return ((torch.tanh(X @ net.W + net.b) - t) ** 2).mean()

    def backward() -> Any:
        a = torch.tanh(X @ net.W + net.b)
        d = 2 * (a - t) / (len(X) if wrong else a.numel()) * (1 - a * a)
        return X.T @ d, d.sum(0)

    return net, loss, backward, (X, t)


@jax.custom_vjp  # type: ignore[untyped-decorator] # jax is Any here
def tanh(x: Any) -> Any:
    """Of each entry."""
    return jnp.tanh(x)


@jax.custom_vjp  # type: ignore[untyped-decorator] # jax is Any here
def wrong_tanh(x: Any) -> Any:
    """Of each entry, with the derivative of its input."""
    return jnp.tanh(x)


tanh.defvjp(lambda x: (jnp.tanh(x), jnp.tanh(x)), lambda a, g: (g * (1 - a * a),))
wrong_tanh.defvjp(lambda x: (jnp.tanh(x), x), lambda x, g: (g * (1 - x * x),))


def jax_custom_vjp(wrong: bool) -> Any:
    """params are a tuple in a closure."""
    X, _, t = rows()
    g = wrong_tanh if wrong else tanh
    params = (jnp.asarray(np.random.default_rng(0).normal(size=(5, 3))), jnp.zeros(3))

    def loss(p: Any) -> Any:
        return jnp.mean((g(X @ p[0] + p[1]) - t) ** 2)

    return params, lambda: loss(params), lambda: jax.grad(loss)(params), (X, t)


def jax_pairs(wrong: bool) -> Any:
    """A list of pairs (W, b), in float32."""
    X, y, _ = rows()
    rng = np.random.default_rng(0)
    sizes = ((5, 4), (4, 3))
    params = [(jnp.asarray(rng.normal(size=s)), jnp.zeros(s[1])) for s in sizes]

    @jax.jit  # type: ignore[untyped-decorator] # jax is Any here
    def loss(p: Any) -> Any:
        z = jnp.tanh(X @ p[0][0] + p[0][1]) @ p[1][0] + p[1][1]
        return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(7), y])

    gradient = jax.jit(jax.grad(loss))  # traced once: else each of many calls takes its time

    def backward() -> Any:
        return jax.tree.map(lambda g: g * (3 if wrong else 1), gradient(params))

    return params, lambda: loss(params), backward, (X, y)


class Tensor:
    """An array with .data and .grad."""

    def __init__(self, data: Any) -> None:
        self.data, self.grad = np.array(data, float), None


def tensor_objects(wrong: bool) -> Any:
    """Arrays in objects of one's own."""
    W, b = Tensor(np.ones((5, 3)) / 3), Tensor(np.zeros(3))
    X, _, t = rows()

    def loss() -> Any:
        return ((X @ W.data + b.data - t) ** 2).mean()

    def backward() -> None:
        d = 2 * (X @ W.data + b.data - t) / t.size
        for p, g in zip((W, b), (X.T @ d, d.sum(0)), strict=True):
            p.grad = g if p.grad is None or not wrong else p.grad + g

    return SimpleNamespace(params=[W, b]), loss, backward, (X, t)


NETWORKS = [
    torch_module,
    torch_dropout,
    torch_by_hand,
    jax_custom_vjp,
    jax_pairs,
    tensor_objects,
]


@pytest.mark.parametrize("network", NETWORKS)
def test_right_gradient_agrees(network: Any) -> None:
    """In float64 where the framework allows, else in the digits that there are."""
    report = check(*network(False))

    assert report.agrees, str(report)


@pytest.mark.parametrize("network", NETWORKS)
def test_wrong_gradient_disagrees(network: Any) -> None:
    """Whoever computed it."""
    report = check(*network(True))

    assert "disagrees" == report.verdict, str(report)


def test_torch_module_is_afterwards_as_it_was() -> None:
    """Values, dtypes and gradients."""
    net, loss, backward, data = torch_module(False)
    backward()
    before = [(p.detach().clone(), p.grad.clone()) for p in net.parameters()]

    check(net, loss, backward, data)

    for (value, grad), p in zip(before, net.parameters(), strict=True):
        assert torch.equal(value, p) and torch.equal(grad, p.grad) and p.dtype == torch.float32


class Loss:
    """Cross entropy with a setting that has a kink at 0, as label smoothing has."""

    def __init__(self) -> None:
        self.smoothing = 0.0

    def __call__(self, z: Any, y: Any) -> Any:
        """Of a batch."""
        return torch.nn.functional.cross_entropy(z, y) + abs(self.smoothing)


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_loss_object_with_settings_of_its_own(factor: float) -> None:
    """They change the loss and have no gradient: nothing is said of their kinks."""
    torch.manual_seed(0)
    X, y = torch.randn(12, 4), torch.arange(12) % 3
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    loss = Loss()

    found = check(
        loss=lambda: loss(model(X), y), backward=lambda: (factor * loss(model(X), y)).backward()
    )

    assert (factor == 1.0) == found.agrees, str(found)
    assert [] == list(found.notes)
    assert any("smoothing" in remark for remark in found.remarks)
