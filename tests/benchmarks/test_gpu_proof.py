"""One command for whoever has a GPU, on a pretended one; and archives that anybody may send."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks import gpu_proof
from samegrad.benchmarks.gpu_proof import Part, Proof
from samegrad.benchmarks.machine import gpu
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records.journal import NotAJournalError, read
from samegrad.benchmarks.records.schema import OK
from samegrad.cli import main, tree
from samegrad.implementations.contract import registry
from samegrad.reports.data import archives
from samegrad.reports.data.loading import paths
from tests.helpers import journals
from tests.helpers.no_report import NO_REPORT
from tests.helpers.quiet_machine import QUIET_MACHINE

FAKE = str(ROOT / "tests" / "helpers" / "fake_cuda.py")
TINY = ("--layers", "6-5-3", "--batch-size", "4", "--implementation", FAKE, "--device", "cuda",
        "--dtype", "float64", "--processes", "1", "-k", "train_step and not end_to_end",
        "--time", "2", *NO_REPORT, *QUIET_MACHINE)  # fmt: skip


def test_parts_are_commands_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of their worth; what is not installed is not asked for."""
    monkeypatch.setattr(registry, "why_not_installed", lambda name: "" if name == "jax" else "no")
    made = gpu_proof.parts()

    order = "hello agreement_jax standard precisions selftest peers wide scaling training"
    assert order.split() == [part.name for part in made]
    small = ("--layers", "64-32-10", "--batch-size", "32")  # what it compiles takes seconds each
    assert ("verify", "jax", *small, "--device", "cuda", "--json") == made[1].arguments
    assert "jax" == made[6].arguments[-1]
    for part in made:
        given, rest = tree().parse_known_args([*part.arguments])
        assert part.arguments[0] == given.command
        assert {"-m", "-k"} >= {word for word in rest if word.startswith("-")}  # pytest's
    monkeypatch.setattr(registry, "why_not_installed", lambda name: "no")
    assert {"agreement_jax", "wide"}.isdisjoint(part.name for part in gpu_proof.parts())


def test_all_agreement_is_chosen_by_one_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each implementation is a part: what one takes costs the others nothing."""
    ran: list[str] = []
    monkeypatch.setattr(gpu, "facts", lambda: {"gpu": "NVIDIA T4, 9 MiB"})
    monkeypatch.setattr(
        registry, "why_not_installed", lambda name: "" if name in ("jax", "torch") else "no"
    )
    monkeypatch.setattr(gpu_proof.Proof, "_run", lambda _, part, *__: ran.append(part.name))

    main(["gpu-proof", "--only", "agreement", "--output", str(tmp_path / "p")])

    assert {"agreement_jax", "agreement_torch"} == set(ran)
    assert 2 == main(["gpu-proof", "--only", "agreemnt"])
    assert "did you mean 'agreement'" in capsys.readouterr().err


@pytest.mark.full  # five commands in processes of their own
def test_it_runs_to_its_end_on_a_pretended_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each part by itself; what failed and what is left is said; it goes on where it was."""
    made = [
        Part("wrong", ("verify", "nunpy"), 1, 1),
        Part("tiny", ("benchmark", *TINY), 9, 1),
        Part("much", ("doctor",), 1, least=1e6),
    ]
    monkeypatch.setattr(gpu_proof, "parts", lambda: made)
    monkeypatch.setattr(gpu, "facts", lambda: {"gpu": "NVIDIA T4, 9 MiB"})
    folder = tmp_path / "proof"

    status = main(["gpu-proof", "--minutes", "2", "--output", str(folder)])

    printed = capsys.readouterr().out
    assert 1 == status, printed
    assert "wrong: failed" in printed and "'nunpy' is not known" in printed
    assert "tiny: done" in printed and "much         left" in printed
    with zipfile.ZipFile(folder / gpu_proof.ARCHIVE) as archive:
        names = set(archive.namelist())
        came = json.loads(archive.read(gpu_proof.STATE))
        about = json.loads(archive.read(gpu_proof.ENVIRONMENT))
    expected = {"tiny/journal.jsonl", "tiny.out", "wrong.log"}
    assert expected <= names and "numpy" in about["packages"]
    assert ("failed", "done") == (came["wrong"]["status"], came["tiny"]["status"])
    with archives.unpacked([folder / gpu_proof.ARCHIVE]) as places:
        (journal,) = paths(places)
        sent = read(journal)
    assert {OK} == {outcome["status"] for _, outcome in sent.outcomes}
    assert str(tmp_path) not in json.dumps(sent.run["command"])
    shown = tmp_path / "shown"
    assert 0 == main(["render", str(folder / gpu_proof.ARCHIVE), "--output", str(shown)])
    assert "fake_cuda" in (shown / "report.md").read_text()
    capsys.readouterr()

    made[0] = Part("wrong", ("workloads",), 1, 1)
    assert 3 == main(["gpu-proof", "--resume", str(folder), "--minutes", "0.5"])
    printed = capsys.readouterr().out
    assert "wrong: done" in printed and "tiny:" not in printed and "--resume" in printed


SCRIPT = """#!/bin/sh
trap 'echo written >> {log}; exit 130' INT
while [ "$1" != benchmark ]; do shift; done
echo "$@" >> {log}
i=0; while [ $i -lt 600 ]; do sleep 0.05; i=$((i+1)); done
"""


def test_a_part_is_stopped_at_its_time_and_may_write_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an interrupt; a run that has a journal goes on with it the next time."""
    program, log = tmp_path / "python", tmp_path / "log"
    program.write_text(SCRIPT.format(log=log))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(gpu_proof, "PACK_SECONDS", 0.0)
    made = [Part("one", ("benchmark", "-m", "training"), 1, 0.1)]
    folder = tmp_path / "proof"

    proof = Proof(folder, made, lambda _: None, resume=False)
    proof.run(3.0, 10**6)
    (folder / "one").mkdir()
    begun = journals.run_record(), journals.plan_record(journals.CASE)
    journals.write(folder / "one" / "journal.jsonl", *begun)
    again = Proof(folder, made, lambda _: None, resume=True)
    again.run(3.0, 10**6)

    assert "stopped" == again.status(made[0])
    first, second = ("-m training --output one", "--resume one")
    expected = [f"benchmark {first}", "written", f"benchmark {second}"]
    assert [*expected, "written"] == log.read_text().splitlines()


def test_one_start_at_a_time_holds_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so does a part that outlives it for a moment."""
    monkeypatch.setattr(gpu_proof, "END_SECONDS", 0.0)
    monkeypatch.setattr(gpu_proof, "PACK_SECONDS", 0.3)
    said: list[str] = []
    Proof(tmp_path / "p", [], said.append, resume=False).run(1.0, 10**6)
    again = Proof(tmp_path / "p", [], said.append, resume=True)

    with gpu_proof._alone(tmp_path / "p", said.append) as lock:
        with pytest.raises(ValueError, match="another gpu-proof is at work there"):
            again.run(1.0, 10**6)
        part = subprocess.Popen(["sleep", "60"], pass_fds=(lock.fileno(),))
    with pytest.raises(ValueError, match="another gpu-proof is at work there"):
        again.run(1.0, 10**6)
    part.kill()
    part.wait()
    again.run(1.0, 10**6)
    assert [True] * 2 == ["is waited for" in line for line in said]


def test_archive_keeps_to_its_size_and_what_matters_most(tmp_path: Path) -> None:
    """Journals before reports; what is left out is said."""
    said: list[str] = []
    proof = Proof(tmp_path / "p", [Part("a", ("benchmark",), 1)], said.append, resume=False)
    (tmp_path / "p" / "a").mkdir()
    noise = bytes(range(256)) * 4
    (tmp_path / "p" / "a" / "journal.jsonl").write_bytes(noise)
    (tmp_path / "p" / "a" / "report.md").write_bytes(os.urandom(4000))

    path = proof.pack(3000)

    assert ["a/journal.jsonl"] == zipfile.ZipFile(path).namelist()
    assert path.stat().st_size < 3000 and "a/report.md: left out" in said[0]


def test_archive_keeps_the_parts_of_an_earlier_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `--only` of a later start leaves out has been measured nevertheless."""
    parts = [Part(name, ("benchmark",), 1) for name in ("first", "second", "third")]
    monkeypatch.setattr(gpu_proof, "parts", lambda: parts)
    folder = tmp_path / "p"
    for name in ("first", "third"):
        (folder / name).mkdir(parents=True)
        (folder / name / "journal.jsonl").write_bytes(name.encode())
    (folder / gpu_proof.STATE).write_text('{"first": {"exit_status": 0}, "../else": {}}')

    path = Proof(folder, parts[1:2], print, resume=True).pack(10**6)

    assert {gpu_proof.STATE, "first/journal.jsonl"} == set(zipfile.ZipFile(path).namelist())


def archive_of(path: Path, members: dict[str, bytes]) -> Path:
    """An archive with these members, whatever their names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_of_an_archive_only_journals_are_read(tmp_path: Path) -> None:
    """Names that lead elsewhere, and other files, are not looked at."""
    good = json.dumps(journals.run_record()).encode() + b"\n"
    names = ("../out/journal.jsonl", "/journal.jsonl", "a/b/journal.jsonl", "a\\journal.jsonl",
             "A/journal.jsonl", "x.py", "x/journal.jsonl/", "journal.jsonl")  # fmt: skip
    path = archive_of(tmp_path / "a.zip", {**dict.fromkeys(names, b"bad"), "x/journal.jsonl": good})

    with archives.unpacked([path, tmp_path]) as places:
        folder = Path(places[0])
        found = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
        assert ["x/journal.jsonl"] == found and tmp_path == places[1]
    assert not folder.exists()


def test_bad_archives_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No archive, one without journals, one that unpacks to more than is allowed."""
    monkeypatch.setattr(archives, "MOST_BYTES", 5000)
    bomb = {"x/journal.jsonl": bytes(10**6)}
    (tmp_path / "no.zip").write_bytes(b"PK nothing")
    cases: dict[Any, str] = {
        tmp_path / "no.zip": "no archive that can be read",
        archive_of(tmp_path / "empty.zip", {"x.txt": b""}): "without a journal",
        archive_of(tmp_path / "bomb.zip", bomb): "its journals have more than",
        archive_of(tmp_path / "names.zip", {f"{n}.txt": b"" for n in range(100)}): "it has more",
    }
    for path, message in cases.items():
        with pytest.raises(NotAJournalError, match=message), archives.unpacked([path]):
            pass


def test_predictions_stand_beside_what_was_measured(tmp_path: Path) -> None:
    """Inside the band, and outside of it."""
    proof = Proof(tmp_path / "p", [Part("a", ("benchmark",), 1)], print, resume=False)
    (tmp_path / "p" / "a").mkdir()
    machine = journals.run_record()["machine"] | {"gpu": "NVIDIA H100 80GB HBM3, 81559 MiB"}
    about = {"record": "ceiling", "implementation": "torch", "device": "cuda", "threads": "all",
             "process": 0}  # fmt: skip
    rates = {"float32": 50e12, "tf32": 60e12, "bfloat16": 800e12}
    records = [
        about | {"quantity": "gemm", "arithmetic": name, "value": rate}
        for name, rate in rates.items()
    ]
    records.append(about | {"quantity": "launch", "arithmetic": "", "value": 2.5e-6})
    path = tmp_path / "p" / "a" / "journal.jsonl"
    graph = replace(journals.CASE, implementation="torch_compile", device="cuda")
    steps = journals.plan_record(graph), *(journals.ok(p, 60_000, graph) for p in range(5))
    journals.write(path, journals.run_record(machine=machine), *records, *steps)

    *lines, nodes = proof.bands()

    assert ["tf32 products: 60 TFLOP/s, predicted 296 to 494 (data sheet): NOT AS PREDICTED"] == [
        line for line in lines if "NOT AS" in line
    ]
    assert "launch: 2.5 us, predicted 1.3 to 28" == lines[-1] and 4 == len(lines)
    said = "60 us, as long as 100 nodes of a graph are predicted to take"
    assert f"digits step of torch_compile: {said}" == nodes


@pytest.mark.parametrize(
    ("option", "unit"), [("--minutes", "minutes"), ("--max-size", "megabytes")]
)
@pytest.mark.parametrize("value", ["x", "0", "-3", "nan", "inf", "1e308"])
def test_limits_are_numbers_above_zero(
    option: str, unit: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the unit that the option is in."""
    assert 2 == main(["gpu-proof", f"{option}={value}"])

    (line,) = capsys.readouterr().err.splitlines()
    assert f"argument {option}: '{value}' is not accepted; give {unit}, a number above 0" in line


@pytest.mark.parametrize("text", ["", "[]", '{"tiny": 5}', "[" * 5000, "\x00", "5"])
def test_state_of_another_start_may_be_anything(text: str, tmp_path: Path) -> None:
    """It is refused in one line."""
    (tmp_path / gpu_proof.STATE).write_text(text)

    with pytest.raises(ValueError, match="is not what gpu-proof writes"):
        Proof(tmp_path, [], print, resume=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("name", ["tiny.out", "environment.json", "gpu-proof.zip", "tiny"])
def test_folder_of_another_start_leads_nowhere(name: str, tmp_path: Path) -> None:
    """What is written through a link is lost elsewhere, and a pipe is waited for without end."""
    (tmp_path / "precious").write_text("precious")
    for number, make in enumerate((lambda p: p.symlink_to(tmp_path / "precious"), os.mkfifo)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / gpu_proof.STATE).write_text("{}")
        make(folder / name)

        with pytest.raises(ValueError, match="no ordinary file"):
            Proof(folder, [Part("tiny", ("completion", "bash"), 1, 1)], print, resume=True)
