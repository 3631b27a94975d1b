"""`samegrad compare`: what has become faster or slower between two runs."""

import math
from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE, FAILED
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "compare", help="what has become faster or slower between two runs"
    )
    parser.add_argument("old", metavar="OLD", help="a run's folder or journal")
    parser.add_argument("new", metavar="NEW", help="the later one's")
    parser.add_argument(
        "--fail-above",
        metavar="PERCENT",
        help="exit with 1 if a row is certainly slower by more; for example 5%%, or, by group, "
        "10%%,epoch=20%%,jax=5%% (the last that a row is in counts)",
    )
    parser.add_argument(
        "--across",
        metavar="WHAT",
        help="compare rows although these differ: machine, code, inputs, joined by ','",
    )
    parser.add_argument("--markdown", action="store_true", help="for a pull request")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Print the comparison; 1 if a row is slower by more than --fail-above."""
    limits = parse_limits(arguments.fail_above)
    commands.require("report", "compare")
    from samegrad.reports.data import comparison

    across = parse_across(arguments.across, comparison.ACROSS)
    compared = comparison.compare(arguments.old, arguments.new, across=across, fail_above=limits)
    for line in compared.warnings:
        say(f"warning: {line}", error=True)
    say(comparison.markdown(compared) if arguments.markdown else comparison.text(compared))
    if not limits:
        return DONE
    if compared.compared.empty:
        raise ValueError(
            "--fail-above: no row can be compared with certainty, so nothing was checked"
        )
    if compared.beyond:
        limit = f"{100 * limits['']:g} %" if list(limits) == [""] else "their limit"
        say(f"{len(compared.beyond)} rows are certainly slower by more than {limit}", error=True)
    return FAILED if compared.beyond else DONE


def parse_limits(text: str | None) -> dict[str, float]:
    """{"": 0.05, "jax": 0.1} from "5%,jax=10%"; of nothing, none."""
    limits = {}
    for part in () if text is None else text.split(","):
        group, equals, percent = part.strip().rpartition("=")
        try:
            value = float(percent.strip().removesuffix("%"))
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf or (equals and not group):
            raise ValueError(
                f"--fail-above {part!r} is not accepted; give a percentage from 0 on, for example "
                "5%, or one for a group: epoch=10%"
            )
        limits[group.strip()] = value / 100
    return limits


def parse_across(text: str | None, accepted: tuple[str, ...]) -> tuple[str, ...]:
    """("code", "inputs") from "code,inputs"."""
    names = tuple(part.strip() for part in text.split(",")) if text is not None else ()
    for name in names:
        if name not in accepted:
            raise ValueError(
                f"--across {name!r} is not known; accepted: {', '.join(accepted)}"
                f"{commands.did_you_mean(name, accepted)}"
            )
    return names
