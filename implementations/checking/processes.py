"""A child process with limits that speaks JSON lines. Standard library only.

The child gets a JSON line on its standard input (the request) and answers with JSON lines. It may
then wait for another. Its standard input stays open while the parent lives; when it
closes, the child ends itself, so a parent that was killed leaves no orphan. Whatever else the child
or its libraries print goes to standard error, whose end becomes part of the reason when it crashes.
"""

import contextlib
import ctypes
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

Message = dict[str, Any]
IDLE = {"idle": True}  # the last message of a child that waits for another request
WAITS = "waits"  # key of a message that the child waits with until it has been dealt with
# Environment variable with what each message of a child begins with: whatever else gets into their
# pipe (a file may write to every descriptor that is open) is passed over.
MARK = "SAMEGRAD_MESSAGES"

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
importlib.import_module(module).main()
"""


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock of a file, as one process at a time; what is yielded releases it early.

    It is released when the process ends, however it ends. On Windows nothing is locked.
    """
    with path.open("w") as lock:
        try:
            import fcntl
        except ImportError:
            yield lambda: None
            return
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lambda: fcntl.flock(lock, fcntl.LOCK_UN)


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
    """

    kind: str
    reason: str


class Child:
    """A child in a process group of its own, which ends with its `with` block.

    The parent sends a request and receives messages until the child waits for another request or
    ends.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start it.

        Args:
            command: program and arguments.
            environment: the child's whole environment.
        """
        with contextlib.ExitStack() as stack:
            self.errors = stack.enter_context(
                tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
            )
            mark = secrets.token_hex(16)
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env={**environment, MARK: mark},
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
            self._files = stack.pop_all()
        _alive.add(self)
        self.lines: queue.Queue[str | None] = queue.Queue()
        pump = (self.process.stdout, self.lines, mark)
        threading.Thread(target=_pump, args=pump, daemon=True).start()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, message: Message) -> None:
        """Send a request to the child, as one JSON line."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended; receive() says how
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def receive(
        self, on_message: Callable[[Message], float | None], time_limit: float
    ) -> Exit | None:
        """Receive messages until the child waits for another request or ends.

        Args:
            on_message: called with each message; a number that it returns is the time limit in
                seconds for the next one, None keeps the present limit.
            time_limit: seconds for the first message. When a limit passes, the group is killed.

        Returns:
            None when the child waits for another request, otherwise how it ended.
        """
        limit = time_limit
        while True:
            deadline = time.monotonic() + limit
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return Exit("timeout", f"no result within {limit:.0f} s; killed")
            if line is None:
                break
            try:
                message = json.loads(line)
            except ValueError:
                return Exit("crashed", "something else was written into the pipe of its messages")
            if message == IDLE:
                return None
            waits = message.pop(WAITS, False)
            limit = on_message(message) or limit
            if waits:
                self.send({})
        try:
            return _ended(self.process.wait(limit), self.errors)
        except subprocess.TimeoutExpired:  # a thread of its own keeps it alive
            return Exit("timeout", f"not ended {limit:.0f} s after its last message; killed")

    def close(self) -> None:
        """End it, and everything that it has started."""
        _alive.discard(self)
        _kill_group(self.process)
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(OSError):  # a broken pipe; on Windows an invalid argument
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self._files.close()


_alive: set[Child] = set()


def end_all() -> None:
    """End every child, and everything that it has started: this process ends next."""
    for child in list(_alive):
        _kill_group(child.process)


def run_child(
    command: list[str],
    request: Message,
    environment: Mapping[str, str],
    on_message: Callable[[Message], float | None],
    time_limit: float,
) -> Exit:
    """Run a child for one request: arguments as of `Child`, `Child.send`, `Child.receive`."""
    with Child(command, environment) as child:
        child.send(request)
        ended = child.receive(on_message, time_limit)
    return ended or Exit("crashed", "it waits for another request, and there is none")


def serve(answer: Callable[[Message, Callable[[Message], None]], None]) -> None:
    """The child's side: read the request, call `answer(request, send)`, end with the parent."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not break the stream of messages
    mark = os.environ.pop(MARK, "")
    _die_with_parent()
    threading.Thread(target=_read_requests, daemon=True).start()

    def send(message: Message) -> None:
        out.write(f"{mark}{json.dumps(message, allow_nan=False)}\n")
        out.flush()

    answer(_requests.get(), send)


def next_request(send: Callable[[Message], None]) -> Message:
    """The child's side: this request is answered; wait for the next one."""
    send(IDLE)
    return _requests.get()


def send_and_wait(message: Message, send: Callable[[Message], None]) -> None:
    """The child's side: send a message, and go on once the parent has dealt with all before it.

    The parent sleeps then. What it did meanwhile would disturb what the child is about to time.
    """
    send({**message, WAITS: True})
    _requests.get()


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


def _die_with_parent() -> None:
    """On Linux the kernel sees to it, even while a call into a library holds the interpreter."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, see prctl(2)
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(set_parent_death_signal, int(signal.SIGKILL))


def _pump(stream: IO[str], lines: "queue.Queue[str | None]", mark: str) -> None:
    try:
        for line in stream:
            _, marked, message = line.rpartition(mark)
            if marked:
                lines.put(message)
    except ValueError:  # closed by the parent after a kill
        pass
    lines.put(None)


def _ended(code: int, errors: IO[str]) -> Exit:
    if code == 0:
        return Exit("ok", "")
    if code < 0:
        with contextlib.suppress(ValueError):
            return Exit("crashed", f"killed by {signal.Signals(-code).name}")
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - 4000))
    printed = [line.strip() for line in errors.read().splitlines() if line.strip()]
    last = f": {printed[-1][:300]}" if printed else ""
    return Exit("crashed", f"exit status {code}{last}")


def _kill_group(child: "subprocess.Popen[str]") -> None:
    if hasattr(os, "killpg"):
        # The group may outlive its leader, so it is killed even when the child has ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    elif child.poll() is None:
        child.kill()
