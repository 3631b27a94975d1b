"""The state that a machine was in: quiet, busy, shared, throttled, on a quota; in words.

`benchmarks/machine/state.py` measures what these functions judge.
"""

from collections.abc import Iterable, Sequence

from samegrad.benchmarks.clock.loops import SHARED
from samegrad.benchmarks.records.quality import DISTURBED, LOST
from samegrad.benchmarks.records.schema import Record

MOST_PROGRAMS = 3  # that are named
STOPPED = 0.01  # share of the time that a quota stopped this run's processes


def taken(state: Record) -> float:
    """The largest share of the cores that others had: other programs, or the hypervisor."""
    others = state.get("others", 0.0) / max(1, state["cores"])
    return float(max(others, state.get("steal", 0.0)))


def slower(state: Record) -> float:
    """How many times its least a fixed loop took, half of the time; 1 where nobody has looked."""
    return float(state.get("loop_ns", 1.0) / max(1.0, state.get("loop_least_ns", 1.0)))


def quiet(state: Record) -> bool:
    """Whether others had so little that a number may be good."""
    return taken(state) <= DISTURBED and slower(state) <= SHARED


def too_busy(state: Record | None) -> bool:
    """Whether no conclusion is drawn from what was measured meanwhile.

    Of shared cores the rows' own intervals tell: a repetition may find them free.
    """
    return state is not None and taken(state) > LOST


def average(states: Iterable[Record]) -> Record | None:
    """Several states as one, each as long as it was looked at; None of none."""
    states = [state for state in states if state["seconds"] > 0]
    if not states:
        return None
    whole = sum(state["seconds"] for state in states)

    def mean(name: str) -> float | None:
        known = [state for state in states if name in state]
        seconds = sum(state["seconds"] for state in known)
        return sum(s[name] * s["seconds"] for s in known) / seconds if known else None

    programs: dict[str, float] = {}
    for state in states:
        for name, cores in state.get("programs", {}).items():
            programs[name] = programs.get(name, 0.0) + cores * state["seconds"] / whole
    joined = dict(states[-1]) | {"seconds": whole, "programs": programs}
    joined |= {name: mean(name) for name in ("others", "steal", "throttled", "loop_ns")}
    leasts = [state["loop_least_ns"] for state in states if "loop_least_ns" in state]
    joined["loop_least_ns"] = min(leasts, default=None)
    joined["hot"] = sum(state.get("hot", 0) for state in states)
    return {name: value for name, value in joined.items() if value is not None}


def words(state: Record) -> str:
    """What the machine was, and by whom."""
    facts = []
    if taken(state) > DISTURBED:
        facts.append(f"busy ({'; '.join(_by_whom(state))})")
    if taken(state) <= DISTURBED and slower(state) > SHARED:
        facts.append(
            "on cores that others use, too, whom this system does not see "
            f"(a fixed loop took {slower(state):.2g} times its least, half of the time)"
        )
    if state.get("throttled", 0.0) > STOPPED:
        facts.append(f"stopped by its quota in {100 * state['throttled']:.0f} % of the time")
    if state.get("hot"):
        facts.append("throttled for heat")
    if state.get("quota", state["cores"]) < state["cores"]:
        facts.append(f"on a quota of {state['quota']:g} of {state['cores']} cores")
    return ", ".join(facts) or "quiet"


def _by_whom(state: Record) -> Sequence[str]:
    reasons = []
    if state.get("others", 0.0) / max(1, state["cores"]) > DISTURBED:
        programs = state.get("programs", {})
        largest = sorted(programs, key=lambda name: -programs[name])[:MOST_PROGRAMS]
        named = ", ".join(f"{n} {programs[n]:.2g}" for n in largest if programs[n] >= 0.05)
        reasons.append(
            f"other programs take {state['others']:.2g} of {state['cores']} cores"
            + f": {named}" * bool(named)
        )
    if state.get("steal", 0.0) > DISTURBED:
        reasons.append(f"the hypervisor takes {100 * state['steal']:.0f} % of the time")
    return reasons


def before_and_during(states: Sequence[Record]) -> tuple[Record | None, Record | None]:
    """What a run's states come to: before it began (the last time), and while it measured."""
    before = [state for state in states if state["when"] == "before"]
    return average(before[-1:]), average(s for s in states if s["when"] == "during")


def run_too_busy(states: Sequence[Record]) -> bool:
    """Whether no conclusion is drawn from a run."""
    before, during = before_and_during(states)
    return too_busy(during or before)


def sentence(states: Sequence[Record]) -> str:
    """The machine's state in a run, as it is said first."""
    before, during = before_and_during(states)
    if before is None and during is None:
        return "The machine's state was not recorded."
    parts = {"before the run": before, "while it measured": during}
    known = {when: words(state) for when, state in parts.items() if state is not None}
    if len(set(known.values())) == 1:
        return f"The machine was {next(iter(known.values()))}, {' and '.join(known)}."
    return f"The machine was {'; '.join(f'{state} {when}' for when, state in known.items())}."
