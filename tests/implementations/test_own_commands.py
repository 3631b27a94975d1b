"""Commands that commands start: with the code of this checkout, and ended with what they hold."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.implementations.contract import commands, own_commands


def stub(folder: Path, text: str) -> dict[str, str]:
    """Variables under which `python -m samegrad` runs this text."""
    (folder / "samegrad.py").write_text(text)
    return dict(os.environ) | {"PYTHONPATH": str(folder)}


def test_command_runs_the_code_of_the_checkout_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the path already stays behind it."""
    environment = stub(tmp_path, "import os, sys\nprint(os.environ['PYTHONPATH'], sys.argv[1:])\n")
    monkeypatch.setattr(commands, "HOME", tmp_path / "clone")
    monkeypatch.setattr(commands, "IN_CHECKOUT", True)

    child = own_commands.start(["list", "-v"], tmp_path, environment, stdout=subprocess.PIPE)

    said = child.communicate()[0].decode()
    assert f"{tmp_path / 'clone'}{os.pathsep}{tmp_path} ['list', '-v']" == said.strip()


@pytest.mark.parametrize(
    ("interrupted", "status"),
    [("raise SystemExit(7)", 7), ("time.sleep(60)", -9)],
    ids=["writes down what it has", "goes on"],
)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for a child")
def test_command_is_asked_to_end_and_then_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: str, status: int
) -> None:
    """Within the time that it has for what it holds."""
    lines = ["import time", "try:", "    open('begun', 'w').close()", "    time.sleep(60)"]
    text = "\n".join([*lines, "except KeyboardInterrupt:", f"    {interrupted}", ""])
    monkeypatch.setattr(commands, "IN_CHECKOUT", False)
    child = own_commands.start([], tmp_path, stub(tmp_path, text))
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)

    own_commands.end(child, 0.5 if status < 0 else 20.0)

    assert status == child.returncode


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of a parent that is gone")
def test_command_ends_with_who_started_it(tmp_path: Path) -> None:
    """Killed, too, which nobody can do anything before."""
    (tmp_path / "stub").mkdir()
    environment = stub(
        tmp_path / "stub", "import time\nopen('begun', 'w').close()\ntime.sleep(60)\n"
    )
    code = (
        "import os, time\nfrom pathlib import Path\n"
        "from samegrad.implementations.contract import commands, own_commands\n"
        "commands.IN_CHECKOUT = False\n"
        f"child = own_commands.start([], Path({str(tmp_path)!r}), {environment!r})\n"
        f"while not Path({str(tmp_path / 'begun')!r}).exists(): time.sleep(0.01)\n"
        "print(child.pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    stat = Path(f"/proc/{int(done.stdout)}/stat")
    for _ in range(1000):
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.01)
    pytest.fail("it goes on")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of a parent that is gone")
def test_command_whose_parent_is_gone_before_it_looks_runs_nothing(tmp_path: Path) -> None:
    """Of that one it would never hear."""
    given: Any = {"cwd": tmp_path, "env": stub(tmp_path, "print('begun')\n")}
    tied = [sys.executable, "-c", own_commands.TIED]

    ours = subprocess.run([*tied, str(os.getpid())], **given, capture_output=True)
    gone = subprocess.run([*tied, "999999999"], **given, capture_output=True)

    assert (0, b"begun\n") == (ours.returncode, ours.stdout)
    assert (-signal.SIGTERM, b"") == (gone.returncode, gone.stdout)
