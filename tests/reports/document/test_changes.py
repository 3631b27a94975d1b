"""What changed since another run stands in the report, before all other chapters."""

from pathlib import Path

import pytest

from samegrad.cli import main
from tests.helpers.journals import plan_record, run_record, write
from tests.helpers.reports import COMPLETE, NUMPY, TORCH, laptop, several


def run(path: Path, code: str, *microseconds: float) -> Path:
    """Of NumPy and torch, by some code, on the same inputs."""
    records = [
        outcome | {"source_sha256": code, "inputs_sha256": "same"}
        for case, us in zip((NUMPY, TORCH), microseconds, strict=True)
        for outcome in several(case, us)
    ]
    return write(path, run_record(run=path.name), plan_record(NUMPY, TORCH), *records, COMPLETE)


@pytest.mark.usefixtures("no_figures")
def test_report_says_what_changed_since_its_base(tmp_path: Path) -> None:
    """NumPy takes twice as long, torch half; other code is no reason not to say so."""
    old, new = (
        run(tmp_path / name, code, numpy, torch)
        for name, code, numpy, torch in (("old", "a", 100, 300), ("new", "b", 200, 150))
    )

    assert 0 == main(["render", str(new), "--base", str(old)])

    text = (tmp_path / "report.md").read_text()
    slower, faster = text.split("### Slower")[1].split("### Faster")
    assert "| SLOWER" in slower and "numpy" in slower and "2.000" in slower
    assert "| FASTER" in faster and "torch" in faster.split("## ")[0]
    assert text.index("## Time per call") < text.index("## What changed") < text.index("## Speed")
    assert "What changed" in (tmp_path / "index.html").read_text()


def test_base_that_is_no_run_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no report is written."""
    journal = laptop(tmp_path / "j")

    assert 2 == main(["render", str(journal), "--base", str(tmp_path / "nowhere")])
    assert 1 == capsys.readouterr().err.count("\n")
    assert not (tmp_path / "report.md").exists()
