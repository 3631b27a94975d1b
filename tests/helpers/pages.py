"""Pages of documentation, followed literally: their files, their commands, their output."""

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

from samegrad.benchmarks.machine.checkout import ROOT

STEP = re.compile(
    r"<!-- (?P<what>file|run|output|change)(?:: (?P<detail>.*?))? -->"
    r"(?:\n```\w+\n(?P<block>.*?)```)?(?P<table>\n(?:\|[^\n]*\n)+)?",
    re.DOTALL,
)
LINE = re.compile(r"^\| *(?:`(.*?)` )?\| *(?:`(.*?)` )?\|$", re.MULTILINE)


def run(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """A command of a page, from a folder that is not the checkout, with this interpreter."""
    words = shlex.split(line)
    command = [sys.executable, *(words[1:] if words[0] == "python" else ["-m", *words])]
    if "--benchmark" in words:
        command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
        command += ["-p", "samegrad.benchmarks.plugin", "--output", str(folder / "run")]
        command += [str(ROOT / "benchmarks" / "test_speed.py"), "--noconftest"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def changed(text: str, detail: str, table: str) -> tuple[str, str]:
    """(name of the new file, its text): by `"old" -> "new"`, or by the rows of a table."""
    if table:
        lines = text.split("\n")
        for old, new in LINE.findall(table):
            places = [i for i, line in enumerate(lines) if line == old]
            assert 1 == len(places), f"{old!r} stands {len(places)} times"
            lines[places[0] : places[0] + 1] = [new] if new else []
        return detail.split(" -> ")[1], "\n".join(lines)
    form = re.fullmatch(r'\S+ -> (\S+): "(.*)" -> "(.*)"', detail)
    assert form is not None
    target, old, new = form.groups()
    assert 1 == text.count(old)
    return target, text.replace(old, new)


def follow(page: str, folder: Path) -> tuple[Counter[str], str]:
    """Write, change and run what a page says, in its order; what it did, and its last output."""
    done: Counter[str] = Counter()
    printed, accepted = "", {0}
    for step in STEP.finditer(page):
        what, detail, block = step["what"], step["detail"] or "", step["block"] or ""
        done[what] += 1
        if what == "file":
            (folder / detail).write_text(block)
        elif what == "change":
            text = (folder / detail.split(" -> ")[0]).read_text()
            target, new = changed(text, detail, step["table"] or "")
            (folder / target).write_text(new)
        elif what == "output":
            for line in block.strip().splitlines():
                assert line.strip() in printed, printed
        else:
            accepted = {0, 1} if detail == "any" else {int(detail or 0)}
            if not block:  # the next comment's block is the command
                continue
            printed = ""
            for line in block.strip().splitlines():
                process = run(line, folder)
                printed += process.stdout + process.stderr
                assert process.returncode in accepted, f"{line}\n{printed}"
    return done, printed
