"""What is said of training that a gradient alone does not show, by the text of a file."""

import ast
from dataclasses import replace

from samegrad.implementations.checking.objects.report import (
    AGREES,
    DISAGREES,
    NOT_CHECKED,
    CheckReport,
)
from samegrad.implementations.reading.backwards import not_reversed
from samegrad.implementations.reading.diverging import DIVERGES
from samegrad.implementations.reading.fits import TURNED
from samegrad.implementations.reading.forgotten import keeps, thrown_away
from samegrad.implementations.reading.hints import Hints
from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.never_called import never_called
from samegrad.implementations.reading.order import out_of_order
from samegrad.implementations.reading.own_steps import NOT_RUN, ONCE
from samegrad.implementations.reading.uncleared import CLEARS, never_cleared, never_steps, trains
from samegrad.implementations.reading.unkept import never_kept

TEXT_ALONE = (
    "its training was not run: its text was read for gradients that are never set to zero and "
    "for optimizer state that is thrown away"
)
KEPT = "one step was judged; what is kept from step to step was read, not run"
FORWARDS = "goes back through the layers from the first to the last"
ONE_TURN = "one turn was judged; whether the training comes to anything at its rate was not"
TURN = "one turn of the loop"  # words of a reading that judges steps
FROM_UPDATE = "gradient from the update"  # words of one that has no other


def with_training(report: CheckReport, loaded: Loaded, hints: Hints) -> CheckReport:
    """What is said of a file whose gradient is right, or was not found, if its training is wrong.

    It is wrong if it never clears its gradients, throws the state of its optimizer away, never
    steps by gradients that are there, or goes back through its layers in the order of forward.
    """
    judged = report.verdict in (AGREES, DISAGREES, NOT_CHECKED) and not hints.backward
    if judged and (at := not_reversed(loaded)) is not None:
        line = f"{loaded.path.name}:{at}: {FORWARDS}; expected from the last to the first"
        said = report.reason if report.disagrees else f"its backward pass {FORWARDS}"
        raised = report.lines if report.verdict == NOT_CHECKED else ()
        return replace(report, verdict=DISAGREES, said=said, lines=(line, *raised), advice=())
    if report.verdict not in (AGREES, NOT_CHECKED) or CLEARS.search(hints.backward):
        return report
    if (at := never_cleared(loaded)) is not None:
        said = "gradients add up over calls"
        expected, why = "to start from zero in each", f"{said}: nothing sets them to zero"
    elif (uncalled := never_called(ast.Module(loaded.statements, []))) is not None:
        at, name = uncalled
        said, expected = "gradients add up over calls", f"a call of {name} in each turn"
        why = f"{said}: nothing calls {name}"
    elif (found := thrown_away(loaded)) is not None:
        at, name = found
        said = f"{name} starts anew in each step"
        expected = "to be kept from step to step"
        why = f"optimizer state is thrown away: {said}"
    elif (found := never_kept(ast.Module(loaded.statements, []))) is not None:
        at, name = found
        said = f"{name} never becomes the new average"
        expected = "to be kept from step to step"
        why = f"optimizer state is thrown away: {said}"
    elif (at := never_steps(loaded)) is not None:
        said, expected = "no step follows", "optimizer.step()"
        why = "its optimizer never takes a step: no weight changes"
    elif (told := out_of_order(loaded)) is not None:
        at, said, expected = told
        why = said
    else:
        return _with_remark(report, loaded)
    line = f"{loaded.path.name}:{at}: {said}; expected {expected}"
    return replace(report, verdict=DISAGREES, said=why, lines=(line,))


def _with_remark(report: CheckReport, loaded: Loaded) -> CheckReport:
    """A report with what is known of training that was not run, if there is some."""
    once = TURN in report.reading or any(r.startswith((ONCE, TURNED)) for r in report.remarks)
    if not report.agrees or any(r.startswith(NOT_RUN) for r in report.remarks):
        return report
    if once and keeps(loaded):
        # Such a step is no rate times the gradient, so neither is told of it.
        told = {"rate", "factor"} if FROM_UPDATE in report.reading else {"rate"}
        notes = tuple(note for note in report.notes if note.code not in told)
        return replace(report, notes=notes, remarks=(*report.remarks, KEPT))
    if TURN in report.reading:
        said = any(r.startswith(DIVERGES) for r in report.remarks)
        return report if said else replace(report, remarks=(*report.remarks, ONE_TURN))
    if once or not trains(ast.Module(loaded.statements, [])):
        return report
    return replace(report, remarks=(*report.remarks, TEXT_ALONE))
