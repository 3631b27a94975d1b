"""What pytest loads wherever samegrad is installed disturbs nobody, and is of use."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks.command_line import OPTIONS
from samegrad.benchmarks.machine.checkout import ROOT
from tests.helpers import planted


def pytest_in(folder: Path, *arguments: str) -> Any:
    """pytest in somebody's folder, with the plugin of an installed samegrad."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "samegrad.pytest_plugin", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_plugin_loads_pytest_alone() -> None:
    """And none of the package but itself, until it is used."""
    code = (
        "import sys, pytest; before = set(sys.modules); import samegrad.pytest_plugin\n"
        "print(*sorted(set(sys.modules) - before))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ["samegrad", "samegrad.pytest_plugin"] == done.stdout.split()


def test_fixtures_of_the_benchmark_are_listed_without_a_run() -> None:
    """What pytest lists is collected without a selection of cases."""
    done = pytest_in(ROOT, "--benchmark", "--fixtures", "-q", "benchmarks")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "replay" in done.stdout
    assert "Error" not in done.stdout + done.stderr


def test_plugin_has_one_fixture_and_no_option() -> None:
    """The hook is for the report of a benchmark, where one is measured."""
    from samegrad import pytest_plugin

    hooks = {name for name in vars(pytest_plugin) if name.startswith("pytest_")}

    assert {"pytest_samegrad_report"} == hooks
    fixtures = [
        name
        for name, value in vars(pytest_plugin).items()
        if "FixtureFunction" in repr(type(value))
    ]
    assert ["gradients_agree"] == fixtures


def test_fixture_says_where_a_gradient_is_wrong(tmp_path: Path) -> None:
    """As an assertion, with warnings as errors and a --device of the folder's own."""
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n"
        "    for name in ('device', 'output', 'preset'):\n"
        "        parser.addoption(f'--{name}', dest=name, default='mine')\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "right.py").write_text(planted.RIGHT)
    (tmp_path / "wrong.py").write_text(planted.RIGHT.replace("        delta = delta / n\n", ""))
    (tmp_path / "test_mine.py").write_text(
        "def test_right(gradients_agree, pytestconfig):\n"
        "    assert 'mine' == pytestconfig.getoption('device')\n"
        "    assert gradients_agree('right.py')\n\n"
        "def test_wrong(gradients_agree):\n"
        "    assert gradients_agree('wrong.py', batch_size=4)\n\n"
        "def test_that_asserts_nothing(gradients_agree):\n"
        "    gradients_agree('wrong.py')\n"
    )

    done = pytest_in(tmp_path, "-q")

    assert 1 == done.returncode, done.stdout + done.stderr
    assert "1 failed, 2 passed, 1 error" in done.stdout
    assert "assert wrong: dW1: error 5" in done.stdout
    assert "write `assert gradients_agree(...)`: wrong: dW1: error" in done.stdout


def test_fixture_takes_any_object(tmp_path: Path) -> None:
    """With the functions that give its loss and its gradient; warnings are errors here, too."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "test_mine.py").write_text(
        "import numpy as np\n"
        "class Net:\n"
        "    def __init__(self, size):\n"
        "        self.W = np.linspace(-1, 1, size)\n"
        "    def loss(self, X, y):\n"
        "        return ((X @ self.W - y) ** 2).sum() / 2\n"
        "    def backward(self, X, y, factor):\n"
        "        self.dW = factor * X.T @ (X @ self.W - y)\n"
        "rng = np.random.default_rng(0)\n"
        "X, y, net = rng.normal(size=(5, 3)), rng.normal(size=5), Net(3)\n"
        "def test_right(gradients_agree):\n"
        "    assert gradients_agree(\n"
        "        net, loss=lambda: net.loss(X, y), backward=lambda: net.backward(X, y, 1)\n"
        "    )\n\n"
        "def test_wrong(gradients_agree):\n"
        "    assert gradients_agree(\n"
        "        net, loss=lambda: net.loss(X, y), backward=lambda: net.backward(X, y, 2)\n"
        "    )\n"
    )

    done = pytest_in(tmp_path, "-q")

    assert 1 == done.returncode, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert "assert DISAGREES: all gradients are 2 times" in done.stdout
    assert "Captured gradient call" in done.stdout and "net.W 3  net.dW" in done.stdout


def test_options_have_destinations_of_their_own() -> None:
    """A conftest's dest="device" is no conflict with ours."""
    from samegrad.benchmarks import plugin

    taken: dict[str, Any] = {}

    class Group:
        def addoption(self, name: str, **options: Any) -> None:
            taken[name] = options["dest"]

    class Parser:
        def getgroup(self, *_: str) -> Group:
            return Group()

    typed: Any = SimpleNamespace(invocation_params=SimpleNamespace(args=()))
    manager: Any = SimpleNamespace(get_plugin=lambda _: typed)
    parser: Any = Parser()
    plugin.pytest_addoption(parser, manager)

    assert {"--benchmark", *(option.flag for option in OPTIONS)} == set(taken)
    assert all(dest.startswith("samegrad_") for dest in taken.values())


def test_benchmark_without_pytest_benchmark_is_one_line(tmp_path: Path) -> None:
    """Instead of a fixture that is not found."""
    done = pytest_in(
        tmp_path, "-p", "samegrad.benchmarks.plugin", "-p", "no:benchmark", "--benchmark"
    )

    assert 4 == done.returncode
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert "pytest-benchmark" in line


def test_run_without_the_reports_libraries_keeps_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says what to install, and the command that writes the report then."""
    from samegrad import pytest_plugin
    from samegrad.implementations.contract import commands

    monkeypatch.setattr(commands, "_installed", lambda module: module != "matplotlib")

    journal, line = pytest_plugin.pytest_samegrad_report(tmp_path / "journal.jsonl", tmp_path)

    assert f"journal: {tmp_path / 'journal.jsonl'}" == journal
    assert "needs matplotlib (extra 'report')" in line
    assert f"samegrad render {tmp_path}" in line
