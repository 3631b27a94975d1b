"""What else a machine does: other programs, the hypervisor, quotas and heat, between two looks.

Linux tells all of it, other systems nothing: then a fact is left out. What it means is said by
`benchmarks/records/states.py`.
"""

import contextlib
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samegrad.benchmarks.clock.loops import loops
from samegrad.benchmarks.machine import system

LOOK_SECONDS = 1.0  # ticks of 10 ms are 1 % of it
MOST_PROGRAMS, LEAST = 5, 0.02  # programs that a state names, and the cores that one must take
Program = tuple[str, float]  # name, seconds of CPU time


@dataclass(frozen=True)
class Look:
    """What the system's counters say at one moment.

    Attributes:
        at: the moment, in seconds of the monotonic clock.
        busy: seconds that the cores which this process may use have worked, for whomever.
        own: seconds of CPU time of this process and its descendants.
        others: process -> its program, for those that are not ours.
        lost: what `system.moment` says.
        throttled: seconds that the control group's quota has stopped its processes.
        hot: how often cores were slowed down for heat.
        loops: nanoseconds that a fixed piece of work takes, again and again.
    """

    at: float
    busy: float | None
    own: float
    others: dict[int, Program]
    lost: system.Moment
    throttled: float | None
    hot: int
    loops: tuple[int, ...] = ()


def look() -> Look:
    """The counters now; it takes some 20 milliseconds."""
    own, others = _processes()
    throttled = system.after("/sys/fs/cgroup/cpu.stat", "throttled_usec")
    heat = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
    return Look(
        time.monotonic(),
        system.busy(),
        own,
        others,
        system.moment(),
        int(throttled) / 1e6 if throttled.isdigit() else None,
        sum(int(count) for count in map(system.text, map(str, heat)) if count.isdigit()),
        loops(),
    )


def between(before: Look, after: Look) -> dict[str, Any]:
    """The facts of a state record between two looks."""
    seconds = max(after.at - before.at, 1e-3)
    programs: dict[str, float] = {}
    for process, (name, spent) in after.others.items():
        cores = (spent - before.others.get(process, (name, 0.0))[1]) / seconds
        if cores > 0:
            programs[name] = programs.get(name, 0.0) + cores
    facts: dict[str, Any] = {"seconds": seconds, "cores": system.cores()}
    if after.others or after.busy is not None:
        facts["others"] = sum(programs.values())
        largest = sorted(programs.items(), key=lambda one: -one[1])[:MOST_PROGRAMS]
        facts["programs"] = {name: round(cores, 3) for name, cores in largest if cores >= LEAST}
    if before.busy is not None and after.busy is not None:  # also what cannot be seen from here
        whole = after.busy - before.busy - (after.own - before.own)
        facts["others"] = min(float(facts["cores"]), max(0.0, whole / seconds))
    if "steal" in (shares := system.interference(before.lost, after.lost)):
        facts["steal"] = max(0.0, shares["steal"])
    if before.throttled is not None and after.throttled is not None:
        facts["throttled"] = (after.throttled - before.throttled) / seconds
    quota = system.cpu_quota()
    if quota.replace(".", "", 1).isdigit():
        facts["quota"] = float(quota)
    facts["hot"] = max(0, after.hot - before.hot)
    if taken := before.loops + after.loops:
        facts |= {"loop_ns": statistics.median_low(taken), "loop_least_ns": min(taken)}
    return facts


def watch(seconds: float = LOOK_SECONDS) -> dict[str, Any]:
    """The facts of the next seconds, in which this process does nothing."""
    before = look()
    time.sleep(seconds)
    return between(before, look())


def _processes() -> tuple[float, dict[int, Program]]:
    """CPU seconds of this process with all that it has started; and the other programs."""
    ticks = system.configured("SC_CLK_TCK")
    if not ticks or not Path("/proc/self/stat").exists():
        return time.process_time(), {}
    parents, names, spent, reaped = {}, {}, {}, {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended
            text = Path(entry.path, "stat").read_text(errors="replace")
            name, _, rest = text.partition("(")[2].rpartition(")")
            fields, process = rest.split(), int(entry.name)
            parents[process], names[process] = int(fields[1]), name
            spent[process] = sum(map(int, fields[11:13])) / ticks
            reaped[process] = sum(map(int, fields[13:15])) / ticks
    ours = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in ours} - ours:
        ours |= more
    own = sum(spent.get(process, 0.0) + reaped.get(process, 0.0) for process in ours)
    return own, {p: (names[p], spent[p]) for p in spent if p not in ours}
