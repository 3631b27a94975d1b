"""What an archive of many machines costs: the table of docs/archive.md.

python -m tests.helpers.archive_scale FOLDER --machines 100,1000,10000
python -m tests.helpers.archive_scale FOLDER --machines 5000 --runs 2
python -m tests.helpers.archive_scale FOLDER --machines "" --journals 40 --small 100000

writes summaries of simulated machines (`tests.helpers.archives`), or copies of a published journal,
or journals of one row, which is not timed, and then runs each command in a process of its own: wall
time, CPU time of it and of what it starts, the most memory that all of these had at a time.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.reports.archive import files
from tests.helpers.archives import RESULTS, ROWS, records, write_simulated
from tests.helpers.journals import CASE

SECONDS = 0.2  # between two looks at the memory
SMALL_PART = 25  # machines, in the archive that is merged
CASE_ID = "mnist-train_step-batch128%numpy%"
QUERIES = {
    "query: count, median by implementation": (
        *("archive", "query"),
        "SELECT implementation, count(*), median(seconds) FROM rows GROUP BY 1",
    ),
    "query: a case, the fastest machines": (
        *("archive", "query"),
        f"SELECT machine, seconds FROM rows WHERE case_id LIKE '{CASE_ID}' ORDER BY 2 LIMIT 20",
    ),
    "history --steps": ("archive", "history", "--steps"),
    "history of a case": ("archive", "history", "--case", "mnist train_step numpy"),
    "compare": ("archive", "compare"),
    "compare of a case": ("archive", "compare", "--case", "mnist train_step numpy"),
    "advise --archive": ("advise", "--layers", "784-128-64-10", "--batch-size", "128"),
}


class Cost(NamedTuple):
    """Of a command."""

    wall: float
    cpu: float
    megabytes: float

    def __str__(self) -> str:
        """In a cell."""
        return f"{self.wall:.1f} s ({self.cpu:.1f} s CPU, {self.megabytes:,.0f} MB)"


def cost(*arguments: str) -> Cost:
    """What `samegrad ARGUMENTS` takes."""
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "samegrad", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL
    ) as child:
        most, ended = [0.0], threading.Event()
        looking = threading.Thread(target=_look, args=(child.pid, most, ended))
        looking.start()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        looking.join()
    assert child.returncode in (0, 1), arguments
    megabytes = max(most[0], used.ru_maxrss / 2**10)
    return Cost(wall, used.ru_utime + used.ru_stime, megabytes)


def _look(process: int, most: list[float], ended: threading.Event) -> None:
    """Keep the most memory of a process and of what it has started."""
    page = os.sysconf("SC_PAGE_SIZE") / 2**20
    while not ended.wait(SECONDS):
        most[0] = max(most[0], page * sum(_pages(process)))


def _pages(process: int) -> Iterator[int]:
    try:
        folder = Path("/proc") / str(process)
        yield int((folder / "statm").read_text().split()[1])
        for task in (folder / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _pages(int(child))
    except OSError:  # it has ended
        return


def size(folder: Path) -> float:
    """Megabytes of its files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measured(own: Path, machines: int, runs: int) -> dict[str, str]:
    """A column of the table."""
    summaries, archive, site = own / "runs", own / "archive", own / "site"
    if not summaries.is_dir():
        write_simulated(summaries, machines, runs, rows=ROWS, names=("example", "peers"))
    at = ("--archive", str(archive))
    made = {"rows": f"{machines * runs * ROWS:,}", "summaries": f"{size(summaries):,.0f} MB"}
    made["add"] = str(cost("archive", "add", str(summaries), *at))
    made["the same again"] = str(cost("archive", "add", str(summaries), *at))
    made["archive"] = f"{size(archive):,.1f} MB"
    for name, arguments in QUERIES.items():
        made[name] = str(min(cost(*arguments, *at) for _ in range(2)))
    small = own / "small"
    cut(archive, small)
    made["parts"] = f"{len(files.parts(small)):,}"
    asked = QUERIES["query: count, median by implementation"]
    made["a query of these"] = str(cost(*asked, "--archive", str(small)))
    made["merge"] = str(cost("archive", "merge", "--archive", str(small)))
    made["site"] = str(cost("site", str(site), *at))
    made["pages"] = f"{len(list(site.rglob('*.html'))):,}, {size(site):,.0f} MB"
    return made


def cut(archive: Path, small: Path) -> None:
    """The same rows in parts of a few machines."""
    for path in files.parts(archive):
        (batch,) = pq.read_table(path).combine_chunks().to_batches()
        for start in range(0, len(batch), SMALL_PART * ROWS):
            files.write(small, [batch.slice(start, SMALL_PART * ROWS)])


def journals(own: Path, count: int) -> dict[str, str]:
    """Copies of the largest published journal, each of a run of its own."""
    first, _, rest = (RESULTS / "example" / "journal.jsonl").read_bytes().partition(b"\n")
    return _added(own, count, first, rest)


def small(own: Path, count: int) -> dict[str, str]:
    """Journals of one row."""
    first, *rest = (json.dumps(line).encode() + b"\n" for line in records(cases=(CASE,)))
    return _added(own, count, first, b"".join(rest))


def _added(own: Path, count: int, first: bytes, rest: bytes) -> dict[str, str]:
    about = json.loads(first)
    for number in range(count):
        folder = own / "runs" / f"{number // 1000:03}" / f"{number:06}"
        folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(about | {"run": f"{about['run']}-{number}"}).encode()
        (folder / "journal.jsonl").write_bytes(line + b"\n" + rest)
    megabytes = size(own / "runs")
    took = cost("archive", "add", str(own / "runs"), "--archive", str(own / "archive"))
    return {
        "journals": f"{count:,}, {megabytes:,.0f} MB",
        "add": str(took),
        "a second": f"{megabytes / took.wall:.0f} MB, {count / took.wall:,.0f} journals",
    }


def table(columns: Sequence[tuple[str, dict[str, str]]]) -> str:
    """As Markdown."""
    heads = [name for name, _ in columns]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(made[name] for _, made in columns)} |" for name in columns[0][1]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """As the documentation above says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--machines", default="100,1000,10000")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--journals", type=int, default=0)
    parser.add_argument("--small", type=int, default=0)
    given = parser.parse_args()
    columns = []
    for number in map(int, filter(None, given.machines.split(","))):
        column = measured(given.folder / f"{number}x{given.runs}", number, given.runs)
        columns.append((f"{number:,} machines", column))
        sys.stdout.write(table(columns[-1:]))  # whatever happens to the next one
        sys.stdout.flush()
    if len(columns) > 1:
        sys.stdout.write(table(columns))
    for name, function in (("journals", journals), ("small", small)):
        if count := vars(given)[name]:
            sys.stdout.write(table([(name, function(given.folder / name, count))]))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
