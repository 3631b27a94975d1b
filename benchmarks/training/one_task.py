"""One task trained or evaluated here and now, in this process, with lines about its progress."""

import contextlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from samegrad.benchmarks.runs.options import check_memory
from samegrad.benchmarks.training import loop, speedrun, supplied
from samegrad.benchmarks.training.data import datasets
from samegrad.benchmarks.training.loop import DivergedError as DivergedError
from samegrad.benchmarks.training.loop import Epoch, Evaluation, Examples, Trained
from samegrad.benchmarks.training.recipe import METRICS, Recipe
from samegrad.benchmarks.training.tasks import TASKS, Task, select
from samegrad.benchmarks.training.weights import check_writable, load_weights, save_weights
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import MODEL, Implementation
from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.sources import raised
from samegrad.implementations.contract.spec import MLPSpec, Params
from samegrad.implementations.contract.texts import say

LINES = 40  # about epochs, at most
ROSE = 2.0  # times the loss of the first weights; a loss that moves up and down stays below
LEARNED = 0.99  # of the error of a constant: what is above it has learned nothing
DATA, EPOCH = "data", "epoch"  # with which it begins, of what may take long


def described(names: Sequence[str] = ()) -> list[dict[str, str]]:
    """The table of tasks: a row for each, by column.

    Args:
        names: of tasks or families, or patterns; none: all.

    Raises:
        ValueError: there is no such task.
    """
    return [_described(task) for task in select(list(names) or list(TASKS))]


def _training(recipe: Recipe) -> list[str]:
    """By which rule, at which rate, with which dropout and decay."""
    spec = recipe.spec
    rule = spec.optimizer if recipe.rule == "gradient" else recipe.rule
    parts = [rule, f"rate {recipe.learning_rate:g} {recipe.schedule.replace('_', '-')}"]
    parts += [f"dropout {spec.dropout:g}"] * bool(spec.dropout)
    return parts + [f"decay {spec.weight_decay:g}"] * bool(spec.weight_decay)


def _in_words(recipe: Recipe) -> str:
    """A line about what is trained, and how: a task's choices are seen nowhere else."""
    spec = recipe.spec
    hidden = f" {spec.activation}" if len(spec.layer_sizes) > 2 else ""
    network = "-".join(map(str, spec.layer_sizes)) + hidden
    batch = f"batches of {recipe.batch_size}" if recipe.batch_size else "all examples a step"
    length = f"{recipe.updates} steps" if recipe.updates else f"{recipe.epochs} epochs"
    return "; ".join([network, ", ".join(_training(recipe)), f"{length}, {batch}"])


def _described(task: Task) -> dict[str, str]:
    recipe, spec = task.recipe, task.recipe.spec
    extra = _training(recipe)
    extra += ["no bias in the first layer"] * (not recipe.first_bias)
    extra += ["decay of " + ", ".join(f"{c:g}" for c in task.candidates)] * bool(task.candidates)
    metric = METRICS[recipe.metric]
    target = ""
    if recipe.target is not None:  # a speedrun has a number of steps, and is judged at its end
        of = "test" if recipe.updates else "validation"
        target = f"{metric.shown(recipe.target)} ({of})"
    return {
        "task": task.name,
        "layers": "-".join(map(str, spec.layer_sizes)),
        "activation, loss": f"{spec.activation}, {spec.loss}",
        "training": ", ".join(extra),
        "length": f"{recipe.updates} steps" if recipe.updates else f"{recipe.epochs} epochs",
        "batch": str(recipe.batch_size or "all"),
        "metric": metric.name,
        "target": target,
        "test goal": task.goal,
        "data": task.data.records,
        "source": task.source,
    }


class FailedError(RuntimeError):
    """Somebody's implementation raises something; the message says which function, and what."""


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Say what an implementation that is not ours raises as a FailedError.

    What it does not support passes, and an OSError that none of its functions raises: of the
    terminal, or the disk.
    """
    # That ours diverge is said in a line, without NumPy's about each of their sums.
    quiet = np.errstate(all="ignore") if name in registry.TABLE else contextlib.nullcontext()
    try:
        with quiet:
            yield
    except Exception as error:
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        function = next((frame for frame in reversed(frames) if frame in MODEL), "")
        passes = isinstance(error, NotImplementedError | DivergedError) or (
            isinstance(error, OSError) and not function
        )
        if name in registry.TABLE or passes:
            raise
        raises = f"{name}: {function or 'its training'} raises {raised(error)}"
        raise FailedError(raises) from error


@dataclass(frozen=True)
class Setting:
    """A task with the implementation, device and data that it is trained or evaluated with.

    Attributes:
        name: label of the implementation.
        recipe: the task's, in the dtype.
        fold: the data; the first fold of a cross-validation.
        say: told lines about data and progress.
    """

    task: Task
    implementation: Implementation
    name: str
    device: str
    recipe: Recipe
    fold: datasets.Fold
    say: Callable[[str], None]

    @classmethod
    def of(
        cls,
        task: str,
        implementation: str,
        device: str,
        dtype: Any,
        data_dir: str | None,
        say: Callable[[str], None],
        changes: Mapping[str, Any],
        working: Callable[[str], None],
    ) -> "Setting":
        """Check everything that was asked for, and load the data.

        Raises:
            ValueError: not known or not available; one line that says what is accepted.
            ImportError: the implementation cannot be loaded.
        """
        if task not in TASKS:
            raise ValueError(
                f"task {task!r} is not known; accepted: {', '.join(TASKS)}"
                f"{did_you_mean(task, TASKS)}"
            )
        directory = datasets.data_directory(data_dir)  # before a file runs, which may go elsewhere
        module, name = registry.load(implementation), registry.label(implementation)
        with _told(implementation):
            dtypes, devices = module.dtypes, module.devices()
        dtype = dtype or ("float32" if "float32" in dtypes else "float64")
        for what, asked, has in (("dtype", dtype, dtypes), ("device", device, devices)):
            if asked not in has:
                raise ValueError(
                    f"{what} {asked!r} is not available to {name} (has: {', '.join(has)})"
                )
        chosen = TASKS[task]
        recipe = chosen.recipe.in_dtype(dtype).changed(changes)
        batch = min(recipe.batch_size or chosen.examples, chosen.examples)
        check_memory(recipe.spec.layer_sizes, batch, "trained")
        say(f"{chosen.name}: {chosen.source}")
        working(DATA)
        dataset = datasets.make(chosen.data, directory, say)
        fold = dataset.folds[0]
        folds = f", fold 1 of {len(dataset.folds)}" if len(dataset.folds) > 1 else ""
        seconds = f"{dataset.seconds:.1f} s"
        if dataset.of_features >= 1:
            features = chosen.data.features
            seconds += f", {dataset.of_features:.1f} s of them for features: {features}"
        for line in supplied.complete(module):
            say(f"{name}: {line}")
        say(
            f"{len(fold.training)} training, {len(fold.validation)} validation and "
            f"{len(fold.test)} test examples{folds}; data in {seconds}"
        )
        working(EPOCH)
        return cls(chosen, module, name, device, recipe, fold, say)

    def outputs(self, evaluation: Evaluation, params: Params) -> Any:
        """What a network with these weights, NumPy, gives for some examples, NumPy."""
        spec = evaluation.spec
        return evaluation.outputs(self.implementation.params_from_numpy(spec, params, self.device))

    def tell_test(self, spec: MLPSpec, params: Params) -> None:
        """Say metric and loss of some weights on the test data."""
        metric = METRICS[self.recipe.metric]
        test = self.fold.examples(self.fold.test, spec.dtype)
        evaluation = Evaluation(self.implementation, spec, test, self.device)
        outputs = self.outputs(evaluation, params)
        value = metric.shown(metric.of(spec, outputs, test.y), 3)
        loss = loop.mean_loss(spec, outputs, test.y)
        goal = f"; goal: {self.task.goal}" if self.task.goal else ""
        self.say(f"test {metric.name} {value}, loss {loss:.6g} ({self.name}, {spec.dtype}){goal}")


def train(
    task: str,
    implementation: str = "numpy",
    *,
    device: str = "cpu",
    epochs: int | None = None,
    seed: int = 0,
    dtype: str | None = None,
    data_dir: str | None = None,
    save: str | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
    say: Callable[[str], None] = say,
    working: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train one task and say how it goes.

    Args:
        task: a name of TASKS.
        implementation: a name of the registry, the path of a file, or a module.
        epochs: instead of the task's.
        seed: of weights, order of examples and dropout masks.
        dtype: "float32" or "float64"; None: the first of these that the implementation has.
        data_dir: directory of the original files; None: SAMEGRAD_DATA, else they are fetched.
        save: a file for the weights, as npz.
        changes: of the task's recipe or its network, by the names of their fields.
        say: told lines about the progress.
        working: told DATA before the data are loaded, and EPOCH before each epoch.

    Raises:
        ValueError: an argument is not accepted, or not available.
        ImportError: the implementation cannot be loaded.
        NotImplementedError: it does not have the task's rule.
        DivergedError: the loss is not finite, or has risen.
        FailedError: the implementation raises something.
        OSError: the weights cannot be written.
    """
    if seed < 0:
        raise ValueError(f"--seed {seed} is not accepted; give a whole number >= 0")
    target = None if save is None else Path(save).absolute()
    if save is not None:
        check_writable(Path(save))
    more = dict(changes) if epochs is None else {**changes, "epochs": epochs}
    setting = Setting.of(task, implementation, device, dtype, data_dir, say, more, working)
    recipe, fold = setting.recipe, setting.fold
    say(_in_words(recipe))
    dtype = recipe.spec.dtype
    step = max(1, recipe.epochs // LINES)
    if recipe.updates:
        with _told(implementation):
            return speedrun.tell(setting, seed, save)

    def seen(number: int, epoch: Epoch, _: object) -> None:
        working(EPOCH)
        if number % step == 0 or number in (1, recipe.epochs):
            say(_line(recipe, number, epoch))

    training = fold.examples(fold.training, dtype)
    sample = Examples(training.X[: loop.TRAIN_EVALUATED], training.y[: loop.TRAIN_EVALUATED])
    validation = fold.examples(fold.validation, dtype) if len(fold.validation) else None
    with _told(implementation):
        evaluation = Evaluation(setting.implementation, recipe.spec, sample, device)
        before = setting.outputs(evaluation, recipe.params(seed))
        made = loop.train(setting.implementation, recipe, training, validation, seed, device, seen)
        if not made.diverged:
            setting.tell_test(recipe.spec, made.params)
            after = setting.outputs(evaluation, made.params)
    if made.diverged:
        raise _diverged(recipe, f"the loss is not finite at step {made.diverged}")
    for line in remarks(recipe, made, sample.y, before, after):
        say(line)
    seconds = sum(epoch.elapsed_ns for epoch in made.epochs) / 1e9
    if setting.task.data.refit:
        say("(trained without the validation examples; reports train once more, with them)")
    say(f"training took {seconds:.2f} s, {seconds / len(made.epochs):.3g} s per epoch")
    to_target = made.to_target_ns(recipe)
    if recipe.target is not None:
        what = f"validation {METRICS[recipe.metric].shown(recipe.target)}"
        say(f"{what}: " + (f"{to_target / 1e9:.2f} s" if to_target else "not reached"))
    if target is not None:
        about = {"task": task, "implementation": setting.name, "seed": seed}
        save_weights(target, recipe.spec, made.params, about | {"epochs": recipe.epochs})
        say(f"weights: {save}")
    return made


def remarks(recipe: Recipe, made: Trained, y: Any, before: Any, after: Any) -> list[str]:
    """What a training shows that its last line does not: no end in sight, nothing learned.

    Args:
        y: of some training examples.
        before, after: the outputs for them, of the first weights and of the last.

    Raises:
        DivergedError: the loss has risen: the rate is too large.
    """
    if recipe.rule == "perceptron":
        mistakes, passes = made.epochs[-1].losses[-1], len(made.epochs)
        if mistakes == 0:
            return [f"a pass without a mistake after {passes} passes: it has settled"]
        return [
            f"it has not settled: {mistakes:.0%} mistakes in pass {passes}. Where no lines "
            "separate the classes, as in XOR, it never does"
        ]
    with np.errstate(all="ignore"):
        first, last = (loop.mean_loss(recipe.spec, outputs, y) for outputs in (before, after))
    if not last <= ROSE * first:
        raise _diverged(recipe, f"the loss rose from {first:.4g} to {last:.4g}")
    lines = []
    if last > first:
        lines = [f"the loss has not fallen, from {first:.4g} to {last:.4g}: try a smaller rate"]
    if of_constant := _no_better_than_a_constant(recipe, y, after):
        lines.append(
            f"nothing is learned so far: {of_constant} on the training data is what one answer for "
            "all examples has; another rate, start or decay may learn"
        )
    return lines


def _diverged(recipe: Recipe, how: str) -> DivergedError:
    rate = f"a learning rate below {recipe.learning_rate:g} may not"
    return DivergedError(f"{how}: the training diverged; {rate}")


def _no_better_than_a_constant(recipe: Recipe, y: Any, outputs: Any) -> str:
    """The metric of the best constant where the outputs do no better; else ""."""
    spec, metric, width = recipe.spec, METRICS[recipe.metric], outputs.shape[1]
    if recipe.metric != "accuracy":
        mean = np.broadcast_to(y.mean(axis=0), outputs.shape)
        errors = [float(np.sum((a - y) ** 2)) for a in (outputs, mean)]
        return f"{metric.name} {metric.shown(metric.of(spec, mean, y))}" * (
            errors[0] >= LEARNED**2 * errors[1]
        )
    answers = np.eye(width) if width > 1 else np.array([[-1.0], [2.0]])
    best = max(metric.of(spec, np.broadcast_to(a, outputs.shape), y) for a in answers)
    return f"{metric.name} {metric.shown(best)}" * (metric.of(spec, outputs, y) <= best)


def evaluate(
    task: str,
    saved: str,
    implementation: str = "numpy",
    *,
    device: str = "cpu",
    dtype: str | None = None,
    data_dir: str | None = None,
    say: Callable[[str], None] = say,
    working: Callable[[str], None] = lambda _: None,
) -> None:
    """Say how well weights that `train` has saved do on the test data of their task.

    Args:
        saved: the file of the weights.
        working: as of `train`.

    Raises:
        ValueError, ImportError, FailedError: as of `train`; or the weights are of another task.
    """
    path = Path(saved).absolute()  # before a file runs, which may go elsewhere
    setting = Setting.of(task, implementation, device, dtype, data_dir, say, {}, working)
    spec, params, about = load_weights(path)
    sizes, ends = spec.layer_sizes, setting.recipe.spec.layer_sizes
    if about.get("task") != task or (sizes[0], sizes[-1]) != (ends[0], ends[-1]):
        shown = "-".join(map(str, sizes))
        raise ValueError(f"{saved}: weights of {about.get('task')} ({shown}), not of {task}")
    if spec.dtype not in setting.implementation.dtypes:
        dtypes: Any = setting.implementation.dtypes
        spec = replace(spec, dtype=dtypes[0])
    with _told(implementation):
        setting.tell_test(spec, params)


def _line(recipe: Recipe, number: int, epoch: Epoch) -> str:
    metric, text = METRICS[recipe.metric], f"epoch {number:4}: loss {epoch.losses.mean():.6f}"
    if epoch.training is not None:
        text += f", training {metric.name} {metric.shown(epoch.training)}"
    if epoch.validation is not None:
        text += f", validation {metric.name} {metric.shown(epoch.validation)}"
    return f"{text}, {epoch.elapsed_ns / 1e9:.3g} s"
