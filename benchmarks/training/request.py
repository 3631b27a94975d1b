"""What a training run is asked for on the command line."""

from dataclasses import dataclass
from pathlib import Path

from samegrad.benchmarks.runs.options import parse_seconds
from samegrad.benchmarks.training.data.datasets import data_directory
from samegrad.benchmarks.training.tasks import TASKS, select

SEEDS, LIMIT_SECONDS = 5, 60.0
MOST_SEEDS = 1000


@dataclass(frozen=True)
class TrainingRequest:
    """What a training run is asked for.

    Attributes:
        tasks: names of tasks.
        seeds: how many seeds, from 0.
        limit: seconds that one training may be predicted to take.
        data_dir: the original files, or None to fetch them.
        arguments: the options as text, for the journal.
    """

    tasks: tuple[str, ...]
    seeds: int
    limit: float
    data_dir: Path | None
    arguments: dict[str, str | None]


def parse(
    workload: str | None, seeds: str | None, limit: str | None, data_dir: str | None
) -> TrainingRequest:
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
    seconds = LIMIT_SECONDS if limit is None else parse_seconds("--limit", limit)
    tasks = tuple(task.name for task in select(names))
    directory = data_directory(data_dir)
    arguments = {"seeds": seeds, "limit": limit, "data_dir": str(directory) if directory else None}
    return TrainingRequest(tasks, count, seconds, directory, arguments)
