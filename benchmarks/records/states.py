"""The state that a machine was in: quiet, busy, shared, throttled, on a quota; in words.

`benchmarks/machine/state.py` measures what these functions judge.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from samegrad.benchmarks.clock.loops import SHARED
from samegrad.benchmarks.records.quality import DISTURBED, LOST
from samegrad.benchmarks.records.schema import Record

BEFORE, DURING = "before the run", "while it measured"
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


class Fact(NamedTuple):
    """What a machine was, in parts: of two times the clause is said once.

    Attributes:
        what: the clause.
        how: in brackets behind it, by whom or how much, or "".
        again: `how` in fewer words, where it stands behind that of another time.
    """

    what: str
    how: str = ""
    again: str = ""

    def __str__(self) -> str:
        return f"{self.what} ({self.how})" if self.how else self.what


QUIET = Fact("quiet")


def facts(state: Record) -> list[Fact]:
    """What the machine was, and by whom."""
    found = []
    if taken(state) > DISTURBED:
        found.append(Fact("busy", *_by_whom(state)))
    if taken(state) <= DISTURBED and slower(state) > SHARED:
        times = f"{slower(state):.2g}"
        found.append(
            Fact(
                "on cores that others use, too, whom this system does not see",
                f"a fixed loop took {times} times its least, half of the time",
                f"{times} times",
            )
        )
    if state.get("throttled", 0.0) > STOPPED:
        share = f"{100 * state['throttled']:.0f} %"
        found.append(Fact("stopped by its quota", f"in {share} of the time", f"in {share}"))
    if state.get("hot"):
        found.append(Fact("throttled for heat"))
    if state.get("quota", state["cores"]) < state["cores"]:
        found.append(Fact(f"on a quota of {state['quota']:g} of {state['cores']} cores"))
    return found or [QUIET]


def words(state: Record) -> str:
    """The same as a part of a sentence."""
    return ", ".join(map(str, facts(state)))


def _by_whom(state: Record) -> tuple[str, str]:
    """Who had the cores, and the same again, shorter."""
    reasons, again = [], []
    if state.get("others", 0.0) / max(1, state["cores"]) > DISTURBED:
        programs = state.get("programs", {})
        largest = sorted(programs, key=lambda name: -programs[name])[:MOST_PROGRAMS]
        named = ", ".join(f"{n} {programs[n]:.2g}" for n in largest if programs[n] >= 0.05)
        named = f": {named}" * bool(named)
        others = f"{state['others']:.2g}"
        reasons.append(f"other programs take {others} of {state['cores']} cores{named}")
        again.append(f"other programs {others}{named}")
    if state.get("steal", 0.0) > DISTURBED:
        share = f"the hypervisor takes {100 * state['steal']:.0f} %"
        reasons.append(f"{share} of the time")
        again.append(share)
    return "; ".join(reasons), ", ".join(again)


def before_and_during(states: Sequence[Record]) -> tuple[Record | None, Record | None]:
    """What a run's states come to: before it began (the last time), and while it measured."""
    before = [state for state in states if state["when"] == "before"]
    return average(before[-1:]), average(s for s in states if s["when"] == "during")


def run_too_busy(states: Sequence[Record]) -> bool:
    """Whether no conclusion is drawn from a run."""
    before, during = before_and_during(states)
    return too_busy(during or before)


def run_quiet(states: Sequence[Record]) -> bool:
    """Whether nothing was found that would explain what differs while a run measured."""
    before, during = before_and_during(states)
    state = during or before
    return state is not None and facts(state) == [QUIET]


def sentence(states: Sequence[Record]) -> str:
    """The machine's state in a run, as it is said first."""
    before, during = before_and_during(states)
    if before is None and during is None:
        return "The machine's state was not recorded."
    parts = {BEFORE: before, DURING: during}
    known = {when: words(state) for when, state in parts.items() if state is not None}
    if len(set(known.values())) == 1:
        return f"The machine was {next(iter(known.values()))}, {' and '.join(known)}."
    if before is not None and during is not None and (joined := _both(before, during)):
        return f"The machine was {joined}."
    return f"The machine was {'; '.join(f'{state} {when}' for when, state in known.items())}."


def _both(before: Record, during: Record) -> str:
    """Two states of the same faults, each of which is said once; "" if their faults differ."""
    first, then = facts(before), facts(during)
    if [one.what for one in first] != [one.what for one in then]:
        return ""
    return ", ".join(
        str(a) if a == b else f"{a.what} ({a.how}, {BEFORE}; {b.again} {DURING})"
        for a, b in zip(first, then, strict=True)
    )
