"""Advice from an archive: what machines like this one say, how many, and what is not known."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb", reason="the extra archive is not installed")
pytest.importorskip("pyarrow", reason="the extra archive is not installed")

from samegrad.benchmarks.clock.intervals import Ratio
from samegrad.benchmarks.machine import system
from samegrad.cli import main
from samegrad.reports.archive import adding, advice, store
from tests.reports.data.test_advise import asked, journal, spec

HERE = {
    "cpu": "Test CPU", "cores": "8", "gpu": "none", "architecture": "x86_64", "memory_gib": "8",
    "system": "Linux 6", "commit": "abc",
}  # fmt: skip


def run(folder: Path, name: str, **facts: str) -> Path:
    """The journal of a machine: jax starts fast, torch computes fast."""
    machine = HERE | facts
    about: dict[str, Any] = {"machine": machine, "fingerprint": system.fingerprint(machine)}
    started = "2026-02-03T00:00:00+00:00"
    return journal(folder / name / "journal.jsonl", run=name, started=started, **about)


def said(archive: Path, width: int, **facts: str) -> tuple[advice.Advice, str]:
    """What is advised on a machine."""
    here = HERE | facts
    alike = advice.groups(here, system.fingerprint(here), "cpu")
    with store.opened(archive) as connection:
        made = advice.ask(connection, asked(width), alike)
    assert made is not None
    return made, "\n".join(advice.text(made, asked(width)))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four machines with one processor, two with another and as many cores; a large one."""
    folder = tmp_path_factory.mktemp("advice")
    places = [run(folder, f"same{n}", memory_gib=str(n)) for n in range(1, 5)]
    places += [run(folder, f"other{n}", cpu=f"CPU {n}", memory_gib=str(n)) for n in (1, 2)]
    places.append(run(folder, "large", cpu="Large CPU", cores="128", gpu="Test GPU"))
    adding.add(folder / "a", places)
    return folder / "a"


def test_machines_with_the_same_processor_are_asked(archive: Path) -> None:
    """How many they are stands first, what is not known last."""
    made, text = said(archive, 1024)

    assert 4 == len(made.known) and not made.own
    assert "rests on 4 machines: machines with Test CPU and 8 cores, runs of 2026-02-03." in text
    assert "Use torch: on all 4 machines none is certainly faster." in text
    assert "this machine itself: no run of it in the archive tells" in text
    assert "Use jax" in said(archive, 16)[1]


def test_this_very_machine_answers_for_itself(archive: Path) -> None:
    """Alone."""
    made, text = said(archive, 1024, memory_gib="2")

    assert made.own and "rests on 1 machine: this very machine" in text
    assert "this machine itself" not in text and "perhaps on" not in text
    assert "Use torch: jax takes 4.38 times as long." in text and "  measured" in text


def test_too_few_alike_ask_those_of_about_as_many_cores(archive: Path) -> None:
    """The large one is not among them."""
    made, text = said(archive, 300, cpu="CPU 1", cores="16")

    assert 6 == len(made.known)
    assert "rests on 6 machines: x86_64 machines with 8 to 32 cores" in text
    assert "torch, jax on this very network: interpolated on 6 of 6 machines" in text


def test_machine_that_differs_is_counted(archive: Path, tmp_path: Path) -> None:
    """An implementation that is not known on all of them, and a machine that says nothing."""
    with store.opened(archive) as connection:
        alike = advice.groups(HERE, "none", "cpu")
        made = advice.ask(connection, asked(1024), alike)
    assert made is not None
    first, *others = made.known
    part = {first: made.known[first][:1]} | {name: made.known[name] for name in others}
    told = replace(made, known=part, silent=2, otherwise={"c": ["float64"]})
    lines = list(advice.text(told, asked(1024)))

    assert "  jax on 1 of these machines" in lines
    assert any(
        line.startswith("  2 more of these machines, which have measured neither") for line in lines
    )
    assert "  c in float32: measured in float64 only" in lines


def test_times_that_cannot_be_told_apart_are_no_victory(archive: Path) -> None:
    """Without an interval, or with a wide one, the fastest is not alone; certainly slower is."""
    made, _ = said(archive, 1024)
    torch, jax = next(iter(made.known.values()))
    near = replace(jax, seconds=1.3 * torch.seconds, low=1e-9, ratio=Ratio(1.3, 0.9, 1.9))
    unknown = replace(near, low=math.nan, high=math.nan, ratio=Ratio(1.3))
    for other in (near, unknown):
        told = replace(made, known={"a": [torch, other], "b": [torch, jax]})
        lines = list(advice.text(told, asked(1024)))
        counts = {cells[0]: cells[1:7] for cells in map(str.split, lines) if len(cells) > 7}
        first = "1" if other is unknown else "2"  # without an interval nobody is
        assert [first, "of", "2", str(2 - int(first)), "of", "2"] == counts["torch"]
        assert ["0", "of", "2", "1", "of", "2"] == counts["jax"]
        alone = "\n".join(advice.text(replace(made, known={"a": [torch, other]}), asked(1024)))
        if other is near:
            assert "Use torch or jax: their times cannot be told apart." in alone
            assert "1.00 ns" in alone  # the end of its interval
        else:
            assert "No advice: no interval says which is faster" in alone and "Use" not in alone


def test_only_one_is_no_choice(archive: Path) -> None:
    """What others have measured in another dtype is said."""
    made, _ = said(archive, 1024)
    torch, _ = next(iter(made.known.values()))
    told = replace(made, known={"a": [torch]})

    assert "Only torch is known: there is nothing to choose from." in advice.text(told, asked(1024))


def test_rows_of_versions_and_of_another_dtype_are_no_candidates(tmp_path: Path) -> None:
    """A version of a library is no implementation; what is known in float32 only is said."""
    adding.add(tmp_path / "a", [run(tmp_path, "one")])
    alike = advice.groups(HERE, system.fingerprint(HERE), "cpu")
    doubles = asked(1024, spec=replace(spec(1024), dtype="float64"))
    with store.opened(tmp_path / "a") as connection:
        connection.execute("CREATE TABLE its AS SELECT * FROM rows")
        connection.execute("CREATE OR REPLACE TEMP VIEW rows AS SELECT * FROM its")
        connection.execute("UPDATE its SET dtype = 'float64' WHERE implementation = 'jax'")
        made = advice.ask(connection, doubles, alike)
        connection.execute("UPDATE its SET preset = 'versions'")
        assert made is not None and advice.ask(connection, doubles, alike) is None

    assert {"torch": ["float32"]} == made.otherwise


@pytest.mark.parametrize(("width", "device"), [(4, "cpu"), (1024, "cuda")])
def test_nothing_is_advised_where_nothing_is_known(
    width: int,
    device: str,
    archive: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """But how to measure it, and what GPUs the archive has; 1."""
    monkeypatch.setattr(system, "machine", lambda: HERE)
    command = ["advise", "--layers", f"784-{width}-10", "--batch-size", "64", "--device", device]

    assert 1 == main([*command, "--archive", str(archive)])

    said = capsys.readouterr().out
    assert f"nothing in {archive} tells, of this very machine" in said
    assert f"samegrad benchmark --layers 784-{width}-10" in said
    assert ("There is no GPU on this machine." in said) == (device == "cuda")
    assert ("GPUs with runs there: Test GPU." in said) == (device == "cuda")


def test_command_tells_what_the_archive_knows(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0; and refuses what does not go with it."""
    monkeypatch.setattr(system, "machine", lambda: HERE)
    command = ["advise", "--layers", "784-1024-10", "--batch-size", "64", "--archive", str(archive)]

    assert 0 == main(command)
    assert "Use torch" in capsys.readouterr().out
    assert 1 == main([*command, "--gpu", "test g"])  # which has no row on cuda
    assert "on cuda: nothing" in (shown := capsys.readouterr().out)
    assert "of machines with a GPU 'test g'" in shown
    assert 2 == main([*command, "--runs", str(archive)])
    assert "--archive goes without --runs" in capsys.readouterr().err
