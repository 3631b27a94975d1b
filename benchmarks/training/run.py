"""The parent of a training run: every task, implementation, device and seed in a fresh process.

It is a run like any other (journal, resume, limits); what differs is what one process does.
"""

import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from samegrad.benchmarks.cases.case import TRAINING, Case, MLPWorkload
from samegrad.benchmarks.machine import process_environment, system
from samegrad.benchmarks.runs.budget import Pilot
from samegrad.benchmarks.runs.capabilities import Probe, probe
from samegrad.benchmarks.runs.options import Options
from samegrad.benchmarks.runs.runner import Run
from samegrad.benchmarks.runs.selection import Selection, check_devices, refuse_missing, unseen
from samegrad.benchmarks.training.loop import in_dtype
from samegrad.benchmarks.training.request import Wish
from samegrad.benchmarks.training.tasks import PARITY, TASKS, Task
from samegrad.benchmarks.worker import main
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.spec import Optimizer

DATA_SECONDS = 1800.0  # for the data of one task: a download, or a decomposition
EPOCH_SECONDS = 60.0  # for one epoch, besides ten times what it should take
UPDATE_SECONDS = 2.0e-9  # per parameter and step, of rules that keep two more numbers for each


def select(options: Options) -> Selection:
    """Probe the implementations and list the rows: tasks times implementations and devices.

    Raises:
        ValueError: something that was asked for by name is not there.
    """
    wish = options.training
    assert wish is not None
    gpu = system.gpus()
    wanted = options.devices or ("cpu", "cuda")
    found = Selection(probe(options.implementations, wanted, options.interpreters))
    refuse_missing(options, found.probes)
    check_devices(options, found.probes, gpu)
    for label, probed in found.probes.items():
        if probed.reason:
            found.notes.append(f"{label}: {probed.reason}")
        for device in wanted:
            lacking = probed.reason or probed.failed.get(device)
            lacking = lacking or unseen(label, probed, device, gpu)
            if device not in probed.devices and not (lacking and device == wanted[0]):
                continue
            for name in wish.tasks:
                for case in _cases(TASKS[name], label, probed, device, options.dtypes):
                    found.cases.append(case)
                    reason = _excluded(case, probed, device, wish.limit)
                    if lacking:
                        found.excluded[case.id] = ("unavailable", lacking)
                    elif reason:
                        found.excluded[case.id] = ("skipped", reason)
    labels, names = list(found.probes), list(TASKS)
    found.cases.sort(
        key=lambda c: (
            names.index(c.workload.name),
            c.spec.dtype,
            labels.index(c.implementation),
            wanted.index(c.device),
        )
    )
    if not found.cases:
        raise ValueError(f"nothing to run: {', '.join(labels)} have none of the dtypes asked for")
    return found


def _cases(
    task: Task, label: str, probed: Probe, device: str, dtypes: Sequence[str] | None
) -> list[Case]:
    there = probed.dtypes or (registry.TABLE[label].dtypes if label in registry.TABLE else ())
    usable = [d for d in dtypes or ("float32",) if d in there]
    if not usable and dtypes is None:
        usable = [there[0]]
    found = []
    for dtype in usable:
        recipe = in_dtype(task.recipe, dtype)
        batch_size = recipe.batch_size or task.examples
        problem = MLPWorkload(task.name, recipe.spec, batch_size, task.examples)
        found.append(Case(problem, TRAINING, label, device))
    return found


def predicted(case: Case, pilot: Pilot) -> float:
    """Seconds of one training, validation included, all folds and candidates."""
    task = TASKS[case.workload.name]
    if task.recipe.rule == "perceptron":
        return 1e-4 * task.examples * task.recipe.epochs  # no steps: a product per example
    updates = case.spec.parameters * UPDATE_SECONDS * case.calls_per_epoch
    if case.implementation == "scalar":
        updates *= 100
    epoch = pilot.call(case) + updates
    trainings = (len(task.candidates) + 1) * 10 if task.data.cross_validation else 1
    trainings += task.data.refit
    return 1.2 * epoch * task.recipe.epochs * trainings


def _excluded(case: Case, probed: Probe, device: str, limit: float) -> str:
    pilot = probed.pilots.get(device)
    if pilot is None:
        return ""
    seconds = predicted(case, pilot)
    if pilot.passes:
        return "it takes a pass per parameter: too slow for a training"
    return f"predicted {seconds:,.0f} s per training, limit {limit:g} s" if seconds > limit else ""


class TrainingRun(Run):
    """One execution of a training plan, or the rest of one."""

    def __init__(self, *arguments: Any, wish: Wish, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.wish = wish

    def _work(self, scratch: Path) -> None:
        seeds = range(self.plan.processes)
        left = [(case, seed) for seed in seeds for case in self.left(seed)]
        cost = {case.id: self._cost(case) for case, _ in left}
        self.progress.expect(len(left), sum(cost[case.id] for case, _ in left))
        self._data({case.workload.name for case, _ in left} | self._unfollowed(), scratch)
        for seed in seeds:
            mine = self.left(seed)
            random.shuffle(mine)
            for case in mine:
                if case.id not in self.failed:
                    self._train(case, seed, scratch)
                    self.progress.done(cost[case.id])
        self._parity(scratch)

    def left(self, process: int) -> list[Case]:
        """A training is one visit."""
        return [case for case in self.running if not self.visits.number(case, process)]

    def _cost(self, case: Case) -> float:
        probed = self.probes[case.implementation]
        return predicted(case, probed.pilots[case.device]) + 2

    def _unfollowed(self) -> set[str]:
        """Tasks whose data the parity curves that are still to be drawn need."""
        tasks = set(PARITY) & set(self.wish.tasks)
        rules = len(get_args(Optimizer))
        counts = Counter(record["implementation"] for record in self.journal.parity)
        names = {case.implementation for case in self.running}
        return tasks if any(counts[name] < rules * len(tasks) for name in names) else set()

    def _data(self, tasks: set[str], scratch: Path) -> None:
        waiting = [name for name in self.wish.tasks if name in tasks]
        reasons: dict[str, str] = {}
        while waiting:
            current = waiting[0]

            def on_message(message: dict[str, Any]) -> None:
                nonlocal current
                if "begin" in message:
                    current = message["begin"]
                    self.progress.now(f"data of {current}")
                elif "say" in message:
                    self.progress.say(message["say"])
                elif "reason" in message:
                    waiting.remove(message["task"])
                    reasons[message["task"]] = message["reason"]
                else:
                    waiting.remove(message["task"])
                    self._made(message, reasons)

            request = {
                "role": "training_data",
                "tasks": list(waiting),
                "directory": str(scratch),
                "data_dir": str(self.wish.data_dir) if self.wish.data_dir else "",
            }
            ended = processes.run_child(
                main.command(),
                request,
                process_environment.worker_environment("cpu", scratch),
                on_message,
                DATA_SECONDS,
            )
            if current in waiting:
                waiting.remove(current)
                reasons[current] = f"loading its data {ended.kind}: {ended.reason}"
        for case in self.running:
            if case.workload.name in reasons:
                self.fail(case, "unavailable", reasons[case.workload.name])

    def _made(self, message: Mapping[str, Any], reasons: dict[str, str]) -> None:
        name, known = message["task"], self.journal.inputs.get(message["task"])
        if known is None:
            self.write(
                {
                    "record": "inputs",
                    "workload": name,
                    "sha256": message["sha256"],
                    "seconds": message["seconds"],
                }
            )
        elif known != message["sha256"]:
            reasons[name] = "its data differ from those of the run that is resumed"

    def _request(self, case: Case, role: str, scratch: Path) -> dict[str, Any]:
        return {
            "role": role,
            "implementation": registry.absolute(self.probes[case.implementation].name),
            "device": case.device,
            "directory": str(scratch),
        }

    def _run(
        self, case: Case, request: dict[str, Any], on_message: Any, scratch: Path
    ) -> processes.Exit:
        name = self.probes[case.implementation].name
        setup = case.worker
        return processes.run_child(
            main.command(self.interpreters.get(name, sys.executable), setup.threads),
            request,
            process_environment.worker_environment(setup.device, scratch, setup.threads),
            on_message,
            DATA_SECONDS,
        )

    def _train(self, case: Case, seed: int, scratch: Path) -> None:
        task = TASKS[case.workload.name]
        limit = EPOCH_SECONDS + 10 * self._cost(case) / task.recipe.epochs
        outcome: dict[str, Any] = {}

        def on_message(message: dict[str, Any]) -> float | None:
            if "outcome" in message:
                outcome.update(message["outcome"])
            elif "picture" in message:
                self.write({"record": "picture", "task": task.name, **message["picture"]})
            else:
                epoch = f" epoch {message['epoch']}" if "epoch" in message else ""
                seeds = self.plan.processes
                self.progress.now(
                    f"seed {seed + 1}/{seeds} {task.name} {case.implementation}{epoch}"
                )
            return limit

        request = self._request(case, "training", scratch) | {
            "case": case.id,
            "task": task.name,
            "dtype": case.spec.dtype,
            "seed": seed,
            "pictures": seed == 0 and self._draws(case),
        }
        ended = self._run(case, request, on_message, scratch)
        if not outcome:
            status = "crashed" if ended.kind == "ok" else ended.kind
            outcome = {
                "status": status,
                "reason": ended.reason or "it ended before its work was done",
            }
        about = {
            "process": seed,
            "source_sha256": self.probes[case.implementation].record.get("source_sha256"),
            "inputs_sha256": self.journal.inputs.get(task.name),
        }
        if outcome["status"] == "ok":
            self.write({"record": "outcome", "case": case.to_dict(), **outcome, **about})
            self.visits.add(case, {**outcome, **about})
        else:
            self.fail(case, outcome["status"], outcome["reason"], **about)

    def _draws(self, case: Case) -> bool:
        """Whether this row is the one whose network is drawn: the last of the list, often jax."""
        rows = [c for c in self.plan.running if c.workload.name == case.workload.name]
        return case.id == rows[-1].id and not any(
            record["task"] == case.workload.name for record in self.journal.pictures
        )

    def _parity(self, scratch: Path) -> None:
        """The loss curves that must be one, by each implementation that has float64."""
        tasks = [name for name in PARITY if (scratch / f"{name}.npz").is_file()]
        wanted = {(task, rule) for task in tasks for rule in get_args(Optimizer)}
        for label in dict.fromkeys(case.implementation for case in self.running):
            done = {
                (record["task"], record["optimizer"])
                for record in self.journal.parity
                if record["implementation"] == label
            }
            if wanted <= done:
                continue
            if (
                "float64" not in self.probes[label].dtypes
                or self.probes[label].pilots["cpu"].passes
            ):
                continue
            case = next(c for c in self.running if c.implementation == label)

            def on_message(
                message: dict[str, Any], label: str = label, done: Any = frozenset(done)
            ) -> None:
                if "parity" in message:
                    found = message["parity"]
                    if (found["task"], found["optimizer"]) not in done:
                        about = {"record": "parity", "implementation": label}
                        self.write({**about, **found})
                else:
                    self.progress.now(f"parity of {label}: {message['begin']}")

            request = self._request(case, "training_parity", scratch) | {"tasks": tasks}
            ended = self._run(case, request, on_message, scratch)
            if ended.kind != "ok":
                self.progress.say(f"no parity of {label}: it {ended.kind}: {ended.reason}")
