"""Results that come as pull requests: what continuous integration does with them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra archive is not installed")
pytest.importorskip("pyarrow", reason="the extra archive is not installed")

from samegrad.benchmarks.machine.checkout import ROOT
from tests.helpers.archives import journal, records

WORKFLOW = ROOT / ".github" / "workflows" / "results.yml"
WHERE = "reports/results/contributed"


def command() -> str:
    """The last step of the workflow, as a shell is given it for a pull request to main."""
    text = WORKFLOW.read_text().rpartition("run: >\n")[2]
    return " ".join(text.split()).replace("${{ github.base_ref }}", "main")


def test_page_shows_the_command() -> None:
    """And the folder that it looks at; its shell has pipefail, as the one below."""
    page = (ROOT / "docs" / "archive.md").read_text()

    assert command() in page and f"`{WHERE}/NAME`" in page
    assert "- shell: bash" in WORKFLOW.read_text()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.skipif(sys.platform == "win32", reason="the step is of a shell")
def test_run_that_lies_fails_and_the_others_pass(tmp_path: Path) -> None:
    """What a pull request brings is looked at, moved runs and lone summaries too, and no more."""
    program = tmp_path / "bin" / "samegrad"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m samegrad "$@"\n')
    program.chmod(0o755)
    own = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")}  # fmt: skip
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | own | {"PATH": path, "PYTHONPATH": str(ROOT)}
    repository = tmp_path / "clone"
    lying = records("lies")
    lying[-2]["gate"] = {"name": "dW1", "error": 1.0, "bound": 1e-5}

    def shell(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", text],
            cwd=repository, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    journal(repository / WHERE / "before", *lying)
    commit = "git add . && git commit -q -m more"
    begun = shell(f"git init -q . && {commit} && git update-ref refs/remotes/origin/main HEAD")
    assert 0 == begun.returncode, begun.stderr
    journal(repository / WHERE / "mine", *records("mine"))
    assert 0 == shell(commit).returncode

    good = shell(command())
    journal(repository / WHERE / "lies", *lying)
    assert 0 == shell(commit).returncode
    bad = shell(command())
    assert 0 == shell(f"git rm -q -r {WHERE}/lies && {commit}").returncode
    assert 0 == shell(f"git mv {WHERE}/before {WHERE}/moved && {commit}").returncode
    moved = shell(command())
    assert 0 == shell(f"git rm -q -r {WHERE}/moved").returncode
    (repository / WHERE / "alone").mkdir()
    (repository / WHERE / "alone" / "summary.json").write_text("{}")
    assert 0 == shell(commit).returncode
    alone = shell(command())
    lost = shell(command().replace("origin/main", "origin/none"))

    assert (0, "") == (good.returncode, good.stderr)
    assert f"{WHERE}/mine/journal.jsonl: may be published\n" == good.stdout
    assert 0 != bad.returncode and 1 == len(bad.stderr.splitlines())
    assert f"{WHERE}/lies/journal.jsonl" in bad.stderr and "its gate was not passed" in bad.stderr
    assert 0 != moved.returncode and "its gate was not passed" in moved.stderr
    assert 0 != alone.returncode and "a summary without its journal" in alone.stderr
    assert 0 != lost.returncode
