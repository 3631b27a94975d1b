"""The site of an archive: static pages on which nothing of the archive acts."""

import html
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb", reason="the extra archive is not installed")
pytest.importorskip("pyarrow", reason="the extra archive is not installed")

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records.journal import first
from samegrad.cli import main
from samegrad.reports.archive import adding, site
from samegrad.reports.archive import summary as summaries
from samegrad.reports.archive.pages import (
    CasePage,
    Standing,
    Value,
    in_order_first,
    line,
    standings,
)
from samegrad.reports.document.page import digest
from tests.helpers.archives import journal, records, simulated, write_simulated
from tests.helpers.browser import used
from tests.helpers.hostile import TEXTS
from tests.helpers.journals import CASE

ATOM = "{http://www.w3.org/2005/Atom}"
REAL = [ROOT / "reports" / "results" / name for name in ("differentiation", "peers")]


VALUE = Value("w", "1-1", "train_step", 1, "resident", "float32", "x", "cpu", "all", None, "m",
              1.0, 0.99, 1.01, 0.8, "good", 1.0, 2, 1)  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of twenty simulated machines with two runs each, and two published runs."""
    folder = tmp_path_factory.mktemp("site")
    write_simulated(folder / "runs", machines=20, runs=2, rows=20)
    places = adding.places([folder / "runs", *REAL])
    adding.add(folder / "archive", places)
    assert 0 == main(["site", str(folder / "pages"), "--archive", str(folder / "archive")])
    return folder / "pages"


def test_every_machine_and_case_has_a_page_and_links_lead_somewhere(pages: Path) -> None:
    """And nowhere else."""
    files = sorted(pages.rglob("*.html"))

    real = {first(run / "journal.jsonl")["fingerprint"] for run in REAL}
    assert 20 + len(real) == len(list((pages / "machines").iterdir()))
    index = (pages / "index.html").read_text("utf-8")
    assert re.search(r"<td>[^<]*\b\w+ \d+ of 2\d\b", index) and ">fastest on" in index
    for page in files:
        text = page.read_text("utf-8")
        for link in re.findall(r'href="([^"]*)"', text):
            assert (page.parent / html.unescape(link)).is_file(), (page, link)
        assert not re.search(r"(src|http-equiv=.refresh)", text.partition("<body>")[2])
        assert {"http", "https"}.isdisjoint(re.findall(r"(https?)://", text))


def test_scripts_and_styles_are_those_of_the_policy(pages: Path) -> None:
    """By their hashes; nothing else runs."""
    text = (pages / "index.html").read_text("utf-8")

    assert 1 == text.count("<script>") and 1 == text.count("<style>")
    for tag, name in (("script", "site.js"), ("style", "site.css")):
        own = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert own is not None
        assert (ROOT / "reports" / "archive" / name).read_text("utf-8") == own[1]
        assert f"{tag}-src {digest(own[1])};" in html.unescape(text)
    assert "default-src 'none'" in text


def test_feed_has_runs_with_their_steps(pages: Path) -> None:
    """The newest first, as Atom; what was 20 % slower is named."""
    feed = ET.fromstring((pages / "feed.xml").read_bytes())
    entries = feed.findall(f"{ATOM}entry")

    assert 42 == len(entries)
    ids = [entry.findtext(f"{ATOM}id") for entry in entries]
    assert len(set(ids)) == len(ids)
    told = [entry.findtext(f"{ATOM}summary") or "" for entry in entries]
    slower = [text for text in told if "SLOWER 1." in text]
    assert 15 <= len(slower) <= 20  # of 20 second runs; noise of 2 % hides a step now and then
    for entry in entries:
        link = entry.find(f"{ATOM}link")
        assert link is not None and (pages / link.attrib["href"]).is_file()


def test_tables_are_filtered_and_sorted(pages: Path, tmp_path: Path) -> None:
    """In a browser, by words and by a column; the page breaks no rule of its own."""
    texts = {path: path.read_text() for path in (pages / "cases").iterdir()}
    page = max((p for p in texts if ">numpy" in texts[p]), key=lambda p: texts[p].count("EPYC"))
    script = """
      const table = document.querySelector("table.sortable"), box = document.querySelector(".filter");
      const visible = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
      result.all = visible().length;
      box.value = "epyc 2"; box.dispatchEvent(new Event("input"));
      result.some = visible().length;
      result.fit = visible().every((row) => /EPYC/.test(row.textContent));
      box.value = ""; box.dispatchEvent(new Event("input"));
      const head = [...table.tHead.rows[0].cells].findIndex((c) => c.textContent.startsWith("numpy"));
      const button = table.tHead.rows[0].cells[head].querySelector("button");
      const times = () => visible().map((row) => row.cells[head].dataset.order).filter(Boolean).map(Number);
      button.click(); result.up = times(); button.click(); result.down = times();
      result.acted = window.acted;
      result.wide = document.documentElement.scrollWidth > window.innerWidth;
    """  # noqa: E501 # a script

    seen = used(page, script, tmp_path)

    assert seen["all"] > 15 and 0 < seen["some"] < seen["all"] and seen["fit"]
    assert sorted(seen["up"]) == seen["up"] and sorted(seen["up"], reverse=True) == seen["down"]
    assert [] == seen["acted"] and not seen["wide"]


def test_pages_by_several_processes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by one: of many rows, by as many processes as there are cores."""
    write_simulated(tmp_path / "runs", machines=6, runs=2, rows=4)
    adding.add(tmp_path / "a", adding.places([tmp_path / "runs"]))
    written = []
    for little in (site.LITTLE, 0):
        monkeypatch.setattr(site, "LITTLE", little)
        folder = tmp_path / str(little)
        assert 0 == main(["site", str(folder), "--archive", str(tmp_path / "a")])
        files = [path for path in folder.rglob("*") if path.is_file()]
        written.append({str(path.relative_to(folder)): path.read_bytes() for path in files})

    assert written[0] == written[1] and 9 < len(written[0])


def test_each_machine_compares_for_itself() -> None:
    """Who was measured on the fastest machine alone wins nothing; nor who has no interval."""

    def of(seconds: float, wide: float = 0.01) -> Value:
        return VALUE._replace(
            seconds=seconds,
            seconds_low=None if wide < 0 else seconds * (1 - wide),
            seconds_high=None if wide < 0 else seconds * (1 + wide),
        )

    stand = standings(
        [
            {"jax": of(4.0), "torch": of(4.4, 0.2), "numpy": of(9.0)},
            {"jax": of(1.0), "c": of(0.25), "cupy": of(0.1, -1.0)},
        ]
    )

    counts = {name: one[:3] for name, one in stand.items()}
    assert {"jax": (2, 1, 2), "c": (1, 1, 1), "torch": (1, 1, 1), "numpy": (1, 0, 1),
            "cupy": (1, 0, 0)} == counts  # fmt: skip
    times = [stand[name].times for name in ("jax", "c", "torch", "numpy", "cupy")]
    assert [2.0, 1.0, 1.1, 2.25, 1.0] == pytest.approx(times)


def test_line_of_a_machine_says_how_near_the_limit_it_is(pages: Path) -> None:
    """Nothing where the run has none."""
    said = [line(VALUE._replace(limit_seconds=least))[3] for least in (0.8, None)]

    assert [("1.25", 1.25), ("", "")] == [(cell.text, cell.order) for cell in said]
    fingerprint = first(REAL[1] / "journal.jsonl")["fingerprint"]
    (page,) = (pages / "machines").glob(f"{fingerprint}*.html")
    assert ">times the limit" in page.read_text("utf-8")


def test_index_names_who_has_no_interval_once() -> None:
    """Behind those that are slower, or alone."""
    stand = {
        "jax": Standing(2, 2, 2, 1.0),
        "c": Standing(1, 0, 1, 1.5),
        "cupy": Standing(1, 0, 0, 1),
    }
    page = site._index([CasePage("a", "a.html", stand, 2), CasePage("b", "b.html", {}, 1)], "told")
    (line, empty) = page.tables[0].lines

    assert "jax 2 of 2" == line[1] and "c 1.50; no interval: cupy" == line[3]
    assert "" == empty[3]


def test_versions_stand_in_their_order() -> None:
    """By their numbers, behind the implementations."""
    names = ["jax==0.10.2", "jax==0.4.30", "numpy", "jax==0.4.4"]

    assert ["numpy", "jax==0.4.4", "jax==0.4.30", "jax==0.10.2"] == in_order_first(names)


def test_ranks_have_columns_of_their_own(tmp_path: Path) -> None:
    """A network shared out over two processes is not the same one alone."""
    cases = tuple(replace(CASE, implementation="torch_ddp", ranks=n, threads="1") for n in (1, 2))
    adding.add(tmp_path / "a", [journal(tmp_path / "run", *records(cases=cases))])

    assert 0 == main(["site", str(tmp_path / "s"), "--archive", str(tmp_path / "a")])

    (page,) = (tmp_path / "s" / "cases").iterdir()
    text = page.read_text()
    assert "torch_ddp 1 thread<" in text and "torch_ddp 1 thread 2 ranks<" in text
    assert "102 us" in text and "204 us" in text


def test_a_network_that_is_called_by_its_layers_is_named_once(tmp_path: Path) -> None:
    """As one of `--layers` is."""
    called: Any = CASE.workload  # any kind is a dataclass with a name
    own = replace(CASE, workload=replace(called, name="64-32-10"))
    adding.add(tmp_path / "a", [journal(tmp_path / "run", *records(cases=(CASE, own)))])

    assert 0 == main(["site", str(tmp_path / "s"), "--archive", str(tmp_path / "a")])

    text = (tmp_path / "s" / "index.html").read_text()
    assert ">64-32-10, train_step, batch 32<" in text
    assert ">digits (64-32-10), train_step, batch 32<" in text


def test_hostile_texts_do_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as markup nor as names of files, should they ever get into an archive."""
    monkeypatch.setattr(summaries, "check", lambda _: None)  # which refuses them
    kept = (
        "versions",
        "started",
        "beginnings",
        *summaries.HASHES,
    )  # of which no other text is added
    for number, text in enumerate(TEXTS.values()):
        made = simulated(number, 0, 1, rows=2)
        run = {name: f"{text}{value}{text}" for name, value in made.run.items()
               if isinstance(value, str) and name not in kept}  # fmt: skip
        rows: list[dict[str, Any]] = [
            {**row, "workload": text + row["workload"], "device": text, "implementation": text,
             "layers": text, "case_id": text + row["case_id"]}
            for row in made.rows
        ]  # fmt: skip
        poisoned = replace(made, run={**made.run, **run}, rows=rows)
        folder = tmp_path / "runs" / str(number)
        folder.mkdir(parents=True)
        summaries.write(poisoned, folder / summaries.NAME)
    result = adding.add(tmp_path / "a", adding.places([tmp_path / "runs"]))
    assert {adding.ADDED: len(TEXTS)} == result.counts, result.lines

    assert 0 == main(["site", str(tmp_path / "s"), "--archive", str(tmp_path / "a")])

    ET.fromstring((tmp_path / "s" / "feed.xml").read_bytes())
    for page in (tmp_path / "s").rglob("*"):
        assert page.resolve().is_relative_to(tmp_path / "s")
    for page in (tmp_path / "s").rglob("*.html"):
        text = page.read_text("utf-8").partition("<body>")[2]
        assert "<img" not in text and "<svg" not in text and "<iframe" not in text
        assert 1 == text.count("<script>") and "\x1b" not in text
    names = {page.stem for page in (tmp_path / "s" / "machines").iterdir()}
    assert len(TEXTS) == len(names)
    assert all(re.fullmatch("[0-9a-f]{20}", name) for name in names)


def test_a_folder_with_other_things_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older site is written anew."""
    adding.add(tmp_path / "a", [journal(tmp_path / "run")])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    typed = ["--archive", str(tmp_path / "a")]

    assert 2 == main(["site", str(tmp_path / "mine"), *typed])
    (line,) = capsys.readouterr().err.splitlines()
    assert "neither an empty folder nor an older site" in line and "--archive" in line
    assert ["thesis.tex"] == [path.name for path in (tmp_path / "mine").iterdir()]
    assert 2 == main(["site", str(tmp_path / "mine" / "thesis.tex" / "s"), *typed])
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be made" in line and line.endswith("name another")
    assert 0 == main(["site", str(tmp_path / "s"), *typed])
    assert 0 == main(["site", str(tmp_path / "s"), *typed])


def test_a_site_that_was_interrupted_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a full disk, or Ctrl-C."""
    adding.add(tmp_path / "a", [journal(tmp_path / "run")])
    typed = ["site", str(tmp_path / "s"), "--archive", str(tmp_path / "a")]

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(site, "_machines", full)
        assert 2 == main(typed)
    assert (tmp_path / "s" / site.BEGUN).is_file()
    assert 0 == main(typed)
    assert not (tmp_path / "s" / site.BEGUN).exists() and (tmp_path / "s" / "feed.xml").is_file()


def test_what_was_withdrawn_fits_into_a_phone_with_its_reason(tmp_path: Path) -> None:
    """Which version, too; of a time its interval stands below; one machine is no machines."""
    places = [journal(tmp_path / f"{n}", name=f"r{n}", day=n) for n in (1, 2)]
    adding.add(tmp_path / "a", places)
    typed = ["--archive", str(tmp_path / "a")]
    reason = "a bit of its disk was lost, as " * 8
    assert 0 == main(["archive", "withdraw", "r1", "--reason", reason, *typed])
    content = summaries.content(places[0])

    assert 0 == main(["site", str(tmp_path / "s"), *typed])

    script = """
      document.body.style.width = "390px"; document.body.style.padding = "13px";
      const own = document.querySelector("table.wraps:not(.sortable)");
      if (own) {
        result.texts = [...own.tBodies[0].rows[0].cells].map((cell) => cell.textContent);
        result.over = own.parentElement.scrollWidth - own.parentElement.clientWidth;
      }
      const time = document.querySelector("td[title]");
      if (time) {
        result.title = JSON.stringify(time.title);
        result.below = getComputedStyle(time, "::after").content;
      }
    """
    seen = used(tmp_path / "s" / "machines.html", script, tmp_path, width=500)
    _, why, version = seen["texts"]
    assert reason.strip() == why.strip() and seen["over"] <= 0
    for text in ("r1 of 2026-01-01", content.run_id, content.sha256[:12], f"{content.size:,} b"):
        assert text in version
    (page,) = (path for path in (tmp_path / "s" / "cases").iterdir() if "train" in path.name)
    for width, shown in ((500, True), (1200, False)):
        seen = used(page, script, tmp_path, width=width)
        assert shown == (seen["title"] == seen["below"])
    text = (tmp_path / "s" / "index.html").read_text("utf-8")
    assert "1 run on 1 machine, 3 rows; 1 more was withdrawn" in text


def test_long_last_columns_are_not_cut_in_a_window_of_1200_pixels(
    tmp_path: Path, pages: Path
) -> None:
    """Neither the other implementations of a case, nor the dates of machines."""
    script = """
      const box = document.querySelector(".scroll");
      result.over = box.scrollWidth - box.clientWidth;
    """
    for page in (pages / "index.html", pages / "machines.html"):
        seen = used(page, script, tmp_path, width=1200)
        assert 0 == seen["over"], page


def test_the_newest_value_of_a_machine_is_shown(tmp_path: Path) -> None:
    """Of two runs."""
    places = [journal(tmp_path / f"{n}", name=f"r{n}", day=n, times=n) for n in (1, 2)]
    adding.add(tmp_path / "a", places)

    assert 0 == main(["site", str(tmp_path / "s"), "--archive", str(tmp_path / "a")])

    (page,) = (tmp_path / "s" / "machines").iterdir()
    assert "204 us" in page.read_text() and "102 us" not in page.read_text()
