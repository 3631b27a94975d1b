"""`verify`: is this gradient right, and if not, where is it wrong?

An implementation runs in a child process (`calls`) on small problems (`problems`); what
it gave is compared here with exact results (`exact`) or with what another implementation gave, so
nothing that a file does can change a verdict or end the verifier. People's own tests do the same
in their own process (`assertions`).
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from samegrad.implementations.checking import (
    calls,
    conventions,
    diagnosis,
    drawn,
    exact,
    patterns,
    problems,
    progress,
    reference,
    rules,
)
from samegrad.implementations.checking import lines as lines_at_fault
from samegrad.implementations.checking.comparison import PRECISIONS, as_float64, rounds
from samegrad.implementations.checking.execution import Execution, in_child
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.checking.report import Outcome, VerifyOptions, VerifyReport
from samegrad.implementations.contract import registry

DRAWN_SECONDS = 3.0  # of calls on drawn problems; all of them take a network in NumPy half a second
MOST_SECONDS = 1e9  # waiting for longer, or for ever, is no limit


def verify(
    implementation: str | Path,
    *,
    layers: Sequence[int] | None = None,
    batch_size: int = 6,
    activations: Sequence[str] | None = None,
    losses: Sequence[str] | None = None,
    output_activations: Sequence[str] | None = None,
    bias: bool | None = None,
    weight_decay: float | None = None,
    optimizer: str = "sgd",
    dtypes: Sequence[str] | None = None,
    device: str = "cpu",
    precision: str = "ieee",
    against: str | Path | None = None,
    seed: int | None = None,
    time_limit: float = 60.0,
    ranks: int = 1,
) -> VerifyReport:
    """Run an implementation on small networks in a process of its own and judge what it gives.

    Args:
        implementation: a name of the table (`samegrad.names("all")`), the path of a Python file,
            or a dotted module name. A file needs `loss_and_grad(spec, params, X, y)`.
        layers: features, hidden widths and outputs of one network; by default many small ones.
        batch_size: examples of the batch for `layers`.
        activations: only networks with these hidden activations.
        losses: only networks with these losses.
        output_activations: only networks with these.
        bias: only networks with biases, or without; None for both.
        weight_decay: only networks with this L2 coefficient.
        optimizer: the update rule of the step.
        dtypes: "float64", "float32"; by default both.
        device: where it runs, "cpu" or "cuda".
        precision: of float32 products: "ieee", "tf32" or "bfloat16".
        against: an implementation to compare with; by default exact results of 50 digits
            (float64 above 2,000 parameters).
        seed: of weights and batches, >= 0; by default 0 for the standard problems, and drawn for
            those that are drawn anew in every run.
        time_limit: seconds for loading and for each call.
        ranks: processes that compute together, of an implementation that shares a network out.

    Returns:
        A VerifyReport: `.verdict`, `.agrees`, `.reason`, `.to_dict()`, and as its str() a table
        with the error of each tensor, max|a - exact| / max|exact|, and its bound: 1e-12 in
        float64, 1e-5 in float32, or what an inexact implementation declares.

    Raises:
        ValueError: an argument is not accepted, or what it is compared against does not work.
    """
    name, other = str(implementation), None if against is None else str(against)
    for named in (name, other):
        if named is not None:
            registry.check_name(named)
    registry.check_ranks(name, ranks)
    if precision not in PRECISIONS:
        accepted = ", ".join(PRECISIONS)
        raise ValueError(f"precision {precision!r} is not known; accepted: {accepted}")
    if not 0 < time_limit < MOST_SECONDS:
        raise ValueError(
            f"time_limit {time_limit:g} is not accepted; give seconds above 0 and below "
            f"{MOST_SECONDS:g}"
        )
    selected = _selected(
        None if layers is None else tuple(layers),
        batch_size,
        *(None if some is None else tuple(some) for some in (activations, losses, dtypes)),
        weight_decay,
        optimizer,
        seed or 0,
        None if output_activations is None else tuple(output_activations),
        bias,
    )
    if precision != "ieee":
        selected = tuple(p for p in selected if p.spec.dtype == "float32")
    anew = secrets.randbelow(2**31) if seed is None else seed
    standard = layers is None and other is None and precision == "ieee" and ranks == 1
    more = anew if standard else None
    return verify_problems(
        name, VerifyOptions(selected, device, other, precision, time_limit, seed or 0, more, ranks)
    )


# The problems are the same objects for every implementation, so their exact results are, too.
_selected = lru_cache(maxsize=20)(problems.select)


def verify_problems(name: str, options: VerifyOptions) -> VerifyReport:
    """The verdict on an implementation from chosen problems, run in a child process.

    Raises:
        ValueError: `name` can mean nothing, or what is to be compared against does not work.
    """
    registry.check_name(name)

    def execute(
        chosen: Sequence[Problem],
        expected: Sequence[Expected | None],
        seconds: float | None = None,
    ) -> Execution:
        exactly = None if options.against or seconds is not None else _exact
        return in_child(name, chosen, expected, options, seconds, exactly)

    expected: list[Expected | None] = [of_reference(problem) for problem in options.problems]
    if options.against is not None:
        expected = _of_another(options.against, expected, options)

    def lines(problem: Problem) -> list[str]:
        here = options.device == "cpu" and options.against is None and options.ranks == 1
        return lines_at_fault.of_problem(name, problem, options.time_limit) if here else []

    label = registry.label(name) + (f" on {options.ranks} ranks" if options.ranks > 1 else "")
    return concluded(label, options, expected, execute, of_reference, lines)


def concluded(
    name: str,
    options: VerifyOptions,
    expected: Sequence[Expected | None],
    execute: Callable[..., Execution],
    right: Callable[[Problem], Expected],
    lines: Callable[[Problem], list[str]] = lambda _: [],
) -> VerifyReport:
    """Call the implementation and say what that shows: see VerifyReport's verdicts."""

    def called(chosen: Sequence[Problem]) -> list[Outcome]:
        """More problems, judged."""
        return execute(chosen, [right(problem) for problem in chosen]).outcomes

    execution = execute(options.problems, expected)
    outcomes = execution.outcomes
    missing = execution.missing(name, options.device)
    if missing:
        return VerifyReport(name, "unavailable", missing, options, outcomes)
    remarks = _remarks(execution, options)
    notes = [] if options.against else conventions.explain(outcomes, called)
    more = None if options.drawn is None else _drawn(execution, options.drawn, execute)
    if more is not None:
        more.outcomes, other_rules = rules.claimed(more.outcomes)
        remarks += [other_rules] if other_rules else []
        outcomes = [*outcomes, *more.outcomes]
        execution = replace(more, outcomes=outcomes)
        notes = conventions.explain(outcomes, called)
        remarks.append(_of_drawn(more, options.drawn))
    wrong = [outcome for outcome in outcomes if outcome.status == "disagree"]
    failed = [outcome for outcome in outcomes if outcome.status in ("failed", "undecided")]
    unsure = [outcome for outcome in outcomes if outcome.unsure]
    columns = [outcome.reason for outcome in outcomes if calls.COLUMNS in outcome.reason]
    so_far = "" if execution.fault else progress.so_far(outcomes, execution.lacks)
    verdict, reason, sentences = "agrees", "", []
    if columns:
        verdict, reason = "not checked", columns[0]
    elif wrong:
        verdict = "disagrees"
        reason = next((o for o in wrong if o.mutations or o.faults), wrong[0]).reason
        sentences = _diagnosis(options, outcomes, execute, right, lines)
        remarks += [so_far] if so_far else []
    elif unsure:
        verdict, reason = "undecided", unsure[0].reason
    elif so_far:
        verdict, reason = "not checked", so_far
    elif failed or execution.fault:
        verdict = "not checked"
        reason = failed[0].reason if failed else execution.fault
        agreed = [outcome for outcome in outcomes if outcome.status == "agree"]
        sentences = patterns.alone(failed, agreed, raises=True)
    elif not any(outcome.shows_gradient for outcome in outcomes):
        verdict = "not checked"
        reason = "nothing could be checked: no problem gave a gradient"
    elif options.precision != "ieee" and not rounds(
        tensor for outcome in outcomes for tensor in outcome.comparison.tensors
    ):
        verdict = "unavailable"
        reason = f"precision {options.precision} has no effect: products are IEEE float32"
    return VerifyReport(name, verdict, reason, options, outcomes, notes, remarks, sentences)


def _drawn(
    execution: Execution, seed: int | None, execute: Callable[..., Execution]
) -> Execution | None:
    """More problems of the kinds that are accepted, where nothing is wrong so far."""
    states = {outcome.status for outcome in execution.outcomes}
    accepted = [
        o.problem
        for o in execution.outcomes
        if o.status == "agree" and o.shows_gradient and not o.accuracy
    ]
    if seed is None or execution.fault or not accepted or states - {"agree", "not supported"}:
        return None
    chosen = [*drawn.problems(accepted, seed), *rules.problems(execution.outcomes)]
    chosen.sort(key=drawn.cost)
    return execute(chosen, [of_reference(problem) for problem in chosen], DRAWN_SECONDS)


def _of_drawn(more: Execution, seed: int | None) -> str:
    """How many were drawn, how to draw them again, and what was left out."""
    refused = [o.not_supported for o in more.outcomes if o.status == "not supported"]
    why = next((text for reasons in refused for text in reasons.values()), "no reason")
    tried = len(more.outcomes) - len(refused)
    text = f"{tried} more problems were drawn for this run; --seed {seed} draws them again"
    text += f"; {len(refused)} others are not supported ({why})" if refused else ""
    return text + (f"; {more.left} were left out, for time" if more.left else "")


def _of_another(
    name: str, exact_results: Sequence[Expected | None], options: VerifyOptions
) -> list[Expected | None]:
    """What another implementation gave, as what is right; None where it gave no gradient."""
    alone = replace(options, against=None, ranks=1)
    execution = in_child(name, options.problems, exact_results, alone)
    wrong = execution.fault or execution.missing(name, options.device)
    if wrong:
        raise ValueError(f"against {name}: {wrong}")
    right: list[Expected | None] = []
    for outcome, answer in zip(execution.outcomes, exact_results, strict=True):
        results = outcome.results
        if answer is None or "grads" not in results or outcome.mutations or outcome.failures:
            right.append(None)
            continue
        right.append(
            Expected(
                results.get("outputs", as_float64(answer.outputs)),
                results["loss with the gradient"],
                results["grads"],
                None,
                answer.learning_rate,
                results.get("updated", answer.updated),
            )
        )
    if not any(answer is not None for answer in right):
        raise ValueError(f"against {name}: it gives no gradient on any of these problems")
    return right


@lru_cache(maxsize=1000)
def _exact(problem: Problem) -> Expected:
    """Exact results where the network is small and digits count, else the reference's."""
    p = problem
    if p.spec.dtype == "float32" or p.spec.parameters > exact.MOST_PARAMETERS:
        return of_reference(problem)
    return exact.expected(p.spec, p.params, p.X, p.y, p.masks)


@lru_cache(maxsize=1000)
def of_reference(problem: Problem) -> Expected:
    """The float64 reference's results."""
    p = problem
    return reference.expected(p.spec, p.params, p.X, p.y, p.masks)


def _remarks(execution: Execution, options: VerifyOptions) -> list[str]:
    """What was not checked, and why."""
    remarks = []
    outcomes = execution.outcomes
    lacks = [name for name in execution.lacks if name != "init_state"]
    if lacks:
        remarks.append(f"not in the file, not checked: {', '.join(lacks)}")
    if execution.others:
        names = ", ".join(execution.others)
        remarks.append(f"passed over, the file's own by its arguments: {names}")
    for kind in sorted({kind for o in outcomes for call in o.calls for kind in call.kinds}):
        package = kind.removesuffix("lib")
        remarks.append(f"what it gives are arrays of {package}: fetched as NumPy's")
    for dtype in dict.fromkeys(outcome.problem.spec.dtype for outcome in outcomes):
        if execution.dtypes and dtype not in execution.dtypes:
            remarks += [f"{dtype}: not offered (has: {', '.join(execution.dtypes)})"]
    labels: dict[str, list[str]] = {}
    for outcome in outcomes:
        for reason in dict.fromkeys(outcome.not_supported.values()):
            labels.setdefault(reason, []).append(outcome.problem.label)
    for reason, where in labels.items():
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        remarks.append(f"not supported: {reason} ({where[0]}{more})")
    if execution.stopped:
        left = sum(1 for outcome in outcomes if outcome.status == "not supported")
        remarks.append(f"not tried after that: {left} problems")
    if any(outcome.accuracy for outcome in outcomes):
        remarks.append("inexact by its own declaration; the bound is the declared one")
    if options.against is not None:
        remarks.append(f"compared with {options.against}, bounds doubled: both sides round")
    return remarks


def _diagnosis(
    options: VerifyOptions,
    outcomes: Sequence[Outcome],
    execute: Callable[..., Execution],
    right: Callable[[Problem], Expected],
    lines: Callable[[Problem], list[str]],
) -> list[str]:
    """Where the fault is likely to be; the implementation is called on simpler problems for it."""

    def _only_state(outcome: Outcome) -> bool:
        """Whether it is no number of a first call that is wrong."""
        return bool(outcome.mutations) or (
            not outcome.comparison.disagrees and bool(outcome.faults)
        )

    def of_status(status: str) -> list[Outcome]:
        return [o for o in outcomes if o.status == status and o.expected and not _only_state(o)]

    failed = of_status("disagree")
    if not failed:
        return []
    float64 = [outcome for outcome in failed if outcome.problem.spec.dtype == "float64"]
    failed = float64 or failed  # the same fault shows clearer with more digits
    dtype = failed[0].problem.spec.dtype
    passed = [o for o in of_status("agree") if o.problem.spec.dtype == dtype or not float64]
    simpler = problems.probes(diagnosis.simplest(failed).problem, options.seed)
    agreement: dict[str, bool | None] = {}
    if options.against is None:
        chosen = list(simpler.values())
        executed = execute(chosen, [right(problem) for problem in chosen])
        known = {"agree": True, "disagree": False}
        agreement = {
            probe: known.get(outcome.status)
            for probe, outcome in zip(simpler, executed.outcomes, strict=True)
        }
    named = lines(diagnosis.simplest(failed).problem)
    return [*named, *diagnosis.explain(failed, passed, agreement)]
