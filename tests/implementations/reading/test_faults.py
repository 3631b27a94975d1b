"""Faults planted in files of people: every one is a disagreement."""

from pathlib import Path

import pytest

from samegrad.implementations.reading.files import verify_file
from tests.helpers.planted_files import FAULTS

FILES = Path(__file__).parent / "files"
OFTEN = 4  # of them in every run of the suite


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=() if n % OFTEN == 0 else pytest.mark.full, id=f"{n} {fault[0]}")
        for n, fault in enumerate(FAULTS)
    ],
)
def test_planted_fault_disagrees(fault: tuple[str, str, str], tmp_path: Path) -> None:
    """And the report says of which parameter."""
    name, old, new = fault
    text = (FILES / name).read_text()
    assert old in text
    file = tmp_path / name
    file.write_text(text.replace(old, new, 1))

    report = verify_file(str(file))

    assert "disagrees" == report.verdict, report
    assert report.reason
