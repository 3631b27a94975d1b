"""What a report says: its summary, its figures, the runs that it joins and chooses."""

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from samegrad.benchmarks.cases.workload import SpikingWorkload
from samegrad.implementations.contract.commands import install
from samegrad.implementations.contract.spiking import LIFSpec
from samegrad.reports.data import analysis, kinds, loading
from samegrad.reports.data import report as reports
from samegrad.reports.document import details, page, speed, summary
from samegrad.reports.render import render
from tests.helpers.journals import ok, plan_record, run_record, write
from tests.helpers.reports import (
    COMPLETE,
    CUDA,
    F64,
    JAX,
    NUMPY,
    SCALAR,
    TORCH,
    laptop,
    report_of,
    several,
    unusable,
)


def sized(case: Any, batch: int) -> Any:
    """The case at another batch size."""
    return replace(case, workload=replace(case.workload, batch_size=batch))


def swept(path: Path) -> Path:
    """jax is fastest up to 32, then numpy; at 128 they are alike."""
    times = {8: (50, 20), 32: (60, 40), 128: (100, 101), 512: (300, 600)}
    planned, records = [], []
    for batch, microseconds in times.items():
        for case, value in zip((NUMPY, JAX), microseconds, strict=True):
            planned.append(sized(case, batch))
            records += several(planned[-1], value)
    return write(path, run_record(), plan_record(*planned), *records, COMPLETE)


def sentences(*paths: Path) -> str:
    """The summary of journals."""
    return "\n".join(map(str, summary.sentences(report_of(*paths))))


def test_summary_says_which_is_fastest_at_which_batch(tmp_path: Path) -> None:
    """Neighbouring sizes with the same answer are one; what cannot be told apart is not."""
    text = sentences(swept(tmp_path / "j"))

    assert (
        "Which is the fastest for my size? Training step, 64-32-10: jax (batch 8 to 32), numpy or "
        'jax (batch 128), numpy (batch 512). "Or": their times cannot be told apart.' in text
    )
    assert (
        "From which batch on does that change? 64-32-10, numpy and jax: numpy overtakes between "
        "32 and 512." in text
    )


def test_summary_names_no_fastest_where_one_has_no_usable_number(tmp_path: Path) -> None:
    """At batch 512 torch may be faster than NumPy; at the others nothing changes."""
    journal = swept(tmp_path / "j")
    run, planned, *records = map(json.loads, journal.read_text().splitlines())
    planned["cases"].append(sized(TORCH, 512).to_dict())
    write(journal, run, planned, *unusable(sized(TORCH, 512), 200), *records)

    assert "jax (batch 8 to 32), numpy or jax (batch 128). " in sentences(journal)


def test_summary_says_what_vectorisation_brings_and_what_small_differences_are_worth(
    tmp_path: Path,
) -> None:
    """60 times for numpy, 20 for torch; intervals of 3 %."""
    text = sentences(laptop(tmp_path / "j"))

    assert (
        "What does looping in Python cost? Times faster than it (training step, float64): "
        "numpy 60.0, torch 20.0" in text
    )
    assert "half of the rows have a 95 % interval within +-2 %" in text


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        ("none", 'advise --layers 64-32-10 --gpu "H100 PCIe"`.'),
        ("NVIDIA T4", "benchmark --device cpu,cuda`, `python -m samegrad doctor`."),
    ],
)
def test_without_rows_of_a_gpu_a_line_says_what_to_run(gpu: str, said: str, tmp_path: Path) -> None:
    """And there is no chapter."""
    about = run_record()["machine"] | {"gpu": gpu}
    path = write(tmp_path / "j", run_record(machine=about), plan_record(TORCH), *several(TORCH, 9))
    report = report_of(path)

    (line,) = [a for a in summary.sentences(report) if a.question == "GPU or CPU?"]

    assert line.text.endswith(said)
    assert speed.gpu(report).empty


def test_neurons_get_no_advice_on_networks(tmp_path: Path) -> None:
    """A run of populations alone says nothing of a network on a GPU."""
    population = SpikingWorkload("population10", LIFSpec(10), 64, 64)
    case = replace(TORCH, workload=population, operation="simulate")
    path = write(tmp_path / "j", run_record(), plan_record(case), *several(case, 9), COMPLETE)

    report = report_of(path)

    assert 1 == len(report.ok)
    assert [] == [str(a) for a in summary.sentences(report) if "advise" in str(a)]
    assert not {*kinds.OF_NETWORKS} & {*details.includes(report).points}
    assert {*kinds.OF_NEURONS} < {*details.includes(report).points}
    points = details.includes(
        report_of(write(tmp_path / "n", run_record(), plan_record(TORCH), *several(TORCH, 9)))
    ).points
    assert {*kinds.OF_NETWORKS} < {*points} and not {*kinds.OF_NEURONS} & {*points}


def test_summary_says_from_which_batch_a_gpu_pays(tmp_path: Path) -> None:
    """End to end, on another machine: not at 32, then from 128 on."""
    end_to_end = replace(CUDA, transfer="end_to_end")
    cpu, gpu, planned, placed = [], [], [], []
    for batch, slow, fast in ((32, 100, 200), (128, 400, 210), (512, 1600, 220)):
        planned.append(sized(TORCH, batch))
        placed.append(sized(end_to_end, batch))
        cpu += several(planned[-1], slow)
        gpu += several(placed[-1], fast)
    one = write(tmp_path / "a", run_record(), plan_record(*planned), *cpu, COMPLETE)
    machine = run_record()["machine"] | {"gpu": "NVIDIA Test 9000, 580"}
    about: Any = run_record(machine=machine, fingerprint="beef", run="r2")
    two = write(tmp_path / "b", about, plan_record(*placed), *gpu, COMPLETE)

    text = sentences(one, two)

    assert "A GPU pays for 64-32-10, the batch's way to it included" in text
    assert "torch: from batch 128, up to 7.27 times" in text
    assert "NVIDIA Test 9000 [beef] against the CPU of Test CPU" in text


@pytest.mark.usefixtures("no_figures")
def test_crossover_figure_shows_both_machines(tmp_path: Path) -> None:
    """A laptop's CPU rows and a server's GPU rows, each named, in the figure and in its data."""
    end_to_end = replace(CUDA, transfer="end_to_end")
    machine = run_record()["machine"] | {"cpu": "Server CPU", "gpu": "NVIDIA Test 9000, 580"}
    about: Any = run_record(machine=machine, fingerprint="beef", run="r2")
    cpu, gpu = [sized(TORCH, 2**i) for i in (5, 7, 9)], [sized(end_to_end, 2**i) for i in (5, 7, 9)]
    one = [o for case, us in zip(cpu, (100, 400, 1600), strict=True) for o in several(case, us)]
    two = [o for case, us in zip(gpu, (200, 210, 220), strict=True) for o in several(case, us)]
    paths = [
        write(tmp_path / "a", run_record(), plan_record(*cpu), *one, COMPLETE),
        write(tmp_path / "b", about, plan_record(*gpu), *two, COMPLETE),
    ]
    render(paths, tmp_path / "out")

    drawn = pd.read_csv(tmp_path / "out" / "figures" / "batch_size.csv")
    assert {
        "torch cpu (float64), Test CPU, 2 cores [f00d]",
        "torch cuda end to end (float64), Server CPU, 2 cores, NVIDIA Test 9000 [beef]",
    } == set(drawn.series)
    assert {32, 128, 512} == set(drawn.x)
    page_text = (tmp_path / "out" / "report.md").read_text()
    assert "overtakes between 32 and 128" in page_text


@pytest.mark.usefixtures("no_figures")
def test_profile_counts_how_often_each_is_near_the_fastest(tmp_path: Path) -> None:
    """jax is the fastest in 2 of 4 cases and within 2.5 times in 4; what crashed never counts."""
    path = swept(tmp_path / "j")
    crashed = [sized(TORCH, batch) for batch in (8, 32)]
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(
        plan_record(*[sized(c, b) for b in (8, 32, 128, 512) for c in (NUMPY, JAX)], *crashed)
    )
    for case in crashed:
        outcome = {"record": "outcome", "case": case.to_dict(), "status": "crashed"}
        lines.append(json.dumps(outcome | {"reason": "SIGSEGV"}))
    extra = replace(sized(NUMPY, 8), operation="forward")
    other = replace(extra, implementation="jax")
    plan = json.loads(lines[1])
    plan["cases"] += [extra.to_dict(), other.to_dict()]
    lines[1] = json.dumps(plan)
    lines += [json.dumps(o) for o in [*several(extra, 10), *several(other, 30)]]
    path.write_text("\n".join(lines) + "\n")
    render([path], tmp_path / "out")

    drawn = pd.read_csv(tmp_path / "out" / "figures" / "profile.csv")

    def share(name: str, factor: float) -> float:
        part = drawn[(drawn.series == name) & (drawn.x <= factor * (1 + 1e-6))]
        return float(part.y.iloc[-1])

    assert 40 == pytest.approx(share("jax cpu", 1))  # batch 8, 32 of train_step; of five cases
    assert 100 == pytest.approx(share("jax cpu", 3.01))
    assert 0 == share("torch cpu", 100)


def test_busy_run_shows_its_own_command_again(tmp_path: Path) -> None:
    """With its options, to wait for a quiet machine; elsewhere, as its folder is full."""
    busy = {"record": "state", "when": "during", "seconds": 9.0, "cores": 2, "others": 1.9}
    typed = "samegrad benchmark --layers 64-32-10 --output out"
    path = write(
        tmp_path / "j", run_record(command=typed), plan_record(NUMPY), *several(NUMPY, 9), busy
    )

    (line,) = report_of(path).machine_states
    local = write(
        tmp_path / "l",
        run_record(machine={"cpu": "Test CPU", "cores": "2", "shared": "2 runs of a fleet"}),
        *(plan_record(NUMPY), *several(NUMPY, 9), busy),
    )
    (shared,) = report_of(local).machine_states

    assert shared.startswith("Shared machine: 2 runs of a fleet. ") and "--wait" not in shared
    again = "`samegrad benchmark --layers 64-32-10 --wait-quiet 600`."
    assert line.endswith(f"rerun when it is quiet, or {again}")


@pytest.mark.parametrize(
    ("spread", "others", "said"),
    [
        (20, 0.0, "Yet 2 of 2 intervals reach further than 3 %: by no load that was seen, but "),
        (100, 0.0, ""),
        (20, 0.2, ""),  # which the line names instead
    ],
)
def test_quiet_machine_with_wide_intervals_is_no_contradiction(
    spread: int, others: float, said: str, tmp_path: Path
) -> None:
    """The line that says "quiet" says in words that the processes differ all the same."""
    state = {"record": "state", "when": "during", "seconds": 9.0, "cores": 2, "others": others}
    outcomes = [
        ok(p, round(microseconds * 1000 * (1 + p / spread)), case)
        for case, microseconds in ((NUMPY, 100), (TORCH, 300))
        for p in range(5)
    ]
    path = write(tmp_path / "j", run_record(), plan_record(NUMPY, TORCH), *outcomes, state)

    (line,) = report_of(path).machine_states

    assert ("quiet" in line) == (others == 0)
    assert said in line and ("Yet" in line) == bool(said)
    assert line.endswith("narrow them (--processes 10).") == bool(said)


def test_summary_of_one_process_claims_no_certainty(tmp_path: Path) -> None:
    """It says that there are no intervals."""
    path = write(tmp_path / "j", run_record(), plan_record(NUMPY), *several(NUMPY, 50, 1))

    assert "Fewer than 5 processes: no intervals" in sentences(path)


def test_summary_says_what_most_of_the_time_is(tmp_path: Path) -> None:
    """Of the smallest and of the largest network."""
    small, large = sized(NUMPY, 8), sized(NUMPY, 32)
    parts = {"products_ns": 70_000, "empty_ns": 10_000}
    records = [ok(p, 100_000, large, **parts) for p in range(5)]
    records += [ok(p, 100_000, small, products_ns=1000, empty_ns=90_000) for p in range(5)]
    path = write(tmp_path / "j", run_record(), plan_record(small, large), *records, COMPLETE)

    text = sentences(path)

    assert (
        "Is my time dispatch or arithmetic? 64-32-10, batch 8: numpy 90 % dispatch and Python; "
        "64-32-10, batch 32: numpy 70 % matrix products." in text
    )


def test_summary_says_what_threads_gain_or_that_nobody_knows(tmp_path: Path) -> None:
    """Three times at batch 512, nothing at 32; with one regime, how to measure the other."""
    records, planned = [], []
    for batch, single, both in ((32, 100, 101), (512, 900, 300)):
        for regime, microseconds in (("1", single), ("all", both)):
            planned.append(replace(sized(NUMPY, batch), threads=regime))
            records += several(planned[-1], microseconds)
    two = write(tmp_path / "two", run_record(), plan_record(*planned), *records, COMPLETE)

    assert (
        "How many threads? Times faster with all than with 1: numpy 0.990 to 3.00 (first at "
        "64-32-10, batch 512)." in sentences(two)
    )
    assert "Only all (2) measured; --threads 1,all compares." in sentences(laptop(tmp_path / "one"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("97.4 us", 97.4e-6),
        ("1,230 s", 1230),
        ("6.12 ms (float64)", 6.12e-3),
        ("95.0 us to 101 us", 95e-6),
        ("12 KiB", 12288),
        ("1.2e-07 (dW1)", 1.2e-7),
        ("-3 %", -3),
        ("64-32-10", None),
        ("skipped", None),
        ("", None),
        ("1e999", None),
    ],
)
def test_cells_sort_by_their_number(text: str, value: float | None) -> None:
    """In the unit's base; layers are no number."""
    assert value == pytest.approx(page.order(text)) if value else page.order(text) is None


@pytest.mark.usefixtures("no_figures")
def test_many_journals_are_merged_and_the_newest_of_each_machine_shown(tmp_path: Path) -> None:
    """All rows in results.csv; the page names its choice."""
    for number in range(14):
        about = run_record(
            run=f"r{number}", started=f"2026-01-{number + 1:02}", fingerprint=f"f{number % 2}"
        )
        write(tmp_path / f"j{number}", about, plan_record(NUMPY), *several(NUMPY, 50 + number),
              COMPLETE)  # fmt: skip
    render([tmp_path / f"j{number}" for number in range(14)], tmp_path / "out")

    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert 14 == len(table) == table.source.nunique()
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "14 runs; the newest of each machine is shown here (2)" in markdown
    assert "run r13" in markdown and "run r12" in markdown


def test_parts_of_one_measurement_keep_their_proofs(tmp_path: Path) -> None:
    """Without them no block would count."""
    files = []
    for number, case in enumerate((NUMPY, SCALAR)):
        run = run_record(run=f"part{number}", settings={"proofs": True})
        proof = {"record": "proof", "case": case.to_dict(), "process": 0, "repetition": 0}
        proof |= {"name": "dW1", "error": 0.0, "bound": 1.0, "spent_ns": 1}
        measured = ok(0, 100, case, repetition=0)
        path = tmp_path / str(number)
        files.append(write(path, run, plan_record(case), measured, proof, COMPLETE))

    report = loading.load(files)

    assert 1 == report.rows.source.nunique()
    assert {(1, "ok")} == set(zip(report.rows.proofs, report.all_rows.status, strict=True))


def test_parts_of_one_measurement_are_shown_as_one(tmp_path: Path) -> None:
    """Same machine and commit, other cases; not where a case is in both, or the commit differs."""
    one = write(tmp_path / "a", run_record(run="fast"), plan_record(NUMPY), *several(NUMPY, 100),
                COMPLETE)  # fmt: skip
    slow = write(tmp_path / "b", run_record(run="slow", command="pytest -k scalar"),
                 plan_record(SCALAR), *several(SCALAR, 6000), COMPLETE)  # fmt: skip
    later = write(tmp_path / "c", run_record(run="later"), plan_record(NUMPY), *several(NUMPY, 90),
                  COMPLETE)  # fmt: skip
    machine = run_record()["machine"] | {"commit": "def"}
    about: Any = run_record(run="other", machine=machine)
    other = write(tmp_path / "d", about, plan_record(SCALAR), *several(SCALAR, 5000), COMPLETE)

    report = loading.load([one, slow])
    (journal,) = report.journals
    assert 1 == report.rows.source.nunique() and 2 == len(report.rows)
    assert "fast and slow" == journal.run["run"]
    assert "pytest\npytest -k scalar" == journal.run["command"]
    assert 60 == pytest.approx(analysis.over_looped(report.rows).speed_up.iloc[0], rel=1e-3)
    for pair in ([one, later], [one, other]):
        assert 2 == loading.load(pair).rows.source.nunique()


def test_runs_of_one_name_stay_apart() -> None:
    """Two journals called out on one machine are two sources."""
    labels = reports.labels([run_record(run=name) for name in ("out", "out", "out (2)", "out")])

    assert 4 == len(set(labels))
    assert "run out (2) (2)" == labels[2].split("] ")[-1].split(", ")[-1]


def test_folder_of_runs_is_all_of_its_journals(tmp_path: Path) -> None:
    """And the folder of one run is that one."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        laptop(tmp_path / name / "journal.jsonl")

    assert 2 == len(loading.paths([str(tmp_path)]))
    assert [tmp_path / "a" / "journal.jsonl"] == loading.paths([str(tmp_path / "a")])


def test_parquet_holds_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the library; without it, one line that says what to install."""
    from samegrad.cli import main

    journal = laptop(tmp_path / "j")
    try:
        import pyarrow  # noqa: F401 # whether it is there
    except ImportError:
        assert 2 == main(["render", str(journal), "--parquet"])
        assert install("parquet") in capsys.readouterr().err
        return
    assert 0 == main(["render", str(journal), "--parquet"])
    rows = pd.read_parquet(tmp_path / "results.parquet")
    assert 5 == len(rows) and np.isfinite(rows.seconds).sum() == 3


def test_value_of_a_process_is_drawn_where_the_row_has_it(tmp_path: Path) -> None:
    """The longest of the least disturbed tenth of 21 repetitions, which is not the least."""
    repeated = [ok(0, 1000 + n, NUMPY, repetition=n) for n in range(21)]
    path = write(tmp_path / "j", run_record(), plan_record(NUMPY), *repeated, COMPLETE)

    (source,) = report_of(path).sources

    assert [[1002.0]] == [[value for value, _ in row] for row in source.samples()]
    assert (1002e-9,) == pytest.approx(source.rows[0].process_medians)


def test_samples_are_the_blocks_of_the_rows(tmp_path: Path) -> None:
    """In the order of the table; packed and unpacked again."""
    (source,) = report_of(laptop(tmp_path / "j")).sources
    samples = source.samples()

    assert 3 == len(samples)
    # Scalar, the second process: its value, and its repetition.
    assert (6_060_000.0, [[6_060_000.0] * 3]) == samples[0][1]
    packed = page.packed(json.dumps(samples))
    as_lists = [[[value, blocks] for value, blocks in row] for row in samples]
    assert as_lists == json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.mark.usefixtures("no_figures")
def test_markdown_fits_into_a_comment_and_names_what_it_leaves_out(tmp_path: Path) -> None:
    """Of 50 networks with long names; the page has all of them."""
    cases = [replace(NUMPY, workload=replace(F64, name=f"{'long' * 480}{n}")) for n in range(50)]
    records = [outcome for case in cases for outcome in several(case, 100, 1)]
    path = write(tmp_path / "j", run_record(), plan_record(*cases), *records, COMPLETE)
    render([path], tmp_path / "out")

    markdown = (tmp_path / "out" / "report.md").read_text()

    assert len(markdown) <= 60_000
    assert "On the page and in results.csv: all that comes after this" in markdown
    assert f"{'long' * 480}49" in (tmp_path / "out" / "index.html").read_text()
