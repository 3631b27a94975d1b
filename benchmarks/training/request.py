"""What a training run was asked for on the command line."""

from dataclasses import dataclass
from pathlib import Path

from samegrad.benchmarks.training.command import data_directory
from samegrad.benchmarks.training.tasks import TASKS, select

SEEDS, LIMIT = 5, 60.0
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Wish:
    """What a training run was asked for.

    Attributes:
        tasks: names of tasks.
        seeds: how many seeds, from 0.
        limit: seconds that one training may be predicted to take.
        data_dir: the original files, or None to fetch them.
    """

    tasks: tuple[str, ...]
    seeds: int
    limit: float
    data_dir: Path | None


def parse(workload: str | None, seeds: str | None, limit: str | None, data_dir: str | None) -> Wish:
    """Check the options of a training run as they were typed.

    Raises:
        ValueError: one line that says what is accepted.
    """
    names = list(TASKS) if workload is None else [name.strip() for name in workload.split(",")]
    count = SEEDS
    if seeds is not None:
        count = int(seeds) if seeds.isascii() and seeds.isdigit() else 0
        if not 1 <= count <= MOST_SEEDS:
            raise ValueError(
                f"--seeds {seeds!r} is not accepted; give a whole number from 1 to {MOST_SEEDS}"
            )
    most = LIMIT
    if limit is not None:
        try:
            most = float(limit)
        except ValueError:
            most = 0.0
        if not 0 < most < 1e9:
            raise ValueError(f"--limit {limit!r} is not accepted; give seconds, for example 300")
    found = tuple(task.name for task in select(names))
    return Wish(found, count, most, data_directory(data_dir))
