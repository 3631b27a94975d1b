"""The machine's state in a run: looked at before it begins, waited for if asked, and while it runs.

What is looked at goes into the journal; what it means: `benchmarks/records/states.py`.
"""

import time

from samegrad.benchmarks.machine import state
from samegrad.benchmarks.records import states
from samegrad.benchmarks.runs.run import Run

SAY_SECONDS = 15.0  # between two lines that say what is waited for


def begin(run: Run, wait_seconds: float = 0.0) -> None:
    """Look at the machine for a second; while others use it, wait for as long as is asked for.

    The run's time begins after that.
    """
    began = said = time.monotonic()
    while True:
        facts = state.watch()
        left = began + wait_seconds - time.monotonic()
        if states.quiet(facts) or left <= 0:
            break
        if said == began or time.monotonic() - said > SAY_SECONDS:
            said = time.monotonic()
            words = states.words(facts)
            run.progress.say(f"waiting for a quiet machine, {left:.0f} s at most: it is {words}")
    run.began += time.monotonic() - began
    run.write({"record": "state", "when": "before", **facts})
    words = states.words(facts)
    if wait_seconds and not states.quiet(facts):
        run.progress.say(f"not quiet within {wait_seconds:.0f} s, so it goes on and says so")
    if words != "quiet":
        run.progress.say(f"the machine is {words}")
    run.looked = state.look()
