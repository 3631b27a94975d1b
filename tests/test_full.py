"""Which tests run by default."""

import re

from samegrad.benchmarks.machine.checkout import ROOT
from tests.conftest import EVERY


def test_each_test_that_runs_in_part_is_there() -> None:
    """Under its name: else all of its parameters would run, or a name would stand for nothing."""
    names = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        names |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))

    assert set() == set(EVERY) - names
    assert 2 <= min(EVERY.values())
