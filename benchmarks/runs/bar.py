"""What a run shows while it runs: tqdm's bar on a terminal, a line now and then elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.clock.durations import duration
from samegrad.benchmarks.records.rows import call_seconds
from samegrad.benchmarks.records.schema import OK
from samegrad.benchmarks.runs.run import Progress
from samegrad.implementations.contract.texts import clean, say


class Bar(Progress):
    """tqdm's bar on a terminal; a line every 15 seconds elsewhere."""

    def __init__(self) -> None:
        from tqdm import tqdm

        # The original stream: pytest has replaced sys.stderr where output is captured.
        self.terminal = sys.stderr.isatty()
        self.bar: Any = tqdm(
            total=0,
            disable=not self.terminal,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% |{bar:24}| {elapsed} {desc}",
        )
        self.count = self.units = 0
        self.weight = self.total = self.planned = 0.0
        self.limit: Callable[[], float] = lambda: math.inf
        self.began = self.last_line = time.monotonic()
        self.what = ""

    def say(self, line: str) -> None:
        """Above the bar."""
        self.bar.clear()
        say(f"samegrad: {line}")

    def expect(self, units: int, seconds: float) -> None:
        """How many units there are, and what they are predicted to take."""
        self.units, self.total = units, seconds
        self.began = time.monotonic()
        self._show()

    def within(self, seconds: float, left: Callable[[], float]) -> None:
        """What the time left is bound by."""
        self.planned, self.limit = seconds, left

    def left(self) -> float:
        """Seconds that are left: as planned, or as the units so far tell, within the time limit.

        Repetitions fill the time that is planned. The first units tell little: the very first one
        waits for a process to start.
        """
        elapsed = time.monotonic() - self.began
        by_units = elapsed * (self.total / self.weight - 1) if self.weight else 0.0
        return max(0.0, min(max(self.planned - elapsed, by_units), self.limit()))

    def now(self, what: str) -> None:
        """What runs."""
        self.what = what
        self._show()

    def done(self, seconds: float) -> None:
        """One unit."""
        self.count += 1
        self.weight += seconds
        self._show()

    def measured(self, case: Case, outcome: Mapping[str, Any]) -> None:
        """A line above the bar: the first time of a row, which later ones may better."""
        if (took := outcome["status"]) == OK:
            took = duration(call_seconds(outcome))
        self.bar.clear()
        say(f"  first {took:>9}  {case.id}")

    def repeating(self, seconds: float) -> None:
        """Repetitions, until that time at most."""
        most = f" for {_minutes(seconds)} at most" if math.isfinite(seconds) else ""
        self._show(f"repeating{most}")

    def close(self) -> None:
        """Leave the line."""
        self.bar.close()

    def _show(self, how: str = "") -> None:
        left = self.left()
        how = how or (f"about {_minutes(left)} left" if left else "")
        text = clean(", ".join(filter(None, [f"{self.count}/{self.units}", how, self.what])))
        if self.terminal:
            self.bar.n = time.monotonic() - self.began
            self.bar.total = self.bar.n + left
            self.bar.set_description_str(text)
        elif time.monotonic() - self.last_line > 15:
            self.last_line = time.monotonic()
            say(f"  {text}")


def _minutes(seconds: float) -> str:
    """4:05 of 245 seconds."""
    return f"{max(0, round(seconds)) // 60}:{max(0, round(seconds)) % 60:02d}"
