"""`samegrad selftest`: may this machine's numbers be believed?

Each claim about the clock is measured here and now: delays of known length, chains of growing
length, other clocks beside ours, a slow first call, implementations that are wrong or cheat, and
the same program under two names. The last section says whether the machine was quiet meanwhile.
"""

import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case, MLPWorkload
from samegrad.benchmarks.clock import intervals
from samegrad.benchmarks.machine import counters, process_environment, system
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.runs.budget import Pilot, Plan, Settings
from samegrad.benchmarks.runs.capabilities import Probe
from samegrad.benchmarks.runs.progress import Progress
from samegrad.benchmarks.runs.runner import Run
from samegrad.benchmarks.selftest import checks, child
from samegrad.benchmarks.selftest.checks import Claim
from samegrad.implementations.checking import processes as isolation
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.commands import command
from samegrad.implementations.contract.spec import MLPSpec

HERE = Path(__file__).resolve().parent / "saboteurs"
SMALL = MLPWorkload("small", MLPSpec((64, 32, 24, 16, 10)), 32, 512)
LARGE = MLPWorkload("large", MLPSpec((784, 512, 512, 10)), 128, 512)
TWINS = MLPWorkload("twins", MLPSpec((784, 128, 64, 10)), 32, 512)
TWIN_PROCESSES = 9
CHILD_SECONDS = 180.0

# saboteur -> (what it does, problem, operation, threads, framework, (status, part of the reason))
SABOTEURS: dict[str, tuple[str, MLPWorkload, str, str, str | None, tuple[str, str]]] = {
    "no_op": (
        "a step that changes nothing",
        SMALL, "train_step", "all", None, ("wrong", "after a step"),
    ),
    "loss_only": (
        "a jit that returns the loss only",
        SMALL, "train_step", "all", "jax", ("wrong", "after a step"),
    ),
    "constants": (
        "a jit closed over its inputs",
        SMALL, "loss_and_grad", "all", "jax", ("wrong", "another batch"),
    ),
    "wrong_sign": (
        "a gradient of the wrong sign",
        SMALL, "loss_and_grad", "all", None, ("wrong", "db4: error 2"),
    ),
    "off_by_a_thousandth": (
        "a gradient wrong by 0.1 %",
        SMALL, "loss_and_grad", "all", None, ("wrong", "dW1: error 0.001"),
    ),
    "float64_out": (
        "float64 in a float32 table",
        SMALL, "loss_and_grad", "all", None, ("wrong", "dtype float64, expected float32"),
    ),
    "float64_inside": (
        "float64 inside, rounded at the end",
        SMALL, "loss_and_grad", "all", None, ("wrong", "more digits than float32"),
    ),
    "nan_params": (
        "params that are not numbers",
        SMALL, "train_step", "all", None, ("wrong", "not finite"),
    ),
    "recompiles": (
        "a compilation in every call",
        SMALL, "loss_and_grad", "all", "jax", ("rejected", "recompiled while timing"),
    ),
    "second_pool": (
        "threads beyond the one that was asked for",
        SMALL, "loss_and_grad", "1", None, ("rejected", "cores were busy with 1 thread"),
    ),
    "unsynchronised": (
        "a clock that stops before jax is done",
        LARGE, "train_step", "all", "jax", ("rejected", "not synchronised"),
    ),
    "unsynchronised_cuda": (
        "a clock that stops before the GPU is done",
        LARGE, "train_step", "all", "torch", ("rejected", "not synchronised"),
    ),
    "killed": (
        "a process that dies by SIGKILL",
        SMALL, "loss_and_grad", "all", None, ("crashed", "SIGKILL"),
    ),
    "segfault": (
        "a process that dies by SIGSEGV",
        SMALL, "loss_and_grad", "all", None, ("crashed", "SIGSEGV"),
    ),
}  # fmt: skip


GROUPS = ("clock", "steps", "saboteurs", "twins")  # what --only takes, and names of saboteurs


def run(
    say: Callable[[str], None], device: str = "cpu", only: Collection[str] = GROUPS
) -> list[Claim]:
    """Measure every claim, or those of some groups and saboteurs, telling each as it is found."""
    found: list[Claim] = []
    chosen = [name for name in SABOTEURS if name in only or "saboteurs" in only]

    def tell(title: str, some: Iterator[Claim]) -> None:
        say(f"\n{title}")
        for claim in some:
            found.append(claim)
            say(f"  {claim}")

    before = counters.moment()
    medians: dict[str, tuple[float, ...]] = {}
    if "clock" in only:
        tell("The clock", _clock())
    if "steps" in only:
        tell("Real steps, and other clocks", _steps(device))
    if chosen:
        tell("Saboteurs: none of them gets a number", _saboteurs(device, chosen))
    if "twins" in only:
        tell("Verdicts", _twins(medians))
    if set(only) & {"clock", "steps", "twins"}:  # what hangs on a quiet machine
        tell("The machine meanwhile", _quiet(before, medians))
    return found


def _clock() -> Iterator[Claim]:
    wait, clock = child.busy_wait, time.perf_counter_ns
    yield from checks.known_delay(wait, clock)
    yield checks.slow_first_call(wait, clock)


def _steps(device: str) -> Iterator[Claim]:
    wishes: list[tuple[str, str | None, list[str]]] = [
        ("numpy", None, ["injected", "linearity", "timeit"]),
        (str(HERE / "side_by_side.py"), "torch", ["linearity", "torch's Timer"]),
        ("jax", "jax", ["linearity", "timeit"]),
    ]
    if device == "cuda":
        wishes.append((str(HERE / "side_by_side.py"), "torch", ["events"]))
    else:
        reason = system.gpus() or "no GPU on this machine"
        yield Claim("side by side with CUDA events", "5 % apart", f"device cpu: {reason}", None)
    for name, framework, wanted in wishes:
        if framework and registry.why_not_installed(framework):
            reason = str(registry.why_not_installed(framework))
            yield Claim(f"{framework}: {', '.join(wanted)}", "", reason, None)
            continue
        where = "cpu" if framework is None else device
        yield from _child(name, framework or name, where, wanted)


def _child(name: str, label: str, device: str, wanted: list[str]) -> Iterator[Claim]:
    found: list[Claim] = []

    def on_message(message: dict[str, Any]) -> None:
        if "claim" in message:
            claim = Claim(**message["claim"])
            found.append(Claim(f"{label}: {claim.what}", *list(asdict(claim).values())[1:]))

    with tempfile.TemporaryDirectory(prefix="samegrad-") as scratch:
        ended = isolation.run_child(
            isolation.python_child(
                "samegrad.benchmarks.selftest.child",
                cores=process_environment.affinity("1"),  # as little as possible besides the clock
            ),
            {"implementation": name, "device": device, "claims": wanted},
            process_environment.worker_environment(device, Path(scratch), "1"),
            on_message,
            CHILD_SECONDS,
        )
    yield from found
    for wish in wanted[len(found) :]:
        yield Claim(f"{label}: {wish}", "an answer", f"{ended.kind}: {ended.reason}", False)


def _saboteurs(device: str, chosen: Collection[str]) -> Iterator[Claim]:
    cases: dict[str, Case] = {}
    for name in chosen:
        what, problem, operation, threads, framework, expected = SABOTEURS[name]
        missing = registry.why_not_installed(framework) if framework else None
        if name == "unsynchronised_cuda" and device != "cuda":
            missing = "device cpu"
        if name == "second_pool" and system.cores() < 2:
            missing = "one core: there is nothing to take beyond it"
        if missing:
            yield Claim(what, f"{expected[0]}: ... {expected[1]} ...", missing, None)
            continue
        where = device if name == "unsynchronised_cuda" else "cpu"
        cases[name] = Case(problem, operation, name, where, threads=threads)
    honest = Case(SMALL, "loss_and_grad", "numpy")
    rows = _measure([*cases.values(), honest], processes=1)
    for name in cases:
        what, *_, expected = SABOTEURS[name]
        row = rows[name]
        yield checks.refused(what, row.status, row.reason, expected)
    survivor = rows["numpy"]
    yield Claim(
        "an honest row among them survives",
        "ok",
        f"{survivor.status} {survivor.reason}".strip(),
        survivor.status == "ok",
    )


def _twins(medians: dict[str, tuple[float, ...]]) -> Iterator[Claim]:
    names = ("twin_a", "twin_b", "slower")
    rows = _measure(
        [Case(TWINS, "train_step", name, threads="1") for name in names], TWIN_PROCESSES, 0.2
    )
    for name in names:
        if rows[name].status != "ok":
            reason = f"{name} is {rows[name].status}: {rows[name].reason}"
            yield Claim("A/A", "two rows with a number", reason, False)
            return
        medians[name] = rows[name].process_medians
    yield checks.twins(intervals.ratio(medians["twin_a"], medians["twin_b"]))
    yield checks.slowed(intervals.ratio(medians["slower"], medians["twin_a"]))


def _quiet(before: counters.Moment, medians: Mapping[str, tuple[float, ...]]) -> Iterator[Claim]:
    """Whether anything interfered: not a property of the clock, but of the moment."""
    shares = counters.interference(before, counters.moment())
    if "steal" in shares:
        yield Claim(
            "interference: time that the hypervisor took",
            f"{100 * results.INTERFERENCE:.0f} %",
            f"{100 * shares['steal']:.1f} %",
            shares["steal"] <= results.INTERFERENCE,
        )
    if "twin_a" in medians:
        spread = max(max(medians[n]) / min(medians[n]) - 1 for n in ("twin_a", "twin_b"))
        yield Claim(
            "interference: processes of the same program differ by",
            f"{100 * checks.QUIET:.0f} %",
            f"{100 * spread:.1f} %",
            spread <= checks.QUIET,
        )


def _measure(cases: list[Case], processes: int, block_seconds: float = 0.05) -> dict[str, Row]:
    """Rows by implementation, measured as any run measures."""
    probes, pilot = {}, Pilot(1e-4, 1.0, 1e9, 1.0)
    for case in cases:
        name, path = case.implementation, HERE / f"{case.implementation}.py"
        probed = Probe(str(path) if path.is_file() else name, name)
        probed.pilots = {case.device: pilot}
        probed.sources = {}
        probes[name] = probed
    with tempfile.TemporaryDirectory(prefix="samegrad-") as directory:
        measured = Run(
            Plan(cases, processes=processes),
            probes,
            Path(directory) / "run",
            Settings(None, block_seconds=block_seconds, warm_up_seconds=0.2, ceilings=False),
            interpreters={},
            progress=Progress(),
            about={"preset": "selftest"},
        )
        measured.execute()
    return {row.case.implementation: row for row in results.rows(measured.journal)}


def summary(claims: Collection[Claim]) -> str:
    """How many claims hold, and what to do where the machine was not quiet."""
    failed = [claim for claim in claims if claim.holds is False]
    clock = [claim for claim in failed if not claim.what.startswith("interference")]
    tried = sum(claim.holds is not None for claim in claims)
    lines = [
        "",
        f"{tried - len(failed)} of {tried} claims hold; {len(claims) - tried} not here.",
    ]
    if len(failed) > len(clock):
        lines.append(
            "The machine was not quiet: intervals are wider than need be, and what is marked "
            f"NOT MET above may be the machine's doing. `{command('doctor')}` looks for the cause."
        )
    return "\n".join(lines)
