"""`samegrad render`: write the report of runs."""

from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "render", help="write the report of runs; those of machines merge"
    )
    parser.add_argument(
        "journals",
        nargs="+",
        metavar="RUN",
        help="a journal.jsonl, its folder, a folder of runs, or an archive of gpu-proof",
    )
    parser.add_argument("--output", metavar="DIR", help="default: the first journal's folder")
    parser.add_argument(
        "--parquet", action="store_true", help="results.parquet too; needs samegrad[parquet]"
    )
    parser.add_argument(
        "--reference", metavar="NAME", help="what times are divided by (default: numpy)"
    )
    parser.add_argument("--base", metavar="RUN", help="an earlier run: what changed since")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Write the report; prints its summary and its path."""
    commands.require("report", "render")
    from samegrad.reports.render import render

    try:
        report = render(
            arguments.journals,
            arguments.output,
            parquet=arguments.parquet,
            reference=arguments.reference,
            base=arguments.base,
        )
    except OSError as error:
        what = error.filename or "the report"
        said = error.strerror or error
        raise ValueError(f"{what}: cannot be read or written: {said}") from None
    for line in report.lines:
        say(line, error=line.startswith("warning:"))
    return DONE
