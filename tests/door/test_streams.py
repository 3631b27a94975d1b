"""Streams that are closed or full cost words, and no work: never a traceback."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT

FULL = Path("/dev/full")


def samegrad(folder: Path, line: str) -> "subprocess.CompletedProcess[str]":
    """A command line with redirections, run by a shell in a folder."""
    return subprocess.run(
        ["sh", "-c", f"exec {shlex.quote(sys.executable)} -m samegrad {line}"], cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("line", "status"), [("--version", 0), ("runs list --runs .", 0), ("nonsense", 2)]
)
def test_closed_streams_change_no_status(
    line: str, status: int, closed: str, tmp_path: Path
) -> None:
    """The work is done, and nobody is there to be told."""
    done = samegrad(tmp_path, f"{line} {closed}")

    assert status == done.returncode
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("line", ["--help", "runs list --runs ."])
def test_what_cannot_be_shown_is_said_in_one_line(line: str, tmp_path: Path) -> None:
    """And the status is not 0: whoever reads the output must know that it is not whole."""
    done = samegrad(tmp_path, f"{line} > {FULL}")

    assert 1 == done.returncode
    expected = "standard output: No space left on device; not everything could be shown\n"
    assert expected == done.stderr
    assert 1 == samegrad(tmp_path, f"{line} > {FULL} 2> {FULL}").returncode
    assert 2 == samegrad(tmp_path, f"nonsense > {FULL} 2> {FULL}").returncode


def test_file_that_may_not_grow_is_said_in_one_line(tmp_path: Path) -> None:
    """As of a quota."""
    pytest.importorskip("resource")
    limited = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
        "os.execv(sys.executable, [sys.executable, '-m', 'samegrad', '--version'])"
    )
    with (tmp_path / "out").open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", limited], stdout=out, stderr=subprocess.PIPE,
            text=True, check=False, cwd=ROOT,
        )  # fmt: skip

    assert 1 == done.returncode
    assert "standard output: File too large; not everything could be shown\n" == done.stderr


@pytest.mark.parametrize("where", [">&-", "2>&-", f"> {FULL}"])
def test_weights_are_saved_whatever_becomes_of_the_words(where: str, tmp_path: Path) -> None:
    """Also by a process of its own, in which somebody's implementation is trained."""
    own = tmp_path / "mine.py"
    own.write_text("from samegrad.implementations.mlp_numpy import *\n")
    for name in ("numpy", "./mine.py") if where == ">&-" else ("numpy",):
        done = samegrad(
            tmp_path, f"train xor --epochs 1 --implementation {name} --save w.npz {where}"
        )

        assert ("full" in where) == done.returncode, done.stderr
        (tmp_path / "w.npz").unlink()


def test_benchmark_lists_its_cases_to_nobody(tmp_path: Path) -> None:
    """What pytest prints goes the same way."""
    line = "benchmark --collect-only --implementation numpy --layers 4-3"

    assert 0 == samegrad(tmp_path, f"{line} >&-").returncode
    done = samegrad(tmp_path, f"{line} > {FULL}")
    assert 1 == done.returncode
    assert "Traceback" not in done.stderr and "INTERNALERROR" not in done.stderr
