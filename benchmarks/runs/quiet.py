"""The machine's state in a run: looked at before it begins, waited for if asked, and while it runs.

What is looked at goes into the journal; what it means: `benchmarks/records/states.py`.
"""

import time
from collections.abc import Callable

from samegrad.benchmarks.machine import state
from samegrad.benchmarks.records import states
from samegrad.benchmarks.records.schema import Record
from samegrad.benchmarks.runs.run import Run

SAY_SECONDS = 15.0  # between two lines that say what is waited for


def wait(seconds: float, tell: Callable[[str], None]) -> Record:
    """Look at the machine for a second; while others use it, wait for as long as is asked for.

    Args:
        tell: is given lines that say what is waited for.

    Returns:
        What was seen at last.
    """
    began = said = time.monotonic()
    while True:
        facts = state.watch()
        left = began + seconds - time.monotonic()
        if states.quiet(facts) or left <= 0:
            break
        if said == began or time.monotonic() - said > SAY_SECONDS:
            said = time.monotonic()
            words = states.words(facts)
            tell(f"waiting for a quiet machine, {left:.0f} s at most: it is {words}")
    if seconds and not states.quiet(facts):
        tell(f"not quiet within {seconds:.0f} s, so it goes on and says so")
    return facts


def begin(run: Run, wait_seconds: float = 0.0) -> None:
    """Look at the machine, or wait until it is quiet; the run's time begins after that."""
    began = time.monotonic()
    facts = wait(wait_seconds, run.progress.say)
    run.began += time.monotonic() - began
    run.write({"record": "state", "when": "before", **facts})
    words = states.words(facts)
    if words != "quiet":
        run.progress.say(f"the machine is {words}")
    run.looked = state.look()
