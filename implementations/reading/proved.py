"""The gradient of a reading over exact numbers: the file's own calls, compared by ==."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from samegrad.implementations.checking.objects.calls import silent
from samegrad.implementations.checking.objects.check import PROVING, check
from samegrad.implementations.checking.objects.epsilon import proved_without
from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport
from samegrad.implementations.reading.found import Found
from samegrad.implementations.reading.seen import seen
from samegrad.implementations.state.reach import around

OWN = "the file's own loss"
NOTED = "perhaps by the convention that was noted"


def with_proof(report: CheckReport, found: Found) -> CheckReport:
    """A report on a reading that agrees, with what running it over exact numbers shows.

    A difference that no float shows is a fault where the loss is the file's own.
    """
    verdict, meaning = _proof(found)
    if not found.reading.own:
        guess = found.constant or found.reading.loss_name
        meaning = meaning.replace(OWN, f"the loss that it was taken for ({guess})")
    if verdict == DISAGREES and not found.reading.own:
        verdict = "not proved"
    if verdict == DISAGREES and report.notes:
        verdict, meaning = "not proved", f"{meaning}, {NOTED}"
    if verdict == DISAGREES:
        return replace(report, verdict=DISAGREES, said=f"over exact numbers: {meaning}")
    return replace(report, remarks=(*report.remarks, f"{verdict}: {meaning}"))


def _proof(found: Found) -> tuple[str, str]:
    """(the verdict, what it says)."""
    reading, factor = found.reading, found.factor
    try:
        proving = importlib.import_module(PROVING)
    except ModuleNotFoundError as missing:
        return "not proved", f"{missing.name} is not installed"

    def loss() -> Any:
        return reading.loss() if factor == 1 else factor * reading.loss()

    def with_data(function: Callable[[], Any]) -> Callable[[], Any]:
        """What the calls are given is reached, too: all of it has to be exact."""
        held = reading.trial.board.values if reading.trial is not None else reading.data
        return seen(function, reading, held)

    backward = seen(reading.backward, reading)
    matches = check(reading.net, seen(loss, reading), backward, reading.changeable).matches
    functions = with_data(loss), with_data(reading.backward)
    with silent():
        proof = proved_without(
            lambda: proving.prove_matches(matches, reading.net, *functions),
            around(reading.net, functions),
        )
    return proof.verdict, proof.meaning
