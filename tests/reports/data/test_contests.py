"""Each idiom at its best: which rows stand against which, and what is made of their ratios."""

from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks import plugin
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.presets import PRESETS
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock.intervals import paired, ratio
from samegrad.benchmarks.runs.options import parse
from samegrad.implementations.contract.registry import names
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.charts import speed as charts
from samegrad.reports.data import analysis, code
from samegrad.reports.data import report as reports
from samegrad.reports.data.report import Report
from samegrad.reports.document import speed
from samegrad.reports.render import render
from tests.helpers.journals import ok, plan_record, run_record, write
from tests.helpers.reports import report_of

PROBLEM = MLPWorkload("mnist", MLPSpec((784, 128, 10)), 32, 512)
KINDS = {
    "numpy": ("idiom", None),
    "numpy_inplace": ("variant", "numpy"),
    "sklearn": ("peer", "numpy"),
    "jax": ("idiom", None),
    "flax": ("peer", "jax"),
}
NETWORK = "def forward(spec, params, X):\n    return X\n"
WAVE = (1.00, 1.03, 0.98, 1.01, 0.99)  # of five processes


def records(kinds: bool = True) -> list[dict[str, Any]]:
    """What the journal says of implementations: kind, idiom and source of each."""
    made: list[dict[str, Any]] = []
    for place, (name, (kind, base)) in enumerate(KINDS.items()):
        sha, path = f"{place:012d}", f"implementations/mlp_{name}.py"
        text = NETWORK + "x = 1\n" * place
        made.append({"record": "source", "path": path, "sha256": sha, "text": text})
        family = {"kind": kind, **({"base": base} if base else {})} if kinds else {}
        made.append(
            {"record": "implementation", "name": name, "device": "cpu", "status": "ok"}
            | {"reason": "", "facts": {}, "files": {path: sha}, **family}
        )
    return made


SQUARE = MLPWorkload("square", MLPSpec((2048, 2048)), 2048, 2048)


def measured(
    tmp_path: Path,
    kinds: bool = True,
    noise: tuple[float, ...] = WAVE,
    **squares: tuple[float, tuple[float, ...]],
) -> Report:
    """Five processes; NumPy in place takes 1.1 of its products, whatever a process is like."""
    microseconds = {
        ("numpy", "train_step"): 150,
        ("numpy", "products"): 110,
        ("numpy_inplace", "train_step"): 110,
        ("numpy_inplace", "products"): 100,
        ("sklearn", "train_step"): 440,
        ("jax", "train_step"): 200,
        ("jax", "products"): 160,
        ("flax", "train_step"): 210,
    }
    cases = {key: Case(PROBLEM, key[1], key[0]) for key in microseconds}
    alone = {name: Case(SQUARE, "products", name) for name in squares}
    outcomes = [
        ok(process, round(1000 * microseconds[key] * factor), case)
        for key, case in cases.items()
        for process, factor in enumerate(noise)
    ] + [
        ok(process, round(1e6 * squares[name][0] * factor), case)
        for name, case in alone.items()
        for process, factor in enumerate(squares[name][1])
    ]
    path = write(
        tmp_path / "journal.jsonl",
        run_record(),
        *records(kinds),
        plan_record(*cases.values(), *alone.values()),
        *outcomes,
        {"record": "run_complete"},
    )
    return report_of(path)


def contests(report: Report) -> dict[tuple[str, str], Any]:
    """(idiom, peer) -> line."""
    table = analysis.contests(report.rows, report.families)
    return {(row.idiom, row.peer): row for row in table.itertuples()}


def test_idiom_stands_with_its_best_form_against_floor_and_peer(tmp_path: Path) -> None:
    """The fastest of idiom and variants, over its own products; the peer over it."""
    by_peer = contests(measured(tmp_path))

    assert {("numpy", "sklearn"), ("jax", "flax")} == set(by_peer)
    numpy = by_peer["numpy", "sklearn"]
    assert "numpy_inplace" == numpy.best
    assert numpy.over_products == pytest.approx(1.1, rel=1e-3)
    assert numpy.over_best == pytest.approx(4.0, rel=1e-3)
    assert numpy.over_floor == pytest.approx(4.4, rel=1e-3)  # no way of writing it can be beyond
    assert numpy.over_idiom == pytest.approx(440 / 150, rel=1e-3)
    jax = by_peer["jax", "flax"]
    assert ("jax", pytest.approx(1.25, rel=1e-3)) == (jax.best, jax.over_products)


def test_what_a_process_has_of_its_own_cancels_over_the_products(tmp_path: Path) -> None:
    """Processes that differ by 40 % leave the ratio within one process as it is."""
    noisy = (1.0, 1.4, 0.8, 1.2, 0.9)
    line = contests(measured(tmp_path, noise=noisy))["numpy", "sklearn"]

    assert line.over_products_high / line.over_products_low < 1.001
    assert line.over_best_high / line.over_best_low > 1.5  # of different processes: in doubt


def test_rate_is_a_share_of_the_best_square_products_rate(tmp_path: Path) -> None:
    """Of whichever library is best at them; in the same process where it is the row's own."""
    noisy = (1.0, 1.4, 0.8, 1.2, 0.9)
    step = Case(PROBLEM, "train_step", "numpy_inplace").flops / 110e-6
    square = Case(SQUARE, "products", "numpy").flops / 0.2

    own = contests(measured(tmp_path, noise=noisy, numpy_inplace=(200, noisy), jax=(300, noisy)))
    other = contests(measured(tmp_path, noise=noisy, numpy_inplace=(300, noisy), jax=(200, noisy)))

    mine, others = own["numpy", "sklearn"], other["numpy", "sklearn"]
    assert mine.of_square == others.of_square == pytest.approx(step / square, rel=1e-3)
    assert mine.of_square_high / mine.of_square_low < 1.001
    assert others.of_square_high / others.of_square_low > 1.5


def test_paired_ratio_is_that_of_the_same_processes() -> None:
    """And where their numbers differ, the one of independent ones."""
    first, second = [2.0, 4.0, 6.0, 8.0, 10.0], [1.0, 2.0, 3.0, 4.0, 5.0]

    times = paired(first, second)
    assert (times.value, times.low, times.high) == pytest.approx((2.0, 2.0, 2.0))
    assert paired(first, second[:4]) == ratio(first, second[:4])


def test_journal_that_says_no_kinds_has_no_contests(tmp_path: Path) -> None:
    """An older one is read, and shows what it always did."""
    old = measured(tmp_path, kinds=False)

    assert {} == old.families
    assert speed.best(old).empty


def test_floors_are_no_contestants(tmp_path: Path) -> None:
    """Matrix products alone are in no verdict, no profile and no speed-up."""
    rows = measured(tmp_path).rows

    assert "products" in set(rows.operation)
    assert {"train_step"} == set(analysis.verdicts(rows).operation)
    assert {"train_step"} == set(reports.without_products(rows).operation)


def test_variant_is_shown_with_what_it_gains_and_costs(tmp_path: Path) -> None:
    """Lines of both, times as fast."""
    report = measured(tmp_path)
    sources = code.sources(report.journals)

    (line,) = code.variants(report.rows, report.families, sources).to_dict("records")

    assert ("numpy_inplace", "numpy") == (line["variant"], line["of"])
    assert "1.36" == line["times as fast"]  # 150 / 110
    assert ("3 (2)", "3 (2)") == (line["lines of the network"], line["all its files"])


@pytest.mark.usefixtures("no_figures")
def test_report_shows_the_contests(tmp_path: Path) -> None:
    """A chapter with table and figure."""
    measured(tmp_path)

    render([tmp_path / "journal.jsonl"], tmp_path / "report")

    page = (tmp_path / "report" / "report.md").read_text()
    assert "numpy_inplace" in page and "1.10 (1.10 to 1.10)" in page
    assert "## Each idiom at its best" in page and "figures/peers.png" in page
    assert " characters)" not in page  # no sentence of ours is cut
    assert (tmp_path / "report" / "figures" / "peers.png").is_file()
    report = report_of(tmp_path / "journal.jsonl")
    chart = charts.peers(report.rows, report.families)
    assert chart is not None
    chart.figure.draw_without_rendering()  # this one can be drawn


def test_mark_of_a_group_asks_for_its_preset() -> None:
    """`-m peers` is a preset; negated, or as a part of another word, it is not asked for."""
    asked = {
        marks: plugin._asks_for("peers", marks)
        for marks in ("peers", "peers and cpu", "not peers", "cpu", "not full", "peersonal")
    }

    assert ["peers", "peers and cpu"] == [marks for marks, answer in asked.items() if answer]


def test_preset_peers_has_every_idiom_variant_and_peer() -> None:
    """On the five networks; one number at a time also on a batch that micrograd can do."""
    options = parse(preset="peers")
    lines = PRESETS["peers"].lines

    everyone = {*names("idiom"), *names("variant"), *names("peer"), *names("loader")}
    assert everyone == set(options.implementations)
    networks = {
        (line.network.spec.layer_sizes, size)
        for line in lines
        for size in line.batch_sizes
        if "train_step" in line.operations
    }
    assert {
        ((64, 32, 10), 8),
        ((64, 32, 10), 32),
        ((784, 128, 64, 10), 128),
        ((784, 512, 512, 10), 128),
        ((300, 2048, 256, 20), 512),
        ((1024, 2048, 2048, 10), 1024),
    } == set(networks)
    floors = {
        (line.network.spec.layer_sizes, size): line.network.name
        for line in lines
        for size in line.batch_sizes
        if line.operations == ("products",)
    }
    assert set(floors) == {*networks, ((2048, 2048), 2048)} - {((64, 32, 10), 8)}
    assert analysis.SQUARE == floors[(2048, 2048), 2048]
