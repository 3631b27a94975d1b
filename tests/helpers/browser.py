"""A page in a real browser: headless Chromium, with a script that uses it as a reader would."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from samegrad.reports.document.page import digest

POLICY = '<meta http-equiv="Content-Security-Policy".*?>'
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# What acts on its reader is written down from the first line of the page on.
PRELUDE = """
  window.acted = [];
  for (const name of ["alert", "confirm", "prompt", "open"])
    window[name] = (text) => { window.acted.push(name + " " + text); };
  document.addEventListener("securitypolicyviolation",
    (event) => window.acted.push("refused " + event.violatedDirective + " " + event.blockedURI));
"""
# What the page offers to download is kept instead of saved: (name, text or number of bytes).
HARNESS = """
(async () => {
  // Time is virtual, and would jump to its end while a file is read or a picture is drawn.
  const ticking = setInterval(() => {}, 1);
  const saved = [];
  let blob = null;
  URL.createObjectURL = (given) => { blob = given; return "blob:test"; };
  HTMLAnchorElement.prototype.click = function () { saved.push([this.download, blob]); };
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const result = {};
  try { await (async () => { %s })(); } catch (error) { result.error = String(error.stack); }
  result.saved = [];
  for (const [name, data] of saved) {
    const bytes = new Uint8Array(await data.arrayBuffer());
    const text = new TextDecoder().decode(bytes.slice(0, 4000));
    result.saved.push([name, data.type, bytes.length, text]);
  }
  clearInterval(ticking);
  const box = document.createElement("pre");
  box.id = "result";
  box.textContent = JSON.stringify(result);
  document.body.append(box);
})();
"""


def chromium() -> str:
    """The browser; the test skips where there is none."""
    browser = next((path for name in NAMES if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return browser


def _run(folder: Path, *options: str) -> str:
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=600000", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


def used(
    page: Path, script: str, folder: Path, policy: bool = True, dark: bool = False, width: int = 0
) -> dict[str, Any]:
    """What a script (the body of an async function) has put into `result`.

    Args:
        policy: whether the page keeps its own, which here allows this script too.
        dark: whether the reader prefers dark pages.
        width: of the window, in pixels; 0: the browser's own.
    """
    text = page.read_text(encoding="utf-8")
    scripts = (PRELUDE, HARNESS % script)
    for place, added in zip(("<title>", "</body>"), scripts, strict=True):
        assert place in text
        text = text.replace(place, f"<script>{added}</script>{place}", 1)  # points have titles, too
    assert 1 == len(re.findall(POLICY, text))
    if policy:
        allowed = " ".join(map(digest, scripts))
        text = text.replace("script-src ", f"script-src {allowed} ", 1)
    else:
        text = re.sub(POLICY, "", text)
    copy = folder / "used.html"
    copy.write_text(text, encoding="utf-8")
    options = ["--blink-settings=preferredColorScheme=0"] if dark else []
    options += [f"--window-size={width},900"] if width else []
    printed = _run(folder, *options, "--dump-dom", copy.as_uri())
    match = re.search(r'<pre id="result">(.*?)</pre>', printed, re.DOTALL)
    assert match is not None, printed[-2000:]
    result: dict[str, Any] = json.loads(unescape(match.group(1)))
    assert "error" not in result, result["error"]
    return result


def picture(page: Path, target: Path, width: int, height: int, *options: str) -> None:
    """A screenshot."""
    size = f"--window-size={width},{height}"
    _run(target.parent, f"--screenshot={target}", size, *options, page.as_uri())


def printed(page: Path, folder: Path) -> list[str]:
    """The text of each sheet of paper; the test skips where nothing reads these."""
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("pdftotext is not installed")
    sheets = folder / "sheets.pdf"
    _run(folder, f"--print-to-pdf={sheets}", page.as_uri())
    done = subprocess.run([reader, str(sheets), "-"], capture_output=True, text=True, check=True)
    return done.stdout.split("\f")[:-1]
