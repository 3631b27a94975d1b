"""What pytest loads wherever samegrad is installed: one fixture, no option.

It also joins measuring and reporting: `samegrad.benchmarks.plugin`, where that is loaded, writes
its report through the hook below. Everything is imported when it is used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Agreement:
    """Whether an implementation's gradients agree with the reference; true if they do.

    Attributes:
        fault: what is wrong and where, or "".
    """

    fault: str

    def __bool__(self) -> bool:
        return not self.fault

    def __repr__(self) -> str:
        return self.fault or "all agree"


@pytest.fixture
def gradients_agree() -> Callable[..., Agreement]:
    """What a test asserts of its module; takes what `assert_gradients_agree` takes."""

    def judged(implementation: Any, **options: Any) -> Agreement:
        from samegrad.implementations.checking.assertions import assert_gradients_agree

        try:
            assert_gradients_agree(implementation, **options)
        except AssertionError as error:
            return Agreement(str(error))
        return Agreement("")

    return judged


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
