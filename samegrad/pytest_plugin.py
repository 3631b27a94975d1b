"""What pytest loads wherever samegrad is installed: one fixture, no option.

It also joins measuring and reporting: `samegrad.benchmarks.plugin`, where that is loaded, writes
its report through the hook below. Everything is imported when it is used.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Agreement:
    """Whether gradients agree with what they must be; true if they do.

    Attributes:
        fault: what is wrong and where, or "".
        asked: whether anybody has looked at it.
    """

    fault: str
    asked: bool = False

    def __bool__(self) -> bool:
        self.asked = True
        return not self.fault

    def __repr__(self) -> str:
        return self.fault or "all agree"


@pytest.fixture
def gradients_agree() -> Iterator[Callable[..., Agreement]]:
    """A function whose answer tests assert, of a network of any kind.

    With `loss` it takes what `samegrad.check` takes, an object of any kind; without, what
    `assert_gradients_agree` takes, the file, name or module of a network written to the contract.
    A wrong gradient that the test does not assert is an error of the test.
    """
    agreements: list[Agreement] = []

    def judged(network: Any = None, **options: Any) -> Agreement:
        from samegrad.implementations.checking.assertions import assert_gradients_agree
        from samegrad.implementations.checking.objects.check import check

        if "loss" in options:
            report = check(network, **options)
            agreements.append(Agreement("" if report else str(report)))
            return agreements[-1]
        fault = ""
        try:
            assert_gradients_agree(network, **options)
        except AssertionError as error:
            fault = str(error)
        agreements.append(Agreement(fault))
        return agreements[-1]

    yield judged
    for agreement in agreements:
        if agreement.fault and not agreement.asked:
            pytest.fail(f"write `assert gradients_agree(...)`: {agreement.fault}", pytrace=False)


@pytest.hookimpl(optionalhook=True)
def pytest_samegrad_report(journal: Path, directory: Path) -> list[str]:
    """Write the report of a run; returns what is printed last."""
    from samegrad.implementations.contract import commands

    try:
        commands.require("report", "the report")
    except commands.MissingExtraError as error:
        again = commands.command("render", str(directory))
        return [f"journal: {journal}", f"no report: {error}; then: {again}"]
    from samegrad.reports.render import render

    return render(journal, directory).lines
