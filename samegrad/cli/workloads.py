"""`samegrad workloads`: the tasks that networks are trained for."""

from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE
from samegrad.implementations.contract import commands


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("workloads", help="the tasks that networks are trained for")
    parser.set_defaults(run=run, parser=parser)


def run(_: Namespace) -> int:
    """Print the table."""
    commands.require("train", "workloads")
    import pandas as pd

    from samegrad.benchmarks.training import one_task

    print(pd.DataFrame(one_task.described()).to_markdown(index=False))
    return DONE
