"""`samegrad train`: train one task with one implementation."""

from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE, FAILED
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
    """Train; 1 if the training diverges."""
    commands.require("train", "train")
    from samegrad.benchmarks.training import one_task

    where = {name: getattr(arguments, name) for name in ("device", "dtype", "data_dir")}
    if arguments.evaluate is not None:
        one_task.evaluate(arguments.task, arguments.evaluate, arguments.implementation, **where)
        return DONE
    more = {name: getattr(arguments, name) for name in ("epochs", "seed", "save")}
    try:
        one_task.train(arguments.task, arguments.implementation, **where, **more)
    except one_task.DivergedError as error:
        say(error, error=True)
        return FAILED
    return DONE
