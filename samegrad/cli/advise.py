"""`samegrad advise`: which implementation for a network, and why."""

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from samegrad.cli.parser import DONE, FAILED
from samegrad.implementations.contract import columns, commands
from samegrad.implementations.contract.texts import say

MOST_GPUS = 5  # that are named
WAITING = 600  # seconds for which the command that is shown waits for a quiet machine, at most


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("advise", help="which implementation for a network, and why")
    parser.add_argument("--layers", required=True, metavar="SIZES", help="for example 784-256-10")
    parser.add_argument("--batch-size", default="32", metavar="N", help="default: 32")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="default: cpu")
    parser.add_argument("--threads", default="all", metavar="N", help="default: all")
    parser.add_argument(
        "--operation",
        choices=("train_step", "loss_and_grad", "forward"),
        default="train_step",
        metavar="NAME",
        help="train_step (default), loss_and_grad or forward",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument(
        "--gpu",
        metavar="NAME",
        help='predict for a GPU that is not here, such as "H100 PCIe"; of an archive: ask those '
        "with that in its name",
    )
    parser.add_argument(
        "--runs", nargs="+", metavar="DIR", help="default: the runs of this checkout or folder"
    )
    parser.add_argument(
        "--archive", metavar="DIR", help="ask an archive: what machines like this one measured"
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Print the answer; 1 if nothing is known."""
    commands.require("report", "advise")
    from samegrad.benchmarks.runs import options
    from samegrad.implementations.contract.spec import MLPSpec
    from samegrad.reports.data import advise

    sizes = options.parse_layers(arguments.layers)
    batches = options.parse_batch_sizes(arguments.batch_size)
    if len(batches) > 1:
        raise ValueError(f"--batch-size {arguments.batch_size!r}: give one; the answer is for one")
    spec = MLPSpec.from_dict({"layer_sizes": sizes, "dtype": arguments.dtype})
    if arguments.threads != "all" and not options.whole_number(arguments.threads):
        raise ValueError(f"--threads {arguments.threads!r:.60}: give a number, or all")
    asked = advise.Question(
        spec, batches[0], arguments.device, arguments.threads, arguments.operation
    )
    if arguments.archive is not None:
        if arguments.runs:
            raise ValueError("--archive goes without --runs: `samegrad archive add` takes runs")
        return _of_archive(arguments.archive, asked, arguments.gpu)
    from samegrad.reports.data import advise_text  # and pandas, which an archive does not need

    if arguments.gpu is not None:
        lines = advise_text.on_a_gpu(asked, arguments.gpu)
        known = _known(replace(asked, device="cpu"), arguments.runs, besides=True)
        _say([*lines, *known.lines])
        return DONE
    known = _known(asked, arguments.runs)
    _say(known.lines)
    return DONE if known.answered else FAILED


def _say(lines: Iterable[str]) -> None:
    for line in columns.folded(lines):
        say(line)


class _Known(NamedTuple):
    """What runs tell: whether they answer, and what is printed."""

    answered: bool
    lines: list[str]


def _known(asked: Any, runs: list[str] | None, besides: bool = False) -> _Known:
    """What the runs of some places tell, of this machine if they can.

    Args:
        besides: whether a line will do, beside what is said of another device.
    """
    from samegrad.reports.data import advise, advise_runs, advise_text

    where, report, here = _read(runs)
    own = []
    for machine in advise_runs.machines(report, here) if report and len(report.all_rows) else ():
        if not machine.name:
            own.append(machine)
        if answers := machine.answers(asked):
            first = machine.first(answers)
            if machine.busy:
                first = f"This machine was busy in {_runs(machine.rows)}. {first}"
            if besides:
                name = machine.name or "this machine"
                return _Known(True, [*filter(None, [first]), advise_text.beside(answers, name)])
            text = advise_text.text(answers, machine.rows, asked)
            return _Known(True, [*filter(None, [first]), *text])
    command = advise.command(asked)
    if besides:
        return _Known(False, [f"The CPU beside it: nothing is known in {where}; to measure it:",
                              "", f"  {command}"])  # fmt: skip
    if own and not own[0].busy:
        return _Known(False, advise_text.text([], own[0].rows, asked))
    if own:
        said = f"This machine was busy in all that it measured in {where} ({_runs(own[0].rows)}): "
        said += "nothing is concluded from that. To measure once it is quiet:"
        command += f" --wait-quiet {WAITING}"
    else:
        others = report.all_rows if report else ()
        beside = f" ({_runs(others)} of other machines)" if len(others) else ""
        said = f"No measurement of this machine in {where}{beside}. To measure:"
    return _Known(False, [said, "", f"  {command}"])


def _read(runs: list[str] | None) -> tuple[str, Any, set[str]]:
    """The places of runs in words, a report of these or None, and fingerprints of this machine."""
    from samegrad.benchmarks.machine import system
    from samegrad.benchmarks.runs.directories import output_base
    from samegrad.reports.data.loading import VanishedError, load, paths

    places = runs or [str(output_base())]
    where = ", ".join(places)
    files = [path for path in paths(places) if path.is_file()]
    if runs and not files:
        raise ValueError(f"{where}: no journal there")
    try:
        report = load(files) if files else None
    except VanishedError as error:  # what runs a folder has may change at any moment
        say(f"warning: {error}; nothing is left", error=True)
        report = None
    if report is None:
        return where, None, set()
    for warning in report.warnings:
        say(f"warning: {warning}", error=True)
    named = [m for m in (j.run["machine"] for j in report.journals) if "gpu_named_by" in m]
    return where, report, {system.fingerprint_beside(m) for m in ({}, *named)}


def _of_archive(place: str, asked: Any, gpu: str | None) -> int:
    """Print what machines like this one say, or with a GPU; 1 if nothing is known."""
    commands.require("archive", "advise --archive")
    from samegrad.benchmarks.machine import system
    from samegrad.reports.archive import advice, store, withdrawing
    from samegrad.reports.data import advise

    if gpu is not None and asked.device == "cpu":
        asked = replace(asked, device="cuda")
    facts = system.machine()
    alike = advice.groups(facts, system.fingerprint(facts), asked.device, gpu)
    with store.opened(place, lambda line: say(f"warning: {line}", error=True)) as connection:
        made = advice.ask(connection, asked, alike)
        others = advice.gpus(connection) if made is None and asked.device != "cpu" else []
        if left_out := withdrawing.note(connection):
            say(left_out, error=True)
    here = asked.device == "cpu" or facts["gpu"] != "none"
    where = "here" if here else "where there is one"
    if made is not None:
        _say(advice.text(made, asked, where))
        return DONE
    machines = "; ".join(group.words for group in alike)
    lines = [f"{advise.title(asked)} nothing in {place} tells, of {machines}."]
    if asked.device != "cpu" and facts["gpu"] == "none":
        lines.append("There is no GPU on this machine.")
    if others:
        named = "; ".join(others[:MOST_GPUS]) + ("; ..." if len(others) > MOST_GPUS else "")
        lines.append(f"GPUs with runs there: {named}. --gpu NAME asks those with that in its name.")
    _say([*lines, f"To measure it {where}:", "", f"  {advise.command(asked)}"])
    return FAILED


def _runs(rows: Any) -> str:
    count = rows.source.nunique()
    return "1 run" if count == 1 else f"{count} runs"
