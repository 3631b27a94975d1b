"""What the README says can be typed, and what it shows is real."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import samegrad as sg
from samegrad.benchmarks.cases.case import WorkerSpec
from samegrad.benchmarks.cases.presets import BOTH, PRESETS, expand
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.journal import read as read_journal
from samegrad.benchmarks.records.schema import FAILED
from samegrad.cli import main
from samegrad.reports.data.loading import load
from samegrad.reports.data.matrix import matrix
from samegrad.reports.data.report import machine_label
from samegrad.reports.document import terminal
from tests.helpers import planted
from tests.helpers.journals import ok, plan_record, run_record, write

README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text() for name in ("results", "running", "training")}
PAGES["gradients"] = (DOCS / "checking-gradients.md").read_text()
EXAMPLE = ROOT / "reports" / "results" / "example"
TRAINING = ROOT / "reports" / "results" / "training"
DIFFERENTIATION = ROOT / "reports" / "results" / "differentiation"
PEERS = ROOT / "reports" / "results" / "peers"
SCALING = ROOT / "reports" / "results" / "scaling"
FRESH = "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox -e "
IN_TOX = ".tox/benchmark/bin/samegrad "


def between(name: str, page: str = README) -> str:
    """The part of a page between two marks."""
    return page.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0]


def commands() -> list[str]:
    """Every line of a console block of the README and of the pages that go with it."""
    blocks = [
        block
        for page in (README, *PAGES.values())
        for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    ]
    return [line for block in blocks for line in block.splitlines()]


def test_commands_name_environments_and_commands_that_exist() -> None:
    """A virtual environment first, since some systems refuse a bare pip install."""
    tox = (ROOT / "tox.ini").read_text()
    fresh = [line for line in commands() if line.startswith(FRESH)]
    known = subprocess.run(
        [sys.executable, "-m", "samegrad", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert ["benchmark", "tests"] == [line.removeprefix(FRESH) for line in fresh]
    for line in commands():
        environment = re.search(r"tox -e ([\w-]+)", line)
        if environment is not None:
            assert f"[testenv:{environment.group(1)}]" in tox, line
        elif line.startswith(IN_TOX):
            assert re.search(rf"\b{line.split()[1]}\b", known), line


def test_readme_ends() -> None:
    """A reader gets to the end of it."""
    assert len(README.split()) <= 1200
    assert len(README.splitlines()) <= 150


def test_checked_gradient_is_what_the_readme_shows(tmp_path: Path) -> None:
    """The program of the first section, and its output."""
    section = between("check")
    (program,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", section, re.DOTALL)

    (tmp_path / "my_net.py").write_text(program)

    done = subprocess.run(
        [sys.executable, "my_net.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    numbers = re.compile(r"[\d.e+-]+")
    assert [numbers.sub("#", word) for word in shown.split()] == [
        numbers.sub("#", word) for word in done.stdout.split()
    ]


# Those that ask torch and JAX what they can do take most of the time.
OPTION_LINES = [
    pytest.param(line, marks=[pytest.mark.full] * bool(re.search("torch|jax", line)))
    for line in commands()
    if " -- " in line and "tox -e benchmark" in line
]


@pytest.mark.parametrize("line", OPTION_LINES)
def test_options_of_the_readme_are_accepted(line: str, tmp_path: Path) -> None:
    """Each command collects at least one case."""
    mine = tmp_path / "my_mlp.py"
    mine.write_text(planted.RIGHT)
    arguments = shlex.split(line.split(" -- ")[1].replace("./my_mlp.py", str(mine)))
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


def test_python_example_prints_the_same_loss_for_every_idiom() -> None:
    """The block that loads every implementation."""
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("jax", reason="jax is not installed")
    (code,) = [
        b
        for b in re.findall(r"```python\n(.*?)```", PAGES["running"], re.DOTALL)
        if "load(name)" in b
    ]
    assert '("scalar", "numpy")' in code

    done = subprocess.run(
        [sys.executable, "-c", code.replace('("scalar", "numpy")', "sg.names()")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    losses = [float(line.split()[1]) for line in done.stdout.splitlines()]
    assert len(sg.names()) == len(losses) and max(losses) - min(losses) < 1e-12


@pytest.mark.full  # half a minute for what other tests run as a command
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
    code = re.findall(r"```python\n(.*?)```", between("notebook", PAGES["running"]), re.DOTALL)[0]

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
    shown = re.findall(r"```text\n(.*?)```", between("verify", PAGES["gradients"]), re.DOTALL)[0]
    path = planted.plant(tmp_path, "forgotten derivative of the activation")
    command = [sys.executable, "-m", "samegrad", "verify", path, "--dtype", "float64"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    def without_digits(text: str) -> list[str]:
        lines = [line.strip() for line in text.strip().splitlines()]
        lines = [re.sub(r"(  agrees) .*", r"\1", line) for line in lines if line != "..."]
        return [re.sub(r"[\d.e+-]+", "#", line) for line in lines]

    assert 1 == done.returncode
    from samegrad.implementations.checking import problems

    assert f"on {len(problems.standard('float64'))} small networks" in PAGES["gradients"]
    assert set(without_digits(shown)) <= set(without_digits(done.stdout))


def test_links_lead_somewhere() -> None:
    """Every relative link and picture."""
    documents = [ROOT / "README.md", ROOT / "implementations" / "README.md"]
    documents += [ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    folders = (EXAMPLE, DIFFERENTIATION, PEERS, SCALING, TRAINING)
    documents += [folder / "report.md" for folder in folders]
    for document in documents:
        prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", prose):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), (document, target)


@pytest.mark.parametrize(
    ("folder", "mark", "page"),
    [
        (EXAMPLE, "example", README),
        (EXAMPLE, "example", PAGES["results"]),
        (DIFFERENTIATION, "differentiation", PAGES["results"]),
        (PEERS, "peers", PAGES["results"]),
        (SCALING, "scaling", PAGES["results"]),
        (TRAINING, "training", PAGES["training"]),
    ],
)
def test_figure_is_of_a_committed_run_whose_machine_and_date_are_named(
    folder: Path, mark: str, page: str
) -> None:
    """Rendered from a journal that is complete."""
    journal = read_journal(folder / "journal.jsonl")

    assert journal.complete and [] == journal.warnings
    text = between(mark, page)
    assert machine_label(journal.run).split(" [")[0] in text  # "CPU, N cores"
    assert journal.run["started"][:10] in text
    assert not {row.status for row in rows.rows(journal)} & set(FAILED)


@pytest.mark.parametrize(  # drawing takes ten seconds; charts have tests of their own
    "drawn",
    [pytest.param(True, id="drawn", marks=pytest.mark.full), pytest.param(False, id="blank")],
)
def test_main_figure_comes_from_the_committed_journal_by_the_command_of_the_page(
    drawn: bool, tmp_path: Path, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The command renders it; the page is one file below 5 MB, and its numbers are committed."""
    (line,) = [line for line in commands() if line.startswith(f"{IN_TOX}render")]
    arguments = shlex.split(line.removeprefix(IN_TOX))
    assert EXAMPLE == ROOT / arguments[1]

    if not drawn:
        request.getfixturevalue("no_figures")
    monkeypatch.chdir(ROOT)
    status = main([*arguments, "--output", str(tmp_path)])

    assert 0 == status, capsys.readouterr().err
    assert (tmp_path / "results.csv").read_text() == (EXAMPLE / "results.csv").read_text()
    assert (tmp_path / "report.md").read_text() == (EXAMPLE / "report.md").read_text()
    figure = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)[0]
    assert (tmp_path / Path(figure).relative_to("reports/results/example")).exists()
    assert (tmp_path / "index.html").stat().st_size < 5_000_000


def test_what_hello_ends_with_has_its_rows_in_todays_form(tmp_path: Path) -> None:
    """The times of the block, drawn again: the same lines, but for ratios of rounded numbers."""
    block = README.split("`hello` ends with:\n```text\n")[1].split("```")[0].splitlines()
    columns = block[3].split()
    table = block[4 : block.index("...") - 1]
    workers = [(WorkerSpec(name), BOTH) for name in columns[1:]]  # in the order in which they run
    workers.append((WorkerSpec(columns[0]), ("float64",)))
    planned = {
        (case.workload.name, case.spec.dtype, case.operation, case.implementation): case
        for worker, dtypes in workers
        for case in expand(PRESETS["hello"].lines, worker, dtypes)
    }
    records = []
    for line in table:
        if not line.startswith(" "):
            network, dtype = line.split()[0], line.split()[-1]
            continue
        cells = re.findall(r"([\d.]+) ([um]?s)( \(f64\))?(?: +[\d.]+)?~", line)
        # Looped Python, the first, has no float32 of its own.
        for name, (value, unit, moved) in zip(columns[-len(cells) :], cells, strict=True):
            key = (network, "float64" if moved else dtype, line.split()[0], name)
            ns = float(value) * {"us": 1e3, "ms": 1e6, "s": 1e9}[unit]
            records.append(ok(0, round(ns), planned[key]))
    run = run_record() | {"intervals": False}
    path = write(tmp_path / "journal.jsonl", run, plan_record(*planned.values()), *records)

    shown = [*terminal.matrix(matrix(load([path])))]

    assert len(planned) == len(records)
    assert f"{len(records)} of {len(records)} rows have a number." in block
    assert [*map(without_ratios, block[2 : 4 + len(table)])] == [*map(without_ratios, shown)]


def without_ratios(line: str) -> list[str]:
    """The words of a line of the matrix, less the ratios: these are of numbers not yet rounded."""
    return re.sub(r"[\d.]+~", "~", line).split()


def test_sections_stand_in_their_order() -> None:
    """What it is, figure, gradient, code, speed, proof, one's own, commands, limits."""
    places = [README.index(mark) for mark in (
        "# samegrad", "![One training step", "## Is my gradient right?", "## The same forward pass",
        "## How fast is it?", "**What a number includes**", "**How we know",
        "## Your network, your file", "## Commands", "**Limits.**", "Licence",
    )]  # fmt: skip

    assert sorted(places) == places
