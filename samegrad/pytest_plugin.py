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
        brief: the same in a line; pytest shows 240 letters of an object, without its middle.
        asked: whether anybody has looked at it.
    """

    fault: str
    brief: str
    asked: bool = False

    def __bool__(self) -> bool:
        self.asked = True
        return not self.fault

    def __repr__(self) -> str:
        return self.brief or "all agree"


@pytest.fixture
def gradients_agree(request: pytest.FixtureRequest) -> Iterator[Callable[..., Agreement]]:
    """A function whose answer tests assert, of a network of any kind.

    With `loss` it takes what `samegrad.check` takes, an object of any kind; without, what
    `assert_gradients_agree` takes, the file, name or module of a network written to the contract.
    A wrong gradient that the test does not assert is an error of the test; of one that it does,
    pytest shows a line and all that is known below it.
    """
    agreements: list[Agreement] = []

    def judged(network: Any = None, **options: Any) -> Agreement:
        from textwrap import shorten

        from samegrad.implementations.checking.assertions import assert_gradients_agree
        from samegrad.implementations.checking.objects.check import check

        fault = head = line = ""
        if "loss" in options:
            report = check(network, **options)
            if not report:
                fault, head = str(report), f"{report.verdict.upper()}: {report.reason}"
                if report.lines:
                    line = f" ({shorten(report.lines[0], 100, placeholder=' ...')})"
        else:
            try:
                assert_gradients_agree(network, **options)
            except AssertionError as error:
                fault = str(error)
                head = fault.partition("\n")[0]
        if fault:
            request.node.add_report_section("call", "gradient", fault)
        agreements.append(Agreement(fault, shorten(head, 120, placeholder=" ...") + line))
        return agreements[-1]

    yield judged
    for agreement in agreements:
        if agreement.fault and not agreement.asked:
            pytest.fail(f"write `assert gradients_agree(...)`: {agreement.brief}", pytrace=False)


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
