"""The verifier's side that runs somebody's code: a process of its own.

It gets one request: an implementation and problems. For each problem it calls what the
implementation has, and sends back what came out, whatever that is: the judging is done where
nothing of the implementation runs.
"""

import base64
import contextlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from samegrad.implementations.checking import comparison, processes
from samegrad.implementations.checking.comparison import Strange
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.protocol import Implementation
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Tree

Message = dict[str, Any]
Send = Callable[[Message], None]
LARGEST = 20_000_000  # entries of an array that is sent; what a network has is far smaller


def command() -> list[str]:
    """The command line of a child."""
    return processes.python_child("samegrad.implementations.checking.verify_process")


def main() -> None:
    """Answer one request."""
    processes.serve(answer)


def answer(request: Message, send: Send) -> None:
    """Load the implementation and run each problem of the request."""
    try:
        implementation = registry.load(request["implementation"])
        devices = list(implementation.devices())
    except registry.NotInstalledError as error:
        send({"unavailable": str(error)})
        return
    except (Exception, SystemExit) as error:
        loading = isinstance(error, registry.BrokenImplementationError)
        send({"broken": str(error) if loading else _said(error)})
        return
    lacks = getattr(implementation, "lacks", ())
    send({"devices": devices, "dtypes": list(implementation.DTYPES), "lacks": list(lacks)})
    if request["device"] not in devices:
        send({"complete": True})
        return
    try:
        with precision(implementation, request["precision"]):
            for task in request["tasks"]:
                problem = decode_problem(task["problem"])
                if problem.spec.dtype in implementation.DTYPES:
                    run(implementation, task, problem, request["device"], send)
    except NotImplementedError as error:  # of `precision`: `run` sends what the calls raise
        send({"unavailable": str(error)})
    send({"complete": True})


def precision(implementation: Implementation, name: str) -> Any:
    """The implementation's own way to compute products in fewer digits; nothing for IEEE."""
    if name == "ieee":
        return contextlib.nullcontext()
    if not hasattr(implementation, "precision"):
        raise NotImplementedError(f"it has no precision {name}")
    return implementation.precision(name)


def run(
    implementation: Implementation, task: Message, problem: Problem, device: str, send: Send
) -> None:
    """Call each function on the problem and send what it gave, or why it gave nothing."""
    spec = problem.spec

    def params() -> Tree:
        return implementation.params_from_numpy(spec, problem.params, device)

    def batch() -> Any:
        return implementation.batch_from_numpy(spec, problem.X, problem.y, device)

    def masks() -> Any:
        if problem.masks is None:
            return ()
        return (implementation.masks_from_numpy(spec, problem.masks, device),)

    def forward() -> Tree:
        return {"outputs": watched(implementation.forward, params(), batch()[0])}

    def loss() -> Tree:
        return {"loss": watched(implementation.loss, params(), *batch())}

    def loss_and_grad() -> Tree:
        found = watched(implementation.loss_and_grad, params(), *batch())
        return {"loss with the gradient": found[0], "grads": found[1]}

    def train_step() -> Tree:
        given = params()
        state = implementation.init_state(spec, given)
        X, y = batch()
        new, _, value = implementation.train_step(
            spec, given, state, X, y, task["learning_rate"], *masks()
        )
        return {"loss of the step": value, "updated": new}

    def watched(function: Callable[..., Tree], *given: Any) -> Tree:
        """The function's result; says so if it changed what it was given."""
        before = [implementation.to_numpy(argument) for argument in given]
        found = function(spec, *given, *masks())
        after = [implementation.to_numpy(argument) for argument in given]
        names = ("params", "X", "y")
        for name, old, new in zip(names, before, after, strict=False):
            if not _same(old, new):
                send({"task": task["id"], "function": current, "mutated": name})
        return found

    inexact = comparison.declared(implementation, spec)
    if inexact:
        send({"task": task["id"], "function": "accuracy", "accuracy": dict(inexact)})
    for function in (loss_and_grad, forward, loss, train_step):
        current = function.__name__
        if current in getattr(implementation, "lacks", ()):
            continue
        said = {"task": task["id"], "function": current}
        send({**said, "begin": True})
        try:
            results = function()
            implementation.synchronize([r for r in results.values() if r is not None])
            encoded = {name: encode(implementation.to_numpy(r)) for name, r in results.items()}
        except NotImplementedError as error:
            send({**said, "refused": _said(error)})
        except SystemExit as error:
            send({**said, "raised": f"it exits (SystemExit {error.code})"})
        except Exception as error:
            send({**said, "raised": f"it raises {_said(error)}"})
        else:
            send({**said, "results": encoded})


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, list | tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    return old is None or np.array_equal(old, new, equal_nan=True)


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


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
    spec = asdict(problem.spec)
    arrays = {name: encode(getattr(problem, name)) for name in ("params", "X", "y", "masks")}
    return {"name": problem.name, "spec": spec, **arrays}


def decode_problem(data: Message) -> Problem:
    """What `encode_problem` wrote."""
    spec = MLPSpec(**data["spec"])
    arrays = {name: decode(data[name]) for name in ("params", "X", "y", "masks")}
    return Problem(data["name"], spec, **arrays)
