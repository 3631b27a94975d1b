"""A child process with limits that speaks JSON lines. Standard library only.

The child gets a JSON line on its standard input (the request) and answers with JSON lines. It may
then wait for another. Its standard input stays open while the parent lives; when it closes, the
child ends itself: no orphan is left. Whatever else is printed goes to standard error, whose end
becomes part of the reason when it crashes.

A last message says that its work is done: a child that ends without it has crashed, whatever its
exit status, and what outlives the work is ended. On Linux the child has a keeper (`keeper`), which
ends every descendant of it, so that no limit depends on what these do.
"""

import contextlib
import io
import json
import math
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samegrad.implementations.checking.keeper import children, prctl
from samegrad.implementations.contract.sources import raised

Message = dict[str, Any]
IDLE = {"idle": True}  # the last message of a child that waits for another request
DONE = {"done": True}  # the last message of a child whose work is done
WAITS = "waits"  # key of a message that the child waits with until it has been dealt with
# Environment variable with what each message of a child begins with: whatever else gets into their
# pipe (a file may write to every descriptor that is open) is passed over.
MARK = "SAMEGRAD_MESSAGES"
EARLY = " before its work was done"
END_SECONDS = 5.0  # for a child whose work is done, or that was killed, to be gone
SILENT_SECONDS = 30.0  # of a child, before the user is told of them
SILENCE = "samegrad: still {}: {:.0f} s so far, at most {:.0f} s\n"
LONGEST = 2**30  # bytes of a message; what is longer is none
PRINTED_BYTES = 2**16  # of what a child prints that are kept: its end
READ_SECONDS = 1.0  # to read what a child had written that has ended
OTHERS_SEND = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT")  # signals
# What reading a message raises that is none of ours: whose file runs in a child can write any.
SENSELESS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
MANY = 1000  # messages that wait to be read; then the child waits, too
SHORT = 4096  # bytes that a pipe takes at once, even where nobody reads them

# Run by `python -P -c BOOTSTRAP FOLDER MODULE CORES`: samegrad comes from FOLDER whatever the
# current folder holds, and nothing beside it gets onto the path of an interpreter that is not ours.
# The cores are chosen first: what is imported starts its threads by them.
BOOTSTRAP = """
import importlib, importlib.util, os, sys
folder, module, cores = sys.argv[1:4]
if cores:
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
spec = importlib.util.spec_from_file_location(
    "samegrad", f"{folder}/__init__.py", submodule_search_locations=[folder])
package = sys.modules["samegrad"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
sys.path.append(os.getcwd())  # for package.module of the user, after everything else
importlib.import_module("samegrad.implementations.checking.keeper").keep()
importlib.import_module(module).main()
"""


def python_child(
    module: str, interpreter: str = sys.executable, cores: Sequence[int] | None = None
) -> list[str]:
    """The command line of a child that runs `main()` of a module of ours.

    Args:
        cores: to which the child is bound before it imports anything.
    """
    folder = str(Path(str(sys.modules["samegrad"].__file__)).resolve().parent)
    bound = ",".join(map(str, cores or ()))
    return [interpreter, "-P", "-c", BOOTSTRAP, folder, module, bound]


@dataclass(frozen=True)
class Exit:
    """How a child ended.

    Attributes:
        kind: "ok", "crashed" or "timeout".
        reason: one line; empty for "ok".
        killed: whether a signal ended it that others send: it may be no fault of what it did.
    """

    kind: str
    reason: str
    killed: bool = False


class Child:
    """A child in a session of its own, which ends with its `with` block."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], shown: bool = False
    ) -> None:
        """Start it.

        Args:
            command: program and arguments.
            environment: the child's whole environment.
            shown: whether what it prints is shown on our standard error.
        """
        self._mark = secrets.token_hex(16)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if shown else subprocess.PIPE,
            env={**environment, MARK: self._mark},
            bufsize=0,
            start_new_session=True,
        )
        _alive.add(self)
        # Each with the moment at which it came; None when nothing else will come.
        self.lines: queue.Queue[tuple[int, bytes] | None] = queue.Queue()
        self.arrived_ns = self.answered_ns = 0  # of the last message; of the last that waited
        self.answer: Message = {}  # to the next one that waits
        self.doing = "waiting for a process"  # as users are told where it is silent
        self._working, self._printed = 0, b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._listener.start()
        self._reader.start()
        self._watcher.start()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, message: Message) -> None:
        """Send a request to the child, as one JSON line; it need not be reading."""
        data = json.dumps(message).encode() + b"\n"
        if len(data) <= SHORT:
            self._write(data)
        else:
            threading.Thread(target=self._write, args=(data,), daemon=True).start()

    def receive(
        self, on_message: Callable[[Message], float | None], time_limit: float
    ) -> Exit | None:
        """Receive messages until the child waits for another request or ends.

        Args:
            on_message: called with each message. A number that it returns is the time limit in
                seconds for what comes next; with None the present one runs on. What it raises of
                SENSELESS is a fault of the message, and ends the child.
            time_limit: seconds for the first message; when they have passed, it is to be closed.

        Returns:
            None when the child waits for another request, otherwise how it ended.
        """
        limit, silent = time_limit, 0.0
        deadline = time.monotonic() + limit
        while True:
            wait = min(deadline - time.monotonic(), SILENT_SECONDS)
            try:
                received = self.lines.get(timeout=max(wait, 0))
            except queue.Empty:
                silent += wait
                if time.monotonic() >= deadline:
                    return _too_long(limit)
                if threading.current_thread() is threading.main_thread():  # others are waited for
                    sys.stderr.write(SILENCE.format(self.doing, silent, limit))
                continue
            silent = 0.0
            if received is None:
                self.lines.put(None)  # however often it is asked
                return _ended(self.process.wait(END_SECONDS), self._printed)
            self.arrived_ns, line = received
            try:
                message = json.loads(line, parse_constant=_number, parse_float=_number)
                waits = message.pop(WAITS, False)
            except SENSELESS:
                return Exit("crashed", "something else was written into the pipe of its messages")
            if message == IDLE:
                return None
            if message == DONE:  # what keeps it from ending is ended with it
                self._watcher.join(END_SECONDS)
                return Exit("ok", "")
            try:
                renewed = on_message(message)
            except SENSELESS as error:
                said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                return Exit("crashed", f"one of its messages makes no sense ({said})")
            if renewed:
                limit, deadline = renewed, time.monotonic() + renewed
            elif time.monotonic() >= deadline:
                return _too_long(limit)
            if waits:
                answer, self.answer = self.answer, {}
                self.answered_ns = time.perf_counter_ns()
                self.send(answer)

    def close(self) -> None:
        """End it, and everything that it has started."""
        _alive.discard(self)
        assert self.process.stdin is not None
        if sys.platform == "linux" and self._watcher.is_alive():
            self.process.terminate()  # its keeper ends all others first
            self._watcher.join(END_SECONDS)
        _kill_group(self.process)
        self._watcher.join(END_SECONDS)
        if self._watcher.is_alive():
            sys.stderr.write(f"process {self.process.pid} cannot be killed; it is left\n")
        with contextlib.suppress(OSError):  # a broken pipe; on Windows an invalid argument
            self.process.stdin.close()
        for reader in (self._reader, self._listener):
            reader.join(READ_SECONDS)  # unless somebody out of reach has the other end still

    @property
    def threads(self) -> tuple[int, ...]:
        """Ids of our threads that its messages pass through."""
        return threading.get_native_id(), self._reader.native_id or 0

    def working(self) -> int:
        """The id of the process that does the work: on Linux its keeper is the one we started.

        Looked for once: all processes of the system are read for it (2.7 ms, twice a block).
        """
        if not self._working:
            self._working = next(iter(children(self.process.pid)), 0)
        return self._working or self.process.pid

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        rest = memoryview(data)
        with contextlib.suppress(OSError, ValueError):  # it has ended; receive() says how
            while rest:
                rest = rest[self.process.stdin.write(rest) :]

    def _read(self) -> None:
        assert self.process.stdout is not None
        with (
            contextlib.suppress(OSError, ValueError),
            io.BufferedReader(self.process.stdout) as stream,  # type: ignore[type-var] # a FileIO
        ):
            while line := stream.readline(LONGEST):
                _, marked, message = line.rpartition(self._mark.encode())
                while self.lines.qsize() >= MANY and self.process.returncode is None:
                    time.sleep(0.01)
                if marked:
                    self.lines.put((time.perf_counter_ns(), message))

    def _listen(self) -> None:
        """Keep the end of what it prints, and none of it on a disk, which it could fill."""
        with (
            contextlib.suppress(OSError, ValueError),
            self.process.stderr or io.BytesIO() as stream,
        ):
            while printed := stream.read(PRINTED_BYTES):
                self._printed = (self._printed + printed)[-PRINTED_BYTES:]
                time.sleep(0.001)  # or what prints without end takes a core of ours

    def _watch(self) -> None:
        """Say that it has ended, after all that it had to say."""
        self.process.wait()
        for reader in (self._reader, self._listener):
            reader.join(READ_SECONDS)  # a descendant may keep the pipe open for ever
        self.lines.put(None)


_alive: set[Child] = set()


def end_all() -> None:
    """End every child, and everything that it has started; who receives from one is told so."""
    for child in list(_alive):
        if sys.platform != "linux":
            _kill_group(child.process)
        child.process.terminate()


def run_child(
    command: list[str],
    request: Message,
    environment: Mapping[str, str],
    on_message: Callable[[Message], float | None],
    time_limit: float,
    shown: bool = False,
    doing: str = "",
) -> Exit:
    """Run a child for one request: arguments as of `Child`, `Child.send`, `Child.receive`.

    Args:
        doing: what takes long where it is silent: "still DOING: 30 s so far, at most 60 s".
    """
    with Child(command, environment, shown) as child:
        child.doing = doing or child.doing
        child.send(request)
        ended = child.receive(on_message, time_limit)
    return ended or Exit("crashed", "it waits for another request, and there is none")


def serve(answer: Callable[[Message, Callable[[Message], None]], None]) -> None:
    """The child's side: read the request, call `answer(request, send)`, end with the parent."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not break the stream of messages
    prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: even while a call holds the interpreter
    threading.Thread(target=_read_requests, daemon=True).start()
    own, mark = os.getpid(), os.environ.pop(MARK, "")

    def send(message: Message) -> None:
        if os.getpid() != own:  # a fork that goes on with a copy of our work
            os._exit(0)
        out.write(f"{mark}{json.dumps(message, allow_nan=False)}\n")
        out.flush()

    try:
        answer(_requests.get(), send)
    except Exception as error:
        traceback.print_exc()
        sys.exit(raised(error))  # a traceback may end with advice, as some frameworks' do
    send(DONE)


def given(request: Message) -> None:
    """The child's side: a request that came in another way, before `serve`."""
    _requests.put(request)


def next_request(send: Callable[[Message], object]) -> Message:
    """The child's side: this request is answered; wait for the next one."""
    send(IDLE)
    return _requests.get()


def send_and_wait(message: Message, send: Callable[[Message], object]) -> Message:
    """The child's side: send a message, and go on once the parent has dealt with all before it.

    The parent sleeps then. What it did meanwhile would disturb what the child is about to time.

    Returns:
        What the parent answers (`Child.answer`).
    """
    send({**message, WAITS: True})
    return _requests.get()


_requests: "queue.Queue[Message]" = queue.Queue()


def _read_requests() -> None:
    """Keep the requests of the parent; end when it is gone."""
    rest = b""
    while received := os.read(0, 65536):
        *lines, rest = (rest + received).split(b"\n")
        for line in lines:
            _requests.put(json.loads(line))
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)  # what it has started goes, too
    os._exit(1)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON")
    return number


def _too_long(limit: float) -> Exit:
    return Exit("timeout", f"no result within {limit:.0f} s; killed")


def _ended(code: int, errors: bytes) -> Exit:
    """What is said of a child that has ended before its work was done."""
    if code == 0:
        return Exit("crashed", f"exit status 0{EARLY}")
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            return Exit("crashed", f"killed by {name}", name in OTHERS_SEND)
    printed = errors.decode("utf-8", "replace").strip().splitlines()
    last = f": {printed[-1].strip()[:300]}" if printed else ""
    return Exit("crashed", f"exit status {code}{last}")


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    if hasattr(os, "killpg"):
        # The group may outlive its leader, so it is killed even when the child has ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    elif child.poll() is None:
        child.kill()
