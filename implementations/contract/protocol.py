"""What a network file defines, what it can do besides, and what a framework's backend does.

Shapes: X (batch, features), outputs (batch, outputs), W (fan_in, fan_out), b (fan_out,); y is
(batch,) of class indices for cross_entropy and (batch, outputs) of values otherwise.

A file says `BACKEND = ...` and `CAPABILITIES = Capabilities(...)`. Under any other name, and under
these unless they are instances, nothing of a file is taken for ours: its own `accuracy` or
`products` are its own.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, get_args

from samegrad.implementations.contract.spec import Array, DType, MLPSpec, Params, Tree, map_tree

# The most that an inexact implementation may declare: thirty times what differences of a loss in
# float32 reach, the root of its eps. What is off by more is not the gradient of this network.
LOOSEST = 1e-2
# start(), then stop() which gives a reader of nanoseconds, for once the device is synchronised
Events = tuple[Callable[[], None], Callable[[], Callable[[], int]]]


def _no_precision(name: str, device: str) -> AbstractContextManager[None]:
    raise NotImplementedError(f"it has no precision {name}")


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What an implementation declares, and what it offers for measuring.

    Attributes:
        dtypes: the dtypes in which it computes.
        accuracy: the bound per dtype that an inexact implementation declares for a spec, wider than
            the standard one and at most LOOSEST, with its derivation beside it; None where it is
            exact.
        refuse: raises NotImplementedError for a spec that it does not support.
        passes_per_parameter: how many forward passes a gradient takes for each parameter, if it
            does: a run predicts its cost from it.
        leaves_cycles: whether only Python's garbage collector frees what a step leaves: it then
            runs while steps are timed.
        products: the framework's matrix products alone, products(kinds, pairs, out=None): "nn" A B,
            "tn" A^T B, "nt" A B^T, into the arrays `out` where it can. By it a run measures the
            least that a step could take.
        pinned: pinned(array, device), a copy of a NumPy array in memory of the host from which a
            GPU reads by itself; what it returns begins a copy to the device, without waiting.
        take: take(X, y, chosen), a batch of some examples of a placed one, by an int64 NumPy array
            of their indices.
        epoch: epoch(spec, params, state, batches, learning_rate), a step on each of some placed
            batches: params, state and the last loss.
        loader: loader(batches), what an epoch's steps get in the place of some placed batches: the
            same ones, in their order, as somebody's loader puts them together.
        perceptron: perceptron(params, X, y), one pass of P1: params and the number of mistakes.
        describe: what the framework says of itself on a device.
        events: a pair of functions around work on a device, for measuring it by the device's clock.
        peak_memory: watch_memory = peak_memory(device) forgets what was; watch_memory() is then the
            most bytes that arrays have taken on a GPU, above what they took when it was made. None
            on a CPU.
        compilations: how many functions this process has compiled so far, and in how many
            nanoseconds.
        precision: precision(name, device), a context manager under which products are computed
            there in "tf32" or "bfloat16"; it raises NotImplementedError where they cannot be.

    Raises:
        ValueError: dtypes are not a tuple of known ones, or products or precision cannot be called
            as a run calls them: the timing of all other rows would be lost.
    """

    dtypes: tuple[str, ...] = get_args(DType)
    accuracy: Callable[[MLPSpec], Mapping[str, float] | None] = lambda _: None
    refuse: Callable[[MLPSpec], None] = lambda _: None
    passes_per_parameter: int = 0
    leaves_cycles: bool = False
    products: Callable[..., list[Array]] | None = None
    pinned: Callable[[Array, str], Callable[[], Array]] | None = None
    take: Callable[..., tuple[Array, Array]] | None = None
    epoch: Callable[..., tuple[Params, Tree, Array]] | None = None
    loader: Callable[[Sequence[tuple[Array, Array]]], Iterable[tuple[Array, Array]]] | None = None
    perceptron: Callable[..., tuple[Params, Array]] | None = None
    describe: Callable[[str], dict[str, str]] = lambda _: {}
    events: Callable[[str], Events | None] = lambda _: None
    peak_memory: Callable[[str], Callable[[], int] | None] = lambda _: None
    compilations: Callable[[], tuple[int, int]] = lambda: (0, 0)
    precision: Callable[[str, str], AbstractContextManager[None]] = _no_precision

    def __post_init__(self) -> None:
        known = get_args(DType)
        if not isinstance(self.dtypes, tuple) or not self.dtypes or set(self.dtypes) - set(known):
            raise ValueError(
                f"dtypes {self.dtypes!r} is not accepted; give a tuple of {', '.join(known)}, "
                'for example ("float64",)'
            )
        if self.products is not None:
            _refuse("products", self.products, ("kinds", "pairs", "out"))
        _refuse("precision", self.precision, ("name", "device"))

    def over(self, other: "Capabilities") -> "Capabilities":
        """Another's capabilities, with ours in the place of theirs where ours are not defaults.

        What is declared to be inexact is checked whenever it is asked for.
        """
        ours = {f.name: getattr(self, f.name) for f in fields(self)}
        stated = {f.name for f in fields(self) if ours[f.name] is not f.default}
        joined = replace(other, **{name: ours[name] for name in stated})
        return replace(joined, accuracy=lambda spec: declared(joined.accuracy(spec)))


def declared(accuracy: Any) -> dict[str, float] | None:
    """The bounds per dtype that an implementation declares, or None.

    Raises:
        ValueError: they are none.
    """
    if accuracy is None or accuracy == {}:
        return None
    known = get_args(DType)
    if isinstance(accuracy, Mapping) and set(accuracy) <= set(known):
        bounds = accuracy.values()
        if all(isinstance(bound, int | float) and 0 < bound <= LOOSEST for bound in bounds):
            return {dtype: float(bound) for dtype, bound in accuracy.items()}
    raise ValueError(
        f"accuracy {accuracy!r:.60} is not accepted; declare bounds above 0, {LOOSEST:g} at most, "
        f"of {' and '.join(known)}, for example {{'float64': 1e-06}}"
    )


def _refuse(name: str, function: Any, arguments: tuple[str, ...]) -> None:
    """Raise ValueError unless a function takes as many arguments."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:  # not called like this, or not a function
        raise ValueError(
            f"its {name} does not take {len(arguments)} arguments ({error}); accepted: "
            f"{name}({', '.join(arguments)}), see Capabilities; or leave it out"
        ) from None
    except ValueError:  # of a builtin nobody knows
        return


def products_of(
    multiply: Callable[..., Array], factor: Callable[[Array], Array] = lambda array: array
) -> Callable[..., list[Array]]:
    """`Capabilities.products` of a library whose multiply(A, B, out=C) is a matrix product.

    Args:
        factor: the array that it is called with in the place of one that was placed.
    """

    def products(
        kinds: tuple[str, ...], pairs: list[tuple[Array, Array]], out: list[Array] | None = None
    ) -> list[Array]:
        """Matrix products and nothing else: "nn" A B, "tn" A^T B, "nt" A B^T."""
        results = []
        for kind, (A, B), C in zip(kinds, pairs, out or [None] * len(pairs), strict=True):
            A, B = factor(A), factor(B)
            C = None if C is None else factor(C)
            results.append(multiply(A.T if kind == "tn" else A, B.T if kind == "nt" else B, out=C))
        return results

    return products


class Model(Protocol):
    """The functions of a network file, in the order in which it defines them.

    Optimiser state and dropout masks come in as arguments and leave as results: nothing is hidden,
    so two implementations that are fed the same numbers do the same thing. `masks` is one array
    (batch, width) per hidden layer (`initializers.draw_masks`) in training, None in evaluation.

    A network file says `BACKEND = ...`, an instance of `Backend`; without one its arrays are
    NumPy's. It may say `CAPABILITIES = Capabilities(...)` (see there).
    """

    def forward(self, spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
        """Outputs a_L, (batch, outputs)."""

    def loss(self, spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
        """The loss, a scalar: float(loss) works."""

    def loss_and_grad(
        self, spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
    ) -> tuple[Array, Params]:
        """The loss and its gradient, nested and shaped like params.

        Raises:
            ValueError: the spec has an activation without a useful derivative.
        """

    def init_state(self, spec: MLPSpec, params: Params) -> Tree:
        """The optimiser's state before the first step."""

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
        """One update: params, state and the loss before the update.

        Consumes params and state: NumPy and torch may update in place and JAX donates, so use
        what is returned. `learning_rate` is a Python float (another type would compile the JAX
        step again).

        Raises:
            ValueError: the spec has dropout and there are no masks: this is training.
        """


class Backend(ABC):
    """How the arrays of a framework come and go; validation is done before `place`.

    A class and not a protocol, so that a file's BACKEND can be told from anything else of that
    name.
    """

    capabilities = Capabilities()

    @abstractmethod
    def devices(self) -> tuple[str, ...]:
        """Names of the devices usable here and now, "cpu" first."""

    @abstractmethod
    def place(self, array: Array, device: str) -> Array:
        """A copy of a NumPy array on a device.

        Raises:
            ValueError: its dtype is not honoured there.
        """

    def place_params(self, spec: MLPSpec, params: Params, device: str) -> Tree:
        """Copies of NumPy params on a device, in the form in which the networks take them."""
        return map_tree(lambda array: self.place(array, device), params)

    def rate(self, learning_rate: float, device: str) -> Any:
        """A learning rate as steps take it: a float, or that placed, where each step would copy it.

        For who times them; a step takes a float as well.
        """
        return learning_rate

    @abstractmethod
    def fetch(self, tree: Tree) -> Tree:
        """Outputs, loss, params or grads as NumPy arrays of their own, in the same nesting."""

    @abstractmethod
    def synchronize(self, tree: Tree) -> None:
        """Return once every array in `tree` has been computed."""
