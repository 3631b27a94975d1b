"""Bad input of every kind is one line that says what is accepted: never a traceback."""

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.machine import system
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import schema
from samegrad.benchmarks.runs import interpreter, session
from samegrad.benchmarks.runs.options import parse
from samegrad.benchmarks.training import weights as weights_file
from samegrad.cli import main
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.journals import CASE, ok, plan_record, run_record, write

LONG = "x" * 300  # more than a file's name may have


def samegrad(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """`python -m samegrad ARGUMENTS` in a process of its own."""
    command = [sys.executable, "-m", "samegrad", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, **options
    )


# ---- what is typed ----


@pytest.mark.parametrize("program", ["a text", "\0\1\2", "#!/bin/sh\nexit 0\n", "#!/bin/cat\n"])
def test_file_that_is_no_interpreter_is_refused(program: str, tmp_path: Path) -> None:
    """Before anything is run in it: nothing executable, another program, one that says nothing."""
    path = tmp_path / "python"
    path.write_text(program)
    path.chmod(0o755)

    with pytest.raises(ValueError, match="does not run as a Python interpreter; give the path"):
        parse(implementation="numpy", python=f"numpy={path}")
    path.chmod(0o644)
    with pytest.raises(ValueError, match="does not run as a Python interpreter; give the path"):
        parse(implementation="numpy", python=f"numpy={path}")
    assert parse(implementation="numpy", python=f"numpy={sys.executable}").interpreters


@pytest.mark.parametrize("line", ["--version", "workloads", "verify numpy", "benchmark"])
def test_current_folder_that_was_removed_is_one_line(line: str, tmp_path: Path) -> None:
    """Whatever the command: it could read no settings and write no report."""
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", f'cd {gone}; rmdir {gone}; exec "{sys.executable}" -m samegrad {line}'],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 2 == done.returncode
    (message,) = done.stderr.splitlines()
    assert "the current folder cannot be found" in message and "go to another one" in message


STARTS = "#!/bin/sh\nsetsid sleep 611 & echo $! > started; echo 3 12; sleep 612\n"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (STARTS, ""),
        (STARTS.replace("echo 3 12; ", ""), "it has not said its version within 3 s"),
        ("#!/bin/sh\nexec yes 3\n", "it does not run as a Python interpreter"),
        ("#!/bin/sh\nexec cat /dev/zero\n", "it does not run as a Python interpreter"),
        ("#!/bin/sh\necho 3 10\n", "it is Python 3.10"),
    ],
    ids=["starts", "silent", "endless", "endless line", "old"],
)
def test_interpreter_is_asked_within_limits(
    program: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of time and of bytes; and nothing that it has started lives on."""
    path = tmp_path / "python"
    path.write_text(program)
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    if "version" in message:
        monkeypatch.setattr(interpreter, "LIMIT_SECONDS", 3.0)

    assert message == interpreter.why_not(str(path))

    if "setsid" in program and sys.platform == "linux":
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "started").read_text()), 0)


@pytest.mark.parametrize(
    "line",
    [
        f"verify {LONG}.py",
        f"verify {LONG}",
        f"verify numpy --against {LONG}.py",
        "verify numpy --time-limit inf",
        "verify numpy --time-limit nan",
        "verify numpy --shrink nan",
        "verify numpy --shrink inf",
        "verify numpy --shrink=-1",
        "verify numpy --time-limit 1e300",
        f"verify numpy --layers {'9' * 400}-2",
        f"render {LONG}",
        f"compare {LONG} {LONG}",
        f"advise --layers 3-2 --runs {LONG}",
        f"runs list --runs {LONG}",
        f"train {LONG}",
        f"train xor --implementation {LONG}.py",
        f"train xor --evaluate {LONG}",
        f"train xor --data-dir {LONG}",
        f"train xor --save {LONG}",
        "--foo",
        "-x",
        "-",
        "--",
        "-- workloads",
        "--layers 3-2 verify",
    ],
)
def test_names_and_numbers_beyond_measure_are_one_line(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2."""
    assert 2 == main(line.split())

    assert 1 == len(capsys.readouterr().err.splitlines())


@pytest.mark.parametrize(
    "line",
    [
        f"--implementation {LONG}.py",
        f"--implementation {LONG}",
        f"--resume {LONG}",
        f"-m training --data-dir {LONG}",
        f"--layers {'9' * 400}-2",
    ],
)
def test_names_beyond_measure_are_one_line_of_a_benchmark(line: str) -> None:
    """pytest shows a usage error, and nothing of its own insides."""
    done = samegrad("benchmark", *line.split())

    assert 2 == done.returncode
    assert 1 == len(done.stderr.strip().splitlines()), done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


# ---- what a journal says of its run ----

SETTINGS = {"seconds": 9.0, "block_seconds": 0.1, "warm_up_seconds": 0.5}
OPTIONS = {"preset": "hello", "implementation": "numpy"}


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {}},
        {"settings": SETTINGS | {"surprise": 1}},
        {"settings": SETTINGS | {"seconds": "many"}},
        {"settings": SETTINGS | {"block_seconds": None}},
        {"settings": SETTINGS | {"block_seconds": [1]}},
        {"settings": SETTINGS | {"warm_up_seconds": 1e300}},
        {"settings": SETTINGS | {"seconds": -1e308}},
        {"settings": SETTINGS | {"seconds": 1e300}},
        {"settings": SETTINGS | {"memory": "yes"}},
        {"settings": SETTINGS | {"short_call_seconds": {}}},
        {"options": {"surprise": "1"}},
        {"options": OPTIONS | {"preset": 3}},
        {"options": OPTIONS | {"preset": ["hello"]}},
        {"options": OPTIONS | {"kind": "surprise"}},
        {"options": OPTIONS | {"python": "numpy=/nowhere"}},
    ],
    ids=str,
)
def test_broken_settings_of_a_run_are_one_line(changes: dict[str, Any], tmp_path: Path) -> None:
    """Whatever a journal says of how it went on, it is checked before it does."""
    here = system.fingerprint(system.machine())
    good = {"fingerprint": here, "settings": SETTINGS, "options": OPTIONS}
    path = write(tmp_path / "journal.jsonl", run_record(**good), plan_record(CASE))
    assert session.load(str(path), retry_failed=False).settings.seconds == 9

    write(path, run_record(**good | changes), plan_record(CASE))
    with pytest.raises(ValueError, match=r"--resume .* options or settings are none: .*; start a"):
        session.load(str(path), retry_failed=False)


@pytest.mark.parametrize("field", ["options", "settings"])
def test_null_in_a_journal_is_as_if_it_were_not_there(field: str, tmp_path: Path) -> None:
    """Of every field; a run without options cannot go on."""
    about = {"fingerprint": system.fingerprint(system.machine()), "settings": SETTINGS}
    run = run_record(**(about | {"options": OPTIONS, field: None}))
    path = write(tmp_path / "journal.jsonl", run, plan_record(CASE))

    assert {} == {k: v for k, v in schema.check(run).items() if v is None}
    with pytest.raises(ValueError, match="the journal does not say how to go on"):
        session.load(str(path), retry_failed=False)


@pytest.mark.parametrize("threads", ["\x1b[2J", "0", "-1", "", "9" * 5000])
def test_threads_of_a_run_are_checked_before_anything_is_measured(
    threads: str, tmp_path: Path
) -> None:
    """All, or a number."""
    about = {"fingerprint": system.fingerprint(system.machine()), "options": OPTIONS}
    plan = plan_record(CASE) | {"cases": [CASE.to_dict() | {"threads": threads}]}
    path = write(tmp_path / "journal.jsonl", run_record(**about, settings=SETTINGS), plan)

    with pytest.raises(ValueError, match=r"threads .*; start a new run"):
        session.load(str(path), retry_failed=False)


@pytest.mark.parametrize("processes", [0, 10**12])
def test_number_of_processes_of_a_run_is_checked(processes: int, tmp_path: Path) -> None:
    """None, or more than anybody may ask for."""
    about = {"fingerprint": system.fingerprint(system.machine()), "options": OPTIONS}
    plan = plan_record(CASE) | {"processes": processes}
    path = write(tmp_path / "journal.jsonl", run_record(**about, settings=SETTINGS), plan)

    with pytest.raises(ValueError, match=f"{processes} processes; start a new run"):
        session.load(str(path), retry_failed=False)


def test_implementation_that_the_options_do_not_name_is_not_resumed(tmp_path: Path) -> None:
    """Nor a device that it does not have."""
    about = {"fingerprint": system.fingerprint(system.machine()), "options": OPTIONS}
    fields = CASE.to_dict()
    for change, message in (
        ({"implementation": "strange"}, "the journal has 'strange', which its options do not name"),
        ({"device": "my gpu"}, "numpy has no device 'my gpu', which the journal has rows of"),
    ):
        plan = plan_record(CASE) | {"cases": [fields | change]}
        path = write(tmp_path / "journal.jsonl", run_record(**about, settings=SETTINGS), plan)
        with pytest.raises(ValueError, match=message):
            session.load(str(path), retry_failed=False).select()


@pytest.mark.parametrize("records", [(), (plan_record(CASE),), (plan_record(CASE), ok(0))])
def test_advice_of_a_run_that_was_killed_early_is_that_nothing_is_known(
    records: tuple[Any, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before its plan, after it, and with one outcome; the date may be none, too."""
    here = system.fingerprint(system.machine())
    for started in ("0000-00-00", "", "2026-13-45T99:99"):
        about = run_record(fingerprint=here, started=started)
        path = write(tmp_path / "journal.jsonl", about, *records)

        assert 1 == main(["advise", "--layers", "300-200-2", "--runs", str(path)])
        assert 0 == main(["runs", "list", "--runs", str(tmp_path.parent)])
    assert "" == capsys.readouterr().err


TRAINED = {"metric": "accuracy", "test": 0.9, "at": [1, 2], "loss": [1.0, 0.5], "target": None}


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({}, True),
        ({"metric": "a later version's"}, True),
        ({"metric": 3}, False),
        ({"test": "good"}, False),
        ({"at": []}, False),
        ({"loss": [1.0]}, False),
        ({"validation": [0.1, "x"]}, False),
        ({"target": "high"}, False),
    ],
    ids=str,
)
def test_training_of_an_outcome_has_what_reports_show(
    changes: dict[str, Any], accepted: bool
) -> None:
    """A metric that is not known is shown by its name; a curve without its points is no record."""
    record = ok(0, training=TRAINED | changes)

    if accepted:
        assert record == schema.check(record)
    else:
        with pytest.raises(ValueError, match="training must be a"):
            schema.check(record)


# ---- weights ----


def member(array: Any, header: bytes | None = None) -> bytes:
    """An array as npy, perhaps with another header."""
    file = io.BytesIO()
    np.save(file, array)
    if header is None:
        return file.getvalue()
    padded = header + b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded


HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"


@pytest.mark.parametrize(
    "fault", ["huge", "negative", "no header", "object", "encrypted", "corrupt", "method", "bomb"]
)
def test_weights_that_lie_are_refused(fault: str, tmp_path: Path) -> None:
    """Headers, encryption, damaged or unknown compression, more than the network has."""
    spec, path = MLPSpec((3, 2)), tmp_path / "w.npz"
    about = json.dumps({"form": 1, "spec": spec.to_dict(), "task": "xor"})
    W: Any = member(np.zeros((3, 2), np.float32))
    data = {
        "huge": member(W, HUGE),
        "negative": member(W, HUGE.replace(b"1000000000000", b"-5")),
        "no header": b"\x93NUMPY\x01\x00\xff\xff{",
        "object": member(np.array([{}], object)),
        "bomb": bytes(50 * 2**20),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("description.npy", member(np.array(about)))
        archive.writestr("W1.npy", data.get(fault, W))
        archive.writestr("b1.npy", member(np.zeros(2, np.float32)))
    raw = bytearray(path.read_bytes())
    local, central = raw.find(b"W1.npy") - 30, raw.rfind(b"W1.npy") - 46
    if fault == "encrypted":
        raw[local + 6] |= 1
        raw[central + 8] |= 1
    if fault == "method":
        raw[local + 8] = raw[central + 10] = 98
    if fault == "corrupt":
        raw[local + 36 : local + 50] = b"\xff" * 14
    path.write_bytes(raw)

    with pytest.raises(weights_file.WeightsError, match="no weights that `train --save` wrote: "):
        weights_file.load_weights(path)


# ---- a user who stops, a reader who leaves ----


# Ctrl-C comes so long after the command line has been imported, however long that takes.
INTERRUPTED = """
import os, signal, sys, threading
from samegrad.cli import main
after, times, *command = sys.argv[1:]
for number in range(int(times)):
    timer = threading.Timer(float(after) + number / 20, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
sys.exit(main(command))
"""


def interrupted(command: str, after: float, times: int = 1) -> tuple[int, list[str]]:
    """Exit status and lines on stderr of a command that gets Ctrl-C, perhaps again."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(after), str(times), command],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "after", [0.2, 1.1, *(pytest.param(s, marks=pytest.mark.full) for s in (0.5, 0.8, 1.6, 2.4))]
)
def test_interrupt_anywhere_in_verify_is_one_line(after: float) -> None:
    """Also while mpmath computes, whose C code makes something else of KeyboardInterrupt."""
    assert (130, ["interrupted"]) == interrupted("verify", after)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("command", ["verify", "selftest", "doctor"])
def test_second_interrupt_ends_at_once(command: str) -> None:
    """With the same word, and no traceback of what was being cleaned up."""
    status, said = interrupted(command, 1.0, times=3)

    assert 130 == status
    assert "interrupted" == said[-1] and not any("Traceback" in line for line in said)


@pytest.mark.parametrize(
    "command", [("workloads",), ("verify", "nope"), ("verify", "numpy", "--layers", "3-2")]
)
def test_reader_of_both_streams_may_leave(command: tuple[str, ...]) -> None:
    """As in `samegrad verify 2>&1 | head -1`: a status, and nothing that nobody can read."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "samegrad", *command],
            cwd=ROOT, stdout=writer, stderr=writer, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)

    assert done.returncode in (1, 2)


@pytest.mark.parametrize(
    "line",
    ["train xor --epochs 1 --save loop", "verify numpy --layers 2-2 --activation tanh --junit loop",
     "exercise check sheet.py --exercise loops --junit loop/x", "benchmark loop --collect-only"],
)  # fmt: skip
def test_links_in_a_circle_are_one_line(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever a file is to be written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "sheet.py").write_text("x = 1\n")

    assert 2 == main(line.split())
    printed = capsys.readouterr()
    assert "INTERNALERROR" not in printed.out
    assert "error: " in printed.err.strip().splitlines()[-1].lower()


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf", "soon"])
def test_time_limit_that_is_none_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, before anything is called."""
    assert 2 == main(["verify", "numpy", f"--time-limit={limit}"])
    assert f"{limit!r} is not accepted; give seconds" in capsys.readouterr().err


@pytest.mark.parametrize("typed", ["--layers={}", "{}", "--nothing={}"])
def test_value_of_any_length_does_not_fill_screens(
    typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its beginning and what is accepted are shown."""
    assert 2 == main(["advise", "--layers", "3-2", typed.format("x/" * 40_000)])

    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 2100 and "x/x/x" in line and " [...] " in line
