"""One call of a function of an implementation on a problem: what came out, as NumPy arrays.

Whoever judges an implementation calls it by this: the verifier in a child process, people's tests
in their own.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import Tree

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
    mutated: tuple[str, ...] = ()
    not_supported: str = ""
    failure: str = ""
    error: BaseException | None = None


def functions_of(implementation: Any) -> tuple[str, ...]:
    """Those of FUNCTIONS that an implementation defines."""
    lacks = implementation.lacks
    return tuple(function for function in FUNCTIONS if function not in lacks)


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
