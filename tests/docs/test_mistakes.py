"""The page of common mistakes says what is answered, and the page on checking works as written."""

from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from tests.helpers import mistakes
from tests.helpers.pages import follow

PAGE = mistakes.PAGE.read_text()
CHECK = (ROOT / "docs" / "check-your-gradient.md").read_text()


def test_network_of_the_page_is_right(tmp_path: Path) -> None:
    """Before one line of it is changed."""
    assert mistakes.answer(mistakes.network(PAGE), tmp_path).agrees


@pytest.mark.parametrize(
    ("mistake", "old", "new"),
    [
        pytest.param(*one, id=one[0], marks=[pytest.mark.full] * (i % 4 > 0))
        for i, one in enumerate(mistakes.MISTAKES)
    ],
)
def test_mistake_is_answered_as_the_page_says(
    mistake: str, old: str, new: str, tmp_path: Path
) -> None:
    """DISAGREES, with the words of its row."""
    report = mistakes.answer(mistakes.with_mistake(mistakes.network(PAGE), old, new), tmp_path)
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {mistake} |")]

    assert report.disagrees
    assert row.endswith(f"| {mistakes.said(report)} |")


def test_every_code_of_a_note_is_on_the_page() -> None:
    """With what it says."""
    assert mistakes.notes() in PAGE


def test_checking_any_gradient_works_as_written(tmp_path: Path) -> None:
    """An object, a file, an update, and a test of one's own."""
    done, _ = follow(CHECK, tmp_path)

    assert {"file": 5, "run": 4, "output": 4} == done
