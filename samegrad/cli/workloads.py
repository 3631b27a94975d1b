"""`samegrad workloads`: the tasks that networks are trained for."""

import textwrap
from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE
from samegrad.implementations.contract import columns, commands
from samegrad.implementations.contract.texts import say


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("workloads", help="the tasks that networks are trained for")
    parser.add_argument(
        "tasks",
        nargs="*",
        metavar="TASK",
        help="these alone: names, families, patterns such as mnist*",
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Print the table; a paragraph for each task where the terminal is narrower."""
    commands.require("train", "workloads")
    import pandas as pd

    from samegrad.benchmarks.training import one_task

    tasks = one_task.described(arguments.tasks)
    table = pd.DataFrame(tasks).to_markdown(index=False)
    width = columns.width()
    if table.index("\n") <= width:
        say(table)
        return DONE
    for task in tasks:
        facts = "; ".join(f"{name}: {value}" for name, value in task.items() if value)
        say(textwrap.fill(facts, width, subsequent_indent="    ", break_on_hyphens=False))
    return DONE
