"""The worker process of a training run: it loads data, trains, or follows the parity curves.

Each training runs in a fresh process. It begins with a gate, as every measured row does.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.training import pictures, speedrun
from samegrad.benchmarks.training.data import datasets
from samegrad.benchmarks.training.data.datasets import Fold
from samegrad.benchmarks.training.data.records import DataError
from samegrad.benchmarks.training.loop import (
    Epoch,
    Evaluation,
    Examples,
    Trained,
    batches,
    mean_loss,
    perceptron,
    points,
    train,
)
from samegrad.benchmarks.training.recipe import METRICS, Recipe
from samegrad.benchmarks.training.tasks import TASKS, Task
from samegrad.implementations.checking import comparison, processes
from samegrad.implementations.checking.failures import failure
from samegrad.implementations.checking.reference import clear_of_kinks, expected
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.initializers import draw_masks, init_params
from samegrad.implementations.contract.spec import Optimizer, Params
from samegrad.implementations.contract.texts import in_one_line

Message = dict[str, Any]
Send = Callable[[Message], None]
Seen = Callable[[int, Epoch, Callable[[], Params]], None]  # see `loop.train`
# A gate's batch, and the examples among which as many that are clear of kinks are looked for.
GATE_BATCH, GATE_EXAMPLES = 128, 512
LAST_LOSSES = 20  # of a speedrun, whose mean is told
BLOCKS = 100  # into which the epochs of a training are gathered, at most
PARITY_STEPS = 200
PARITY_RATES = {"sgd": 0.05, "momentum": 0.01, "nesterov": 0.01, "adadelta": 1.0}
PARITY_RATE = 0.003  # of the rules that scale by the gradient's size


def main() -> None:
    """Answer one request."""

    def answer(request: Message, send: Send) -> None:
        ROLES[request["role"]](request, send)

    processes.serve(answer)


def load_data(request: Message, send: Send) -> None:
    """Load the data of each task and leave them as a file for the workers."""
    directory = Path(request["directory"])
    data_dir = Path(request["data_dir"]) if request["data_dir"] else None
    for name in request["tasks"]:
        send({"begin": name})
        try:
            made = datasets.make(TASKS[name].data, data_dir, lambda line: send({"say": line}))
            datasets.save(directory / f"{name}.npz", made)
        except (DataError, MemoryError, OSError) as error:
            # Only what is not there, or not what it should be, stays so when it is tried again.
            is_data = isinstance(error, DataError)
            text = str(error) if is_data else in_one_line(error)
            status = "unavailable" if is_data else "crashed"
            send({"workload": name, "status": status, "reason": text})
            continue
        send({"workload": name, "sha256": made.sha256, "seconds": made.seconds})


def train_task(request: Message, send: Send) -> None:
    """Train one task from one seed and send how it went."""
    send({"begin": request["case"]})
    outcome, spent_ns = timer.timed(lambda: _outcome(request, send))
    send({"outcome": {**outcome, "spent_ns": spent_ns}, "case": request["case"]})


def _outcome(request: Message, send: Send) -> Message:
    task: Task = TASKS[request["task"]]
    implementation = registry.load(request["implementation"])
    recipe = task.recipe.in_dtype(request["dtype"])
    device, seed = request["device"], request["seed"]
    folds = datasets.read(Path(request["directory"]) / f"{task.name}.npz")
    after_first: list[Params] = []

    def seen(number: int, _: Epoch, params: Callable[[], Params]) -> None:
        send({"epoch": number})  # a sign of life
        if number == 1 and request["pictures"]:
            after_first[:] = [params()]

    try:
        if recipe.updates:
            return _speedrun(implementation, task, recipe, folds[0], seed, device)
        verdict = gate(implementation, recipe, folds[0], seed, device)
        if not verdict.agrees:
            return _refused(verdict)
        compiled = _compile_ns(implementation)
        trained = [
            _one_fold(implementation, task, recipe, fold, seed, device, seen) for fold in folds
        ]
    except NotImplementedError as error:
        return {"status": "unavailable", "reason": str(error)}
    except (Exception, SystemExit) as error:
        return failure(error)
    diverged = next((made.diverged for made, *_ in trained if made.diverged), None)
    if diverged:
        steps = recipe.steps(len(folds[0].training))
        where = f"step {diverged} (epoch {-(-diverged // steps)})"
        return {"status": "not_converged", "reason": f"the loss is not finite at {where}"}
    worst = verdict.worst
    assert worst is not None
    outputs = np.concatenate([outputs for _, outputs, _ in trained])
    y = np.concatenate([part.y for _, _, part in trained])
    made = trained[0][0]
    calls, elapsed_ns = _blocks([made.epochs for made, *_ in trained])
    if request["pictures"]:
        drawn = pictures.of(implementation, task, recipe, folds[0], made, after_first[0], device)
        for name, arrays in drawn:
            send({"picture": {"name": name, "arrays": arrays}})
    return {
        "status": "ok",
        "reason": "",
        "calls": calls,
        "elapsed_ns": elapsed_ns,
        "compile_ns": _compile_ns(implementation) - compiled or None,
        "gate": {"name": worst.name, "error": worst.error or 0.0, "bound": worst.bound},
        "training": {
            "seed": seed,
            "metric": recipe.metric,
            "target": recipe.target,
            "goal": task.goal,
            "epochs": recipe.epochs,
            "folds": len(folds),
            "test": METRICS[recipe.metric].of(recipe.spec, outputs, y),
            "test_loss": mean_loss(recipe.spec, outputs, y),
            "test_examples": len(y),
            "placing_ns": made.placing_ns,
            "validation_ns": sum(epoch.validation_ns for epoch in made.epochs),
            "to_target_ns": made.to_target_ns(recipe),
            **_curves(made, recipe.epochs),
        },
    }


def _refused(verdict: comparison.Comparison) -> Message:
    """Why there is no number, where the gate says so."""
    status = "unavailable" if verdict.nothing_said else "wrong"
    return {"status": status, "reason": verdict.reason}


def _speedrun(
    implementation: Implementation, task: Task, recipe: Recipe, fold: Fold, seed: int, device: str
) -> Message:
    """One speedrun on all training data. What it compiles is in its time: the gate comes after."""
    spec, fold = recipe.spec, datasets.refitted(fold)
    made = speedrun.run(implementation, recipe, fold, seed, device)
    compiled = _compile_ns(implementation)
    sample = speedrun.fed(recipe, fold, fold.training[:GATE_EXAMPLES])
    verdict = gate(implementation, recipe, sample, seed, device)
    if not verdict.agrees:
        return _refused(verdict)
    if not np.isfinite(made.losses).all():
        return {"status": "not_converged", "reason": "the loss is not finite"}
    seen = speedrun.fed(recipe, fold, fold.test)
    test = seen.examples(seen.test, spec.dtype)
    params = implementation.params_from_numpy(spec, made.params, device)
    outputs = Evaluation(implementation, spec, test, device).outputs(params)
    metric, worst = METRICS[recipe.metric], verdict.worst
    assert worst is not None
    value, reached = metric.of(spec, outputs, test.y), recipe.target
    return {
        "status": "ok",
        "reason": "",
        "calls": 1,
        "elapsed_ns": [made.elapsed_ns],
        "compile_ns": compiled or None,
        "gate": {"name": worst.name, "error": worst.error or 0.0, "bound": worst.bound},
        "training": {
            "seed": seed,
            "metric": recipe.metric,
            "target": reached,
            "goal": task.goal,
            "epochs": recipe.epochs,
            "folds": 1,
            "test": value,
            "test_loss": mean_loss(spec, outputs, test.y),
            "test_examples": len(test.y),
            "speedrun_ns": made.elapsed_ns,
            "to_target_ns": made.elapsed_ns
            if reached is not None and metric.reached(value, reached)
            else None,
            "at": [1],
            "loss": [float(made.losses[-LAST_LOSSES:].mean())],
            "spent_ns": [made.elapsed_ns],
        },
    }


def _one_fold(
    implementation: Implementation,
    task: Task,
    recipe: Recipe,
    fold: Fold,
    seed: int,
    device: str,
    seen: Seen,
) -> tuple[Trained, Any, Examples]:
    """(the training, outputs on the test data, the test data) of one fold.

    With candidates, the best of them on the fold's validation part is trained once more on all of
    the fold's training data: the test part is seen by the outcome only.
    """
    dtype = recipe.spec.dtype

    def run(recipe: Recipe, fold: Fold) -> Trained:
        held_out = fold.examples(fold.validation, dtype) if len(fold.validation) else None
        part = fold.examples(fold.training, dtype)
        return train(implementation, recipe, part, held_out, seed, device, seen)

    scored = []
    for value in task.candidates:
        tried = replace(recipe, spec=replace(recipe.spec, weight_decay=value))
        made = run(tried, fold)
        score = made.epochs[-1].validation
        if not made.diverged and score is not None:
            scored.append((score if METRICS[recipe.metric].larger else -score, tried))
    if scored:
        _, recipe = max(scored, key=lambda pair: pair[0])
    made = run(recipe, datasets.refitted(fold) if task.candidates else fold)
    last = made
    if task.data.refit and not made.diverged:
        last = run(recipe, datasets.refitted(fold))
    test = fold.examples(fold.test, dtype)
    if last.diverged:
        return last, np.zeros((len(test), recipe.spec.layer_sizes[-1])), test
    params = implementation.params_from_numpy(recipe.spec, last.params, device)
    return made, Evaluation(implementation, recipe.spec, test, device).outputs(params), test


def gate(
    implementation: Implementation, recipe: Recipe, fold: Fold, seed: int, device: str
) -> comparison.Comparison:
    """The verdict on loss, gradient and step for one batch of the task, with its dropout."""
    spec = recipe.spec
    params = init_params(spec, seed, recipe.initializer)
    part = fold.examples(fold.training[:GATE_EXAMPLES], spec.dtype)
    size = min(recipe.batch_size or len(part), len(part), GATE_BATCH)
    if recipe.rule == "perceptron":
        return _perceptron_gate(implementation, recipe, params, part, device)
    clear = np.flatnonzero(clear_of_kinks(spec, params, part.X))[:size]
    if not len(clear):
        clear = np.arange(size)
    X, y = part.X[clear], part.y[clear]
    masks = draw_masks(spec, len(clear), [seed, 3]) if spec.dropout else None
    reference = expected(spec, params, X, y, masks)

    def placed() -> tuple[Any, Any]:
        weights = implementation.params_from_numpy(spec, params, device)
        return weights, implementation.init_state(spec, weights)

    batch = implementation.batch_from_numpy(spec, X, y, device)
    dropped = implementation.masks_from_numpy(spec, masks, device) if masks is not None else None
    loss, grads = implementation.loss_and_grad(spec, placed()[0], *batch, dropped)
    rate = reference.learning_rate
    updated, _, before = implementation.train_step(spec, *placed(), *batch, rate, dropped)
    named = {
        "loss with the gradient": implementation.to_numpy(loss),
        "grads": implementation.to_numpy(grads),
        "loss of the step": implementation.to_numpy(before),
        "updated": implementation.to_numpy(updated),
    }
    accuracy = implementation.capabilities.accuracy(spec)
    return comparison.judge(spec, reference, named, accuracy)


def _perceptron_gate(
    implementation: Implementation, recipe: Recipe, params: Params, part: Examples, device: str
) -> comparison.Comparison:
    """One pass of P1 against the rule written out in float64; 50 examples, as errors add up."""
    one_pass = perceptron(implementation)
    spec, X, y = recipe.spec, part.X[:50], part.y[:50]
    W, b = (np.array(p, np.float64) for p in params[0])
    for x, label in zip(X.astype(np.float64), y, strict=True):
        error = np.eye(len(b))[label] - np.eye(len(b))[np.argmax(x @ W + b)]
        W, b = W + x[:, None] * error, b + error
    placed = implementation.params_from_numpy(spec, params, device)
    after, _ = one_pass(placed, *implementation.batch_from_numpy(spec, X, y, device))
    return comparison.compare([(W, b)], implementation.to_numpy(after), spec.dtype, name="W, b")


def parity(request: Message, send: Send) -> None:
    """The losses of the first 200 steps, in float64, of some tasks by every update rule."""
    implementation = registry.load(request["implementation"])
    for name in request["tasks"]:
        fold = datasets.read(Path(request["directory"]) / f"{name}.npz")[0]
        for optimizer in get_args(Optimizer):
            send({"begin": f"{name} {optimizer}"})
            losses = parity_losses(implementation, name, fold, optimizer)
            send({"parity": {"task": name, "optimizer": optimizer, "losses": losses}})


def parity_losses(
    implementation: Implementation,
    name: str,
    fold: Fold,
    optimizer: Optimizer,
    steps: int = PARITY_STEPS,
) -> list[float]:
    """Losses of the first steps of a task, without dropout, in float64."""
    task = TASKS[name]
    spec = replace(task.recipe.spec, dtype="float64", optimizer=optimizer, dropout=0.0)
    recipe = replace(task.recipe, spec=spec)
    rate = PARITY_RATES.get(optimizer, PARITY_RATE)
    part = fold.examples(fold.training, "float64")
    params = implementation.params_from_numpy(spec, init_params(spec, 0, recipe.initializer), "cpu")
    state = implementation.init_state(spec, params)
    order = np.random.default_rng(0).permutation(len(part))
    chosen = list(batches(order, recipe.batch_size))
    if len(chosen) > 1:
        chosen = [c for c in chosen if len(c) == recipe.batch_size]  # one shape: compiled once
    losses = []
    for step in range(steps):
        rows = chosen[step % len(chosen)]
        X, y = implementation.batch_from_numpy(spec, part.X[rows], part.y[rows], "cpu")
        params, state, loss = implementation.train_step(spec, params, state, X, y, rate)
        losses.append(float(np.asarray(implementation.to_numpy(loss)).item()))
    return losses


def _blocks(epochs: list[list[Epoch]]) -> tuple[int, list[int]]:
    """Epochs per block, and the nanoseconds of each block: of equal length, so as to be samples."""
    elapsed = [epoch.elapsed_ns for one in epochs for epoch in one]
    calls = -(-len(elapsed) // BLOCKS)
    whole = len(elapsed) // calls * calls
    return calls, [max(1, sum(elapsed[i : i + calls])) for i in range(0, whole, calls)]


def _curves(made: Trained, epochs: int) -> Message:
    """What is drawn, at no more than POINTS epochs."""
    count = len(made.epochs)
    at = [number for number in points(epochs) if number <= count]
    shown = [made.epochs[i - 1] for i in at]

    def values(name: str) -> list[float] | None:
        metrics = [getattr(epoch, name) for epoch in shown]
        return None if None in metrics else [float(f"{value:.7g}") for value in metrics]

    spent = np.cumsum([epoch.elapsed_ns for epoch in made.epochs])
    return {
        "at": at,
        "loss": [float(f"{epoch.losses.mean():.7g}") for epoch in shown],
        "train": values("training"),
        "validation": values("validation"),
        "validation_loss": values("validation_loss"),
        "spent_ns": [int(spent[i - 1]) for i in at],
    }


def _compile_ns(implementation: Implementation) -> int:
    return implementation.capabilities.compilations()[1]


ROLES = {"data": load_data, "train": train_task, "parity": parity}
