"""The lines at fault of a gradient that is a function of params."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport
from samegrad.implementations.checking.trees import array_of, leaves


def with_lines(
    report: CheckReport,
    loss: Callable[[], Any],
    gradient: Callable[[], Any],
    slots: Sequence[Any],
    users: tuple[Any, ...],
) -> CheckReport:
    """A report with the lines that make its gradients wrong, where an experiment shows them.

    Args:
        loss: of the live params.
        gradient: of the live params, nested as they are.
        slots: the live params, each with its name and its array.
        users: the user's functions.
    """
    if report.verdict != DISAGREES or not callable(users[-1]):
        return report
    from samegrad.implementations.tracing.explain import explain  # only where something is wrong

    def gradients(found: Any) -> list[Any]:
        by_name = dict(leaves(found))
        return [array_of(by_name[slot.name]) for slot in slots if slot.array.size]

    params = {slot.name: slot.array for slot in slots if slot.array.size}
    found = explain(loss, gradient, users, params, gradients)
    shown = (f"{Path(f.file).name}:{f.number}: {f.text}" for f in found if f.certain)
    return replace(report, lines=tuple(shown))
