"""An installed samegrad works from a folder that has its own benchmarks/ and reports/."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from samegrad.benchmarks.machine.system import ROOT

from tests.helpers import planted

KEPT = ("benchmarks", "implementations", "reports", "tests", "samegrad.py", "pyproject.toml")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs; built without the network."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed, so no wheel can be built without the network")
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in (*KEPT, "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name,
                source / name,
                ignore=shutil.ignore_patterns("output", "results", "__pycache__"),
            )
        else:
            shutil.copy(ROOT / name, source / name)
    # The build system's own entry point: pip would ask for the network or for itself.
    code = f"from setuptools import build_meta; print(build_meta.build_wheel({str(site)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    with zipfile.ZipFile(site / done.stdout.split()[-1]) as wheel:
        wheel.extractall(site)
    return site


def test_wheel_has_the_packages_and_never_the_tests(installed: Path) -> None:
    """The page's template and the ini file are in it too."""
    found = {path.name for path in installed.iterdir()}

    assert {"benchmarks", "implementations", "reports", "samegrad.py"} <= found
    assert "tests" not in found and "conftest.py" not in found
    for name in ("page.html", "page.css", "page.js", "vendor/datatables.min.js"):
        assert (installed / "reports" / name).exists()
    assert (installed / "reports" / "vendor" / "datatables.LICENSE.txt").exists()
    assert (installed / "benchmarks" / "installed.ini").exists()
    assert (installed / "benchmarks" / "saboteurs" / "no_op.py").exists()  # selftest runs them
    (info,) = installed.glob("*.dist-info")
    assert "samegrad = samegrad:main" in (info / "entry_points.txt").read_text()


def samegrad(installed: Path, folder: Path, *arguments: str) -> Any:
    """The console command, as its script calls it."""
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); "
        "import samegrad; sys.exit(samegrad.main())"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", ["doctor", "selftest"])
def test_other_commands_are_reached(installed: Path, tmp_path: Path, command: str) -> None:
    """With the name under which they were called."""
    done = samegrad(installed, tmp_path, command, "--loud")

    assert 2 == done.returncode
    assert f"usage: samegrad {command}" in done.stderr


def test_command_works_beside_folders_of_the_same_names(installed: Path, tmp_path: Path) -> None:
    """Neither the folder's own packages nor its pytest configuration get in the way."""
    for name in ("benchmarks", "reports", "implementations", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong package')")
    (tmp_path / "conftest.py").write_text("raise RuntimeError('the wrong conftest')")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")

    done = samegrad(
        installed, tmp_path, "benchmark", "--preset", "hello", "--implementation", "numpy"
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    (page,) = (tmp_path / "reports" / "output").glob("*/index.html")
    assert f"report: {page}" == done.stdout.splitlines()[-1]
    assert "\nsamegrad benchmark --preset hello" in (page.parent / "report.md").read_text()
    again = samegrad(installed, tmp_path, "render", str(page.parent), "--output", "again")
    assert 0 == again.returncode, again.stderr
    assert (tmp_path / "again" / "index.html").exists()


def test_installed_verifier_works_from_any_folder(installed: Path, tmp_path: Path) -> None:
    """On a file of the folder, by a path and as a module."""
    (tmp_path / "implementations").mkdir()
    (tmp_path / "mine.py").write_text(planted.RIGHT)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "wrong.py").write_text(
        planted.RIGHT.replace("        delta = delta / n\n", "")
    )

    right = samegrad(installed, tmp_path, "verify", "mine.py", "--activation", "relu")
    wrong = samegrad(installed, tmp_path, "verify", "package.wrong", "--activation", "relu")

    assert 0 == right.returncode and "mine: AGREES" in right.stdout, right.stdout + right.stderr
    assert 1 == wrong.returncode and "sum for mean" in wrong.stdout, wrong.stdout + wrong.stderr


def test_command_says_how_it_is_used(installed: Path, tmp_path: Path) -> None:
    """Without a command, with a wrong one, and when asked."""
    for arguments, status in (((), 4), (("mesure",), 4), (("--help",), 0)):
        done = samegrad(installed, tmp_path, *arguments)
        assert status == done.returncode
        assert "usage: samegrad benchmark" in done.stdout + done.stderr
