"""The slopes of a user's own loss as its framework has them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.implementations.checking.trees import leaves
from samegrad.implementations.contract.spec import map_tree

Array = Any
Tree = Any


def by_torch(loss: Callable[[Tree], Any], params: Tree) -> tuple[float, dict[str, Array]]:
    """The loss, and its slopes by autograd, of leaves by their paths."""
    import torch  # only for who passes a torch loss

    tensors: list[Any] = []

    def leaf(p: Any) -> Any:
        tensors.append(torch.tensor(np.asarray(p, np.float64), requires_grad=True))
        return tensors[-1]

    value = loss(map_tree(leaf, params))
    slopes = torch.autograd.grad(value, tensors, allow_unused=True)
    return float(value.detach()), {
        name: np.zeros(np.shape(p)) if g is None else g.numpy()
        for (name, p), g in zip(leaves(params), slopes, strict=True)
    }


def by_jax(loss: Any, params: Tree) -> tuple[float, dict[str, Array]]:
    """The loss, and its slopes by jax.grad, of leaves by their paths."""
    import jax  # only for who passes a JAX loss

    jax.config.update("jax_enable_x64", True)
    value, slopes = jax.value_and_grad(loss)(
        map_tree(lambda p: jax.numpy.asarray(p, np.float64), params)
    )
    return float(value), {name: np.asarray(g) for name, g in leaves(slopes)}
