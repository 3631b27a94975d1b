"""What a run tells its user while it runs."""

import math
import sys
import time
from typing import Any


class Progress:
    """What a run tells its user while it runs; this one is silent."""

    def say(self, line: str) -> None:
        """One line of text."""

    def expect(self, units: int, seconds: float) -> None:
        """How many units of work there will be (one case in one process), and their prediction."""

    def now(self, what: str) -> None:
        """What runs at this moment."""

    def done(self, seconds: float) -> None:
        """One unit is done, which had been predicted to take so long."""

    def repeating(self, seconds: float) -> None:
        """All units are done, and are repeated for so many seconds at most."""


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
            bar_format="{percentage:3.0f}% |{bar:24}| {elapsed}<{remaining} {desc}",
        )
        self.count = self.units = 0
        self.weight = self.total = 0.0
        self.began = self.last_line = time.monotonic()
        self.what = ""

    def say(self, line: str) -> None:
        """Above the bar."""
        self.bar.clear()
        _print(f"samegrad: {line}")

    def expect(self, units: int, seconds: float) -> None:
        """The bar's length is predicted time, so that long cases count as such."""
        self.units, self.total = units, seconds
        self.bar.total = seconds
        self.bar.refresh()

    def now(self, what: str) -> None:
        """The bar's text."""
        self.what = what
        self.bar.set_description_str(f"{self.count}/{self.units} {what}")

    def done(self, seconds: float) -> None:
        """One step; and a line now and then where there is no terminal."""
        self.count += 1
        self.weight += seconds
        self.bar.update(min(seconds, max(0.0, self.bar.total - self.bar.n)) if self.terminal else 0)
        elapsed = time.monotonic() - self.began
        if not self.terminal and time.monotonic() - self.last_line > 15:
            self.last_line = time.monotonic()
            left = elapsed / self.weight * max(0.0, self.total - self.weight)
            _print(f"  {self.count}/{self.units}, about {left:.0f} s left; now {self.what}")

    def repeating(self, seconds: float) -> None:
        """The same, while units are repeated."""
        if not self.terminal and time.monotonic() - self.last_line > 15:
            self.last_line = time.monotonic()
            most = f", for {seconds:.0f} s at most" if math.isfinite(seconds) else ""
            _print(f"  {self.count}/{self.units}, repeating{most}; now {self.what}")

    def close(self) -> None:
        """Leave the line."""
        self.bar.close()


def _print(line: str) -> None:
    print(line, flush=True)
