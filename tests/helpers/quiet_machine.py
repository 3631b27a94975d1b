"""For runs of tests, beside which other tests run: other programs are not seen.

Otherwise what a report shows would hang on them: numbers of a busy machine are withheld.
"""

import time
from typing import Any

from samegrad.benchmarks.machine import state

QUIET_MACHINE = ("-p", "tests.helpers.quiet_machine")  # options of pytest, in the checkout's root
_between = state.between


def between(before: state.Look, after: state.Look) -> dict[str, Any]:
    """The facts as on a machine where nothing else runs."""
    return _between(before, after) | {"others": 0.0, "programs": {}, "steal": 0.0}


def watch(seconds: float = 0.0) -> dict[str, Any]:
    """What is seen within a moment, as there is nothing to be seen in longer ones."""
    del seconds
    before = state.look()
    time.sleep(0.1)
    return between(before, state.look())


def pytest_configure() -> None:
    """Before the run looks at the machine."""
    state.between = between
    state.watch = watch
