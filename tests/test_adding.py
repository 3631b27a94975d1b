"""`implementations/README.md`, followed literally: its files, its commands, its output."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environment import ROOT

PAGE = (ROOT / "implementations" / "README.md").read_text()
STEP = re.compile(
    r"<!-- (?P<what>file|run|output|change)(?:: (?P<detail>.*?))? -->"
    r"(?:\n```\w+\n(?P<block>.*?)```)?",
    re.DOTALL,
)


def run(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """A command of the page, from a folder that is not the checkout, with this interpreter."""
    words = shlex.split(line)
    command = [sys.executable, *(words[1:] if words[0] == "python" else ["-m", *words])]
    if "--benchmark" in words:
        command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
        command += ["-p", "benchmarks.plugin", "--output", str(folder / "run")]
        command += [str(ROOT / "benchmarks" / "test_speed.py"), "--noconftest"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def test_page_is_true(tmp_path: Path) -> None:
    """Files are written, changed and run in the order of the page."""
    pytest.importorskip("jax", reason="jax is not installed")
    done: list[str] = []
    printed, wanted = "", 0
    for step in STEP.finditer(PAGE):
        what, detail, block = step["what"], step["detail"] or "", step["block"] or ""
        done.append(what)
        if what == "file":
            (tmp_path / detail).write_text(block)
        elif what == "change":
            form = re.fullmatch(r'(\S+) -> (\S+): "(.*)" -> "(.*)"', detail)
            assert form is not None
            source, target, old, new = form.groups()
            text = (tmp_path / source).read_text()
            assert 1 == text.count(old)
            (tmp_path / target).write_text(text.replace(old, new))
        elif what == "output":
            for line in block.strip().splitlines():
                assert line.strip() in printed, printed
        else:
            wanted = int(detail or 0)
            if not block:  # the next comment's block is the command
                continue
            printed = ""
            for line in block.strip().splitlines():
                found = run(line, tmp_path)
                printed += found.stdout + found.stderr
                assert wanted == found.returncode, f"{line}\n{printed}"

    assert {"file": 3, "run": 4, "output": 2, "change": 1} == {w: done.count(w) for w in set(done)}
    assert "1 passed" in printed or "2 passed" in printed


def test_ten_lines_are_ten_lines() -> None:
    """Docstring aside."""
    code = PAGE.split("<!-- file: jax_forward.py -->\n```python\n")[1].split("```")[0]

    assert 10 == len([line for line in code.splitlines() if line and not line.startswith('"""')])


def test_table_names_every_implementation() -> None:
    """In the order of the registry."""
    from implementations import names

    assert list(names("all")) == re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
