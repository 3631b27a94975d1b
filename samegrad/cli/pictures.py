"""`samegrad pictures`: figures for slides, of what is computed here."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from samegrad.cli.parser import DONE
from samegrad.implementations.contract import columns, commands
from samegrad.implementations.contract.texts import say


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "pictures", help="draw figures for slides (PNG, SVG, CSV); without a name: list them"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a picture, or all")
    parser.add_argument(
        "--output", metavar="DIR", default="pictures", help="where to (default: pictures)"
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Draw what is named, or say what there is."""
    commands.require("report", "pictures")
    from samegrad.reports.pictures import registry

    if not arguments.names:
        rows = [(name, picture.shows) for name, picture in registry.PICTURES.items()]
        for line in columns.table(rows):
            say(line)
    for name in registry.chosen(arguments.names):
        say(f"{name}: {registry.PICTURES[name].shows} ...", error=True)  # some train for a minute
        caption = registry.draw(name, Path(arguments.output))
        say(f"{Path(arguments.output) / name}.png, .svg, .csv: {caption}")
    return DONE
