"""The published runs: what documents say of them, and what happens when they are measured again."""

import json
import math
import os
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.cli import main, results
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports import published
from samegrad.reports.data import loading
from tests.helpers.journals import ok, plan_record, run_record, write
from tests.helpers.reports import COMPLETE, JAX, NUMPY, report_of, several
from tests.reports.data.test_versions import FIVE
from tests.reports.data.test_versions import told as over_time

BUSY = {"record": "state", "when": "during", "seconds": 9.0, "cores": 2, "others": 1.9}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one published run, and places for its text."""
    folder = tmp_path / published.FOLDER / "example"
    folder.mkdir(parents=True)
    records = [ok(p, 50_000 + p, NUMPY) for p in range(5)]
    write(
        folder / published.JOURNAL,
        run_record(started="2026-01-02T03:04:05"),
        plan_record(NUMPY),
        *records,
        COMPLETE,
    )
    for page in published.pages("example"):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text(
            "before\n<!-- example:begin -->\nx\n<!-- example:end -->\nend\n"
        )
    monkeypatch.setattr(commands, "HOME", tmp_path)
    monkeypatch.setattr(results, "_drawn", lambda _: None)
    return tmp_path


def test_run_of_code_that_nobody_else_has_is_not_published(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its report would name a commit that cannot be checked out: changed files, or not pushed.

    Documents, which another run's text may just have changed, are not what is measured.
    """
    (clone / "code.py").write_text("")
    git = ["git", "-C", str(clone), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    told = []
    for steps in (
        (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["remote", "add", "o", "nowhere"]),
        (["rm", "-q", "--cached", "code.py"],),
    ):
        for step in steps:
            subprocess.run([*git, *step], check=True)
        assert 1 == main(["results", "update", "example"])
        told.append(capsys.readouterr().err)

    assert "push it first; what was published stays" in told[0]
    assert "commit them first" in told[1]
    subprocess.run([*git, "reset", "-q"], check=True)
    subprocess.run([*git, "update-ref", "refs/remotes/o/main", "HEAD"], check=True)
    (clone / "README.md").write_text("another run's text")
    assert "" == results._only_here(clone)


def test_text_of_a_run_takes_its_place_and_links_from_where_the_page_lies(clone: Path) -> None:
    """What stands around it stays; the README has the caption alone."""
    assert 0 == main(["results", "update", "example", "--keep"])

    readme, page = ((clone / page).read_text() for page in ("README.md", "docs/results.md"))
    assert "2026-01-02" in readme and "5 processes" in readme
    assert "](reports/results/example/report.md)" in readme and "\n- " not in readme
    assert "](../reports/results/example/report.md)" in page and "\n- The machine's" in page
    for text in (readme, page):
        assert text.startswith("before\n<!-- example:begin -->\n*Time of one training step.")
        assert text.endswith("\n<!-- example:end -->\nend\n") and "\nx\n" not in text


SMALL = MLPWorkload("small", MLPSpec((4, 3)), 8, 64)
LARGE = MLPWorkload("large", MLPSpec((99, 99, 3)), 8, 64)


def told(
    tmp_path: Path, jax_small: float, jax_large: float, *more: tuple[str, MLPWorkload, float]
) -> str:
    """What NumPy's 20 us and 1 ms and such times of JAX come to, in words."""
    times = [("numpy", SMALL, 20), ("jax", SMALL, jax_small), ("numpy", LARGE, 1000),
             ("jax", LARGE, jax_large), *more]  # fmt: skip
    cases = {replace(JAX, implementation=n, workload=w): us for n, w, us in times}
    records = [record for case, us in cases.items() for record in several(case, us)]
    path = write(tmp_path / "j", run_record(), plan_record(*cases), *records, COMPLETE)
    return published.in_words(report_of(path))


@pytest.mark.parametrize(
    ("jax_small", "jax_large", "said"),
    [
        (5, 1100, "On 4-3 (batch 8) JAX is 4.0 times as fast as NumPy; from 99-99-3 (batch 8) on "
                  "NumPy, JAX are within 10 % of each other"),
        (20, 1100, "From 4-3 (batch 8) on NumPy, JAX are within 10 % of each other"),
        (5, 2000, "On 4-3 (batch 8) JAX is 4.0 times as fast as NumPy"),
    ],
)  # fmt: skip
def test_figure_is_told_in_words(
    jax_small: float, jax_large: float, said: str, tmp_path: Path
) -> None:
    """What is not certain is not said; where large networks differ, nothing is alike."""
    assert f"**{said}.**" == told(tmp_path, jax_small, jax_large)


def test_who_has_one_network_of_several_takes_no_other_from_the_words(tmp_path: Path) -> None:
    """The fifth idiom, of which a standard run has one network."""
    said = told(tmp_path, 5, 1100, ("c", LARGE, 500))

    assert said == told(tmp_path, 5, 1100)


def test_page_without_the_place_is_an_error(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to write into it."""
    (clone / "README.md").write_text("nothing")

    assert 2 == main(["results", "update", "example", "--keep"])
    assert "README.md: there is no place for example: write <!--" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["failed", "busy", "good"])
def test_run_replaces_the_published_one_only_if_it_is_worth_it(
    ending: str, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that failed, or on a busy machine, stays where it is; kernels are OpenBLAS's choice."""
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")

    def benchmark(command: list[str], cwd: Path, env: dict[str, str]) -> int:
        assert not set(results.CHOSEN_KERNELS) & set(env) and "benchmark" == command[0]
        output = cwd / command[command.index("--output") + 1]
        output.mkdir()
        records = [ok(p, 70_000, NUMPY) for p in range(5)]
        busy = [BUSY] if ending == "busy" else []
        write(
            output / published.JOURNAL,
            run_record(started="2026-02-03"),
            plan_record(NUMPY),
            *busy,
            *records,
            COMPLETE,
        )
        return int(ending == "failed")

    monkeypatch.setattr(results, "_only_here", lambda _: "")
    monkeypatch.setattr(results, "_ended", benchmark)
    journal = clone / published.FOLDER / "example" / published.JOURNAL
    before = journal.read_text()
    status = main(["results", "update", "example"])

    printed = capsys.readouterr()
    assert (ending == "good") == (journal.read_text() != before) == (status == 0)
    if ending != "good":
        assert 1 == status and "what was published stays" in printed.err
        (kept,) = {line.split("(see ")[1].split(")")[0] for line in printed.err.splitlines()}
        shutil.rmtree(kept)
    assert not published._note("example", clone).exists()


def test_run_without_a_figure_that_pages_show_is_not_published(clone: Path, tmp_path: Path) -> None:
    """One of too few processes had no intervals, and a page was left with a broken picture."""
    page = clone / "docs" / "results.md"
    page.write_text(f"![cost]({published.FOLDER}/example/figures/cost.png)\n{page.read_text()}")
    journal = clone / published.FOLDER / "example" / published.JOURNAL
    before = page.read_text(), journal.read_bytes()
    run = tmp_path / "run"
    (run / published.FIGURES).mkdir(parents=True)
    shutil.copy(journal, run)

    assert "has no cost.png, which pages show" in results._put(published, "example", run)
    assert before == (page.read_text(), journal.read_bytes())

    (run / published.FIGURES / "cost.png").write_bytes(b"")
    assert "" == results._put(published, "example", run)
    assert (journal.parent / published.FIGURES / "cost.png").exists()


def test_runs_are_listed_and_others_are_refused(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is a clone."""
    assert 0 == main(["results", "list"])
    listed = capsys.readouterr().out.splitlines()
    assert list(published.RUNS) == [line.split()[0] for line in listed]
    assert "2026-01-02" in listed[0] and "not measured yet" in listed[1]
    assert 2 == main(["results", "update", "exampel"])
    assert "did you mean 'example'" in capsys.readouterr().err
    monkeypatch.setattr(commands, "IN_CHECKOUT", False)
    assert 2 == main(["results", "list"])
    assert "run it there" in capsys.readouterr().err


NOT_YET: set[str] = set()  # runs that nobody has measured yet


def test_every_published_run_is_committed_and_has_its_places() -> None:
    """Which is what `results update` needs."""
    for name in published.RUNS:
        assert (ROOT / published.FOLDER / name / published.JOURNAL).exists() != (name in NOT_YET)
        for page in published.pages(name):
            assert 1 == (ROOT / page).read_text().count(f"<!-- {name}:begin -->")


def test_page_of_lectures_tells_of_dropout_what_the_committed_run_says() -> None:
    """Its table is made from the journal; of a run without such pairs there is nothing to tell."""
    page, folder = (ROOT / published.LECTURES).read_text(), ROOT / published.FOLDER
    report = loading.load([folder / "training" / published.JOURNAL])

    told = published.text("training", report, published.LECTURES)

    assert f"<!-- training:begin -->\n{told}\n<!-- training:end -->" in page
    assert {"newsgroups", "newsgroups_dropout"} == set(re.findall(r"^\| (news\w*)", told, re.M))
    least, most = re.findall(r"takes ([\d.]+)(?: to ([\d.]+))? times as long", told)[0]
    assert 0 < float(least) < float(most or math.inf)
    other = loading.load([folder / "differentiation" / published.JOURNAL])
    assert "" == published.dropout(other)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"started": None}, "at an unknown time"),
        ({"machine": {"versions": '{"numpy": 5}'}}, "NumPy 5"),
        ({"machine": {"versions": 5}}, "2026-01-02"),
        ({"machine": {"versions": "["}}, "2026-01-02"),
        ({"machine": {"cpu": "<!-- example:end -->"}}, "&lt;!-- example:end -->"),
    ],
)
def test_run_is_told_whatever_its_journal_leaves_out(
    clone: Path, changes: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a text that looks like a place for another is none: it can be told again."""
    record = run_record(started="2026-01-02T03:04:05") | changes
    records = [ok(p, 50_000 + p, NUMPY) for p in range(5)]
    folder = clone / published.FOLDER / "example"
    write(folder / published.JOURNAL, record, plan_record(NUMPY), *records, COMPLETE)

    for _ in range(2):
        assert 0 == main(["results", "update", "example", "--keep"])
    assert 0 == main(["results", "list"])

    assert told in (clone / "README.md").read_text()
    assert "example" in capsys.readouterr().out


def test_run_without_rows_is_not_told(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and the pages stay."""
    write(clone / published.FOLDER / "example" / published.JOURNAL, run_record())

    assert 2 == main(["results", "update", "example", "--keep"])

    assert "has no rows, so there is nothing to tell" in capsys.readouterr().err
    assert "\nx\n" in (clone / "README.md").read_text()


def files(folder: Path) -> dict[Path, bytes]:
    """All of them, with what is in them."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def measured(clone: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The journal of the next run, which is measured when it is asked for; an old figure.

    Pages tell its date alone: what else they tell takes a second each time, and is tested above.
    """
    (clone / published.FOLDER / "example" / "figures").mkdir()
    (clone / published.FOLDER / "example" / "figures" / "old.png").write_text("old")
    records = [ok(p, 70_000, NUMPY) for p in range(5)]
    lines = run_record(started="2026-03-03"), plan_record(NUMPY), *records, COMPLETE
    new = write(clone / "new", *lines).read_bytes()
    (clone / "new").unlink()

    def ended(_: Any, folder: Path, __: Any) -> int:
        (folder / "example" / "figures").mkdir(parents=True)
        (folder / "example" / "figures" / "new.png").write_text("new")
        (folder / "example" / published.JOURNAL).write_bytes(new)
        return 0

    monkeypatch.setattr(results, "_ended", ended)
    monkeypatch.setattr(results, "_only_here", lambda _: "")
    monkeypatch.setattr(published, "text", lambda _, report, __: published._where(report))
    return new


def restore(clone: Path, before: dict[Path, bytes]) -> None:
    """What was there."""
    for path in files(clone).keys() - before.keys():
        path.unlink()
    for path, data in before.items():
        path.write_bytes(data)


def is_new(clone: Path, before: dict[Path, bytes], new: bytes) -> None:
    """Assert that the new run is published, and nothing else is there."""
    after, folder = files(clone), clone / published.FOLDER / "example"
    assert after.keys() == before.keys() - {folder / "figures" / "old.png"} | {
        folder / "figures" / "new.png"
    }
    assert new == after[folder / published.JOURNAL]
    assert all(b"2026-03-03" in after[clone / page] for page in published.pages("example"))


def test_new_run_is_published_whole_or_not_at_all(
    clone: Path, measured: bytes, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A full disk or an interrupt, at whichever file: the next one publishes it."""
    calls, synced = 0, os.fsync

    def full(number: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            os.ftruncate(number, 10)
            raise KeyboardInterrupt if at == 2 else OSError(28, "No space left on device")
        synced(number)

    before = files(clone)
    assert 5 == len(before)  # a journal, an old figure, three pages
    for at, status in (*((at, 1) for at in (1, 3, 4, 5, 6)), (2, 130)):
        calls = 0
        monkeypatch.setattr(os, "fsync", full)

        assert status == main(["results", "update", "example"])

        monkeypatch.setattr(os, "fsync", synced)
        said, note = capsys.readouterr().err, {published._note("example", clone)}
        if at == 1:  # the note, before anything is measured
            assert before == files(clone) and "No space left on device; what was pub" in said
            continue
        assert before == {p: data for p, data in files(clone).items() if p not in note}, at
        assert ("No space left on device (" in said) == (status == 1)
        kept = Path(said.split("the new run is in ")[1].split(";")[0].split("\n")[0])
        assert measured == (kept / "example" / published.JOURNAL).read_bytes()
        assert 0 == main(["results", "update", "example", *(["--keep"] if at == 3 else [])])
        is_new(clone, before, measured)
        assert not kept.exists()
        restore(clone, before)
    assert 0 == main(["results", "update", "example"])
    is_new(clone, before, measured)


class KilledError(BaseException):
    """The process was ended there."""


@pytest.mark.parametrize("gone", [False, True])
def test_publication_that_is_killed_goes_on(
    gone: bool, clone: Path, measured: bytes, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Between whichever names; without the new run, the pages tell of the one before again."""
    replace_, unlink, calls, at = Path.replace, Path.unlink, 0, 0

    def killed(call: Any) -> Any:
        def counted(path: Path, *rest: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls >= at:  # what would tidy up is killed as well
                raise KilledError
            return call(path, *rest, **options)

        return counted

    assert 0 == main(["results", "update", "example", "--keep"])
    folder, before = clone / published.FOLDER / "example", files(clone)
    for at in range(1, 100):
        calls = 0
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", killed(replace_))
            patched.setattr(Path, "unlink", killed(unlink))
            try:
                main(["results", "update", "example"])
                break
            except KilledError:
                pass
        capsys.readouterr()
        note = published._note("example", clone)
        published_now = (folder / published.JOURNAL).read_bytes()
        if note.exists():
            run = Path(note.read_text())
            began = not (run / published.JOURNAL).exists()  # and nothing was measured
            with monkeypatch.context() as patched:
                if gone:
                    shutil.rmtree(run.parent)
                    patched.setattr(results, "_measured", lambda *_: "it is not measured")
                assert int(gone) == main(["results", "update", "example"])
            now, said = files(clone), capsys.readouterr().out
            assert not any(path.name.startswith(".part-") for path in now)
            if gone or began:
                assert f"{run} was begun and has no journal; the pages tell of the one" in said
            if gone:
                date = b"2026-03-03" if published_now == measured else b"2026-01-02"
                assert all(date in now[clone / page] for page in published.pages("example"))
            else:
                assert began != (f"{run} was being published; that goes on" in said)
                is_new(clone, before, measured)
        else:  # before anything took its place, or after everything had
            same = {path: files(clone)[path] for path in before} == before
            assert same or measured == published_now, at
        restore(clone, before)
    else:
        pytest.fail("it was never done")
    assert at > 10


@pytest.mark.parametrize("ending", ["whole", "cut", "failed", "empty"])
def test_run_whose_command_was_killed_is_told(
    ending: str, clone: Path, measured: bytes, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Between its last row and its publication: that goes on, or it is said what would."""
    case, status = NUMPY.to_dict(), {"status": "crashed", "reason": "exit status 7"}
    failed = json.dumps({"record": "outcome", "case": case, **status}).encode() + b"\n"
    written = {
        "whole": measured,
        "cut": measured[: measured[:-1].rindex(b"\n") + 1],
        "failed": measured + failed,
        "empty": b"",
    }
    measure, before = results._ended, files(clone)

    def killed(arguments: Any, folder: Path, environment: Any) -> int:
        measure(arguments, folder, environment)
        (folder / "example" / published.JOURNAL).write_bytes(written[ending])
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(results, "_ended", killed)
        with pytest.raises(KilledError):
            main(["results", "update", "example"])
    note = published._note("example", clone)
    run = Path(note.read_text())
    if ending != "whole":
        assert 0 == main(["results", "update", "example", "--keep"])
        assert note.exists() and b"2026-01-02" in files(clone)[clone / "README.md"]
        assert 1 == main(["results", "update", "example"])
        said = capsys.readouterr().err
        assert f"remove {run} to measure anew; what was published stays" in said
        assert (ending == "cut") == (f"benchmark --resume={run}` goes on, then" in said)
        (run / published.JOURNAL).write_bytes(measured)
    assert 0 == main(["results", "update", "example"])

    assert f"{run} was being published; that goes on" in capsys.readouterr().out
    is_new(clone, before, measured)
    assert not run.exists()


def test_what_cannot_be_written_is_said_before_anything_is_measured(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An hour would be lost."""
    monkeypatch.setattr(results, "_only_here", lambda _: "")
    monkeypatch.setattr(results, "_ended", lambda *_: pytest.fail("it was measured"))
    (clone / "README.md").unlink()
    (clone / "README.md").mkdir()

    assert 1 == main(["results", "update", "example"])

    said = capsys.readouterr().err
    assert "README.md: cannot be written: it is no ordinary file; what was published stays" in said


def test_run_that_is_measured_ends_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt reaches it, and so does what ends the command alone."""
    (tmp_path / "samegrad.py").write_text(
        "import time\nopen('begun', 'w').close()\ntime.sleep(60)\n"
    )
    monkeypatch.setattr(commands, "IN_CHECKOUT", False)
    child: list[subprocess.Popen[bytes]] = []

    class Ending(subprocess.Popen[bytes]):
        def wait(self, timeout: float | None = None) -> int:
            if not child:
                child.append(self)
                while not (tmp_path / "begun").exists():
                    time.sleep(0.01)
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(subprocess, "Popen", Ending)
    with pytest.raises(KeyboardInterrupt):
        results._ended([], tmp_path, dict(os.environ) | {"PYTHONPATH": ""})

    assert child[0].poll() is not None


def test_run_over_versions_is_told_by_its_figure_what_is_certain_and_a_table(
    tmp_path: Path,
) -> None:
    """And it is another command that measures it."""
    slow = tuple(1.5 * us for us in FIVE)
    report = over_time(tmp_path, {"jax==1": FIVE, "jax==2": slow, "jax==3": "pip: no"})

    told = published.text("versions", report, "docs/versions.md")

    assert "versions" == published.RUNS["versions"].command
    assert "; NumPy 2.9; bars are 95 % intervals" in told and "JAX" not in told
    assert "(../reports/results/versions/figures/time_over_versions.png)" in told
    certain = "slower: 2 1.50; certain steps: 1 to 2 1.50 ("
    assert f"\n- 64-32-10 (batch 32), over jax==1: {certain}" in told
    assert "| pip: no |" in " ".join(told.split())


@pytest.mark.parametrize("name", sorted(published.RUNS.keys() - NOT_YET))
def test_published_records_name_no_folder_of_a_machine(name: str) -> None:
    """Of reasons: sources and commands are those of the clone."""
    named = re.compile(r"(?:^|[\s\"'=(])/(?:work|home|root|tmp|Users|var|opt|mnt)/")
    lines = (ROOT / published.FOLDER / name / published.JOURNAL).read_text("utf-8").splitlines()
    reasons = {json.loads(line)["reason"] for line in lines if '"reason": "' in line}

    # A made-up folder, which the pattern must find, or it would find none.
    assert named.search('install it with: pip install -e "/work/clone[cupy]"')
    assert [] == [reason for reason in reasons if named.search(reason)]
