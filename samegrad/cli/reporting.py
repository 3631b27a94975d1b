"""The commands `python -m samegrad ...`: reports of runs, comparisons, and advice."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from samegrad.benchmarks.records.journal import NotAJournalError, read
from samegrad.reports.data.loading import NoParquetError, load, paths


def main(arguments: Sequence[str] | None = None, program: str = "python -m samegrad") -> int:
    """Exit status: 0; 1 if a comparison fails; 2 for what cannot be read, written or answered."""
    given = _parser(program).parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.run
    try:
        return command(given)
    except (NotAJournalError, NoParquetError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.stderr.close()
        return 1
    except OSError as error:
        print(f"error: {error.filename}: cannot be written: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 2


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)

    add = commands.add_parser("render", help="write the report of runs; those of machines merge")
    add.add_argument(
        "journals", nargs="+", metavar="RUN",
        help="a journal.jsonl, its folder, or a folder of runs",
    )  # fmt: skip
    add.add_argument("--output", metavar="DIR", help="default: the first journal's folder")
    add.add_argument(
        "--parquet", action="store_true", help="results.parquet too; needs samegrad[parquet]"
    )
    add.set_defaults(run=_render)

    add = commands.add_parser("compare", help="what has become faster or slower between two runs")
    add.add_argument("old", metavar="OLD", help="a run's folder or journal")
    add.add_argument("new", metavar="NEW", help="the later one's")
    add.add_argument(
        "--fail-above", metavar="PERCENT",
        help="exit with 1 if a row is slower by more, beyond doubt; for example 5%%",
    )  # fmt: skip
    add.add_argument(
        "--across", metavar="WHAT", default="",
        help="compare rows although these differ: machine, code, inputs, joined by ','",
    )  # fmt: skip
    add.add_argument("--markdown", action="store_true", help="for a pull request")
    add.set_defaults(run=_compare)

    add = commands.add_parser("advise", help="which implementation for a network, and why")
    add.add_argument("--layers", required=True, metavar="SIZES", help="for example 784-256-10")
    add.add_argument("--batch-size", default="32", metavar="N", help="default: 32")
    add.add_argument("--device", default="cpu", metavar="NAME", help="default: cpu")
    add.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    add.add_argument(
        "--runs", nargs="+", metavar="DIR", help="default: the runs of this checkout or folder"
    )
    add.set_defaults(run=_advise)
    return parser


def _render(given: argparse.Namespace) -> int:
    from samegrad.reports.render import render

    found = paths(given.journals)
    output = Path(given.output) if given.output else _folder(given.journals[0], found[0])
    for line in render(found, output, parquet=given.parquet):
        print(line, file=sys.stderr if line.startswith("warning:") else sys.stdout)
    return 0


def _folder(name: str, first: Path) -> Path:
    """Where a report goes: beside its journal, or into the folder of runs."""
    return Path(name) if Path(name).is_dir() else first.parent


def _one(name: str) -> Path:
    path = Path(name)
    return path / "journal.jsonl" if path.is_dir() else path


def _compare(given: argparse.Namespace) -> int:
    from samegrad.reports.data import comparison

    threshold = parse_percent(given.fail_above)
    across = parse_across(given.across)
    old, new = read(_one(given.old)), read(_one(given.new))
    for line in [*old.warnings, *new.warnings]:
        print(f"warning: {line}", file=sys.stderr)
    found = comparison.compare(old, new, across=across, fail_above=threshold)
    print(comparison.markdown(found) if given.markdown else comparison.text(found))
    if math.isinf(threshold):
        return 0
    if found.compared.low.isna().all():
        print(
            "error: --fail-above: no row can be compared with certainty, so nothing was checked",
            file=sys.stderr,
        )
        return 2
    if found.beyond:
        print(
            f"{len(found.beyond)} rows are slower by more than {100 * threshold:g} %, beyond doubt",
            file=sys.stderr,
        )
    return 1 if found.beyond else 0


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


def parse_across(text: str) -> tuple[str, ...]:
    """("code", "inputs") from "code,inputs"."""
    from samegrad.reports.data.comparison import ACROSS

    names = tuple(part.strip() for part in text.split(",")) if text else ()
    for name in names:
        if name not in ACROSS:
            raise ValueError(f"--across {name!r} is not known; accepted: {', '.join(ACROSS)}")
    return names


def _advise(given: argparse.Namespace) -> int:
    from samegrad.benchmarks.machine import system
    from samegrad.benchmarks.runs import options
    from samegrad.benchmarks.runs.directories import output_base
    from samegrad.implementations.contract.spec import MLPSpec
    from samegrad.reports.data import advise

    sizes = options.parse_layers(given.layers)
    batches = options.parse_batch_sizes(given.batch_size)
    if len(batches) > 1:
        raise ValueError(f"--batch-size {given.batch_size!r}: give one; the answer is for one")
    spec = MLPSpec.from_dict({"layer_sizes": sizes, "dtype": given.dtype})
    places = given.runs or [str(output_base())]
    known = [path for path in paths(places) if path.is_file()]
    if given.runs and not known:
        raise ValueError(f"{', '.join(given.runs)}: no journal there")
    rows = None
    if known:
        found = load(known)
        rows = found.rows[found.rows.fingerprint == system.fingerprint(system.machine())]
    if rows is None or rows.empty:
        others = f" ({len(known)} runs of other machines)" if known else ""
        print(f"No run of this machine in {', '.join(places)}{others}. To measure:\n")
        print("  " + advise.command(spec, batches[0], given.device))
        return 1
    answers = advise.answers(rows, spec, batches[0], given.device)
    print("\n".join(advise.text(answers, rows, spec, batches[0], given.device)))
    return 0 if answers else 1


if __name__ == "__main__":
    sys.exit(main())
