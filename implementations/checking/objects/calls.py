"""A user's loss and backward, called again and again: numbers, seeds, zeroed gradients, other data.

What cannot go on raises `Stopped` with the verdict, never a traceback of ours.
"""

import inspect
import io
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from samegrad.implementations.checking.comparison import ONE_NUMBER
from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects.report import NOT_CHECKED, UNDECIDED
from samegrad.implementations.checking.slopes import Clock, quiet
from samegrad.implementations.contract.sources import is_users
from samegrad.implementations.state.leaves import Leaf
from samegrad.implementations.state.reach import Reached
from samegrad.implementations.state.snapshot import Snapshot, state_of

SAME = 1e-9  # relative: two results of one computation, whatever the order of its sums
SAME_SINGLE = 1e-4  # in float32
SEED = 20  # any number


class Stopped(Exception):  # noqa: N818 # it is no error of the program's
    """A check that ends here, with a verdict.

    Args:
        verdict: "undecided" or "not checked".
        said: why.
        advice: what to do.
        lines: where, in the user's files.
    """

    def __init__(
        self, verdict: str, said: str, advice: str = "", lines: Sequence[str] = ()
    ) -> None:
        super().__init__(said)
        self.verdict, self.said, self.advice, self.lines = verdict, said, advice, tuple(lines)


class TooLate(BaseException):
    """No exception that a user's code, or what runs it, takes for its own."""


def users_lines(error: BaseException) -> list[str]:
    """The lines of a user's own files that an exception went through, the outermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    users = [f for f in frames if is_users(f.filename)]
    return [f"{Path(f.filename).name}:{f.lineno}: {f.line}" for f in users][-4:]


def stopped_by(name: str, error: BaseException) -> Stopped:
    """What an exception of the user's makes of a check."""
    said = f"{name} raised {type(error).__name__}: {error}".splitlines()[0]
    return Stopped(NOT_CHECKED, said, f"make {name} run by itself first", users_lines(error))


def number(value: Any, notes: list[Note] | None = None, name: str = "loss()") -> float:
    """The number that a loss is, from whatever library.

    Raises:
        Stopped: it is none.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    elif type(value).__module__.startswith("cupy"):
        value = value.get()
    elif not isinstance(value, np.ndarray | np.generic | float | int) and hasattr(value, "data"):
        value = value.data  # an object with .data and .grad
    try:
        array = np.asarray(None if isinstance(value, tuple | dict) else value)
    except Exception:
        array = np.asarray(None)
    if array.dtype == object and array.size == 1 and hasattr(array.ravel()[0], "data"):
        array = np.asarray(array.ravel()[0].data)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.size != 1 or array.dtype.kind not in "fiu":
        numeric = array.ndim and array.dtype.kind in "fiubc"
        kind = array.dtype.name if numeric else type(value).__name__
        shape = f" of shape {array.shape}" if numeric else ""
        raise Stopped(
            NOT_CHECKED,
            f"{name} gave {kind}{shape}, expected a number",
            "give a function that returns the loss alone, such as lambda: net.step()[0]"
            if isinstance(value, tuple | list | dict)
            else "sum or average it, and return it",
        )
    if array.ndim and notes is not None and not any(n.code == "one-number" for n in notes):
        notes.append(
            Note("one-number", f"the loss: {ONE_NUMBER.replace('(1,)', str(array.shape))}")
        )
    return float(array.ravel()[0])


class Calls:
    """The two functions as they are called.

    Attributes:
        functions: the two, without arguments.
        notes: what was found on the way.
        seeded: whether generators of random numbers are set before each call.
        zeroed: leaves whose own gradients are set to nothing before each call.
        zeroes: whether that is done, and the user's own methods for it called: not for what takes a
            whole step, which sets them to zero itself.
    """

    def __init__(
        self,
        loss: Callable[..., Any],
        backward: Callable[..., Any],
        data: tuple[Any, ...],
        reached: Reached,
    ) -> None:
        self.functions = _with_data(loss, data), _with_data(backward, data)
        self._reached = reached
        self.notes: list[Note] = []
        self.seeded = False
        self.zeroed: list[Leaf] = []
        self.zeroes = True
        self._states = [(put, get()) for get, put in map(state_of, reached.generators)]

    def loss(self) -> float:
        """The loss by now.

        Raises:
            Stopped: it raises, or is no number.
        """
        self._seed()
        try:
            with quiet(), silent():
                value = self.functions[0]()
        except (Exception, SystemExit) as error:
            raise stopped_by("loss()", error) from None
        return number(value, self.notes)

    def backward(self) -> Any:
        """Gives what the user's backward gives, after the loss, gradients zeroed where they can be.

        Raises:
            Stopped: it raises.
        """
        self.loss()
        for zero in self._reached.zeroing if self.zeroes else ():
            with quiet(), silent(), _let_pass():
                zero()
        for leaf in self.zeroed if self.zeroes else ():
            leaf.clear_gradient()
        self._seed()
        try:
            with quiet(), silent():
                return self.functions[1]()
        except (Exception, SystemExit) as error:
            raise stopped_by("backward()", error) from None

    @contextmanager
    def bounded(self, seconds: float) -> Iterator[None]:
        """For a while the functions raise TooLate when there was so much work."""
        functions, clock = self.functions, Clock()

        def until(function: Callable[[], Any]) -> Callable[[], Any]:
            def bounded() -> Any:
                if clock.elapsed > seconds:
                    raise TooLate
                return function()

            bounded.__wrapped__ = function  # type: ignore[attr-defined] # what it stands for
            return bounded

        self.functions = until(functions[0]), until(functions[1])
        try:
            yield
        finally:
            self.functions = functions

    def codes_of_backward(self, reached: Reached) -> set[CodeType]:
        """The code that backward() runs, its callees' included; all is put back."""
        if sys.getprofile() is not None:  # a profiler's place is taken: whatever may run, runs
            return {function.__code__ for function in reached.functions}
        ran: set[CodeType] = set()
        before = reached.snapshot()
        self.loss()
        self._seed()
        try:
            with quiet(), silent():
                sys.setprofile(lambda frame, *_: ran.add(frame.f_code))
                self.functions[1]()
        except (Exception, SystemExit) as error:
            raise stopped_by("backward()", error) from None
        finally:
            sys.setprofile(None)
            before.restore()
        return ran

    def _seed(self) -> None:
        if not self.seeded:
            return
        np.random.seed(SEED)  # noqa: NPY002 # the user's generator, whichever it is
        random.seed(SEED)
        if (torch := sys.modules.get("torch")) is not None:
            torch.manual_seed(SEED)
        for put, state in self._states:
            put(state)


def steady(calls: Calls, before: Snapshot) -> float:
    """The loss, if it is the same when it is called again, with seeds if need be.

    Raises:
        Stopped: it changes by itself, or is not finite.
    """
    values = [calls.loss(), calls.loss(), calls.loss()]
    if not np.isfinite(values).all():
        raise Stopped(
            NOT_CHECKED, f"the loss is {values[0]}", "choose a point where the loss is finite"
        )
    if len(set(values)) > 1 and not np.allclose(values, values[0], rtol=1e-12, atol=0):
        calls.seeded = True
        again = [calls.loss(), calls.loss()]
        before.restore()
        if not np.allclose(again, again[0], rtol=1e-12, atol=0):
            raise Stopped(
                UNDECIDED,
                f"the loss changes by itself: {values[0]:.6g}, then {values[1]:.6g}",
                "make loss() the same every time: fix its random numbers, and let it train nothing",
            )
        calls.notes.append(
            Note(
                "seeded", "random numbers are drawn anew in every call: seeds were set before each"
            )
        )
        return again[0]
    return values[0]


def check_takes_params(name: str, function: Any) -> None:
    """Raise TypeError if a function cannot be called with params alone, and say how it can be."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # no function, or one of C
        return
    try:
        signature.bind(None)
    except TypeError:
        needed, flat = _arguments(signature)
        given = [*needed, "*p"] if flat else [*needed[:-1], "p"]
        called = f"{getattr(function, '__name__', name)}({', '.join(given)})"
        raise TypeError(
            f"{name} takes {signature}, and is called with params alone; give {name}=lambda p: "
            f"{called}"
        ) from None


def _arguments(signature: inspect.Signature) -> tuple[list[str], str]:
    """The names of the arguments that a call must have, and that of `*others`, if any."""
    parameters = signature.parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind in positional]
    return needed, next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")


def _with_data(function: Callable[..., Any], data: tuple[Any, ...]) -> Callable[[], Any]:
    """A function without arguments; one that takes as many as there is data gets it."""
    try:
        needed, flat = _arguments(inspect.signature(function))
    except (TypeError, ValueError):
        return function
    name = getattr(function, "__name__", "a function")
    if needed and flat not in ("", "args") and not flat.startswith("_"):
        raise Stopped(
            NOT_CHECKED,
            f"{name} takes *{flat}, which nothing was given for",
            f"give functions without arguments, and the list as net: net={flat}, "
            f"lambda: {name}({', '.join(needed)}, *{flat})",
        )
    if not needed:
        return function
    if len(needed) != len(data):
        raise Stopped(
            NOT_CHECKED,
            f"{name} takes {len(needed)} arguments, and data has {len(data)}",
            "give functions without arguments, such as lambda: net.loss(X, y)",
        )

    def of_data() -> Any:
        return function(*data)

    of_data.__wrapped__ = function  # type: ignore[attr-defined] # what is traced
    return of_data


@contextmanager
def silent() -> Iterator[None]:
    """What the user's functions print, hundreds of times, is not shown."""
    with redirect_stdout(_NOWHERE):
        yield


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


_NOWHERE = _Nowhere()


@contextmanager
def _let_pass() -> Iterator[None]:
    """Whatever is raised here is no concern: then nothing was done."""
    try:
        yield
    except Exception:
        return
