"""A run over versions: a run like any other, with an environment for each of its "implementations".

In each round every version has a fresh process; all of them live at once and are repeated in turn,
so that what disturbs the machine disturbs all versions alike. A version gets no number unless the
params after its first step agree with the reference, in this process, before anything is timed.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.presets import Network
from samegrad.benchmarks.clock.intervals import LEAST_PROCESSES
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.benchmarks.runs import quiet, session
from samegrad.benchmarks.runs.bar import Bar
from samegrad.benchmarks.runs.budget import Budget, CostModel, RunSettings
from samegrad.benchmarks.runs.capabilities import Capabilities, records
from samegrad.benchmarks.runs.options import parse_batch_sizes, parse_layers, parse_processes
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.runs.worker_process import stopped_short
from samegrad.benchmarks.versions import environments
from samegrad.benchmarks.versions.environments import Version
from samegrad.implementations.checking import comparison, problems, reference
from samegrad.implementations.checking.processes import Child, python_child
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.texts import clean, say

WORKER = "samegrad.benchmarks.versions.worker"
STEP = "benchmarks/versions/step.py"
LAYERS, BATCH_SIZES, PROCESSES = "10-16-16-5,64-32-10,784-128-64-10", "32", "10"
REPETITIONS = 12  # of a case in a process
LIMIT_SECONDS = 240.0  # for importing from a cold disk, and for the cases of a request
SECONDS = 1.0  # of a process before its first block, and of a case in it; for the progress alone
Message = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What is asked for: versions, and the networks whose step they are timed on."""

    versions: Sequence[Version]
    networks: Sequence[tuple[int, ...]]
    batch_sizes: Sequence[int]
    processes: int
    arguments: dict[str, str] = field(default_factory=dict)

    @property
    def cases(self) -> list[Case]:
        """All rows: of each network and batch size those of all versions."""
        return [
            Case(
                Network("-".join(map(str, sizes)), MLPSpec(sizes), 16 * size).workload(
                    size, "float32"
                ),
                "train_step",
                version.label,
            )
            for sizes in self.networks
            for size in self.batch_sizes
            for version in self.versions
        ]


def parse(
    versions: str,
    python: str | None = None,
    layers: str = LAYERS,
    batch_size: str = BATCH_SIZES,
    processes: str = PROCESSES,
) -> Request:
    """Check the options as they were typed.

    Args:
        versions: lines, one of each version.

    Raises:
        ValueError: one line that says what is accepted.
    """
    typed = {"versions": versions, "python": python, "layers": layers, "batch_size": batch_size,
             "processes": processes}  # fmt: skip
    return Request(
        environments.parse(versions.splitlines(), python),
        [parse_layers(sizes.strip()) for sizes in layers.split(",")],
        parse_batch_sizes(batch_size),
        parse_processes(processes),
        {name: value for name, value in typed.items() if value is not None},
    )


def resumed(run: str) -> tuple[Path, Request, Journal]:
    """Directory, request and journal of a run that is to go on.

    Raises:
        ValueError: no such run, or it cannot go on.
    """
    path, journal = session.opened(run)
    try:
        typed = session.options_now(journal.run["options"])
        session.refuse_companions(path.parent, typed)
        return path.parent, parse(**session.known(typed, parse)), journal
    except (TypeError, ValueError) as error:
        raise ValueError(f"--resume {run}: it is no run of versions: {error}") from None


def measure(
    request: Request, directory: Path, command: str, wait: float = 0, journal: Journal | None = None
) -> None:
    """Make the environments, and measure; or the rest of a run, whose journal is given.

    Raises:
        ValueError: no version can be used, nothing is left or a version is another one than it
            was, or another process writes this run.
        OSError: its journal cannot be written.
    """
    pythons = dict[str, str]()
    capabilities = {version.label: _prepared(version, pythons) for version in request.versions}
    if not any(one.cost_models for one in capabilities.values()):
        raise ValueError(f"no version can be used: {next(iter(capabilities.values())).reason}")
    able = {label for label, one in capabilities.items() if not one.reason}
    budget = Budget(
        request.cases,
        {
            case.id: (one.status, one.reason)
            for case in request.cases
            if (one := capabilities[case.implementation]).reason
        },
        request.processes,
        request.processes * (len(request.cases) + len(able)) * SECONDS,
        request.processes >= LEAST_PROCESSES,
    )
    retry = [] if journal is None else _retried(journal, capabilities)
    progress = Bar()
    try:
        run = Run(
            budget,
            capabilities,
            directory,
            RunSettings(None, 1.0, ceilings=False, proofs=False),
            progress=progress,
            about={
                "preset": "versions",
                "intervals": budget.intervals,
                "command": command,
                "options": request.arguments,
            },
            resume=journal,
            retry=retry,
        )
        known = {case.implementation for case in request.cases if case.id in retry}
        for record in records({label: capabilities[label] for label in sorted(known)}):
            run.write(record)
        quiet.begin(run, wait)
        by_label = {version.label: version for version in request.versions}
        run.execute(lambda scratch: _Rounds(run, by_label, pythons, scratch).all())
    finally:
        progress.close()


def _retried(journal: Journal, now: Mapping[str, Capabilities]) -> list[str]:
    """The ids of cases whose version could not be had when the run began, and now can.

    Raises:
        ValueError: nothing is left of the run, or a version is not what it was.
    """
    for record in journal.implementations:
        one = now.get(record["name"])
        if one is not None and record["status"] == OK:
            session.check_unchanged(record, one)
            if one.record["facts"]["cpu"] != record.get("facts"):
                raise ValueError(f"--resume: {one.label} holds other packages; start a new run")
    retry = [
        case.id
        for case, outcome in journal.outcomes
        if outcome["status"] == "unavailable" and not now[case.implementation].reason
    ]
    if journal.complete and not retry:
        raise ValueError("--resume: nothing is left to measure: the run came to its end")
    return retry


def _prepared(version: Version, pythons: dict[str, str]) -> Capabilities:
    """Make a version's environment and ask it what it holds; or say why it cannot be used.

    Args:
        pythons: label -> path of the interpreter there, which is added.
    """
    text = (Path(__file__).parent / "step.py").read_text(encoding="utf-8")
    sha256 = hashlib.sha256(text.encode()).hexdigest()[:12]
    record = {"kind": "version", "base": version.library, "files": {STEP: sha256},
              "source_sha256": sha256}  # fmt: skip
    made = Capabilities(version.label, version.label, sources={STEP: text}, record=record)
    say(f"samegrad: {version.label}: making or finding its environment")
    facts = dict[str, str](version.variables)
    try:
        python = environments.make(version)
        with _child(version, python) as child:
            child.send(_request(version, {}))
            ended = child.receive(lambda m: facts.update(m["facts"]), LIMIT_SECONDS)
        made.reason = f"its environment is broken: {ended.reason}" if ended else ""
    except OSError as error:
        made.reason = str(error)
    if made.reason:
        say(f"samegrad: {version.label}: {made.reason}", error=True)
        return made
    pythons[version.label] = python
    made.record["facts"] = {"cpu": facts}
    made.cost_models = {"cpu": CostModel(0.0, SECONDS, 1e12, SECONDS)}
    return made


def _request(version: Version, cases: Mapping[str, str]) -> Message:
    named = [version.library, f"{version.library}lib", "numpy"]
    return {"library": version.library, "versions": named, "cases": dict(cases)}


def _child(version: Version, python: str) -> Child:
    """A process in the environment of a version, on all cores."""
    environment = system.worker_environment("cpu", Path(python).parent)
    for name in (*environments.ALONE, "JAX_COMPILATION_CACHE_DIR"):  # each compiles for itself
        environment.pop(name, None)
    command = python_child(WORKER, python, system.affinity("all"))
    return Child(command, environment | version.variables)


class _Rounds:
    """The rounds of a run."""

    def __init__(
        self,
        run: Run,
        versions: Mapping[str, Version],
        pythons: Mapping[str, str],
        scratch: Path,
    ) -> None:
        self.run, self.versions, self.pythons, self.scratch = run, versions, pythons, scratch
        self.gates: dict[tuple[str, int], Message] = {}  # of a case in a process

    def all(self) -> None:
        """Every round, as far as it has not been made."""
        processes = range(self.run.budget.processes)
        left = sum(len(self._left(process)) for process in processes)
        self.run.progress.expect(left, left * SECONDS)
        for process in processes:
            self._round(process)

    def _left(self, process: int) -> list[Case]:
        """The cases that a process has not repeated as often as it is to be."""
        count = self.run.repetitions.count
        return [c for c in self.run.running if count(c, process) < REPETITIONS]

    def _round(self, process: int) -> None:
        order = random.Random(process)
        labels = list(dict.fromkeys(case.implementation for case in self._left(process)))
        order.shuffle(labels)
        with ExitStack() as stack:
            alive = {}
            for label in labels:
                self.run.progress.now(f"{label}, process {process + 1}")
                child = _child(self.versions[label], self.pythons[label])
                alive[label] = stack.enter_context(child)
                paths = {
                    case.id: str(_problem(case, self.scratch)[0])
                    for case in self._left(process)
                    if case.implementation == label
                }
                self._ask(alive[label], label, process, _request(self.versions[label], paths))
            for _ in range(REPETITIONS):
                order.shuffle(labels)
                for label in labels:
                    left = [c.id for c in self._left(process) if c.implementation == label]
                    if left:
                        order.shuffle(left)
                        self._ask(alive[label], label, process, {"cases": left})
                self.run.look()

    def _ask(self, child: Child, label: str, process: int, request: Message) -> None:
        """Send a request, and write down what comes of it."""
        cases = {case.id: case for case in self.run.running if case.implementation == label}

        def on_message(message: Message) -> None:
            if "gate" in message:
                case = cases[message["gate"]]
                if failed := message.get("failed") or self._judged(case, process):
                    self.run.finish(case, process, failed)
            elif "outcome" in message:
                case, outcome = cases[message["case"]], message["outcome"]
                if outcome["status"] == OK:
                    outcome["gate"] = self.gates[case.id, process]
                self.run.finish(case, process, outcome)

        child.send(request)
        if ended := child.receive(on_message, LIMIT_SECONDS):
            for case in cases.values():
                if case in self.run.running:
                    self.run.finish(case, process, stopped_short(ended))

    def _judged(self, case: Case, process: int) -> Message | None:
        """Why a first step does not agree with the reference, or None; the gate is kept."""
        path, right = _problem(case, self.scratch)
        with np.load(f"{path}-first.npz", allow_pickle=False) as file:
            given = {name: file[name] for name in file.files}
        Path(f"{path}-first.npz").unlink()  # it is no other version's
        count = len(case.spec.layer_sizes) - 1
        updated = [(given[f"W{i}"], given[f"b{i}"]) for i in range(count)]
        results = {"loss of the step": given["loss"], "updated": updated}
        told = comparison.judge(case.spec, right, results)
        if not told.agrees or told.worst is None:
            return {"status": "wrong", "reason": f"its first step is wrong: {clean(told.reason)}"}
        self.gates[case.id, process] = {
            "name": told.worst.name, "error": told.worst.error, "bound": told.worst.bound,
        }  # fmt: skip
        return None


@cache
def _problem_of(spec: MLPSpec, batch_size: int, path: Path) -> reference.Expected:
    """Weights and a batch, written for the processes; and what a step must give."""
    problem = problems.draw(spec, batch_size)
    right = reference.expected(spec, problem.params, problem.X, problem.y)
    arrays = {f"{n}{i}": a for i, pair in enumerate(problem.params)
              for n, a in zip("Wb", pair, strict=True)}  # fmt: skip
    np.savez(f"{path}.npz", X=problem.X, y=problem.y, learning_rate=right.learning_rate, **arrays)
    return right


def _problem(case: Case, scratch: Path) -> tuple[Path, reference.Expected]:
    path = scratch / case.workload.id
    return path, _problem_of(case.spec, case.workload.batch_size, path)
