"""`samegrad selftest`: may this machine's numbers be believed?

What the clock promises is checked here and now: delays of known length, chains of growing length,
other clocks beside ours, a slow first call, implementations that are wrong or cheat, and the same
program under two names. The last section says whether the machine was quiet meanwhile.
"""

import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock import intervals
from samegrad.benchmarks.machine import gpu, system
from samegrad.benchmarks.records.rows import Row, rows
from samegrad.benchmarks.runs import speed
from samegrad.benchmarks.runs.budget import Budget, CostModel, RunSettings
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.selftest import (
    accidents,
    ahead,
    checks,
    child,
    honest,
    red_team,
    saboteurs,
)
from samegrad.benchmarks.selftest.ahead import CHEATS
from samegrad.benchmarks.selftest.checks import Check
from samegrad.benchmarks.selftest.honest import HONEST
from samegrad.benchmarks.selftest.saboteurs import SABOTEURS, SMALL, Saboteur
from samegrad.implementations.checking.processes import python_child, run_child
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.commands import command, did_you_mean
from samegrad.implementations.contract.scratch import scratch
from samegrad.implementations.contract.spec import MLPSpec

TWINS = MLPWorkload("twins", MLPSpec((784, 128, 64, 10)), 32, 512)
TWIN_PROCESSES = 9
CHILD_SECONDS = 180.0
# What --only takes, besides names of saboteurs, of cheats and of those that are honest.
GROUPS = ("clock", "steps", "saboteurs", "twins")
RED_TEAM = "red-team"
# What is right in some of its calls is found by chance: it is tried as a standard run does it.
BY_CHANCE, STANDARD = ("every_second_call", "replays_by_address"), 5  # processes
TRIES = 3  # to measure an honest network beside a cheat
EVERY = {**SABOTEURS, **CHEATS, **HONEST}


def run(
    say: Callable[[str], None], device: str = "cpu", only: Collection[str] = GROUPS
) -> list[Check]:
    """The results of all checks, or of those of some groups and saboteurs.

    Args:
        say: told each result as it comes.
        device: "cpu" or "cuda".
        only: of GROUPS, RED_TEAM and EVERY.

    Raises:
        ValueError: a name is not accepted, or the device is not here.
    """
    accepted = (*GROUPS, RED_TEAM, *EVERY)
    unknown = [name for name in only if name not in accepted]
    if unknown:
        raise ValueError(
            f"--only {unknown[0]!r} is not known; accepted: {', '.join(accepted)}"
            f"{did_you_mean(unknown[0], accepted)}"
        )
    if device == "cuda" and not gpu.measured():
        raise ValueError("no GPU on this machine")
    done: list[Check] = []
    everybody = RED_TEAM in only
    chosen = [name for name in SABOTEURS if name in only or "saboteurs" in only or everybody]
    cheats = [name for name in CHEATS if name in only or everybody]
    right = [name for name in HONEST if name in only or everybody]

    def tell(title: str, checked: Iterator[Check]) -> None:
        say(f"\n{title}")
        for check in checked:
            done.append(check)
            say(f"  {check}")

    before = system.moment()
    medians: dict[str, tuple[float, ...]] = {}
    if "clock" in only:
        tell("The clock", _clock())
    if "steps" in only:
        tell("Real steps, and other clocks", _steps(device))
    if chosen:
        tell("Saboteurs: none of them gets a number", _saboteurs(device, chosen))
    if cheats:
        tell("Cheats: none of them gets a time that it has not spent", _cheats(cheats))
    if right:
        tell("Unusual, and right: each of them gets its number", _honest(right))
    if "twins" in only:
        tell("Verdicts", _twins(medians))
    if set(only) & {"clock", "steps", "twins"}:  # what needs a quiet machine
        tell("The machine meanwhile", _quiet(before, medians))
    return done


def _clock() -> Iterator[Check]:
    wait, clock = child.busy_wait, time.perf_counter_ns
    yield from checks.known_delay(wait, clock)
    yield checks.slow_first_call(wait, clock)


def _steps(device: str) -> Iterator[Check]:
    requests = [
        ("numpy", ["injected", "linearity", "timeit"]),
        ("torch", ["linearity", "torch's Timer"]),
        ("jax", ["linearity", "timeit"]),
    ]
    if device == "cuda":
        requests.append(("torch", ["events"]))
    else:
        reason = gpu.measured() or "no GPU on this machine"
        yield Check("side by side with CUDA events", "5 % apart", f"device cpu: {reason}", None)
    for name, names in requests:
        missing = registry.why_not_installed(name)
        if missing:
            yield Check(f"{name}: {', '.join(names)}", "", missing, None)
        else:
            yield from _in_child(name, device if registry.TABLE[name].gpu else "cpu", names)


def _in_child(name: str, device: str, names: list[str]) -> Iterator[Check]:
    """Checks on an implementation's steps, in a process that is bound to one core."""
    done: list[Check] = []

    def on_message(message: dict[str, Any]) -> float:
        if "check" in message:
            check = Check(**message["check"])
            done.append(replace(check, what=f"{name}: {check.what}"))
        return CHILD_SECONDS

    with scratch() as folder:
        ended = run_child(
            python_child(
                "samegrad.benchmarks.selftest.child",
                cores=system.affinity("1"),  # as little as possible besides the clock
            ),
            {"implementation": name, "device": device, "checks": names},
            system.worker_environment(device, folder, "1"),
            on_message,
            CHILD_SECONDS,
            doing=f"checking {name}",
        )
    yield from done
    for missing in names[len(done) :]:
        yield Check(f"{name}: {missing}", "an answer", f"{ended.kind}: {ended.reason}", False)


def _saboteurs(device: str, chosen: Collection[str]) -> Iterator[Check]:
    cases: dict[str, Case] = {}
    for name in chosen:
        saboteur = SABOTEURS[name]
        missing = registry.why_not_installed(saboteur.over)
        if name == "unsynchronised_cuda" and device != "cuda":
            missing = "device cpu"
        if saboteur.status == "crashed" and not hasattr(signal, "SIGKILL"):
            missing = "this system has no such signals"
        if name in ("second_pool", "helper_process") and system.cores() < 2:
            missing = "one core: nothing can be taken beyond it"
        if missing:
            allowed = checks.refusal(saboteur.status, saboteur.reason)
            yield Check(saboteur.what, allowed, missing, None)
            continue
        where = device if name == "unsynchronised_cuda" else "cpu"
        cases[name] = Case(
            saboteur.workload, saboteur.operation, name, where, threads=saboteur.threads
        )
    honest = Case(SMALL, "loss_and_grad", "numpy")
    # Of fewer than five blocks the two clocks may differ by chance (clock/agreement.py).
    measured = measure([*cases.values(), honest], processes=1, block_seconds=0.15)
    for name in cases:
        saboteur, row = SABOTEURS[name], measured[name]
        expected = (saboteur.status, saboteur.reason)
        yield checks.refused(saboteur.what, row.status, row.reason, expected)
    survivor = measured["numpy"]
    yield Check(
        "an honest row among them survives",
        "ok",
        f"{survivor.status} {survivor.reason}".strip(),
        survivor.status == "ok",
    )


def _cheats(chosen: Collection[str]) -> Iterator[Check]:
    """All at once, beside the networks that they are made of."""
    cases = {name: _case(name) for name in chosen if not _missing(name)}
    measured: dict[str, Row] = {}
    for processes, wanted in ((1, False), (STANDARD, True)):
        some = [case for name, case in cases.items() if (name in BY_CHANCE) is wanted]
        measured |= measure(some, processes, 0.15) if some else {}
    # Rows are found by their implementation: one run for each of those that are honest.
    paid: dict[Case, float] = {}
    for name in chosen:
        cheat = CHEATS[name]
        what = f"{name}: {cheat.what}"
        if name not in cases:
            yield Check(what, "no number", _missing(name) or "", None)
            continue
        row, honest_one = measured[name], replace(cases[name], implementation="numpy")
        if row.median_seconds is None:
            yield checks.unpaid(what, row.status, row.reason, None, 0.0)
            continue
        for _ in range(TRIES):  # what disturbs the honest one adds to its time
            least = paid.get(honest_one, float("inf"))
            if row.median_seconds >= checks.PAID * least:
                break
            again = measure([honest_one], 1, 0.15)["numpy"].median_seconds
            paid[honest_one] = min(least, again or least)
        yield checks.unpaid(what, "ok", "", row.median_seconds, paid[honest_one])


def _honest(chosen: Collection[str]) -> Iterator[Check]:
    cases = {name: _case(name) for name in chosen if not _missing(name)}
    measured = measure(list(cases.values()), 1, 0.15) if cases else {}
    for name in chosen:
        what = f"{name}: {HONEST[name].what}"
        if name in cases:
            yield checks.accepted(what, measured[name].status, measured[name].reason)
        else:
            yield Check(what, "ok", _missing(name) or "", None)


def _case(name: str) -> Case:
    one = EVERY[name]
    return Case(one.workload, one.operation, name, threads=one.threads)


def _missing(name: str) -> str | None:
    """Why one cannot be tried here."""
    needs = {"compiles_every_time": "jax", "jax_inside": "jax", "torch_inside": "torch"}
    return registry.why_not_installed(needs.get(name, EVERY[name].over))


def _twins(medians: dict[str, tuple[float, ...]]) -> Iterator[Check]:
    names = ("twin_a", "twin_b", "slower")
    measured = measure(
        [Case(TWINS, "train_step", name, threads="1") for name in names], TWIN_PROCESSES, 0.2
    )
    for name in names:
        row = measured[name]
        if row.status != "ok":
            reason = f"{name} is {row.status}: {row.reason}"
            yield Check("A/A", "two rows with a number", reason, False)
            return
        medians[name] = row.process_medians
    yield checks.twins(intervals.ratio(medians["twin_a"], medians["twin_b"]))
    yield checks.slowed(intervals.ratio(medians["slower"], medians["twin_a"]))


def _quiet(before: system.Moment, medians: Mapping[str, tuple[float, ...]]) -> Iterator[Check]:
    """Whether anything interfered: not a property of the clock, but of the moment."""
    shares = system.interference(before, system.moment())
    if "steal" in shares:
        yield Check(
            f"{DISTURBED}: time that the hypervisor took",
            f"{100 * INTERFERENCE:.0f} %",
            f"{100 * shares['steal']:.1f} %",
            shares["steal"] <= INTERFERENCE,
        )
    if "twin_a" in medians:
        spread = max(max(medians[n]) / min(medians[n]) - 1 for n in ("twin_a", "twin_b"))
        yield Check(
            f"{DISTURBED}: processes of the same program differ by",
            f"{100 * checks.QUIET:.0f} %",
            f"{100 * spread:.1f} %",
            spread <= checks.QUIET,
        )


INTERFERENCE = 0.01  # share of the time
DISTURBED = "interference"  # with which the checks of the moment begin


def measure(cases: list[Case], processes: int, block_seconds: float = 0.05) -> dict[str, Row]:
    """Rows by implementation, measured as any run measures."""
    capabilities, model = {}, CostModel(1e-4, 1.0, 1e9, 1.0)
    for case in cases:
        label = case.implementation
        name = "numpy" if label in ("twin_a", "twin_b") else label
        for module in (saboteurs, red_team, accidents, ahead, honest):
            if isinstance(vars(module).get(label), Saboteur):
                name = f"{module.__name__}:{label}"
        capabilities[label] = Capabilities(name, label, cost_models={case.device: model})
    with scratch() as directory:
        run = Run(
            Budget(cases, processes=processes),
            capabilities,
            directory / "run",
            RunSettings(None, block_seconds=block_seconds, warm_up_seconds=0.2, ceilings=False),
            about={"preset": "selftest"},
        )
        speed.execute(run)
    return {row.case.implementation: row for row in rows(run.journal)}


def failed(done: Sequence[Check]) -> list[Check]:
    """The checks that make the command end with 1."""
    return [check for check in done if check.passed is False]


def summary(done: Sequence[Check]) -> str:
    """How many checks passed, and what to do where the machine was not quiet."""
    failures = failed(done)
    tried = sum(check.passed is not None for check in done)
    lines = [
        "",
        f"{tried - len(failures)} of {tried} checks passed; "
        f"{len(done) - tried} could not be tried here.",
    ]
    if any(check.what.startswith(DISTURBED) for check in failures):
        lines.append(
            "The machine was not quiet: intervals are wider than need be, and what is marked "
            f"FAILED above may be the machine's doing. `{command('doctor')}` looks for the cause."
        )
    return "\n".join(lines)
