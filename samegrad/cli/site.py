"""`samegrad site`: the results of an archive as static pages."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from samegrad.cli.archive import ended, place
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("site", help="static pages of the results in an archive")
    place(parser)
    parser.add_argument("folder", metavar="DIR", help="an empty folder, or an older site")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Write the pages; 1 if a part of the archive was left out."""
    commands.require("archive", "site")
    from samegrad.implementations.contract.files import named
    from samegrad.reports.archive import site, store, withdrawing

    damaged = list[str]()
    with store.opened(arguments.archive, damaged.append) as connection:
        pages = site.write(connection, named("DIR", arguments.folder))
        note = withdrawing.note(connection)
    say(f"{pages:,} pages: {Path(arguments.folder) / 'index.html'}")
    return ended(damaged, note)
