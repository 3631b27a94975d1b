"""`implementations/README.md`, followed literally: its files, its commands, its output."""

import re
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from tests.helpers.pages import follow

PAGE = (ROOT / "implementations" / "README.md").read_text()


@pytest.mark.full  # half a minute
def test_page_is_true(tmp_path: Path) -> None:
    """Files are written, changed and run in the order of the page."""
    pytest.importorskip("jax", reason="jax is not installed")

    done, printed = follow(PAGE, tmp_path)

    assert {"file": 3, "run": 4, "output": 2, "change": 1} == done
    assert "1 passed" in printed or "2 passed" in printed


def test_ten_lines_are_ten_lines() -> None:
    """Docstring aside."""
    code = PAGE.split("<!-- file: jax_forward.py -->\n```python\n")[1].split("```")[0]

    assert 10 == len([line for line in code.splitlines() if line and not line.startswith('"""')])


def test_table_names_every_implementation() -> None:
    """In the order of the registry."""
    from samegrad.implementations.contract.registry import names

    table = PAGE.partition("## What is there")[2]
    assert list(names("all")) == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
