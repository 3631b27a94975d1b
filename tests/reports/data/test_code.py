"""The code in a report: side by side, counted, and compared with the checkout."""

from pathlib import Path

import pytest

from samegrad.benchmarks.records.journal import read
from samegrad.reports.data import code
from tests.helpers.reports import ours, report_of, sourced


def test_idioms_stand_side_by_side_with_their_equations_in_line(tmp_path: Path) -> None:
    """Every line of both functions once and in order; F1 beside F1, B2 beside B2."""
    texts = ours("scalar", "numpy", "torch", "jax")
    sources = code.sources([read(sourced(tmp_path / "j", texts))])

    forward, gradient = code.listings(sources)

    assert ("scalar", "numpy", "torch", "jax") == forward.names == gradient.names
    for number, text in enumerate(texts.values()):
        shown = "\n".join(texts[number] for _, texts in forward.equations if texts[number])
        functions = [code.split(text, name) for name in ("propagate", "forward")]
        assert "\n".join(f"{head}\n{body}" for head, body in functions if head) == shown
    tags = [tag for tag, _ in forward.equations]
    assert tags.index("F1") < tags.index("F2") < tags.index("F3")
    for tag in ("F1", "F2", "F3"):
        (lines,) = [texts for other, texts in forward.equations if other == tag]
        assert all(tag in text for text in lines if text), lines
        assert lines[0] and lines[1], lines
    b2 = [texts for tag, texts in gradient.equations if tag == "B2"]
    assert any(texts[0] and texts[1] and not texts[3] for texts in b2)


def test_function_in_c_is_shown_by_its_equations() -> None:
    """Its signature, then its lines; one without an end is none."""
    text = (Path(code.ROOT) / "implementations" / "mlp_c.c").read_text()

    head, lines = code.split(text, "forward")
    tags = [tag for tag, _ in code.tagged(text, "backward")]

    assert head.startswith("void samegrad_forward(") and "memcpy(" in lines
    assert ["def", "B1", "B4", "B2, U1, U7", "B3, U1", "B2", "B3", ""] == tags
    assert ("", "") == code.split("void forward(void)\n{\n", "forward")


def test_lines_of_code_are_counted_without_comments_and_docstrings() -> None:
    """And a statement on three lines is three."""
    text = '"""Doc."""\n\n# no\nx = 1  # yes\n\n\ndef f(\n    a,\n):\n'
    text += '    """Doc\n    more."""\n    return a\n'

    in_C = (
        "/* A\n * comment. */\n#include <math.h>\n\nint one(void) /* ONE */\n{\n    return 1;\n}\n"
    )
    assert 5 == code.count(in_C, "one.c")
    assert 5 == code.count(text)
    assert 0 == code.count("def broken(")


def test_source_of_another_checkout_is_noted(tmp_path: Path) -> None:
    """Changed, missing, or the same."""
    texts = ours("numpy", "jax")
    same = read(sourced(tmp_path / "a", texts))
    other = read(sourced(tmp_path / "b", {**texts, "numpy": "x = 1", "mine": "y = 1"}))

    assert [] == code.changes(code.sources([same]))
    assert [
        "This checkout has another implementations/mlp_numpy.py.",
        "This checkout does not have implementations/mlp_mine.py.",
    ] == code.changes(code.sources([other]))


def test_lines_against_speed(tmp_path: Path) -> None:
    """The fastest has factor 1; the other twice its time."""
    report = report_of(sourced(tmp_path / "j", ours("numpy", "torch")))
    table = code.lines_and_speed(report.rows, code.sources(report.journals))
    by_name = table.set_index("implementation")

    assert 1 == pytest.approx(by_name.factor["numpy"])
    assert 2 == pytest.approx(by_name.factor["torch"])
    assert 40 < by_name.lines["numpy"] < 200
