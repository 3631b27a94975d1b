"""Calls of an implementation: what each of its functions gives on a problem, as NumPy arrays.

`call` makes one, in whatever process. The verifier has them made in a child (`main`) that gets one
request, an implementation and problems, and sends back what came out, whatever that is: the judging
is done where nothing of the implementation runs. People's own tests call in their own process.
"""

import contextlib
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.implementations.checking import processes, reference, steps
from samegrad.implementations.checking.comparison import Strange
from samegrad.implementations.checking.messages import (
    ARRAYS,
    CALLS,
    CallResult,
    decode_problem,
    encode_problem,
    encode_result,
)
from samegrad.implementations.checking.problems import Problem, other_batch
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import PLAIN, Implementation, as_numpy
from samegrad.implementations.contract.ranks import decided
from samegrad.implementations.contract.sources import place
from samegrad.implementations.contract.spec import MLPSpec, Tree, items, map_tree
from samegrad.implementations.contract.texts import in_one_line

Message = dict[str, Any]
FUNCTIONS = ("loss_and_grad", "forward", "loss", "train_step")  # in the order of the calls
COLUMNS = (
    "it takes examples in columns: forward is right for X (features, batch), W (fan_out, fan_in), "
    "b (fan_out, 1); the contract has rows, so transpose what comes in and what goes out"
)
# Seconds in which calls may be made again; of the first tasks they always are. Far more than a
# network in NumPy takes for all of them, far less than one number at a time would.
AGAIN_SECONDS, AGAIN_TASKS = 10.0, 3


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
    with warnings.catch_warnings():
        # Huge values overflow on purpose, and somebody's test suite may make errors of warnings.
        warnings.simplefilter("ignore")
        return _laid_out_call(function, implementation, problem, device, learning_rate, again)


def _laid_out_call(
    function: str,
    implementation: Implementation,
    problem: Problem,
    device: str,
    learning_rate: float,
    again: bool,
) -> CallResult:
    """A call that is made again in rows or columns, to say what a failure comes from."""
    result = _call(function, implementation, problem, device, learning_rate, again)
    if result.failure and problem.layout != "C":
        rows = replace(problem, layout="C")
        plain = _call(function, implementation, rows, device, learning_rate, again)
        if plain.results:
            return CallResult(function, not_supported=f"{problem.layout} order: {result.failure}")
    if result.failure and not result.results and takes_columns(implementation, problem):
        return replace(result, failure=f"{COLUMNS} (with rows {result.failure})")
    return result


def takes_columns(implementation: Implementation, problem: Problem) -> bool:
    """Whether `forward` of a file gives the right outputs for examples in columns."""
    if implementation.backend is not PLAIN or "forward" in implementation.lacks:
        return False
    p = problem
    params = [(W.T.copy(), None if b is None else b[:, None].copy()) for W, b in p.params]
    try:
        found = np.asarray(implementation.model.forward(p.spec, params, p.X.T.copy()))
        right = reference.outputs(p.spec, p.params, p.X)
        return found.shape == right.T.shape and np.allclose(found.T, right, rtol=1e-3, atol=1e-6)
    except (Exception, SystemExit):
        return False


def _call(
    function: str,
    implementation: Implementation,
    problem: Problem,
    device: str,
    learning_rate: float,
    again: bool,
) -> CallResult:
    results: list[dict[str, Tree]] = []
    mutated: list[str] = []
    marks: dict[str, Any] = {"mutated": mutated}
    try:
        run = _Calls(function, implementation, problem, device, learning_rate, mutated)
        first, raw = run.results(problem)
        marks["swapped"] = _is_swapped(first)
        results.append(first)
        if again and function == "train_step" and steps.wanted(problem):
            marks["chained"] = run.chained()
        elif again and function != "train_step":
            results.append(run.results(problem)[0])
            results.append(run.results(other_batch(problem))[0])
            marks["overwritten"] = [
                name for name, old in first.items() if not _same(old, run.arrays(raw)[name])
            ]
            results.append(run.results(problem)[0])
        marks["kinds"] = sorted(run.kinds)
    except (Exception, SystemExit) as error:
        if isinstance(error, NotImplementedError) and not results:
            marks["not_supported"] = in_one_line(error)
        else:
            exits = f"exits (SystemExit {error.code})" if isinstance(error, SystemExit) else ""
            which = f" in call {len(results) + 1}" if results else ""
            marks["failure"] = f"it {exits or 'raises ' + in_one_line(error)}{which}{place(error)}"
            marks["error"] = error
    if marks.get("swapped"):
        results = [_swapped(result) for result in results]
    made: dict[str, Any] = dict(zip(CALLS, results, strict=False))
    return CallResult(function, **made, **marks)


class Clock:
    """Whether there is time for a task, and for calls of it again; entered around each call."""

    def __init__(self, seconds: float | None = None, passes_per_parameter: int = 0) -> None:
        """Start.

        Args:
            seconds: for all tasks, or None for as long as it takes.
            passes_per_parameter: see Capabilities.
        """
        self.seconds, self.power = seconds, 2 if passes_per_parameter else 1
        self.spent = self._begun = self._longest = self._cost = 0.0
        self._warm = False

    def __enter__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, *_: object) -> None:
        took = time.monotonic() - self._begun
        if self._warm:
            self.spent += took
            self._longest = max(self._longest, took)
        self._warm = True  # the first call may import and compile

    def again(self, number: int) -> bool:
        """Whether to call again on the task of this number."""
        wanted = number < AGAIN_TASKS or self.spent < AGAIN_SECONDS
        return bool(decided(self.seconds is None and wanted))

    def allows(self, cost: float) -> bool:
        """Whether a task is predicted to fit: in proportion to its cost, from the longest call."""
        growth = max(1.0, cost / self._cost) if self._cost else 1.0
        self._cost = cost
        if self.seconds is None:
            return True
        return bool(decided(self.spent + self._longest * growth**self.power <= self.seconds))


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
        self.problem, self.learning_rate = problem, learning_rate
        self.params = implementation.params_from_numpy(problem.spec, problem.params, device)
        if implementation.backend is PLAIN:
            self.params = [(laid_out(W, problem.layout), b) for W, b in self.params]
        self.mutated = mutated
        self.kinds: set[str] = set()

    def results(self, problem: Problem) -> tuple[dict[str, Tree], dict[str, Tree]]:
        """What one call gave, as NumPy trees and as it came."""
        model, spec = self.implementation, problem.spec
        X, y, *masks = self._placed(problem)
        if self.function == "train_step":  # may update its params in place
            state = model.init_state(spec, self.params)
            step = model.train_step(spec, self.params, state, X, y, self.learning_rate, *masks)
            raw = {"loss of the step": step[2], "updated": step[0]}
        else:
            raw = self._called(spec, X, y, tuple(masks))
        model.synchronize([result for result in raw.values() if result is not None])
        return self.arrays(raw), raw

    def chained(self) -> Tree:
        """The params after several steps, from the first params and state on."""
        model, problem = self.implementation, self.problem
        params = model.params_from_numpy(problem.spec, problem.params, self.device)
        state = model.init_state(problem.spec, params)
        for batch in steps.batches(problem):
            arrays = self._placed(batch)
            rate = self.learning_rate / steps.SMALLER
            X, y, *masks = arrays
            params, state, _ = model.train_step(problem.spec, params, state, X, y, rate, *masks)
        return self.arrays({"updated": params})["updated"]

    def arrays(self, raw: dict[str, Tree]) -> dict[str, Tree]:
        """Results as NumPy trees of their own."""
        return {
            name: map_tree(self._fetched, self.implementation.to_numpy(result))
            for name, result in raw.items()
        }

    def _placed(self, problem: Problem) -> list[Any]:
        """X, y and the masks if there are any, on the device."""
        model, spec = self.implementation, problem.spec
        X, y = model.batch_from_numpy(spec, problem.X, problem.y, self.device)
        if model.backend is PLAIN:
            X = laid_out(X, problem.layout)
        if problem.masks is None:
            return [X, y]
        return [X, y, model.masks_from_numpy(spec, problem.masks, self.device)]

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
        if isinstance(array, ARRAYS) and np.asarray(array).dtype.kind in "fiubc":
            return array
        if isinstance(array, np.ndarray):
            return Strange(f"an array of {array.dtype}, shape {array.shape}")
        return Strange(f"a {type(array).__name__}")


def laid_out(array: Any, layout: str) -> Any:
    """The same matrix in another order of memory: "C", "F", or "strided" with gaps."""
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "strided":
        wider = np.zeros((len(array), 2 * array.shape[1]), array.dtype)
        wider[:, ::2] = array
        return wider[:, ::2]
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
    seconds: float | None = None,
) -> Message:
    """What a child is asked: (number, problem, learning rate) of each task.

    Args:
        seconds: what is predicted to take longer in all is left out; the tasks then come in the
            order of their cost, and each function is called once, steps of other rules in a chain.
    """
    return {
        "implementation": registry.absolute(implementation),
        "device": device,
        "precision": precision,
        "seconds": seconds,
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
        told = registry.BrokenImplementationError | registry.UnknownImplementationError
        loading = isinstance(error, told)
        send({"fault": str(error) if loading else in_one_line(error)})
        return
    lacks, others = list(implementation.lacks), list(implementation.others)
    send({"devices": devices, "dtypes": dtypes, "lacks": lacks, "others": others})
    device, precision = request["device"], request["precision"]
    ieee = precision == "ieee"
    clock = Clock(request["seconds"], implementation.capabilities.passes_per_parameter)
    try:
        fewer = implementation.capabilities.precision
        with contextlib.nullcontext() if ieee else fewer(precision, device):
            for task in request["tasks"] if device in devices else ():
                number, problem = task["task"], decode_problem(task["problem"])
                if problem.spec.dtype not in dtypes:
                    continue
                if not clock.allows(problem.spec.parameters * len(problem.X)):
                    send({"task": number, "left": True})
                    continue
                inexact = implementation.capabilities.accuracy(problem.spec)
                if inexact:
                    send({"task": number, "accuracy": inexact})
                for function in FUNCTIONS:
                    if function in implementation.lacks:
                        continue
                    send({"task": number, "begins": function})
                    with clock:
                        rate, rule = task["learning_rate"], problem.spec.optimizer
                        more = clock.again(number) or rule != "sgd"  # which shows in the chain
                        result = call(function, implementation, problem, device, rate, more)
                    send({"task": number, "result": encode_result(result)})
    except NotImplementedError as error:  # of the precision: a call's is a result of it
        send({"unavailable": str(error)})
    except (Exception, SystemExit) as error:  # of its accuracy
        send({"fault": in_one_line(error)})
        return
    send({"complete": True})
