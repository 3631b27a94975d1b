"""Two versions, and what an older one has left, are said in one line each."""

import subprocess
import sys
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.cli import main
from samegrad.cli.doctor import faults_of_installation as faults

pytestmark = pytest.mark.quick


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An empty site-packages."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


def test_checkout_alone_has_no_fault(site: Path) -> None:
    """Nor with other people's packages of the same names in site-packages."""
    (site / "benchmarks").mkdir()
    (site / "benchmarks" / "plugin.py").write_text("# somebody's own\n")
    (site / "reports").mkdir()

    assert [] == faults([str(ROOT), str(site)])


def test_second_version_is_named_with_what_removes_it(site: Path) -> None:
    """A wheel in site-packages while the checkout runs."""
    (site / "samegrad").mkdir()
    (site / "samegrad" / "__init__.py").write_text("")
    (site / "samegrad-0.0.9.dist-info").mkdir()
    (site / "samegrad-0.0.9.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: samegrad\nVersion: 0.0.9\n"
    )

    (line,) = faults([str(ROOT), str(site)])

    assert f"two versions of samegrad: {ROOT / 'samegrad'} is running" in line
    assert f"{site / 'samegrad'} (0.0.9) is there too" in line
    assert "-m pip uninstall samegrad" in line


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("samegrad.py", "def main(): ..."),
        ("samegrad.egg-link", "/somewhere"),
        ("benchmarks/plugin.py", "# the plugin of samegrad"),
        ("__editable___samegrad_0_1_0_finder.py", "MAPPING = {'benchmarks': '/x/benchmarks'}"),
    ],
)
def test_remains_of_an_older_install_are_named(site: Path, name: str, text: str) -> None:
    """One line that says what to do."""
    path = site / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)

    (line,) = faults([str(site)])

    assert line.startswith(str(site / name.split("/")[0]))
    assert "is of an older samegrad: uninstall that, or delete it, and install it again" in line


def test_editable_install_of_today_is_no_fault(site: Path) -> None:
    """Its table has the packages below samegrad."""
    (site / "__editable___samegrad_0_1_0_finder.py").write_text(
        "MAPPING = {'samegrad': '/x/samegrad', 'samegrad.benchmarks': '/x/benchmarks'}"
    )

    assert [] == faults([str(site)])


def test_doctor_says_it_first(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And ends with 1, although the machine is in order."""
    from samegrad.benchmarks.doctor import doctor

    (site / "samegrad.py").write_text("")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(doctor, "diagnose", lambda _: ({}, []))
    monkeypatch.setattr(doctor, "text", lambda facts, findings: "Nothing is wrong")

    assert 1 == main(["doctor"])
    shown = capsys.readouterr()
    assert f"PROBLEM: {site / 'samegrad.py'} is of an older" in shown.out
    assert "about 60 s at most" in shown.err  # what is waited for


def test_checkouts_pytest_refuses_another_version(tmp_path: Path) -> None:
    """One line: the numbers would be another program's."""
    (tmp_path / "samegrad").mkdir()
    (tmp_path / "samegrad" / "__init__.py").write_text("")
    (tmp_path / "stale.py").write_text(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
                                       "import samegrad\n")  # fmt: skip

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "stale", "--benchmark", "--collect-only"],
        cwd=ROOT,
        # The entry point of an editable install would look for its module in that version.
        env={"PYTHONPATH": str(tmp_path), "PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 4 == done.returncode
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert "two versions of samegrad: " in line and "uninstall that one" in line
