"""A standard loss that explains a gradient, where a file trains, by its words, on another one."""

import inspect
import linecache
import re
from dataclasses import replace

from samegrad.implementations.checking.objects.report import UNDECIDED, CheckReport
from samegrad.implementations.reading import names
from samegrad.implementations.reading.readings import Reading

SQUARED = re.compile(
    r"_*(?:\w*_)?(?:mse|sse|rmse|(?:mean_|sum_)?squared?_?errors?|quadratic)(?:_?(?:loss|cost))?",
    re.IGNORECASE,
)


def of_another(report: CheckReport, reading: Reading) -> CheckReport:
    """A report on a guessed loss, undecided where the file calls a squared error its loss.

    That the gradient follows from cross entropy is then a derivative of the output left out as
    well as a loss that is not written down.
    """
    loss = reading.loss_name
    if not report.agrees or reading.own or reading.applied or loss == "squared error":
        return report
    own = {f.__name__: f for f in reading.users if inspect.isroutine(f)}
    squared = [name for name in own if SQUARED.fullmatch(name)]
    if any(names.LOSS.fullmatch(names.plain(name)) and name not in squared for name in own):
        return report  # it has more than one to choose from
    files = {getattr(getattr(f, "__code__", None), "co_filename", "") for f in own.values()}
    lines = [line for file in files for line in linecache.getlines(file)]
    for name in squared:
        called = re.compile(rf"^\s*(?:\w+_)?(?:loss|cost|objective)\s*=\s*(?:\w+\.)*{name}\(")
        if any(map(called.search, lines)):
            said = f"it agrees with {loss}, which the file does not compute; its {name} disagrees"
            advice = f"if {name} is meant, a derivative of the outputs is missing"
            return replace(report, verdict=UNDECIDED, said=said, advice=(advice,))
    return report
