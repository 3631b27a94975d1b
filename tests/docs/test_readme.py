"""What the README says can be typed, and what it shows is real."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from samegrad.benchmarks.machine.system import ROOT
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.journal import read as read_journal
from samegrad.reports.data import tables

README = (ROOT / "README.md").read_text()
EXAMPLE = ROOT / "reports" / "results" / "example"
TRAINING = ROOT / "reports" / "results" / "training"
DIFFERENTIATION = ROOT / "reports" / "results" / "differentiation"
PEERS = ROOT / "reports" / "results" / "peers"
SCALING = ROOT / "reports" / "results" / "scaling"


def between(name: str) -> str:
    """The part of the README between two marks."""
    return README.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0]


def commands() -> list[str]:
    """Every line of a console block."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_two_commands_need_only_python_and_name_environments_that_exist() -> None:
    """A virtual environment first, since some systems refuse a bare pip install."""
    tox = (ROOT / "tox.ini").read_text()
    for line in commands():
        environment = re.search(r"tox -e ([\w-]+)", line)
        assert environment is not None, line
        assert f"[testenv:{environment.group(1)}]" in tox
    for line in commands()[:2]:
        assert line.startswith(
            "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox -e"
        )


@pytest.mark.parametrize(
    "line", [line for line in commands() if " -- " in line and "tox -e benchmark" in line]
)
def test_options_of_the_readme_are_accepted(line: str, tmp_path: Path) -> None:
    """Each command collects at least one case."""
    arguments = shlex.split(line.split(" -- ")[1])
    if "--output" not in arguments:
        arguments += ["--output", str(tmp_path / "run")]
    if "--implementation" not in arguments:  # asking all of them what they can do takes long
        arguments += ["--implementation", "numpy"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--benchmark", "--collect-only", "-q", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "test_speed[" in done.stdout


def test_python_example_prints_the_same_loss_four_times() -> None:
    """The block that loads every implementation."""
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("jax", reason="jax is not installed")
    (code,) = [
        b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "load(name)" in b
    ]

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    losses = [float(line.split()[1]) for line in done.stdout.splitlines()]
    assert 4 == len(losses) and max(losses) - min(losses) < 1e-12


def test_notebook_cell_shows_the_report(tmp_path: Path) -> None:
    """As it stands, in a folder that holds the checkout; IPython is pretended."""
    (tmp_path / "IPython").mkdir()
    (tmp_path / "IPython" / "__init__.py").write_text("")
    (tmp_path / "IPython" / "display.py").write_text(
        "HTML = str\ndef display(page): print('SHOWN', len(page), 'Time per call' in page)\n"
    )
    shutil.copytree(
        ROOT,
        tmp_path / "samegrad",
        ignore=shutil.ignore_patterns(".*", "output", "__pycache__", "*.egg-info", "build"),
    )
    code = re.findall(r"```python\n(.*?)```", between("notebook"), re.DOTALL)[0]

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert re.search(r"SHOWN \d{5,} True", done.stdout), done.stdout + done.stderr


def test_forward_passes_are_those_of_the_files() -> None:
    """Line by line."""
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "# numpy" in b]
    name = ""
    for line in block.splitlines():
        if line.startswith("# "):
            name = line[2:].split(":")[0].split(",")[0]
        elif line:
            assert f"    {line}\n" in (ROOT / "implementations" / f"mlp_{name}.py").read_text()


def test_verdict_on_a_fault_is_what_the_verifier_prints(tmp_path: Path) -> None:
    """The block of the README, but for what another machine may round otherwise.

    That is the digits, and which problem is the worst where all agree.
    """
    from tests.helpers.planted import plant

    shown = re.findall(r"```text\n(.*?)```", between("verify"), re.DOTALL)[0]
    path = plant(tmp_path, "forgotten derivative of the activation")
    command = [sys.executable, "-m", "samegrad", "verify", path, "--dtype", "float64"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    def without_digits(text: str) -> list[str]:
        lines = [line.strip() for line in text.strip().splitlines()]
        lines = [re.sub(r"(  agrees) .*", r"\1", line) for line in lines if line != "..."]
        return [re.sub(r"[\d.e+-]+", "#", line) for line in lines]

    assert 1 == done.returncode
    from samegrad.implementations.checking import problems

    assert f"on {len(problems.standard('float64'))} small networks in two precisions" in README
    assert set(without_digits(shown)) <= set(without_digits(done.stdout))


def test_links_lead_somewhere() -> None:
    """Every relative link and picture."""
    documents = [ROOT / "README.md", ROOT / "implementations" / "README.md"]
    documents += (ROOT / "docs").glob("*.md")
    folders = (EXAMPLE, DIFFERENTIATION, PEERS, SCALING, TRAINING)
    documents += [folder / "report.md" for folder in folders]
    for document in documents:
        prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", prose):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), (document, target)


@pytest.mark.parametrize(
    ("folder", "mark"),
    [
        (EXAMPLE, "example"),
        (DIFFERENTIATION, "differentiation"),
        (PEERS, "peers"),
        (SCALING, "scaling"),
        (TRAINING, "training"),
    ],
)
def test_figure_is_of_a_committed_run_whose_machine_and_date_are_named(
    folder: Path, mark: str
) -> None:
    """Rendered from a journal that is complete."""
    journal = read_journal(folder / "journal.jsonl")

    assert journal.complete and [] == journal.warnings
    text = between(mark)
    assert tables.machine_label(journal.run).split(" [")[0] in text  # "CPU, N cores"
    assert journal.run["started"][:10] in text
    assert not rows.failures(rows.rows(journal))


def test_main_figure_comes_from_the_committed_journal_by_the_command_of_the_page(
    tmp_path: Path,
) -> None:
    """The command renders it; the page is one file below 5 MB, and its numbers are committed."""
    (line,) = [line for line in commands() if "report -- render" in line]
    given = shlex.split(line.split(" -- ")[1])
    assert EXAMPLE == ROOT / given[1]

    done = subprocess.run(
        [sys.executable, "-m", "samegrad", *given, "--output", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr
    assert (tmp_path / "results.csv").read_text() == (EXAMPLE / "results.csv").read_text()
    assert (tmp_path / "report.md").read_text() == (EXAMPLE / "report.md").read_text()
    figure = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)[0]
    assert (tmp_path / Path(figure).relative_to("reports/results/example")).exists()
    assert (tmp_path / "index.html").stat().st_size < 5_000_000


def test_sections_stand_in_the_house_order() -> None:
    """What it is, figure, commands, code, numbers, proof, cases, adding, layout, limits."""
    found = [README.index(mark) for mark in (
        "# samegrad", "![One training step", "## Two commands", "## The same forward pass",
        "## What a number includes", "## How we know", "## Cases, GPU, options",
        "## Add an implementation", "## Layout", "## Limits", "BSD 3-Clause",
    )]  # fmt: skip

    assert sorted(found) == found
