"""A file with a few functions over NumPy arrays, completed to the whole contract.

Somebody's file may define no more than `forward(spec, params, X)` and `loss_and_grad(spec,
params, X, y)`. Conversions are then copies of NumPy arrays, and what it lacks says so when it is
asked for. A file that defines the whole contract is left as it is.
"""

import inspect
from types import ModuleType
from typing import Any

import numpy as np
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree, map_tree
from samegrad.implementations.contract.validation import (
    check_batch,
    check_masks,
    check_params,
    refuse_device,
    refuse_dtype,
)

# Without these a module has no arrays of its own, and is a file over NumPy's.
CONVERSIONS = "DTYPES devices params_from_numpy batch_from_numpy to_numpy synchronize".split()
OPTIONAL = (
    "ACCURACY accuracy PASSES_PER_PARAMETER LEAVES_CYCLES compilations describe events peak_memory "
    "precision products epoch"
).split()
MODEL = "forward loss loss_and_grad init_state train_step".split()


class Adapted:
    """The contract over a module that defines a part of it."""

    def __init__(self, module: ModuleType, name: str) -> None:
        self._module, self._name = module, name
        self.__file__ = getattr(module, "__file__", None)
        self.DTYPES: tuple[str, ...] = tuple(getattr(module, "DTYPES", ("float32", "float64")))
        self.lacks = tuple(function for function in MODEL if not hasattr(module, function))
        self._over_numpy = not any(hasattr(module, function) for function in CONVERSIONS[2:])
        for own in (*CONVERSIONS[1:], "masks_from_numpy", *OPTIONAL):
            if hasattr(module, own):
                setattr(self, own, getattr(module, own))

    def devices(self) -> tuple[str, ...]:
        """NumPy's arrays live in the CPU's memory."""
        return ("cpu",)

    def params_from_numpy(self, spec: MLPSpec, params: Params, device: str) -> Params:
        """Copies of the arrays."""
        refuse_device(self._name, device, self.devices())
        refuse_dtype(self._name, spec.dtype, self.DTYPES)
        return map_tree(np.array, check_params(spec, params))

    def batch_from_numpy(
        self, spec: MLPSpec, X: Array, y: Array, device: str
    ) -> tuple[Array, Array]:
        """Copies of the arrays."""
        refuse_device(self._name, device, self.devices())
        refuse_dtype(self._name, spec.dtype, self.DTYPES)
        X, y = check_batch(spec, X, y)
        return np.array(X), np.array(y)

    def masks_from_numpy(self, spec: MLPSpec, masks: Tree, device: str) -> Tree:
        """Copies of the arrays, if the file's functions take masks."""
        takes = inspect.signature(self._function("loss_and_grad")).parameters
        if "masks" not in takes:
            raise NotImplementedError(f"{self._name}: loss_and_grad takes no masks (dropout)")
        refuse_device(self._name, device, self.devices())
        return map_tree(np.array, check_masks(spec, masks))

    def to_numpy(self, tree: Tree) -> Tree:
        """Copies of arrays and numbers; whatever else stands there stays for the comparison."""
        arrays = (np.ndarray, np.generic, float, int)
        return map_tree(lambda leaf: np.array(leaf) if isinstance(leaf, arrays) else leaf, tree)

    def synchronize(self, tree: Tree) -> None:
        """Nothing to wait for: a NumPy call returns when its result is there."""

    def forward(self, spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
        """The file's."""
        given = () if masks is None else (masks,)
        return self._function("forward")(spec, params, X, *given)

    def loss(self, spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
        """The file's."""
        given = () if masks is None else (masks,)
        return self._number(self._function("loss")(spec, params, X, y, *given), spec)

    def loss_and_grad(
        self, spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
    ) -> tuple[Array, Params]:
        """The file's; (loss, grads) whatever pair it comes in."""
        given = () if masks is None else (masks,)
        found = self._function("loss_and_grad")(spec, params, X, y, *given)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise TypeError(
                f"loss_and_grad returned {type(found).__name__}, expected a pair (loss, grads)"
            )
        return self._number(found[0], spec), found[1]

    def init_state(self, spec: MLPSpec, params: Params) -> Tree:
        """The file's."""
        return self._function("init_state")(spec, params)

    def train_step(
        self,
        spec: MLPSpec,
        params: Params,
        state: Tree,
        X: Array,
        y: Array,
        learning_rate: float,
        masks: Tree = None,
    ) -> tuple[Params, Tree, Array]:
        """The file's."""
        given = () if masks is None else (masks,)
        step = self._function("train_step")
        params, state, loss = step(spec, params, state, X, y, learning_rate, *given)
        return params, state, self._number(loss, spec)

    def _function(self, name: str) -> Any:
        if not hasattr(self._module, name):
            raise NotImplementedError(f"{self._name} has no {name}")
        return getattr(self._module, name)

    def _number(self, loss: Any, spec: MLPSpec) -> Any:
        """A loss as a scalar of the spec's dtype, if it is one number; else as it is.

        Only its value counts: a loss that was computed in fewer digits is off by them.
        """
        if not self._over_numpy or isinstance(loss, list | tuple | dict) or loss is None:
            return loss
        array = np.asarray(loss)
        return array.astype(spec.dtype) if array.dtype.kind in "fiu" and array.ndim == 0 else loss


def adapted(module: ModuleType, name: str) -> Any:
    """The module itself if it defines the whole contract, else completed.

    Raises:
        ValueError: it defines neither forward nor loss_and_grad, so that there is nothing to do, or
            its products cannot be called as a run calls them.
    """
    refuse_products(getattr(module, "products", None))
    if all(hasattr(module, function) for function in (*CONVERSIONS, *MODEL)):
        return module
    if not any(hasattr(module, function) for function in ("forward", "loss_and_grad")):
        raise ValueError(
            "it defines neither forward(spec, params, X) nor loss_and_grad(spec, params, X, y)"
        )
    return Adapted(module, name)


def refuse_products(function: Any) -> None:
    """ValueError if it is there and does not take (kinds, pairs, out)."""
    if function is None:
        return
    try:
        inspect.signature(function).bind((), [], [])
    except TypeError as error:  # not called like this, or not a function
        raise ValueError(
            f"its products does not take three arguments ({error}); accepted: products(kinds, "
            "pairs, out=None), results in the arrays of out where it can; or leave it out"
        ) from None
    except ValueError:  # of a builtin nobody knows
        return
