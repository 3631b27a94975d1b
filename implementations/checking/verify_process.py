"""The verifier's side that runs somebody's code: a process of its own.

It gets one request: an implementation and problems. It calls each function that the implementation
has on each problem and sends back what came out, whatever that is: the judging is done where
nothing of the implementation runs.
"""

import base64
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.checking import comparison, processes
from samegrad.implementations.checking.calls import CallResult, call, described, functions_of
from samegrad.implementations.checking.comparison import Strange
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec

Message = dict[str, Any]
Send = Callable[[Message], None]
LARGEST = 20_000_000  # entries of an array that is sent; what a network has is far smaller


def command() -> list[str]:
    """The command line of a child."""
    return processes.python_child("samegrad.implementations.checking.verify_process")


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
    processes.serve(answer)


def answer(request: Message, send: Send) -> None:
    """Load the implementation and call it on each problem of the request."""
    try:
        implementation = registry.load(request["implementation"])
        devices = list(implementation.devices())
        dtypes = list(implementation.dtypes)
    except registry.NotInstalledError as error:
        send({"unavailable": str(error)})
        return
    except (Exception, SystemExit) as error:
        loading = isinstance(error, registry.BrokenImplementationError)
        send({"not_loaded": str(error) if loading else described(error)})
        return
    lacks = list(implementation.lacks)
    send({"devices": devices, "dtypes": dtypes, "lacks": lacks})
    if request["device"] not in devices:
        send({"complete": True})
        return
    try:
        with precision(implementation, request["precision"]):
            for task in request["tasks"]:
                problem = decode_problem(task["problem"])
                if problem.spec.dtype in dtypes:
                    number, learning_rate = task["task"], task["learning_rate"]
                    run(implementation, number, problem, request["device"], learning_rate, send)
    except NotImplementedError as error:  # of `precision`: a call's is a result of it
        send({"unavailable": str(error)})
    send({"complete": True})


def precision(implementation: Implementation, name: str) -> Any:
    """The implementation's own way to compute products in fewer digits; nothing for IEEE."""
    if name == "ieee":
        return contextlib.nullcontext()
    return implementation.capabilities.precision(name)


def run(
    implementation: Implementation,
    number: int,
    problem: Problem,
    device: str,
    learning_rate: float,
    send: Send,
) -> None:
    """Send the declared accuracy, and for each function that it begins and what came out."""
    inexact = comparison.declared(implementation, problem.spec)
    if inexact:
        send({"task": number, "accuracy": dict(inexact)})
    for function in functions_of(implementation):
        send({"task": number, "begins": function})
        result = call(function, implementation, problem, device, learning_rate)
        send({"task": number, "result": encode_result(result)})


def encode_result(result: CallResult) -> Message:
    """What a call gave as plain data, without the exception."""
    return {
        "function": result.function,
        "results": {name: encode(tree) for name, tree in result.results.items()},
        "mutated": list(result.mutated),
        "not_supported": result.not_supported,
        "failure": result.failure,
    }


def decode_result(data: Message) -> CallResult:
    """What `encode_result` wrote."""
    return CallResult(
        data["function"],
        {name: decode(tree) for name, tree in data["results"].items()},
        tuple(data["mutated"]),
        data["not_supported"],
        data["failure"],
    )


def encode(tree: Any) -> Any:
    """Any result as plain data; what is no array, number or nesting of them, by its type."""
    if tree is None:
        return None
    if isinstance(tree, list | tuple):
        return {type(tree).__name__: [encode(branch) for branch in tree]}
    if isinstance(tree, np.ndarray | np.generic | float | int):
        array = np.asarray(tree)
        if array.dtype.kind in "fiub" and array.size <= LARGEST:
            data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
            return {"dtype": str(array.dtype), "shape": list(array.shape), "data": data}
        return {"type": f"an array of {array.dtype}, shape {array.shape}"}
    return {"type": f"a {type(tree).__name__}"}


def decode(data: Any) -> Any:
    """What `encode` wrote; `Strange` for what is no array."""
    if data is None:
        return None
    for kind, made in (("list", list), ("tuple", tuple)):
        if kind in data:
            return made(decode(branch) for branch in data[kind])
    if "type" in data:
        return Strange(data["type"])
    array = np.frombuffer(base64.b64decode(data["data"]), data["dtype"])
    return array.reshape(data["shape"]).copy()


def encode_problem(problem: Problem) -> Message:
    """A problem as plain data."""
    arrays = {name: encode(getattr(problem, name)) for name in ("params", "X", "y", "masks")}
    return {"name": problem.name, "spec": problem.spec.to_dict(), **arrays}


def decode_problem(data: Message) -> Problem:
    """What `encode_problem` wrote."""
    spec = MLPSpec.from_dict(data["spec"])
    arrays = {name: decode(data[name]) for name in ("params", "X", "y", "masks")}
    return Problem(data["name"], spec, **arrays)
