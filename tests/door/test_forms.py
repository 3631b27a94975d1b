"""samegrad works as a checkout, an editable install, a wheel and a sdist, beside like folders."""

import json
import sys
import zipfile
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from tests.helpers import planted
from tests.helpers.forms import (
    BASE,
    PACKAGED,
    TWICE,
    build,
    environment,
    run,
    source,
    unpacked,
)
from tests.helpers.journals import CASE, ok, plan_record, run_record, write

COMPLETE = {"record": "run_complete"}
FEW = ["--activation", "relu", "--loss", "cross_entropy", "--dtype", "float64"]
QUICK = ["--preset", "hello", "--implementation", "numpy", "-k", "digits and train_step"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone without its history, so that building leaves nothing in this one."""
    return source(tmp_path_factory.mktemp("clone") / "samegrad")


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a clone."""
    return build("wheel", clone, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel and all extras that are here."""
    return environment(tmp_path_factory.mktemp("environment"), wheel)


def project(folder: Path, packages: bool) -> Path:
    """Somebody's project, with folders of the names that samegrad's have, and tests."""
    for name in ("benchmarks", "implementations", "reports", "tests"):
        (folder / name).mkdir()
        if packages:
            (folder / name / "__init__.py").write_text("OWN = True\n")
    (folder / "benchmarks" / "speed.py").write_text("NAME = 'own'\n")
    (folder / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--device', default='none')\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\ntestpaths = tests\n")
    (folder / "tests" / "test_own.py").write_text(
        "import benchmarks.speed\n\n"
        "def test_own(pytestconfig):\n"
        "    assert 'own' == benchmarks.speed.NAME\n"
        "    assert 'none' == pytestconfig.getoption('device')\n\n"
        "def test_gradient(gradients_agree):\n"
        "    assert gradients_agree('mine.py')\n"
    )
    (folder / "mine.py").write_text(planted.RIGHT)
    (folder / "wrong.py").write_text(planted.RIGHT.replace("        delta = delta / n\n", ""))
    (folder / "twice.py").write_text(TWICE)
    return folder


def names_of_files(path: Path) -> dict[str, list[str]]:
    """File of samegrad -> the names under which a run had loaded it."""
    found: dict[str, list[str]] = json.loads(path.read_text())
    assert len(found) > 5
    return found


def test_wheel_has_one_package_and_never_the_tests(wheel: Path) -> None:
    """With what is no Python: the page's template, the ini file, both licences."""
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
        (info,) = {name.split("/")[0] for name in files if ".dist-info/" in name}
        metadata = archive.read(f"{info}/METADATA").decode()
        entry_points = archive.read(f"{info}/entry_points.txt").decode()

    assert {"samegrad", info} == {name.split("/")[0] for name in files}
    for name in (
        "py.typed",
        "benchmarks/installed.ini",
        "benchmarks/selftest/saboteurs.py",
        "benchmarks/records/JOURNAL.md",
        "reports/document/page.html",
        "reports/document/page.js",
        "cli/verify.py",
    ):
        assert f"samegrad/{name}" in files
    assert f"{info}/licenses/LICENSE" in files
    assert not [name for name in files if "/test_" in name and not name.endswith("test_speed.py")]
    assert "License-Expression: BSD-3-Clause\n" in metadata
    assert "Author: samegrad developers\n" in metadata and "@" not in metadata.split("\n\n")[0]
    assert "Project-URL" not in metadata and "Home-page" not in metadata
    assert "samegrad = samegrad.__main__:main" in entry_points


def test_every_module_is_in_the_wheel(wheel: Path) -> None:
    """A folder that pyproject.toml does not list would be missing."""
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if name.endswith(".py")}

    wanted = {
        (Path("samegrad") / path.relative_to(ROOT / ("samegrad" if top == "samegrad" else ".")))
        for top in PACKAGED
        for path in (ROOT / top).rglob("*.py")
        if "results" not in path.parts and "output" not in path.parts
    }
    assert {path.as_posix() for path in wanted} == there


def test_wheel_of_the_sdist_is_the_wheel(clone: Path, wheel: Path, tmp_path: Path) -> None:
    """So what holds for one holds for the other; the sdist has no tests and needs no git."""
    sdist = unpacked(build("sdist", clone, tmp_path / "sdist"), tmp_path / "unpacked")
    assert not (sdist / "tests").exists() and not (sdist / ".git").exists()
    assert all((sdist / name).is_dir() for name in PACKAGED)

    again = build("wheel", sdist, tmp_path / "again")

    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
        for name in one.namelist():
            if not name.endswith("RECORD"):
                assert one.read(name) == other.read(name), name


@pytest.mark.parametrize(
    "packages",
    [
        pytest.param(True, id="with __init__.py"),
        pytest.param(False, id="without", marks=pytest.mark.full),
    ],
)
def test_wheel_works_beside_folders_of_the_same_names(
    installed: Path, tmp_path: Path, packages: bool
) -> None:
    """Import, the project's own tests, verify, render, doctor's help; PYTHONPATH is set, too."""
    folder = project(tmp_path, packages)
    samegrad, python = installed / "samegrad", installed / "python"
    code = "import samegrad as sg, benchmarks; print(sg.names(), benchmarks.__path__[0])"
    (folder / "run").mkdir()
    write(folder / "run" / "journal.jsonl", run_record(), plan_record(CASE), ok(0), COMPLETE)

    imported = run(python, "-c", code, cwd=folder, PYTHONPATH=".")
    tests = run(python, "-m", "pytest", "-q", cwd=folder, PYTHONPATH=".")
    right = run(samegrad, "verify", "mine.py", *FEW, cwd=folder, PYTHONPATH=".")
    wrong = run(samegrad, "verify", "wrong.py", *FEW, cwd=folder, PYTHONPATH=".")
    rendered = run(samegrad, "render", "run", "--output", "made", cwd=folder, PYTHONPATH=".")
    helped = run(samegrad, "doctor", "--help", cwd=folder, PYTHONPATH=".")

    assert 0 == imported.returncode, imported.stderr
    assert f"('scalar', 'numpy', 'torch', 'jax', 'c') {folder / 'benchmarks'}" in imported.stdout
    assert 0 == tests.returncode and "2 passed" in tests.stdout, tests.stdout + tests.stderr
    assert 0 == right.returncode and "mine: AGREES" in right.stdout, right.stdout + right.stderr
    assert 1 == wrong.returncode and "sum for mean" in wrong.stdout, wrong.stdout + wrong.stderr
    assert 0 == rendered.returncode and (folder / "made" / "index.html").exists(), rendered.stderr
    assert 0 == helped.returncode and "usage: samegrad doctor" in helped.stdout


def test_wheel_measures_in_a_project(installed: Path, tmp_path: Path) -> None:
    """Into an existing folder outside it; no file of samegrad is loaded under two names."""
    folder = project(tmp_path, packages=True)
    (tmp_path / "pyproject.toml").write_text('[tool.samegrad]\npreset = "hello"\nprocesses = 1\n')
    out = tmp_path.parent / f"{tmp_path.name}-out"
    out.mkdir()
    calm = (ROOT / "tests" / "helpers" / "quiet_machine.py").read_text()
    (folder / "calm.py").write_text(calm)  # what else runs here makes no row unusable

    done = run(
        installed / "samegrad", "benchmark", *QUICK[2:], "-p", "twice", "-p", "calm",
        "--output", str(out),
        cwd=folder, PYTHONPATH=".", TWICE=str(tmp_path / "names"),
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"report: {out / 'index.html'}" == done.stdout.splitlines()[-1]
    assert "\nsamegrad benchmark --implementation numpy" in (out / "report.md").read_text()
    assert "warning" not in done.stdout.lower(), done.stdout
    assert {} == {f: n for f, n in names_of_files(tmp_path / "names").items() if len(n) > 1}
    assert not (folder / "reports" / "output").exists()


def test_installed_plugin_measures_without_the_command(installed: Path, tmp_path: Path) -> None:
    """`pytest -p samegrad.benchmarks.plugin --benchmark`, in a folder without a conftest."""
    (tmp_path / "twice.py").write_text(TWICE)

    done = run(
        installed / "python", "-m", "pytest", "-p", "samegrad.benchmarks.plugin", "--benchmark",
        *QUICK, "-p", "twice", "--collect-only", "-q",
        cwd=tmp_path, PYTHONPATH=".", TWICE=str(tmp_path / "names"),
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout + done.stderr
    assert 2 == done.stdout.count("test_speed[digits-train_step")
    assert {} == {f: n for f, n in names_of_files(tmp_path / "names").items() if len(n) > 1}


def test_base_install_checks_gradients(bare: Path, tmp_path: Path) -> None:
    """NumPy and mpmath are enough for `check_gradient` and for `verify` on NumPy files."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "mine.py").write_text(planted.RIGHT)
    code = (
        "import numpy as np, samegrad as sg\n"
        "w = np.ones(3)\n"
        "print(sg.check_gradient(lambda w: (w**2).sum(), w, 2 * w))\n"
        "sg.assert_gradients_agree('mine.py')\n"
    )

    checked = run(bare / "python", "-c", code, cwd=folder)
    right = run(bare / "samegrad", "verify", "mine.py", "numpy", *FEW, cwd=folder)
    named = run(bare / "samegrad", "verify", "torch", cwd=folder)

    assert 0 == checked.returncode, checked.stderr
    assert 0 == right.returncode and "2 agrees" in right.stdout, right.stdout + right.stderr
    assert 2 == named.returncode
    assert 'pip install "samegrad[torch]"' in named.stdout


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("benchmark", "--preset", "hello"), "benchmark"),
        (("render", "run"), "report"),
        (("compare", "old", "new"), "report"),
        (("advise", "--layers", "8-4-2"), "report"),
        (("train", "digits"), "train"),
        (("workloads",), "train"),
        (("doctor",), "benchmark"),
        (("selftest",), "benchmark"),
    ],
)
def test_missing_extra_is_one_line_that_names_it(
    bare: Path, tmp_path: Path, command: tuple[str, ...], extra: str
) -> None:
    """In every command that needs one."""
    done = run(bare / "samegrad", *command, cwd=tmp_path)

    assert 2 == done.returncode, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"samegrad {command[0]}: error: ")
    assert line.endswith(f'pip install "samegrad[{extra}]"')


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without any extra."""
    return environment(tmp_path_factory.mktemp("bare"), wheel, BASE)


def test_editable_install_is_the_checkout(clone: Path, tmp_path: Path) -> None:
    """The same files, each under one name, from any folder; and its commands are said as such."""
    editable = build("editable", clone, tmp_path / "editable")
    programs = environment(tmp_path / "environment", editable)
    folder = tmp_path / "project"
    folder.mkdir()
    project(folder, packages=True)
    names = tmp_path / "names"
    listing = ("--collect-only", "-q", "-p", "twice")

    done = run(
        programs / "samegrad", "benchmark", *QUICK, *listing,
        cwd=folder, PYTHONPATH=".", TWICE=str(names),
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    loaded = names_of_files(names)
    tests = run(programs / "python", "-m", "pytest", "-q", cwd=folder, PYTHONPATH=".")
    in_clone = run(
        programs / "python", "-m", "pytest", "--benchmark", *QUICK, *listing,
        cwd=clone, PYTHONPATH=str(folder), TWICE=str(names),
    )  # fmt: skip
    code = "from samegrad.implementations.contract.commands import *; print(install('jax'))"
    said = run(programs / "python", "-c", code, cwd=folder)

    assert {} == {f: n for f, n in loaded.items() if len(n) > 1}
    assert all(file.startswith(str(clone)) for file in loaded)
    assert 0 == tests.returncode and "2 passed" in tests.stdout, tests.stdout + tests.stderr
    assert 0 == in_clone.returncode, in_clone.stdout + in_clone.stderr
    assert {} == {f: n for f, n in names_of_files(names).items() if len(n) > 1}
    assert f'pip install -e "{clone}[jax]"' == said.stdout.strip()


def test_checkout_loads_no_file_twice(tmp_path: Path) -> None:
    """Uninstalled; and a second name is noticed by this test's own means."""
    (tmp_path / "twice.py").write_text(TWICE)
    (tmp_path / "second.py").write_text(
        "import importlib.util, sys\n"
        "import samegrad.benchmarks.command_line as first\n"
        "spec = importlib.util.spec_from_file_location('second_name', first.__file__)\n"
        "sys.modules['second_name'] = importlib.util.module_from_spec(spec)\n"
    )
    names = tmp_path / "names"
    arguments = ("-m", "pytest", "--benchmark", *QUICK, "--collect-only", "-q", "-p", "twice")
    where = {"PYTHONPATH": str(tmp_path), "TWICE": str(names)}

    done = run(Path(sys.executable), *arguments, cwd=ROOT, **where)
    assert 0 == done.returncode, done.stdout + done.stderr
    once = [n for n in names_of_files(names).values() if len(n) > 1]
    run(Path(sys.executable), *arguments, "-p", "second", cwd=ROOT, **where)
    twice = [n for n in names_of_files(names).values() if len(n) > 1]

    assert [] == once
    assert [["samegrad.benchmarks.command_line", "second_name"]] == twice
