"""`samegrad selftest`: checks of the clock on this machine."""

from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE, FAILED
from samegrad.implementations.contract import columns, commands
from samegrad.implementations.contract.texts import say


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("selftest", help="checks of the clock on this machine")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument(
        "--only",
        metavar="NAME,...",
        help="clock, steps, saboteurs, twins (default: all of these), red-team, or single names",
    )
    parser.add_argument(
        "--red-team",
        action="store_true",
        help="known ways to game a benchmark, and unusual code that is right; nothing else",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of sentences")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Print the results of the checks; 1 if one fails."""
    commands.require("benchmark", "selftest")
    import json
    from dataclasses import asdict

    from samegrad.benchmarks.selftest import selftest

    only: tuple[str, ...] = selftest.GROUPS
    if arguments.only is not None:
        only = tuple(name.strip() for name in arguments.only.split(","))
    if arguments.red_team:
        only = (selftest.RED_TEAM,) if arguments.only is None else (*only, selftest.RED_TEAM)

    def tell(text: str) -> None:
        if not arguments.json:
            for line in columns.folded(text.split("\n")):
                say(line)

    checks = selftest.run(tell, arguments.device, only)
    if arguments.json:
        say(json.dumps([asdict(check) for check in checks], indent=1))
    tell(selftest.summary(checks))
    return FAILED if selftest.failed(checks) else DONE
