"""The page in a real browser: it sorts, filters, opens samples, downloads, and asks for nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.reports.data.matrix import times_text
from samegrad.reports.data.values import duration
from samegrad.reports.render import render
from tests.helpers.browser import chromium, printed, used
from tests.helpers.journals import plan_record, run_record, write
from tests.helpers.reports import F64, NUMPY, TORCH, laptop, several, unusable

COLUMN = """
  document.querySelector("#speed").open = true; await wait(100);
  const table = document.querySelector("#table-every-row-with-a-number");
  const titles = [...table.querySelectorAll("thead th")].map((th) => th.textContent);
  const column = (name) => [...table.tBodies[0].rows].filter((row) => row.cells.length > 2)
    .filter((row) => getComputedStyle(row).display !== "none")
    .map((row) => row.cells[titles.indexOf(name)].textContent);
  const header = (name) => table.querySelectorAll("thead th")[titles.indexOf(name)];
  const press = async (name) => { header(name).querySelector("button").click(); await wait(50); };
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three rows with a number."""
    chromium()
    folder = tmp_path_factory.mktemp("page")
    render([laptop(folder / "j")], folder / "out")
    return folder / "out" / "index.html"


def test_table_sorts_by_value_and_not_by_letters(page: Path, tmp_path: Path) -> None:
    """97.0 us before 5.94 ms, once up and once down."""
    result = used(
        page,
        COLUMN
        + 'await press("time per call"); result.up = column("time per call");'
        + 'await press("time per call"); result.down = column("time per call");',
        tmp_path,
    )

    assert ["102 us", "306 us", "6.12 ms"] == result["up"]
    assert result["up"][::-1] == result["down"]


@pytest.mark.usefixtures("no_figures")
def test_filter_is_offered_and_heard(tmp_path: Path) -> None:
    """By a field above every table of more than 5 rows."""
    chromium()
    cases = [replace(NUMPY, workload=replace(F64, batch_size=2**i)) for i in range(8)]
    outcomes = [o for i, case in enumerate(cases) for o in several(case, 10.0 * (i + 1))]
    journal = write(tmp_path / "j", run_record(), plan_record(*cases), *outcomes)
    render([journal], tmp_path / "out")

    result = used(
        tmp_path / "out" / "index.html",
        COLUMN
        + """
        const tools = table.parentElement.previousElementSibling;
        const input = tools.querySelector("input.filter");
        for (const words of ["numpy 128", "torch", ""]) {
          input.value = words; input.dispatchEvent(new Event("input")); await wait(50);
          result[words] = column("batch");
        }
        input.value = "128"; input.dispatchEvent(new Event("input")); await wait(50);
        result.batches = column("batch");
        tools.querySelector("button").click(); await wait(50);
        """,
        tmp_path,
    )

    assert (["128"], [], 8) == (result["numpy 128"], result["torch"], len(result[""]))
    assert "128" in result["batches"] and len(result["batches"]) < 8
    ((name, kind, _, text),) = result["saved"]
    assert ("every-row-with-a-number.csv", "text/csv") == (name, kind)
    assert len(result["batches"]) + 1 == len(text.strip().splitlines())  # what is shown


def test_row_opens_its_samples(page: Path, tmp_path: Path) -> None:
    """A dot per block and a stroke per process; a second press closes it."""
    script = (
        COLUMN
        + """
      const row = table.tBodies[0].rows[0];
      row.cells[1].click(); await wait(300);
      result.dots = document.querySelectorAll("svg.samples circle").length;
      result.strokes = document.querySelectorAll("svg.samples line.value").length;
      result.words = document.querySelector("svg.samples").parentNode.textContent;
      row.cells[1].click(); await wait(300);
      result.expanded = row.querySelector("button").getAttribute("aria-expanded");
      result.closed = document.querySelectorAll("svg.samples").length;
    """
    )
    result = used(page, script, tmp_path)

    assert (15, 5, 0) == (result["dots"], result["strokes"], result["closed"])
    assert "15 blocks in 5 processes" in result["words"]


def test_figures_and_their_data_can_be_downloaded(page: Path, tmp_path: Path) -> None:
    """PNG, SVG and CSV of every figure; the CSV holds what is drawn."""
    script = """
      for (const figure of document.querySelectorAll("figure[id]"))
        for (const button of figure.querySelectorAll(".tools button")) {
          const before = saved.length;
          button.click();
          while (saved.length === before) await wait(20);
        }
      result.figures = [...document.querySelectorAll("figure[id]")].map((f) => f.id);
    """
    result = used(page, script, tmp_path)

    saved = {name: (kind, size, text) for name, kind, size, text in result["saved"]}
    assert {f"{f}.{kind}" for f in result["figures"] for kind in ("png", "svg", "csv")} == set(
        saved
    )
    for name, (kind, size, text) in saved.items():
        if name.endswith("png"):
            assert "image/png" == kind and size > 5000 and "PNG" in text[:8]
        elif name.endswith("svg"):
            assert "image/svg+xml" == kind and text.startswith("<svg") and "var(" not in text
    lines = saved["time_per_step.csv"][2].splitlines()
    assert "panel,series,x,y,low,high" == lines[0]
    assert any("numpy cpu" in line and "0.000101" in line for line in lines), lines


def test_page_asks_for_nothing_and_has_no_error(page: Path, tmp_path: Path) -> None:
    """Its own policy forbids every request; nothing that it does runs into it."""
    script = """
      result.requests = performance.getEntriesByType("resource").map((e) => e.name)
        .filter((name) => !name.startsWith("data:"));
      let refused = 0;
      document.addEventListener("securitypolicyviolation", () => { refused += 1; });
      await fetch("http://127.0.0.1:9/").catch(() => 0);
      await wait(100);
      result.refused = refused;
      result.styles = document.querySelectorAll("[style]").length;
      for (const one of document.querySelectorAll("details")) one.open = true;
      await wait(200);
      result.tables = [...document.querySelectorAll("table[id^=table-]")]
        .every((t) => t.dataset.ready);
    """
    result: dict[str, Any] = used(page, script, tmp_path)

    assert [] == result["requests"]
    assert 1 == result["refused"]
    assert result["tables"] and 0 == result["styles"]


def test_page_fits_a_phone(page: Path, tmp_path: Path) -> None:
    """Nothing but the tables' own boxes is wider than the screen."""
    script = """
      const frame = document.createElement("iframe");
      result.width = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    """
    result = used(page, script, tmp_path)

    assert result["width"] <= 0


def test_print_has_every_chapter_and_no_empty_sheet(page: Path, tmp_path: Path) -> None:
    """What is folded on the screen is on paper, and what is to be pressed is not."""
    sheets = printed(page, tmp_path)

    assert [] == [sheet for sheet in sheets if len(sheet.split()) < 5]
    whole = "".join(sheets)
    assert "@misc{samegrad" in whole  # below "Cite this", which opens folded
    assert "Skip to" not in whole


def test_page_of_five_machines_stays_legible(tmp_path: Path) -> None:
    """On a phone, too: nothing is wider than it, and each machine's rows say whose they are."""
    chromium()
    journals = []
    for number in range(5):
        machine = run_record()["machine"] | {"cpu": f"Processor of kind {number}"}
        run = run_record(machine=machine, fingerprint=f"beef{number}", run=f"r{number}")
        cases = (NUMPY, TORCH)
        records = [o for case in cases for o in several(case, 100.0 + number)]
        journals.append(write(tmp_path / f"j{number}", run, plan_record(*cases), *records))
    render(journals, tmp_path / "out")

    script = """
      result.wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
      result.groups = [...document.querySelectorAll("#matrix .group")].map((g) => g.textContent);
    """
    result = used(tmp_path / "out" / "index.html", script, tmp_path, width=390)

    assert result["wider"] <= 0
    named = [f"Processor of kind {number}" in group for number in range(5)
             for group in result["groups"]]  # fmt: skip
    assert 5 == len(result["groups"]) == sum(named)


def test_intervals_are_seen_where_nothing_points(page: Path, tmp_path: Path) -> None:
    """On a phone each stands below its time; beside a mouse, what points shows it."""
    script = """
      const cell = document.querySelector("#matrix td[data-interval]");
      const below = (rule) => [...document.styleSheets[0].cssRules]
        .filter((one) => one.media && one.media.mediaText.includes(rule))
        .flatMap((one) => [...one.cssRules]).map((one) => one.selectorText);
      result.interval = cell.dataset.interval;
      result.title = cell.title;
      result.seen = ["print", "hover: none", "max-width: 40rem"]
        .map((rule) => below(rule).includes(".matrix td[data-interval]::after"));
      result.phone = matchMedia("(max-width: 40rem)").matches;
      result.shown = getComputedStyle(cell, "::after").content;
      result.told = getComputedStyle(document.querySelector(".pointed")).display;
    """
    result = used(page, script, tmp_path, width=400)

    assert result["phone"] and result["interval"] in result["title"]
    assert [True] * 3 == result["seen"]
    assert (f'"{result["interval"]}"', "none") == (result["shown"], result["told"])


@pytest.mark.usefixtures("no_figures")
def test_page_without_a_number_asks_for_no_reference(tmp_path: Path) -> None:
    """There is nothing to divide by, and the choice was empty."""
    journal = write(tmp_path / "j", run_record(), plan_record(NUMPY), *unusable(NUMPY, 100))

    render([journal], tmp_path / "out")

    text = (tmp_path / "out" / "index.html").read_text()
    assert "unusable" in text and '<select id="reference"' not in text
    assert "how many times those of" not in text


STOPS = """
  result.stops = [...document.querySelectorAll("a, button, input, select, summary, [tabindex]")]
    .filter((one) => one.tabIndex >= 0 && one.checkVisibility()).length;
  result.landmarks = ["header", "main", "footer", "h1", "a.skip"]
    .filter((what) => document.querySelectorAll(what).length !== 1);
  result.ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  result.bare = [...document.querySelectorAll("button, input, select")].filter((one) =>
    !(one.textContent || one.getAttribute("aria-label") || one.closest("label"))).length;
"""


def test_page_is_walked_through_by_keyboard_and_landmarks(page: Path, tmp_path: Path) -> None:
    """Few stops as it opens; every control has a name, every id is one element's."""
    result = used(page, STOPS, tmp_path)

    assert result["stops"] <= 60
    assert ([], 0) == (result["landmarks"], result["bare"])
    assert len(result["ids"]) == len(set(result["ids"]))


def test_page_and_terminal_write_the_same_numbers(page: Path, tmp_path: Path) -> None:
    """Halves, what rounds up to a power of ten, and what is a half only after it was rounded."""
    numbers = [0.0125, 0.125, 0.995, 0.9951, 1.25, 2.5, 9.949, 9.95, 9.996, 12.5, 74.46, 74.5]
    numbers += [99.49, 99.5, 99.97, 100.5, 999.5, 1234.5, 15228.0, 1 / 3, 6e-5]
    result = used(
        page,
        f"const numbers = {numbers};"
        "result.times = numbers.map(times); result.durations = numbers.map(duration);"
        "result.small = numbers.map((number) => duration(number / 1e6));",
        tmp_path,
    )

    assert list(map(times_text, numbers)) == result["times"]
    assert list(map(duration, numbers)) == result["durations"]
    assert [duration(number / 1e6) for number in numbers] == result["small"]
    assert {"74", "75", "13", "1,230"} <= set(result["times"])


def test_switches_and_reference_change_what_is_shown_and_the_link(
    page: Path, tmp_path: Path
) -> None:
    """torch goes from matrix and figures; ratios are those to scalar; the address keeps both."""
    script = """
      const seen = (name) => [...document.querySelectorAll(`:is(svg, table) .${name}`)]
        .filter((one) => !one.closest("#switches") && getComputedStyle(one).display !== "none");
      const input = document.querySelector('#switches input[value="torch"]');
      const name = input.parentElement.classList[0];
      result.before = seen(name).length;
      input.click(); await wait(50);
      result.after = seen(name).length;
      const select = document.querySelector("#reference");
      const ratios = () =>
        [...document.querySelectorAll("#matrix .ratio")].map((one) => one.textContent);
      result.first = ratios();
      select.value = "scalar"; select.dispatchEvent(new Event("change")); await wait(50);
      result.ratios = ratios();
      result.hash = location.hash;
      location.hash = "#speed;reference=torch"; await wait(100);
      result.open = document.querySelector("#speed").open;
      result.again = [seen(name).length, select.value];
      document.querySelector("#agreement").open = true; await wait(100);
      result.chapters = location.hash;
      document.querySelector("#agreement").open = false; await wait(100);
      location.hash = "#;open=agreement"; await wait(100);
      result.opened = document.querySelector("#agreement").open;
      location.hash = "#;reference=nobody"; await wait(100);
      result.unknown = [ratios(), select.value];
    """
    result = used(page, script, tmp_path)

    assert result["before"] > 5 and 0 == result["after"]
    assert ["60", "1.0", "3.0"] == result["first"]
    assert ["1.0", "0.017", "0.050"] == result["ratios"]
    assert "#;reference=scalar;off=torch" == result["hash"]
    assert result["open"] and [result["before"], "torch"] == result["again"]
    assert "#speed;reference=torch;open=agreement" == result["chapters"] and result["opened"]
    assert [result["first"], "numpy"] == result["unknown"]  # of a link to another run's page


def test_links_lead_into_the_page_in_a_notebook_too(page: Path, tmp_path: Path) -> None:
    """There its address is the notebook's, and a link would show the notebook within itself."""
    script = """
      const before = location.href.split("#")[0];
      const press = (event, where) => document.querySelector(`a[href="#${where}"]`)
        .dispatchEvent(event);
      press(new MouseEvent("click", { bubbles: true, cancelable: true }), "cite-this");
      await wait(100);
      result.open = document.querySelector("#cite-this").open;
      result.stays = location.href.split("#")[0] === before;
      result.focus = document.activeElement.id;
      const event = new MouseEvent("click", { bubbles: true, cancelable: true });
      press(event, "answers");
      result.ours = event.defaultPrevented;
    """
    result = used(page, script, tmp_path)

    assert result["open"] and result["stays"] and result["ours"]
    assert "cite-this" == result["focus"]


def test_points_say_their_values(page: Path, tmp_path: Path) -> None:
    """Name, time, case and interval."""
    script = """
      result.said = [...document.querySelectorAll("#time_per_step use title")]
        .map((one) => one.textContent);
    """
    result = used(page, script, tmp_path)

    assert (
        "numpy cpu (float64): 102 us (100 us to 104 us), digits  64-32-10  batch 32"
        in (result["said"])
    )


@pytest.mark.full  # half a minute
def test_page_of_a_standard_run_is_small_and_soon_there(tmp_path: Path) -> None:
    """Under 1.2 MB, painted within a second, few stops."""
    chromium()
    render([ROOT / "reports/results/example/journal.jsonl"], tmp_path / "out")
    made = tmp_path / "out" / "index.html"
    paint = """
      result.paint = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0;
    """
    result = used(made, STOPS + paint, tmp_path)

    assert made.stat().st_size < 1_200_000
    assert result["paint"] < 1000 and result["stops"] <= 60
    assert len(result["ids"]) == len(set(result["ids"]))
