"""Calls of an implementation: what each of its functions gives on a problem, as NumPy arrays.

`call` makes one, in whatever process. The verifier has them made in a child (`main`) that gets one
request, an implementation and problems, and sends back what came out, whatever that is: the judging
is done where nothing of the implementation runs. People's own tests call in their own process.
"""

import base64
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samegrad.implementations.checking import processes
from samegrad.implementations.checking.comparison import Strange
from samegrad.implementations.checking.problems import Problem, other_batch
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation, as_numpy
from samegrad.implementations.contract.spec import MLPSpec, Tree, items, map_tree

Message = dict[str, Any]
LARGEST = 20_000_000  # entries of an array that is sent; what a network has is far smaller
FUNCTIONS = ("loss_and_grad", "forward", "loss", "train_step")  # in the order of the calls
CALLS = ("results", "second", "other", "last")  # of a function on a problem, in this order
ARRAYS = (np.ndarray, np.generic, float, int)
# Seconds in which calls may be made again; of the first tasks they always are. Far more than a
# network in NumPy takes for all of them, far less than one number at a time would.
AGAIN_SECONDS, AGAIN_TASKS = 10.0, 3


@dataclass(frozen=True)
class CallResult:
    """What a function gave on a problem, or why it gave nothing.

    Attributes:
        function: one of FUNCTIONS.
        results: NumPy trees by the names that `comparison.judge` knows.
        second: the same of a second call, on the same params objects and the same batch.
        other: of a third, on `problems.other_batch`.
        last: of a fourth, on the first batch again. Of the calls after the first, those of a
            function that failed, or that nobody asked for, are empty.
        overwritten: the results of the first call that a later one changed.
        swapped: whether the loss came after the gradient.
        kinds: of what the arrays are, if they are not NumPy's: "torch", "jaxlib".
        mutated: the arguments that it changed.
        not_supported: the NotImplementedError that it raised, or "".
        failure: "it raises TypeError: ..." or the like, or "".
        error: the exception behind `failure`, in the process that made the call.
    """

    function: str
    results: dict[str, Tree] = field(default_factory=dict)
    second: dict[str, Tree] = field(default_factory=dict)
    other: dict[str, Tree] = field(default_factory=dict)
    last: dict[str, Tree] = field(default_factory=dict)
    overwritten: Sequence[str] = ()
    swapped: bool = False
    kinds: Sequence[str] = ()
    mutated: Sequence[str] = ()
    not_supported: str = ""
    failure: str = ""
    error: BaseException | None = None


def call(
    function: str,
    implementation: Implementation,
    problem: Problem,
    device: str,
    learning_rate: float,
    again: bool = False,
) -> CallResult:
    """Call one of FUNCTIONS on fresh copies of a problem's arrays; an exception is a result, too.

    Args:
        learning_rate: of a `train_step`.
        again: whether it is called four times, see CallResult; a `train_step`, once.
    """
    results: list[dict[str, Tree]] = []
    mutated: list[str] = []
    marks: dict[str, Any] = {"mutated": mutated}
    try:
        run = _Calls(function, implementation, problem, device, learning_rate, mutated)
        first, raw = run.results(problem)
        marks["swapped"] = _is_swapped(first)
        results.append(first)
        if again and function != "train_step":
            results.append(run.results(problem)[0])
            results.append(run.results(other_batch(problem))[0])
            marks["overwritten"] = [
                name for name, old in first.items() if not _same(old, run.arrays(raw)[name])
            ]
            results.append(run.results(problem)[0])
        marks["kinds"] = sorted(run.kinds)
    except (Exception, SystemExit) as error:
        if isinstance(error, NotImplementedError) and not results:
            marks["not_supported"] = described(error)
        else:
            exits = f"exits (SystemExit {error.code})" if isinstance(error, SystemExit) else ""
            which = f" in call {len(results) + 1}" if results else ""
            marks["failure"] = f"it {exits or 'raises ' + described(error)}{which}"
            marks["error"] = error
    if marks.get("swapped"):
        results = [_swapped(result) for result in results]
    return CallResult(function, *results, **marks)


class Again:
    """Whether there is time to make calls more than once; entered around each of them."""

    def __init__(self) -> None:
        self.spent = self._begun = 0.0

    def __enter__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.spent += time.monotonic() - self._begun

    def wanted(self, number: int) -> bool:
        """Whether to call again on the task of this number."""
        return number < AGAIN_TASKS or self.spent < AGAIN_SECONDS


def described(error: BaseException) -> str:
    """An exception in one line of at most 300 characters and its type."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _Calls:
    """Calls of a function, all with the same params objects.

    Attributes:
        mutated: names of the arguments that any of them changed.
        kinds: the packages of the arrays that came out, if they are not NumPy's.
    """

    def __init__(
        self,
        function: str,
        implementation: Implementation,
        problem: Problem,
        device: str,
        learning_rate: float,
        mutated: list[str],
    ) -> None:
        self.function, self.implementation, self.device = function, implementation, device
        self.learning_rate = learning_rate
        self.params = implementation.params_from_numpy(problem.spec, problem.params, device)
        self.mutated = mutated
        self.kinds: set[str] = set()

    def results(self, problem: Problem) -> tuple[dict[str, Tree], dict[str, Tree]]:
        """What one call gave, as NumPy trees and as it came."""
        model, spec = self.implementation, problem.spec
        X, y = model.batch_from_numpy(spec, problem.X, problem.y, self.device)
        masks: tuple[Any, ...] = ()
        if problem.masks is not None:
            masks = (model.masks_from_numpy(spec, problem.masks, self.device),)
        if self.function == "train_step":  # may update its params in place
            state = model.init_state(spec, self.params)
            step = model.train_step(spec, self.params, state, X, y, self.learning_rate, *masks)
            raw = {"loss of the step": step[2], "updated": step[0]}
        else:
            raw = self._called(spec, X, y, masks)
        model.synchronize([result for result in raw.values() if result is not None])
        return self.arrays(raw), raw

    def arrays(self, raw: dict[str, Tree]) -> dict[str, Tree]:
        """Results as NumPy trees of their own."""
        return {
            name: map_tree(self._fetched, self.implementation.to_numpy(result))
            for name, result in raw.items()
        }

    def _called(self, spec: MLPSpec, X: Any, y: Any, masks: tuple[Any, ...]) -> dict[str, Tree]:
        model, function = self.implementation, self.function
        arguments = {"params": self.params, "X": X} | ({} if function == "forward" else {"y": y})
        before = {name: model.to_numpy(argument) for name, argument in arguments.items()}
        result = getattr(model, function)(spec, *arguments.values(), *masks)
        self.mutated += [
            name
            for name, argument in arguments.items()
            if name not in self.mutated and not _same(before[name], model.to_numpy(argument))
        ]
        if function == "loss_and_grad":
            return {"loss with the gradient": result[0], "grads": result[1]}
        return {"outputs" if function == "forward" else "loss": result}

    def _fetched(self, leaf: Any) -> Any:
        array = as_numpy(leaf)
        if array is not leaf:
            self.kinds.add(type(leaf).__module__.split(".")[0])
        return array


def _is_swapped(results: dict[str, Tree]) -> bool:
    """Whether the gradient came first: something nested where the loss belongs, then a number."""
    if "grads" not in results:
        return False
    loss, grads = results["loss with the gradient"], results["grads"]
    return items(loss) is not None and isinstance(grads, ARRAYS) and np.size(grads) == 1


def _swapped(results: dict[str, Tree]) -> dict[str, Tree]:
    """The gradient and the loss in each other's place."""
    number = np.asarray(results["grads"])
    return {"loss with the gradient": number, "grads": results["loss with the gradient"]}


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, list | tuple):
        return isinstance(new, list | tuple) and len(old) == len(new) and all(map(_same, old, new))
    if old is None or new is None or not isinstance(old, ARRAYS):
        return True  # nothing, or nothing that could be compared
    equal_nan = np.asarray(old).dtype.kind == "f"
    return np.array_equal(old, new, equal_nan=equal_nan)


# ---- the child ----


def request(
    implementation: str,
    device: str,
    precision: str,
    tasks: Sequence[tuple[int, Problem, float]],
) -> Message:
    """What a child is asked: (number, problem, learning rate) of each task."""
    return {
        "implementation": registry.absolute(implementation),
        "device": device,
        "precision": precision,
        "tasks": [
            {"task": number, "problem": encode_problem(problem), "learning_rate": rate}
            for number, problem, rate in tasks
        ],
    }


def main() -> None:
    """Answer one request."""
    processes.serve(_answer)


def _answer(request: Message, send: Callable[[Message], None]) -> None:
    """Load the implementation and call it on each problem of the request.

    Sent are fields of `verifier.Execution`, and for each task what begins and what came out.
    """
    try:
        implementation = registry.load(request["implementation"])
        devices = list(implementation.devices())
        dtypes = list(implementation.dtypes)
    except registry.NotInstalledError as error:
        send({"unavailable": str(error)})
        return
    except (Exception, SystemExit) as error:
        loading = isinstance(error, registry.BrokenImplementationError)
        send({"fault": str(error) if loading else described(error)})
        return
    lacks, others = list(implementation.lacks), list(implementation.others)
    send({"devices": devices, "dtypes": dtypes, "lacks": lacks, "others": others})
    device, precision = request["device"], request["precision"]
    ieee = precision == "ieee"
    again = Again()
    try:
        with contextlib.nullcontext() if ieee else implementation.capabilities.precision(precision):
            for task in request["tasks"] if device in devices else ():
                number, problem = task["task"], decode_problem(task["problem"])
                if problem.spec.dtype not in dtypes:
                    continue
                inexact = implementation.capabilities.accuracy(problem.spec)
                if inexact:
                    send({"task": number, "accuracy": dict(inexact)})
                for function in FUNCTIONS:
                    if function in implementation.lacks:
                        continue
                    send({"task": number, "begins": function})
                    with again:
                        rate, more = task["learning_rate"], again.wanted(number)
                        result = call(function, implementation, problem, device, rate, more)
                    send({"task": number, "result": _encode_result(result)})
    except NotImplementedError as error:  # of the precision: a call's is a result of it
        send({"unavailable": str(error)})
    send({"complete": True})


def _encode_result(result: CallResult) -> Message:
    """What a call gave as plain data, without the exception."""
    trees = {
        calls: {name: _encode(tree) for name, tree in getattr(result, calls).items()}
        for calls in CALLS
    }
    return {**vars(result), **trees, "error": None}


def decode_result(data: Message) -> CallResult:
    """What a child sent of a call."""
    trees = {calls: {name: _decode(tree) for name, tree in data[calls].items()} for calls in CALLS}
    return CallResult(**{**data, **trees})


def _encode(tree: Any) -> Any:
    """Any result as plain data; what is no array, number or nesting of them, by its type."""
    if tree is None:
        return None
    if isinstance(tree, list | tuple):
        kind = "list" if isinstance(tree, list) else "tuple"
        return {kind: [_encode(branch) for branch in tree]}
    if isinstance(tree, np.ndarray | np.generic | float | int):
        array = np.asarray(tree)
        if array.dtype.kind in "fiub" and array.size <= LARGEST:
            data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
            return {"dtype": str(array.dtype), "shape": list(array.shape), "data": data}
        return {"type": f"an array of {array.dtype}, shape {array.shape}"}
    return {"type": f"a {type(tree).__name__}"}


def _decode(data: Any) -> Any:
    """What `_encode` wrote; `Strange` for what is no array."""
    if data is None:
        return None
    for kind, made in (("list", list), ("tuple", tuple)):
        if kind in data:
            return made(_decode(branch) for branch in data[kind])
    if "type" in data:
        return Strange(data["type"])
    array = np.frombuffer(base64.b64decode(data["data"]), data["dtype"])
    return array.reshape(data["shape"]).copy()


def encode_problem(problem: Problem) -> Message:
    """A problem as plain data."""
    arrays = {name: _encode(getattr(problem, name)) for name in ("params", "X", "y", "masks")}
    return {"name": problem.name, "spec": problem.spec.to_dict(), **arrays}


def decode_problem(data: Message) -> Problem:
    """What `encode_problem` wrote."""
    spec = MLPSpec.from_dict(data["spec"])
    arrays = {name: _decode(data[name]) for name in ("params", "X", "y", "masks")}
    return Problem(data["name"], spec, **arrays)
