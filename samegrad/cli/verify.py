"""Command line: `python -m samegrad verify`."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from samegrad.implementations.checking import problems
from samegrad.implementations.checking.comparison import PRECISIONS, TensorCheck
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.verifier import (
    STATES,
    Options,
    Outcome,
    Report,
    verify,
    worst,
)
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.spec import MLPSpec, Optimizer

MOST = 1_000_000_000  # multiplications of a forward pass; the gradient's are checked one by one
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
    try:
        runs = _runs(given)
        named = given.implementations or list(registry.names("all"))
        for name in [*named, *([given.against] if given.against else [])]:
            registry.check_name(name)
        reports = []
        for options in runs:
            for name in dict.fromkeys(named):
                if sys.stderr.isatty():  # compilers take most of a minute
                    print(f"verifying {name} ...", end="\r", file=sys.stderr, flush=True)
                found = verify(name, options)
                extra = options.precision != "ieee" and given.precision is None
                if extra and found.verdict == "unavailable":
                    continue  # of a precision that only some have, and nobody asked for by name
                reports.append((options, found))
                if not given.json:
                    print(_text(found, options, given.verbose), flush=True)
    except ValueError as error:
        print(f"{program} verify: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if given.json:
        print(json.dumps([_plain(found, options) for options, found in reports], indent=1))
    # Of all that there are, those that are not installed fail nothing; one that was named does.
    accepted = {"agrees"} if given.implementations else {"agrees", "unavailable"}
    good = all(found.verdict in accepted for _, found in reports)
    some = any(found.verdict == "agrees" for _, found in reports)
    if not given.json:
        print(_summary([found for _, found in reports]))
    return 0 if good and some else 1


def _runs(given: argparse.Namespace) -> list[Options]:
    """One Options per precision.

    Raises:
        ValueError: what was given is not accepted.
    """
    dtypes = _names("--dtype", given.dtype, ("float64", "float32")) or ("float64", "float32")
    activations = _names("--activation", given.activation, problems.ACTIVATIONS)
    losses = _names("--loss", given.loss, problems.LOSSES)
    _names("--optimizer", given.optimizer, get_args(Optimizer))
    if given.batch_size < 1 or given.time_limit <= 0 or given.seed < 0:
        raise ValueError(
            "--batch-size takes a number >= 1, --seed one >= 0, --time-limit one above 0"
        )
    precisions = _names("--precision", given.precision, tuple(PRECISIONS)) or (
        ("ieee",) if given.device == "cpu" else tuple(PRECISIONS)
    )
    tried: list[Problem] = []
    for dtype in dtypes:
        if given.layers is None:
            found = problems.standard(dtype, given.seed)
        else:
            found = _own(given, dtype, activations, losses)
        found = problems.chosen(found, activations, losses, given.weight_decay)
        if given.optimizer != "sgd":
            found = [replace(p, spec=replace(p.spec, optimizer=given.optimizer)) for p in found]
        tried += found
    if not tried:
        raise ValueError(
            f"no problem has weight_decay {given.weight_decay}; give --layers too for a network "
            "of your own, or 0 or 0.1"
        )
    return [
        Options(
            [p for p in tried if precision == "ieee" or p.spec.dtype == "float32"],
            given.device,
            given.against,
            precision,
            given.time_limit,
            given.seed,
        )
        for precision in precisions
    ]


def _own(given: argparse.Namespace, dtype: Any, activations: Any, losses: Any) -> list[Problem]:
    parts = given.layers.split("-")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(
            f"--layers {given.layers!r} is not accepted; give features, hidden widths and outputs "
            "as whole numbers >= 1 joined by '-', for example 5-7-3"
        )
    sizes = tuple(map(int, parts))
    if MLPSpec(sizes).parameters * given.batch_size > MOST:
        raise ValueError(f"--layers {given.layers} at batch size {given.batch_size} is too large")
    decay: Any = {"dtype": dtype, "weight_decay": given.weight_decay or 0.0}
    choices: list[dict[str, Any]] = [
        {"activation": activation, "loss": loss, **decay}
        for activation in activations or ("relu",)
        for loss in losses or ("cross_entropy",)
    ]
    return [
        problems.draw(MLPSpec(sizes, **choice), given.batch_size, given.seed) for choice in choices
    ]


def _names(option: str, text: str | None, accepted: Sequence[str]) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in accepted:
            raise ValueError(f"{option} {name!r} is not known; accepted: {', '.join(accepted)}")
    return names


def _text(report: Report, options: Options, verbose: bool) -> str:
    title = report.name if options.precision == "ieee" else f"{report.name} ({options.precision})"
    lines = [f"{title}: {report.verdict.upper()}" + (f": {report.reason}" if report.reason else "")]
    for dtype in dict.fromkeys(o.problem.spec.dtype for o in report.outcomes):
        mine = [o for o in report.outcomes if o.problem.spec.dtype == dtype]
        rows = worst(mine, dtype)
        if not rows:
            continue
        counts = [f"{n} {s}" for s in STATES if (n := sum(o.status == s for o in mine))]
        lines.append(f"  {dtype}, {len(mine)} problems: {', '.join(counts)}")
        lines.append(f"    {HEAD}  worst problem")
        lines += [f"    {_row(t)}  {o.problem.label}" for t, o in _shortened(rows)]
        if verbose:
            for outcome in mine:
                lines.append(f"    {outcome.problem.label}: {outcome.status}")
                lines += [f"      {fault}" for fault in outcome.faults]
                lines += [f"      {_row(tensor)}" for tensor in outcome.comparison.tensors]
    lines += [f"  likely: {sentence}" for sentence in report.diagnosis]
    lines += [f"  note: {note}" for note in report.notes]
    return "\n".join(lines)


def _shortened(rows: list[tuple[TensorCheck, Outcome]]) -> list[tuple[TensorCheck, Outcome]]:
    """With one row for the params after a step where all of them agree."""
    step = [row for row in rows if row[0].name.endswith("after a step")]
    if not step or any(tensor.reason for tensor, _ in step):
        return rows
    tensor, outcome = max(step, key=lambda row: row[0].percent_of_bound or 0.0)
    rest = [row for row in rows if row not in step]
    return [*rest, (replace(tensor, name="params after a step"), outcome)]


HEAD = f"{'tensor':22}{'error':>9}{'ulp':>8}{'bound':>9}{'% of bound':>12}  verdict  "


def _row(tensor: TensorCheck) -> str:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    ulps = tensor.ulps
    shown = "-" if ulps is None else f"{ulps:.2g}" if ulps < 100 else f"{ulps:.1e}"
    return (
        f"{tensor.name:22}{number(tensor.error, '.1e'):>9}{shown:>8}{tensor.bound:>9.0e}"
        f"{number(tensor.percent_of_bound, '.3g'):>12}  "
        f"{'agrees' if tensor.reason is None else 'DIFFERS':9}"
    )


def _summary(reports: Sequence[Report]) -> str:
    counts = dict.fromkeys(("agrees", "disagrees", "unavailable"), 0)
    for report in reports:
        counts[report.verdict] += 1
    return f"{len(reports)} verified: " + ", ".join(f"{n} {v}" for v, n in counts.items() if n)


def _plain(report: Report, options: Options) -> dict[str, Any]:
    """A report as plain data."""
    return {
        "implementation": report.name,
        "verdict": report.verdict,
        "reason": report.reason,
        "device": options.device,
        "precision": options.precision,
        "against": options.against or "exact results",
        "seed": options.seed,
        "diagnosis": report.diagnosis,
        "notes": report.notes,
        "problems": [
            {
                "problem": outcome.problem.label,
                "dtype": outcome.problem.spec.dtype,
                "status": outcome.status,
                "faults": outcome.faults,
                "not_supported": outcome.refused,
                "tensors": [
                    {
                        "tensor": tensor.name,
                        "error": tensor.error,
                        "ulps": tensor.ulps,
                        "bound": tensor.bound,
                        "percent_of_bound": tensor.percent_of_bound,
                        "agrees": tensor.reason is None,
                        "reason": tensor.reason,
                    }
                    for tensor in outcome.comparison.tensors
                ],
            }
            for outcome in report.outcomes
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
