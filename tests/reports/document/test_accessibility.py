"""The page by axe-core's rules: nothing serious or critical, as it opens and with all opened."""

from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.reports.render import render
from tests.helpers import axe
from tests.helpers.browser import chromium
from tests.helpers.reports import laptop

FAULTS = {
    "text-too-pale": ("</h1>", '</h1><p><font color="#bbbbbb">pale words</font></p>'),
    "picture-without-words": ("</h1>", '</h1><img src="data:,x">'),
    "button-without-a-name": ("</main>", "<button></button></main>"),
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three rows with a number."""
    chromium()
    if axe.script() is None:
        pytest.skip("axe-core-python is not installed: tox -e site")
    folder = tmp_path_factory.mktemp("page")
    render([laptop(folder / "j")], folder / "out")
    return folder / "out" / "index.html"


@pytest.mark.full  # where axe-core is there, seconds for each
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("opened", [False, True])
def test_page_has_no_serious_finding(opened: bool, dark: bool, page: Path, tmp_path: Path) -> None:
    """By any rule, contrasts of texts among them."""
    assert [] == axe.serious(page, tmp_path, opened, dark)


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found(fault: str, page: Path, tmp_path: Path) -> None:
    """So that no finding means something."""
    text = page.read_text()
    old, new = FAULTS[fault]
    assert 1 == text.count(old)
    planted = tmp_path / "planted.html"
    planted.write_text(text.replace(old, new))

    assert axe.serious(planted, tmp_path)


@pytest.mark.full
def test_page_of_a_standard_run_has_none(tmp_path: Path) -> None:
    """With every chapter that there is."""
    chromium()
    if axe.script() is None:
        pytest.skip("axe-core-python is not installed: tox -e site")
    render([ROOT / "reports/results/example/journal.jsonl"], tmp_path / "out")

    assert [] == axe.serious(tmp_path / "out" / "index.html", tmp_path)
