"""The verdict on a file: of all readings the one that its evidence bears out.

Any reading from which the whole gradient follows is one in which the file is right. That none does
is a fault only where the loss is no guess: it is the file's own, or a standard loss of which the
gradient of some weights is right and that of others is not.
"""

import inspect
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects.check import check
from samegrad.implementations.checking.objects.report import (
    AGREES,
    DISAGREES,
    NOT_CHECKED,
    UNDECIDED,
    CheckReport,
)
from samegrad.implementations.checking.objects.report import Match as Row
from samegrad.implementations.reading import losses
from samegrad.implementations.reading.compare import Compared, Match, compare
from samegrad.implementations.reading.readings import BATCHED, Reading

SECONDS = 20.0  # of this process, for all readings of a file
MORE_SECONDS = 3.0  # the same, after one that shows a fault
HINTS = "say which it is in the file: `# samegrad: loss = ...`, or with --hint 'loss = ...'"


@dataclass
class Found:
    """A reading with how its gradient compares."""

    reading: Reading
    compared: Compared

    @property
    def constant(self) -> str:
        """In words the standard loss that the whole gradient follows from; "" if there is none."""
        factor = self.compared.factor
        if self.reading.own or factor is None:
            return ""
        r = self.reading
        return losses.named(r.loss_name, factor, r.examples, r.outputs)

    @property
    def score(self) -> tuple[float, ...]:
        """How much of the gradient is right: the larger the better."""
        c = self.compared
        right = sum(m.right(c.tolerance) for m in c.judged)
        near = sum(m.proportional(c.tolerance) for m in c.judged)
        found = sum(bool(m.source) for m in c.matches)
        return (right, near, found, self.reading.batched, self.reading.own)


def judge(readings: Iterable[Reading], deadline: float) -> tuple[CheckReport, Found | None]:
    """The verdict, and the reading that it rests on."""
    found: list[Found] = []
    for reading in readings:
        if time.process_time() > deadline:
            break
        compared = compared_with(reading)
        if compared is None or not compared.judged:
            continue
        one = Found(reading, compared)
        found.append(one)
        if reading.own or compared.partly:  # a fault, unless another reading is right
            deadline = min(deadline, time.process_time() + MORE_SECONDS)
        own = any(f.reading.own for f in found)
        right = compared.exact if reading.own else one.constant and not own
        if right and _for_batches(one, found):
            return _agrees(one, []), one
    return concluded(found)


def _for_batches(one: Found, found: Sequence[Found]) -> bool:
    """Whether a reading of single examples is no way round a sum over the batch that is missing."""
    if one.reading.batched:
        return True
    batched = [f for f in found if f.reading.batched and f.compared.partly]
    return not batched or not any(_speaks_of_batches(f) for f in one.reading.functions)


def _speaks_of_batches(function: Callable[..., Any]) -> bool:
    try:
        return bool(BATCHED.search(inspect.getsource(function)))
    except (OSError, TypeError):
        return False


def confirmed(report: CheckReport, found: Found | None) -> CheckReport:
    """The report as `check` has it, which calls again and on other data, and on other problems."""
    if found is None or report.verdict not in (AGREES, DISAGREES):
        return report
    checked = _checked(found)
    if report.verdict == AGREES and checked.verdict == AGREES:
        for reading in found.reading.others():
            compared = compared_with(reading)
            if compared is None or not compared.judged:
                continue
            other = Found(reading, compared)
            if (
                compared.exact
                or other.constant
                or (compared.factor is not None and not reading.own)
            ):
                continue
            again = _checked(other)
            if again.verdict == DISAGREES:
                checked = replace(
                    again, remarks=(*again.remarks, f"only on this problem: {reading.how}")
                )
    decided = checked.verdict in (AGREES, DISAGREES)
    if not decided or (
        checked.verdict == AGREES and report.verdict == DISAGREES and found.compared.partly
    ):
        return report
    notes = (
        *report.notes,
        *(n for n in checked.notes if n.code not in {m.code for m in report.notes}),
    )
    advice = (*report.advice, *checked.advice)
    return replace(checked, reading=report.reading, notes=notes, advice=advice)


def _checked(found: Found) -> CheckReport:
    """`check` of a reading; a standard loss has the factor with which the gradient follows."""
    reading, factor = found.reading, 1.0
    if not reading.own:
        sizes = [round(m.factor, 9) for m in found.compared.partly]
        factor = found.compared.factor or max(set(sizes), key=sizes.count, default=1.0)
    elif (reading.step and not reading.rated) or reading.printed:
        factor = found.compared.factor or 1.0
    loss, backward = _hidden(lambda: factor * reading.loss()), _hidden(reading.backward)
    return check(reading.net, loss, backward, reading.changeable)


def _hidden(function: Callable[[], Any]) -> Callable[[], Any]:
    """The function without its closure, in which nothing but `net` is the user's."""
    return iter(function, object()).__next__


def compared_with(reading: Reading) -> Compared | None:
    """How a reading compares; None if it does not run, or not twice alike."""
    try:
        if reading.loss() != reading.loss():
            return None
        return compare(
            reading.parameters, reading.loss, reading.backward, reading.net, reading.data,
            reading.slopes,
        )  # fmt: skip
    except (Exception, SystemExit):
        return None


def concluded(found: Sequence[Found]) -> tuple[CheckReport, Found | None]:
    """The verdict where no reading was right at once."""
    if not found:
        return CheckReport(NOT_CHECKED, said="no gradient was found in it"), None
    usable = [f for f in found if _for_batches(f, found)] or list(found)
    own = [f for f in usable if f.reading.own]
    standard = [f for f in usable if not f.reading.own]
    right = next((f for f in own if f.compared.exact), None)
    if right is not None:
        return _agrees(right, []), right
    whole = next((f for f in standard if f.constant), None)
    for f in own:
        factor = f.compared.factor
        if factor is not None and f.reading.step and (not f.reading.rated or f.reading.printed):
            text = f"the gradient is {factor:.6g} times that of {f.reading.loss_name}"
            return _agrees(f, [Note("factor", text)]), f
    if own:
        best = max(own, key=lambda f: f.score)
        if best.reading.printed and whole is not None:
            text = f"what it prints as {best.reading.loss_name} is another loss"
            return _agrees(whole, [Note("factor", text)]), whole
        if best.reading.certain or best.compared.partly:
            return _disagrees(best, whole), best
    if whole is not None:
        return _agrees(whole, []), whole
    constant = next((f for f in standard if f.compared.factor is not None), None)
    if constant is not None:
        factor = constant.compared.factor
        text = f"it is {factor:.6g} times the gradient of the {constant.reading.loss_name}, summed"
        return _agrees(constant, [Note("factor", text)]), constant
    partly = [f for f in standard if f.compared.partly and f.reading.batched] or [
        f for f in standard if f.compared.partly
    ]
    if partly:
        best = max(partly, key=lambda f: f.score)
        return _disagrees(best, None), best
    best = max(usable, key=lambda f: f.score)
    tried = ", ".join(dict.fromkeys(f.reading.loss_name for f in usable))
    report = CheckReport(
        UNDECIDED,
        said=f"its gradient follows from none of: {tried}",
        reading=best.reading.how,
        advice=(HINTS,),
    )
    return report, best


def _agrees(found: Found, notes: list[Note]) -> CheckReport:
    reading = found.reading
    loss = found.constant or reading.loss_name
    how = f"{reading.how}; loss: {'its own ' if reading.own else ''}{loss}"
    rows = tuple(
        _row(m, found.compared.tolerance, found.compared.factor) for m in found.compared.matches
    )
    return CheckReport(AGREES, rows, tuple(notes), reading=how)


def _disagrees(found: Found, whole: Found | None) -> CheckReport:
    reading, c = found.reading, found.compared
    how = f"{reading.how}; loss: {'its own ' if reading.own else ''}{reading.loss_name}"
    common = c.factor if not reading.own else None
    if not reading.own and common is None:
        sizes = [m.factor for m in c.partly]
        common = max(set(sizes), key=sizes.count) if sizes else None
    rows = tuple(_row(m, c.tolerance, common) for m in c.matches)
    advice = (f"it is the gradient of: {whole.constant}",) if whole is not None else ()
    factor = c.factor
    said = ""
    if factor is not None and reading.own:
        said = (
            f"the whole gradient is {_constant(factor, reading)} times that of {reading.loss_name}"
        )
    return CheckReport(DISAGREES, rows, reading=how, advice=advice, said=said)


def _constant(factor: float, reading: Reading) -> str:
    """A factor with its name."""
    n, k = reading.examples, reading.outputs
    known = {n: "batch size", 1 / n: "1/batch size", k: "outputs", 1 / k: "1/outputs", 2: "2",
             0.5: "1/2", -1: "wrong sign", n * k: "batch size times outputs", n / 2: "batch size/2",
             1 / (n * k): "1/(batch size times outputs)",
             n * k / 2: "batch size times outputs/2"}  # fmt: skip
    text = next((t for c, t in known.items() if abs(factor / c - 1) < 1e-5), "")
    return f"{factor:.6g} (= {text})" if text else f"{factor:.6g}"


def _row(match: Match, tolerance: float, common: float | None) -> Row:
    right = match.right(tolerance) or (
        common is not None
        and match.proportional(tolerance)
        and abs(match.factor / common - 1) < 1e-5
    )
    reason = ""
    if not right:
        reason = f"{match.name}: no array of its shape is its gradient"
        if match.source and match.proportional(tolerance):
            times = match.factor / (common or 1)
            reason = f"{match.source} is {times:.6g} times the gradient of {match.name}"
        elif match.source:
            reason = f"{match.source} is not the gradient of {match.name} (error {match.error:.2g})"
    error = (
        None if match.error == float("inf") else match.error if common in (None, 1) else match.off
    )
    return Row(
        match.name, match.shape, match.source, match.factor, error, tolerance,
        verdict=AGREES if right or match.flat else DISAGREES,
        reason=reason if not match.flat else "",
    )  # fmt: skip


def with_remarks(report: CheckReport, remarks: Sequence[str]) -> CheckReport:
    """The report with what was said while the file was loaded."""
    return replace(report, remarks=(*report.remarks, *remarks))
