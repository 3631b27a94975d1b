"""Commands of samegrad that another one starts, each in a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from samegrad.implementations.contract import commands

Process = subprocess.Popen[bytes]

# `python -m samegrad` of a process that ends (SIGTERM) once its parent, whose number it is given,
# is gone. It asks for that itself: who starts it may have loaded JAX or torch, whose threads hold
# locks that no code between fork and exec may meet.
TIED = """\
import ctypes, os, runpy, signal, sys
parent = int(sys.argv.pop(1))
ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
if os.getppid() != parent:  # it is gone already
    os.kill(os.getpid(), signal.SIGTERM)
runpy.run_module("samegrad", run_name="__main__", alter_sys=True)
"""


def start(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], **streams: Any
) -> Process:
    """Start `samegrad ARGUMENTS` from a folder, whose paths are then none of this machine.

    On Linux it ends when this process is gone, be it killed.

    Args:
        environment: variables; of a checkout its place is added.
        streams: stdin, stdout, stderr, pass_fds of `subprocess.Popen`.
    """
    own = [str(commands.HOME)] if commands.IN_CHECKOUT else []
    path = os.pathsep.join([*own, *filter(None, [environment.get("PYTHONPATH")])])
    program = ("-c", TIED, str(os.getpid())) if sys.platform == "linux" else ("-m", "samegrad")
    command = [sys.executable, *program, *arguments]
    return subprocess.Popen(command, cwd=folder, env={**environment, "PYTHONPATH": path}, **streams)


def end(child: Process, seconds: float) -> None:
    """Let a command write down what it has, for so long; then end it."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
    if child.poll() is None:
        child.kill()
        child.wait()
