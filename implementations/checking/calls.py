"""Calls of an implementation: what each of its functions gives on a problem, as NumPy arrays.

`call` makes one, in whatever process. The verifier has them made in a child (`main`) that gets one
request, an implementation and problems, and sends back what came out, whatever that is: the judging
is done where nothing of the implementation runs. People's own tests call in their own process.
"""

import base64
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samegrad.implementations.checking import processes
from samegrad.implementations.checking.comparison import Strange
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec, Tree

Message = dict[str, Any]
LARGEST = 20_000_000  # entries of an array that is sent; what a network has is far smaller
FUNCTIONS = ("loss_and_grad", "forward", "loss", "train_step")  # in the order of the calls


@dataclass(frozen=True)
class CallResult:
    """What a function gave on a problem, or why it gave nothing.

    Attributes:
        function: one of FUNCTIONS.
        results: NumPy trees by the names that `comparison.judge` knows.
        mutated: the arguments that it changed.
        not_supported: the NotImplementedError that it raised, or "".
        failure: "it raises TypeError: ..." or the like, or "".
        error: the exception behind `failure`, in the process that made the call.
    """

    function: str
    results: dict[str, Tree] = field(default_factory=dict)
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
) -> CallResult:
    """Call one of FUNCTIONS on fresh copies of a problem's arrays; an exception is a result, too.

    Args:
        learning_rate: of a `train_step`.
    """
    mutated: list[str] = []
    try:
        results = _results(function, implementation, problem, device, learning_rate, mutated)
        implementation.synchronize([r for r in results.values() if r is not None])
        arrays = {name: implementation.to_numpy(result) for name, result in results.items()}
    except NotImplementedError as error:
        return CallResult(function, {}, tuple(mutated), not_supported=described(error))
    except SystemExit as error:
        failure = f"it exits (SystemExit {error.code})"
        return CallResult(function, {}, tuple(mutated), failure=failure, error=error)
    except Exception as error:
        failure = f"it raises {described(error)}"
        return CallResult(function, {}, tuple(mutated), failure=failure, error=error)
    return CallResult(function, arrays, tuple(mutated))


def described(error: BaseException) -> str:
    """An exception in one line of at most 300 characters and its type."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _results(
    function: str,
    implementation: Implementation,
    problem: Problem,
    device: str,
    learning_rate: float,
    mutated: list[str],
) -> dict[str, Tree]:
    spec = problem.spec
    params = implementation.params_from_numpy(spec, problem.params, device)
    X, y = implementation.batch_from_numpy(spec, problem.X, problem.y, device)
    masks: tuple[Any, ...] = ()
    if problem.masks is not None:
        masks = (implementation.masks_from_numpy(spec, problem.masks, device),)
    if function == "train_step":  # may update its params in place
        state = implementation.init_state(spec, params)
        new, _, loss = implementation.train_step(spec, params, state, X, y, learning_rate, *masks)
        return {"loss of the step": loss, "updated": new}
    arguments = {"params": params, "X": X} | ({} if function == "forward" else {"y": y})
    before = {name: implementation.to_numpy(argument) for name, argument in arguments.items()}
    result = getattr(implementation, function)(spec, *arguments.values(), *masks)
    mutated += [
        name
        for name, argument in arguments.items()
        if not _same(before[name], implementation.to_numpy(argument))
    ]
    if function == "loss_and_grad":
        return {"loss with the gradient": result[0], "grads": result[1]}
    return {"outputs" if function == "forward" else "loss": result}


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, list | tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    return old is None or np.array_equal(old, new, equal_nan=True)


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
            {"task": number, "problem": _encode_problem(problem), "learning_rate": rate}
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
    send({"devices": devices, "dtypes": dtypes, "lacks": list(implementation.lacks)})
    device, precision = request["device"], request["precision"]
    ieee = precision == "ieee"
    try:
        with contextlib.nullcontext() if ieee else implementation.capabilities.precision(precision):
            for task in request["tasks"] if device in devices else ():
                number, problem = task["task"], _decode_problem(task["problem"])
                if problem.spec.dtype not in dtypes:
                    continue
                inexact = implementation.capabilities.accuracy(problem.spec)
                if inexact:
                    send({"task": number, "accuracy": dict(inexact)})
                for function in FUNCTIONS:
                    if function in implementation.lacks:
                        continue
                    send({"task": number, "begins": function})
                    result = call(function, implementation, problem, device, task["learning_rate"])
                    send({"task": number, "result": _encode_result(result)})
    except NotImplementedError as error:  # of the precision: a call's is a result of it
        send({"unavailable": str(error)})
    send({"complete": True})


def _encode_result(result: CallResult) -> Message:
    """What a call gave as plain data, without the exception."""
    results = {name: _encode(tree) for name, tree in result.results.items()}
    return {**vars(result), "results": results, "error": None}


def decode_result(data: Message) -> CallResult:
    """What a child sent of a call."""
    results = {name: _decode(tree) for name, tree in data["results"].items()}
    return CallResult(**{**data, "results": results})


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


def _encode_problem(problem: Problem) -> Message:
    """A problem as plain data."""
    arrays = {name: _encode(getattr(problem, name)) for name in ("params", "X", "y", "masks")}
    return {"name": problem.name, "spec": problem.spec.to_dict(), **arrays}


def _decode_problem(data: Message) -> Problem:
    """What `_encode_problem` wrote."""
    spec = MLPSpec.from_dict(data["spec"])
    arrays = {name: _decode(data[name]) for name in ("params", "X", "y", "masks")}
    return Problem(data["name"], spec, **arrays)
