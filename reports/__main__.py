"""The commands `python -m reports render JOURNAL... [--output DIR]` and `compare OLD NEW`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.journal import Journal, NotAJournalError, read
from reports.analysis import compare
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
    add = commands.add_parser("compare", help="what has become faster or slower between two runs")
    add.add_argument(
        "journals", nargs=2, metavar="JOURNAL", help="the old run's, then the new one's"
    )
    given = parser.parse_args(arguments)
    paths = [
        path / "journal.jsonl" if path.is_dir() else path for path in map(Path, given.journals)
    ]
    try:
        if given.command == "compare":
            print(comparison(*(read(path) for path in paths)))
            return 0
        lines = render(paths, Path(given.output) if given.output else paths[0].parent)
    except NotAJournalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.stderr.close()
        return 1
    except OSError as error:
        print(f"error: {error.filename}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    for line in lines:
        print(line, file=sys.stderr if line.startswith("warning:") else sys.stdout)
    return 0


def comparison(old: Journal, new: Journal) -> str:
    """Each case whose time can be compared, and why the others cannot be."""
    table = compare(old, new)
    verdicts = table[table.reason == ""].verdict.value_counts()
    said = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "none"
    lines = [f"{(table.reason == '').sum()} of {len(table)} rows can be compared: {said}."]
    lines += [f"new over old, {old.run['run']} to {new.run['run']}; below 1 is faster:"]
    for row in table.sort_values("ratio", ascending=False).itertuples():
        if not row.reason:
            lines.append(
                f"  {row.verdict:10} {row.ratio:6.3f}  "
                f"({row.low:.3f} to {row.high:.3f})  {row.case}"
            )
    reasons = table[table.reason != ""].groupby("reason", sort=False).case
    lines += [f"  not compared: {len(cases)} rows: {reason}" for reason, cases in reasons]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
