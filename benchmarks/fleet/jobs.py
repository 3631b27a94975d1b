"""Jobs by submitit: an array of Slurm's, or processes of this machine."""

import contextlib
import io
import logging
import math
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from samegrad.implementations.contract.commands import did_you_mean

LOCAL_MINUTES = 7 * 24 * 60  # submitit ends local jobs after five without it
# A machine measures one run at a time, and nothing else.
SLURM = {"job_name": "samegrad", "nodes": 1, "ntasks_per_node": 1, "exclusive": True, "time": 240}
ENDING_SECONDS = 20.0  # for jobs that are told to end
ASKING_SECONDS = 15.0  # between two questions to Slurm's queue
ANSWER_SECONDS = 60.0  # that it may take to answer one: on a busy cluster it waits itself
LATE_SECONDS = 15.0  # that a result takes to be seen on a shared disk
UNKNOWN, LOST = "UNKNOWN", "NO_LONGER_KNOWN"
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
         "TIMEOUT", LOST}  # fmt: skip
GONE = "Invalid job id"


class Jobs:
    """Submits functions as jobs, and tells what becomes of them."""

    def __init__(self, folder: Path, slurm: Mapping[str, str] | None) -> None:
        """Of Slurm with parameters of sbatch, or of this machine.

        Raises:
            ValueError: Slurm is not there, or a parameter is none of submitit's.
        """
        import submitit

        logging.getLogger("submitit").setLevel(logging.ERROR)  # each question that sacct refuses
        self.local = slurm is None
        self._states: dict[str, tuple[float, str]] = {}
        if slurm is None:
            self._executor: Any = submitit.LocalExecutor(folder)
            self._executor.update_parameters(timeout_min=LOCAL_MINUTES)
            return
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise ValueError("--slurm: there is no sbatch here; give it where jobs are submitted")
        self._executor = submitit.SlurmExecutor(folder)
        own = {name: int(value) if value.isdecimal() else value for name, value in slurm.items()}
        try:
            self._executor.update_parameters(**SLURM | own)
        except (ValueError, TypeError) as error:
            said, known = str(error), re.findall(r"^\s*- (\w+)", str(error), re.MULTILINE)
            near = next(filter(None, (did_you_mean(n, known) for n in own if n not in known)), "")
            line = " ".join(said.splitlines()[0].split())[:200]
            raise ValueError(f"--slurm-options: {line}{near}") from None

    def submit(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
        """A job for each task; several are one array of Slurm's.

        Raises:
            ValueError: Slurm refuses them.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        # Submitit prints what sbatch says of an error, which is in the exception as well.
        with _deaf(self.local), contextlib.redirect_stderr(io.StringIO()):
            try:
                return list(self._executor.map_array(function, tasks))
            except (FailedJobError, FailedSubmissionError, subprocess.SubprocessError) as error:
                raise ValueError(f"--slurm: {' '.join(str(error).split())[:300]}") from None

    def ended(self, job: Any) -> bool:
        """Whether nothing more will come of a job."""
        if job.paths.result_pickle.exists():
            return True
        return bool(job.done()) if self.local else self._state(job.job_id) in ENDED

    def _state(self, name: str) -> str:
        """What Slurm says of a job, asked now and then: its queue knows, without accounting too."""
        asked, state = self._states.get(name, (-math.inf, UNKNOWN))
        if time.monotonic() - asked > ASKING_SECONDS:
            command = ["squeue", "--noheader", "--states=all", "--jobs", name, "--format=%T"]
            state = _answer(command, state)
            self._states[name] = time.monotonic(), state
        return state

    def said(self, job: Any) -> str:
        """What the function of an ended job returned, or in a line why it returned nothing."""
        result, deadline = job.paths.result_pickle, time.monotonic() + LATE_SECONDS
        while not self.local and not result.exists() and time.monotonic() < deadline:
            time.sleep(0.5)
        if not result.exists():  # submitit would wait for it, without accounting for ever
            state = "" if self.local else self._state(job.job_id).lower()
            return "its process was ended" if self.local else f"its job ended: {state}"
        error = job.exception()
        if error is None:
            return str(job.result())
        lines = [line for line in str(error).splitlines() if line.strip(" -")]
        return next((line.strip() for line in reversed(lines) if ": " in line), "it failed")

    def last_line(self, job: Any) -> str:
        """The last line of a job's errors."""
        lines = (job.stderr() or "").strip().splitlines()
        return str(lines[-1].strip()) if lines else ""

    def end(self, jobs: Sequence[Any]) -> None:
        """Let jobs write down what they have; then end them."""
        for job in jobs:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                if self.local:
                    os.kill(int(job.job_id), signal.SIGTERM)  # its process hands it on
                else:
                    job.cancel()
        deadline = time.monotonic() + ENDING_SECONDS
        while self.local and time.monotonic() < deadline and not all(job.done() for job in jobs):
            time.sleep(0.1)
        for job in jobs:
            if self.local and not job.done():
                job.cancel()


def _answer(question: Sequence[str], known: str) -> str:
    """What Slurm's queue answers, or what is known where it gives no answer in time."""
    try:
        answer = subprocess.run(
            question, capture_output=True, text=True, errors="replace", check=False,
            timeout=ANSWER_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return known
    if lines := answer.stdout.split():
        return lines[0]
    if GONE in answer.stderr or not answer.returncode:  # it ended a while ago
        return known if known in ENDED else LOST
    return known


@contextlib.contextmanager
def _deaf(needed: bool) -> Iterator[None]:
    """What is started meanwhile does not hear a terminal's Ctrl-C: who started it ends it."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if needed else None
    except ValueError:  # not in the main thread
        before = None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
