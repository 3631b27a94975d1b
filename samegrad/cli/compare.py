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
        help="exit with 1 if a row is certainly slower by more; for example 5%%",
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
    threshold = parse_percent(arguments.fail_above)
    commands.require("report", "compare")
    from samegrad.reports.data import comparison

    across = parse_across(arguments.across, comparison.ACROSS)
    compared = comparison.compare(arguments.old, arguments.new, across=across, fail_above=threshold)
    for line in compared.warnings:
        say(f"warning: {line}", error=True)
    say(comparison.markdown(compared) if arguments.markdown else comparison.text(compared))
    if math.isinf(threshold):
        return DONE
    if compared.compared.empty:
        raise ValueError(
            "--fail-above: no row can be compared with certainty, so nothing was checked"
        )
    if compared.beyond:
        say(
            f"{len(compared.beyond)} rows are certainly slower by more than {100 * threshold:g} %",
            error=True,
        )
    return FAILED if compared.beyond else DONE


def parse_percent(text: str | None) -> float:
    """0.05 from "5%" or "5"; infinity from nothing."""
    if text is None:
        return math.inf
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(
            f"--fail-above {text!r} is not accepted; give a percentage from 0 on, for example 5%"
        )
    return value / 100


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
