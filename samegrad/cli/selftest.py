"""`samegrad selftest`: each claim about the clock, measured on this machine."""

from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE, FAILED
from samegrad.implementations.contract import commands


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "selftest", help="each claim about the clock, measured on this machine"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument(
        "--only",
        metavar="NAME,...",
        help="clock, steps, saboteurs, twins, or single saboteurs (default: all)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of sentences")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Measure the claims; 1 if one does not hold."""
    commands.require("benchmark", "selftest")
    import json
    from dataclasses import asdict

    from samegrad.benchmarks.machine import system
    from samegrad.benchmarks.selftest import selftest

    accepted = (*selftest.GROUPS, *selftest.SABOTEURS)
    only = selftest.GROUPS
    if arguments.only is not None:
        only = tuple(name.strip() for name in arguments.only.split(","))
    for name in only:
        if name not in accepted:
            raise ValueError(
                f"--only {name!r} is not known; accepted: {', '.join(accepted)}"
                f"{commands.did_you_mean(name, accepted)}"
            )
    if arguments.device == "cuda" and not system.gpus():
        raise ValueError("no GPU on this machine")

    def say(line: str) -> None:
        if not arguments.json:
            print(line, flush=True)

    claims = selftest.run(say, arguments.device, only)
    if arguments.json:
        print(json.dumps([asdict(claim) for claim in claims], indent=1))
    else:
        print(selftest.summary(claims))
    return FAILED if any(claim.holds is False for claim in claims) else DONE
