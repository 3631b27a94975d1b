"""What pytest shows of `samegrad benchmark`: nothing, unless somebody asks pytest for something.

A run shows its own progress, and what had no number and why; pytest's letters, header and summary
say less of the same.
"""

import io
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from _pytest.config import create_terminal_writer

from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.records.schema import FAILED, OK
from samegrad.implementations.contract.texts import clean, say

# Options whose answer is what pytest, or pytest-benchmark, shows.
ASKED = re.compile(
    r"-v+|--verbose(=.*)?|--verbosity\b.*|--collect-?only|--co|-r.*|--fixtures.*|--funcargs|"
    r"--markers|--durations\b.*|--setup-.*|--trace.*|--debug\b.*|-s|--capture=.*|--tb=.*|-l|"
    r"--showlocals|--pdb\b.*|--full-trace|--benchmark-(columns|sort|group-by|name|verbose|compare)\b.*"
)
INI = "installed.ini"  # of `samegrad benchmark`
NAME = "samegrad-silence"  # of the plugin
MOST_REASONS = 6


def command(config: pytest.Config) -> str:
    """What the user typed; `samegrad benchmark` puts options of its own before --benchmark."""
    arguments = [str(argument) for argument in config.invocation_params.args]
    if ours(config):
        arguments = arguments[arguments.index("--benchmark") + 1 :]
        return shlex.join(["samegrad", "benchmark", *arguments])
    return shlex.join(["pytest", *arguments])


def ours(config: pytest.Config) -> bool:
    """Whether `samegrad benchmark` has started pytest."""
    return config.inipath is not None and config.inipath.name == INI


def silence(config: pytest.Config, typed: Sequence[str]) -> None:
    """Let pytest's reporter write nowhere, but for what is no part of a run."""
    if ours(config) and not any(map(ASKED.fullmatch, typed)):
        config.pluginmanager.register(_Silence(config), NAME)


def silent(config: pytest.Config) -> bool:
    """Whether pytest says nothing of rows."""
    return config.pluginmanager.hasplugin(NAME)


class _Silence:
    """A plugin that holds pytest's output back, until something unexpected happens."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.reporter: Any = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Before the header."""
        self.reporter = self.config.pluginmanager.getplugin("terminalreporter")
        self.writer = self.reporter._tw
        self.reporter._tw = create_terminal_writer(self.config, io.StringIO())

    def pytest_keyboard_interrupt(self) -> None:
        """One line for what pytest has a block for."""
        say("interrupted", error=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self) -> None:
        """Shown as ever."""
        self._speak()

    @pytest.hookimpl(tryfirst=True)
    def pytest_exception_interact(self, call: Any) -> None:
        """A failure is a row's, which says why; any other exception is shown."""
        if not isinstance(call.excinfo.value, pytest.fail.Exception):
            self._speak()

    def _speak(self) -> None:
        self.reporter._tw = self.writer


def without_number(rows: Iterable[Row]) -> list[str]:
    """Why rows have no number, a line for each reason, failures first."""
    counts: dict[tuple[bool, str, str, str], int] = {}
    for row in rows:
        if row.status != OK:
            failed = row.status in FAILED
            reason = (not failed, row.case.implementation, row.status, clean(row.reason))
            counts[reason] = counts.get(reason, 0) + 1
    lines = [
        f"{status}: {name}, {count} row{'s' * (count > 1)}: {reason}"
        for (_, name, status, reason), count in sorted(counts.items())
    ]
    more = len(lines) - MOST_REASONS
    return [
        *lines[:MOST_REASONS],
        *([f"and {more} more reasons, in the report"] if more > 0 else []),
    ]
