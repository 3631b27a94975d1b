"""An implementation called on problems in a child process, and judged here.

Nothing that a file does can change a verdict or end the verifier: it runs elsewhere.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from samegrad.implementations.checking import calls, processes
from samegrad.implementations.checking.messages import decode_result
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.checking.report import Outcome, VerifyOptions
from samegrad.implementations.contract.adapter import unavailable

# of an Execution, as a child sends them
FIELDS = ("devices", "dtypes", "lacks", "others", "complete", "fault", "unavailable")


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
    left: set[int] = set()

    def on_message(message: dict[str, Any]) -> None:
        nonlocal function, current
        if "task" not in message:
            for field in FIELDS:
                setattr(execution, field, message.get(field, getattr(execution, field)))
            function, current = "between calls", None
            return
        outcome = outcomes[message["task"]]
        if "begins" in message:
            function, current = message["begins"], outcome
        if "left" in message:
            left.add(message["task"])
        if "accuracy" in message:
            outcome.accuracy = message["accuracy"]
        if "result" in message:
            outcome.add(decode_result(message["result"]))

    tasks = [
        (number, problem, answer.learning_rate)
        for number, (problem, answer) in enumerate(zip(chosen, expected, strict=True))
        if answer is not None
    ]
    ended = processes.run_child(
        processes.python_child("samegrad.implementations.checking.calls"),
        calls.request(name, options.device, options.precision, tasks, seconds),
        {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        on_message,
        options.time_limit,
    )
    if not (execution.complete or execution.fault or execution.unavailable):
        how = "hangs: " if ended.kind == "timeout" else "ends the process: "
        execution.fault = f"{function}: it {how}{ended.reason or 'exit status 0'}"
        execution.stopped = current is not None
        if current is not None:
            current.failures.append(execution.fault)
    for outcome, answer in zip(outcomes, expected, strict=True):
        if answer is not None:
            outcome.judge(
                exactly(outcome.problem) if exactly and outcome.results else answer, options
            )
    execution.left = len(left)
    execution.outcomes = [o for number, o in enumerate(outcomes) if number not in left]
    return execution
