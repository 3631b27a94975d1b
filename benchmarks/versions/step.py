"""One training step of an MLP in what each library has had for years: it runs in any version.

Relu, cross entropy, gradient descent, float32. The networks of `implementations` are not used: they
need newer versions. Here all versions run the same lines.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

Array = Any
Tree = Any  # an array; or params, [(W, b), ...]
Step = Any  # step(params, X, y, learning_rate) -> (params, loss before the update)


class Library(NamedTuple):
    """A library's step, and how its arrays come and go.

    Attributes:
        place: a tree of NumPy's arrays as new ones of the library.
        synchronize: returns once a tree is computed.
        compilations: how many functions have been compiled so far.
    """

    step: Step
    place: Any
    synchronize: Any = lambda _: None
    compilations: Any = lambda: 0


def numpy_library() -> Library:
    """By hand, into new arrays."""

    def step(params: Tree, X: Array, y: Array, learning_rate: float) -> Any:
        a = [X]
        for W, b in params[:-1]:
            a.append(np.maximum(a[-1] @ W + b, 0))  # F1, F2
        W, b = params[-1]
        z = a[-1] @ W + b  # F1
        z -= z.max(axis=1, keepdims=True)
        p, rows = np.exp(z), np.arange(len(y))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[rows, y]).mean()  # L1
        p[rows, y] -= 1
        delta = p / len(y)  # B1
        updated: Tree = []
        for (W, b), a_in in zip(reversed(params), reversed(a), strict=True):
            dW, db = a_in.T @ delta, delta.sum(axis=0)  # B2, B3
            delta = (delta @ W.T) * (a_in > 0)  # B4
            updated.insert(0, (W - learning_rate * dW, b - learning_rate * db))  # U1
        return updated, loss

    def place(tree: Tree) -> Tree:
        return [tuple(map(np.array, pair)) for pair in tree] if isinstance(tree, list) else tree

    return Library(step, place)


def jax_library() -> Library:
    """One program, made by jax.jit, whose params are donated."""
    import jax
    import jax.numpy as jnp

    def loss(params: Tree, X: Array, y: Array) -> Array:
        a = X
        for W, b in params[:-1]:
            a = jax.nn.relu(a @ W + b)  # F1, F2
        W, b = params[-1]
        log_p = jax.nn.log_softmax(a @ W + b)  # F1
        return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))  # L1

    @partial(jax.jit, donate_argnums=0)
    def step(params: Tree, X: Array, y: Array, learning_rate: float) -> Any:
        value, grads = jax.value_and_grad(loss)(params, X, y)  # B1-B4
        pairs = zip(params, grads, strict=True)
        updated = [
            (W - learning_rate * dW, b - learning_rate * db)  # U1
            for (W, b), (dW, db) in pairs
        ]
        return updated, value

    return Library(
        step,
        partial(jax.tree_util.tree_map, jnp.array),
        jax.block_until_ready,
        getattr(step, "_cache_size", lambda: 0),
    )


def torch_library() -> Library:
    """Eager, by autograd, params updated in place."""
    import torch

    def step(params: Tree, X: Array, y: Array, learning_rate: float) -> Any:
        a = X
        for W, b in params[:-1]:
            a = torch.relu(torch.addmm(b, a, W))  # F1, F2
        W, b = params[-1]
        loss = torch.nn.functional.cross_entropy(torch.addmm(b, a, W), y)  # F1, L1
        tensors = [tensor for pair in params for tensor in pair]
        grads = torch.autograd.grad(loss, tensors)  # B1-B4
        with torch.no_grad():
            for tensor, grad in zip(tensors, grads, strict=True):
                tensor.sub_(grad, alpha=learning_rate)  # U1
        return params, loss.detach()

    def place(tree: Tree) -> Tree:
        if not isinstance(tree, list):
            return torch.from_numpy(tree.copy())
        return [
            tuple(torch.from_numpy(array.copy()).requires_grad_() for array in pair)
            for pair in tree
        ]

    return Library(step, place)


LIBRARIES = {"numpy": numpy_library, "jax": jax_library, "torch": torch_library}
