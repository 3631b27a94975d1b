"""`samegrad schema`: the form of the journal, as Markdown; JOURNAL.md is made by it."""

from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE
from samegrad.implementations.contract.texts import say


def add(subparsers: Any) -> None:
    """Declare the command; without a help text it is not listed."""
    parser = subparsers.add_parser("schema")
    parser.set_defaults(run=run, parser=parser)


def run(_: Namespace) -> int:
    """Print the table."""
    from samegrad.benchmarks.records import schema

    say(schema.markdown(), end="")
    return DONE
