"""`samegrad verify`: is a gradient right, and if not, where is it wrong?"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from samegrad.cli.parser import (
    DONE,
    FAILED,
    NOT_CHECKED,
    UNDECIDED,
    USAGE,
    seconds,
    seconds_or_none,
)
from samegrad.implementations.contract import columns, commands
from samegrad.implementations.contract.texts import say
from samegrad.implementations.reading.hints import HELP

EPILOG = """
error: max|a - exact| / max|exact| of a tensor; ulp: the same difference in units in the last place
of its largest entry. Exact results have 50 digits (mpmath). How far each may be off: 1e-12 in
float64, 1e-5 in float32, or what an inexact implementation declares.

A note names a convention that a right gradient keeps and ours does not, with its code; --strict
fails on it unless --allow has the code.

exit status of verify: 0 all agree; 1 one disagrees; 2 one that was named is not available here, or
wrong usage; 3 none disagrees and one is undecided; 4 none is either and one was not checked.
"""


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "verify", help="is a gradient right, and if not, where is it wrong?", epilog=EPILOG
    )
    add = parser.add_argument
    add(
        "implementations",
        nargs="*",
        metavar="IMPLEMENTATION",
        help="a name such as numpy, package.module, or any path/to/file.py or notebook.ipynb, "
        "whatever its network looks like; :NAME for one object (default: all that are installed, "
        "a line each)",
    )
    add("--activation", metavar="A,B", help="only these hidden activations")
    add("--output-activation", metavar="A,B", help="only these output activations")
    add("--loss", metavar="A,B", help="only these losses")
    add("--bias", metavar="YES|NO", help="only with biases, or without (default: both)")
    add("--layers", metavar="N-N-N", help="one network of your own")
    add("--batch-size", type=int, default=6, metavar="N", help="of --layers (default: 6)")
    add("--optimizer", default="sgd", metavar="NAME", help="rule of the step (default: sgd)")
    add("--weight-decay", type=float, metavar="X", help="only this L2 coefficient")
    add("--dtype", metavar="A,B", help="float64, float32 (default: both)")
    add("--device", default="cpu", metavar="NAME", help="default: cpu")
    add(
        "--precision",
        metavar="A,B",
        help="of products in float32: ieee, tf32, bfloat16 (default: ieee; on cuda all)",
    )
    add(
        "--ranks",
        default="1",
        metavar="N,N",
        help="processes that share a network out, of torch_ddp and its like (default: 1)",
    )
    add("--against", metavar="IMPLEMENTATION", help="instead of exact results")
    add("--seed", type=int, metavar="N", help="of what is drawn (default: another in every run)")
    add("--time-limit", type=seconds, default=60.0, metavar="SECONDS", help="a call (default: 60)")
    add("--strict", action="store_true", help="a convention that differs from ours fails, too")
    add("--allow", metavar="CODE,CODE", help="conventions that pass under --strict, by their codes")
    add(
        "--exact",
        action="store_true",
        help="also run the file's own arithmetic over exact numbers and compare by ==",
    )
    add(
        "--shrink",
        type=seconds_or_none,
        default=5.0,
        metavar="SECONDS",
        help="for the smallest network that shows a failure; 0 for none (default: 5)",
    )
    add("--no-run", action="store_true", help="of a file run only what defines something")
    add(
        "--hint",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"how a file is meant, as its lines `# samegrad: NAME = VALUE` say it; {HELP}",
    )
    add("--junit", type=Path, metavar="FILE", help="write JUnit XML, a test case for each")
    add("--json", action="store_true", help="print JSON instead of tables")
    add("-v", "--verbose", action="store_true", help="tables; of what is named, every problem")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Verify what is named, or all.

    The exit status is that of EPILOG.
    """
    import json

    from samegrad.benchmarks.runs.options import parse_form, parse_layers, parse_ranks
    from samegrad.implementations.checking.comparison import PRECISIONS
    from samegrad.implementations.checking.notes import CODES
    from samegrad.implementations.checking.report import VerifyReport, summary
    from samegrad.implementations.contract import registry
    from samegrad.implementations.contract.files import is_input, replaced
    from samegrad.implementations.reading.files import FileReport, check_name, is_foreign, verify
    from samegrad.implementations.reading.hints import parse
    from samegrad.implementations.reading.junit import junit

    counts = parse_ranks(arguments.ranks)
    default = registry.names("all" if counts == (1,) else "parallel")
    named = list(dict.fromkeys(arguments.implementations or default))
    for name in named:
        check_name(name)  # before a minute is spent on the first of them
        registry.check_ranks(name, max(counts))
    if arguments.against:
        registry.check_name(arguments.against)
    if arguments.junit is not None and is_input(arguments.junit):
        raise ValueError(f"--junit {arguments.junit} would replace what is verified, or read by it")
    parse(arguments.hint)
    allowed = set(_names(arguments.allow) or ())
    for code in sorted(allowed - set(CODES)):
        raise ValueError(f"--allow {code} is not known; accepted: {', '.join(CODES)}")
    bias = parse_form(None, None, None, arguments.bias).get("bias")
    asked = _names(arguments.precision)
    precisions = asked or (("ieee",) if arguments.device == "cpu" else tuple(PRECISIONS))
    # Of all that there are, a line each.
    brief = not (arguments.implementations or arguments.verbose or arguments.json)
    if brief:
        for line in columns.sentences([_beginning(len(named), default)]):
            say(line)
    reports: list[VerifyReport | FileReport] = []
    foreign = [name for name in named if is_foreign(name)]  # of the contract's options it has none
    for turn, (precision, ranks) in enumerate(product(precisions, counts)):
        for name in named:
            if turn and name in foreign:
                continue
            if sys.stderr.isatty():  # compilers take most of a minute
                say(f"verifying {name} ...", end="\r", error=True)
            report = verify(
                name,
                hints=arguments.hint,
                run=not arguments.no_run,
                exact=arguments.exact,
                layers=None if arguments.layers is None else parse_layers(arguments.layers),
                batch_size=arguments.batch_size,
                activations=_names(arguments.activation),
                losses=_names(arguments.loss),
                output_activations=_names(arguments.output_activation),
                bias=bias,
                weight_decay=arguments.weight_decay,
                optimizer=arguments.optimizer,
                dtypes=_names(arguments.dtype),
                device=arguments.device,
                precision=precision,
                against=arguments.against,
                seed=arguments.seed,
                time_limit=arguments.time_limit,
                ranks=ranks,
            )
            if precision != "ieee" and asked is None and report.verdict == "unavailable":
                continue  # of a precision that only some have, and nobody asked for by name
            if isinstance(report, VerifyReport) and ranks == 1:
                report = _proved(report, name, arguments, precision)
            reports.append(report)
            if not arguments.json:
                say(_shown(report, brief, arguments.verbose))
    if arguments.json:
        say(json.dumps([report.to_dict() for report in reports], indent=1))
    else:
        say(summary(reports))
    verdicts = {report.verdict for report in reports}
    refused = [
        report
        for report in reports
        if arguments.strict and any(note.code not in allowed for note in report.notes)
    ]
    if arguments.junit is not None:
        with replaced(arguments.junit) as file:
            file.write_text(junit(reports, refused), encoding="utf-8")
    if "disagrees" in verdicts or refused:
        return FAILED
    # Of all that there are, those that are not installed fail nothing; one that was named does.
    if "unavailable" in verdicts and (arguments.implementations or len(verdicts) == 1):
        return USAGE
    if "undecided" in verdicts:
        return UNDECIDED
    return NOT_CHECKED if "not checked" in verdicts else DONE


def _beginning(count: int, names: Sequence[str]) -> str:
    """What is said before a run that takes minutes."""
    some = commands.command("verify", "NAME", "FILE.py")
    return (
        f"All {count} implementations, one after the other, a line each; -v shows tables. It takes "
        f"minutes; `{some}` verifies some of {', '.join(names)}, or a file of yours."
    )


def _shown(report: Any, brief: bool, verbose: bool) -> str:
    """The report, or a line of it if nothing is wrong, or there is nothing to be said of it."""
    if brief and (report.agrees or report.verdict == "unavailable"):
        return "\n".join(columns.folded([report.line()], "    "))
    return str(report.text(verbose))


def _proved(report: Any, name: str, arguments: Namespace, precision: str) -> Any:
    """A report on a file of the contract with its proof (--exact) and its smallest failure."""
    from samegrad.implementations.proof.child import prove_file, shrunk_snippet, with_proof

    if arguments.exact and precision == "ieee" and report.verdict != "unavailable":
        proof = prove_file(name, seed=arguments.seed or 0, time_limit=arguments.time_limit)
        report = with_proof(report, proof)
    if report.verdict == "disagrees" and arguments.shrink > 0:
        report = replace(report, snippet=shrunk_snippet(name, report, arguments.shrink))
    return report


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(","))
