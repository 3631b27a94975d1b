"""A child process: it answers, waits for more requests, and leaves nothing behind."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.implementations.checking import processes
from samegrad.implementations.checking.processes import Child, Exit, run_child

ECHO = """
import os, time
from samegrad.implementations.checking import processes

def answer(request, send):
    while True:
        message = {"received": request}
        processes.send_and_wait(message, send) if "wait_for_parent" in request else send(message)
        if request.get("exit") is not None:
            os._exit(request["exit"])
        time.sleep(request.get("sleep", 0))
        if "make" in request:
            open(request["make"], "w").close()
            while not os.path.exists(request["wait"]):
                time.sleep(0.01)
        request = processes.next_request(send)

processes.serve(answer)
"""
COMMAND = [sys.executable, "-c", ECHO]
SURROUNDINGS = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def child() -> Iterator[Child]:
    """One that repeats what it receives, and waits."""
    with Child(COMMAND, SURROUNDINGS) as started:
        yield started


def exchange(child: Child, request: dict[str, Any], limit: float = 30.0) -> tuple[list[Any], Any]:
    """What it answers, and how it ended, if it did."""
    received: list[Any] = []
    child.send(request)

    def on_message(message: dict[str, Any]) -> float:
        received.append(message["received"])
        return limit

    return received, child.receive(on_message, limit)


def test_child_waits_between_requests(child: Child) -> None:
    """For as many requests as there are; then how it ended is known."""
    assert ([{"n": 1}], None) == exchange(child, {"n": 1})
    assert ([{"n": 2}], None) == exchange(child, {"n": 2})
    received, ended = exchange(child, {"exit": 3})

    assert [{"exit": 3}] == received
    assert ("crashed", "exit status 3") == (ended.kind, ended.reason)


def test_two_children_work_at_the_same_time(tmp_path: Path) -> None:
    """Both get a request before either answers: each waits for what the other one makes."""
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    with Child(COMMAND, SURROUNDINGS) as first, Child(COMMAND, SURROUNDINGS) as second:
        first.send({"make": a, "wait": b})
        second.send({"make": b, "wait": a})

        assert first.receive(lambda _: None, 30.0) is None
        assert second.receive(lambda _: None, 30.0) is None


def test_child_that_waits_goes_on_once_its_message_is_dealt_with(
    child: Child, tmp_path: Path
) -> None:
    """What it does next begins when the parent has dealt with its message, not before."""
    made, wait = tmp_path / "made", tmp_path / "wait"
    wait.touch()
    for waits, expected in ((True, False), (False, True)):
        made.unlink(missing_ok=True)
        existed: list[bool] = []

        def on_message(
            _: dict[str, Any], existed: list[bool] = existed, waits: bool = waits
        ) -> None:
            deadline = time.monotonic() + (0.2 if waits else 30)
            while not made.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            existed.append(made.exists())

        child.send(
            {"make": str(made), "wait": str(wait), **({"wait_for_parent": True} if waits else {})}
        )

        assert child.receive(on_message, 30.0) is None
        assert [expected] == existed
        assert made.exists()


def test_child_that_dies_while_it_waits_is_noticed_at_the_next_request(child: Child) -> None:
    """Not before, and without an exception."""
    exchange(child, {})
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait(30)

    received, ended = exchange(child, {"n": 2})

    assert [] == received
    assert ("crashed", "killed by SIGKILL") == (ended.kind, ended.reason)


def test_child_that_hangs_is_killed_with_its_group(child: Child) -> None:
    """After the limit of this request."""
    exchange(child, {})
    _, ended = exchange(child, {"sleep": 60}, limit=0.3)
    child.close()

    assert ("timeout", "no result within 0 s; killed") == (ended.kind, ended.reason)
    assert child.process.returncode is not None


def test_silence_is_told(
    child: Child, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What takes so long, for how long, and what the limit is; an answer ends it."""
    child.doing = "judging blocks, 2 of 3"
    monkeypatch.setattr(processes, "SILENT_SECONDS", 0.4)
    _, ended = exchange(child, {"sleep": 60}, limit=1.0)

    assert ended is not None and "timeout" == ended.kind
    told = [
        f"samegrad: still judging blocks, 2 of 3: {so_far} s so far, at most 1 s"
        for so_far in (0, 1)
    ]
    assert told == capsys.readouterr().err.splitlines()[-2:]


def test_child_of_one_request_must_not_wait_for_another() -> None:
    """There would be none."""
    ended = run_child(COMMAND, {}, SURROUNDINGS, lambda _: None, 30.0)

    assert "crashed" == ended.kind and "it waits" in ended.reason


@pytest.mark.parametrize("noise", ["x", "{}\n", "\n[1]\nnull\n", "\xff\xfe", '{"task": 99}\n'])
def test_what_else_is_written_into_the_pipe_of_messages_is_passed_over(noise: str) -> None:
    """By a library, or by a file that writes to every descriptor that is open."""
    writes = f"import os, sys\nos.write(1, {noise.encode('latin-1')!r})\n"
    received: list[Any] = []

    with Child([sys.executable, "-c", writes + ECHO], SURROUNDINGS) as child:
        child.send({"n": 1})
        assert child.receive(received.append, 30.0) is None

    assert [{"received": {"n": 1}}] == received


def test_message_that_something_is_written_into_is_said() -> None:
    """It is no error of whoever reads it."""
    garbles = "import os\nprint(os.environ['SAMEGRAD_MESSAGES'] + '{\"n\": ', flush=True)\n"

    ended = run_child([sys.executable, "-c", garbles], {}, SURROUNDINGS, lambda _: None, 30.0)

    assert "crashed" == ended.kind
    assert "something else was written into the pipe of its messages" == ended.reason


WRITES = """
import os, sys, time
def write(text):
    os.write(1, (os.environ["SAMEGRAD_MESSAGES"] + text + "\\n").encode())
"""


@pytest.mark.parametrize("error", processes.SENSELESS)
def test_message_that_makes_no_sense_ends_its_child_alone(error: type[Exception]) -> None:
    """A file can write messages; whoever reads them goes on."""

    def on_message(_: dict[str, Any]) -> None:
        raise error("x")

    ended = run_child([sys.executable, "-c", WRITES + "write('{}')"], {}, {}, on_message, 30.0)

    assert Exit("crashed", f"one of its messages makes no sense ({error.__name__}: x)") == ended


@pytest.mark.parametrize("line", ["[1]", "[" * 100_000, '{"n": 1e999}', '{"n": NaN}', "5", ""])
def test_line_that_is_no_message_ends_its_child_alone(line: str) -> None:
    """Of whatever it is: a list, what nests too deep to be read, what is no number."""
    code = f"{WRITES}write({line!r})"

    ended = run_child([sys.executable, "-c", code], {}, {}, lambda _: None, 30.0)

    assert ("crashed", True) == (ended.kind, "written into the pipe" in ended.reason)


@pytest.mark.parametrize("pause", ["pass", "time.sleep(0.2)"])
def test_messages_that_renew_nothing_do_not_prolong_a_request(pause: str) -> None:
    """However many come, and however fast."""
    code = f"{WRITES}while True:\n    write('{{}}')\n    {pause}"

    ended = run_child([sys.executable, "-c", code], {}, {}, lambda _: None, 1.0)

    assert Exit("timeout", "no result within 1 s; killed") == ended


def test_large_request_to_a_child_that_does_not_read_ends_at_the_limit() -> None:
    """A pipe takes 64 KiB."""
    with Child([sys.executable, "-c", "import time; time.sleep(600)"], SURROUNDINGS) as child:
        child.send({"text": "x" * 2**20})

        assert "timeout" == getattr(child.receive(lambda _: None, 0.3), "kind", None)


def test_what_outlives_the_work_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is no daemon keeps a process alive whose last message has come."""
    monkeypatch.setattr(processes, "END_SECONDS", 0.3)
    code = ECHO.partition("def answer")[0] + (
        "import threading\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "processes.serve(lambda request, send: send({'received': request}))\n"
    )
    with Child([sys.executable, "-c", code], SURROUNDINGS) as child:
        assert ([{"n": 1}], Exit("ok", "")) == exchange(child, {"n": 1}, limit=20)


ESCAPES = """
import os, time
from samegrad.implementations.checking import keeper, processes

keeper.keep()

def answer(request, send):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        with open(request["file"] + ".part", "w") as file:
            file.write(str(os.getpid()))
        os.rename(request["file"] + ".part", request["file"])
        time.sleep(600)
    while not os.path.exists(request["file"]):
        time.sleep(0.01)
    send({"received": 1})
    if os.fork() == 0 and request["then"] != "doubles":
        time.sleep(600)
    send({"received": 2})
    if request["then"] == "hangs":
        time.sleep(600)
    if request["then"] == "exits":
        os._exit(0)

processes.serve(answer)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands down orphans")
@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("returns", Exit("ok", "")),
        ("doubles", Exit("ok", "")),
        ("hangs", Exit("timeout", "no result within 2 s; killed")),
        ("exits", Exit("crashed", "exit status 0 before its work was done")),
    ],
)
def test_no_descendant_outlives_a_child(then: str, expected: Exit, tmp_path: Path) -> None:
    """In a session of its own, an orphan, with the pipe of messages open: it holds nobody up."""
    file, limit = tmp_path / "number", 2 if then == "hangs" else 20  # that one waits until then
    with Child([sys.executable, "-c", ESCAPES], SURROUNDINGS) as child:
        received, ended = exchange(child, {"file": str(file), "then": then}, limit)

    assert ([1, 2], expected) == (received, ended)
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


PRINTS = """
import os, sys
for _ in range(100):
    os.write(2, b"x" * 10_000 + b"\\n")
print("the last words", file=sys.stderr)
sys.exit(3)
"""


ADVICE = """
from samegrad.implementations.checking import processes
class CompilerError(RuntimeError): pass
def answer(request, send):
    raise CompilerError("no such header: Python.h\\n\\nSet VERBOSE=1 for more\\n")
processes.serve(answer)
"""


def test_reason_is_what_was_raised_not_the_advice_at_its_end() -> None:
    """The messages of torch.compile end in advice."""
    ended = processes.run_child(
        [sys.executable, "-c", ADVICE], {}, dict(os.environ), lambda _: None, 30.0
    )

    text = "exit status 1: CompilerError: no such header: Python.h Set VERBOSE=1 for more"
    assert ended == Exit("crashed", text)


def test_what_a_child_prints_fills_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is kept in memory, of which the last line is the reason."""
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *_, **__: pytest.fail("a file"))

    with Child([sys.executable, "-c", PRINTS], dict(os.environ)) as child:
        ended = child.receive(lambda _: None, 30.0)

        assert ended == Exit("crashed", "exit status 3: the last words")
        assert len(child._printed) == processes.PRINTED_BYTES
