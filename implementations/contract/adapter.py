"""A model joined with its backend, validated and completed to the whole contract.

Somebody's file may define no more than `forward(spec, params, X)` and `loss_and_grad(spec,
params, X, y)`, over plain NumPy arrays. What it lacks says so when it is asked for.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.implementations.contract.capabilities import Capabilities
from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.protocol import Backend
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree, map_tree
from samegrad.implementations.contract.validation import (
    check_batch,
    check_masks,
    check_params,
    refuse_device,
    refuse_dtype,
)

MODEL = ("forward", "loss", "loss_and_grad", "init_state", "train_step")
LEAST = ("forward", "loss_and_grad")  # one of them at least


class PlainBackend(Backend):
    """Of a file that names no backend: NumPy's arrays; what it returns is not known before."""

    def devices(self) -> tuple[str, ...]:
        """NumPy's arrays live in the CPU's memory."""
        return ("cpu",)

    def place(self, array: np.ndarray, device: str) -> np.ndarray:
        """A copy, row after row."""
        return np.array(array, order="C")

    def fetch(self, tree: Tree) -> Tree:
        """Copies of arrays and numbers; whatever else stands there stays for the comparison."""
        arrays = (np.ndarray, np.generic, float, int)
        return map_tree(lambda leaf: np.array(leaf) if isinstance(leaf, arrays) else leaf, tree)

    def synchronize(self, tree: Tree) -> None:
        """Nothing to wait for: a NumPy call returns when its result is there."""


PLAIN = PlainBackend()


class Implementation:
    """What is verified, timed and reported: a network, and how arrays come to it and back.

    Attributes:
        name: that messages show.
        model: the network file's module, or an object with its functions.
        file: the network file, where it is known.
        backend: the model's BACKEND, or the plain one of NumPy's arrays.
        capabilities: the model's CAPABILITIES over those of its backend.
        dtypes: the dtypes in which it computes.
        lacks: the functions of the contract that the model does not define.
        forward, loss, loss_and_grad, init_state, train_step: of `protocol.Model`. Where the model
            is complete and names its backend they are its own: no wrapper is timed.
        devices, to_numpy, synchronize: the backend's.
    """

    def __init__(self, model: Any, name: str) -> None:
        """Join them.

        Raises:
            ValueError: the model defines neither forward nor loss_and_grad.
        """
        self.name, self.model = name, model
        file = getattr(model, "__file__", None)
        self.file = Path(file) if isinstance(file, str) else None
        self.lacks = tuple(f for f in MODEL if not callable(getattr(model, f, None)))
        if set(LEAST) <= set(self.lacks):
            raise ValueError(
                "it defines neither forward(spec, params, X) nor loss_and_grad(spec, params, X, y)"
            )
        backend, capabilities = (getattr(model, n, None) for n in ("BACKEND", "CAPABILITIES"))
        self.backend: Backend = backend if isinstance(backend, Backend) else PLAIN
        self.capabilities = self.backend.capabilities
        if isinstance(capabilities, Capabilities):
            self.capabilities = capabilities.over(self.capabilities)
        self.dtypes = self.capabilities.dtypes
        whole = self.backend is not PLAIN and not self.lacks
        functions = model if whole else _Completed(model, name, self.backend is PLAIN)
        self.forward: Callable[..., Array] = functions.forward
        self.loss: Callable[..., Array] = functions.loss
        self.loss_and_grad: Callable[..., tuple[Array, Params]] = functions.loss_and_grad
        self.init_state: Callable[[MLPSpec, Params], Tree] = functions.init_state
        self.train_step: Callable[..., tuple[Params, Tree, Array]] = functions.train_step
        self.devices: Callable[[], tuple[str, ...]] = self.backend.devices
        self.to_numpy: Callable[[Tree], Tree] = self.backend.fetch
        self.synchronize: Callable[[Tree], None] = self.backend.synchronize

    def params_from_numpy(self, spec: MLPSpec, params: Params, device: str) -> Params:
        """Copies of NumPy params on `device`, in the spec's dtype, in the model's own form.

        Raises:
            ValueError: shapes differ from the spec's, or dtype or device is not honoured.
            NotImplementedError: the model does not support the spec.
        """
        self._refuse(spec, device)
        return self.backend.place_params(spec, check_params(spec, params), device)

    def batch_from_numpy(
        self, spec: MLPSpec, X: Array, y: Array, device: str
    ) -> tuple[Array, Array]:
        """Copies of a NumPy batch on `device`.

        Raises:
            ValueError: the batch does not fit the spec, or dtype or device is not honoured.
        """
        refuse_device(self.name, device, self.devices())
        refuse_dtype(self.name, spec.dtype, self.dtypes)
        X, y = check_batch(spec, X, y)
        return self.backend.place(X, device), self.backend.place(y, device)

    def masks_from_numpy(self, spec: MLPSpec, masks: Tree, device: str) -> Tree:
        """Copies of NumPy dropout masks on `device`.

        Raises:
            ValueError: the masks do not fit the spec, or dtype or device is not honoured.
            NotImplementedError: the model takes no masks.
        """
        self._refuse(spec, device)
        if "loss_and_grad" in self.lacks:
            raise NotImplementedError(f"{self.name} has no loss_and_grad")
        function = self.model.loss_and_grad
        if self.backend is PLAIN and "masks" not in inspect.signature(function).parameters:
            raise NotImplementedError(f"{self.name}: loss_and_grad takes no masks (dropout)")
        return map_tree(lambda mask: self.backend.place(mask, device), check_masks(spec, masks))

    def _refuse(self, spec: MLPSpec, device: str) -> None:
        refuse_device(self.name, device, self.devices())
        refuse_dtype(self.name, spec.dtype, self.dtypes)
        self.capabilities.refuse(spec)


class _Completed:
    """The functions of `Model` over a file that defines some of them, perhaps without masks."""

    def __init__(self, model: Any, name: str, over_numpy: bool) -> None:
        self._model, self._name, self._over_numpy = model, name, over_numpy

    def forward(self, spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
        """The file's."""
        return self._function("forward")(spec, params, X, *_if_any(masks))

    def loss(self, spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
        """The file's."""
        return self._number(self._function("loss")(spec, params, X, y, *_if_any(masks)), spec)

    def loss_and_grad(
        self, spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
    ) -> tuple[Array, Params]:
        """The file's; (loss, grads) whatever pair it comes in."""
        pair = self._function("loss_and_grad")(spec, params, X, y, *_if_any(masks))
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(
                f"loss_and_grad returned {type(pair).__name__}, expected a pair (loss, grads)"
            )
        return self._number(pair[0], spec), pair[1]

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
        step = self._function("train_step")
        params, state, loss = step(spec, params, state, X, y, learning_rate, *_if_any(masks))
        return params, state, self._number(loss, spec)

    def _function(self, name: str) -> Any:
        function = getattr(self._model, name, None)
        if not callable(function):
            raise NotImplementedError(f"{self._name} has no {name}")
        return function

    def _number(self, loss: Any, spec: MLPSpec) -> Any:
        """A loss as a scalar of the spec's dtype, if it is one number; else as it is.

        Only its value counts: a loss that was computed in fewer digits is off by them.
        """
        if not self._over_numpy or isinstance(loss, list | tuple | dict) or loss is None:
            return loss
        array = np.asarray(loss)
        return array.astype(spec.dtype) if array.dtype.kind in "fiu" and array.ndim == 0 else loss


def _if_any(masks: Tree) -> tuple[Tree, ...]:
    """The last argument, for functions that may not take it."""
    return () if masks is None else (masks,)


def adapted(model: Any, name: str, part: str = "") -> Implementation:
    """A model joined with its backend; an implementation is left as it is.

    Args:
        model: a network's module, or an object with its functions.
        name: that messages show.
        part: name of the object in the module that is meant, if it is not the module itself; a
            class is called without arguments for one.

    Raises:
        ValueError: it defines neither forward nor loss_and_grad, so that there is nothing to do;
            or there is no such part.
    """
    if not part:
        return model if isinstance(model, Implementation) else Implementation(model, name)
    implementation = adapted(_part(model, part), name)
    implementation.file = Path(model.__file__)
    return implementation


def _part(module: Any, name: str) -> Any:
    """An object of a module, or one of a class of it."""
    defined = vars(module)
    if name not in defined:
        networks = [
            n for n, v in defined.items() if any(callable(getattr(v, f, None)) for f in LEAST)
        ]
        accepted = (
            f"accepted: {', '.join(networks)}" if networks else "no object there is a network"
        )
        raise ValueError(f"there is no {name!r} in it; {accepted}{did_you_mean(name, defined)}")
    if not isinstance(defined[name], type):
        return defined[name]
    try:
        return defined[name]()
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(
            f"{name}() fails: {reason}; name a class without arguments, or an object"
        ) from None
