"""`samegrad advise`: which implementation for a network, and why."""

from argparse import Namespace
from typing import Any

from samegrad.cli.parser import DONE, FAILED
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say

WAITING = 600  # seconds for which the command that is shown waits for a quiet machine, at most


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("advise", help="which implementation for a network, and why")
    parser.add_argument("--layers", required=True, metavar="SIZES", help="for example 784-256-10")
    parser.add_argument("--batch-size", default="32", metavar="N", help="default: 32")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="default: cpu")
    parser.add_argument("--threads", default="all", metavar="N", help="default: all")
    parser.add_argument(
        "--operation", choices=("train_step", "loss_and_grad", "forward"), default="train_step"
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument(
        "--gpu", metavar="NAME", help='predict for a GPU that is not here, such as "H100 PCIe"'
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
    import pandas as pd

    from samegrad.benchmarks.machine import system
    from samegrad.benchmarks.records import states
    from samegrad.benchmarks.records.journal import Journal
    from samegrad.benchmarks.runs import options
    from samegrad.benchmarks.runs.directories import output_base
    from samegrad.implementations.contract.spec import MLPSpec
    from samegrad.reports.data import advise
    from samegrad.reports.data.loading import VanishedError, load, paths
    from samegrad.reports.data.prediction import Predictor
    from samegrad.reports.data.report import machine_label

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
        if arguments.gpu is not None or arguments.runs:
            raise ValueError("--archive goes with neither --runs nor --gpu")
        return _of_archive(arguments.archive, asked)
    if arguments.gpu is not None:
        say("\n".join(advise.on_a_gpu(asked, arguments.gpu)))
        return DONE
    places = arguments.runs or [str(output_base())]
    files = [path for path in paths(places) if path.is_file()]
    if arguments.runs and not files:
        raise ValueError(f"{', '.join(arguments.runs)}: no journal there")
    rows = busy = others = pd.DataFrame()
    journals: list[Journal] = []
    try:
        report = load(files) if files else None
    except VanishedError as error:  # what runs a folder has may change at any moment
        report = None
        say(f"warning: {error}; nothing is left", error=True)
    if report is not None:
        for warning in report.warnings:
            say(f"warning: {warning}", error=True)
        others = report.all_rows
    if report is not None and len(others):
        named = [m for m in (j.run["machine"] for j in report.journals) if "gpu_named_by" in m]
        prints = {system.fingerprint_beside(m) for m in ({}, *named)}
        here = others.fingerprint.isin(prints)
        others, rows = others[~here], others[here]
        quiet = [j for j in report.journals if not states.run_too_busy(j.states)]
        journals = [j for j in quiet if j.run["fingerprint"] in prints] or quiet
        too_busy = rows.machine_too_busy.astype(bool)
        busy, rows = rows[too_busy], rows[~too_busy]
    predictor = Predictor.of(journals, others if rows.empty else rows)
    elsewhere = rows.empty and len(others) and busy.empty
    if elsewhere and (known := advise.answers(rows, asked, predictor)):
        machine = ", ".join(dict.fromkeys(machine_label(j.run) for j in journals))
        say(f"Nothing is measured here. Predicted for {machine}, from the probes of its runs.")
        say("\n".join(advise.text(known, rows, asked)))
        return DONE
    if rows.empty:
        command = advise.command(asked)
        if len(busy):
            said = f"This machine was busy in all that it measured in {', '.join(places)} "
            said += f"({_runs(busy)}): nothing is concluded from that. To measure once it is quiet:"
            command += f" --wait-quiet {WAITING}"
        else:
            beside = f" ({_runs(others)} of other machines)" if len(others) else ""
            said = f"No measurement of this machine in {', '.join(places)}{beside}. To measure:"
        say(f"{said}\n\n  {command}")
        return FAILED
    answers = advise.answers(rows, asked, predictor)
    say("\n".join(advise.text(answers, rows, asked)))
    return DONE if answers else FAILED


def _of_archive(place: str, asked: Any) -> int:
    """Print what machines like this one say; 1 if nothing is known."""
    commands.require("archive", "advise --archive")
    from samegrad.benchmarks.machine import system
    from samegrad.reports.archive import advice, store
    from samegrad.reports.data import advise

    facts = system.machine()
    alike = advice.groups(facts, system.fingerprint(facts), asked.device)
    with store.opened(place, lambda line: say(f"warning: {line}", error=True)) as connection:
        made = advice.ask(connection, asked, alike)
    if made is None:
        machines = "; ".join(group.words for group in alike)
        said = f"{advise.title(asked)} nothing in {place} tells, of {machines}. To measure it here:"
        say(f"{said}\n\n  {advise.command(asked)}")
        return FAILED
    for line in advice.text(made, asked):
        say(line)
    return DONE


def _runs(rows: Any) -> str:
    count = rows.source.nunique()
    return "1 run" if count == 1 else f"{count} runs"
