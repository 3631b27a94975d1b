"""The C network's side of Python: its arrays and layers as C has them, and its library.

Compiled once for each dtype. C is given addresses, so what lies there is checked here: dtype,
shape, and that rows lie one after the other.
"""

import ctypes
import threading
from ctypes import POINTER, Structure, addressof, byref, c_double, c_long, c_void_p
from functools import cache, lru_cache
from itertools import chain
from operator import is_
from pathlib import Path
from typing import Any, get_args

import numpy as np

from samegrad.implementations.backends import c_compiler
from samegrad.implementations.contract import equations
from samegrad.implementations.contract.layers import layer_masks
from samegrad.implementations.contract.spec import (
    Activation,
    Loss,
    MLPSpec,
    Optimizer,
    Tree,
    map_tree,
)

Array = np.ndarray
Params = list[tuple[Array, Array | None]]
HERE = Path(__file__).parent
SOURCES = tuple(
    HERE / name
    for name in ("mlp_c.c", "layers_c.h", "functions_c.h", "products_c.h", "vectors_c.h")
)
CONSTANTS = (
    "LEAKY_SLOPE T_REF TAU LIF_WIDTH MOMENTUM ADAGRAD_EPS RHO ADADELTA_EPS BETA1 BETA2 ADAM_EPS"
).split()
KEPT = {"sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "adadelta": 2, "adam": 2, "adamw": 2}
ACTIVATIONS, LOSSES, RULES = (
    {name: number for number, name in enumerate(get_args(names))}
    for names in (Activation, Loss, Optimizer)
)
BYTE: Any = ctypes.c_char
INDICES = np.dtype(np.int64)
MOST_PLACES = 4  # batch sizes whose memory is kept; an epoch has two
GIVEN = ("W", "b", "dW", "db", "m", "s_W", "e_W", "s_b", "e_b")
OWN = ("a_in", "a_in_stride", "stride", "z", "a", "kept", "delta")


class Layer(Structure):
    """As layers_c.h has it."""

    _fields_ = [
        *((name, c_long) for name in ("fan_in", "fan_out", "g")),
        *((name, c_void_p) for name in GIVEN),
        *((name, c_long if "stride" in name else c_void_p) for name in OWN),
    ]


class Network(Structure):
    """As layers_c.h has it."""

    _fields_ = [
        *((name, c_void_p) for name in ("first", "last")),
        *((name, c_long) for name in ("loss", "rule")),
        *((name, c_double) for name in ("l2", "decay")),
        *((name, c_void_p) for name in ("memory", "dW", "db", "packing")),
    ]


@cache
def library(dtype: str) -> Any:
    """The compiled network.

    Raises:
        NotImplementedError: there is no C compiler, or it fails.
    """
    definitions: dict[str, object] = {name: getattr(equations, name) for name in CONSTANTS}
    if dtype == "float32":
        definitions["SINGLE"] = 1
    made = c_compiler.library(SOURCES, definitions)
    net, pointer, number = POINTER(Network), c_void_p, c_long
    for name, result, arguments in (
        ("room", c_long, (net, number)),
        ("forward", None, (net, pointer, number, pointer)),
        ("loss", c_double, (net, pointer, pointer, number)),
        ("loss_and_grad", c_double, (net, pointer, pointer, number)),
        ("train_step", c_double, (net, pointer, pointer, number, c_double, c_double)),
        ("product", None, (pointer, *(number,) * 2) * 2 + (pointer, *(number,) * 3, pointer)),
        ("product_room", c_long, (number, number, number)),
    ):
        function = getattr(made, f"samegrad_{name}", None)
        if function is None:
            missing = f"what the C compiler made has no samegrad_{name}"
            raise NotImplementedError(f"{missing}; do options in $CC hide names?")
        function.restype, function.argtypes = result, arguments
    return made


def address(array: Array, dtype: Any, shape: tuple[int, ...]) -> int:
    """Where an array lies.

    Raises:
        ValueError: C would read or write something else there.
        NotImplementedError: it is of a class of its own, whose memory need not hold its numbers.
    """
    if type(array) is not np.ndarray:
        raise NotImplementedError(f"C takes NumPy's own arrays, not {type(array).__name__}")
    given = array.dtype
    if (given is dtype or given == dtype) and array.shape == shape:
        try:  # a seventh of the time of the other way
            return addressof(BYTE.from_buffer(array))
        except (TypeError, ValueError, BufferError):  # not to be written, or rows lie apart
            if array.flags.c_contiguous:
                return int(array.__array_interface__["data"][0])
    raise ValueError(
        f"an array of {array.dtype} {array.shape}, expected {dtype} {shape}, row after row"
    )


def scratch(numbers: int, dtype: Any) -> Array:
    """Memory of this thread for one call; it is kept, as the system clears what it gives."""
    kept = getattr(_MINE, dtype.name, None)
    if kept is None or len(kept) < numbers:
        kept = np.empty(numbers, dtype)
        setattr(_MINE, dtype.name, kept)
    return kept


_MINE = threading.local()


class Places:
    """The layers of a network as C has them, with the arrays that they point at.

    Attributes:
        of: those arrays: as long as they are the same ones, so are the places.
        pairs: the tuples of params: as long as they are the same ones, so are the arrays.
    """

    def __init__(
        self, spec: MLPSpec, params: Params, kept: Tree = None, grads: Tree = None
    ) -> None:
        """Point at params; at the arrays of the update rule, or at those of the gradient."""
        self.spec, self.dtype, self.library = spec, np.dtype(spec.dtype), library(spec.dtype)
        self.of, self.cell = arrays(params), np.empty(1, self.dtype)
        self.pairs = [pair if type(pair) is tuple else None for pair in params]
        sizes, count, dtype = spec.layer_sizes, len(params), self.dtype
        self.layers = (Layer * count)()
        for i, (layer, (W, b)) in enumerate(zip(self.layers, params, strict=True)):
            layer.fan_in, layer.fan_out = fan_in, fan_out = sizes[i : i + 2]
            layer.g = ACTIVATIONS[spec.activations[i]]
            layer.W = address(W, dtype, (fan_in, fan_out))
            if b is not None:
                layer.b = address(b, dtype, (fan_out,))
            if grads is not None:
                layer.dW = address(grads[i][0], dtype, (fan_in, fan_out))
                if b is not None:
                    layer.db = address(grads[i][1], dtype, (fan_out,))
            if kept is not None and KEPT[spec.optimizer]:
                for which, array in zip("se", kept[i][0], strict=False):
                    setattr(layer, f"{which}_W", address(array, dtype, (fan_in, fan_out)))
                for which, array in zip("se", kept[i][1] or (), strict=False):
                    setattr(layer, f"{which}_b", address(array, dtype, (fan_out,)))
        first = addressof(self.layers)
        self.net = Network(
            first, first + (count - 1) * ctypes.sizeof(Layer), LOSSES[spec.loss],
            RULES[spec.optimizer], spec.l2, spec.decay,
        )  # fmt: skip
        self.pointer = byref(self.net)
        self.memory: dict[tuple[int, bool], Array] = {}
        self.kept, self.n, self.masks = kept, -1, None

    def __reduce__(self) -> Any:
        """Nothing, of a copy: addresses are of one process, and of these arrays."""
        return type(None), ()

    def are_of(self, spec: MLPSpec, params: Params, kept: Tree) -> bool:
        """Whether they are those of a network, its params and the arrays of its update rule."""
        if self.kept is not kept or not (self.spec is spec or self.spec == spec):
            return False
        if len(params) == len(self.pairs) and all(map(is_, params, self.pairs)):
            return True
        theirs = arrays(params)
        return len(theirs) == len(self.of) and all(map(is_, theirs, self.of))

    def begin(self, X: Array, y: Array | None, masks: Tree) -> tuple[Any, int, int, int]:
        """(the network, addresses of X and y, batch size) of a call; memory is there for it."""
        n = len(X)
        if masks is not None or self.masks is not None or n != self.n:
            self._resize(n, masks)
        where = address(X, self.dtype, self.inputs)
        return self.pointer, where, 0 if y is None else address(y, *self.targets), n

    def scalar(self, value: float) -> Any:
        """A number of the spec's dtype: an array gives one in a third of the time of the type."""
        self.cell[0] = value
        return self.cell[0]

    def _resize(self, n: int, masks: Tree) -> None:
        """Masks of a call, what X and y are held to, and memory for it."""
        spec, dtype = self.spec, self.dtype
        if masks is not None:
            for layer, m in zip(self.layers, layer_masks(spec, masks, n), strict=True):
                layer.m = m if m is None else address(m, dtype, (n, layer.fan_out))
        elif self.masks is not None:
            for layer in self.layers:
                layer.m = None
        if n != self.n or (masks is None) != (self.masks is None):
            key = n, masks is None
            if key not in self.memory:
                if len(self.memory) == MOST_PLACES:
                    self.memory.clear()
                numbers = self.library.samegrad_room(self.pointer, n)
                make = scratch if self.kept is None else np.empty
                self.memory[key] = make(numbers, dtype)
            self.net.memory = addressof(BYTE.from_buffer(self.memory[key]))
            self.n, self.inputs = n, (n, spec.layer_sizes[0])
            classes = spec.loss == "cross_entropy"
            self.targets = (INDICES, (n,)) if classes else (dtype, (n, spec.layer_sizes[-1]))
        self.masks = masks


def arrays(params: Params) -> list[Array | None]:
    """W_1, b_1, W_2, ..."""
    return list(chain.from_iterable(params))


def init_kept(spec: MLPSpec, params: Params) -> Tree:
    """For each W and b as many arrays of zeros as the rule keeps."""
    return map_tree(lambda p: [np.zeros_like(p) for _ in range(KEPT[spec.optimizer])], params)


def products(
    kinds: tuple[str, ...], pairs: list[tuple[Array, Array]], out: list[Array] | None = None
) -> list[Array]:
    """Matrix products and nothing else: "nn" A B, "tn" A^T B, "nt" A B^T."""
    made = []
    for i, (kind, (A, B)) in enumerate(zip(kinds, pairs, strict=True)):
        turned_A, turned_B = kind == "tn", kind == "nt"
        (m, k), n = (A.T if turned_A else A).shape, B.shape[0 if turned_B else 1]
        C = np.empty((m, n), A.dtype) if out is None else out[i]
        c = library(A.dtype.name)
        places = [address(array, A.dtype, array.shape) for array in (A, B, C)]
        steps_A, steps_B = ((1, m) if turned_A else (k, 1)), ((1, k) if turned_B else (n, 1))
        room = _room(A.dtype.name, m, n, k)
        c.samegrad_product(places[0], *steps_A, places[1], *steps_B, places[2], m, n, k, room)
        made.append(C)
    return made


@lru_cache(maxsize=16)
def _packing(dtype: str, m: int, n: int, k: int) -> Array:
    """Memory for a product, kept: of a small one, taking it anew would be most of the time."""
    return np.empty(library(dtype).samegrad_product_room(m, n, k) + 64, dtype)


def _room(dtype: str, m: int, n: int, k: int) -> int:
    where = addressof(BYTE.from_buffer(_packing(dtype, m, n, k)))
    return where + -where % 64
