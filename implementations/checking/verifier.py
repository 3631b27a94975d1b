"""`python -m samegrad verify`: is this gradient right, and if not, where is it wrong?

Each implementation runs in a child process (`child`) on small problems (`problems`); what it
found is compared here with exact results (`oracle`) or with what another implementation found, so
nothing that a file does can change a verdict or end the verifier.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from samegrad.implementations.checking import (
    diagnosis,
    problems,
    processes,
    reference,
    verify_process,
)
from samegrad.implementations.checking.comparison import (
    PRECISIONS,
    Comparison,
    TensorCheck,
    as_float64,
    bound,
    judge,
    rounds,
)
from samegrad.implementations.checking.diagnosis import Attempt
from samegrad.implementations.checking.problems import AT_THE_KINK, Problem
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.trees import Tree

STATES = ("agree", "disagree", "not supported")


@dataclass(frozen=True)
class Options:
    """What is verified, and how.

    Attributes:
        problems: in every dtype asked for.
        against: an implementation to compare with instead of the exact results, or None.
        precision: "ieee", or "tf32" or "bfloat16" for the products of a float32 network.
        time_limit: seconds for loading and for each call.
    """

    problems: Sequence[Problem]
    device: str = "cpu"
    against: str | None = None
    precision: str = "ieee"
    time_limit: float = 60.0
    seed: int = 0


@dataclass
class Outcome:
    """What came of one problem: verdicts by function, or why there are none."""

    problem: Problem
    results: dict[str, Tree] = field(default_factory=dict)
    comparison: Comparison = field(default_factory=lambda: Comparison(()))
    refused: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    accuracy: Mapping[str, float] | None = None
    expected: Expected | None = None

    @property
    def status(self) -> str:
        """One of STATES."""
        if self.faults or any(tensor.reason for tensor in self.comparison.tensors):
            return "disagree"
        # Outputs alone are no agreement: it is gradients that are verified.
        return "agree" if self.shows_gradient else "not supported"

    @property
    def shows_gradient(self) -> bool:
        """Whether every gradient was seen: as such, or in a step of sgd, which is made of it.

        At the reference's learning rate each update is at least four times its tensor.
        """
        step = "updated" in self.results and self.problem.spec.optimizer == "sgd"
        return "grads" in self.results or step

    def judge(self, expected: Expected, options: Options) -> None:
        """Compare what was found; results of two inexact sides may differ by both errors."""
        dtype = self.problem.spec.dtype
        everywhere: dict[str, float] | None = None
        if options.precision != "ieee":
            everywhere = {dtype: PRECISIONS[options.precision]}
        if options.against is not None:
            everywhere = {dtype: 2 * bound(dtype, everywhere)}
        self.expected = expected
        if self.accuracy and self.problem.name == AT_THE_KINK:
            self.results.pop("grads", None)
            self.results.pop("updated", None)
            self.refused["loss_and_grad"] = "differences of the loss have no answer at a kink"
        self.comparison = judge(
            self.problem.spec, expected, self.results, self.accuracy, everywhere
        )


@dataclass
class Report:
    """The verdict on one implementation.

    Attributes:
        verdict: "agrees", "disagrees", or "unavailable" if its framework is not installed.
        reason: one line, empty where it agrees.
        outcomes: one per problem that was tried.
        notes: what was not checked, and why.
        diagnosis: where the fault is likely to be.
    """

    name: str
    verdict: str
    reason: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    diagnosis: list[str] = field(default_factory=list)


def verify(name: str, options: Options) -> Report:
    """Run one implementation on the problems and judge what it found.

    Raises:
        ValueError: `name` can mean nothing, or what is to be compared against does not work.
    """
    registry.check_name(name)
    tried = list(options.problems)
    expected: list[Expected | None] = [_exact(problem) for problem in tried]
    if options.against is not None:
        expected = _of_another(options.against, tried, expected, options)
    outcomes, said = run(name, tried, expected, options)
    report = Report(registry.label(name), "disagrees", outcomes=outcomes)
    if "unavailable" in said:
        report.verdict, report.reason = "unavailable", said["unavailable"]
        return report
    report.notes = _notes(said, outcomes, options)
    failed = [outcome for outcome in outcomes if outcome.status == "disagree"]
    if "fault" in said:
        report.reason = said["fault"]
    elif failed:
        first = next((outcome for outcome in failed if outcome.faults), failed[0])
        what = first.faults[0] if first.faults else first.comparison.reason
        report.reason = f"{what} [{first.problem.spec.dtype} {first.problem.label}]"
        report.diagnosis = _diagnose(name, options, outcomes)
    elif not any(outcome.shows_gradient for outcome in outcomes):
        report.reason = "nothing could be checked: no problem gave a gradient"
    elif options.precision != "ieee" and not rounds(
        tensor for outcome in outcomes for tensor in outcome.comparison.tensors
    ):
        report.verdict = "unavailable"
        report.reason = f"precision {options.precision} has no effect: products are IEEE float32"
    else:
        report.verdict = "agrees"
    return report


def run(
    name: str, tried: Sequence[Problem], expected: Sequence[Expected | None], options: Options
) -> tuple[list[Outcome], dict[str, Any]]:
    """The outcome of each problem in a child process, and what was said of the whole.

    Returns:
        outcomes, and a dict with "dtypes", "devices", "lacks", and with "fault", "stopped" or
        "unavailable" if there is something to say that concerns no single problem.
    """
    outcomes = [Outcome(problem) for problem in tried]
    said: dict[str, Any] = {}
    function, current = "loading", None  # what is in flight

    def on_message(message: dict[str, Any]) -> float | None:
        nonlocal function, current
        if "task" not in message:
            said.update(message)
            function, current = "between calls", None
            return None
        outcome, called = outcomes[message["task"]], message["function"]
        if "begin" in message:
            function, current = called, outcome
        if "accuracy" in message:
            outcome.accuracy = message["accuracy"]
        if "refused" in message:
            outcome.refused[called] = message["refused"]
        if "raised" in message:
            outcome.faults.append(f"{called}: {message['raised']}")
        if "mutated" in message:
            outcome.faults.append(f"{called}: it changes its argument {message['mutated']}")
        for key, value in message.get("results", {}).items():
            outcome.results[key] = verify_process.decode(value)
        return None

    request = {
        "implementation": registry.absolute(name),
        "device": options.device,
        "precision": options.precision,
        "tasks": [
            {
                "id": i,
                "problem": verify_process.encode_problem(problem),
                "learning_rate": answer.learning_rate,
            }
            for i, (problem, answer) in enumerate(zip(tried, expected, strict=True))
            if answer is not None
        ],
    }
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    ended = processes.run_child(
        verify_process.command(), request, environment, on_message, options.time_limit
    )
    if "broken" in said:
        said["fault"] = said["broken"]
    elif "devices" in said and options.device not in said["devices"]:
        said["unavailable"] = (
            f"device {options.device!r} is not available to {name} "
            f"(has: {', '.join(said['devices'])})"
        )
    elif "complete" not in said:
        how = "hangs: " if ended.kind == "timeout" else "ends the process: "
        text = f"{function}: it {how}{ended.reason or 'exit status 0'}"
        if current is None:
            said["fault"] = text
        else:
            current.faults.append(text)
            said["stopped"] = text
    for outcome, answer in zip(outcomes, expected, strict=True):
        if answer is not None:
            outcome.judge(answer, options)
    return outcomes, said


def _of_another(
    name: str, tried: Sequence[Problem], exact: Sequence[Expected | None], options: Options
) -> list[Expected | None]:
    """What another implementation found, as what is expected; None where it has no gradient."""
    outcomes, said = run(name, tried, exact, replace(options, against=None))
    wrong = said.get("fault") or said.get("stopped") or said.get("unavailable")
    if wrong:
        raise ValueError(f"--against {name}: {wrong}")
    found: list[Expected | None] = []
    for outcome, answer in zip(outcomes, exact, strict=True):
        got = outcome.results
        if answer is None or "grads" not in got or outcome.faults:
            found.append(None)
            continue
        found.append(
            Expected(
                got.get("outputs", as_float64(answer.outputs)),
                got["loss with the gradient"],
                got["grads"],
                None,
                answer.learning_rate,
                got.get("updated", answer.updated),
            )
        )
    if not any(answer is not None for answer in found):
        raise ValueError(f"--against {name}: it gives no gradient on any of these problems")
    return found


@lru_cache(maxsize=1000)
def _exact(problem: Problem) -> Expected:
    """Exact results where mpmath is there and the network is small, else the reference's."""
    p = problem
    try:
        from samegrad.implementations.checking import exact as oracle
    except ImportError:
        return reference.expected(p.spec, p.params, p.X, p.y, p.masks)
    if p.spec.parameters > oracle.MOST_PARAMETERS:
        return reference.expected(p.spec, p.params, p.X, p.y, p.masks)
    return oracle.expected(p.spec, p.params, p.X, p.y, p.masks)


def _notes(said: Mapping[str, Any], outcomes: Sequence[Outcome], options: Options) -> list[str]:
    """What was not checked, and why: said, and not failed."""
    notes = []
    lacks = [name for name in said.get("lacks", ()) if name != "init_state"]
    if lacks:
        notes.append(f"not in the file, not checked: {', '.join(lacks)}")
    for dtype in dict.fromkeys(outcome.problem.spec.dtype for outcome in outcomes):
        if dtype not in said.get("dtypes", (dtype,)):
            notes += [f"{dtype}: not offered (has: {', '.join(said['dtypes'])})"]
    refused: dict[str, list[str]] = {}
    for outcome in outcomes:
        for reason in dict.fromkeys(outcome.refused.values()):
            refused.setdefault(reason, []).append(outcome.problem.label)
    for reason, where in refused.items():
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        notes.append(f"not supported: {reason} ({where[0]}{more})")
    if said.get("stopped"):
        left = sum(1 for outcome in outcomes if outcome.status == "not supported")
        notes.append(f"not tried after that: {left} problems")
    if any(outcome.accuracy for outcome in outcomes):
        notes.append("inexact by its own declaration; the bound is the declared one")
    if options.against is not None:
        notes.append(f"compared with {options.against}, bounds doubled: both sides round")
    return notes


def _diagnose(name: str, options: Options, outcomes: Sequence[Outcome]) -> list[str]:
    """Where the fault is likely to be; probes are run for it."""

    def attempts(wanted: str) -> list[Attempt]:
        return [
            Attempt(o.problem, _rounded(o.expected), o.results, o.comparison)
            for o in outcomes
            if o.status == wanted and o.expected is not None and not o.faults
        ]

    failed = attempts("disagree")
    if not failed:
        return []
    exact = [attempt for attempt in failed if attempt.problem.spec.dtype == "float64"]
    failed = exact or failed  # the same fault shows clearer with more digits
    dtype = failed[0].problem.spec.dtype
    passed = [a for a in attempts("agree") if a.problem.spec.dtype == dtype or not exact]
    main = diagnosis.simplest(failed)
    tried = problems.probes(main.problem, options.seed)
    probed: dict[str, bool | None] = {}
    if options.against is None:
        answers = [_exact(problem) for problem in tried.values()]
        found, _ = run(name, list(tried.values()), answers, options)
        probed = {
            probe: None if outcome.status == "not supported" else outcome.status == "agree"
            for probe, outcome in zip(tried, found, strict=True)
        }
    return diagnosis.explain(failed, passed, probed)


def _rounded(expected: Expected) -> Expected:
    return replace(
        expected,
        outputs=as_float64(expected.outputs),
        loss=float(expected.loss),
        grads=as_float64(expected.grads),
    )


def worst(outcomes: Sequence[Outcome], dtype: str) -> list[tuple[TensorCheck, Outcome]]:
    """Per tensor name the check that disagrees, or else the one nearest to its bound."""
    found: dict[str, tuple[TensorCheck, Outcome]] = {}

    def key(pair: tuple[TensorCheck, Outcome]) -> tuple[bool, float]:
        return pair[0].reason is not None, pair[0].percent_of_bound or 0.0

    for outcome in outcomes:
        if outcome.problem.spec.dtype == dtype:
            for tensor in outcome.comparison.tensors:
                pair = (tensor, outcome)
                found[tensor.name] = max(found.get(tensor.name, pair), pair, key=key)
    first = ["outputs", "loss", "loss with the gradient", "loss of the step"]

    def position(name: str) -> tuple[Any, ...]:
        place = first.index(name) if name in first else len(first)
        layer = "".join(c for c in name if c.isdigit())
        return place, "step" in name, layer.rjust(3), name

    return [found[name] for name in sorted(found, key=position)]
