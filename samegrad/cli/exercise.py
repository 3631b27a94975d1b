"""`samegrad exercise`: worksheets of the network, and which of their equations are right."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from samegrad.cli.parser import DONE, FAILED, NOT_CHECKED, USAGE, seconds
from samegrad.implementations.contract import columns, commands
from samegrad.implementations.contract.texts import say

EPILOG = """
exit status of exercise check: 0 all of it is right; 1 something is wrong, or cannot be run (a cell
of a notebook that is no Python, too, though it may cost no points); 4 nothing is wrong, and
something is not written yet; 2 no worksheet is there to be checked, or nothing is wrong and a file
that was named (not found in a folder) says no worksheet.
"""


def add(subparsers: Any) -> None:
    """Declare the command and its three commands."""
    parser = subparsers.add_parser(
        "exercise", help="worksheets to write the network in, and what is right in them"
    )
    parser.commands = parser.add_subparsers(
        dest="action", metavar="list|start|check", required=True, parser_class=type(parser)
    )
    listing = parser.commands.add_parser("list", help="the worksheets and their equations")
    listing.set_defaults(run=list_sheets, parser=listing)
    start = parser.commands.add_parser("start", help="write a worksheet to fill in")
    start.add_argument("name", metavar="NAME", help="as `exercise list` shows them")
    start.add_argument("--output", metavar="FILE", help="default: NAME_exercise.py")
    start.set_defaults(run=start_sheet, parser=start)
    check = parser.commands.add_parser(
        "check",
        help="right, wrong or not written yet: each equation of a file, or of a class's",
        epilog=EPILOG,
    )
    check.add_argument(
        "places", nargs="+", metavar="FILE|FOLDER", help="of Python, or notebooks; folders whole"
    )
    check.add_argument("--exercise", metavar="NAME", help="of files that do not say which it is")
    check.add_argument(
        "--time-limit", type=seconds, default=60.0, metavar="SECONDS", help="a call (default: 60)"
    )
    check.add_argument("--seed", type=int, metavar="N", help="of the numbers (default: another)")
    check.add_argument("--json", action="store_true", help="print JSON instead of tables")
    check.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    check.set_defaults(run=check_files, parser=check)


def list_sheets(_: Namespace) -> int:
    """Print a line for each worksheet."""
    from samegrad.implementations.exercises.sheets import SHEETS

    rows = [
        (name, sheet.title, " ".join(part.equation for part in sheet.scored))
        for name, sheet in SHEETS.items()
    ]
    for line in columns.table(rows):
        say(line)
    return DONE


def start_sheet(arguments: Namespace) -> int:
    """Write a worksheet; what is there is never replaced."""
    from samegrad.implementations.contract.files import created
    from samegrad.implementations.exercises.sheets import hides, named

    sheet = named(arguments.name)
    path = Path(arguments.output or f"{sheet.name}_exercise.py")
    if library := hides(path):
        better = path.with_name(f"{sheet.name}_exercise.py")
        raise ValueError(
            f"{path} would hide the library {library} from programs beside it; "
            f"give another --output FILE, such as {better}"
        )
    try:
        with created(path) as beside:
            beside.write_text(sheet.text, encoding="utf-8")
    except FileExistsError:
        raise ValueError(f"{path} is there already; give another --output FILE") from None
    say(f"{path}: {sheet.title}; {len(sheet.scored)} equations to write. How far it is:")
    say(f"  {commands.command('exercise', 'check', str(path))}")
    return DONE


def check_files(arguments: Namespace) -> int:
    """Check each file.

    The exit status is that of EPILOG.
    """
    import json

    from samegrad.implementations.contract.files import is_input, replaced
    from samegrad.implementations.exercises import check, grades, sheets

    if arguments.junit is not None and is_input(arguments.junit):
        raise ValueError(f"--junit {arguments.junit} would replace what is read")
    if arguments.seed is not None and arguments.seed < 0:
        raise ValueError(f"--seed {arguments.seed} is not accepted; give a whole number >= 0")
    sheet = None if arguments.exercise is None else sheets.named(arguments.exercise)
    named: dict[Path, str] = {}
    in_folders: set[str] = set()  # where what is no worksheet may lie beside those
    others: list[str] = []
    for place in map(Path, arguments.places):
        for path in check.files(place):
            named[path] = str(path.relative_to(place) if place.is_dir() else path)
            in_folders |= {named[path]} if place.is_dir() else set()
        others += check.passed_over(place)
    reports = []
    for path, name in named.items():
        if sys.stderr.isatty():
            say(f"checking {name} ...", end="\r", error=True)
        reports.append(check.check(path, name, sheet, arguments.seed, arguments.time_limit))
    if arguments.json:
        say(json.dumps(grades.to_dict(reports, others), indent=1))
    elif len(reports) == 1 and not others:
        say(grades.of_one(reports[0]))
    else:
        say(grades.of_class(reports, others))
    if arguments.junit is not None:
        with replaced(arguments.junit) as file:
            file.write_text(grades.junit(reports), encoding="utf-8")
    if any(report.wrong for report in reports):
        return FAILED
    known = [report for report in reports if report.sheet is not None]
    if not known or any(r.sheet is None and r.name not in in_folders for r in reports):
        return USAGE
    return DONE if all(report.done for report in known) else NOT_CHECKED
