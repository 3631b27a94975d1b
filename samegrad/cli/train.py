"""`samegrad train`: train one task with one implementation.

What is not ours is trained in a process of its own, at the same terminal: it may end its process
with whatever status, and that is no success.
"""

import os
import subprocess
import sys
from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE, FAILED, INTERRUPTED, USAGE
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("train", help="train one task with one implementation")
    parser.add_argument("task", metavar="TASK", help="a name of `workloads`")
    parser.add_argument("--implementation", default="numpy", metavar="NAME", help="default: numpy")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="default: cpu")
    parser.add_argument("--epochs", type=int, metavar="N", help="default: the task's")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--dtype", choices=("float32", "float64"))
    parser.add_argument("--data-dir", metavar="DIR", help="original files (or SAMEGRAD_DATA)")
    parser.add_argument("--save", metavar="FILE", help="write the weights, as npz")
    parser.add_argument("--evaluate", metavar="FILE", help="do not train: weights of --save")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Train; 1 if the training diverges, or the implementation ends its process."""
    commands.require("train", "train")
    from samegrad.benchmarks.training import one_task
    from samegrad.implementations.contract import registry

    name = arguments.implementation
    if name not in registry.TABLE and not _apart:
        registry.check_name(name)
        return _in_a_process(arguments.typed, name)
    where = {what: getattr(arguments, what) for what in ("device", "dtype", "data_dir")}
    more = {what: getattr(arguments, what) for what in ("epochs", "seed", "save")}
    try:
        if arguments.evaluate is None:
            one_task.train(arguments.task, name, **where, **more)
        else:
            one_task.evaluate(arguments.task, arguments.evaluate, name, **where)
    except (one_task.DivergedError, SystemExit) as error:  # the latter is the implementation's
        exits = f"{name}: it exits (SystemExit {getattr(error, 'code', None)})"
        say(exits if isinstance(error, SystemExit) else error, error=True)
        return FAILED
    return DONE


STATUSES = (DONE, FAILED, USAGE, INTERRUPTED)
OURS = 64  # is added to the status of a process that did not end before its time
_apart = False  # whether this is that process


def _in_a_process(typed: list[str], name: str) -> int:
    """The same command in another process; its status, or 1 if it is not one of ours."""
    from samegrad.implementations.checking.processes import python_child

    code = subprocess.run([*python_child(__name__), *typed], check=False).returncode
    if code - OURS in STATUSES:
        return code - OURS
    say(f"{name}: it ended its process with status {code}", error=True)
    return FAILED


def main() -> None:
    """The process: whatever hangs on is not waited for."""
    global _apart
    from samegrad import cli

    _apart = True
    status = cli.main(sys.argv[4:])
    sys.stdout.flush()
    os._exit(OURS + status)
