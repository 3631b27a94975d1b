"""Command line: `python -m samegrad verify`."""

import argparse
import json
import sys
from collections.abc import Sequence

from samegrad.implementations.checking.comparison import PRECISIONS
from samegrad.implementations.checking.report import summary
from samegrad.implementations.checking.verifier import verify
from samegrad.implementations.contract import registry

EPILOG = """
exit status: 0 all agree, 1 one disagrees or could not be checked, 2 wrong usage

error: max|a - exact| / max|exact| of a tensor; ulp: the same difference in units in the last place
of its largest entry. Exact results have 50 digits (mpmath). How far each may be off: 1e-12 in
float64, 1e-5 in float32, or what an inexact implementation declares.
"""


def main(arguments: Sequence[str] | None = None, program: str = "python -m samegrad") -> int:
    """Verify what was named, or all; returns the exit status."""
    parser = argparse.ArgumentParser(prog=program)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "verify",
        help="is a gradient right, and if not, where is it wrong?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "implementations",
        nargs="*",
        metavar="IMPLEMENTATION",
        help=f"{', '.join(registry.names('all'))}, path/to/my_mlp.py or package.module "
        "(default: all that are installed)",
    )
    command.add_argument("--activation", metavar="A,B", help="only these hidden activations")
    command.add_argument("--loss", metavar="A,B", help="only these losses")
    command.add_argument("--layers", metavar="N-N-N", help="one network of your own")
    command.add_argument("--batch-size", type=int, default=6, help="of --layers (default: 6)")
    command.add_argument("--optimizer", default="sgd", help="rule of the step (default: sgd)")
    command.add_argument("--weight-decay", type=float, help="only this L2 coefficient")
    command.add_argument("--dtype", metavar="A,B", help="float64, float32 (default: both)")
    command.add_argument("--device", default="cpu", help="default: cpu")
    command.add_argument(
        "--precision",
        help=f"of products in float32: {', '.join(PRECISIONS)} (default: ieee; on cuda all)",
    )
    command.add_argument("--against", metavar="IMPLEMENTATION", help="instead of exact results")
    command.add_argument("--seed", type=int, default=0, help="of weights and batches (default: 0)")
    command.add_argument(
        "--time-limit", type=float, default=60.0, help="seconds per call (default: 60)"
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")
    command.add_argument("-v", "--verbose", action="store_true", help="a line for every problem")
    given = parser.parse_args(arguments)
    reports = []
    try:
        precisions = _names(given.precision)
        for precision in precisions or (("ieee",) if given.device == "cpu" else tuple(PRECISIONS)):
            for name in dict.fromkeys(given.implementations or registry.names("all")):
                if sys.stderr.isatty():  # compilers take most of a minute
                    print(f"verifying {name} ...", end="\r", file=sys.stderr, flush=True)
                report = verify(
                    name,
                    layers=_sizes(given.layers),
                    batch_size=given.batch_size,
                    activations=_names(given.activation),
                    losses=_names(given.loss),
                    weight_decay=given.weight_decay,
                    optimizer=given.optimizer,
                    dtypes=_names(given.dtype),
                    device=given.device,
                    precision=precision,
                    against=given.against,
                    seed=given.seed,
                    time_limit=given.time_limit,
                )
                if precision != "ieee" and precisions is None and report.verdict == "unavailable":
                    continue  # of a precision that only some have, and nobody asked for by name
                reports.append(report)
                if not given.json:
                    print(report.text(given.verbose), flush=True)
    except ValueError as error:
        print(f"{program} verify: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if given.json:
        print(json.dumps([report.to_dict() for report in reports], indent=1))
    else:
        print(summary(reports))
    # Of all that there are, those that are not installed fail nothing; one that was named does.
    accepted = {"agrees"} if given.implementations else {"agrees", "unavailable"}
    good = all(report.verdict in accepted for report in reports)
    return 0 if good and any(report.agrees for report in reports) else 1


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(","))


def _sizes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    sizes = text.split("-")
    if not all(size.isascii() and size.isdigit() for size in sizes):
        raise ValueError(
            f"layers {text!r} is not accepted; give features, hidden widths and outputs as whole "
            "numbers >= 1 joined by '-', for example 5-7-3"
        )
    return tuple(map(int, sizes))


if __name__ == "__main__":
    sys.exit(main())
