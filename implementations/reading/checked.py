"""What `check` says of a reading, no stronger than the evidence for that reading is."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects.check import check
from samegrad.implementations.checking.objects.names import pairs
from samegrad.implementations.checking.objects.report import (
    AGREES,
    DISAGREES,
    NOT_CHECKED,
    UNDECIDED,
    CheckReport,
    Match,
)
from samegrad.implementations.reading import losses, names, twice
from samegrad.implementations.reading.applied import with_steps
from samegrad.implementations.reading.factors import factor_notes, uphill, with_sizes
from samegrad.implementations.reading.found import Found
from samegrad.implementations.reading.made_up import beside_decay, half_of_squares
from samegrad.implementations.reading.own_steps import NOT_RUN, with_own_steps
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.seen import by_name, seen
from samegrad.implementations.reading.shown import with_variables
from samegrad.implementations.state.reach import Reached

FEW = 2  # entries whose being right may be chance
ENOUGH = 5  # entries of one array whose being right is none, the others being wrong
HINTS = (
    "say what is meant, in the file or with --hint: `# samegrad: loss = ...`, "
    "`# samegrad: backward = ...`"
)
ALONE = "it was read as one layer: what its backward pass returns for those below was not judged"
# What makes of an update more than a rate times the gradient.
STATEFUL = re.compile(
    r"momentum|velocit|nesterov|adam|rms_?prop|ada_?grad|ada_?delta|beta_?[12]\b"
    r"|clip_?(?:grad|norm)|(?:grad\w*|max|global)_?norm|\bnorm *>"
    r"|clip\((?:self\.)?(?:(?:d_?|grad_?)?(?:[wvb]|weights?|bias(?:es)?)_?\w{,3}|\w*grad\w*),"
    r"|\b(?:d_?|grad_?)\w+ *= *np\.clip\("
)
# Of these a first update is still a rate times the gradient.
MOMENTUM = re.compile(r"momentum|velocit|nesterov")
MORE = "an update by more than its gradient (momentum or the like)"


def backward_of(reading: Reading) -> Iterator[Callable[..., Any]]:
    """The user's functions that make up a backward pass, those of the net's layers too."""
    users = {f.__name__: f for f in reading.users if inspect.isroutine(f)}
    called = list(reading.functions)
    for function in called:  # it grows
        code = getattr(function, "__code__", None)
        called += [
            users[n] for n in getattr(code, "co_names", ()) if n in users and users[n] not in called
        ]
    yield from called
    owners = Reached().add(reading.net, "net").owners
    for kind in {kind for owner in owners for kind in type(owner).__mro__}:
        for name, function in vars(kind).items():
            if names.BACKWARD.match(name) and inspect.isfunction(function):
                yield function


def source_of(function: Callable[..., Any]) -> str:
    """The text of a function, "" where there is none."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return ""


def read_as(found: Found) -> str:
    """A reading and its loss in words."""
    name = found.constant or found.usual or found.reading.loss_name
    own = "its own " if found.reading.own and name != losses.OF_OUTPUTS else ""
    return f"{found.reading.how}; loss: {own}{name}"


def checked_as(found: Found, agreed: bool = False) -> CheckReport:
    """What `check` says of a reading, no stronger than a guess is; variables by their names.

    Args:
        agreed: whether it was right at another point: what was guessed is then confirmed.
    """
    report = _checked_as(found, agreed)
    return with_variables(report) if found.reading.variables else report


def _checked_as(found: Found, agreed: bool) -> CheckReport:
    reading, factor = found.reading, found.factor
    loss = seen(lambda: factor * reading.loss(), reading)
    backward = reading.backward
    if reading.update and (not reading.rated or found.decays) and found.compared.factor is None:
        backward = reading.update  # with decay, perhaps: then no rate explains all of it
    if not all(match.source for match in found.compared.matches):
        backward = by_name(backward)
    report = check(reading.net, loss, seen(backward, reading), reading.changeable)
    if beside_decay(reading, report):
        rate = getattr(reading.backward, "rate", None)
        update = seen(reading.update or backward, reading)
        report = check(reading.net, loss, update, reading.changeable, rate=rate)
    if reading.applied is not None:
        report = with_sizes(report, reading.applied.sizes)
    report = replace(report, reading=read_as(found))
    if report.agrees and (up := uphill(report, reading, factor)) is not None:
        down = seen(lambda: -factor * reading.loss(), reading)
        told = check(reading.net, down, seen(backward, reading), reading.changeable)
        return replace(up, lines=told.lines)
    if report.agrees:
        found.follows = True
        more = (*_of_factor(found), *reading.notes, *twice.of_trial(reading))
        remarks = (*report.remarks, *([ALONE] if reading.part else []))
        report = replace(report, notes=(*more, *report.notes), remarks=remarks)
        if reading.applied is None and not agreed:
            return _of_a_sign(with_own_steps(report, reading), reading, factor)
        if reading.applied is None or agreed:
            return report
        return with_steps(report, reading.applied, reading.slopes, reading.loss)
    if report.verdict != DISAGREES:
        return report
    of_loss = [note for note in twice.of_trial(reading) if note.code == twice.CODE]
    report = replace(report, notes=(*of_loss, *report.notes))
    doubt = _doubt(found, report, agreed) or half_of_squares(reading, report)
    if not doubt:
        return report
    rows = tuple(
        replace(m, verdict=UNDECIDED, reason="") if m.verdict == DISAGREES else m
        for m in report.matches
    )
    said = f"{doubt}: {report.reason}"
    return replace(report, verdict=UNDECIDED, matches=rows, said=said, lines=(), advice=(HINTS,))


def of_a_part(report: CheckReport) -> CheckReport:
    """A report that agrees, or UNDECIDED where weights are trained whose gradient was not found."""
    still = " ".join(note.text for note in report.notes if note.code == "not-updated")
    left = [
        m.name for m in report.matches
        if m.verdict == NOT_CHECKED and sum(n > 1 for n in m.shape) > 1 and m.name not in still
    ]  # fmt: skip
    if not (report.agrees and left):
        return report
    said = f"no gradient was found for {', '.join(left[:3])}; what was found agrees"
    return replace(report, verdict=UNDECIDED, said=said, advice=(HINTS,))


def _of_a_sign(report: CheckReport, reading: Reading, factor: float) -> CheckReport:
    """A report that agrees, or UNDECIDED where nothing tells whether steps go down."""
    seen_steps = not any(NOT_RUN in remark for remark in report.remarks)
    if not report.agrees or factor > 0 or seen_steps:
        return report
    said = (
        f"the gradient is {factor:.6g} times that of {reading.loss_name}, and whether its steps "
        "add it or take it off was not seen"
    )
    return replace(report, verdict=UNDECIDED, said=said, advice=(HINTS,))


def _of_factor(found: Found) -> list[Note]:
    """A factor that no usual average explains, where the loss does not say it."""
    reading, factor = found.reading, found.factor
    known = (reading.own and factor == 1) or found.constant
    return [] if known else factor_notes(reading, factor)


def _of_variables(reading: Reading, report: CheckReport) -> bool:
    """Whether what is wrong are gradients of a loop by their names, whatever is made of them."""
    wrong = [m for m in report.matches if m.verdict == DISAGREES]
    named = all(pairs([m.name], m.gradient) for m in wrong)
    return reading.applied is not None and reading.update is None and named


def _by_momentum(report: CheckReport, sources: Sequence[str]) -> bool:
    """Whether nothing but a momentum is in a first step that is right of some matrix.

    What it takes off another one, not a multiple of the gradient, is then no gradient.
    """
    more = any(STATEFUL.search(MOMENTUM.sub("", source)) for source in sources)
    matrices = [m for m in report.matches if len(m.shape) > 1 and m.entries > FEW]
    right = [m for m in matrices if m.verdict == AGREES and m.gradient]
    wrong = [m for m in matrices if m.verdict == DISAGREES]
    return not more and bool(right) and bool(wrong) and all(m.constant is None for m in wrong)


def _of_other_shapes(wrong: Sequence[Match]) -> bool:
    """Whether what is returned for these has not their shapes: of no loss it is the gradient."""
    return all(m.gradient and m.error is None and not m.bound for m in wrong)


def _doubt(found: Found, report: CheckReport, agreed: bool) -> str:
    """Why a disagreement is no evidence, or ""."""
    reading = found.reading
    # Of a hint it is not known which functions it calls.
    called = reading.users if "the hint" in reading.key else backward_of(reading)
    sources = [source_of(f).lower() for f in called]
    stateful = any(map(STATEFUL.search, sources))
    stateful = stateful or (reading.applied is not None and reading.applied.divides)
    told = reading.own and reading.applied is None and _by_momentum(report, sources)
    if reading.step and stateful and not (told or _of_variables(reading, report)):
        return MORE
    if (reading.own or found.certain) and agreed:
        return ""
    right = [m for m in report.matches if m.verdict == AGREES and m.gradient]
    numbers = [m for m in right if m.entries == 1]  # of a network of single numbers
    right = [m for m in right if m.entries > FEW] or numbers[2 * FEW :]
    wrong = [m for m in report.matches if m.verdict == DISAGREES]
    flat = all(len([n for n in m.shape if n > 1]) < 2 for m in wrong)
    guessed = any(len(m.shape) > 1 for m in report.matches)
    if reading.how.startswith("functions of ") and guessed and len(report.matches) == 2 and flat:
        return "the shapes of its parameters were guessed: it may be for one output"
    if reading.own:
        judged = found.compared.judged  # where one vector holds all, some layers are right
        known = len(judged) == 1 and judged[0].right_entries >= ENOUGH
        return "" if reading.certain or right or known else "what the loss is given was guessed"
    if reading.applied is not None and found.compared.factor is not None:
        return ""  # all of it is that of the loss, but for its sign
    if right and wrong and (found.usual or not reading.rated or _of_other_shapes(wrong)):
        return ""
    return f"the loss is a guess ({reading.loss_name})"
