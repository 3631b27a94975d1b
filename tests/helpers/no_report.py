"""For runs whose report nobody looks at: a plugin that writes none, which takes half as long."""

from pathlib import Path

import pytest

NO_REPORT = ("-p", "tests.helpers.no_report")  # options of pytest, in the root of the checkout


@pytest.hookimpl(tryfirst=True)
def pytest_samegrad_report(journal: Path, directory: Path) -> list[str]:
    """The last lines that are printed."""
    return [f"journal: {journal}", f"no report in {directory}, as asked"]
