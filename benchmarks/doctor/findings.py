"""From facts about a machine to findings: what misleads, what is slow, what to do about it.

Pure functions of the facts that `doctor.gather` records, so that recorded machines can be tested.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from samegrad.benchmarks.clock.loops import SHARED
from samegrad.implementations.contract.commands import command, install

Facts = Mapping[str, Any]
LEAST_GAIN = 1.10  # times as fast: less is not worth a finding
BUSY, LOST = 0.10, 0.01  # cores that others keep busy; share of the time that the hypervisor takes
FAR_BELOW = 0.75  # of the best library's products
SLOW_GOVERNORS = ("powersave", "conservative", "ondemand")
DENORMAL_TIMES = 2.0
PROBLEM, NOTE = "problem", "note"


@dataclass(frozen=True)
class Finding:
    """One thing that makes numbers misleading or slow.

    Attributes:
        level: "problem", or "note" for what is so and cannot be mended.
        title: what it is.
        effect: what was measured.
        remedy: what to do.
    """

    level: str
    title: str
    effect: str
    remedy: str


def findings(facts: Facts) -> list[Finding]:
    """The findings of all checks: load, then problems, then notes.

    On a machine that is not quiet, what a load can fake is not looked for: a library is slow there
    because others compute, and another one the next time.
    """
    loaded = list(interference(facts))
    checks = [check for check in CHECKS if not (loaded and check in FAKED_BY_LOAD)]
    made = [finding for check in checks for finding in check(facts)]
    if loaded:
        made.append(
            Finding(
                NOTE,
                "how fast libraries and kernels are here is not judged",
                "others used the machine meanwhile, which slows down now one of them, now another",
                f"once it is quiet: {command('doctor')}",
            )
        )
    return loaded + sorted(made, key=lambda finding: finding.level != PROBLEM)


def openblas(facts: Facts) -> Iterator[Finding]:
    """Kernels below what the CPU can do."""
    trials = facts.get("openblas", [])
    own = next((t for t in trials if not t["name"] and t.get("gemm")), None)
    if own is None:
        return
    better = [
        (t["gemm"]["float32"] / own["gemm"]["float32"], t)
        for t in trials
        if t["name"] and t.get("gemm") and t.get("kernel") != own.get("kernel")
    ]
    times, best = max(better, key=lambda pair: pair[0], default=(1.0, own))
    core_type = facts.get("openblas_coretype")
    unset = next((pair for pair in better if pair[1]["name"] == "unset"), None)
    if core_type and unset is not None and unset[0] > max(LEAST_GAIN, times / LEAST_GAIN):
        yield Finding(
            PROBLEM,
            f"OPENBLAS_CORETYPE={core_type} makes NumPy's OpenBLAS use its {own['kernel']} kernels "
            f"on a {facts['cpu']}",
            f"without it it uses {unset[1]['kernel']}, and a float32 product is {unset[0]:.2f} "
            f"times as fast ({_rate(own)} and {_rate(unset[1])} GFLOP/s)",
            "unset OPENBLAS_CORETYPE before Python starts",
        )
    elif times > LEAST_GAIN:
        yield Finding(
            PROBLEM,
            f"NumPy's OpenBLAS uses its {own['kernel']} kernels on a {facts['cpu']}",
            f"with {best['name']} a float32 product is {times:.2f} times as fast "
            f"({_rate(own)} and {_rate(best)} GFLOP/s)",
            f"export OPENBLAS_CORETYPE={best['name']} before Python starts",
        )


def libraries(facts: Facts) -> Iterator[Finding]:
    """A library whose products are far below another's; MKL on a CPU that it serves badly."""
    rates = {
        name: library["gemm"]["float32"]
        for name, library in facts.get("libraries", {}).items()
        if library.get("gemm", {}).get("float32")
    }
    if len(rates) < 2:
        return
    leader = max(rates, key=lambda name: rates[name])
    explained = {"numpy"} if any(openblas(facts)) else set()
    for name, rate in rates.items():
        share = rate / rates[leader]
        if share >= FAR_BELOW or name in explained:
            continue
        mkl = facts["libraries"][name].get("facts", {}).get("blas") == "MKL"
        vendor = "" if "Intel" in facts["cpu"] else f" on a {facts['cpu']}"
        title = f"{name}'s MKL is slow{vendor}" if mkl else f"{name}'s matrix products are slow"
        remedy = f"for large layers use {leader} here"
        if mkl and vendor:
            remedy += f", or a build of {name} with another BLAS: MKL is tuned for Intel's CPUs"
        yield Finding(
            PROBLEM,
            title,
            f"{rate / 1e9:.0f} GFLOP/s in float32, {100 * share:.0f} % of {leader}'s "
            f"{rates[leader] / 1e9:.0f}",
            remedy,
        )


def threads(facts: Facts) -> Iterator[Finding]:
    """More threads than cores."""
    for name, value in facts.get("thread_variables", {}).items():
        if not value.isdigit() or int(value) <= facts["cores"]:
            continue
        measured = [
            f"{library}: a step takes {1e6 * pair['as_set']:.0f} us, with one thread a core "
            f"{1e6 * pair['one_per_core']:.0f} us ({pair['as_set'] / pair['one_per_core']:.1f} "
            "times)"
            for library, pair in facts.get("oversubscription", {}).items()
        ]
        yield Finding(
            PROBLEM,
            f"{name}={value} asks for more threads than the {facts['cores']} cores here",
            "; ".join(measured) or "not measured",
            f"unset {name}, or set it to {facts['cores']}",
        )


def quota(facts: Facts) -> Iterator[Finding]:
    """A control group that allows less time than the cores have."""
    try:
        allowed = float(facts.get("cpu_quota", "none"))
    except ValueError:
        return
    if allowed < facts["cores"]:
        whole = max(1, int(allowed))
        busy = facts.get("busy_cores")
        effect = f"{busy:.2f} cores were busy at most" if busy else "not measured"
        yield Finding(
            PROBLEM,
            f"the container sees {facts['cores']} cores and may use {allowed:g} cores' worth of "
            "time",
            f"{effect}: threads are stopped in the middle of their work, and blocks differ",
            f"{command('benchmark', '--threads', str(whole))}, or raise the quota",
        )


def governor(facts: Facts) -> Iterator[Finding]:
    """A clock that follows the load."""
    if facts.get("governor") in SLOW_GOVERNORS:
        yield Finding(
            PROBLEM,
            f"the CPU's frequency governor is {facts['governor']}",
            "the clock rises only after a while of work: short calls look slower than they are",
            "cpupower frequency-set -g performance",
        )


def interference(facts: Facts) -> Iterator[Finding]:
    """Other programs, and other machines on the same host."""
    busy = facts.get("other_load")
    if busy is not None and busy > BUSY:
        programs = facts.get("programs", {})
        largest = sorted(programs, key=lambda name: -programs[name])[:3]
        named = ", ".join(f"{name} {programs[name]:.2g}" for name in largest)
        yield Finding(
            PROBLEM,
            "other programs are running",
            f"{busy:.2f} of {facts['cores']} cores were busy while nothing was measured"
            + f": {named}" * bool(named),
            "end them, or measure at another time",
        )
    steal = facts.get("steal")
    if steal is not None and steal > LOST:
        yield Finding(
            PROBLEM,
            "other machines on the same host take this one's time",
            f"{100 * steal:.1f} % of the time was taken (steal)",
            "measure at another time or on a machine of your own; more processes narrow intervals",
        )


def shared(facts: Facts) -> Iterator[Finding]:
    """Cores that somebody else uses whom the system does not see."""
    times = facts.get("loop_ns", 1) / facts.get("loop_least_ns", 1)
    if times > SHARED:
        yield Finding(
            NOTE,
            "others use the same cores, and this system does not see whom",
            f"a fixed loop took {times:.2g} times its least, half of the time; on a virtual "
            "machine a core is often half of one, and somebody has the other half",
            "give a run more time (--time 900): each row then meets free moments; or measure on a "
            "machine of your own",
        )


def gpu(facts: Facts) -> Iterator[Finding]:
    """A GPU that a framework does not see, and what float32 means on it."""
    if facts.get("gpu", "none") == "none":
        return
    for name, library in facts.get("libraries", {}).items():
        if library.get("gpu") and "cuda" not in library.get("devices", ()):
            yield Finding(
                PROBLEM,
                f"{name} does not see the GPU ({facts['gpu']})",
                f"its devices are {', '.join(library.get('devices', ())) or 'none'}",
                f"install a CUDA build of {name}: {install('cuda')}, or --python {name}=PATH",
            )
    times = {
        name: library["tf32_times"]
        for name, library in facts.get("libraries", {}).items()
        if library.get("tf32_times")
    }
    if times:
        yield Finding(
            NOTE,
            "float32 products mean different things by default: JAX multiplies in TF32 on recent "
            "GPUs, torch in IEEE float32",
            "TF32 is " + ", ".join(f"{t:.1f} times as fast in {name}" for name, t in times.items()),
            "samegrad sets IEEE float32 on both; --dtype tf32 measures TF32 on both",
        )


def denormals(facts: Facts) -> Iterator[Finding]:
    """Numbers below the smallest normal one, which some CPUs compute slowly."""
    slow = {n: t for n, t in facts.get("denormals", {}).items() if t > DENORMAL_TIMES}
    if slow:
        yield Finding(
            NOTE,
            "arithmetic on denormal numbers is slow here",
            ", ".join(f"{name}: {times:.1f} times as long" for name, times in slow.items()),
            "weights that decay to nothing slow training down; samegrad's steps start anew each "
            "block, so its numbers are free of it",
        )


CHECKS = (openblas, libraries, threads, quota, governor, gpu, denormals, shared)
FAKED_BY_LOAD = (openblas, libraries, denormals)


def _rate(trial: Mapping[str, Any]) -> str:
    return f"{trial['gemm']['float32'] / 1e9:.0f}"
