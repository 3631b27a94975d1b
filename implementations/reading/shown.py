"""Names of what scripts hold in variables, as their files have them."""

import re
from collections.abc import Callable
from dataclasses import replace

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects.report import CheckReport

# What a script's weights are below net, and what its turns give below returned: by variables.
OF_UPDATE = re.compile(r"returned\[(['\"])d (net[.[].+?)\1\](?=[ :;,)\]]|$)")
VARIABLE = re.compile(r"\b(?:net|returned)\['([\w.*\[\]]+?)'\]")


def plain(text: str) -> str:
    """A text with variables by their own names: W1 for net['W1'], dW1 for returned['dW1']."""
    return VARIABLE.sub(r"\1", OF_UPDATE.sub(r"update of \2", text))


def with_updates(report: CheckReport) -> CheckReport:
    """A report in which what a step changes is an update: of net.W1 for returned['d net.W1'].

    A number that is the batch is that of the problem which was made, or cut, for this check.
    """
    report = _with(report, lambda text: OF_UPDATE.sub(r"update of \2", text))
    lines = (line.replace("(the batch", "(the batch of this check") for line in report.lines)
    return replace(report, lines=tuple(lines))


def with_variables(report: CheckReport) -> CheckReport:
    """A report on a network of variables, with their own names."""
    return _with(report, plain)


def _with(report: CheckReport, plain: Callable[[str], str]) -> CheckReport:
    return replace(
        report,
        matches=tuple(
            replace(m, name=plain(m.name), gradient=plain(m.gradient), reason=plain(m.reason))
            for m in report.matches
        ),
        notes=tuple(Note(n.code, plain(n.text)) for n in report.notes),
        lines=tuple(map(plain, report.lines)),
        advice=tuple(map(plain, report.advice)),
        remarks=tuple(map(plain, report.remarks)),
        said=plain(report.said),
    )
