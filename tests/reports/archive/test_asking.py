"""Questions to an archive that take long, or much memory: one line, and Ctrl-C ends them."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb", reason="the extra archive is not installed")
pytest.importorskip("pyarrow", reason="the extra archive is not installed")

import resource

from samegrad.cli import main
from samegrad.reports.archive import adding, asking, store, tables
from tests.helpers.archives import journal


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run."""
    folder = tmp_path_factory.mktemp("archive")
    adding.add(folder / "a", adding.places([journal(folder / "1", name="first", day=1)]))
    return folder / "a"


ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t"


def test_a_query_without_an_end_is_said_and_given_up(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says how long it was waited for."""
    monkeypatch.setattr(asking, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 1.0)

    assert 2 == main(["archive", "query", ENDLESS, "--archive", str(archive)])

    *waiting, line = capsys.readouterr().err.splitlines()
    assert "no answer within 1 s" in line
    assert waiting and all("still waiting for the archive" in one for one in waiting)


def test_a_query_that_goes_on_when_it_is_told_to_end_is_left_behind(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as one that makes a long text: its connection cannot be closed, and that is no error."""
    going: list[Any] = []
    monkeypatch.setattr(asking, "_end", lambda connection, _: going.append(connection))
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.5)

    try:
        assert 2 == main(["archive", "query", ENDLESS, "--archive", str(archive)])
    finally:
        for connection in going:
            connection.interrupt()

    (line,) = capsys.readouterr().err.splitlines()
    assert "no answer within" in line


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Those of pytest again afterwards: a command that was interrupted ignores what comes then."""
    known = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = [signal.getsignal(number) for number in known]
    yield
    for number, handler in zip(known, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize(
    "query", [ENDLESS, pytest.param("SELECT sum(n % 7) FROM range(100000000000) t(n)", id="long")]
)
def test_interrupt_ends_a_query(
    query: str, archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DuckDB, in the main thread, would not hear of it."""
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 60.0)
    ending = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
    ending.start()

    assert 130 == main(["archive", "query", query, "--archive", str(archive)])

    ending.cancel()
    assert ["interrupted"] == capsys.readouterr().err.splitlines()


@pytest.mark.usefixtures("own_signals")
def test_interrupt_of_which_c_code_makes_another_exception_is_one(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As DuckDB does; one that nobody interrupted stays what it is."""
    heard: list[int] = []

    def fail(*_: object) -> None:
        try:
            for number in heard:
                signal.raise_signal(number)
        except KeyboardInterrupt:
            pass
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr(store, "patiently", fail)
    typed = ["archive", "query", "SELECT 1", "--archive", str(archive)]

    with pytest.raises(RuntimeError):
        main(typed)
    heard.append(signal.SIGINT)
    assert 130 == main(typed)
    assert ["interrupted"] == capsys.readouterr().err.splitlines()


def test_a_query_that_takes_too_much_memory_is_one_line(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It neither fills the disk nor ends the process."""
    monkeypatch.setattr(asking, "MEMORY", "50MB")
    query = "SELECT list(a.range || '' || b.range) FROM range(100000) a, range(100) b"

    assert 2 == main(["archive", "query", query, "--archive", str(archive)])

    (line,) = capsys.readouterr().err.splitlines()
    assert "Out of Memory" in line


@pytest.mark.skipif(not asking.TAKEN.exists(), reason="the system does not count it")
def test_texts_that_take_too_much_memory_are_one_line(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DuckDB counts them only once they are made; afterwards the process may grow again."""
    monkeypatch.setattr(asking, "MORE_BYTES", 2**27)
    before = resource.getrlimit(resource.RLIMIT_AS)

    for query in ("SELECT repeat('x', 1000000000)", "SELECT repeat('x', 2000000) FROM range(60)"):
        assert 2 == main(["archive", "query", query, "--archive", str(archive)])
        *_, line = capsys.readouterr().err.splitlines()
        assert "memory" in line.lower()
    assert before == resource.getrlimit(resource.RLIMIT_AS)


def test_a_long_text_of_an_answer_is_cut_quickly(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To a column's width; a file has all of it, or refuses it."""
    monkeypatch.setattr(tables, "LONGEST", 3_999_999)
    query = "SELECT repeat(chr(27), 4000000) AS x"
    typed = ["archive", "query", query, "--archive", str(archive)]
    began = time.process_time()

    assert 0 == main(typed)
    assert time.process_time() - began < 1.5
    shown = capsys.readouterr().out.splitlines()[-1].strip()
    assert shown.startswith(r"\x1b" * 20) and shown.endswith("...") and len(shown) <= 100
    assert 2 == main([*typed, "--csv"])
    assert "left(column, 1000)" in capsys.readouterr().err
