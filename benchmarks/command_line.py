"""The options of `samegrad benchmark` and of pytest's --benchmark, and those of pyproject.toml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.files import ordinary
from samegrad.implementations.contract.texts import EMPTY, NESTED, check_nesting


class Option(NamedTuple):
    """One option.

    Attributes:
        name: without dashes, words joined by "_".
        help: one line.
        metavar: what stands for its value, or None for a flag.
        values: the names that are accepted, or empty.
    """

    name: str
    help: str
    metavar: str | None = None
    values: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """As it is typed."""
        return "--" + self.name.replace("_", "-")

    @property
    def keywords(self) -> dict[str, Any]:
        """What a parser is told of it, argparse's or pytest's."""
        kind = {"action": "store_true"} if self.metavar is None else {"metavar": self.metavar}
        return {"help": self.help, **kind}


# Names stand here once more so that help and completion import nothing; a test compares them.
PRESETS = (
    "hello", "differentiation", "standard", "scaling", "peers", "spiking", "ranks", "full",
)  # fmt: skip
ARITHMETIC = ("float64", "float32", "tf32", "bfloat16")
ACTIVATIONS = (
    "identity", "relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu", "softplus", "lif_rate",
)  # fmt: skip
OUTPUT_ACTIVATIONS = ("identity", "sigmoid")
LOSSES = ("cross_entropy", "binary_cross_entropy", "mse")
COMMANDS = (
    "benchmark", "verify", "train", "render", "compare", "advise", "doctor", "selftest",
    "workloads", "runs", "results", "fleet", "archive", "site", "exercise", "pictures",
    "gpu-proof", "versions", "completion", "schema",
)  # fmt: skip
OPTIONS = (
    Option("preset", f"{', '.join(PRESETS)} (default: standard)", "NAME", PRESETS),
    Option("layers", "your own network, for example 784-128-10", "SIZES"),
    Option("batch_size", "with --layers, for example 1,32,256 (default: 32)", "SIZES"),
    Option("activation", "of the hidden layers (default: the network's)", "NAME", ACTIVATIONS),
    Option(
        "output_activation", "of the last layer (default: identity)", "NAME", OUTPUT_ACTIVATIONS
    ),
    Option("loss", "of every network (default: the network's)", "NAME", LOSSES),
    Option("bias", "yes or no (default: yes)", "YES|NO", ("yes", "no")),
    Option("implementation", "for example numpy,jax,./my_mlp.py (default: all)", "NAMES"),
    Option(
        "device", "for example cpu,cuda (default: all that are there)", "NAMES", ("cpu", "cuda")
    ),
    Option("dtype", f"of {', '.join(ARITHMETIC)} (default: per case)", "NAMES", ARITHMETIC),
    Option("threads", "for example 1,all (default: all; full: both)", "NUMBERS"),
    Option("ranks", "processes that share a network out, for example 1,2 (default: 1)", "NUMBERS"),
    Option("processes", "fresh processes per implementation (default: the preset's)", "N"),
    Option("time", "limit of the whole run (default: the preset's)", "SECONDS"),
    Option("wait_quiet", "wait so long for a quiet machine at most (default: 0)", "SECONDS"),
    Option("python", "the interpreter of an implementation's workers", "NAME=PATH,..."),
    Option("workload", "for example mnist,digits (default: all)", "NAMES"),
    Option("seeds", "with -m training: trainings per row (default: 5)", "NUMBER"),
    Option("limit", "with -m training: of one training (default: 60)", "SECONDS"),
    Option("data_dir", "with -m training: original files (or SAMEGRAD_DATA)", "DIR"),
    Option("output", "directory of the run (default: reports/output/RUN)", "DIR"),
    Option("resume", "go on with an interrupted run: its directory or name", "RUN"),
    Option("retry_failed", "with --resume: repeat what failed, too"),
)


def read_settings(folder: Path, command: str, options: Mapping[str, bool]) -> dict[str, str | bool]:
    """What [tool.samegrad] of a folder's pyproject.toml sets for a command, as it would be typed.

    Options stand in [tool.samegrad.COMMAND]; those of `benchmark` also in [tool.samegrad] itself.

    Args:
        folder: where the command runs.
        command: its name.
        options: names without dashes, words joined by "_", and whether each is a flag.

    Raises:
        ValueError: the file cannot be read, or names a command or an option that does not exist,
            or a value is of the wrong type.
    """
    path = folder / "pyproject.toml"
    table = _table(path) if path.exists() else {}
    of_all = {key: value for key, value in table.items() if not isinstance(value, dict)}
    settings: dict[str, str | bool] = {}
    for where, stated in (
        ("tool.samegrad", of_all if command == "benchmark" else {}),
        (f"tool.samegrad.{command}", table.get(command, {})),
    ):
        if not isinstance(stated, dict):
            raise ValueError(f"pyproject.toml: {where} is {stated!r}, expected a table of options")
        for key, value in stated.items():
            name = key.replace("-", "_")
            if name not in options:
                accepted = [option.replace("_", "-") for option in options]
                raise ValueError(
                    f"pyproject.toml: [{where}] {key}: there is no such option; accepted: "
                    f"{', '.join(accepted)}{did_you_mean(key, accepted)}"
                )
            settings[name] = _value(f"pyproject.toml: [{where}] {key}", value, options[name])
    return settings


def _table(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        whole = tomllib.loads(ordinary(path).read_text(encoding="utf-8"))
        check_nesting(whole)
    except RecursionError:
        raise ValueError(f"{path}: cannot be read: {NESTED}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    tool = whole.get("tool", {})
    table = tool.get("samegrad", {}) if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        name = "tool.samegrad" if isinstance(tool, dict) else "tool"
        raise ValueError(f"{path}: {name} is no table")
    for name, value in table.items():
        if isinstance(value, dict) and name not in COMMANDS:
            raise ValueError(
                f"{path}: [tool.samegrad.{name}]: there is no such command; accepted: "
                f"{', '.join(COMMANDS)}{did_you_mean(name, COMMANDS)}"
            )
    return table


def _value(where: str, value: object, flag: bool) -> str | bool:
    if flag:
        if not isinstance(value, bool):
            raise ValueError(f"{where} = {value!r} is not accepted; give true or false")
        return value
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(type(part) in (str, int, float) for part in parts):
        raise ValueError(
            f"{where} = {value!r} is not accepted; give a text, a number, or a list of these"
        )
    if not all(str(part).strip() for part in parts):
        raise ValueError(f"{where} = {value!r}: {EMPTY}")
    return ",".join(map(str, parts))
