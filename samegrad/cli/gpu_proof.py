"""`samegrad gpu-proof`: one command for whoever has a GPU."""

from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from samegrad.cli.parser import DONE, FAILED, UNDECIDED, positive
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say

MINUTES, MEGABYTES = 30.0, 15.0


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "gpu-proof",
        help="on a GPU: agreement, speed, precisions, peers, training into one archive",
        epilog="exit status 3: parts are left, --resume DIR goes on",
    )
    parser.add_argument(
        "--minutes",
        type=positive("minutes"),
        default=MINUTES,
        metavar="N",
        help=f"default: {MINUTES:g}",
    )
    parser.add_argument("--output", metavar="DIR", help="default: gpu-proof-DATE")
    parser.add_argument("--resume", metavar="DIR", help="go on with what is left of one")
    parser.add_argument("--only", metavar="PART,...", help="of the parts that it prints")
    parser.add_argument(
        "--max-size",
        type=positive("megabytes"),
        default=MEGABYTES,
        metavar="MB",
        help=f"of the archive (default: {MEGABYTES:g})",
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Run the parts; 1 if one failed, 3 if some are left."""
    for extra in ("benchmark", "report", "train"):
        commands.require(extra, "gpu-proof")
    from samegrad.benchmarks import gpu_proof
    from samegrad.benchmarks.machine import gpu

    if arguments.output and arguments.resume:
        raise ValueError("--output and --resume: give one of them")
    chosen = gpu_proof.parts()
    if arguments.only:
        names = [name.strip() for name in arguments.only.split(",")]
        every = gpu_proof.AGREEMENT.rstrip("_")  # all that verify
        known = [part.name for part in chosen]
        for name in names:
            if name not in [every, *known]:
                near = commands.did_you_mean(name, [every, *known])
                raise ValueError(f"--only {name!r}: the parts are {', '.join(known)}{near}")
        if every in names:
            names += [name for name in known if name.startswith(gpu_proof.AGREEMENT)]
        chosen = [part for part in chosen if part.name in names]
    if not gpu.measured():
        raise ValueError("no GPU on this machine: nothing here would prove anything")
    folder = arguments.resume or arguments.output or f"gpu-proof-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    proof = gpu_proof.Proof(Path(folder).resolve(), chosen, say, bool(arguments.resume))
    archive = proof.run(60 * arguments.minutes, round(1e6 * arguments.max_size))
    return told(proof, archive)


def told(proof: Any, archive: Path) -> int:
    """Say what came of the parts; the exit status."""
    statuses = [proof.status(part) for part in proof.parts]
    for line in proof.bands():
        say(line)
    for part, status in zip(proof.parts, statuses, strict=True):
        say(f"{part.name:12} {status}")
    say(f"archive: {archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    say(f"its report: {commands.command('render', str(archive))}")
    if "failed" in statuses:
        return FAILED
    if set(statuses) <= {"done"}:
        return DONE
    say(f"to go on: {commands.command('gpu-proof', '--resume', str(proof.folder))}")
    return UNDECIDED
