"""Commands that commands start: with the code of this checkout, and ended with what they hold."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
