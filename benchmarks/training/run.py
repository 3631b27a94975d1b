"""A run of trainings: one of the kinds of runs.

Every task, implementation, device and seed in a fresh process. It is a run like any other (journal,
resume, limits); what differs is what one process does.
"""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, get_args

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import TRAINING, MLPWorkload
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.machine.gpu import measured
from samegrad.benchmarks.records import schema
from samegrad.benchmarks.runs import selection, worker_process
from samegrad.benchmarks.runs.budget import PREDICTED, Budget, CostModel, RunSettings
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.options import BenchmarkOptions, parse_seconds, whole_number
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.runs.selection import Selection, why_no_gpu
from samegrad.benchmarks.training.data.datasets import data_directory
from samegrad.benchmarks.training.tasks import PARITY, TASKS, Task
from samegrad.benchmarks.training.tasks import select as select_tasks
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.spec import Optimizer

WORKER = "samegrad.benchmarks.training.worker"
DATA_SECONDS = 1800.0  # for the data of one task: a download, or a decomposition
EPOCH_SECONDS = 60.0  # for one epoch, besides ten times what it should take
SEEDS, MOST_SEEDS = 5, 1000
SPEEDRUN_SEEDS = 10
MOST_TRAININGS = 50  # of a row: ten folds, a few candidates, and once more on all of the data
LIMIT_SECONDS = 60.0  # of one training, predicted
START_SECONDS = 2.0  # of a training's process
UPDATE_SECONDS = 2.0e-9  # per parameter and step, of rules that keep two more numbers for each


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
    tasks = select_tasks(names)
    count = SPEEDRUN_SEEDS if all(task.recipe.updates for task in tasks) else SEEDS
    if seeds is not None:
        count = whole_number(seeds)
        if not 1 <= count <= MOST_SEEDS:
            raise ValueError(
                f"--seeds {seeds!r} is not accepted; give a whole number from 1 to {MOST_SEEDS}"
            )
    seconds = LIMIT_SECONDS if limit is None else parse_seconds("--limit", limit)
    chosen = tuple(task.name for task in tasks)
    directory = data_directory(data_dir)
    # What the environment says is this machine's own: a journal does not tell it.
    given = str(directory) if data_dir else None
    arguments = {"seeds": seeds, "limit": limit, "data_dir": given}
    return TrainingRequest(chosen, count, seconds, directory, arguments)


def select(options: BenchmarkOptions) -> Selection:
    """The rows of a run: tasks times implementations and devices.

    Raises:
        ValueError: something that was asked for by name is not available.
    """
    request: TrainingRequest = options.request
    gpu = measured()
    devices = selection.devices(options)
    made = selection.begin(options, gpu)
    for label, capability in made.capabilities.items():
        if capability.reason:
            made.notes.append(f"{label}: {capability.reason}")
        for device in devices:
            unusable = capability.reason or capability.failed.get(device)
            unusable = unusable or why_no_gpu(label, capability, device, gpu)
            if device not in capability.devices and not (unusable and device == devices[0]):
                continue
            for name in request.tasks:
                for case in _cases(TASKS[name], label, capability, device, options.dtypes):
                    too_slow = too_long(options, case, capability)
                    status = capability.status if unusable else "skipped"
                    made.add([case], unusable or too_slow, status)
    labels, names = list(made.capabilities), list(TASKS)
    made.cases.sort(
        key=lambda c: (
            names.index(c.workload.name),
            c.spec.dtype,
            labels.index(c.implementation),
            devices.index(c.device),
        )
    )
    selection.refuse_nothing(made)
    return made


def prepare(
    options: BenchmarkOptions, selected: Selection, chosen: list[Case], spent_seconds: float
) -> tuple[Budget, RunSettings, str]:
    """A process per row and seed, without a time limit of the run, and a line that says it."""
    seeds = options.request.seeds
    made = Budget(chosen, selected.excluded_of(chosen), seeds)
    line = (
        f"{len(made.running)} of {len(made.cases)} rows are trained, "
        f"{seeds} seed{'s' * (seeds > 1)} each"
    )
    return made, RunSettings(None, 0.0, ceilings=False, proofs=False), line


def execute(run: Run, request: TrainingRequest) -> None:
    """Train the cases of a run and complete its journal."""
    run.execute(lambda scratch: Trainings(run, request, scratch).execute())


def _cases(
    task: Task, label: str, capability: Capabilities, device: str, dtypes: Sequence[str] | None
) -> list[Case]:
    available = capability.dtypes or selection.dtypes_of(label)
    usable = [dtype for dtype in dtypes or ("float32",) if dtype in available]
    if not usable and dtypes is None:
        usable = [available[0]]
    cases = []
    for dtype in usable:
        recipe = task.recipe.in_dtype(dtype)
        batch_size = recipe.batch_size or task.examples
        workload = MLPWorkload(task.name, recipe.spec, batch_size, task.examples)
        cases.append(Case(workload, TRAINING, label, device))
    return cases


def predicted_seconds(case: Case, model: CostModel) -> float:
    """Predicted seconds of one training, validation included, all folds and candidates."""
    task = TASKS[case.workload.name]
    if task.recipe.rule == "perceptron":
        return 1e-4 * task.examples * task.recipe.epochs  # no steps: a product per example
    updates = case.spec.parameters * UPDATE_SECONDS * case.calls_per_epoch
    if registry.looped(case.implementation):
        updates *= 100
    epoch = model.call(case) + updates
    trainings = (len(task.candidates) + 1) * 10 if task.data.cross_validation else 1
    trainings += task.data.refit
    return 1.2 * epoch * task.recipe.epochs * trainings


def too_long(options: BenchmarkOptions, case: Case, capability: Capabilities) -> str:
    """Why a training is skipped, or ""."""
    model, limit = capability.cost_models.get(case.device), options.request.limit
    if model is None:
        return ""
    if model.passes:
        return "it takes a pass per parameter: too slow for a training"
    seconds = predicted_seconds(case, model)
    return f"{PREDICTED} {seconds:,.0f} s per training, limit {limit:g} s" * (seconds > limit)


class Trainings:
    """The trainings of a run, one process after another."""

    def __init__(self, run: Run, request: TrainingRequest, scratch: Path) -> None:
        """Nothing is trained yet.

        Args:
            run: whose cases are trained, and which writes down what comes of it.
            request: which tasks, from which data.
            scratch: where the data go.

        Raises:
            ValueError: a case is of no task, as a journal from elsewhere may say.
        """
        for case in run.budget.cases:
            if case.workload.name not in TASKS:  # whose names are those of files
                raise ValueError(f"--resume: there is no task {case.workload.name!r}; start anew")
        self.run, self.request, self.scratch = run, request, scratch
        self.progress, self.journal = run.progress, run.journal

    def execute(self) -> None:
        """The data, then the trainings seed by seed, then the loss curves that must be one."""
        run, seeds = self.run, range(self.run.budget.processes)
        left = [(case, seed) for seed in seeds for case in self._left(seed)]
        cost = {case.id: self._cost(case) for case, _ in left}
        self.progress.expect(len(left), sum(cost[case.id] for case, _ in left))
        curves = set().union(*self._parity_left().values())
        self._load_data({case.workload.name for case, _ in left} | {task for task, _ in curves})
        for seed in seeds:
            cases = self._left(seed)
            random.shuffle(cases)
            for case in cases:
                if case.id not in run.failed:
                    self._train(case, seed)
                    self.progress.done(cost[case.id])
                    self.run.look()
        self._parity()

    def _left(self, seed: int) -> list[Case]:
        """The cases that are not trained from a seed."""
        return self.run.repetitions.not_begun(self.run.running, seed)

    def _cost(self, case: Case) -> float:
        models = self.run.capabilities[case.implementation].cost_models
        return predicted_seconds(case, models[case.device]) + START_SECONDS

    def _parity_left(self) -> dict[str, set[tuple[str, str]]]:
        """Implementation -> tasks and rules whose loss curve is not in the journal.

        Of the tasks for which it was chosen, those included that would take it too long to train.
        """
        left = {}
        for label in dict.fromkeys(case.implementation for case in self.run.running):
            capability = self.run.capabilities[label]
            model = capability.cost_models.get("cpu")
            if model is not None and not model.passes and "float64" in capability.dtypes:
                chosen = (c for c in self.run.budget.cases if c.implementation == label)
                tasks = {case.workload.name for case in chosen} & set(PARITY)
                left[label] = set(product(tasks, get_args(Optimizer))) - {
                    (record["task"], record["optimizer"])
                    for record in self.journal.parity
                    if record["implementation"] == label
                }
        return left

    def _load_data(self, tasks: set[str]) -> None:
        """A file for each task; the rows of one without are unavailable."""
        data_dir = str(self.request.data_dir or "")

        def request(names: list[str]) -> dict[str, Any]:
            directory = str(self.scratch)
            return {"role": "data", "tasks": names, "directory": directory, "data_dir": data_dir}

        names = [name for name in self.request.tasks if name in tasks]
        without = self.run.make_inputs(WORKER, request, names, "data", self.scratch, DATA_SECONDS)
        for case in self.run.running:
            if case.workload.name in without:
                self.run.fail(case, *without[case.workload.name])

    def _ask(
        self,
        case: Case,
        request: dict[str, Any],
        on_message: Callable[[dict[str, Any]], float | None],
    ) -> processes.Exit:
        """How a process of the case's implementation ended that was asked for one thing."""
        name, worker = self.run.capabilities[case.implementation].name, case.worker
        interpreter = self.run.interpreters.get(name, sys.executable)
        about = {
            "implementation": registry.absolute(name),
            "device": case.device,
            "directory": str(self.scratch),
        }
        return processes.run_child(
            worker_process.command(WORKER, interpreter, worker.threads),
            about | request,
            system.worker_environment(worker.device, self.scratch, worker.threads),
            on_message,
            DATA_SECONDS,
            doing=f"working on {case.workload.name} with {case.implementation}",
        )

    def _train(self, case: Case, seed: int) -> None:
        """One training in a process of its own."""
        task = TASKS[case.workload.name]
        limit = EPOCH_SECONDS + 10 * self._cost(case) / task.recipe.epochs
        outcome: dict[str, Any] = {}

        epochs = iter(range(MOST_TRAININGS * task.recipe.epochs))

        def on_message(message: dict[str, Any]) -> float | None:
            if "outcome" in message:
                about = {"record": "outcome", "case": case.to_dict()}
                outcome.update(schema.check({**message["outcome"], **about}))
            elif "picture" in message:
                self.run.write({**message["picture"], "record": "picture", "task": task.name})
            else:
                epoch = f" epoch {message['epoch']}" if "epoch" in message else ""
                where = f"seed {seed + 1}/{self.run.budget.processes}"
                self.progress.now(f"{where} {task.name} {case.implementation}{epoch}")
            return None if next(epochs, None) is None else limit

        request = {
            "role": "train",
            "case": case.id,
            "task": task.name,
            "dtype": case.spec.dtype,
            "seed": seed,
            "pictures": seed == 0 and self._is_drawn(case),
        }
        ended = self._ask(case, request, on_message)
        if not outcome and self.run.spares(case, ended):
            ended = self._ask(case, request, on_message)
        if not outcome:
            outcome = worker_process.stopped_short(ended)
        about = {
            "process": seed,
            "source_sha256": self.run.capabilities[case.implementation].record.get("source_sha256"),
            "inputs_sha256": self.journal.inputs.get(task.name),
        }
        if outcome["status"] == "ok":
            self.run.write({**outcome, **about})
            self.run.repetitions.add(case, {**outcome, **about})
        else:
            self.run.fail(case, outcome["status"], outcome["reason"], **about)

    def _is_drawn(self, case: Case) -> bool:
        """Whether this row is the one whose network is drawn: the last of its task, often jax."""
        workload = case.workload.name
        cases = [c for c in self.run.budget.running if c.workload.name == workload]
        drawn = any(record["task"] == workload for record in self.journal.pictures)
        return case.id == cases[-1].id and not drawn

    def _parity(self) -> None:
        """The loss curves that must be one, by each implementation that has float64."""
        for label, curves in self._parity_left().items():
            tasks = [name for name in PARITY if name in {task for task, _ in curves}]
            tasks = [name for name in tasks if (self.scratch / f"{name}.npz").is_file()]

            def on_message(
                message: dict[str, Any],
                label: str = label,
                curves: set[tuple[str, str]] = curves,
            ) -> float | None:
                if "parity" not in message:
                    self.progress.now(f"parity of {label}: {message['begin']}")
                    return None
                curve = message["parity"]
                known = (curve["task"], curve["optimizer"])
                if known not in curves:
                    return None
                curves.remove(known)
                self.run.write({**curve, "record": "parity", "implementation": label})
                return DATA_SECONDS

            if tasks:
                case = next(c for c in self.run.running if c.implementation == label)
                ended = self._ask(case, {"role": "parity", "tasks": tasks}, on_message)
                if ended.kind != "ok":
                    self.progress.say(f"no parity of {label}: it {ended.kind}: {ended.reason}")
