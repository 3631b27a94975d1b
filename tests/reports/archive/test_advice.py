"""Advice from an archive: what machines like this one say, how many, and what is not known."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb", reason="the extra archive is not installed")
pytest.importorskip("pyarrow", reason="the extra archive is not installed")

from samegrad.benchmarks.machine import system
from samegrad.cli import main
from samegrad.reports.archive import adding, advice, store
from tests.reports.data.test_advise import asked, journal

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
    places.append(run(folder, "large", cpu="Large CPU", cores="128"))
    adding.add(folder / "a", places)
    return folder / "a"


def test_machines_with_the_same_processor_are_asked(archive: Path) -> None:
    """How many they are stands first, what is not known last."""
    made, text = said(archive, 1024)

    assert 4 == len(made.known) and not made.own
    assert "rests on 4 machines: machines with Test CPU and 8 cores, runs of 2026-02-03." in text
    assert "Use torch: on all of them none is certainly faster." in text
    assert "this machine itself: no run of it in the archive tells" in text
    assert "Use jax" in said(archive, 16)[1]


def test_this_very_machine_answers_for_itself(archive: Path) -> None:
    """Alone."""
    made, text = said(archive, 1024, memory_gib="2")

    assert made.own and "rests on 1 machine: this very machine" in text
    assert "this machine itself" not in text


def test_too_few_alike_ask_those_of_about_as_many_cores(archive: Path) -> None:
    """The large one is not among them."""
    made, text = said(archive, 300, cpu="CPU 1", cores="16")

    assert 6 == len(made.known)
    assert "rests on 6 machines: x86_64 machines with 8 to 32 cores" in text
    assert "torch on this very network: interpolated on 6 of 6 machines" in text


def test_machine_that_differs_is_counted(archive: Path, tmp_path: Path) -> None:
    """An implementation that is not known on all of them, and a machine that says nothing."""
    with store.opened(archive) as connection:
        alike = advice.groups(HERE, "none", "cpu")
        made = advice.ask(connection, asked(1024), alike)
    assert made is not None
    first, *others = made.known
    part = {first: made.known[first][:1]} | {name: made.known[name] for name in others}
    lines = list(advice.text(advice.Advice(made.words, part, 2, made.dates, False), asked(1024)))

    assert "  jax on 1 of these machines" in lines
    assert any(
        line.startswith("  2 more of these machines: they measured neither") for line in lines
    )


@pytest.mark.parametrize(("width", "device"), [(4, "cpu"), (1024, "cuda")])
def test_nothing_is_advised_where_nothing_is_known(
    width: int, device: str, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """But how to measure it; 1."""
    command = ["advise", "--layers", f"784-{width}-10", "--batch-size", "64", "--device", device]

    assert 1 == main([*command, "--archive", str(archive)])

    said = capsys.readouterr().out
    assert f"nothing in {archive} tells, of this very machine" in said
    assert f"samegrad benchmark --layers 784-{width}-10" in said


def test_command_tells_what_the_archive_knows(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0; and refuses what does not go with it."""
    monkeypatch.setattr(system, "machine", lambda: HERE)
    command = ["advise", "--layers", "784-1024-10", "--batch-size", "64", "--archive", str(archive)]

    assert 0 == main(command)
    assert "Use torch" in capsys.readouterr().out
    assert 2 == main([*command, "--gpu", "H100 PCIe"])
    assert "--archive goes with neither --runs nor --gpu" in capsys.readouterr().err
