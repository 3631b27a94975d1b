"""Whatever a journal's texts are, they are shown: no script, no request, no path, no escape."""

import csv
import io
import os
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records.journal import read
from samegrad.cli import main
from samegrad.implementations.contract.texts import ACTING, clean
from samegrad.reports.data.files import FORMULA
from samegrad.reports.data.report import report
from samegrad.reports.render import render
from tests.helpers.browser import chromium, used
from tests.helpers.hostile import RUNS, TEXTS, journal
from tests.helpers.reports import laptop

# What a report consists of; nothing else is written.
FILES = {"index.html", "report.md", "results.csv", "summary.json"}
# Sort by every column, filter, open every row, press every button.
USE = """
  for (const one of document.querySelectorAll("details")) one.open = true;
  await wait(100);
  for (const one of document.querySelectorAll("thead th button")) one.click();
  for (const input of document.querySelectorAll("input.filter")) {
    input.value = "<img"; input.dispatchEvent(new Event("input")); await wait(20);
    input.value = ""; input.dispatchEvent(new Event("input")); await wait(20);
  }
  for (const row of [...document.querySelectorAll("tr[data-samples]")].slice(0, 5))
    row.cells[1].click();
  for (const one of document.querySelectorAll("#switches input")) { one.click(); one.click(); }
  for (const button of document.querySelectorAll("button")) button.click();
  for (const one of document.querySelectorAll("*"))
    one.dispatchEvent(new MouseEvent("mouseover", {bubbles: false}));
  await wait(500);
  result.title = document.title;
  result.acted = window.acted;
  result.requests = performance.getEntriesByType("resource").map((e) => e.name)
    .filter((name) => !name.startsWith("data:"));
  const all = (what) => [...document.querySelectorAll(what)];
  result.tables = all("table[id^=table-]").every((table) => table.dataset.ready);
  saved.length = 0; // nobody reads them, and the browser's own clock does not wait for them
  result.strange = all("body :is(iframe, link, object, embed, base, form)").length;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it has been asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", asked
        listening.shutdown()


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(True, id="names too"),
        pytest.param(False, id="names as they are", marks=pytest.mark.full),
    ],
)
def test_page_shows_hostile_texts_and_runs_none(
    names: bool, server: tuple[str, list[str]], tmp_path: Path
) -> None:
    """In a browser, with every control used: by quoting alone, and the policy has no work."""
    chromium()
    address, asked = server
    text = TEXTS["markup"].replace("ADDRESS", address)
    render([journal(tmp_path / "j", text, names)], tmp_path / "out")

    for policy in (True, False):
        result = used(tmp_path / "out" / "index.html", USE, tmp_path, policy)

        assert result["title"].startswith("samegrad: ")
        assert ([], [], 0) == (result["acted"], result["requests"], result["strange"])
        assert result["tables"] and [] == asked


@pytest.mark.usefixtures("no_figures")
def test_policy_refuses_what_quoting_would_let_through(
    server: tuple[str, list[str]], tmp_path: Path
) -> None:
    """Scripts, handlers, links, styles, pictures and a base that stand in the page itself."""
    chromium()
    address, asked = server
    render([laptop(tmp_path / "j")], tmp_path / "out")
    page = tmp_path / "out" / "index.html"
    planted = (
        f'<script>{RUNS}</script><img src={address}/i onerror="{RUNS}"><base href={address}>'
        f"<link rel=stylesheet href={address}/c><script src={address}/s></script>"
        f'<a id=bad href="javascript:{RUNS}">a</a><p style="color: red"></p>'
    )
    page.write_text(page.read_text().replace("<h1>", f"{planted}<h1>"))
    press = "const bad = document.querySelector('#bad'); "
    press += "bad.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));"

    result = used(page, press + USE, tmp_path)

    assert result["title"].startswith("samegrad: ")
    assert [] == asked and result["tables"]
    assert 6 <= len(result["acted"]) and all(a.startswith("refused ") for a in result["acted"])


@pytest.mark.usefixtures("no_figures")
def test_page_has_no_attribute_that_its_script_takes_for_markup(tmp_path: Path) -> None:
    """What is in data-* are numbers to sort and to divide by, places, and texts for the style."""
    render([journal(tmp_path / "j", TEXTS["markup"])], tmp_path / "out")
    html = (tmp_path / "out" / "index.html").read_text()

    assert "unsafe" not in re.findall("<meta http-equiv.*?>", html)[0]
    assert {"data-seconds", "data-samples", "data-order", "data-name"} >= set(
        re.findall(r"<\w[^<>]* (data-[\w-]+)=", html.partition("<script>")[0])
    )
    for value in re.findall(r' data-order="(.*?)"', html):
        assert value == "" or float(value) is not None


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("all", True),
        pytest.param("all", False, marks=pytest.mark.full),
        pytest.param("carriage return", True, marks=pytest.mark.full),
        pytest.param("spaces", True, marks=pytest.mark.full),
    ],
)
def test_no_text_acts_in_any_form_of_a_report(
    kind: str, names: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Page, Markdown, tables, figures and terminal have no character that acts; no other file."""
    run = journal(tmp_path / "run" / "journal.jsonl", TEXTS[kind], names).parent

    assert 0 == main(["render", str(run)])

    printed = capfd.readouterr()
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    texts = {path: path.read_text("utf-8") for path in files if path.suffix not in (".png", "")}
    for where, text in {"out": printed.out, "err": printed.err, **texts}.items():
        if str(where).endswith("jsonl"):
            continue
        if str(where).endswith("index.html"):  # the library has a thin space of its own
            text = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
        assert not ACTING.search(text), (where, ACTING.search(text))
    for path, text in texts.items():
        if path.suffix == ".csv":
            for line in csv.reader(io.StringIO(text, newline=""), strict=True):
                assert not any(map(formula, line)), (path, line)
        if path.suffix == ".svg":
            tags = {tag.tag.rpartition("}")[2] for tag in ElementTree.fromstring(text).iter()}
            assert not tags & {"script", "a", "foreignObject", "image"} - {"image"}
    written = {path.relative_to(run).as_posix() for path in files} - {"journal.jsonl"}
    assert FILES <= written
    assert all(re.fullmatch(r"figures/[a-z_]+\.(png|svg|csv)", p) for p in written - FILES)


def formula(cell: str) -> bool:
    """Whether a spreadsheet would compute a cell, which is no number."""
    return bool(FORMULA.match(cell)) and not re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", cell)


@pytest.mark.parametrize("kind", TEXTS)
def test_other_commands_show_hostile_texts_as_escapes(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Lists, comparisons, advice, and errors that name what was given."""
    run = journal(tmp_path / "runs" / "r" / "journal.jsonl", TEXTS[kind]).parent
    broken = tmp_path / "runs" / "b"
    broken.mkdir()
    (broken / "journal.jsonl").write_text(
        (run / "journal.jsonl").read_text() + '{"record": "\\u001b[2J\\udce9"}\n'
    )
    arguments = TEXTS[kind].replace("\0", "")
    for command in (
        ["runs", "list", "--runs", str(run.parent)],
        ["compare", str(run), str(broken)],
        ["compare", str(run), str(run), "--markdown", "--across", "machine,code,inputs"],
        ["advise", "--layers", "784-10", "--runs", str(run.parent)],
        ["render", str(tmp_path / arguments)],
        ["verify", f"{arguments}.py"],
        [arguments],
    ):
        assert main(command) in (0, 1, 2), command

        printed = capfd.readouterr()
        for text in (printed.out, printed.err):
            assert not ACTING.search(text), (command, text)


def test_terminal_of_few_letters_shows_the_others_as_escapes(tmp_path: Path) -> None:
    """In a locale of ASCII; names of files in another encoding, too."""
    name = os.fsdecode(b"caf\xe9")
    run = journal(tmp_path / "runs" / name / "journal.jsonl", "caf\xe9 \u540d \udce9").parent
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ascii_only["PYTHONIOENCODING"] = ""  # tox sets it
    where = str(run)
    for arguments in (["runs", "list", "--runs", str(run.parent)], ["compare", where, f"{where}x"]):
        done = subprocess.run(
            [sys.executable, "-m", "samegrad", *arguments], capture_output=True, check=False,
            env=os.environ | ascii_only | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path,
        )  # fmt: skip

        assert done.returncode in (0, 2) and b"Traceback" not in done.stderr, done.stderr
        printed = (done.stdout + done.stderr).decode("ascii")
        assert "caf\\udce9" in printed


def test_frame_holds_clean_texts(tmp_path: Path) -> None:
    """So that pandas and pyarrow, which cannot hold half of a letter, take them."""
    made = report([read(journal(tmp_path / "j", TEXTS["surrogates"]))])

    for column in made.rows:
        for value in made.rows[column]:
            assert not isinstance(value, str) or value == clean(value)
