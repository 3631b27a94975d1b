"""What verification says of an implementation: a verdict, the evidence for it, and both as text.

Wrong and not checked are two things. DISAGREES says that a number, a shape or an argument differs
from what it has to be; UNDECIDED, that nothing can be said of what was compared; NOT CHECKED, that
there was no number to compare, and why. A convention that differs from ours is a note.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from samegrad.implementations.checking import reference, repeats, steps, tables
from samegrad.implementations.checking.comparison import (
    PRECISIONS,
    Comparison,
    as_float64,
    bound,
    judge,
)
from samegrad.implementations.checking.messages import CallResult
from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.problems import AT_THE_KINK, Problem, other_batch
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.contract import columns
from samegrad.implementations.contract.spec import Params, Tree
from samegrad.implementations.contract.texts import clean

VERDICTS = ("agrees", "disagrees", "undecided", "not checked", "unavailable")
STATES = ("agree", "disagree", "failed", "undecided", "not supported")


@dataclass(frozen=True)
class VerifyOptions:
    """What is verified, and how.

    Attributes:
        problems: in every dtype asked for.
        device: where the implementation runs.
        against: an implementation to compare with instead of the exact results, or None.
        precision: "ieee", or "tf32" or "bfloat16" for the products of a float32 network.
        time_limit: seconds for loading and for each call.
        seed: of the problems that a diagnosis draws.
        drawn: seed of more problems, of the kinds that the implementation accepts, or None.
        ranks: processes that compute each problem together.
    """

    problems: Sequence[Problem]
    device: str = "cpu"
    against: str | None = None
    precision: str = "ieee"
    time_limit: float = 60.0
    seed: int = 0
    drawn: int | None = None
    ranks: int = 1


@dataclass(eq=False)  # one and the same or not: arrays have no ==
class Outcome:
    """What an implementation gave on one problem, and how that compares with what is right.

    Attributes:
        problem: the network and its batch.
        results: NumPy trees by the names that `comparison.judge` knows.
        comparison: their verdicts, tensor by tensor.
        plain: the comparison with ours, whatever convention it keeps to.
        not_supported: by function, why it does not support the problem.
        failures: "function: it raises ...", of calls that gave nothing.
        mutations: "function: it changes its argument ...".
        faults: "function: gradients add up over calls ...", "function: it returns (grads, loss)".
        unsure: why nothing can be said of what it gave, or "".
        calls: what each function gave.
        error: the first exception behind a failure, if it was raised in this process.
        accuracy: the bounds per dtype that an inexact implementation declares, or None.
        bounds: other ones than the standard, or None.
        expected: what is right: exact numbers, float64, or what another implementation gave.
    """

    problem: Problem
    results: dict[str, Tree] = field(default_factory=dict)
    comparison: Comparison = field(default_factory=lambda: Comparison(()))
    plain: Comparison = field(default_factory=lambda: Comparison(()))
    not_supported: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    mutations: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unsure: str = ""
    calls: list[CallResult] = field(default_factory=list)
    error: BaseException | None = None
    accuracy: Mapping[str, float] | None = None
    bounds: Mapping[str, float] | None = None
    expected: Expected | None = None

    @property
    def status(self) -> str:
        """One of STATES."""
        if self.mutations or self.faults:
            return "disagree"
        if self.unsure:
            return "undecided"
        if self.comparison.disagrees:
            return "disagree"
        if self.failures:
            return "failed"
        if any(tensor.undecided for tensor in self.comparison.tensors):
            return "undecided"
        # Outputs alone are no agreement: it is gradients that are verified.
        return "agree" if self.shows_gradient else "not supported"

    @property
    def shows_gradient(self) -> bool:
        """Whether every gradient was seen: as such, or in a step of sgd, which is made of it.

        At the reference's learning rate each update is at least four times its tensor.
        """
        step = "updated" in self.results and self.problem.spec.optimizer == "sgd"
        return "grads" in self.results or step

    @property
    def reason(self) -> str:
        """What is wrong with it, in one line that names the problem; empty if nothing is."""
        differs = [self.comparison.reason] if self.comparison.tensors else []
        said = [*self.mutations, *self.faults, self.unsure, *differs, *self.failures]
        what = next(filter(None, said), "")
        return f"{what} [{self.problem.spec.dtype} {self.problem.label}]" if what else ""

    @cached_property
    def reference(self) -> Expected:
        """What is right, in float64."""
        assert self.expected is not None
        return replace(
            self.expected,
            outputs=as_float64(self.expected.outputs),
            loss=float(self.expected.loss),
            grads=as_float64(self.expected.grads),
        )

    def add(self, result: CallResult) -> None:
        """Take what one call gave."""
        function = result.function
        self.calls.append(result)
        self.results |= result.results
        self.mutations += [f"{function}: it changes its argument {n}" for n in result.mutated]
        if result.not_supported:
            self.not_supported[function] = result.not_supported
        if result.failure:
            self.failures.append(f"{function}: {result.failure}")
            self.error = self.error or result.error

    def judge(self, expected: Expected, options: VerifyOptions) -> None:
        """Compare the results; those of two inexact sides may differ by both errors."""
        dtype = self.problem.spec.dtype
        everywhere: dict[str, float] | None = None
        if options.precision != "ieee":
            everywhere = {dtype: PRECISIONS[options.precision]}
        if options.against is not None:
            everywhere = {dtype: 2 * bound(dtype, everywhere)}
        self.expected, self.bounds = expected, everywhere
        if self.accuracy and self.problem.name == AT_THE_KINK:
            self.results.pop("grads", None)
            self.results.pop("updated", None)
            self.not_supported["loss_and_grad"] = "differences of the loss have no answer at a kink"
        self.comparison = judge(
            self.problem.spec, expected, self.results, self.accuracy, everywhere
        )
        if not (self.accuracy or options.against):
            self.comparison = self.with_steps(self.comparison, steps.of_reference)
        self.plain = self.comparison
        self._judge_repeats(everywhere, options.against is not None)

    def with_steps(
        self, comparison: Comparison, gradient: Callable[[Problem], Params]
    ) -> Comparison:
        """A comparison and that of several steps in a row, where they were made."""
        p, expected = self.problem, self.expected
        chained = next((call.chained for call in self.calls if call.chained is not None), None)
        if chained is None or expected is None:
            return comparison
        further = steps.compared(p, chained, expected.learning_rate, gradient)
        return Comparison((*comparison.tensors, *further.tensors))

    def _judge_repeats(self, bounds: Mapping[str, float] | None, against: bool) -> None:
        """Say what is kept from call to call, and what changes by itself."""
        p, dtype = self.problem, self.problem.spec.dtype
        assert self.expected is not None
        if any(result.swapped for result in self.calls):
            self.faults.append("loss_and_grad: it returns (grads, loss): return (loss, grads)")
        repeated = [result for result in self.calls if result.second]
        random = [r.function for r in repeated if repeats.changes_by_itself(r, dtype)]
        if random and self.comparison.disagrees:
            self.unsure = (
                f"{random[0]}: what it gives changes by itself from call to call, so that nothing "
                "can be compared: draw nothing in it, or set the seed in every call"
            )
            return
        for result in repeated:
            self.faults += repeats.faults(result, self.expected, dtype)
        if self.faults or self.comparison.reason or against or p.name == AT_THE_KINK:
            return
        right = reference.expected(p.spec, p.params, *_batch(other_batch(p)))
        for result in repeated:
            later = judge(p.spec, right, result.other, self.accuracy, bounds)
            self.faults += repeats.wrong_later(result, later, dtype)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as plain data, errors as fractions of the largest exact entry."""
        return {
            "problem": self.problem.label,
            "dtype": self.problem.spec.dtype,
            "status": self.status,
            "faults": [*self.mutations, *self.faults, *filter(None, [self.unsure]), *self.failures],
            "not_supported": self.not_supported,
            "tensors": [
                {
                    "tensor": tensor.name,
                    "error": tensor.error,
                    "ulps": tensor.ulps,
                    "bound": tensor.bound,
                    "percent_of_bound": tensor.percent_of_bound,
                    "agrees": tensor.reason is None,
                    "reason": tensor.reason,
                }
                for tensor in self.comparison.tensors
            ],
        }


@dataclass(frozen=True)
class VerifyReport:
    """The verdict on one implementation; its str() is what the command prints.

    Attributes:
        name: of the implementation, as tables show it.
        verdict: "agrees"; "disagrees" if something differs; "undecided" if what it gives changes
            by itself; "not checked" if it could not be loaded, failed, gave no gradient, or nothing
            finite was there to compare with; "unavailable" if its framework, the device or the
            precision is not available here.
        reason: one line, empty where it agrees.
        options: what was asked for.
        outcomes: one per problem that was tried.
        notes: the conventions that differ from ours, under which it agrees.
        remarks: what was not checked, and why.
        diagnosis: where the fault is likely to be, the most telling sentence first.
        exact: what running it over exact numbers shows (a FileProof of `proof`), or None.
        snippet: lines that repeat a failure on the smallest network and batch that shows it, or "".
    """

    name: str
    verdict: str
    reason: str
    options: VerifyOptions
    outcomes: Sequence[Outcome] = ()
    notes: Sequence[Note] = ()
    remarks: Sequence[str] = ()
    diagnosis: Sequence[str] = ()
    exact: Any = None
    snippet: str = ""

    @property
    def agrees(self) -> bool:
        """Whether gradients were compared and everything that was compared agrees."""
        return self.verdict == "agrees"

    @property
    def title(self) -> str:
        """The name, with a precision that is no standard one."""
        precision = self.options.precision
        return self.name if precision == "ieee" else f"{self.name} ({precision})"

    def __str__(self) -> str:
        return self.text()

    def text(self, verbose: bool = False) -> str:
        """The verdict, what to make of it, and a table per dtype of each tensor's largest error.

        Args:
            verbose: with the tables of every single problem.
        """
        reason = f": {self.reason}" if self.reason else ""
        lines = [f"{self.title}: {self.verdict.upper()}{reason}"]
        if self.verdict == "disagrees":
            lines += self._raises()
        lines += [f"  likely: {sentence}" for sentence in self.diagnosis]
        for dtype in dict.fromkeys(o.problem.spec.dtype for o in self.outcomes):
            outcomes = [o for o in self.outcomes if o.problem.spec.dtype == dtype]
            rows = [(t, o.problem.label) for o in outcomes for t in o.comparison.tensors]
            if not rows:
                continue
            counts = [f"{n} {s}" for s in STATES if (n := sum(o.status == s for o in outcomes))]
            lines.append(f"  {dtype}, {len(outcomes)} problems: {', '.join(counts)}")
            lines += tables.of_worst(rows)
            if verbose:
                for outcome in outcomes:
                    lines.append(f"    {outcome.problem.label}: {outcome.status}")
                    lines += [f"      {fault}" for fault in outcome.mutations + outcome.failures]
                    lines += tables.of_one(outcome.comparison.tensors)
        if self.exact is not None:
            lines += [f"  {line}" for line in self.exact.lines(verbose)]
        lines += [f"  note: {note}" for note in self.notes]
        lines += [f"  note: {remark}" for remark in self.remarks]
        lines = [*columns.folded(lines, "    ")]
        if self.snippet:  # not indented: it is there to be pasted
            lines += ["  the smallest network that shows it:", "", self.snippet, ""]
        return clean("\n".join(lines))

    def _raises(self) -> Iterator[str]:
        """What most calls raise, beside those that give something wrong: first of all to mend."""
        failures = Counter(text for outcome in self.outcomes for text in outcome.failures)
        for text, count in failures.most_common(1):
            function, _, said = text.partition(": it ")
            problems = f"{count} of {len(self.outcomes)} problems"
            yield f"  {function} {said}, on {problems}: mend that first"

    def line(self) -> str:
        """The verdict in one line: with the tensor nearest to its bound, or the reason."""
        name = f"{self.title:16} {self.verdict if self.agrees else self.verdict.upper()}"
        tensors = [t for o in self.outcomes for t in o.comparison.tensors]
        if not self.agrees or not tensors:
            return clean(f"{name}: {self.reason}")
        worst = max(tensors, key=lambda t: t.percent_of_bound or 0.0)
        notes = f"; {len(self.notes)} note{'s' * (len(self.notes) > 1)}" if self.notes else ""
        return clean(
            f"{name}  worst error {worst.error or 0.0:.1e}, {worst.percent_of_bound or 0.0:.2g} % "
            f"of its bound ({worst.name}){notes}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        return {
            "implementation": self.name,
            "verdict": self.verdict,
            "reason": self.reason,
            "device": self.options.device,
            "precision": self.options.precision,
            "against": self.options.against or "exact results",
            "seed": self.options.seed if self.options.drawn is None else self.options.drawn,
            "diagnosis": list(self.diagnosis),
            "notes": [{"code": note.code, "text": note.text} for note in self.notes],
            "remarks": list(self.remarks),
            "problems": [outcome.to_dict() for outcome in self.outcomes],
            "exact": None if self.exact is None else self.exact.to_dict(),
            "snippet": self.snippet,
        }


def _batch(problem: Problem) -> tuple[Any, ...]:
    return problem.X, problem.y, problem.masks


def summary(reports: Sequence[Any]) -> str:
    """How many reports there are of each verdict, in one line."""
    verdicts = [report.verdict for report in reports]
    counts = [f"{n} {verdict}" for verdict in VERDICTS if (n := verdicts.count(verdict))]
    return f"{len(reports)} verified: {', '.join(counts)}"
