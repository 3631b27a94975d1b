"""How the cost grows: exponents, bends and falls that were planted are found."""

import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.presets import PRESETS, Network, depth, width
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.machine.system import cpu_caches
from samegrad.benchmarks.records import limits
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.runs import options, selection
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.charts import growth
from samegrad.reports.data import scaling
from samegrad.reports.data.report import Report
from samegrad.reports.data.values import folded
from samegrad.reports.document import speed
from samegrad.reports.render import render
from tests.helpers.journals import ok, plan_record, run_record, write
from tests.helpers.reports import report_of

CACHES = "L1 32K, L2 512K, L3 32768K"


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_planted_exponent_and_bend_are_found(exponent: float) -> None:
    """50 us and 0.1 us x^p, with 2 % of noise: within two standard errors, over 200 draws."""
    rng = np.random.default_rng(0)
    x = [float(4**i) for i in range(9)]
    bend = (50e-6 / 1e-7) ** (1 / exponent)
    inside, bends = 0, []
    for _ in range(200):
        noise = np.exp(rng.normal(0, 0.02, len(x)))
        seconds = (50e-6 + 1e-7 * np.power(x, exponent)) * noise
        a, c, p, error = scaling.fit(x, seconds.tolist())
        inside += abs(p - exponent) < 2.4 * error  # Student's t with 6 degrees of freedom
        bends.append((a / c) ** (1 / p))

    assert 0.88 * 200 <= inside <= 200
    assert np.median(bends) == pytest.approx(bend, rel=0.1)


def test_curve_without_a_fixed_cost_has_none() -> None:
    """A power law: the exponent is exact and the bend lies below the first size."""
    x = [float(2**i) for i in range(4, 12)]
    a, c, p, _ = scaling.fit(x, [1e-9 * value**2 for value in x])

    assert p == pytest.approx(2, abs=1e-3)
    assert (a / c) ** (1 / p) < x[0] / 2


def test_working_set_counts_what_a_step_touches() -> None:
    """By hand, for one hidden layer: X; activations and deltas; params and gradients."""
    entries = 5 * (4 + 2 * (3 + 2)) + 2 * (4 * 3 + 3 + 3 * 2 + 2)

    assert 4 * entries == scaling.working_set("4-3-2", 5, "float32")
    assert 8 * entries == scaling.working_set("4-3-2", 5, "float64")


def workload(network: Network) -> MLPWorkload:
    """A network of a series with batches of 128."""
    return MLPWorkload(network.name, network.spec, 128, network.examples, network.series)


def measured(tmp_path: Path, fall: float = 1.0, caches: str = CACHES) -> Report:
    """Three curves of two implementations with one thread and with two, 1.6 times as fast.

    Beyond L3 NumPy takes `fall` times as long.
    """
    problems = [
        *(MLPWorkload("mnist", MLPSpec((784, 128, 64, 10)), 4**i, 60_000) for i in range(9)),
        *(workload(width(2**i)) for i in range(4, 10)),
        *(workload(depth(2**i)) for i in range(7)),
    ]
    cases, outcomes = [], []
    for problem in problems:
        for name in ("numpy", "jax"):
            for threads in ("1", "all"):
                case = Case(problem, "train_step", name, threads=threads)
                layers = "-".join(map(str, problem.spec.layer_sizes))
                size = scaling.working_set(layers, problem.batch_size, "float32")
                outside = fall if name == "numpy" and size > 32 * 2**20 else 1.0
                work = case.flops / 50e9 * outside * (1.6 if threads == "1" else 1.0)
                cases.append(case)
                ns = 1e9 * ((20e-6 if name == "jax" else 60e-6) + work)
                outcomes += [ok(p, round(ns * (1 + p / 1000)), case) for p in range(5)]
    machine = run_record()["machine"] | {"cpu_caches": caches}
    path = write(
        tmp_path / "journal.jsonl",
        run_record(machine=machine),
        plan_record(*cases),
        *outcomes,
        {"record": "run_complete"},
    )
    return report_of(path)


def lines(report: Report) -> dict[tuple[str, str, str], Any]:
    """(against, implementation, threads) -> line of the table."""
    table = speed.cost_growth(report).tables[0].frame
    return {
        (row["against"], row["implementation"], row["threads"]): row
        for row in table.to_dict("records")
    }


def test_table_has_every_curve_with_its_exponent(tmp_path: Path) -> None:
    """Linear in the batch; the fixed cost is what was planted."""
    table = lines(measured(tmp_path))

    assert 3 * 2 * 2 == len(table)
    line = table["batch size", "jax", "all"]
    assert line["exponent"].startswith("1.00")
    assert line["fixed cost"].startswith(("20.0 us", "19.9 us", "20.1 us"))
    assert "no fall" == line["beyond"]
    assert table["depth", "numpy", "all"]["exponent"].startswith(("0.9", "1.0"))


def test_fall_beyond_a_cache_is_said_with_the_cache(tmp_path: Path) -> None:
    """Half the rate where the working set has outgrown L3; JAX, which does not fall, has none."""
    table = lines(measured(tmp_path, fall=2.0))

    beyond = table["batch size", "numpy", "all"]["beyond"]
    assert beyond.endswith("outgrows L3") and "of its best rate at 16,384" in beyond
    assert "no fall" == table["batch size", "jax", "all"]["beyond"]
    unknown = lines(measured(tmp_path, fall=2.0, caches="unknown"))
    beyond = unknown["batch size", "numpy", "all"]["beyond"]
    assert beyond.endswith("may outgrow a cache: their sizes are unknown")


@pytest.mark.parametrize(
    ("before", "now", "outgrown"),
    [
        (1_024, 16_384, "outgrows L3"),  # 6 to 75 MiB
        (1, 16_384, "outgrows L2, L3"),
        (1, 128, "outgrows L2"),
        (2_048, 4_096, "outgrows no cache there"),
        (8_192, 16_384, "is beyond L3 already"),
        (
            16_384,
            65_536,
            "is beyond L3 already, but its largest array, 8 to 32 MiB, outgrows L3",
        ),
    ],
)
def test_working_set_is_set_against_the_caches(before: int, now: int, outgrown: str) -> None:
    """Only what it, or an array of it, outgrows between the two points explains a fall there."""
    sizes, layers = {"L1": 2**15, "L2": 2**20, "L3": 2**25}, "784-128-64-10"
    points = [
        SimpleNamespace(
            working_set=scaling.working_set(layers, batch_size, "float32"),
            layers=layers,
            batch_size=batch_size,
            dtype="float32",
        )
        for batch_size in (before, now)
    ]
    assert outgrown == scaling._against(sizes, *points)


def test_part_that_slowed_down_is_named() -> None:
    """Not the largest part, but the one that takes longer for each operation than before."""

    def row(seconds: float, **parts: float) -> Any:
        return SimpleNamespace(seconds=seconds, flops=seconds * 1e9, **parts)

    names = ("products_seconds", "dispatch_seconds", "rest_seconds")
    before = row(1.0, **dict(zip(names, (0.8, 0.1, 0.1), strict=True)))
    after = SimpleNamespace(
        seconds=6.0, flops=4e9, **dict(zip(names, (3.4, 0.1, 2.5), strict=True))
    )

    part = scaling._slowed(before, after)

    assert "; elementwise work and memory traffic: 10 to 42 % of the time" == part
    unknown = row(1.0, **dict.fromkeys(names, math.nan))
    assert "" == scaling._slowed(unknown, after)


def test_threads_gain_what_was_planted(tmp_path: Path) -> None:
    """1.6 where the work is, nothing where the call is all."""
    gains = scaling.thread_gains(scaling.curves(measured(tmp_path).rows))
    batch = gains[(gains.against == "batch size") & (gains.implementation == "numpy")]

    assert 1.0 < batch.times.iloc[0] < 1.1
    assert batch.times.iloc[-1] == pytest.approx(1.6, rel=0.01)
    assert math.isfinite(batch.times_low.iloc[-1])


@pytest.mark.usefixtures("no_figures")
def test_report_has_the_chapter_and_its_figure(tmp_path: Path) -> None:
    """And a run of a few sizes has neither."""
    measured(tmp_path, fall=2.0)

    render([tmp_path / "journal.jsonl"], tmp_path / "report")

    page = (tmp_path / "report" / "report.md").read_text()
    assert "## How the cost grows" in page and "figures/scaling.png" in page
    assert " characters)" not in page  # no sentence of ours is cut
    html = (tmp_path / "report" / "index.html").read_text()
    assert re.search(r'<td class="wide"[^>]*>5\d % of its best rate', html)  # it may break
    report = report_of(tmp_path / "journal.jsonl")
    speed.cost_growth(report).charts[0].figure.draw_without_rendering()  # this one can be drawn
    few = scaling.curves(report.rows[report.rows.workload == "mnist"])
    assert growth.scaling(report.rows, few, scaling.thread_gains(few), {}) is None


@pytest.mark.parametrize(
    ("layers", "shown"),
    [
        ("784-" + "128-" * 64 + "10", "784-(64 x 128)-10"),
        ("784-128-128-128-10", "784-128-128-128-10"),
        ("mnist  8-4-4-4-4-2  batch 1", "mnist  8-(4 x 4)-2  batch 1"),
        ("4-14-14-14-14-4", "4-(4 x 14)-4"),
        ("4-4-4-4", "4-4-4-4"),
    ],
)
def test_many_layers_of_one_size_are_counted(layers: str, shown: str) -> None:
    """A table that names 64 of them is unreadable."""
    assert shown == folded(layers)


def test_looped_python_has_one_thread_regime() -> None:
    """With two it would have each row twice, at half a minute a row."""
    chosen = replace(options.parse(), threads=("1", "all"))
    regimes = {
        name: selection._threads(name, "cpu", chosen) for name in ("scalar", "numba", "numpy")
    }

    assert {"scalar": ("all",), "numba": ("all",), "numpy": ("1", "all")} == regimes
    assert ("all",) == selection._threads("numpy", "cuda", chosen)


def test_preset_scaling_has_the_promised_sizes() -> None:
    """Batch 1 to 65,536, width 16 to 8,192, depth 1 to 64, one thread and all."""
    preset = PRESETS["scaling"]
    batches = {size for line in preset.lines for size in line.batch_sizes if size != 128}
    named = {line.network.name: line.network.spec.layer_sizes for line in preset.lines}

    assert [4**i for i in range(9)] == sorted(batches)
    assert {f"width{2**i}" for i in range(4, 14)} <= set(named)
    assert {f"depth{2**i}" for i in range(7)} <= set(named)
    assert (784, *[128] * 64, 10) == named["depth64"]
    assert ("1", "all") == preset.threads


def test_caches_of_this_machine_are_read_or_unknown() -> None:
    """From the system, as one core sees them."""
    read = cpu_caches()
    run = {"machine": {"cpu_caches": read}, "run": "r", "fingerprint": "f"}

    sizes = limits.caches(Journal({"record": "run", **run}))

    assert bool(sizes) == (read != "unknown")
    assert all(size >= 1024 for size in sizes.values())
    assert {"L1": 32 * 2**10, "L3": 32 * 2**20} == {
        key: value
        for key, value in limits.caches(
            Journal({"record": "run", **run, "machine": {"cpu_caches": CACHES}})
        ).items()
        if key != "L2"
    }
