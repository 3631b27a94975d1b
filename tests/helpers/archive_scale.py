"""What an archive of many machines costs: the table of docs/archive.md.

python -m tests.helpers.archive_scale FOLDER --machines 100,1000,10000

writes summaries of simulated machines (`tests.helpers.archives`), which is not timed, and then runs
each command in a process of its own: wall time, CPU time of it and what it starts, memory of the
largest of these processes.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from samegrad.benchmarks.machine.checkout import ROOT
from tests.helpers.archives import ROWS, write_simulated

QUERIES = {
    "query: count, median by implementation": (
        "query",
        "SELECT implementation, count(*), median(seconds) FROM rows GROUP BY 1",
    ),
    "query: a case over machines, the fastest": (
        "query",
        "SELECT machine, seconds FROM rows WHERE case_id LIKE 'mnist-train_step-batch128%numpy%' "
        "ORDER BY seconds LIMIT 20",
    ),
    "history --steps": ("history", "--steps"),
    "history of a case": ("history", "--case", "mnist train_step numpy"),
    "compare": ("compare",),
    "compare of a case": ("compare", "--case", "mnist train_step numpy"),
}


class Cost(NamedTuple):
    """Of a command."""

    wall: float
    cpu: float
    megabytes: float


def cost(*arguments: str) -> Cost:
    """What `samegrad archive ARGUMENTS` takes."""
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "samegrad", "archive", *arguments],
        cwd=ROOT, stdout=subprocess.DEVNULL,
    ) as child:  # fmt: skip
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode in (0, 1), arguments
    wall = time.monotonic() - began
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10)


def size(folder: Path) -> float:
    """Megabytes of its files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measured(folder: Path, machines: int, runs: int) -> dict[str, str]:
    """A column of the table."""
    own = folder / f"{machines}x{runs}"
    summaries, archive, site = own / "runs", own / "archive", own / "site"
    if not summaries.is_dir():
        write_simulated(summaries, machines, runs, rows=ROWS, names=("example", "peers"))
    at = ("--archive", str(archive))
    made = {"rows": f"{machines * runs * ROWS:,}", "summaries": f"{size(summaries):,.0f} MB"}
    made["add"] = text(cost("add", str(summaries), *at))
    made["archive"] = f"{size(archive):,.1f} MB"
    for name, arguments in QUERIES.items():
        made[name] = text(min(cost(*arguments, *at) for _ in range(3)))
    made["site"] = text(cost("site", str(site), *at))
    made["pages"] = f"{len(list(site.rglob('*.html'))):,}, {size(site):,.0f} MB"
    return made


def text(one: Cost) -> str:
    """In a cell."""
    return f"{one.wall:.1f} s ({one.cpu:.1f} s CPU, {one.megabytes:.0f} MB)"


def table(columns: Sequence[tuple[str, dict[str, str]]]) -> str:
    """As Markdown."""
    heads = [name for name, _ in columns]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(made[name] for _, made in columns)} |" for name in columns[0][1]
    ]
    return "\n".join(lines)


def main() -> None:
    """As the documentation above says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--machines", default="100,1000,10000")
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    columns = [
        (f"{number:,} machines", measured(arguments.folder, number, arguments.runs))
        for number in map(int, arguments.machines.split(","))
    ]
    sys.stdout.write(table(columns) + "\n")


if __name__ == "__main__":
    main()
