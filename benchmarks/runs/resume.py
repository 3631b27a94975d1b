"""Going on with a run that was interrupted: what it was, and whether this is still the same."""

from dataclasses import dataclass
from pathlib import Path

from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records.journal import Journal, NotAJournalError, read
from samegrad.benchmarks.records.schema import FAILED
from samegrad.benchmarks.runs import capabilities
from samegrad.benchmarks.runs.budget import Budget
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.directories import output_base
from samegrad.benchmarks.runs.options import BenchmarkOptions, parse
from samegrad.benchmarks.runs.selection import Selection
from samegrad.implementations.contract.commands import command

SMALLER = "a smaller size timed out"  # what a case is skipped for that may run after all


@dataclass
class Resumed:
    """An interrupted run.

    Attributes:
        directory: where it writes.
        journal: what it has measured.
        options: those that it began with.
    """

    directory: Path
    journal: Journal
    options: BenchmarkOptions

    @property
    def budget(self) -> Budget:
        """As it was made, and changed since; what was excluded has its outcome already."""
        return Budget(list(self.journal.cases), processes=self.journal.processes)

    def failed(self) -> list[str]:
        """The cases that --retry-failed tries again."""
        return list(
            dict.fromkeys(
                case.id
                for case, outcome in self.journal.outcomes
                if outcome["status"] in FAILED or outcome["reason"].startswith(SMALLER)
            )
        )

    def select(self) -> Selection:
        """The rows of the run, once it is sure that the implementations are still the same.

        Raises:
            ValueError: machine, code or devices differ: these are no samples of the same thing.
        """
        devices = list(dict.fromkeys(case.device for case in self.journal.cases))
        names = self.options.implementations
        now = capabilities.find(names, devices, self.options.interpreters)
        for record in self.journal.implementations:
            if record["status"] == "ok":
                _check(record, now[record["name"]])
        return Selection(now, list(self.journal.cases))


def load(run: str, retry_failed: bool) -> Resumed:
    """The run of a directory, a journal, or a name under reports/output.

    Raises:
        ValueError: no such run, it is another machine's, or nothing of it is left.
    """
    path = Path(run)
    if not path.exists():
        path = output_base() / run
    path = path / "journal.jsonl" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            f"--resume {run}: no such run; give its directory, or its name under {output_base()}"
        )
    try:
        journal = read(path)
    except NotAJournalError as error:
        raise ValueError(f"--resume: {error}") from None
    if "options" not in journal.run or "settings" not in journal.run or not journal.cases:
        raise ValueError(
            f"--resume {run}: the journal does not say how to go on (it was written by an older "
            "version, or ended before its cases were listed); start a new run"
        )
    here = system.fingerprint(system.machine())
    if journal.run["fingerprint"] != here:
        raise ValueError(
            f"--resume {run}: it is of another machine (fingerprint "
            f"{journal.run['fingerprint']}, here {here}); start a new run, `render` shows both"
        )
    resumed = Resumed(path.parent, journal, parse(**_arguments(journal.run["options"])))
    if journal.complete and not (retry_failed and resumed.failed()):
        left = "no case failed" if retry_failed else "it came to its end; --retry-failed repeats"
        left += "" if retry_failed else f" what failed, `{command('render', run)}` its report"
        raise ValueError(f"--resume {run}: nothing is left to measure: {left}")
    return resumed


def _arguments(options: dict[str, str]) -> dict[str, str]:
    """The options in a journal; older versions knew one kind of run by an option of its own."""
    if "training" not in options:
        return options
    return {**{k: v for k, v in options.items() if k != "training"}, "kind": "training"}


def _check(record: dict[str, object], now: Capabilities) -> None:
    """Raise ValueError if an implementation is not what it was when its record was written."""
    name = record["name"]
    if now.reason or now.failed:
        reason = now.reason or next(iter(now.failed.values()))
        raise ValueError(f"--resume: {name} worked when the run began, and now: {reason}")
    if record.get("source_sha256") != now.record.get("source_sha256"):
        raise ValueError(
            f"--resume: the code of {name} has changed since the run began; its samples would "
            "be of two programs: start a new run"
        )
