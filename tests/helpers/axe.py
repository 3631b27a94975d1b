"""axe-core's rules on pages in headless Chromium: `python -m tests.helpers.axe FOLDER`.

The script is that of the package axe-core-python, or the file that AXE names; nothing is fetched.
"""

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from samegrad.implementations.contract.texts import say
from tests.helpers.browser import NAMES, used

CHECK = """
  for (const one of document.querySelectorAll("details")) one.open = %s;
  await wait(200);
  const report = await axe.run(document, { resultTypes: ["violations"] });
  result.found = report.violations.filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${one.id}: ${one.help}: ${one.nodes.length} x ${one.nodes[0].target}`);
  result.dark = matchMedia("(prefers-color-scheme: dark)").matches;
  result.rules = axe.getRules().length;
"""


def script() -> str | None:
    """The text of axe-core, or None where it is not installed."""
    spec = importlib.util.find_spec("axe_core_python")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    path = Path(os.environ["AXE"]) if "AXE" in os.environ else folder and folder / "axe.min.js"
    return path.read_text("utf-8") if path else None


def serious(page: Path, folder: Path, opened: bool = True, dark: bool = False) -> list[str]:
    """Serious and critical findings on a page, its chapters opened or not, light or dark."""
    text = script()
    assert text is not None
    result = used(page, f"{text}\n{CHECK % str(opened).lower()}", folder, dark=dark)
    assert dark == result["dark"]
    assert result["rules"] > 50
    found: list[str] = result["found"]
    return found


def main(folder: str) -> int:
    """1 if there is a finding on any of the pages below a folder; without a browser 0, and said."""
    if not any(map(shutil.which, NAMES)):
        say(f"no browser, so that no page is checked: none of {', '.join(NAMES)} is installed")
        return 0
    found, pages = [], sorted(Path(folder).rglob("index.html"))
    for page in pages:
        with tempfile.TemporaryDirectory() as scratch:
            found += [f"{page}: {one}" for one in serious(page, Path(scratch))]
    for line in found:
        say(line, error=True)
    say(f"{len(pages)} pages, {len(found)} serious findings")
    return int(bool(found) or not pages)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
