"""`samegrad train`: train one task with one implementation.

What is not ours is trained in a process of its own, at the same terminal. It may end its process
with whatever status: how the command ended is what that process writes into a file at last.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from samegrad.cli.parser import DONE, FAILED, INTERRUPTED, USAGE
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say

# options that change the recipe of a task, with what each is
CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("activation", "NAME", str),
    ("batch-size", "N", int),
    ("learning-rate", "X", float),
    ("optimizer", "NAME", str),
    ("initializer", "NAME", str),
    ("dropout", "X", float),
    ("weight-decay", "X", float),
)


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("train", help="train one task with one implementation")
    parser.add_argument("task", metavar="TASK", help="a name of `workloads`")
    parser.add_argument("--implementation", default="numpy", metavar="NAME", help="default: numpy")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="default: cpu")
    parser.add_argument("--epochs", type=int, metavar="N", help="default: the task's")
    parser.add_argument("--layers", metavar="N-N-N", help="another network for the task")
    for name, metavar, kind in CHANGES:
        parser.add_argument(f"--{name}", metavar=metavar, type=kind, help="default: the task's")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--dtype", choices=("float32", "float64"))
    parser.add_argument("--data-dir", metavar="DIR", help="original files (or SAMEGRAD_DATA)")
    parser.add_argument("--save", metavar="FILE", help="write the weights, as npz")
    parser.add_argument("--evaluate", metavar="FILE", help="do not train: weights of --save")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Train; 1 if the training diverges, or the implementation fails or ends its process."""
    commands.require("train", "train")
    from samegrad.benchmarks.training import one_task
    from samegrad.implementations.contract import registry

    name = arguments.implementation
    changes = {}
    for option, _, _ in CHANGES:
        field = option.replace("-", "_")
        if (value := getattr(arguments, field)) is not None:
            changes[field] = value
    if arguments.layers is not None:
        from samegrad.benchmarks.runs.options import parse_layers

        changes["layer_sizes"] = parse_layers(arguments.layers)
    if name not in registry.TABLE and not _apart:
        registry.check_name(name)
        if arguments.evaluate is None:
            _warn(name, arguments.task, changes)
        return _in_a_process(arguments.typed, name)
    where = {what: getattr(arguments, what) for what in ("device", "dtype", "data_dir")}
    more = {what: getattr(arguments, what) for what in ("epochs", "seed", "save")}
    try:
        if arguments.evaluate is None:
            one_task.train(arguments.task, name, **where, **more, changes=changes)
        else:
            if changes:
                raise ValueError(f"--evaluate: {', '.join(changes)} come with the weights")
            one_task.evaluate(arguments.task, arguments.evaluate, name, **where)
    except (one_task.DivergedError, one_task.FailedError) as error:
        say(error, error=True)
        return FAILED
    except BaseException as error:
        if isinstance(error, Exception | KeyboardInterrupt):
            raise
        say(f"{name}: it exits ({type(error).__name__})", error=True)  # SystemExit, or its own
        return FAILED
    return DONE


def _warn(name: str, task: str, changes: dict[str, Any]) -> None:
    """Say that the gradient of a file is wrong on the network that is about to be trained."""
    from samegrad.benchmarks.training.tasks import TASKS
    from samegrad.implementations.checking.verifier import verify

    if task not in TASKS or TASKS[task].recipe.rule != "gradient":
        return
    spec = TASKS[task].recipe.changed(changes).spec
    try:
        report = verify(
            name,
            layers=spec.layer_sizes,
            activations=(spec.activation,),
            output_activations=(spec.output_activation,),
            losses=(spec.loss,),
            bias=spec.bias,
            weight_decay=spec.weight_decay,
            optimizer=spec.optimizer,
        )
    except ValueError:  # the network is too large for it
        return
    if report.verdict == "disagrees":
        more = commands.command("verify", name)
        say(f"{report.name}: its gradient is wrong: {report.reason}; `{more}` says more")


STATUSES = {str(status): status for status in (DONE, FAILED, USAGE, INTERRUPTED)}
_apart = False  # whether this is that process


def _in_a_process(typed: list[str], name: str) -> int:
    """The same command in another process; its status, or 1 if it ended before its time."""
    from samegrad.implementations.checking.processes import python_child

    with tempfile.TemporaryDirectory(prefix="samegrad-") as folder:
        end = Path(folder) / "end"
        child = [*python_child(__name__), str(end), *typed]
        code = subprocess.run(child, check=False).returncode
        if end.is_file() and (status := end.read_text()) in STATUSES:
            return STATUSES[status]
    say(f"{name}: it ended its process with status {code}", error=True)
    return FAILED


def main() -> None:
    """The process: whatever hangs on is not waited for."""
    global _apart
    from samegrad import cli

    _apart = True
    end, *typed = sys.argv[4:]
    # Opened before: the implementation may leave us no file to open, or close this one.
    file = os.open(end, os.O_WRONLY | os.O_CREAT)
    status = cli.main(typed)
    with contextlib.suppress(OSError):
        os.write(file, str(status).encode())
    os._exit(status)
