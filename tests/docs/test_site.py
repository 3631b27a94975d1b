"""The site: its pages, where their links lead, and that it is built without a warning."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.cli import SHOWN, tree
from tests.helpers import notebooks

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def conf() -> ModuleType:
    """The site's configuration."""
    pytest.importorskip("pygments", reason="pygments is not installed")
    spec = importlib.util.spec_from_file_location("site_conf", DOCS / "conf.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_stands_in_one_table_of_contents(conf: ModuleType) -> None:
    """And nothing else does."""
    tables = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    named = [line for table in tables for line in table.splitlines() if line and line[0] != ":"]
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    made = {f"generated/{name}" for name in (*conf.ELSEWHERE.values(), "commands")}

    assert len(named) == len(set(named)) and pages | made == set(named)


@pytest.mark.parametrize(
    ("page", "written", "shown"),
    [
        ("running", "[a](glossary.md#x)", "[a](glossary.md#x)"),
        ("running", "[a](../CONTRIBUTING.md)", "[a](generated/contributing.md)"),
        ("generated/contributing", "[a](docs/glossary.md)", "[a](../glossary.md)"),
        ("generated/contributing", "[a](README.md)", "[a](../index.md)"),
        ("running", "[a](../benchmarks/judge)", "a (`benchmarks/judge/`)"),
        ("running", "[a](https://b.c/d.md)", "[a](https://b.c/d.md)"),
        ("running", "[a](no-such.md)", "[a](no-such.md)"),
        (
            "results",
            "[a](../reports/results/peers/report.md)",
            '<a href="runs/peers/index.html">a</a>',
        ),
        ("running", "![a](../docs/conf.py)", "![a](conf.py)"),
        (
            "spiking",
            "[implementations/spiking](../implementations/spiking/)",
            "`implementations/spiking/`",
        ),
    ],
)
def test_links_lead_to_pages_runs_and_files(
    page: str, written: str, shown: str, conf: ModuleType
) -> None:
    """They are written as they are followed in the repository; what is not there, Sphinx names."""
    text = [f"See {written}."]
    conf._links(None, page, text)

    assert [f"See {shown}."] == text


def test_numbers_stay_with_their_units_in_tables_alone(conf: ModuleType) -> None:
    """A cell of a phone's width breaks "81.1 % (80 % to 82 %)" over six lines else."""
    text = ["81 % here\n| 81.1 % (80 % to 82 %) | 3 ms | 4 samples | 5 s |\n"]
    conf._links(None, "running", text)

    assert ["81 % here\n| 81.1_% (80_%_to_82_%) | 3_ms | 4 samples | 5_s |\n"] == [
        text[0].replace("\N{NO-BREAK SPACE}", "_")
    ]


def test_commands_are_those_of_the_command_line(conf: ModuleType) -> None:
    """Each with its options, started as after an install."""
    page = conf._commands()

    assert "## verify" in page and "### runs clean" in page and "--fail-above" in page
    assert "usage: samegrad benchmark" in page and "-m samegrad advise" not in page


@pytest.mark.full  # a minute each
def test_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """All pages, all links between them."""
    pytest.importorskip("furo", reason="furo is not installed")
    pytest.importorskip("myst_parser", reason="myst-parser is not installed")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS)]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)

    assert 0 == done.returncode, done.stderr
    assert (tmp_path / "runs" / "example" / "index.html").exists()


@pytest.mark.full
def test_notebooks_run_to_their_end() -> None:
    """From a clone of this repository."""
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    command = [sys.executable, "-m", "tests.helpers.notebooks"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    assert 0 == done.returncode, done.stderr


def test_notebooks_are_committed_without_outputs() -> None:
    """What a cell printed somewhere once is no result."""
    files = sorted(notebooks.FOLDER.glob("*.ipynb"))

    assert 3 == len(files)
    for file in files:
        assert '"outputs": []' in file.read_text() and '"text/plain"' not in file.read_text()


def started(cell: str) -> list[list[str]]:
    """The arguments of samegrad in the lists of a cell; what is computed there is "value"."""
    lists = [node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.List)]
    words = [
        [e.value if isinstance(e, ast.Constant) else "value" for e in one.elts if not starred(e)]
        for one in lists
    ]
    return [line[line.index("samegrad") + 1 :] for line in words if {"-m", "samegrad"} <= {*line}]


def starred(node: ast.expr) -> bool:
    return isinstance(node, ast.Starred)


@pytest.mark.parametrize("file", sorted(notebooks.FOLDER.glob("*.ipynb")), ids=lambda f: f.stem)
def test_notebooks_are_valid_and_start_commands_that_exist(file: Path) -> None:
    """As Jupyter reads them; with options that the commands take."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    notebook = json.loads(file.read_text())
    nbformat.validate(nbformat.from_dict(notebook))

    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    lines = [line for cell in cells for line in started(cell)]

    assert {line[0] for line in lines} <= set(SHOWN)
    if file.stem == "gpu-proof":
        (line,) = lines
        assert ["gpu-proof", "--minutes", "20"] == line
        for folder in ("--output", "--resume"):
            given = tree().parse_args([*line, folder, "proof"])
            assert (20.0, "proof") == (given.minutes, vars(given)[folder[2:]])
        assert '"--output"' in cells[1] and '"--resume"' in cells[1]
        assert "files.download" in cells[2] and "gpu-proof.zip" in cells[2]
