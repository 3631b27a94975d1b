"""Two runs compared: what differs is result, and what does not is not."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.records import schema
from samegrad.benchmarks.records.journal import read as read_journal
from samegrad.benchmarks.worker.ceilings import cpu_speed
from samegrad.cli import main
from samegrad.cli.compare import parse_limits
from samegrad.reports.data import comparison
from tests.helpers.journals import ok, plan_record, run_record, write
from tests.helpers.reports import COMPLETE, F64, NUMPY

SIZES = [replace(NUMPY, workload=replace(F64, batch_size=2**i)) for i in range(8)]


def run(path: Path, times: float = 1.0, seed: int = 0, code: str = "aa", **about: Any) -> Path:
    """Eight cases in five processes that differ by 1 %; `times` as slow."""
    rng = np.random.default_rng(seed)
    records = [
        ok(p, round(50_000 * times * (i + 1) * math.exp(rng.normal(0, 0.01))), case,
           source_sha256=code, inputs_sha256="ii")
        for i, case in enumerate(SIZES)
        for p in range(5)
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, run_record(run=path.stem, **about), plan_record(*SIZES), *records, COMPLETE)


def test_planted_slowdown_is_a_regression_and_a_twin_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """15 % slower: every row, exit 1. The same program again: none, exit 0."""
    old = str(run(tmp_path / "old"))
    twin, slow = str(run(tmp_path / "twin", seed=1)), str(run(tmp_path / "slow", 1.15, seed=2))

    assert 0 == main(["compare", old, twin, "--fail-above", "5%"])
    printed = capsys.readouterr()
    assert "8 of 8 rows can be compared: 8 SAME." in printed.out
    assert 1 == main(["compare", old, slow, "--fail-above", "5%"])
    printed = capsys.readouterr()
    assert (
        "8 SLOWER" in printed.out and "8 rows are certainly slower by more than 5 %" in printed.err
    )
    assert "1.15" in printed.out.split("Geometric mean")[1][:60]
    assert 0 == main(["compare", old, slow, "--fail-above", "30"])
    assert 0 == main(["compare", old, slow])
    assert 0 == main(["compare", slow, old, "--fail-above", "5%"])  # faster is no regression


def test_limits_of_groups_hold_for_their_rows_and_the_last_one_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """15 % slower: allowed in general, and not of what one group has; a group must be there."""
    old, slow = str(run(tmp_path / "old")), str(run(tmp_path / "slow", 1.15, seed=2))

    assert 0 == main(["compare", old, slow, "--fail-above", "5%,numpy=30%"])
    assert 1 == main(["compare", old, slow, "--fail-above", "30%, numpy=5"])
    assert "slower by more than their limit" in capsys.readouterr().err
    assert 1 == main(["compare", old, slow, "--fail-above", "numpy=5%"])
    assert 0 == main(["compare", old, slow, "--fail-above", "numpy=5%,30%"])
    assert 2 == main(["compare", old, slow, "--fail-above", "numpyy=5%"])
    assert "no row is of the group 'numpyy', whose limit judges nothing" in capsys.readouterr().err
    for others, status in (("5%", 1), ("30%", 0), ("30%,numpy=5%", 1)):
        limits = f"{others},epoch=20%,nunpy=5%"
        assert status == main(["compare", old, slow, "--fail-above", limits]), others
        lines = capsys.readouterr().err.splitlines()
        assert lines[0].startswith("warning: no row is of the group 'epoch', whose limit judges no")
        assert lines[1].endswith("; did you mean 'numpy'?")
    for wrong in ("=5%", "numpy=", "numpy=x", "5%,", "numpy=-1"):
        assert 2 == main(["compare", old, slow, "--fail-above", wrong]), wrong


def at_cpu_speed(path: Path, elapsed_ns: int, work: str = "SHA-256", times: int = 12) -> str:
    """The run, on a machine of that speed; in the first measurement nothing else was going on."""
    fixed = {"record": "cpu_speed", "work": work}
    speeds = [{**fixed, "process": i % 5, "elapsed_ns": elapsed_ns + i} for i in range(times)]
    path.write_text(path.read_text() + "".join(json.dumps(speed) + "\n" for speed in speeds))
    return str(path)


@pytest.mark.parametrize(
    ("times", "elapsed_ns", "verdict"),
    [
        (1.00, 300_000, "SAME"),
        (1.00, 305_000, "SAME"),  # less than 2 %: nothing is made of it
        (0.92, 300_000, "FASTER"),
        (0.92, 276_000, "CAN'T TELL"),  # all of it may be the machine's
        (0.80, 276_000, "FASTER"),  # not all of it
        (1.15, 312_000, "SLOWER"),
        (1.08, 324_000, "CAN'T TELL"),
        (1.00, 276_000, "CAN'T TELL"),  # the program may have become slower, the machine faster
        (1.15, 276_000, "SLOWER"),  # the machine cannot be the cause
    ],
)
def test_verdict_allows_for_the_machines_own_speed(
    times: float,
    elapsed_ns: int,
    verdict: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only what it cannot explain is called faster or slower; and a sentence says so."""
    old = at_cpu_speed(run(tmp_path / "old"), 300_000)
    new = at_cpu_speed(run(tmp_path / "new", times, seed=1), elapsed_ns)

    main(["compare", old, new])
    printed = capsys.readouterr().out

    assert f"8 of 8 rows can be compared: 8 {verdict}." in printed
    sentences = {276_000: "9 % faster", 312_000: "4 % slower", 324_000: "7 % slower"}
    assert (f"itself was {sentences.get(elapsed_ns)}" in printed) == (elapsed_ns in sentences)


def test_speed_of_the_processor_says_nothing_of_a_gpu(tmp_path: Path) -> None:
    """Rows on the CPU become uncertain, those on a GPU do not."""
    verdicts = {}
    for device in ("cpu", "cuda"):
        case = replace(SIZES[0], device=device)
        journals = []
        for name, elapsed in (("old", 300_000), ("new", 276_000)):
            records = [
                ok(p, 1000 + p, case, source_sha256="a", inputs_sha256="i") for p in range(5)
            ]
            records = [run_record(), plan_record(case), *records, COMPLETE]
            path = write(tmp_path / f"{name}-{device}", *records)
            journals.append(read_journal(Path(at_cpu_speed(path, elapsed))))
        verdicts[device] = comparison.compare(*journals).rows.verdict.tolist()

    assert {"cpu": ["CAN'T TELL"], "cuda": ["SAME"]} == verdicts


@pytest.mark.parametrize("other", [{"work": "another Python's SHA-256"}, {"times": 9}])
def test_speed_that_cannot_be_compared_changes_nothing(other: Any, tmp_path: Path) -> None:
    """Other work, or too few measurements of it; or none, as in older journals."""
    old = read_journal(Path(at_cpu_speed(run(tmp_path / "old"), 300_000)))
    new = read_journal(Path(at_cpu_speed(run(tmp_path / "new"), 200_000, **other)))
    older = read_journal(run(tmp_path / "older"))

    assert comparison.compare(old, new).cpu_change is None
    assert comparison.compare(older, new).cpu_change is None
    assert {"SAME"} == set(comparison.compare(old, new).rows.verdict)


def test_cpu_speed_is_measured_in_work_that_stays_the_same() -> None:
    """The same words each time, a positive time, and a form that the journal takes."""
    records = [cpu_speed() for _ in range(2)]

    assert records[0]["work"] == records[1]["work"]
    for record in records:
        schema.check({"record": "cpu_speed", "process": 0, **record})


def test_comparison_shows_regressions_first_in_text_and_markdown(tmp_path: Path) -> None:
    """The slowest first; in Markdown the others are folded."""
    old = read_journal(run(tmp_path / "old"))
    new = read_journal(run(tmp_path / "new", seed=3))
    for _, record in new.outcomes[25:30]:  # the sixth case
        record["elapsed_ns"] = [3 * ns for ns in record["elapsed_ns"]]

    result = comparison.compare(old, new, fail_above=0.05)

    assert [SIZES[5].id] == result.beyond
    assert SIZES[5].id == result.rows.case.iloc[0]
    text, page = comparison.text(result), comparison.markdown(result)
    assert "SLOWER" in text.splitlines()[4]
    assert page.index("### Slower: 1") < page.index(SIZES[5].id) < page.index("<details>")
    profile = comparison.profile(result).set_index("run")
    assert "100 %" == profile.loc["old", "1.05"] and "88 %" == profile.loc["new", "2"]


def test_rows_that_must_not_be_compared_say_why_and_may_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other code, another machine; --across names what may differ, and marks the rows."""
    old = str(run(tmp_path / "old"))
    other = str(run(tmp_path / "other", 1.2, seed=1, code="bb"))
    elsewhere = str(run(tmp_path / "elsewhere", seed=1, fingerprint="beef"))

    assert 2 == main(["compare", old, other, "--fail-above", "5"])
    printed = capsys.readouterr()
    assert "0 of 8 rows can be compared" in printed.out
    assert "8 rows: its code differs (aa, bb) (--across code compares them)" in printed.out
    assert "nothing was checked" in printed.err
    assert 1 == main(["compare", old, other, "--fail-above", "5", "--across", "code"])
    assert "[its code differs (aa, bb)]" in capsys.readouterr().out
    assert 0 == main(["compare", old, elsewhere])
    assert "its machine differs (f00d, beef)" in capsys.readouterr().out
    assert 2 == main(["compare", old, other, "--across", "speed"])
    assert "accepted: machine, code, inputs" in capsys.readouterr().err


def test_a_case_with_other_threads_says_so(tmp_path: Path) -> None:
    """It is another case; neither run's row is silently left out."""
    single = [replace(case, threads="1") for case in SIZES]
    records = [ok(p, 1000, case) for case in single for p in range(5)]
    new = write(tmp_path / "n", run_record(), plan_record(*single), *records, COMPLETE)

    result = comparison.compare(read_journal(run(tmp_path / "o")), read_journal(new))

    assert 16 == len(result.rows) and result.compared.empty
    reasons = set(result.rows.reason)
    assert {
        "not in the old run",
        "not in the new run, which has it with other threads or in another precision",
    } == reasons


@pytest.mark.parametrize("text", ["", "a lot", "-5%", "nan", "inf", "5%%"])
def test_threshold_that_is_no_percentage_is_refused(text: str) -> None:
    """With what is accepted."""
    with pytest.raises(ValueError, match="give a percentage"):
        parse_limits(text)


def test_few_processes_give_no_certainty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said, and a check that checked nothing fails."""
    paths = [
        write(tmp_path / name, run_record(run=name), plan_record(NUMPY),
              ok(0, 1000, NUMPY, source_sha256="a", inputs_sha256="i"), COMPLETE)
        for name in ("a", "b")
    ]  # fmt: skip

    assert 2 == main(["compare", *map(str, paths), "--fail-above", "5"])
    assert "fewer than 5 processes in a run: no intervals, so no verdict" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ({"started": "2026-01-02"}, {"started": "2026-01-03"}, "out, started 2026-01-02 (old)"),
        ({"fingerprint": "aaaa"}, {"fingerprint": "bbbb"}, "out, machine bbbb (new)"),
        ({}, {}, "b/out (new)"),
    ],
)
def test_runs_of_one_name_are_told_apart(old: Any, new: Any, shown: str, tmp_path: Path) -> None:
    """By when or where they ran, or by the folders that they lie in."""
    paths = [run(tmp_path / name / "out", **about) for name, about in (("a", old), ("b", new))]

    result = comparison.compare(*paths)

    assert shown in comparison.text(result).splitlines()[0]
    assert comparison.markdown(result).splitlines()[0] == f"## {' against '.join(result.names)}"
    assert result.names[0] != result.names[1]
