"""A file in nobody's dialect as an implementation: its own calls, on weights and batches of ours.

A reading says what is called and with what, `identified` which of our networks that is. Offered is
what was shown to be right; a network that is none of ours has no rows, since a row says what was
computed. Conversion is done outside of the clock: weights and a batch before, what was returned
afterwards, from references.
"""

import re
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from samegrad.implementations.checking.objects.report import AGREES, DISAGREES
from samegrad.implementations.checking.predictions import Convention
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import (
    PlainBackend,
    check_batch,
    check_params,
)
from samegrad.implementations.contract.own_calls import Network, OwnCalls
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree, map_tree
from samegrad.implementations.contract.supplied import FACT
from samegrad.implementations.reading import files, live, search
from samegrad.implementations.reading.gradients import ThroughGraph
from samegrad.implementations.reading.hints import Hints, in_source, parse
from samegrad.implementations.reading.identified import FAILURES, Message, Own, owns_of
from samegrad.implementations.reading.judging import SECONDS
from samegrad.implementations.reading.live import Batch, Live
from samegrad.implementations.reading.loading import Loaded, load
from samegrad.implementations.reading.results import (
    GRADS,
    Outputs,
    Result,
    gradient,
    loss_of,
    outputs,
    weights,
)
from samegrad.implementations.reading.stepped import Updates

Array = Any
STEP = "by samegrad's update rule, on the file's own weights and gradient"
LOOP = re.compile(r"one turn of the loop \((.*?)\)")  # of a script's reading
SHOWN_BY = {"forward": "outputs", "loss_and_grad": "grads", "train_step": "updated"}


class NotTimedError(ImportError):
    """There is nothing to time, and why.

    Attributes:
        status: of its rows: "wrong" or "unavailable".
    """

    def __init__(self, status: str, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class FileBackend(PlainBackend):
    """Arrays are placed with the network, or the batch, that they belong to."""


class FileModel:
    """The contract's functions over a file's own calls.

    Attributes:
        updates: what makes steps of its gradient; None where the calls make steps themselves.
    """

    BACKEND = FileBackend()

    def __init__(self, capabilities: Capabilities, step: bool) -> None:
        self.CAPABILITIES = capabilities
        self.updates = None if step else Updates()

    def forward(self, _: MLPSpec, params: Live, X: Batch) -> Any:
        """The file's forward pass."""
        return Outputs(params, X, params.forward(X))

    def loss(self, _: MLPSpec, params: Live, X: Batch, _y: Batch) -> Any:
        """The file's own loss, computed when it is asked for."""
        return Result(params, X, None)

    def loss_and_grad(self, _: MLPSpec, params: Live, X: Batch, _y: Batch) -> Any:
        """The file's calls that give a gradient; the loss is computed when it is asked for."""
        return Result(params, X, params.run(X)), GRADS

    def init_state(self, _: MLPSpec, params: Live) -> Tree:
        """A file keeps its state itself; where it makes no step, what does: samegrad's sgd."""
        return None if self.updates is None else self.updates.of(params)

    def train_step(
        self, _: MLPSpec, params: Live, state: Tree, X: Batch, _y: Batch, learning_rate: float
    ) -> Any:
        """The file's calls that make a step, or that give the gradient for one."""
        if self.updates is not None:
            returned = params.run(X)
            state(returned, learning_rate)
            return params, state, Result(params, X, returned)
        if params.rate[0] != learning_rate:
            params.set_rate(learning_rate)
        return params, state, Result(params, X, params.run(X))


class FileImplementation(OwnCalls):
    """A file as an implementation: its networks and batches are its own.

    Attributes:
        owns: the networks of ours that the file is.
        step: whether it makes steps, and shows its gradient by these.
    """

    def __init__(self, name: str, file: Path | None, owns: Sequence[Own]) -> None:
        """Offer what was found.

        Raises:
            ValueError: nothing was.
        """
        self.owns = list(owns)
        self.step = self.owns[0].calls.step
        graph = isinstance(self.owns[0].calls.reading.backward, ThroughGraph)
        facts = {name: text for name, text in self.said().items() if text}
        offered = Capabilities(dtypes=("float64",), describe=lambda _: facts, leaves_cycles=graph)
        super().__init__(FileModel(offered, self.step), name)
        self.file = file
        shown = {result for own in self.owns for result in shows(own)}
        for function, result in SHOWN_BY.items():
            if result not in shown:
                setattr(self, function, partial(_lacking, function))

    def said(self) -> dict[str, str]:
        """What is timed, how the file was read, and what conventions it keeps to."""
        own = self.owns[0]
        return {
            "times": f"the file's own calls: {own.calls.text()}",
            "read as": own.calls.reading.how,
            "conventions": "; ".join(own.texts),
            "converted": "weights and batches to the file's own layout, before the clock starts",
            FACT: "" if self.step else STEP,
        }

    def networks(self) -> list[Network]:
        """Layer sizes, batch size and form of small networks that it may take, in order."""
        asked: list[Network] = []
        for own in self.owns:
            batch = 1 if own.calls.one else 32
            asked += [((64, 32, 10), batch, own.form), ((64, 32, own.sizes[-1]), batch, own.form)]
            asked += [(own.sizes, batch, own.form), (own.sizes, own.batch, own.form)]
        return asked

    def own(self, spec: MLPSpec) -> Own:
        """The network of ours that a spec names.

        Raises:
            NotImplementedError: the file is none of these.
        """
        for own in self.owns:
            if all(getattr(spec, name) == value for name, value in own.form.items()):
                return own
        forms = " or ".join(typed(own.form) for own in self.owns)
        raise NotImplementedError(f"its network is another one: {forms}")

    def convention(self, spec: MLPSpec) -> dict[str, Any] | None:
        """That of the network that a spec names, as plain data."""
        own = self.own(spec).convention
        return None if own == Convention() else asdict(own)

    def conventions(self, spec: MLPSpec) -> str:
        """Those of the network that a spec names."""
        return "; ".join(self.own(spec).texts)

    def shows(self, spec: MLPSpec) -> tuple[str, ...]:
        """Names of the results that are compared; see `Own`."""
        return shows(self.own(spec))

    def params_from_numpy(self, spec: MLPSpec, params: Params, device: str) -> Any:
        """A network of the file's with these weights.

        Raises:
            ValueError: device or dtype is not honoured.
            NotImplementedError: there is no such network, and why.
        """
        self._refuse(spec, device)
        own = self.own(spec)
        try:
            return Live(own.calls, own.layout, spec, check_params(spec, params))
        except FAILURES as error:
            raise NotImplementedError(
                "no network of these sizes could be made of it (one of "
                f"{'-'.join(map(str, own.sizes))} could): {_line(error)}"
            ) from None

    def batch_from_numpy(self, spec: MLPSpec, X: Array, y: Array, device: str) -> tuple[Any, Any]:
        """A batch in the file's own layout, which stands for X and for y.

        Raises:
            ValueError: the batch does not fit the spec, or dtype or device is not honoured.
            NotImplementedError: the file does not take such a batch.
        """
        self._refuse_unavailable(spec, device)
        X, y = check_batch(spec, X, y)
        try:
            batch = live.placed(self.own(spec).calls, spec, X, y)
        except ValueError as error:
            raise NotImplementedError(str(error)) from None
        return batch, batch

    def to_numpy(self, tree: Tree) -> Tree:
        """Results in our layout; a loss that the file does not have is None."""
        if isinstance(tree, tuple) and len(tree) == 2:
            first, second = tree
            if second is GRADS:
                return loss_of(first), gradient(first)
            if isinstance(second, Live):  # after a step: its loss was that before it
                return None, weights(second)
        return map_tree(self._fetched, tree)

    def _fetched(self, leaf: Any) -> Any:
        if isinstance(leaf, Outputs):
            return outputs(leaf)
        if isinstance(leaf, Result):
            value = loss_of(leaf)
            return np.float64(0) if value is None else value
        return weights(leaf) if isinstance(leaf, Live) else leaf


def shows(own: Own) -> tuple[str, ...]:
    """Names of the results of a network that are compared; of a gradient also the step of it."""
    return (*own.shows, "updated") if "grads" in own.shows else own.shows


def _lacking(function: str, *_: Any) -> NoReturn:
    raise NotImplementedError(f"the file has no {function} that could be checked")


def load_file(name: str) -> FileImplementation:
    """A file in nobody's dialect as an implementation. In a worker process only.

    Raises:
        NotTimedError: it is wrong, or nothing of it can be timed.
    """
    where, of = registry.split(name)
    try:
        loaded = _loaded(Path(where))
        hints = parse([line for block in loaded.blocks for line in in_source(block.source)])
        owns = owns_of(loaded, of, hints)
    except (SyntaxError, ValueError) as error:
        raise NotTimedError("unavailable", _line(error)) from None
    if not owns:
        raise _why_not(loaded, of, hints)
    return FileImplementation(registry.label(name), Path(where), owns)


def _loaded(path: Path) -> Loaded:
    """The file, run as `verify` runs it: what takes too long at its top level is left out."""

    class TooLongError(BaseException):
        """Past every `except Exception` of the file."""

    def stop(*_: object) -> NoReturn:
        raise TooLongError

    def limited() -> None:
        signal.setitimer(signal.ITIMER_PROF, files.RUNNING_SECONDS)  # of this process
        signal.setitimer(signal.ITIMER_REAL, files.WAITING_SECONDS)

    def unlimited() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)

    if not hasattr(signal, "setitimer"):
        return load(path, run=False)
    before = {n: signal.signal(n, stop) for n in (signal.SIGALRM, signal.SIGPROF)}
    try:
        return load(path, True, limited)
    except TooLongError:
        unlimited()
        return load(path, run=False)
    finally:
        unlimited()
        for number, handler in before.items():
            signal.signal(number, handler)


def _why_not(loaded: Loaded, of: str, hints: Hints) -> NotTimedError:
    """The verdict on a file of which nothing can be timed."""
    report = search.verdict(loaded, of, hints, time.process_time() + SECONDS)
    if report.verdict == DISAGREES:
        return NotTimedError("wrong", report.reason)
    if report.verdict == AGREES and (loop := LOOP.search(report.reading)):
        said = f"its step is the body of a loop ({loop[1]}), which cannot be called: put that into"
        said += " a function of the weights and a batch that returns the gradient of each weight"
        return NotTimedError("unavailable", f"{said}; samegrad verify checks it as it is")
    if report.verdict == AGREES:
        said = f"its network is none that a row can name ({report.reading})"
        return NotTimedError("unavailable", f"{said}; samegrad verify checks it")
    advice = f"; {report.advice[0]}" if report.advice else ""
    return NotTimedError("unavailable", f"{report.verdict}: {report.reason}{advice}")


def typed(form: Message) -> str:
    """The options that ask for a form."""
    shown = {True: "yes", False: "no"}
    return " ".join(f"--{n.replace('_', '-')} {shown.get(v, v)}" for n, v in form.items())


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
