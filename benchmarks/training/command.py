"""What `samegrad train` and `samegrad workloads` do."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from samegrad.benchmarks.training import weights
from samegrad.benchmarks.training.data import datasets
from samegrad.benchmarks.training.data.records import DataError
from samegrad.benchmarks.training.loop import (
    Epoch,
    Evaluation,
    Part,
    Recipe,
    in_dtype,
    mean_loss,
    train,
)
from samegrad.benchmarks.training.metrics import METRICS, shown
from samegrad.benchmarks.training.tasks import TASKS, Task, select
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.protocol import Implementation

DATA_DIR = "SAMEGRAD_DATA"


def workloads() -> str:
    """The table of tasks, as Markdown."""
    import pandas as pd

    return str(pd.DataFrame([_described(task) for task in TASKS.values()]).to_markdown(index=False))


def _described(task: Task) -> dict[str, str]:
    recipe, spec = task.recipe, task.recipe.spec
    rule = spec.optimizer if recipe.rule == "gradient" else recipe.rule
    extra = [rule, f"rate {recipe.learning_rate:g} {recipe.schedule.replace('_', '-')}"]
    extra += [f"dropout {spec.dropout:g}"] * bool(spec.dropout)
    extra += [f"decay {spec.weight_decay:g}"] * bool(spec.weight_decay)
    extra += ["decay of " + ", ".join(f"{c:g}" for c in task.candidates)] * bool(task.candidates)
    target = "" if recipe.target is None else shown(recipe.metric, recipe.target)
    return {
        "task": task.name,
        "layers": "-".join(map(str, spec.layer_sizes)),
        "activation, loss": f"{spec.activation}, {spec.loss}",
        "training": ", ".join(extra),
        "epochs": str(recipe.epochs),
        "batch": str(recipe.batch_size or "all"),
        "metric": METRICS[recipe.metric].name,
        "validation target": target,
        "test goal": task.goal,
        "data": task.data.records,
        "source": task.source,
    }


def train_task(given: argparse.Namespace) -> int:
    """Train or evaluate one task as the command line says; 0, or 1 if the training diverges.

    Raises:
        ValueError: an option is not accepted, or data or weights are not what they must be.
        ImportError: the implementation cannot be loaded.
        NotImplementedError: it cannot do what the task needs.
    """
    task = select([given.task])[0] if given.task in TASKS else None
    if task is None:
        raise ValueError(
            f"task {given.task!r} is not known; accepted: {', '.join(TASKS)}"
            f"{did_you_mean(given.task, TASKS)}"
        )
    if given.epochs is not None and given.epochs < 1:
        raise ValueError(f"--epochs {given.epochs} is not accepted; give a whole number >= 1")
    if given.seed < 0:
        raise ValueError(f"--seed {given.seed} is not accepted; give a whole number >= 0")
    if given.save is not None:
        _check_writable(Path(given.save))
    implementation = registry.load(given.implementation)
    name = registry.label(given.implementation)
    dtype = given.dtype or ("float32" if "float32" in implementation.DTYPES else "float64")
    if dtype not in implementation.DTYPES:
        accepted = ", ".join(implementation.DTYPES)
        raise ValueError(f"dtype {dtype!r} is not available to {name} (has: {accepted})")
    if given.device not in implementation.devices():
        has = ", ".join(implementation.devices())
        raise ValueError(f"device {given.device!r} is not available to {name} (has: {has})")
    recipe = in_dtype(task.recipe, dtype)
    if given.epochs is not None:
        recipe = replace(recipe, epochs=given.epochs)
    dataset = datasets.make(task.data, data_directory(given.data_dir), _say)
    fold = dataset.folds[0]
    folds = f", fold 1 of {len(dataset.folds)}" if len(dataset.folds) > 1 else ""
    print(f"{task.name}: {task.source}")
    print(
        f"{len(fold.training)} training, {len(fold.validation)} validation and {len(fold.test)} "
        f"test examples{folds}; data in {dataset.seconds:.1f} s"
    )
    test = fold.part(fold.test, dtype)
    if given.evaluate is not None:
        return _evaluate(given, task, implementation, name, test)
    validation = fold.part(fold.validation, dtype) if len(fold.validation) else None
    training = fold.part(fold.training, dtype)
    spoken = max(1, recipe.epochs // 40)

    def seen(number: int, epoch: Epoch, _: object) -> None:
        if number % spoken == 0 or number in (1, recipe.epochs):
            _say(_line(recipe, number, epoch))

    made = train(implementation, recipe, training, validation, given.seed, given.device, seen)
    if made.diverged:
        print(
            f"the loss is not finite at step {made.diverged}: the training diverged",
            file=sys.stderr,
        )
        return 1
    found = Evaluation(implementation, recipe.spec, test, given.device)
    params = implementation.params_from_numpy(recipe.spec, made.params, given.device)
    _result(recipe, found.outputs(params), test, name)
    seconds = sum(epoch.elapsed_ns for epoch in made.epochs) / 1e9
    if task.data.refit:
        print("(trained without the validation examples; reports train once more, with them)")
    print(f"training took {seconds:.2f} s, {seconds / len(made.epochs):.3g} s per epoch")
    to_target = made.to_target_ns(recipe)
    if recipe.target is not None:
        what = f"validation {shown(recipe.metric, recipe.target)}"
        print(f"{what}: " + (f"{to_target / 1e9:.2f} s" if to_target else "not reached"))
    if given.save is not None:
        about = {
            "task": task.name,
            "implementation": name,
            "seed": given.seed,
            "epochs": recipe.epochs,
        }
        weights.save(Path(given.save), recipe.spec, made.params, about)
        print(f"weights: {given.save}")
    return 0


def _evaluate(
    given: argparse.Namespace, task: Task, implementation: Implementation, name: str, test: Part
) -> int:
    spec, params, about = weights.load(Path(given.evaluate))
    if about.get("task") != task.name or spec.layer_sizes != task.recipe.spec.layer_sizes:
        sizes = "-".join(map(str, spec.layer_sizes))
        raise ValueError(
            f"{given.evaluate}: weights of {about.get('task')} ({sizes}), not of {task.name}"
        )
    if spec.dtype not in implementation.DTYPES:
        spec = in_dtype(replace(task.recipe, spec=spec), implementation.DTYPES[0]).spec
    recipe = replace(task.recipe, spec=spec)
    placed = implementation.params_from_numpy(spec, params, given.device)
    some = Part(test.X.astype(spec.dtype), test.y)
    _result(
        recipe, Evaluation(implementation, spec, some, given.device).outputs(placed), some, name
    )
    return 0


def _result(recipe: Recipe, outputs: object, test: Part, name: str) -> None:
    metric = METRICS[recipe.metric]
    value = shown(recipe.metric, metric.of(recipe.spec, outputs, test.y), 3)
    loss = mean_loss(recipe.spec, outputs, test.y)
    print(f"test {metric.name} {value}, loss {loss:.6g} ({name}, {recipe.spec.dtype})")


def _line(recipe: Recipe, number: int, epoch: Epoch) -> str:
    name, text = METRICS[recipe.metric].name, f"epoch {number:4}: loss {epoch.losses.mean():.6f}"
    if epoch.training is not None:
        text += f", training {name} {shown(recipe.metric, epoch.training)}"
    if epoch.validation is not None:
        text += f", validation {name} {shown(recipe.metric, epoch.validation)}"
    return f"{text}, {epoch.elapsed_ns / 1e9:.3g} s"


def data_directory(given: str | None) -> Path | None:
    """--data-dir, or SAMEGRAD_DATA, or None: then data are fetched.

    Raises:
        DataError: it is not there.
    """
    text = given or os.environ.get(DATA_DIR)
    if not text:
        return None
    path = Path(text).expanduser()
    if not path.is_dir():
        option = "--data-dir" if given else DATA_DIR
        raise DataError(f"{option} {text}: no such directory")
    return path.resolve()


def _check_writable(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"--save {path}: cannot be written; give a file in a folder that exists")
    try:
        with path.open("ab"):
            pass
        if path.stat().st_size == 0:
            path.unlink()
    except OSError as error:
        raise ValueError(f"--save {path}: cannot be written: {error.strerror}") from None


def _say(line: str) -> None:
    print(line, flush=True)
