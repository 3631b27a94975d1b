"""`samegrad train`: train one task with one implementation.

What is not ours is trained in a process and a session of its own, with a limit for each epoch: what
it says comes as messages, what it prints goes to standard error, and what it starts ends with it.
"""

import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from samegrad.cli.parser import DONE, FAILED, seconds
from samegrad.implementations.contract import columns, commands
from samegrad.implementations.contract.texts import message, say

# options that change the recipe of a task, with what each is
CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("activation", "NAME", str),
    ("batch-size", "N", int),
    ("learning-rate", "X", float),
    ("optimizer", "NAME", str),
    ("initializer", "NAME", str),
    ("dropout", "X", float),
    ("weight-decay", "X", float),
)


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("train", help="train one task with one implementation")
    parser.add_argument("task", metavar="TASK", help="a name of `workloads`")
    parser.add_argument("--implementation", default="numpy", metavar="NAME", help="default: numpy")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="default: cpu")
    parser.add_argument("--epochs", type=int, metavar="N", help="default: the task's")
    parser.add_argument("--layers", metavar="N-N-N", help="another network for the task")
    for name, metavar, kind in CHANGES:
        what = "examples a step, 0 for all; " if name == "batch-size" else ""
        parser.add_argument(
            f"--{name}", metavar=metavar, type=kind, help=f"{what}default: the task's"
        )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--dtype", choices=("float32", "float64"))
    parser.add_argument("--data-dir", metavar="DIR", help="original files (or SAMEGRAD_DATA)")
    parser.add_argument("--save", metavar="FILE", help="write the weights, as npz")
    parser.add_argument("--evaluate", metavar="FILE", help="do not train: weights of --save")
    parser.add_argument(
        "--time-limit", type=seconds, default=600.0, metavar="SECONDS",
        help="of your file: to be loaded, and for an epoch (default: 600)",
    )  # fmt: skip
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Train; 1 if the training diverges, or the implementation fails or ends its process."""
    commands.require("train", "train")
    from samegrad.benchmarks.training import one_task
    from samegrad.implementations.contract import registry

    name = arguments.implementation
    changes = {}
    for option, _, _ in CHANGES:
        field = option.replace("-", "_")
        if (value := getattr(arguments, field)) is not None:
            changes[field] = value
    if arguments.layers is not None:
        from samegrad.benchmarks.runs.options import parse_layers

        changes["layer_sizes"] = parse_layers(arguments.layers)
    if arguments.evaluate is not None and changes:
        raise ValueError(f"--evaluate: {', '.join(changes)} come with the weights")
    asked = {what: getattr(arguments, what) for what in ("device", "dtype", "data_dir")}
    if arguments.evaluate is None:
        asked |= {what: getattr(arguments, what) for what in ("epochs", "seed", "save")}
        asked["changes"] = changes
    request = {"task": arguments.task, "saved": arguments.evaluate, "name": name, "asked": asked}
    if name not in registry.TABLE:
        registry.check_name(name)
        limit, wrong = min(arguments.time_limit, VERIFY_SECONDS), False
        if arguments.evaluate is None:
            wrong = _is_wrong(name, arguments.task, changes, limit)
        status = _in_a_process(request, name, arguments.time_limit)
        if wrong:
            _say("its gradient is wrong, see above: mend that before another rate or more epochs")
        return status
    try:
        _done(request, _say, lambda _: None)
    except (one_task.DivergedError, one_task.FailedError) as error:
        say(error, error=True)
        return FAILED
    return DONE


def _say(line: str) -> None:
    """Print a line in the width of the terminal."""
    for part in columns.folded([line]):
        say(part)


def _done(
    request: dict[str, Any], say: Callable[[str], None], working: Callable[[str], None]
) -> None:
    """What was asked for, in this process; raises what `one_task` raises."""
    from samegrad.benchmarks.training import one_task

    task, saved, name, asked = (request[key] for key in ("task", "saved", "name", "asked"))
    if saved is None:
        one_task.train(task, name, **asked, say=say, working=working)
    else:
        one_task.evaluate(task, saved, name, **asked, say=say, working=working)


def _is_wrong(name: str, task: str, changes: dict[str, Any], limit: float) -> bool:
    """Whether the gradient of a file is wrong on the network that is about to be trained: said."""
    from samegrad.benchmarks.training.tasks import TASKS
    from samegrad.implementations.checking.verifier import verify

    if task not in TASKS or TASKS[task].recipe.rule != "gradient":
        return False
    spec = TASKS[task].recipe.changed(changes).spec
    try:
        report = verify(
            name,
            layers=spec.layer_sizes,
            activations=(spec.activation,),
            output_activations=(spec.output_activation,),
            losses=(spec.loss,),
            bias=spec.bias,
            weight_decay=spec.weight_decay,
            optimizer=spec.optimizer,
            time_limit=limit,
        )
    except ValueError:  # the network is too large for it
        return False
    if report.verdict == "disagrees":
        more = commands.command("verify", name)
        _say(f"{report.name}: its gradient is wrong: {report.reason}; `{more}` says more")
    return bool(report.verdict == "disagrees")


def _in_a_process(request: dict[str, Any], name: str, limit: float) -> int:
    """The same in another process; 1 if the training diverges or fails, or the process ends.

    Raises:
        ValueError: what was asked for is not accepted, or not available.
    """
    from samegrad.benchmarks.training import one_task
    from samegrad.benchmarks.training.run import DATA_SECONDS
    from samegrad.benchmarks.training.tasks import TASKS
    from samegrad.implementations.checking import processes

    task, ends = TASKS.get(request["task"]), list[tuple[str, str]]()
    epochs = request["asked"].get("epochs") or (task.recipe.epochs if task else 0)
    signs = iter(range(epochs + OTHER_SIGNS))  # of life: a file may write some itself

    def on_message(message: dict[str, Any]) -> float | None:
        if "say" in message:
            _say(str(message["say"]))
        elif "end" in message:
            ends.append((str(message["end"]), str(message["text"])))
        elif next(signs, None) is not None:
            return DATA_SECONDS if message["at"] == one_task.DATA else limit
        return None

    ended = processes.run_child(
        processes.python_child(__name__),
        request,
        os.environ,
        on_message,
        limit,
        shown=True,
        doing=f"training {name}",
    )
    reason = ended.reason or "it ended without an outcome"
    end, text = ends[0] if ends else (FAIL, f"{name}: its training crashed: {reason}")
    if ended.kind == "timeout":
        end, text = FAIL, f"{name}: {ended.reason}; --time-limit {10 * limit:g} allows more"
    if end == REFUSE:
        raise ValueError(text)
    if text:
        say(text, error=True)
    return DONE if end == SUCCEED else FAILED


SUCCEED, FAIL, REFUSE = "succeed", "fail", "refuse"  # how it ends
OTHER_SIGNS = 10  # of life than epochs
VERIFY_SECONDS = 60.0  # of its gradient before


def main() -> None:
    """The process of what is not ours."""
    from samegrad.implementations.checking import processes

    processes.serve(_answer)


def _answer(request: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> None:
    """Train, and say how that ended."""
    from samegrad.benchmarks.training import one_task

    end, text = SUCCEED, ""
    try:
        _done(request, lambda line: send({"say": line}), lambda what: send({"at": what}))
    except (one_task.DivergedError, one_task.FailedError) as error:
        end, text = FAIL, message(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        end, text = REFUSE, f"{where}{error.strerror or error}"
    except (ValueError, ImportError, NotImplementedError) as error:
        end, text = REFUSE, message(error)
        text += "; --dropout 0 trains without" if "takes no masks" in text else ""
    except Exception as error:
        end, text = FAIL, f"{request['name']}: {type(error).__name__}: {message(error)}"
    except BaseException as error:  # SystemExit, or its own
        end, text = FAIL, f"{request['name']}: it exits ({type(error).__name__})"
    send({"end": end, "text": text})
