"""What is said of versions: slower, faster, or that it cannot be told."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samegrad.reports.charts.versions import over_versions
from samegrad.reports.data import advise_runs, versions
from samegrad.reports.data.report import Report
from tests.helpers.journals import ok, plan_record, run_record, write
from tests.helpers.reports import COMPLETE, JAX, report_of, several, without_number

BUSY = {"record": "state", "when": "during", "seconds": 9.0, "cores": 2, "others": 1.9}


def told(tmp_path: Path, times: dict[str, Sequence[float] | str], *more: dict[str, Any]) -> Report:
    """The report of versions with such microseconds of each process, or a reason."""
    cases = {name: replace(JAX, implementation=name) for name in times}
    records = [
        {"record": "implementation", "name": name, "device": "cpu", "status": "ok", "reason": "",
         "kind": "version", "base": "jax", "facts": {"jax": name, "numpy": "2.9"}}
        for name in times
    ]  # fmt: skip
    for name, own in times.items():
        if isinstance(own, str):
            records.append(without_number(cases[name], "unavailable", own))
        else:
            records += [ok(p, round(1000 * us), cases[name]) for p, us in enumerate(own)]
    path = tmp_path / "j"
    return report_of(write(path, run_record(), plan_record(*cases.values()), *more, *records,
                           COMPLETE))  # fmt: skip


FIVE = (20.0, 20.1, 20.2, 19.9, 19.8)


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (tuple(1.5 * us for us in FIVE), "slower: b 1.5"),
        (tuple(us / 2 for us in FIVE), "faster: b 0.5"),
        (FIVE, "as fast within 5 %: b 1.0"),
        ((15.0, 20.0, 26.0, 24.0, 17.0), "can't tell: b "),
    ],
)
def test_version_is_slower_only_where_the_interval_says_so(
    later: tuple[float, ...], said: str, tmp_path: Path
) -> None:
    """Where intervals overlap nobody knows."""
    (line,) = versions.sentences(versions.table(told(tmp_path, {"a": FIVE, "b": later})))

    assert line.startswith("64-32-10 (batch 32), over a: ") and said in line
    certain = said.startswith(("slower", "faster"))
    assert certain == ("certain steps: a to b" in line) == ("no certain step" not in line)


def test_step_is_named_where_it_was_made(tmp_path: Path) -> None:
    """Between neighbours; what has no number is passed over, with its reason in the table."""
    slow = tuple(1.5 * us for us in FIVE)
    report = told(tmp_path, {"x": "pip: no", "a": FIVE, "b": FIVE, "c": "pip: no", "d": slow,
                             "e": slow})  # fmt: skip

    lines = versions.table(report)
    (line,) = versions.sentences(lines)

    assert (
        "slower: d 1.50, e 1.50; as fast within 5 %: b 1.00; certain steps: b to d 1.50 (" in line
    )
    assert "a to b" not in line and "d to e" not in line
    shown = versions.shown(lines).set_index("version")
    assert "pip: no" == shown.loc["x", "in words"] == shown.loc["c", "in words"]
    assert "slower" == shown.loc["e", "in words"] and "" == shown.loc["a", "in words"]


def test_version_with_variables_is_compared_with_itself_without_them(tmp_path: Path) -> None:
    """It is no step in time, and the next version is not compared with it."""
    slow, half = tuple(4 * us for us in FIVE), tuple(2 * us for us in FIVE)
    report = told(tmp_path, {"jax==1": FIVE, "jax==2 jaxlib==2": slow,
                             "jax==2 jaxlib==2 XLA_FLAGS=--a=b": half, "jax==3": slow})  # fmt: skip

    lines = versions.table(report)
    (line,) = versions.sentences(lines)

    assert ["", "jax==1", "jax==2 jaxlib==2", "jax==2 jaxlib==2"] == [*lines.before]
    assert ["", "jax==1", "jax==1", "jax==1"] == [*lines["first"]]
    assert "over jax==1: slower: 2 4.00, 3 4.00; certain steps: 1 to 2 4.00 (" in line
    assert line.endswith("; times itself with XLA_FLAGS=--a=b: 2 0.500.") and "to 3" not in line


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (["jax==1 X=1", "jax==2"], ["1", "2"]),
        (["jax==1 numpy==1", "jax==1 numpy==2"], ["jax==1 numpy==1", "jax==1 numpy==2"]),
        (["jax", "jax==2"], ["jax", "jax==2"]),
        (["jax==1 on a", "jax==1 on b"], ["jax==1 on a", "jax==1 on b"]),
    ],
)
def test_short_name_is_the_version_where_that_tells_them_apart(
    names: list[str], called: list[str]
) -> None:
    """Else the whole name, without variables."""
    assert called == list(versions.short(names).values())


def test_figure_draws_variables_as_points_beside_the_line(tmp_path: Path) -> None:
    """At the place of their version, with a legend; versions are written level."""
    report = told(tmp_path, {"jax==1": FIVE, "jax==2": FIVE, "jax==2 X=1": FIVE})

    chart = over_versions(report)

    assert chart is not None
    (axes,) = chart.figure.axes
    line, points = axes.get_lines()[0], axes.get_lines()[3]
    assert [0, 1] == [*line.get_xdata()] and [1] == [*points.get_xdata()]
    assert ("-", "None") == (line.get_linestyle(), points.get_linestyle())
    assert ["1", "2"] == [t.get_text() for t in axes.get_xticklabels()]
    legend = axes.get_legend()
    assert legend is not None and ["with X=1"] == [t.get_text() for t in legend.get_texts()]


def test_nothing_is_said_of_a_busy_machine_or_few_processes(tmp_path: Path) -> None:
    """The one compares nothing, the other says why."""
    slow = tuple(1.5 * us for us in FIVE)

    assert [] == [*versions.sentences(versions.table(told(tmp_path, {"a": FIVE, "b": slow}, BUSY)))]
    (line,) = versions.sentences(versions.table(told(tmp_path, {"a": FIVE[:2], "b": slow[:2]})))
    assert "can't tell: b 1.5" in line and line.endswith("too few processes for intervals.")


def test_other_runs_have_no_versions(tmp_path: Path) -> None:
    """Neither sentence nor table."""
    path = write(tmp_path / "j", run_record(), plan_record(JAX), *several(JAX, 20), COMPLETE)

    lines = versions.table(report_of(path))

    assert lines.empty and [] == [*versions.sentences(lines)]
    assert versions.shown(lines).empty


def test_advice_takes_no_version_for_an_implementation(tmp_path: Path) -> None:
    """Nobody chooses one where the question is which implementation; others stay."""
    ordinary = write(tmp_path / "o", run_record(), plan_record(JAX), *several(JAX, 20), COMPLETE)
    (machine,) = advise_runs.machines(report_of(ordinary), ())

    assert [] == [*advise_runs.machines(told(tmp_path, {"jax==1": FIVE, "jax==2": FIVE}), ())]
    assert {"jax"} == set(machine.rows.implementation)
