"""Constants between a gradient and the slopes of its loss, in words."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import replace

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects import constants
from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport
from samegrad.implementations.reading import names
from samegrad.implementations.reading.found import compared_with
from samegrad.implementations.reading.readings import Reading

BATCH = "batch size"
SAME = 1e-6  # relative, of a factor that is measured
TIMES = re.compile(r"(-?[\d.e+-]+) times the slopes of the loss")


def factor_notes(reading: Reading, factor: float) -> list[Note]:
    """That all of a gradient is so many times that of the loss: a sum, where the loss is a mean.

    In a loop a learning rate makes up for any constant, so it is a convention and no fault.
    """
    applied, loss = reading.applied, reading.loss_name
    sizes = applied.sizes if applied is not None else _sizes(reading)
    times = constants.named(factor, sizes)
    if f"{factor:.6g}" == "1":  # as measured
        return []
    if reading.step and any(constants.same(factor, rate, SAME) for rate in _rates(reading)):
        return []  # whatever it is called
    if not times or (applied is None and BATCH in times and not _elsewhere(reading, times)):
        return [Note("factor", f"the gradient is {factor:.6g} times that of {loss}")]
    shown = _shown(times, sizes)
    if BATCH not in times.partition("/")[0]:
        return [Note("factor", f"the gradient is {shown} times that of {loss}")]
    text = (
        f"the gradient is summed over the batch where {loss} is averaged: it is {shown} times that "
        f"of {loss}, for which a learning rate makes up"
    )
    return [Note("summed", text)]


def uphill(report: CheckReport, reading: Reading, factor: float) -> CheckReport | None:
    """A report that says so of a step that adds the gradient; None where none does.

    Of one in a loop its line is found elsewhere.
    """
    known = reading.own or reading.certain  # what is given for targets may be the outputs
    step = known and reading.step and reading.applied is None
    functions = [] if reading.own or reading.trial is None else reading.trial.network.functions
    called = [reading.loss_name, *functions]
    if not step or factor > 0 or any(names.RISING.fullmatch(names.plain(n)) for n in called):
        return None
    rows = tuple(
        replace(m, verdict=DISAGREES, reason=f"the update of {m.name} goes up its gradient")
        for m in report.matches
    )
    return replace(report, verdict=DISAGREES, matches=rows)


def with_sizes(report: CheckReport, sizes: Mapping[str, int]) -> CheckReport:
    """A report whose constants are named: sizes of the data are this check's, not the file's."""

    def named(found: re.Match[str]) -> str:
        times = constants.named(float(found[1]), sizes)
        return found[0].replace(found[1], _shown(times, sizes) if BATCH in times else found[1])

    rows = tuple(replace(m, reason=TIMES.sub(named, m.reason)) for m in report.matches)
    return replace(report, matches=rows)


def _rates(reading: Reading) -> list[float]:
    """The numbers that may be the rate of a step: of a loop, or defaults of a function."""
    if reading.applied is not None:
        return [n for n in reading.applied.numbers if type(n) is float]
    function = getattr(reading.update, "function", None)
    try:
        given = inspect.signature(function).parameters.values() if function else ()
    except (TypeError, ValueError):
        return []
    return [p.default for p in given if type(p.default) is float]


def _sizes(reading: Reading) -> dict[str, int]:
    """The sizes that a constant of a reading may be made of."""
    sizes = {BATCH: reading.examples, "outputs": reading.outputs}
    return {name: size for name, size in sizes.items() if size > 1}


def _elsewhere(reading: Reading, times: str) -> bool:
    """Whether a constant is made of the same sizes on the first other problem that runs, if any."""
    for other in reading.others():
        compared = compared_with(other)
        if compared is not None and compared.factor is not None:
            sizes = {BATCH: other.examples, "outputs": other.outputs}
            return constants.same(constants.value(times, sizes), compared.factor)
    return True


def _shown(times: str, sizes: Mapping[str, int]) -> str:
    """A constant with the sizes that it is made of."""
    return re.sub(
        "|".join(sizes) or "$^", lambda of: f"the {of[0]} ({sizes[of[0]]} in this check)", times
    )
