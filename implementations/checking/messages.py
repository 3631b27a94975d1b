"""What goes between the verifier and the child that calls for it: problems and results.

All of it is plain data, so that whatever a file returns is one, too.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samegrad.implementations.checking.comparison import Strange
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.contract.spec import MLPSpec, Tree

Message = dict[str, Any]
LARGEST = 20_000_000  # entries of an array that is sent; what a network has is far smaller
DEEPEST = 30  # lists in lists that are sent; what a network has are two
CALLS = ("results", "second", "other", "last")  # of a function on a problem, in this order
ARRAYS = (np.ndarray, np.generic, float, int)


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
        chained: the params after `steps.STEPS` steps, of a `train_step`.
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
    chained: Tree = None
    overwritten: Sequence[str] = ()
    swapped: bool = False
    kinds: Sequence[str] = ()
    mutated: Sequence[str] = ()
    not_supported: str = ""
    failure: str = ""
    error: BaseException | None = None


def encode_result(result: CallResult) -> Message:
    """What a call gave as plain data, without the exception."""
    trees = {
        calls: {name: encode(tree) for name, tree in getattr(result, calls).items()}
        for calls in CALLS
    }
    return {**vars(result), **trees, "chained": encode(result.chained), "error": None}


def decode_result(data: Message) -> CallResult:
    """What a child sent of a call.

    Raises:
        Exception: one of `processes.SENSELESS`, it is no such result.
    """
    trees = {calls: {name: decode(tree) for name, tree in data[calls].items()} for calls in CALLS}
    result = CallResult(**{**data, **trees, "chained": decode(data["chained"])})
    texts = [result.function, result.not_supported, result.failure]
    texts += [*result.overwritten, *result.kinds, *result.mutated]
    if result.error is not None or not all(isinstance(text, str) for text in texts):
        raise ValueError("a result of which something is no text")
    return result


def encode(tree: Any, depth: int = 0) -> Any:
    """Any result as plain data; what is no array, number or nesting of them, by its type."""
    if tree is None:
        return None
    if isinstance(tree, Strange):
        return {"type": tree.kind}
    if isinstance(tree, list | tuple):
        kind = "list" if isinstance(tree, list) else "tuple"
        if depth == DEEPEST:
            return {"type": f"a {kind} in more than {DEEPEST} others"}
        return {kind: [encode(branch, depth + 1) for branch in tree]}
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
    name, layout = problem.name, problem.layout
    return {"name": name, "layout": layout, "spec": problem.spec.to_dict(), **arrays}


def decode_problem(data: Message) -> Problem:
    """What `encode_problem` wrote."""
    spec = MLPSpec.from_dict(data["spec"])
    arrays = {name: decode(data[name]) for name in ("params", "X", "y", "masks")}
    return Problem(data["name"], spec, layout=data["layout"], **arrays)
