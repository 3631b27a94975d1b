"""Versions of a library side by side: what is typed, environments, steps, and a whole run."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.machine import state
from samegrad.benchmarks.records.journal import read
from samegrad.benchmarks.records.rows import Row, rows
from samegrad.benchmarks.versions import environments, run, step, worker
from samegrad.benchmarks.versions.environments import Version, parse
from samegrad.cli import main
from samegrad.implementations.checking.comparison import judge
from samegrad.implementations.contract import cache
from samegrad.implementations.contract.files import exclusive
from tests.helpers.quiet_machine import between

TWO = "numpy==1.26.4\nnumpy==2.4.6"
# Run by an interpreter before anything else: NumPy as it is found is another one then.
FAULTS = {
    "no_relu": "numpy.maximum = lambda a, b: a",
    "dies": "import os; numpy.load = lambda *_, **__: os._exit(3)",
    "broken": "import sys; sys.modules['numpy'] = None",
}


def test_versions_are_requirements_and_variables_for_each_interpreter() -> None:
    """The first package is what is timed."""
    flag = "--xla_cpu_use_thunk_runtime=false"
    texts = [f"jax==0.4.35  numpy>=2,<2.3 XLA_FLAGS={flag}", "jax==0.6.2"]

    old, *_, new = parse(texts, "a=/one,b=/two")

    assert f"jax==0.4.35 numpy>=2,<2.3 XLA_FLAGS={flag} on a" == old.label
    assert ("jax", "/one", {"XLA_FLAGS": flag}) == (old.library, old.python, old.variables)
    assert ("jax==0.4.35", "numpy>=2,<2.3") == old.requirements
    assert ("jax==0.6.2 on b", "/two") == (new.label, new.python)


@pytest.mark.parametrize(
    ("texts", "python", "said"),
    [
        (["jax==1"], None, "one version shows nothing"),
        (["jax==1", "jax==1 "], None, "one version shows nothing"),
        (["jax==1", "numpy==2"], None, "of several libraries"),
        (["jxa==1", "jax==2"], None, "did you mean 'jax'"),
        (["XLA_FLAGS=1", "jax==2"], None, "its first package is timed"),
        (["jax==1 --pre", "jax==2"], None, "'--pre' is not accepted"),
        (["jax @ file:///x", "jax==2"], None, "'@' is not accepted"),
        (["jax==1", "./jax-2.whl"], None, "'./jax-2.whl' is not accepted"),
        (["jax==1", "jax==2"], "/usr/bin/python3", "give NAME=PATH"),
    ],
)
def test_what_is_no_version_is_refused(texts: list[str], python: str | None, said: str) -> None:
    """No option of pip, path or address gets through: a journal may be anybody's."""
    with pytest.raises(ValueError, match=said):
        parse(texts, python)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where environments are kept in this test."""
    monkeypatch.setattr(environments, "kept_in", lambda name: tmp_path)
    return tmp_path


def test_environment_is_made_once_and_again_if_that_failed(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pip could not install is no environment the next time either."""
    ran: list[str] = []

    def fake(what: str, command: list[str]) -> None:
        ran.append(what)
        if what == "venv":
            Path(command[-1]).mkdir(exist_ok=True)
        elif ran.count("pip") == 1:
            raise OSError("pip: ERROR: No matching distribution found for jax==0")

    monkeypatch.setattr(environments, "_run", fake)
    version = Version("jax==0", "jax", ("jax==0",))
    with pytest.raises(OSError, match="No matching distribution"):
        environments.make(version)
    paths = {environments.make(version) for _ in range(2)}

    assert ["venv", "pip", "venv", "pip"] == ran
    (path,) = paths
    assert kept in Path(path).parents
    assert path != environments.make(Version("jax==1", "jax", ("jax==1",)))


def test_environment_that_another_process_holds_is_waited_for_with_a_word_and_a_limit(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is stopped holds it for ever."""
    ran: list[str] = []

    def fake(what: str, command: list[str]) -> None:
        ran.append(what)
        if what == "venv":
            Path(command[-1]).mkdir()

    monkeypatch.setattr(environments, "_run", fake)
    monkeypatch.setattr(environments, "INSTALL_SECONDS", 0.3)
    version = Version("jax==0", "jax", ("jax==0",))
    made = Path(environments.make(version)).parents[1].with_suffix(".lock")
    del ran[:]
    with (
        exclusive(made),
        pytest.raises(TimeoutError, match="another process has held it"),
    ):
        environments.make(version)

    assert [] == ran
    assert 1 == capsys.readouterr().out.count("jax==0: another run is making it; waiting")


def test_missing_interpreter_and_faults_of_pip_are_one_line(kept: Path) -> None:
    """The line that says most."""
    with pytest.raises(OSError, match=r"/nowhere: no such interpreter; a Python from 3\.11"):
        environments.make(Version("jax", "jax", ("jax",), python="/nowhere"))
    fail = "print('noise'); print('ERROR: no match'); print('hint'); raise SystemExit({})"
    with pytest.raises(OSError, match=r"^pip: ERROR: no match$"):
        environments._run("pip", [sys.executable, "-c", fail.format(1)])
    offline = f"print('Failed to establish a new connection'); {fail.format(1)}"
    with pytest.raises(OSError, match=r"^pip: the package registry cannot be reached$"):
        environments._run("pip", [sys.executable, "-c", offline])
    environments._run("pip", [sys.executable, "-c", fail.format(0)])


@pytest.mark.parametrize("name", step.LIBRARIES)
@pytest.mark.parametrize("right", [True, False])
def test_step_of_each_library_agrees_with_the_reference(
    name: str, right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one whose rate is a thousandth too large does not."""
    (case, *_) = run.parse(TWO, layers="6-5-4-3", batch_size="7").cases
    path, expected = run._problem(case, tmp_path)
    library = step.LIBRARIES[name]()
    if not right:
        made = library.step
        library = library._replace(step=lambda p, X, y, rate: made(p, X, y, 1.001 * rate))

    work, _ = worker._first_step(library, str(path))

    with np.load(f"{path}-first.npz") as file:
        results = {"loss of the step": file["loss"],
                   "updated": [(file[f"W{i}"], file[f"b{i}"]) for i in range(3)]}  # fmt: skip
    assert right == judge(case.spec, expected, results).agrees
    outcome = worker._repeated(work, case.id, {})
    assert "ok" == outcome["status"] and outcome["calls"] >= 1


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments that are this interpreter, on a machine where nothing else runs."""

    def make(version: Version) -> str:
        if "numpy==0" in version.requirements:
            raise OSError("pip: ERROR: No matching distribution found for numpy==0")
        return sys.executable

    monkeypatch.setattr(environments, "make", make)
    monkeypatch.setattr(state, "between", between)
    monkeypatch.setattr(run, "REPETITIONS", 2)
    monkeypatch.chdir(tmp_path)


SMALL = ("--layers", "6-5-3", "--processes", "2")


def by_version(path: Path) -> dict[str, Row]:
    """The rows of a journal by their versions."""
    return {row.case.implementation: row for row in rows(read(path / "journal.jsonl"))}


def test_version_that_is_wrong_dies_or_cannot_be_had_is_a_row_with_its_reason(
    fakes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others have their numbers, and the report has all."""
    versions = {"right": "numpy", "gone": "numpy==0"}
    for name, fault in FAULTS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "sitecustomize.py").write_text(f"import numpy; {fault}\n")
        versions[name] = f"numpy PYTHONPATH={tmp_path / name}"

    assert 0 == main(["versions", *versions.values(), *SMALL, "--output", "out"])

    found = by_version(tmp_path / "out")
    of = {name: found[label] for name, label in versions.items()}
    assert {"right": "ok", "gone": "unavailable", "no_relu": "wrong", "dies": "crashed",
            "broken": "unavailable"} == {name: row.status for name, row in of.items()}  # fmt: skip
    assert 2 == len(of["right"].process_medians) and of["right"].gate is not None
    assert "its first step is wrong" in of["no_relu"].reason
    assert "exit status 3" in of["dies"].reason
    assert "environment is broken: exit status 1: ModuleNotFoundError" in of["broken"].reason
    assert "No matching distribution found" in capsys.readouterr().err
    page = (tmp_path / "out" / "report.md").read_text()
    assert "## Over versions" in page and "its first step is wrong" in page
    assert (tmp_path / "out" / "figures" / "time_over_versions.csv").exists()
    facts = read(tmp_path / "out" / "journal.jsonl").implementations[0]["facts"]
    assert np.__version__ == facts["numpy"]


def test_run_goes_on_where_it_ended_with_what_installs_by_now(
    fakes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is measured twice."""
    typed = ["versions", "numpy", "numpy==0", *SMALL]
    rounds = run._Rounds._round

    def ended(self: run._Rounds, process: int) -> None:
        if process:
            raise KeyboardInterrupt
        rounds(self, process)

    monkeypatch.setattr(run._Rounds, "_round", ended)
    assert 130 == main([*typed, "--output", "out"])
    monkeypatch.setattr(run._Rounds, "_round", rounds)
    monkeypatch.setattr(environments, "make", lambda _: sys.executable)

    assert 2 == main(["versions", "numpy", "numpy>=2", "--resume", "out"])
    assert "give none" in capsys.readouterr().err
    assert 0 == main(["versions", "--resume", "out"])

    journal = read(tmp_path / "out" / "journal.jsonl")
    assert journal.complete and not journal.warnings
    assert 2 == main(["versions", "--resume", "out"])
    assert "nothing is left to measure" in capsys.readouterr().err
    counts = Counter((c.implementation, r["process"]) for c, r in journal.outcomes)
    assert {(v, p): 2 for v in ("numpy", "numpy==0") for p in (0, 1)} == counts
    assert {"ok"} == {row.status for row in rows(journal)}


def test_run_of_another_kind_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line."""
    journal = type("Journal", (), {"run": {"options": {"preset": "hello"}}})
    monkeypatch.setattr(
        "samegrad.benchmarks.runs.session.opened", lambda _: (tmp_path / "journal.jsonl", journal)
    )
    assert 2 == main(["versions", "--resume", "x"])
    assert "it is no run of versions: 'preset' is none of them" in capsys.readouterr().err


def test_cases_are_those_of_all_versions_on_each_network() -> None:
    """Beside each other in the report."""
    cases = run.parse(TWO, layers="6-5-3, 4-3", batch_size="1,8").cases

    assert all(isinstance(case, Case) for case in cases)
    assert 8 == len({case.id for case in cases})
    assert ["numpy==1.26.4", "numpy==2.4.6"] == [case.implementation for case in cases[:2]]


def test_directories_are_of_this_user_and_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environments are no compiled code."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.kept_in.cache_clear()

    assert tmp_path / "samegrad" / "versions" == cache.kept_in("versions")
    assert tmp_path / "samegrad" / "c" == cache.kept_in("c")
    cache.kept_in.cache_clear()
