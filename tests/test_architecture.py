"""The structure: who may import what, and what the networks share."""

import ast
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.registry import names
from tests.helpers.imports import PAGE, SOURCES, below, files, imported, name_of, with_picture

KEEPER = "samegrad.implementations.checking.keeper"  # of child processes
TEXTS = "samegrad.implementations.contract.texts"
CODE = "samegrad.implementations.contract.sources"
# What a file below a folder may import besides its own folder; the longest entry that fits counts.
# docs/architecture.md says why. Nothing may be imported that no entry names.
MAY_IMPORT: dict[str, set[str]] = {
    "samegrad": {"samegrad", "implementations", "benchmarks", "reports"},
    "implementations/contract": set(),
    "implementations/backends": {"implementations/contract"},
    # `lines`, in a child, has the line at fault looked for.
    "implementations/checking": {
        "implementations/contract",
        "implementations/state",
        "implementations/tracing",
    },
    "implementations/state": {"implementations/contract"},
    "implementations/tracing": {"implementations/contract", "implementations/state"},
    "implementations/reading": {
        "implementations/checking",
        "implementations/contract",
        "implementations/state",
        "implementations/tracing",
    },
    "implementations/exercises": {
        "implementations/checking",
        "implementations/contract",
        "implementations/reading",
    },
    "implementations/proof": {
        "implementations/checking",
        "implementations/contract",
        "implementations/state",
    },
    "implementations": {"implementations/contract", "implementations/backends"},
    "benchmarks/cases": {"implementations/contract"},
    "benchmarks/clock": set(),
    "benchmarks/machine": {"benchmarks/clock/loops.py", "implementations/contract/ranks.py"},
    # A journal that cannot be written says by which command the run goes on; what is read is clean.
    "benchmarks/records": {
        "benchmarks/cases",
        "benchmarks/clock/intervals.py",  # a row is worth what its interval is
        "benchmarks/clock/durations.py",  # a row is shown in words
        "benchmarks/clock/loops.py",  # and the machine what a fixed loop takes
        "implementations/contract/commands.py",
        "implementations/contract/texts.py",
        "implementations/contract/files.py",
    },
    "benchmarks/judge": {
        "benchmarks/cases",
        "benchmarks/clock",
        "implementations/contract",
        "implementations/checking",
    },
    "benchmarks/worker": {
        "benchmarks/cases",
        "benchmarks/clock",
        "benchmarks/machine",
        "implementations",
    },
    "benchmarks/runs": {
        "benchmarks/cases",
        "benchmarks/clock",
        "benchmarks/machine",
        "benchmarks/records",
        "implementations/contract",
        "implementations/checking/processes.py",
        "implementations/checking/launch.py",
        "implementations/checking/keeper.py",
    },
    "benchmarks/doctor": {
        "benchmarks/cases",
        "benchmarks/clock",
        "benchmarks/machine",
        "benchmarks/worker",
        "implementations",
    },
    "benchmarks/fleet": {
        "benchmarks/machine",
        "benchmarks/records",
        "implementations/contract",
    },
    "benchmarks/selftest": {"benchmarks", "implementations"},
    "benchmarks/training": {
        "benchmarks/cases",
        "benchmarks/clock",
        "benchmarks/machine",
        "benchmarks/records",
        "benchmarks/runs",
        "implementations",
    },
    # The parent judges first steps; the child, in another environment, has NumPy and a library.
    "benchmarks/versions": {
        "benchmarks/cases",
        "benchmarks/clock",
        "benchmarks/machine",
        "benchmarks/records",
        "benchmarks/runs",
        "implementations/contract",
        "implementations/checking",
    },
    # The plugin, its test file and `measure`: what starts a run.
    "benchmarks": {
        "benchmarks/cases",
        "benchmarks/machine",
        "benchmarks/records",
        "benchmarks/runs",
        "benchmarks/training",
        "implementations/contract",
    },
    "reports/data": {
        "benchmarks/cases",
        "benchmarks/clock/durations.py",  # how times are written
        "benchmarks/clock/intervals.py",
        "benchmarks/records",
        "implementations/contract",
    },
    # A journal's machine must be that of its facts; its pages have the policy of reports.
    "reports/archive": {
        "reports/data",
        "reports/document/page.py",
        "benchmarks/cases",  # a row's id must be that of its case
        "benchmarks/records",
        "benchmarks/clock/agreement.py",  # what clocks say twice must agree
        "benchmarks/clock/intervals.py",
        "benchmarks/machine/system.py",
        "implementations/contract",
    },
    "reports/charts": {"reports/data", "benchmarks/records", "implementations/contract"},
    "reports/document": {
        "reports/data",
        "reports/charts",
        "benchmarks/records",
        "implementations/contract",
    },
    # They show what is computed here: networks are trained for them.
    "reports/pictures": {
        "reports/charts",
        "reports/data",
        "benchmarks/training",
        "implementations/contract",
    },
    # `render` is what users call: its messages name what is to be installed.
    "reports": {"reports", "benchmarks/records", "implementations/contract"},
}
# A framework is imported where its arrays are used, and nowhere else.
LIBRARIES = {
    "torch": {"torch"},
    "jax": {"jax", "optax"},
    "flax": {"jax", "optax", "flax"},
    "numba": {"numba"},
    "cupy": {"cupy"},
    "triton": {"triton"},
}
FRAMEWORKS = set().union(*LIBRARIES.values())
# Who differentiates whose loss has to import the framework of that loss, when it is asked to; so
# has who asks torch's own clock, compiles where nobody should, asks what cores can do at most, or
# has a step in versions that no network of ours knows.
# Where ranks meet: the launcher and the store are torchrun's, whatever they compute with.
TORCHRUN = {"implementations/contract/ranks.py"} | {
    f"implementations/checking/{name}.py" for name in ("launch", "rank")
}
USERS_FRAMEWORK = {
    "implementations/checking/frameworks.py",
    "benchmarks/selftest/child.py",
    "benchmarks/worker/peak.py",
    "benchmarks/versions/step.py",
    *(f"benchmarks/selftest/{name}.py" for name in ("accidents", "honest", "saboteurs")),
}
# What reads a precise clock: the timer; the worker, for what is done for a case; selftest, whose
# known delays need a clock of their own.
CLOCKS = ("benchmarks/clock/", "benchmarks/worker/", "benchmarks/selftest/")


IN_C = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "implementations").glob("*_c.[ch]")
)


def path_of(name: str) -> str:
    """The file of an implementation of the table."""
    return registry.TABLE[name].module.removeprefix("samegrad.").replace(".", "/") + ".py"


def entry(source: str) -> str:
    """The longest folder of the table that holds a file."""
    return max((folder for folder in MAY_IMPORT if below(source, folder)), key=len)


@pytest.mark.parametrize("source", SOURCES)
def test_imports_go_where_the_table_says(source: str) -> None:
    """Downwards only: `samegrad` on top, `implementations/contract` at the bottom."""
    own = entry(source)
    name = name_of(source)

    strangers = {
        path
        for path in files(source)
        if not any(below(path, allowed) for allowed in {own, *MAY_IMPORT[own]})
        or (own == "implementations" and not name)
        or (own != "implementations" and name_of(path))
    }

    assert set() == strangers


@pytest.mark.parametrize("source", [source for source in SOURCES if name_of(source)])
def test_a_network_knows_its_own_family_only(source: str) -> None:
    """What a variant or a peer shares, it has from the idiom that it is based on."""
    name = name_of(source)
    assert name is not None
    base = registry.TABLE[name].base
    family = {name, base}

    networks = {other for path in files(source) if (other := name_of(path))}

    assert networks <= family
    assert not imported(source) & {"time", "pytest"}


@pytest.mark.parametrize("source", SOURCES)
def test_frameworks_are_imported_where_their_arrays_are(source: str) -> None:
    """So that nobody pays for a framework that is not asked for."""
    tops = {name.split(".")[0] for name in imported(source)} & FRAMEWORKS
    name = name_of(source)
    accepted: set[str] = set()
    if name is not None:
        family = (name, str(registry.TABLE[name].base))
        accepted = set().union(*(LIBRARIES.get(member, set()) for member in family))
    elif below(source, "implementations/backends"):
        accepted = LIBRARIES.get(Path(source).stem.split("_")[0], set())
    elif source in TORCHRUN:
        accepted = {"torch"}
    elif source in USERS_FRAMEWORK:
        accepted = FRAMEWORKS

    assert tops <= accepted


def test_there_is_no_circle() -> None:
    """Not between files: each can be understood after those that it imports."""
    graph = {source: files(source) for source in SOURCES}
    done: set[str] = set()

    def visit(source: str, path: tuple[str, ...]) -> None:
        assert source not in path, " -> ".join((*path, source))
        if source not in done:
            for other in sorted(graph[source]):
                visit(other, (*path, source))
            done.add(source)

    for source in SOURCES:
        visit(source, ())


def loaded_by(module: str) -> list[str]:
    """Our modules that a fresh process has loaded after it has imported one of them."""
    code = (
        f"import sys, {module}\n"
        "print(*(name for name in sys.modules if name.startswith('samegrad.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize("worker", ["worker.main", "versions.worker"])
def test_worker_loads_neither_scheduler_nor_journal_nor_judge_nor_reports(worker: str) -> None:
    """What is timed shares its process with what times it, and with nothing else."""
    strangers = ("benchmarks.runs", "benchmarks.records", "benchmarks.judge", "reports")

    loaded = loaded_by(f"samegrad.benchmarks.{worker}")

    assert "samegrad.benchmarks.clock.timer" in loaded
    assert [] == [
        name for name in loaded if name.startswith(tuple(f"samegrad.{s}" for s in strangers))
    ]


def test_judge_loads_nothing_that_is_judged() -> None:
    """No network, no worker: what must come out is computed where nothing of them runs."""
    loaded = loaded_by("samegrad.benchmarks.judge.main")

    assert "samegrad.implementations.checking.reference" in loaded
    assert [] == [name for name in loaded if ".worker" in name or ".mlp_" in name]


def test_picture_of_the_folders_is_drawn_from_the_imports() -> None:
    """`python -m tests.helpers.imports` draws it anew."""
    page = PAGE.read_text()

    assert with_picture(page) == page


def test_reference_shares_no_code_with_an_implementation() -> None:
    """Of this project it knows the contract only."""
    ours = files("implementations/checking/reference.py")

    assert ours
    assert all(below(path, "implementations/contract") for path in ours)


def test_processes_uses_the_standard_library_only() -> None:
    """A child begins with it."""
    names = imported("implementations/checking/keeper.py")
    names |= imported("implementations/checking/processes.py")
    names |= imported("implementations/contract/texts.py")
    names |= imported("implementations/contract/sources.py")
    ours = (KEEPER, CODE, TEXTS)
    tops = {name.split(".")[0] for name in names if not name.startswith(ours)}

    assert tops <= set(sys.stdlib_module_names)


def test_only_the_clock_reads_a_precise_clock() -> None:
    """Deadlines may read time.monotonic; a duration that is reported comes from the clock.

    The parent stamps messages of its children: a second clock, by which the first is judged.
    """
    for source in SOURCES:
        if not source.startswith((*CLOCKS, "implementations/checking/processes.py")):
            assert "perf_counter" not in (ROOT / source).read_text(), source


def test_files_stay_readable() -> None:
    """At most 100 lines for each of the idioms, 200 for another network, nothing above 400."""
    lines = {s: len((ROOT / s).read_text().splitlines()) for s in [*SOURCES, *IN_C]}

    assert {} == {source: n for source, n in lines.items() if n > 400}
    idioms = {path_of(name) for name in names()} | {"implementations/mlp_c.c"}
    assert {} == {s: n for s, n in lines.items() if s in idioms and n > 100}
    assert {} == {s: n for s, n in lines.items() if "/mlp_" in s and n > 200}


def test_networks_define_the_same_functions_in_the_same_order() -> None:
    """So that they read side by side; the two that use autodiff lack what it replaces."""
    contract = ["forward", "loss", "loss_and_grad", "train_step"]
    expected = ["propagate", "forward", "loss", "backward", "loss_and_grad", "train_step"]
    for name in names("all"):
        defined = functions(path_of(name))
        own = [f for f in expected if f in defined or (f in contract and name in names())]
        assert own == [f for f in defined if f in expected], name
    by_hand, derived = functions(path_of("numpy")), functions(path_of("torch"))
    assert expected == by_hand == functions(path_of("scalar"))
    text = (ROOT / "implementations" / "mlp_c.c").read_text()
    in_C = re.findall(r"^(?:static )?\w+ (?:samegrad_)?(\w+)\(", text, re.MULTILINE)
    assert expected == [f for f in in_C if f in expected]
    assert contract == derived == functions(path_of("jax"))


def functions(source: str) -> list[str]:
    """Names of the functions of a file, in its order."""
    tree = ast.parse((ROOT / source).read_text())
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_networks_hold_no_plumbing() -> None:
    """How arrays come and go, and what measures them, is the backends' affair."""
    plumbing = {field.name for field in fields(Capabilities)} - {"accuracy", "refuse"}
    plumbing |= {"devices", "place", "fetch", "synchronize", "to_numpy"}
    plumbing |= {"params_from_numpy", "batch_from_numpy", "masks_from_numpy"}
    for name in names("all"):
        ours = {s for s in SOURCES if name_of(s) == name}
        allowed = {"perceptron"}  # P1, an equation
        own = ("scalar_fast", "numpy_inplace", "numba", "c")
        allowed |= {"products"} if name in own else set()
        for source in ours:
            assert not plumbing & set(functions(source)) - allowed, source


def test_every_equation_has_its_tag_in_every_network() -> None:
    """F1 to F3, L1, L2 and U1 in all; B1 to B4 where derived by hand, or said who does."""
    for name in names("all"):
        family = {name, registry.TABLE[name].base}
        text = "".join(
            (ROOT / source).read_text()
            for source in [*SOURCES, *(IN_C if name == "c" else [])]
            if name_of(source) in family or source in IN_C
        ).replace("/* ", "# ")
        for tag in ("F1", "F2", "F3", "L1", "L2", "U1"):
            assert re.search(rf"# .*{tag}", text), (name, tag)
        if re.search("^(def|static void) backward", text, re.MULTILINE):  # derived by hand
            for tag in ("B1", "B2", "B3", "B4", "U2", "U3", "U4", "U5", "U6", "U7"):
                assert re.search(rf"# .*{tag}", text), (name, tag)
        else:
            said = "has no `backward`: say in a comment `# B1-B4: ...` what derives the gradient"
            assert "# B1-B4: " in text, f"mlp_{name}.py {said}"
