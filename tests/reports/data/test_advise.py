"""Advice: what was measured is told, what lies between is interpolated, the rest is not said."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.machine import system
from samegrad.cli import main
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.data import advise, advise_text, loading
from samegrad.reports.data.interpolation import Networks
from tests.helpers.journals import ok, plan_record, run_record, write
from tests.helpers.reports import report_of

WIDTHS = (16, 32, 64, 128, 256, 512, 1024)


def spec(width: int) -> MLPSpec:
    """784-w-10."""
    return MLPSpec((784, width, 10))


def asked(width: int, **more: Any) -> advise.Question:
    """A training step of it, at the batch size of all rows."""
    return advise.Question(**{"spec": spec(width), "batch_size": 64} | more)


def seconds(width: int, batch: int, start: float, rate: float) -> float:
    """A machine that computes exactly as the fit supposes."""
    return start + MLPWorkload("x", spec(width), batch, batch).flops("train_step") / rate


def journal(path: Path, *more: dict[str, Any], **about: Any) -> Path:
    """jax starts fast, torch computes fast; five processes, 1 % apart; and more records."""
    planned, records = [], []
    for name, start, rate in (("jax", 2e-5, 2e10), ("torch", 3e-4, 1e11)):
        for width in WIDTHS:
            problem = MLPWorkload(f"w{width}", spec(width), 64, 6400)
            case = Case(problem, "train_step", name)
            planned.append(case)
            nanoseconds = seconds(width, 64, start, rate) * 1e9
            records += [
                ok(p, round(nanoseconds * (1 + p / 100)), case, first_call_ns=5 * 10**8,
                   **({"compile_ns": 4 * 10**8} if name == "jax" else {}))
                for p in range(5)
            ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    run = run_record(**about)
    return write(path, run, plan_record(*planned), *records, *more, {"record": "run_complete"})


def rows(tmp_path: Path) -> Any:
    """As a frame."""
    return report_of(journal(tmp_path / "j")).rows


def test_measured_network_is_told_with_its_interval(tmp_path: Path) -> None:
    """The fastest first; not interpolated."""
    answers = advise.answers(rows(tmp_path), asked(1024))

    assert ["torch", "jax"] == [answer.implementation for answer in answers]
    assert {"measured"} == {answer.how for answer in answers}
    assert answers[0].low < answers[0].seconds < answers[0].high


def test_network_between_is_interpolated_with_its_uncertainty(tmp_path: Path) -> None:
    """Within 5 % of the machine's law, and inside what the answer says of itself."""
    by_name = {a.implementation: a for a in advise.answers(rows(tmp_path), asked(300))}

    for name, start, rate in (("jax", 2e-5, 2e10), ("torch", 3e-4, 1e11)):
        truth = 1.02 * seconds(300, 64, start, rate)
        assert by_name[name].seconds == pytest.approx(truth, rel=0.05)
        assert by_name[name].low <= by_name[name].seconds <= by_name[name].high
        assert "between 7 measured networks" == by_name[name].how


def test_idiom_with_another_dtype_is_asked_in_its_own(tmp_path: Path) -> None:
    """Its times are those of numbers twice as long, and so is what is interpolated."""
    table = rows(tmp_path)
    table = table[table.implementation == "jax"].assign(implementation="scalar", dtype="float64")
    table = table.assign(bytes=2 * table.bytes, seconds=2e-9 * table.bytes)

    (answer,) = advise.answers(table, asked(300))

    step = MLPWorkload("x", spec(300), 64, 64)
    assert answer.seconds == pytest.approx(2e-9 * step.bytes("train_step"), rel=1e-3)


def test_noise_widens_the_uncertainty(tmp_path: Path) -> None:
    """Times that no law explains give an answer that admits it."""
    table = rows(tmp_path)
    parts = advise._parts(asked(300), "jax")
    exact = advise.between(Networks.by_implementation(list(table.iloc))["jax"], parts)
    shaken = table.assign(seconds=table.seconds * np.tile([1.0, 2.0], 7))
    loose = advise.between(Networks.by_implementation(list(shaken.iloc))["jax"], parts)

    assert exact is not None and loose is not None
    assert exact[1] < 1.05 and loose[1] > 1.3


@pytest.mark.parametrize(("width", "batch"), [(4, 64), (8192, 64), (128, 8192), (16, 1)])
def test_beyond_what_was_measured_nothing_is_said(tmp_path: Path, width: int, batch: int) -> None:
    """But how to measure it."""
    question = asked(width, batch_size=batch)
    answers = advise.answers(rows(tmp_path), question)
    printed = "\n".join(advise_text.text(answers, rows(tmp_path), question))

    assert [] == answers
    layers = f"784-{width}-10"
    assert f"samegrad benchmark --layers {layers} --batch-size {batch} --device cpu" in printed


def test_other_devices_and_precisions_are_not_taken_for_this_one(tmp_path: Path) -> None:
    """No CPU time answers for a GPU, no float32 for float64, no two processes for one."""
    float64 = replace(spec(64), dtype="float64")
    assert [] == advise.answers(rows(tmp_path), asked(64, device="cuda"))
    assert [] == advise.answers(rows(tmp_path), asked(64, spec=float64))
    assert [] == advise.answers(rows(tmp_path).assign(ranks=2), asked(64))
    assert [] == advise.answers(rows(tmp_path), asked(64, threads="1"))
    assert [] == advise.answers(rows(tmp_path), asked(64, operation="forward"))


def test_advice_names_the_fastest_or_those_that_are_alike(tmp_path: Path) -> None:
    """And when a compilation has paid."""
    table = rows(tmp_path)
    small = advise_text.text(advise.answers(table, asked(16)), table, asked(16))
    same = advise.answers(table, asked(64))
    alike = [replace(same[0], implementation=name) for name in ("jax", "numpy")]

    assert any(line.startswith("Use jax: torch takes") for line in small)
    assert (
        "Its compilation (0 ns more at the first call) has paid for itself against torch: from the "
        "first step."
    ) in small
    assert "Use jax or numpy: their times cannot be told apart." in advise_text.text(
        alike, table, asked(64)
    )


def noisy_machine(path: Path, factors: tuple[float, ...]) -> Any:
    """Networks whose times no law explains, those of torch so many times as long as jax's."""
    rng = np.random.default_rng(3)
    planned, records = [], []
    for width, factor in zip(WIDTHS, factors, strict=True):
        common = seconds(width, 64, 2e-5, 2e10) * math.exp(rng.normal(0, 0.5))
        for name, times in (("jax", 1.0), ("torch", factor)):
            case = Case(MLPWorkload(f"w{width}", spec(width), 64, 6400), "train_step", name)
            planned.append(case)
            records += [ok(p, round(1e9 * common * times * (1 + p / 500)), case) for p in range(5)]
    path.parent.mkdir(parents=True, exist_ok=True)
    return report_of(write(path, run_record(), plan_record(*planned), *records)).rows


def test_idioms_that_one_run_tells_apart_are_told_apart_between_its_networks(
    tmp_path: Path,
) -> None:
    """By their ratio: each time by itself is known within a factor of two, and they overlap."""
    table = noisy_machine(tmp_path / "j", (1.3, 1.4, 1.3, 1.5, 1.4, 1.3, 1.4))
    first, second = advise.answers(table, asked(300))

    assert ("jax", "torch") == (first.implementation, second.implementation)
    assert second.low < first.high
    assert 1.25 < second.ratio.low < second.ratio.value < 1.7
    assert "Use jax: torch takes" in "\n".join(advise_text.text([first, second], table, asked(300)))


def test_idioms_that_take_turns_are_not_told_apart_between_networks(tmp_path: Path) -> None:
    """Now one is ahead, now the other."""
    table = noisy_machine(tmp_path / "j", (1.6, 0.6, 1.5, 0.7, 1.6, 0.6, 1.5))
    answers = advise.answers(table, asked(300))

    assert "times cannot be told apart" in "\n".join(advise_text.text(answers, table, asked(300)))


def test_advice_knows_threads_and_first_calls(tmp_path: Path) -> None:
    """One thread is faster here; and a forward pass waits for its first call."""
    problem = MLPWorkload("w", spec(64), 64, 6400)
    planned, records = [], []
    for threads, nanoseconds in (("all", 90_000), ("1", 40_000)):
        case = Case(problem, "forward", "jax", threads=threads)
        planned.append(case)
        records += [ok(p, nanoseconds + p * 100, case, first_call_ns=2 * 10**8) for p in range(5)]
    table = report_of(write(tmp_path / "j", run_record(), plan_record(*planned), *records)).rows
    question = asked(64, operation="forward")

    lines = advise_text.text(advise.answers(table, question), table, question)

    assert "With 1 thread jax takes 40.2 us, which is faster." in lines
    assert "First call in a process: jax 200 ms." in lines
    assert lines[0].startswith("Forward pass of 784-64-10, batch 64")


def test_command_answers_from_this_machine_or_says_from_which_other_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 with an answer; 1 with a command to measure; 2 for what is no network.

    What another machine measured is marked as such, in the first line and in each row.
    """
    here = system.fingerprint(system.machine())
    mine, other = tmp_path / "mine", tmp_path / "other"
    journal(mine / "run" / "journal.jsonl", fingerprint=here)
    journal(other / "run" / "journal.jsonl")
    asked = ["advise", "--layers", "784-128-10", "--batch-size", "64", "--runs"]

    assert 0 == main([*asked, str(mine)])
    assert "Use torch" in capsys.readouterr().out
    assert 0 == main([*asked, str(other)])
    printed = capsys.readouterr().out
    assert printed.startswith(
        "No usable time of this one. Measured on another machine: Test CPU, 2 cores [f00d].\n"
    )
    assert 2 == printed.count("measured, another machine") and "Use torch" in printed
    assert 0 == main([*asked, str(mine), str(other)])
    assert "another machine" not in capsys.readouterr().out
    assert 1 == main([*asked, str(other), "--operation", "forward"])
    printed = capsys.readouterr().out
    assert "(1 run of other machines)" in printed and "samegrad benchmark --layers" in printed
    assert 2 == main([*asked, str(tmp_path / "nowhere")])
    capsys.readouterr()
    for wrong in (["--layers", "784"], ["--layers", "a-b"], ["--batch-size", "1,2"]):
        arguments = ["advise", "--layers", "784-16-10", *wrong, "--runs", str(mine)]
        assert 2 == main(arguments)
        (line,) = capsys.readouterr().err.splitlines()
        assert "samegrad advise: error: " in line


def test_command_says_that_a_machine_was_busy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how to measure once it is quiet; what another machine measured is said to be that."""
    here = system.fingerprint(system.machine())
    busy = {"record": "state", "when": "during", "seconds": 9.0, "cores": 2, "others": 1.9}
    journal(tmp_path / "mine" / "journal.jsonl", busy, fingerprint=here)
    journal(tmp_path / "other" / "journal.jsonl")

    assert 1 == main(["advise", "--layers", "784-128-10", "--runs", str(tmp_path / "mine")])
    printed = capsys.readouterr().out
    assert "This machine was busy in all that it measured" in printed and "(1 run)" in printed
    assert "--wait-quiet 600" in printed
    assert 0 == main(["advise", "--layers", "784-128-10", "--runs", str(tmp_path)])
    assert "No usable time of this one. Measured on another machine: " in capsys.readouterr().out


BUSY = {"record": "state", "when": "during", "seconds": 9.0, "cores": 2, "others": 1.9}


def test_busy_machine_answers_with_what_its_probes_predict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Marked, with their band, and how to measure; none of its times is used."""
    from tests.benchmarks.records.test_predictions import probed

    here = system.fingerprint(system.machine())
    journal(tmp_path / "mine" / "journal.jsonl", BUSY, *probed(), fingerprint=here)

    assert 0 == main(
        ["advise", "--layers", "784-128-10", "--batch-size", "64", "--runs", str(tmp_path)]
    )
    printed = capsys.readouterr().out
    assert printed.startswith("This machine was busy in 1 run. Its times are not used: these are ")
    assert "predicted, while it was busy" in printed and "Only numpy is known." in printed
    assert "To measure it instead:" in printed and "measured," not in printed


def test_memory_and_cold_start_are_kept_where_times_are_not_usable(tmp_path: Path) -> None:
    """Of a forward pass at batch 1 whose processes differ threefold."""
    problem = MLPWorkload("w", spec(64), 1, 64)
    case = Case(problem, "forward", "jax")
    records = [
        ok(p, 90_000 * 3**p, case, first_call_ns=2 * 10**8, import_ns=10**9, request_ns=[9] * 99)
        for p in range(5)
    ]
    about: dict[str, Any] = {"record": "memory", "case": case.to_dict(), "status": "ok"}
    memory = about | {"reason": "", "host_bytes": 3 * 2**20}
    path = write(tmp_path / "j", run_record(), plan_record(case), *records, memory)
    table, question = report_of(path).rows, asked(64, operation="forward", batch_size=1)

    known = advise.answers(table, question)
    lines = advise_text.text(known, table, question)

    assert [] == known and "Peak memory: jax 3.00 MiB." in lines
    assert "First call in a process: jax 200 ms." in lines and "Import: jax 1.00 s." in lines
    assert not any("p50" in line for line in lines)


@pytest.mark.parametrize(("latency", "said"), [(40_000, True), (400_000, False)])
def test_who_waits_for_each_call_is_told_of_another_winner(
    latency: int, said: bool, tmp_path: Path
) -> None:
    """jax is ahead where calls follow each other; numpy may answer sooner."""
    problem = MLPWorkload("w", spec(64), 1, 64)
    records, planned = [], []
    for name, nanoseconds, single in (("jax", 15_800, 168_000), ("numpy", 39_000, latency)):
        planned.append(Case(problem, "forward", name))
        records += [ok(p, nanoseconds + p, planned[-1], request_ns=[single] * 99) for p in range(5)]
    table = report_of(write(tmp_path / "j", run_record(), plan_record(*planned), *records)).rows
    question = asked(64, operation="forward", batch_size=1)

    lines = advise_text.text(advise.answers(table, question), table, question)

    told = "Where each call is waited for, numpy is the fastest, not jax."
    assert any(line.startswith("Use jax: numpy takes 2.47") for line in lines)
    assert said == (told in lines)


@pytest.mark.parametrize("most", [12, 1])
def test_runs_that_vanish_cost_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], most: int
) -> None:
    """Before they are read: of one the other is used, of both there is no measurement."""
    monkeypatch.setattr(loading, "MOST_RUNS", most)
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        journal(folder / "journal.jsonl", fingerprint=system.fingerprint(system.machine()))
    found = loading.paths([tmp_path])
    monkeypatch.setattr(loading, "paths", lambda _: found)
    read = {name: getattr(loading, name) for name in ("read", "first")}
    gone = 1

    def vanishing(name: str) -> Any:
        def after_some_are_gone(path: Path, **options: Any) -> Any:
            for folder in folders[:gone]:
                shutil.rmtree(folder, ignore_errors=True)
            return read[name](path, **options)

        return after_some_are_gone

    for name in read:
        monkeypatch.setattr(loading, name, vanishing(name))

    assert 0 == main(["advise", "--layers", "784-64-10", "--runs", str(tmp_path)])
    assert f"{folders[0] / 'journal.jsonl'}: cannot be read" in capsys.readouterr().err

    gone = 2
    assert 1 == main(["advise", "--layers", "784-64-10", "--runs", str(tmp_path)])
    out, error = capsys.readouterr()
    assert "No measurement of this machine" in out and "nothing is left" in error


def predictor(tmp_path: Path) -> Any:
    """Of probes of numpy alone, on a machine that keeps to the law."""
    from samegrad.benchmarks.records.journal import read
    from samegrad.reports.data.prediction import Predictor
    from tests.benchmarks.records.test_predictions import probed

    journal = read(write(tmp_path / "probes", run_record(), *probed()))
    return Predictor.of([journal], rows(tmp_path))


def test_what_was_never_measured_is_predicted_and_said_to_be(tmp_path: Path) -> None:
    """Far beyond all rows; within a factor of two where no row has shown better."""
    from tests.benchmarks.records.test_predictions import seconds as law

    question = asked(8192)
    (answer,) = advise.answers(rows(tmp_path), question, predictor(tmp_path))

    assert ("numpy", "predicted") == (answer.implementation, answer.how)
    assert answer.seconds == pytest.approx(law(question.case("numpy")), rel=1e-3)
    assert answer.seconds / 2 == answer.low and 2 * answer.seconds == answer.high
    printed = "\n".join(advise_text.text([answer], rows(tmp_path), question))
    assert "predicted" in printed and "To measure it instead:" in printed


def test_what_is_predicted_is_no_certain_winner(tmp_path: Path) -> None:
    """A measured one may be as fast, as long as the factors allow it."""
    answers = advise.answers(rows(tmp_path), asked(1024), predictor(tmp_path))
    known = {answer.implementation: answer for answer in answers}

    assert {"predicted", "measured"} == {answer.how for answer in answers}
    assert known["numpy"].ratio.low < known["numpy"].ratio.value < known["numpy"].ratio.high


def test_gpu_that_is_not_there_gets_a_band_by_its_data_sheet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By hand: 5 products of 0.6 us; the most is 22 kernels of 60 us and little else."""
    assert 0 == main(["advise", "--layers", "64-32-10", "--gpu", "H100 80GB HBM3"])
    said = capsys.readouterr().out

    assert "which is not here: predicted 3.00 us to 1.32 ms, nothing is measured" in said
    assert 2 == main(["advise", "--layers", "64-32-10", "--gpu", "H100 80GB HBM", *FLOAT64])
    assert "accepted: H200, H100 80GB HBM3" in capsys.readouterr().err


def test_cpu_stands_beside_a_gpu_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is known of it here, and how it is known; or what to run."""
    journal(tmp_path / "j" / "journal.jsonl", fingerprint=system.fingerprint(system.machine()))
    arguments = ["advise", "--layers", "784-128-10", "--gpu", "T4", "--runs", str(tmp_path)]

    assert 0 == main([*arguments, "--batch-size", "64", "--device", "cuda"])
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("The CPU of this machine: torch 573 us (measured, 562 us to 584 us), j")
    assert 0 == main([*arguments, "--batch-size", "9999"])
    said = capsys.readouterr().out
    assert "The CPU beside it: nothing is known in" in said and "--batch-size 9999" in said


FLOAT64 = ("--dtype", "float64")
