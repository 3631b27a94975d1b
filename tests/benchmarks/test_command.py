"""`pytest --benchmark` as a user runs it, in a process of its own."""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from samegrad import cli as command
from samegrad.benchmarks import plugin
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.journal import read as read_journal
from tests.helpers import planted
from tests.helpers.no_figures import NO_FIGURES
from tests.helpers.no_report import NO_REPORT
from tests.helpers.quiet_machine import QUIET_MACHINE

QUICK = ["--preset", "hello", "--implementation", "numpy", "-k", "digits and train_step"]


def pytest_run(*arguments: str, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> Any:
    """`python -m pytest ARGUMENTS`."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=cwd,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def journal_of(directory: Path) -> Journal:
    """The journal of a run."""
    return read_journal(directory / "journal.jsonl")


def test_run_writes_journal_report_and_json(tmp_path: Path) -> None:
    """The three show the same numbers, and the path of the report is printed last."""
    out = tmp_path / "run"
    saved = tmp_path / "benchmark.json"

    done = pytest_run(
        "--benchmark", *QUIET_MACHINE, *QUICK, "--output", str(out), f"--benchmark-json={saved}"
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "Name (time in" not in done.stdout  # pytest-benchmark's own table
    journal = journal_of(out)
    assert journal.complete
    assert {"digits-batch32-float32", "digits-batch32-float64"} == set(journal.inputs)
    rows = {f"test_speed[{row.case.id}]": row for row in results.rows(journal)}
    assert 2 == len(rows)
    data = json.loads(saved.read_text())
    assert set(rows) == {bench["name"] for bench in data["benchmarks"]}
    again = tmp_path / "again.json"
    again.write_text(saved.read_text())
    compared = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", str(saved), str(again)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == compared.returncode and all(name in compared.stdout for name in rows)
    for bench in data["benchmarks"]:
        row = rows[bench["name"]]
        assert list(row.process_medians) == bench["stats"]["data"]
        assert row.gate["error"] == bench["extra_info"]["gradient_error"]
    # The journal's raw blocks, by a script of their own.
    repetitions: dict[str, list[float]] = {}
    for line in (out / "journal.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["record"] == "outcome":
            median = statistics.median(record["elapsed_ns"]) / record["calls"] / 1e9
            repetitions.setdefault(json.dumps(record["case"]), []).append(median)
    assert {3, 4, 5} >= set(map(len, repetitions.values()))
    assert sorted(map(min, repetitions.values())) == sorted(
        bench["stats"]["data"][0] for bench in data["benchmarks"]
    )
    for name in ("index.html", "report.md", "results.csv", "figures/time_per_step.png"):
        assert (out / name).stat().st_size > 0
    assert f"report: {out / 'index.html'}" == done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("--benchmark-columns=min", True),
        ("--benchmark-sort", True),
        ("--benchmark-compare", True),
        ("--benchmark-json=a.json", False),
        ("--benchmark-save=a", False),
        ("--benchmark", False),
    ],
)
def test_table_of_pytest_benchmark_is_shown_on_request(option: str, shown: bool) -> None:
    """Where somebody types an option that is about it."""
    assert shown == (plugin.ITS_TABLE.fullmatch(option) is not None)


def test_failing_implementation_fails_the_run_and_no_other_row(tmp_path: Path) -> None:
    """Exit status 1; the number of the right one is there, that of the wrong one nowhere."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from samegrad.implementations import mlp_numpy\n"
        "from samegrad.implementations.mlp_numpy import *\n"
        "def train_step(*a):\n"
        "    params, state, loss = mlp_numpy.train_step(*a)\n"
        "    return params, state, loss * 2\n"
    )
    saved = tmp_path / "benchmark.json"
    selected = [*QUICK[:2], "--implementation", f"numpy,{mine}", *QUICK[4:]]

    done = pytest_run(
        *("--benchmark", *NO_FIGURES, *QUIET_MACHINE, *selected, f"--benchmark-json={saved}"),
        *("--output", str(tmp_path / "run")),
    )

    assert 1 == done.returncode, done.stdout + done.stderr
    assert "wrong: loss of the step: error 1 " in done.stdout
    assert "2 failed, 2 passed" in done.stdout
    assert "Warning" not in done.stdout and " error" not in done.stdout.splitlines()[-1]
    names = {bench["name"] for bench in json.loads(saved.read_text())["benchmarks"]}
    assert 2 == len(names) and all("numpy" in name for name in names)
    assert "wrong" in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "options",
    [("--junitxml=/dev/full",), ("--benchmark-autosave", "--benchmark-storage=/dev/null")],
    ids=["junitxml", "autosave"],
)
def test_file_of_pytest_that_cannot_be_written_costs_no_report(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """It is named, and so are the journal and what else was to come; the status is not 0."""
    run = tmp_path / "run"

    done = pytest_run("--benchmark", *NO_REPORT, *QUICK, *options, f"--output={run}")

    assert 1 == done.returncode, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    lost, *last = done.stdout.splitlines()[-3:]
    assert "cannot be written: " in lost
    assert [f"journal: {run / 'journal.jsonl'}", f"no report in {run}, as asked"] == last
    assert journal_of(run).complete


def test_file_with_two_functions_is_timed_after_its_check(tmp_path: Path) -> None:
    """The step that it lacks is samegrad's, which is said; a wrong one has no time."""
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(planted.RIGHT)
    wrong.write_text(planted.RIGHT.replace("        delta = delta / n\n", ""))
    selected = ["--preset", "hello", "--implementation", f"{right},{wrong}", "-k", "digits"]

    done = pytest_run(
        "--benchmark", *NO_REPORT, *selected, "--output", str(tmp_path / "run"), "-rs"
    )

    assert 1 == done.returncode, done.stdout + done.stderr
    rows = {row.case.id: row for row in results.rows(journal_of(tmp_path / "run"))}
    outcomes = {row.case.id: (row.status, row.reason) for row in rows.values()}
    assert ("ok", "") == outcomes["digits-loss_and_grad-batch32-float64-right-cpu"]
    assert ("ok", "") == outcomes["digits-train_step-batch32-float64-right-cpu"]
    assert "right: training step by samegrad's update rule, in NumPy" in done.stdout
    status, reason = outcomes["digits-loss_and_grad-batch32-float64-wrong-cpu"]
    assert "wrong" == status and "dW1: error 31" in reason


def test_named_implementation_runs_what_the_preset_has() -> None:
    """Also one that the preset does not ask for by itself."""
    done = pytest_run(
        *("--benchmark", "--collect-only", "-q", "--preset", "hello", "--implementation", "graph")
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    ids = re.findall(r"test_speed\[(.*)\]", done.stdout)
    assert {"graph"} == {part.split("-")[-2] for part in ids}


def test_group_that_is_a_preset_does_not_go_with_another_one() -> None:
    """One line, exit status 4."""
    done = pytest_run("--benchmark", "--preset", "hello", "-m", "peers")

    assert 4 == done.returncode
    assert "-m peers is a preset itself; leave out --preset" in done.stderr


def test_broken_framework_is_skipped_with_its_reason(tmp_path: Path) -> None:
    """It is there and does not import: not the same as not installed, and no failure."""
    for name in ("torch", "jax"):  # without the latter, whose speed would be looked at for long
        (tmp_path / name).mkdir()
        broken = "raise ImportError('libcudart.so.13 missing')"
        (tmp_path / name / "__init__.py").write_text(broken)
    hide = {"PYTHONPATH": str(tmp_path)}
    selected = ["--benchmark", "--preset", "hello", "-k", "digits and train_step and torch", "-rs"]
    selected += NO_REPORT

    done = pytest_run(*selected, "--output", str(tmp_path / "run"), environment=hide)

    assert 1 == done.returncode, done.stdout + done.stderr
    assert "no row has a usable number (" in done.stdout
    assert "unavailable: implementation 'torch' could not be loaded" in done.stdout
    assert "libcudart.so.13 missing" in done.stdout
    named = pytest_run("--benchmark", "--implementation", "torch", environment=hide)
    assert 4 == named.returncode
    assert "libcudart.so.13 missing" in named.stderr


def test_gpu_that_no_framework_sees_is_said_first(tmp_path: Path) -> None:
    """With the command that mends it; the rows say why they have no number."""
    pytest.importorskip("torch", reason="torch is not installed")
    smi = tmp_path / "nvidia-smi"
    row = "0, GPU-1, [N/A], NVIDIA Test 9000, 9 MiB, 580.1, 9 W, 9 MHz"
    smi.write_text(f"#!/bin/sh\necho '{row}'\n")
    smi.chmod(0o755)
    seen = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": ""}
    arguments = [
        "--benchmark",
        *NO_FIGURES,
        *QUIET_MACHINE,
        "--preset",
        "hello",
        "--implementation",
        "torch",
    ]

    done = pytest_run(
        *arguments, "-k", "cuda", "-rs", "--output", str(tmp_path / "r"), environment=seen
    )

    assert 1 == done.returncode, done.stdout + done.stderr
    assert "no row has a usable number (" in done.stdout.splitlines()[-2]
    assert "this machine has NVIDIA Test 9000" in done.stdout
    assert 'pip install -e ".[cuda]"' in done.stdout
    assert "NVIDIA Test 9000" in (tmp_path / "r" / "report.md").read_text()


def test_pretended_gpu_has_resident_and_end_to_end_rows(tmp_path: Path) -> None:
    """Through the whole run: plan, workers, events, journal, report, GPU against CPU."""
    fake = ROOT / "tests" / "helpers" / "fake_cuda.py"
    arguments = ["--preset", "hello", "--implementation", str(fake), "--device", "cpu,cuda"]

    done = pytest_run(
        *("--benchmark", *NO_FIGURES, *QUIET_MACHINE, *arguments, "-k", "train_step and float32"),
        *("--output", str(tmp_path / "r")),
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    journal = journal_of(tmp_path / "r")
    rows = {(row.case.device, row.case.transfer, row.status) for row in results.rows(journal)}
    expected = {("cpu", "resident", "ok"), ("cuda", "resident", "ok"), ("cuda", "end_to_end", "ok")}
    assert expected == rows
    events = [r["event_ns"] for c, r in journal.outcomes if c.device == "cuda"]
    assert all(len(ns) >= 1 and min(ns) > 0 for ns in events)
    # Below five processes there is no interval, and so nothing to say of a GPU against a CPU.
    assert not (tmp_path / "r" / "figures" / "gpu_over_cpu.png").exists()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("dead_gpu", "finding its capabilities crashed: exit status 7"),
        ("refused", "it supports none of the networks that predict its cost: ValueError: step"),
    ],
)
def test_gpu_that_fails_its_probe_costs_no_cpu_row(fault: str, reason: str, tmp_path: Path) -> None:
    """The CUDA rows say why they have no number; those of the CPU are measured."""
    fake = ROOT / "tests" / "helpers" / "fake_cuda.py"
    arguments = ["--preset", "hello", "--implementation", str(fake), "--device", "cpu,cuda"]

    done = pytest_run(
        *("--benchmark", *NO_REPORT, *QUIET_MACHINE, *arguments),
        *("-k", "train_step and float32", "-rs"),
        *("--output", str(tmp_path / "r")),
        environment={"SAMEGRAD_FAKE_FAULT": fault},
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    rows = {(r.case.device, r.status) for r in results.rows(journal_of(tmp_path / "r"))}
    assert {("cpu", "ok"), ("cuda", "unavailable")} == rows
    assert reason in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--benchmark", "--implementation", "nunpy"], "implementation 'nunpy' is not known"),
        (["--benchmark", "--layers", "a-b"], "--layers 'a-b' is not accepted"),
        (
            ["--benchmark", "--layers", "8-2", "--batch-size", "0"],
            "--batch-size '0' is not accepted",
        ),
        (
            ["--benchmark", "--implementation", "numpy", "--device", "cuda"],
            "--device 'cuda' is not",
        ),
        (["--benchmark", "--device", "tpu", "--implementation", "numpy"], "--device 'tpu' is not"),
        (["--benchmark", "--implementation", "scalar", "--dtype", "float32"], "nothing to run"),
        (["--benchmark", "tests"], "--benchmark collects benchmarks/ only"),
        (["--benchmark", "--benchmark-min-rounds=3"], "means nothing with --benchmark"),
        (["--benchmark", "--benchmark-disable"], "leave out --benchmark"),
        (["--benchmark", "--doctest-modules"], "there are no doctests"),
        (["--benchmark", "--benchmark-warmup=on"], "every case is warmed up"),
        (["--benchmark", "--benchmark-storage=nosuch://x"], "or a URL of file or elasticsearch"),
        (["--preset", "hello"], "--preset goes with --benchmark"),
        (["--benchmark", "-p", "no:skipping"], "-p no:skipping: --benchmark needs that plugin"),
        (["--benchmark", "-p", "no:python"], "-p no:python: --benchmark needs that plugin"),
        (["--benchmark", "--log-file=docs"], "--log-file docs: cannot be written: Is a dir"),
        (["--benchmark", "--junitxml=o/journal.jsonl"], "it would replace a journal"),
        (
            ["--benchmark", "--implementation", "numpy", "--output", "README.md"],
            "it is not empty",
        ),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_4(arguments: list[str], message: str) -> None:
    """No traceback, nothing run."""
    done = pytest_run(*arguments)

    assert 4 == done.returncode
    (line,) = [text for text in done.stderr.splitlines() if text.strip()]
    assert line.startswith("ERROR: ")
    assert message in line
    assert "Traceback" not in done.stdout + done.stderr


def test_refused_run_leaves_no_directory(tmp_path: Path) -> None:
    """Neither for a device that is not there nor for a selection of nothing."""
    out = tmp_path / "run"
    quick = ["--benchmark", "--implementation", "numpy", "--output", str(out)]

    assert 4 == pytest_run(*quick, "--device", "cuda").returncode
    assert 5 == pytest_run(*quick, "-k", "no_such_case").returncode
    assert not out.exists()


def test_unwritable_output_is_said_before_anything_runs(tmp_path: Path) -> None:
    """A file stands where the directory should be made."""
    (tmp_path / "file").write_text("")

    done = pytest_run("--benchmark", *QUICK, "--output", str(tmp_path / "file" / "run"))

    assert 4 == done.returncode
    assert "cannot be written" in done.stderr


def test_plain_pytest_runs_no_benchmark_from_anywhere() -> None:
    """Neither from the root nor from benchmarks/, nor when it is named."""
    left = ("implementations", "benchmarks", "reports", "docs")  # few are to be collected
    few = [f"--ignore=tests/{folder}" for folder in left]
    for arguments, cwd in ((few, ROOT), ([], ROOT / "benchmarks"), (["benchmarks"], ROOT)):
        done = pytest_run("--collect-only", "-q", *arguments, cwd=cwd)
        assert "test_speed[" not in done.stdout


def test_benchmark_collects_from_any_subdirectory() -> None:
    """Only the cases, selected with -k and -m."""
    for cwd in (ROOT, ROOT / "benchmarks"):
        done = pytest_run("--benchmark", *QUICK, "--collect-only", "-q", cwd=cwd)
        items = [line for line in done.stdout.splitlines() if "::" in line]
        assert 0 == done.returncode, done.stderr
        assert 2 == len(items) and all("test_speed[digits-train_step" in item for item in items)
    done = pytest_run("--benchmark", *QUICK[:4], "-m", "loss_and_grad", "--collect-only", "-q")
    assert 2 == len([line for line in done.stdout.splitlines() if "loss_and_grad" in line])


def long_run(out: Path) -> "subprocess.Popen[str]":
    """A run of most of a minute, which is too short to predict, once it has measured a few."""
    chosen = ("--implementation", "numpy", "-k", "digits", "--time", "50", "--output", str(out))
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "--benchmark", "--preset", "full"),
            *NO_FIGURES,
            *QUIET_MACHINE,
            *chosen,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    journal = out / "journal.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if journal.exists() and journal.read_text().count('"status": "ok"') >= 4:
            return child
        time.sleep(0.1)
    child.kill()
    raise AssertionError(f"no case was measured within 120 s: {child.communicate()[0]}")


def test_interrupted_run_keeps_its_journal_and_writes_a_partial_report(tmp_path: Path) -> None:
    """Ctrl-C: exit status 2, what was measured is in the report."""
    out = tmp_path / "run"
    child = long_run(out)

    child.send_signal(signal.SIGINT)
    printed, _ = child.communicate(timeout=120)

    assert 2 == child.returncode, printed
    read = journal_of(out)
    assert not read.complete and len(read.outcomes) >= 3
    assert "PARTIAL" in printed and f" benchmark --resume={out}" in printed
    assert "PARTIAL" in (out / "index.html").read_text()
    report = (out / "report.md").read_text()
    assert "not_run" in report
    assert re.search(r"\d+(\.\d+)? [mu]s", report)
    assert "Traceback" not in printed


@pytest.mark.usefixtures("no_figures")
def test_killed_run_keeps_what_was_measured_and_leaves_no_worker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """kill -9 of the parent: its journal is readable, its worker ends by itself."""
    out = tmp_path / "run"
    child = long_run(out)

    workers = _children(child.pid)
    child.kill()
    child.communicate()

    assert len(journal_of(out).outcomes) >= 3
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in workers):
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert 0 == command.main(["render", str(out)])
    assert "PARTIAL" in capsys.readouterr().out


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


def test_parent_imports_no_framework() -> None:
    """Collecting, planning and reporting need neither torch nor jax in the parent."""
    code = (
        "import sys, samegrad, samegrad.benchmarks.plugin, samegrad.benchmarks.runs.selection\n"
        "import samegrad.reports.render\n"
        "print(sorted({'torch', 'jax', 'sklearn'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "[]" == done.stdout.strip()
