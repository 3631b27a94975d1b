"""Reports of trainings: of whatever tasks were trained, and whatever pictures a journal holds."""

import json
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib import pyplot as plt

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import schema
from samegrad.benchmarks.records.journal import read
from samegrad.benchmarks.records.pictures import PICTURES
from samegrad.cli import main
from samegrad.reports.charts.pictures import pictures
from samegrad.reports.data.report import report
from samegrad.reports.document.learning import learning
from samegrad.reports.render import render
from tests.helpers.reports import report_of

MEASURED = ROOT / "reports" / "results" / "training" / "journal.jsonl"


def task_of(record: dict[str, Any]) -> str | None:
    """The task that a record is about."""
    workload = record.get("case", {}).get("workload", {}).get("name")
    return record.get("task") or workload or record.get("workload")


@pytest.fixture(scope="module")
def measured() -> list[dict[str, Any]]:
    """The records of a run of every task."""
    return [json.loads(line) for line in MEASURED.read_text().splitlines()]


@pytest.fixture
def journal(tmp_path: Path, measured: list[dict[str, Any]]) -> Any:
    """Writes the journal of a run of some tasks."""

    def write(*tasks: str) -> Path:
        path = tmp_path / "journal.jsonl"
        kept = [record for record in measured if task_of(record) in (None, *tasks)]
        path.write_text("".join(json.dumps(record) + "\n" for record in kept))
        return path

    return write


@pytest.fixture
def drawn() -> Iterator[Any]:
    """Makes the chapter about a journal, and gives the names of its charts."""

    def draw(path: Path) -> set[str]:
        return {one.name for one in learning(report_of(path)).charts}

    yield draw
    plt.close("all")


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("approximation_8", {"function_fits"}),  # of a series: without curves of its own
        pytest.param(
            "perceptron", {"learning_curves", "spread_over_seeds"}, marks=pytest.mark.full
        ),
        pytest.param(
            "overfit", {"learning_curves", "spread_over_seeds", "overfitting"},
            marks=pytest.mark.full,
        ),
        pytest.param(
            "titanic", {"learning_curves", "spread_over_seeds"}, marks=pytest.mark.full
        ),
        pytest.param(
            "digits", {"learning_curves", "spread_over_seeds", "time_to_target"},
            marks=pytest.mark.full,
        ),
    ],
)  # fmt: skip
def test_task_alone_has_a_report(task: str, expected: set[str], journal: Any, drawn: Any) -> None:
    """Of what it has: curves, a target, a picture."""
    assert expected <= drawn(journal(task))


def test_single_point_is_no_curve(journal: Any, drawn: Any) -> None:
    """A speedrun says one loss, at its end."""
    charts = drawn(journal("speedrun_97"))

    assert "learning_curves" not in charts and "spread_over_seeds" in charts


class DrawnError(Exception):
    """The figures were made."""


@pytest.mark.parametrize(
    "words", ["Glyph 1 (\\x01) missing from font(s) X.", "Tight layout not applied."]
)
def test_what_a_figure_lacks_is_no_warning(
    words: str, journal: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letters, or room for long names: warnings are errors here."""

    def warned(*_: object) -> None:
        warnings.warn(words, UserWarning, stacklevel=1)
        raise DrawnError

    monkeypatch.setattr("samegrad.reports.render.document", warned)

    with pytest.raises(DrawnError):
        render([journal("speedrun_97")], tmp_path / "out")


@pytest.mark.full
@pytest.mark.usefixtures("no_figures")
def test_names_for_which_a_figure_has_no_room_are_no_warning(journal: Any, tmp_path: Path) -> None:
    """The same with figures that are made."""
    path = journal("speedrun_97")
    name = '"implementation": "numpy"'
    assert name in path.read_text()
    path.write_text(path.read_text().replace(name, name[:-1] + 250 * "W" + '"'))

    rendered = render([path], tmp_path / "out")

    assert rendered.page.is_file()


def damaged(value: Any) -> list[Any]:
    """What may stand in a journal in the place of an array."""
    others: list[Any] = [[], None, 1, "x", {"a": 1}, [[value]], [value, value]]
    if isinstance(value, list):
        whole = len(value)
        others += [value[1:], value[:1], ["x"] * whole, [None] * whole, [True] * whole]
        others += [[10**400] * whole, [-(10**18)] * whole, [[]] * whole, [*value[:-1], "x"]]
    else:
        others += [0, -1, 10**400]
    return others


def test_pictures_that_were_measured_have_the_form_that_is_checked(
    measured: list[dict[str, Any]],
) -> None:
    """Each of them, and every chart has its form."""
    shown = [record for record in measured if record["record"] == "picture"]

    for record in shown:
        assert record is schema.check(record)
    for task, name in PICTURES:
        assert any(r["name"] == name and r["task"].startswith(task) for r in shown)


@pytest.mark.full  # it draws a hundred figures
def test_picture_of_another_form_is_left_out_and_the_others_are_drawn(
    journal: Any, measured: list[dict[str, Any]]
) -> None:
    """An array that lacks, is a text, is empty, is too long, has rows of several lengths."""
    chance = random.Random(7)
    for record in (r for r in measured if r["record"] == "picture"):
        if not any(map(record["task"].startswith, ("xor", "line", "overfit", "approximation_8"))):
            continue
        path = journal(record["task"])
        lines = path.read_text().splitlines()
        place = next(i for i, line in enumerate(lines) if '"record": "picture"' in line)
        for array, value in record["arrays"].items():
            for wrong in chance.sample(damaged(value), 5):
                arrays = {**record["arrays"], array: wrong}
                lines[place] = json.dumps(record | {"arrays": arrays})
                path.write_text("\n".join(lines) + "\n")
                read_back = read(path)
                if not read_back.warnings:  # it can be drawn, such as negative numbers
                    list(pictures(report([read_back])))
                    plt.close("all")


@pytest.mark.full  # it draws every figure; records are refused by schema, beside it
def test_report_is_made_without_a_picture_of_another_form(
    journal: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which line was left out, and all the rest is in it."""
    path = journal("approximation_8")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for record in lines:
        if record["record"] == "picture":
            record["arrays"] = {}
    path.write_text("".join(json.dumps(record) + "\n" for record in lines))

    assert 0 == main(["render", str(path), "--output", str(tmp_path / "out")])

    said = capsys.readouterr()
    assert "picture: width must be numbers: a single one" in said.err
    assert (tmp_path / "out" / "index.html").is_file()
