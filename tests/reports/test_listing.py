"""The code in a report: side by side, counted, and compared with the checkout."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from samegrad.benchmarks.machine.system import ROOT
from samegrad.benchmarks.records.journal import read as read_journal
from samegrad.reports.data import tables
from samegrad.reports.document import listing

from tests.helpers.journals import plan_record, run_record, write
from tests.reports.test_report import (
    NUMPY,
    several,
)

COMPLETE = {"record": "run_complete"}


def sourced(path: Path, texts: dict[str, str]) -> Path:
    """A journal that holds the sources of its implementations."""
    records: list[dict[str, Any]] = []
    for number, (name, text) in enumerate(texts.items()):
        sha = f"{number:012x}"
        file = f"implementations/mlp_{name}.py"
        records.append({"record": "source", "path": file, "sha256": sha, "text": text})
        records.append(
            {"record": "implementation", "name": name, "device": "cpu", "status": "ok",
             "reason": "", "files": {file: sha}}
        )  # fmt: skip
    planned = [replace(NUMPY, implementation=name) for name in texts]
    outcomes = [o for i, c in enumerate(planned) for o in several(c, 100.0 * (i + 1))]
    return write(path, run_record(), *records, plan_record(*planned), *outcomes, COMPLETE)


def ours(*names: str) -> dict[str, str]:
    """The sources of this checkout."""
    return {n: (ROOT / "implementations" / f"mlp_{n}.py").read_text() for n in names}


def test_idioms_stand_side_by_side_with_their_equations_in_line(tmp_path: Path) -> None:
    """Every line of both functions once and in order; F1 beside F1, B2 beside B2."""
    texts = ours("scalar", "numpy", "torch", "jax")
    journals = [read_journal(sourced(tmp_path / "j", texts))]

    forward, gradient = listing.listings(journals)

    assert ("scalar", "numpy", "torch", "jax") == forward.names == gradient.names
    for place, text in enumerate(texts.values()):
        shown = "\n".join(line.texts[place] for line in forward.lines if line.texts[place])
        signature, body = listing.split(text, "forward")
        assert f"{signature}\n{body}" == shown
    tags = [line.tag for line in forward.lines]
    assert tags.index("F1") < tags.index("F2") < tags.index("F3")
    for tag in ("F1", "F2", "F3"):
        (line,) = [line for line in forward.lines if line.tag == tag]
        assert all(tag in text for text in line.texts), line
    b2 = [line for line in gradient.lines if line.tag == "B2"]
    assert any(line.texts[0] and line.texts[1] and not line.texts[3] for line in b2)


def test_lines_of_code_are_counted_without_comments_and_docstrings() -> None:
    """And a statement on three lines is three."""
    text = '"""Doc."""\n\n# no\nx = 1  # yes\n\n\ndef f(\n    a,\n):\n'
    text += '    """Doc\n    more."""\n    return a\n'

    assert 5 == listing.count(text)
    assert 0 == listing.count("def broken(")


def test_source_of_another_checkout_is_noted(tmp_path: Path) -> None:
    """Changed, missing, or the same."""
    texts = ours("numpy", "jax")
    same = [read_journal(sourced(tmp_path / "a", texts))]
    other = [read_journal(sourced(tmp_path / "b", {**texts, "numpy": "x = 1", "mine": "y = 1"}))]

    assert 1 == len(listing.notes(same))
    said = listing.notes(other)
    assert "This checkout has another implementations/mlp_numpy.py." in said
    assert "This checkout does not have implementations/mlp_mine.py." in said


def test_lines_against_speed(tmp_path: Path) -> None:
    """The fastest has factor 1; the other twice its time."""
    journals = [read_journal(sourced(tmp_path / "j", ours("numpy", "torch")))]
    found = listing.lines_and_speed(tables.all_rows(journals), journals).set_index("implementation")

    assert 1 == pytest.approx(found.factor["numpy"]) and 2 == pytest.approx(found.factor["torch"])
    assert 60 < found.lines["numpy"] < 200
