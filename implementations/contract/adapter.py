"""A model joined with its backend, validated and completed to the whole contract.

Somebody's file may define no more than `forward(spec, params, X)` and `loss_and_grad(spec,
params, X, y)`, over plain NumPy arrays. What it lacks says so when it is asked for.
"""

import contextlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.implementations.contract.commands import did_you_mean, which_gpu
from samegrad.implementations.contract.layers import layer_masks
from samegrad.implementations.contract.protocol import Backend, Capabilities
from samegrad.implementations.contract.spec import (
    Array,
    MLPSpec,
    Params,
    Tree,
    map_tree,
    plain_tree,
)

# function: how many arguments it takes at least; masks may follow
MODEL = {"forward": 3, "loss": 4, "loss_and_grad": 4, "init_state": 2, "train_step": 6}
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
        others: "loss(y, p)", the functions under a name of the contract that are the file's own.
        lacks: the functions of the contract that the model does not define.
        forward, loss, loss_and_grad, init_state, train_step: of `protocol.Model`. Where the model
            is complete and names its backend they are its own: no wrapper is timed.
        devices, synchronize: the backend's.
    """

    def __init__(self, model: Any, name: str) -> None:
        """Join them.

        Raises:
            ValueError: the model defines neither forward nor loss_and_grad.
        """
        self.name, self.model = name, model
        file = getattr(model, "__file__", None)
        self.file = Path(file) if isinstance(file, str) else None
        backend, capabilities = (getattr(model, n, None) for n in ("BACKEND", "CAPABILITIES"))
        self.backend: Backend = backend if isinstance(backend, Backend) else PLAIN
        others = _others(model) if self.backend is PLAIN else {}
        self.others = tuple(others.values())
        self.lacks = tuple(f for f in MODEL if f in others or not callable(getattr(model, f, None)))
        if set(LEAST) <= set(self.lacks):
            verb = "take" if len(others) > 1 else "takes"
            own = f"; its own {' and '.join(self.others)} {verb} other arguments" if others else ""
            raise ValueError(
                "it defines neither forward(spec, params, X) nor "
                f"loss_and_grad(spec, params, X, y){own}: nothing of it can be called; to go on, "
                "write one of them around what is there, or call samegrad.check on the object"
            )
        stated = capabilities if isinstance(capabilities, Capabilities) else Capabilities()
        self.capabilities = stated.over(self.backend.capabilities)
        self.dtypes = self.capabilities.dtypes
        whole = self.backend is not PLAIN and not self.lacks
        of = (lambda f: getattr(model, f)) if whole else self._completed
        self.forward: Callable[..., Array] = of("forward")
        self.loss: Callable[..., Array] = of("loss")
        self.loss_and_grad: Callable[..., tuple[Array, Params]] = of("loss_and_grad")
        self.init_state: Callable[[MLPSpec, Params], Tree] = of("init_state")
        self.train_step: Callable[..., tuple[Params, Tree, Array]] = of("train_step")
        self.devices: Callable[[], tuple[str, ...]] = self.backend.devices
        self.synchronize: Callable[[Tree], None] = self.backend.synchronize

    def to_numpy(self, tree: Tree) -> Tree:
        """What the backend fetches, in lists and tuples whatever a file nests its arrays in."""
        return plain_tree(self.backend.fetch(tree))

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
        self._refuse_unavailable(spec, device)
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
        self._refuse_unavailable(spec, device)
        self.capabilities.refuse(spec)

    def _refuse_unavailable(self, spec: MLPSpec, device: str) -> None:
        """There is no silent fall-back, and no silent conversion."""
        wrong = unavailable("device", device, self.name, self.devices()) or unavailable(
            "dtype", spec.dtype, self.name, self.dtypes
        )
        if wrong:
            raise ValueError(wrong)

    def _completed(self, function: str) -> Callable[..., Any]:
        """A function of a file that may lack it, take no masks, or return plain numbers."""

        def call(spec: MLPSpec, *arguments: Any, masks: Tree = None) -> Any:
            if function in self.lacks:
                raise NotImplementedError(f"{self.name} has no {function}")
            passed = [*arguments, masks]
            while passed[-1] is None:  # no masks; it may not take any
                passed.pop()
            result = getattr(self.model, function)(spec, *passed)
            if function == "loss":
                return self._number(result, spec)
            if function == "train_step":
                params, state, loss = result
                return params, state, self._number(loss, spec)
            if function == "loss_and_grad":
                if not isinstance(result, tuple | list) or len(result) != 2:
                    raise TypeError(
                        f"loss_and_grad returned {type(result).__name__}, "
                        "expected a pair (loss, grads)"
                    )
                return self._number(result[0], spec), result[1]
            return result

        return call

    def _number(self, loss: Any, spec: MLPSpec) -> Any:
        """A loss as a scalar of the spec's dtype, if it is one number; else as it is.

        Only its value counts: a loss that was computed in fewer digits is off by them.
        """
        if self.backend is not PLAIN or isinstance(loss, list | tuple | dict) or loss is None:
            return loss
        array = np.asarray(as_numpy(loss))
        return array.astype(spec.dtype) if array.dtype.kind in "fiu" and array.ndim == 0 else loss


def as_numpy(leaf: Any) -> Any:
    """A framework's array as one of NumPy, without its graph; whatever is none is left as it is."""
    if isinstance(leaf, np.ndarray | np.generic | float | int | type):
        return leaf
    try:
        if callable(getattr(leaf, "detach", None)):  # torch, wherever it lies
            leaf = leaf.detach().cpu()
        elif type(leaf).__module__.startswith("cupy"):
            leaf = leaf.get()
        return np.asarray(leaf) if hasattr(leaf, "__array__") else leaf
    except Exception:  # the comparison says what it is
        return leaf


def _others(model: Any) -> dict[str, str]:
    """The functions of a model that only share a name with the contract's, and how each is called.

    They take another number of arguments, or their first is not the spec.
    """
    first = {"spec", *(_first_names(getattr(model, "loss_and_grad", None), 4) or ())}
    others = {}
    for name, count in MODEL.items():
        function: Any = getattr(model, name, None)
        names = _first_names(function, count)
        if names is None or (name != "loss_and_grad" and names - first):
            signature = inspect.signature(function)
            bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
            shown = signature.replace(parameters=bare, return_annotation=signature.empty)
            others[name] = f"{name}{shown}"
    return others


def _first_names(function: Any, count: int) -> set[str] | None:
    """The name of a function's first argument if it has one; None if it does not take so many."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # it is none, or a builtin, of which nobody knows
        return set()
    for given in (count, count + 1):  # with masks
        with contextlib.suppress(TypeError):
            signature.bind(*[None] * given)
            first = next(iter(signature.parameters.values()))
            named = first.kind is not first.VAR_POSITIONAL
            return {first.name.lstrip("_")} if named else set()
    return None


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


def unavailable(kind: str, value: str, name: str, has: Sequence[str]) -> str:
    """That an implementation lacks a device or dtype, in one line, or ""."""
    if value in has:
        return ""
    return f"{kind} {value!r} is not available to {name} (has: {', '.join(has)}){which_gpu(value)}"


def check_masks(spec: MLPSpec, masks: Any) -> list[Array] | None:
    """`masks` as arrays of the spec's dtype; None stays None.

    Raises:
        ValueError: the spec has no dropout, or number, a shape or a value does not fit it.
    """
    if masks is None:
        return None
    checked = []
    for layer, mask in enumerate(layer_masks(spec, masks, len(masks[0]) if masks else 0)[:-1], 1):
        name = f"mask {layer}"
        array = _floats(name, mask, spec.dtype, (None, spec.layer_sizes[layer]))
        kept = array.dtype.type(1 / (1 - spec.dropout))
        if not ((array == 0) | (array == kept)).all():
            raise ValueError(
                f"{name}: values other than 0 and 1/(1 - dropout) = {kept:.6g}; "
                "draw_masks gives the right ones"
            )
        checked.append(array)
    return checked


def check_params(spec: MLPSpec, params: Params) -> Params:
    """`params` as arrays of the spec's dtype.

    Raises:
        ValueError: nesting or a shape differs from the spec's, or a value is not finite.
    """
    layers = len(spec.layer_sizes) - 1
    params = plain_tree(params)
    if not isinstance(params, list | tuple) or len(params) != layers:
        kind = len(params) if isinstance(params, list | tuple) else type(params).__name__
        raise ValueError(f"params: given {kind}, expected a list of {layers} pairs (W, b)")
    checked: Params = []
    for layer, pair in enumerate(params, start=1):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"params of layer {layer}: expected a pair (W, b)")
        fan_in, fan_out = spec.layer_sizes[layer - 1 : layer + 1]
        W = _floats(f"W{layer}", pair[0], spec.dtype, (fan_in, fan_out))
        if (pair[1] is not None) != spec.bias:
            raise ValueError(
                f"b{layer}: the spec has bias={spec.bias}, so b must "
                + ("be an array, given None" if spec.bias else "be None")
            )
        b = _floats(f"b{layer}", pair[1], spec.dtype, (fan_out,)) if spec.bias else None
        checked.append((W, b))
    return checked


def check_batch(spec: MLPSpec, X: Any, y: Any) -> tuple[Any, Any]:
    """X as (batch, features) of the spec's dtype, y as int64 indices or values of that dtype.

    Every implementation calls this before placing a batch, because afterwards they differ on
    bad labels: NumPy wraps -1 round, JAX clamps (a zero gradient), torch raises or skips -100.

    Raises:
        ValueError: wrong shape, no example, a value that is not finite (also after rounding
            to the spec's dtype), or a label that is not a class of the spec.
    """
    features, outputs = spec.layer_sizes[0], spec.layer_sizes[-1]
    X = _floats("X", X, spec.dtype, (None, features))
    batch_size = len(X)
    if batch_size == 0:
        raise ValueError("X: the batch is empty; give at least 1 example")
    if spec.loss != "cross_entropy":
        y = _floats("y", y, spec.dtype, (batch_size, outputs))
        if spec.loss == "binary_cross_entropy" and not ((y >= 0) & (y <= 1)).all():
            raise ValueError(
                f"y: values from {y.min():g} to {y.max():g}; binary_cross_entropy takes "
                "probabilities from 0 to 1, one per output"
            )
        return X, y
    y = np.asarray(y)
    if y.dtype.kind not in "iu":
        raise ValueError(f"y: dtype {y.dtype}; cross_entropy takes class indices as integers")
    if y.shape != (batch_size,):
        raise ValueError(f"y: shape {y.shape}, expected ({batch_size},): one class per example")
    if y.min() < 0 or y.max() >= outputs:
        raise ValueError(
            f"y: labels from {y.min()} to {y.max()}, accepted 0 to {outputs - 1} "
            f"(the network has {outputs} outputs)"
        )
    return X, y.astype(np.int64)


def _floats(name: str, value: Any, dtype: str, shape: tuple[int | None, ...]) -> Any:
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name}: not a rectangular array ({error})") from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name}: dtype {array.dtype}, expected real numbers")
    fits = array.ndim == len(shape) and all(
        size in (None, length) for size, length in zip(shape, array.shape, strict=True)
    )
    if not fits:
        expected = "(" + ", ".join("batch" if n is None else str(n) for n in shape)
        expected += ",)" if len(shape) == 1 else ")"
        raise ValueError(f"{name}: shape {array.shape}, expected {expected}")
    with np.errstate(over="ignore"):  # an overflow shows as inf, and is refused below
        array = array.astype(dtype)
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        raise ValueError(
            f"{name}: {len(bad)} of {array.size} values are NaN or infinite in {dtype}, "
            f"the first at index {tuple(int(i) for i in bad[0])}"
        )
    return array
