"""docs/spiking.md is true."""

import re
import subprocess
import sys

from samegrad.benchmarks.machine.checkout import ROOT

PAGE = ROOT / "docs" / "spiking.md"


def test_example_prints_what_the_page_shows() -> None:
    """Spikes of one second beside the formula's rates."""
    part = PAGE.read_text().split("<!-- rates:begin -->")[1].split("<!-- rates:end -->")[0]
    code, shown = re.findall(r"```\w+\n(.*?)```", part, re.DOTALL)

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert shown == done.stdout
