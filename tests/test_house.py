"""The structure: who may import what, how large a file may be, what the networks share."""

import ast
import re
from pathlib import Path

import pytest
from samegrad.benchmarks.machine.environment import ROOT
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.registry import names

# The timer; the worker, for what everything takes that is done for a case; and selftest, whose
# known delays need a clock of their own.
CLOCKS = {f"benchmarks/{name}.py" for name in ("timer", "worker", "selftest", "clockwork")}
STDLIB_ONLY = {"implementations/checking/processes.py"}
# Who differentiates whose loss has to import the framework of that loss, when it is asked to.
USERS_FRAMEWORK = {"implementations/checking/gradient_check.py"}
LIBRARIES = {
    "torch": {"torch"},
    "jax": {"jax", "optax"},
    "flax": {"jax", "optax", "flax"},
    "numba": {"numba"},
    "cupy": {"cupy"},
}
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("implementations", "benchmarks", "reports")
    for path in (ROOT / folder).rglob("*.py")
    if path.parent.name != "saboteurs"
)


def imported(source: str) -> set[str]:
    """Dotted names of all imports of a file, also those inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / source).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def tops(source: str) -> set[str]:
    """Top-level packages that a file imports."""
    return {name.split(".")[0] for name in imported(source)}


@pytest.mark.parametrize("source", SOURCES)
def test_imports_keep_to_the_house(source: str) -> None:
    """Frameworks in their own file only; benchmarks and reports never meet there."""
    package, stem = source.split("/")[0], Path(source).stem
    used, whole = tops(source), imported(source)
    own = re.match(r"(mlp|parts)_(\w+)", stem)
    frameworks = used & set().union(*LIBRARIES.values())
    networks = {
        name.split(".")[1] for name in whole if re.match(r"implementations\.(mlp|parts)_", name)
    }
    if own:
        base = registry.TABLE[own.group(2)].base
        family = {own.group(2), base}
        assert frameworks <= set().union(*(LIBRARIES.get(str(name), set()) for name in family))
        assert networks <= {f"{kind}_{name}" for kind in ("mlp", "parts") for name in family}
        assert not used & {"benchmarks", "reports", "time"}
    else:
        assert not networks
        assert not frameworks or source in USERS_FRAMEWORK
    if package == "implementations":
        assert not used & {"benchmarks", "reports", "pytest"}
    if package == "benchmarks":
        assert "reports" not in used
    if package == "reports":
        ours = {n.split(".")[1] for n in whole if n.startswith("benchmarks.")}
        data = {"results", "environment", "schema", "journal", "intervals"}
        asked = {
            "cases",
            "options",
            "output",
        }  # what a network costs, how it is typed, where runs are
        assert ours <= data | (asked if stem in ("choice", "__main__") else set()), ours
        assert "implementations" not in used
    if source in STDLIB_ONLY:
        assert not used & {"numpy", "implementations"}


def test_reference_shares_no_code_with_an_implementation() -> None:
    """Of this project it knows the contract only."""
    ours = {
        name
        for name in imported("implementations/checking/reference.py")
        if name.startswith("impl")
    }

    assert {"samegrad.implementations.contract.interface"} == {
        ".".join(name.split(".")[:2]) for name in ours
    }


def test_only_the_timer_reads_a_precise_clock() -> None:
    """Deadlines may read time.monotonic; a duration that is reported comes from timer.py."""
    for source in SOURCES:
        text = (ROOT / source).read_text()
        if source not in CLOCKS:
            assert "perf_counter" not in text, source


def test_files_stay_readable() -> None:
    """About 150 lines for a network, nothing above 400."""
    lines = {source: len((ROOT / source).read_text().splitlines()) for source in SOURCES}

    assert {} == {source: n for source, n in lines.items() if n > 400}
    idioms = {f"implementations/mlp_{name}.py" for name in names()}
    assert {} == {s: n for s, n in lines.items() if s in idioms and n > 170}
    assert {} == {s: n for s, n in lines.items() if "/mlp_" in s and n > 200}


def test_networks_define_the_same_functions_in_the_same_order() -> None:
    """So that they read side by side."""
    wanted = (
        "devices params_from_numpy batch_from_numpy masks_from_numpy to_numpy synchronize "
        "forward loss loss_and_grad train_step"
    ).split()
    for name in names("all"):
        tree = ast.parse((ROOT / "implementations" / f"mlp_{name}.py").read_text())
        found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        own = [function for function in wanted if function in found or name in names()]
        assert own == [function for function in found if function in wanted], name


def test_every_equation_has_its_tag_in_every_network() -> None:
    """F1 to F3, L1, L2 and U1 in all; B1 to B4 where derived by hand, or said who does."""
    for name in names("all"):
        base = registry.TABLE[name].base
        text = "".join(
            path.read_text()
            for who in (name, base)
            for kind in ("mlp", "parts")
            if (path := ROOT / "implementations" / f"{kind}_{who}.py").is_file()
        )
        for tag in ("F1", "F2", "F3", "L1", "L2", "U1"):
            assert re.search(rf"# .*{tag}", text), (name, tag)
        if name in ("scalar", "numpy", "numpy_inplace", "numba"):
            for tag in ("B1", "B2", "B3", "B4", "U2", "U3", "U4", "U5", "U6", "U7"):
                assert re.search(rf"# .*{tag}", text), (name, tag)
        else:
            assert "# B1-B4: " in text
