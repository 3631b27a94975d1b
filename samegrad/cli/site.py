"""`samegrad site`: the results of an archive as static pages."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from samegrad.cli.archive import ended, place
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say

EPILOG = """
DIR/index.html lists the cases; each case, each machine and what was added have a page, and
feed.xml the steps. Any web server shows them, or a browser from the disk; none asks for anything.
Runs get into an archive by `samegrad archive add RUN`.
"""


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "site", help="write the results of an archive as static pages", epilog=EPILOG
    )
    place(parser)
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="where the pages go: a new or empty folder, or an older site, which is written anew",
    )
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
