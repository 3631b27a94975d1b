"""The verdict on a file: that of `check` on the reading that its evidence bears out best.

`compare` only ranks readings. A reading from which the whole gradient follows is one in which the
file is right. That none does is a fault only where the loss is no guess, or part of the gradient is
right: whatever else `check` finds wrong is then undecided, and what to hint is said.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects.report import (
    DISAGREES,
    NOT_CHECKED,
    UNDECIDED,
    CheckReport,
)
from samegrad.implementations.reading.attempts import Attempts
from samegrad.implementations.reading.checked import (
    HINTS,
    MORE,
    backward_of,
    checked_as,
    source_of,
)
from samegrad.implementations.reading.compare import is_multiple
from samegrad.implementations.reading.drawn import Asked, asked_for, smallest
from samegrad.implementations.reading.found import Found, compared_with, either_way
from samegrad.implementations.reading.other_losses import of_another
from samegrad.implementations.reading.points import points_of
from samegrad.implementations.reading.readings import BATCHED, Reading
from samegrad.implementations.reading.snippets import snippet
from samegrad.implementations.reading.unused import of_written, written_instead
from samegrad.implementations.reading.usage import calls_for_each
from samegrad.implementations.state.reach import Reached

SECONDS = 20.0  # of this process, for all readings of a file
MORE_SECONDS = 3.0  # the same, after one that shows a fault
MOST_CHECKED = 3  # readings with a loss of the file's own that `check` sees where none is right
SURE = (DISAGREES, UNDECIDED, NOT_CHECKED)  # what is said of several that do not agree
# Words of a backward pass that divides by the number of examples.
AVERAGES = re.compile(r"mean\(|/ ?(?:len\(|(?:self\.)?(?:m|n|N|batch\w*|n_samples)\b)")
# What a loop calls that which it minimizes; other names may be of a measure beside it.
OBJECTIVE = re.compile(r"(?:\w*_)?(?:loss|losses|costs?|objective|J)", re.IGNORECASE)


def judge(
    readings: Iterator[Reading],
    deadline: float,
    attempts: Attempts | None = None,
    asked: Asked | None = None,
) -> CheckReport:
    """The verdict on a file, of its readings in the order of their likelihood.

    Args:
        deadline: of time.process_time(), after which no other reading is tried.
        attempts: what becomes of calls while readings are sought.
        asked: what is wanted of one that is right.
    """
    found: list[Found] = []
    checked: dict[int, CheckReport] = {}
    report = _judged(readings, deadline, attempts, found, checked)
    told = next((one for one in found if checked.get(id(one)) is report), None)
    if told is not None and attempts is not None:
        attempts.held |= {type(o) for o in Reached().add(told.reading.net, "net").owners}
    if told is None:
        return report
    report = of_another(report, told.reading)
    if asked is None:
        return report
    if report.disagrees:
        return replace(report, snippet=snippet(smallest(told, False), report))
    return asked_for(told, report, asked) if report.agrees else report


def _judged(
    readings: Iterator[Reading],
    deadline: float,
    attempts: Attempts | None,
    found: list[Found],
    checked: dict[int, CheckReport],
) -> CheckReport:
    """The same; what was found, and what `check` says of it, is put into the last two."""
    without: list[Reading] = []  # a loss of the file's own that is no finite number
    for reading in readings:
        if time.process_time() > deadline:
            break
        if not reading.parameters:
            without.append(reading)
            continue
        compared = compared_with(reading)
        if compared is None or not compared.judged:
            continue
        one = Found(reading, compared)
        found.append(one)
        if reading.own or compared.partly:  # a fault, unless another reading is right
            deadline = min(deadline, time.process_time() + MORE_SECONDS)
        own = without or any(f.reading.own for f in found)
        right = one.fits if reading.own else one.constant and not own
        if right and for_batches(one, found):
            report, fault = checked_as(one), None
            if report.agrees:
                fault = _fault_elsewhere(one, bool(report.notes))
            confirmed = checked[id(one)] = report if fault is None else fault
            # Where its own loss and one reading show a fault, that another never meets it is luck.
            if report.agrees and (fault is None or (one.reading.own and fault.disagrees)):
                return confirmed
    if without and not any(f.reading.own for f in found):
        loss_name = without[0].loss_name
        if attempts is not None and (runs := attempts.without(loss_name)) is not None:
            return runs
        said = f"its own loss, {loss_name}, is no finite number"
        return CheckReport(UNDECIDED, said=said, reading=without[0].how, advice=(HINTS,))
    return _concluded(found, checked)


def for_batches(one: Found, found: Sequence[Found]) -> bool:
    """Whether a reading is no way round what is wrong in a batch, or in a whole network."""
    if one.reading.part and any(f.compared.partly and not f.reading.part for f in found):
        return False
    if one.reading.outputs == 1 and any(_as_in_the_file(f, one.reading) for f in found):
        return False  # what is wrong with the outputs that the file has is right with one
    if one.reading.batched:
        return True
    name = (*one.reading.key, "", "")[1]  # what calls it for each example is no part of it
    called = (f for f in backward_of(one.reading) if not calls_for_each(f, name))
    sources = [source_of(f) for f in called]
    if any(_same_in_batches(one.reading, f) for f in found) and any(map(AVERAGES.search, sources)):
        return False
    batched = [f for f in found if f.reading.batched and f.compared.partly]
    return not batched or not any(map(BATCHED.search, sources))


def _as_in_the_file(found: Found, one: Reading) -> bool:
    """Whether something is the same calls on the network that the file itself makes, of several."""
    other = found.reading
    make = other.trial.make if other.trial is not None else None
    written = isinstance(make, partial) and (make.func.__name__ == "_as_written" or [] in make.args)
    return written and other.outputs > 1 and _is_sure(found, one)


def _is_sure(found: Found, one: Reading) -> bool:
    """Whether the same calls on a batch run, with nothing guessed, and give all gradients."""
    batch = found.reading
    return (
        batch.batched and batch.own and batch.certain and batch.key[:2] == one.key[:2]
        and all(match.source for match in found.compared.judged)
    )  # fmt: skip


def _same_in_batches(one: Reading, found: Found) -> bool:
    """The same, with targets of the same kind."""
    other = found.reading.trial
    return other is not None and one.trial is not None and _is_sure(found, one) and (
        _is_label(other.form.y) == _is_label(one.trial.form.y)
    )  # fmt: skip


def _is_label(form: str) -> bool:
    return form.startswith("label") or form == "one-hot int"


def _confirmed(found: Found) -> CheckReport:
    """What `check` says of a reading, and, if it agrees, of the same elsewhere."""
    report = checked_as(found)
    fault = _fault_elsewhere(found, bool(report.notes)) if report.agrees else None
    return report if fault is None else fault


def _fault_elsewhere(found: Found, noted: bool) -> CheckReport | None:
    """Of a reading that agrees: with other sizes, weights or data it does not.

    Args:
        noted: whether it agrees but for a convention.
    """
    for other in _others(found):
        again = checked_as(other, agreed=True)
        if again.verdict == DISAGREES:
            return replace(again, remarks=(*again.remarks, f"on this problem: {other.reading.how}"))
    for where in points_of(found.reading, found.compared, found.factor, noted).suspects():
        again = checked_as(found, agreed=True)
        sure = found.reading.certain and found.reading.own
        if again.verdict == DISAGREES and not sure and again.constant is not None:
            # All of it is so many times what another loss has: it was not this one.
            said = f"the loss is a guess ({found.reading.loss_name}): {again.reason}"
            again = replace(again, verdict=UNDECIDED, said=said, lines=(), advice=(HINTS,))
        # So many times a guess at the first point, by chance.
        if again.verdict == NOT_CHECKED and not found.reading.own and not found.constant:
            times = f"{found.factor:.6g} times that of {found.reading.loss_name}"
            said = f"its gradient is {times} at one point, and nothing of it at another"
            again = replace(again, verdict=UNDECIDED, said=said, lines=(), advice=(HINTS,))
        if again.said.startswith(MORE):
            continue  # where gradients are clipped, for one: that it is right shows elsewhere
        if again.verdict == DISAGREES or HINTS in again.advice:
            return replace(again, remarks=(*again.remarks, f"{where} than the first"))
    return None


def _others(found: Found) -> Iterator[Found]:
    """Readings with other sizes from which the gradient does not follow, as far as they run."""
    for reading in found.reading.others():
        compared = compared_with(reading)
        if compared is None or not compared.judged:
            continue
        other = Found(reading, compared)
        if not other.fits:
            yield other


def _concluded(found: Sequence[Found], checked: dict[int, CheckReport]) -> CheckReport:
    """The verdict where no reading was right at once.

    Args:
        checked: reports that are there already, by the ids of what was found.
    """
    if not found:
        return CheckReport(NOT_CHECKED, said="no gradient was found in it")

    def report_of(one: Found) -> CheckReport:
        if id(one) not in checked:
            checked[id(one)] = _confirmed(one)
        return checked[id(one)]

    usable = [f for f in found if for_batches(f, found)] or list(found)
    own = sorted((f for f in usable if f.reading.own), key=lambda f: f.score, reverse=True)
    standard = [f for f in usable if not f.reading.own]
    whole = next((f for f in standard if f.constant), None)
    several = (f for f in standard if f.compared.factor and f.reading.outputs > 1)
    of_all = whole or next(several, None)
    if of_all is not None and own and (text := written_instead(own[0].reading)):
        return of_written(report_of(of_all), own[0].reading, text)
    reports: list[CheckReport] = []
    for one in own[:MOST_CHECKED]:
        if whole is None and any(
            is_multiple(one.reading.slopes, f.reading.slopes) for f in standard
        ):
            one.reading.certain = True  # an "error" that is a loss, and no measure beside it
        if not (one.far and any(r.verdict == DISAGREES for r in reports)):
            reports.append(report_of(one))
    agreeing = [r for r in reports if r.agrees]
    agreeing.sort(key=_incomplete)
    if agreeing and not (_incomplete(agreeing[0]) and any(r.verdict == DISAGREES for r in reports)):
        return agreeing[0]
    reports = [r for r in reports if not r.agrees]
    if any(f.compared.factor is not None for f in own):
        whole = None  # the gradient is that of its own loss, and something else is wrong
    if whole is not None and (not own or own[0].reading.printed):
        return _with_printed(report_of(whole), own)
    steps = [checked[id(f)] for f in own if f.follows and id(f) in checked]  # wrong in these alone
    reports.sort(key=lambda r: (SURE.index(r.verdict), not any(r is one for one in steps)))
    if reports and (reports[0].verdict != NOT_CHECKED or not standard):
        best = reports[0]
        told = next(f for f in own if checked.get(id(f)) is best)
        wider = next((f for f in own if best.disagrees and _shows_less(told, f)), None)
        if wider is not None and report_of(wider).disagrees:
            best = report_of(wider)
        if whole is not None:
            best = replace(best, advice=(*best.advice, f"it is the gradient of: {whole.constant}"))
        return best
    constant = next((f for f in standard if f.compared.factor is not None), None)
    if constant is not None:
        return report_of(constant)
    partly = [f for f in standard if f.compared.partly]
    partly = [f for f in partly if f.reading.batched] or partly
    if partly:
        best_one = max(partly, key=lambda f: f.score)
        report = report_of(best_one)
        unsure = any(either_way(best_one, other) for other in partly)
        return replace(report, lines=()) if unsure else report
    best_one = max(usable, key=lambda f: f.score)
    tried = ", ".join(dict.fromkeys(f.reading.loss_name for f in usable))
    return CheckReport(
        UNDECIDED,
        said=f"its gradient follows from none of: {tried}",
        reading=best_one.reading.how,
        advice=(HINTS,),
    )


def _shows_less(one: Found, other: Found) -> bool:
    """Whether the same calls on a network of several outputs show all the faults, and others."""
    if not other.reading.key == one.reading.key != () or one.reading.outputs != 1:
        return False
    wrong, more = (
        {m.name for m in f.compared.judged if not m.right(f.compared.tolerance)}
        for f in (one, other)
    )
    matrices = {m.name for m in other.compared.judged if len(m.shape) > 1}
    return other.reading.outputs > 1 and wrong < more and bool(matrices - more)


def _incomplete(report: CheckReport) -> bool:
    """Whether a gradient that others have was not found."""
    return any(note.code == "no-gradient" for note in report.notes)


def _with_printed(report: CheckReport, own: Sequence[Found]) -> CheckReport:
    """A report on the loss that is trained, with a note on the other one that is printed.

    A measure of error may well be another; of what it calls its loss, either may be meant.
    """
    if not own or not report.agrees:
        return report
    name = own[0].reading.loss_name
    text = f"what it prints as {name} is another loss"
    if not OBJECTIVE.fullmatch(re.split(r"\W+", name.removesuffix("[-1]"))[-1]):
        return replace(report, notes=(Note("factor", text), *report.notes))
    said = f"{text} than that of its gradient ({report.reading.rpartition('loss: ')[2]})"
    advice = f"if {name} is meant, the gradient is wrong; if it is not, give it another name"
    return replace(report, verdict=UNDECIDED, said=said, advice=(advice,))
