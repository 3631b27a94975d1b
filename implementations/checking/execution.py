"""An implementation called on problems in a child process or in this one, and judged here.

In a child nothing that a file does can change a verdict or end the verifier.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from samegrad.implementations.checking import calls, launch, processes
from samegrad.implementations.checking.messages import decode_result
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.checking.report import Outcome, VerifyOptions
from samegrad.implementations.contract.adapter import Implementation, unavailable
from samegrad.implementations.contract.protocol import declared
from samegrad.implementations.contract.texts import in_one_line

# of an Execution, as a child sends them
LISTS, TEXTS = ("devices", "dtypes", "lacks", "others"), ("fault", "unavailable")
FIELDS = {"complete": bool, **dict.fromkeys(LISTS, list), **dict.fromkeys(TEXTS, str)}


@dataclass
class Execution:
    """What came of calling an implementation on problems.

    Attributes:
        outcomes: one per problem, judged.
        devices, dtypes: those that the implementation has; empty if it was not loaded.
        lacks: the functions that it does not define.
        others: those of its own that have the name of one of ours.
        left: how many problems there was no time for.
        complete: whether everything was called.
        fault: why nothing could be called, or nothing more after it; "" if everything was.
        stopped: whether the fault is that of a call, after which nothing was tried.
        unavailable: why it cannot run here at all, or "".
    """

    outcomes: list[Outcome]
    devices: Sequence[str] = ()
    dtypes: Sequence[str] = ()
    lacks: Sequence[str] = ()
    others: Sequence[str] = ()
    left: int = 0
    complete: bool = False
    fault: str = ""
    stopped: bool = False
    unavailable: str = ""

    def take(self, message: dict[str, Any]) -> None:
        """Take what a child says of itself; it says each thing once.

        Raises:
            KeyError, ValueError: it is none of FIELDS, or not for the first time.
        """
        for name, value in message.items():
            texts = value if isinstance(value, list) else []
            form = type(value) is FIELDS[name] and all(isinstance(text, str) for text in texts)
            if not form or getattr(self, name):
                raise ValueError(f"{name}: {value!r:.40}")
            setattr(self, name, value)

    def missing(self, name: str, device: str) -> str:
        """Why it cannot run here on a device, or ""."""
        if not self.devices:
            return self.unavailable
        return unavailable("device", device, name, self.devices) or self.unavailable


def in_child(
    name: str,
    chosen: Sequence[Problem],
    expected: Sequence[Expected | None],
    options: VerifyOptions,
    seconds: float | None = None,
    exactly: Callable[[Problem], Expected] | None = None,
) -> Execution:
    """Call an implementation on problems in a child process; those without a result are left.

    Args:
        name: of the implementation.
        chosen: the problems; with `seconds`, in the order of their cost.
        expected: what is right of each; None leaves a problem out.
        options: where it runs, and with what limits.
        seconds: for all of them, or None for as long as it takes; what is predicted not to fit is
            counted in `left` and has no outcome.
        exactly: what is right in more digits, of the problems on which it gave something.
    """
    outcomes = [Outcome(problem) for problem in chosen]
    execution = Execution(outcomes)
    function, current = "loading", None  # what is in flight
    left, begun = set[int](), set[tuple[int, str]]()

    def on_message(message: dict[str, Any]) -> float | None:
        nonlocal function, current
        if "task" not in message:
            function, current, loaded = "between calls", None, bool(execution.devices)
            execution.take(message)
            return options.time_limit if execution.devices and not loaded else None
        number = message["task"]
        if number not in range(len(outcomes)):
            raise ValueError(f"there is no task {number!r:.40}")
        outcome = outcomes[number]
        if "begins" in message:
            function, current = message["begins"], outcome
            if function not in calls.FUNCTIONS or (number, function) in begun:
                raise ValueError(f"{function!r:.40} was not asked for")
            begun.add((number, function))
            return options.time_limit
        if "left" in message:
            left.add(number)
        if "accuracy" in message:
            outcome.accuracy = declared(message["accuracy"])
        if "result" in message:
            result = decode_result(message["result"])
            if (current, function) != (outcome, result.function):
                raise ValueError("a result that was not asked for")
            outcome.add(result)
            function, current = "between calls", None
            return options.time_limit
        return None

    tasks = [
        (number, problem, answer.learning_rate)
        for number, (problem, answer) in enumerate(zip(chosen, expected, strict=True))
        if answer is not None
    ]
    ended = processes.run_child(
        launch.command("samegrad.implementations.checking.calls", ranks=options.ranks),
        calls.request(name, options.device, options.precision, tasks, seconds),
        {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        on_message,
        options.time_limit,
        doing=f"calling the functions of {name}",
    )
    said = execution.complete or execution.fault or execution.unavailable
    if ended.kind != "ok" or not said:
        how = "hangs: " if ended.kind == "timeout" else "ends the process: "
        execution.fault = f"{function}: it {how}{ended.reason or 'exit status 0'}"
        execution.stopped = current is not None
        if current is not None:
            current.failures.append(execution.fault)
    for outcome, answer in zip(outcomes, expected, strict=True):
        if answer is None:
            continue
        right = exactly(outcome.problem) if exactly and outcome.results else answer
        try:
            outcome.judge(right, options)
        except processes.SENSELESS as error:  # a file can have any results sent
            outcome.failures.append(f"what it gave cannot be judged: {in_one_line(error)}")
    execution.left = len(left)
    execution.outcomes = [o for number, o in enumerate(outcomes) if number not in left]
    return execution


def in_process(
    implementation: Implementation,
    chosen: Sequence[Problem],
    expected: Sequence[Expected | None],
    options: VerifyOptions,
    seconds: float | None = None,
    functions: Sequence[str] = calls.FUNCTIONS,
) -> Execution:
    """Call an implementation on problems in this process: what hangs or exits takes it along.

    Args:
        implementation: loaded.
        chosen, expected, options, seconds: as of `in_child`.
        functions: those that are called.
    """
    outcomes = [Outcome(problem) for problem in chosen]
    execution = Execution(
        outcomes,
        implementation.devices(),
        implementation.dtypes,
        implementation.lacks,
        implementation.others,
        complete=True,
    )
    clock = calls.Clock(seconds, implementation.capabilities.passes_per_parameter)
    left = []
    for number, (outcome, right) in enumerate(zip(outcomes, expected, strict=True)):
        problem = outcome.problem
        usable = options.device in execution.devices and problem.spec.dtype in execution.dtypes
        if right is None or not usable:
            continue
        if not clock.allows(problem.spec.parameters * len(problem.X)):
            left.append(outcome)
            continue
        outcome.accuracy = implementation.capabilities.accuracy(problem.spec)
        for function in functions:
            if function not in implementation.lacks:
                with clock:
                    rate = right.learning_rate
                    more = clock.again(number) or problem.spec.optimizer != "sgd"
                    outcome.add(
                        calls.call(function, implementation, problem, options.device, rate, more)
                    )
        outcome.judge(right, options)
    execution.left = len(left)
    execution.outcomes = [outcome for outcome in outcomes if outcome not in left]
    return execution
