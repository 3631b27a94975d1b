"""The command `python -m reports render JOURNAL... [--output DIR]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.journal import NotAJournalError
from reports.render import render


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 for what cannot be read or written."""
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser(
        "render", help="write the report of journals; those of several machines merge"
    )
    add.add_argument("journals", nargs="+", metavar="JOURNAL", help="a journal.jsonl or its folder")
    add.add_argument("--output", metavar="DIR", help="default: the first journal's folder")
    given = parser.parse_args(arguments)
    paths = [
        path / "journal.jsonl" if path.is_dir() else path for path in map(Path, given.journals)
    ]
    try:
        lines = render(paths, Path(given.output) if given.output else paths[0].parent)
    except NotAJournalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    for line in lines:
        print(line, file=sys.stderr if line.startswith("warning:") else sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
