"""What the user asks for on the command line, checked before anything runs.

Every mistake is a ValueError of one line: what was typed, what is accepted.
"""

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from samegrad.benchmarks.cases.case import ALL_THREADS, ARITHMETIC
from samegrad.benchmarks.cases.presets import (
    PRESETS,
    SHARED_OUT,
    Grid,
    Preset,
    in_form,
    own_network,
)
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.runs import hosts, interpreter
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.commands import command, did_you_mean
from samegrad.implementations.contract.equations import FORWARD_ONLY
from samegrad.implementations.contract.spec import Activation, Loss, MLPSpec, OutputActivation

# The kinds of runs: a module for each, with the functions of `session.Kind`. It is imported when a
# run of its kind begins, so that a run of speed loads nothing of a training.
SPEED = "speed"
KINDS = {
    SPEED: "samegrad.benchmarks.runs.speed",
    "training": "samegrad.benchmarks.training.run",
}
ACTIVATIONS, OUTPUT_ACTIVATIONS = (
    tuple(name for name in get_args(kind) if name not in FORWARD_ONLY)
    for kind in (Activation, OutputActivation)
)
LOSSES = get_args(Loss)
MOST_BATCH = 1_000_000
MOST_PROCESSES = 1000
MOST_RANKS = 10_000
RANKS, DEFAULT_RANKS = "ranks", (1, 2)  # the preset, and how many it has
# Bytes per parameter while the reference is made: weights, gradient, magnitudes and updated in
# float64, each with a temporary; and per preactivation: z, a, delta and theirs.
BYTES_PER_PARAMETER, BYTES_PER_UNIT = 80, 80


@dataclass(frozen=True)
class BenchmarkOptions:
    """A checked command line.

    Attributes:
        kind: the kind of run, one of KINDS.
        named: whether implementations were asked for by name.
        devices: those asked for by name, or None for all that are available.
        dtypes: of ARITHMETIC those asked for, or None for the lines' own.
        threads: "all", or numbers as text; of each rank.
        ranks: how many processes share a network out.
        interpreters: implementation -> path of its Python.
        processes: fresh processes per row, or None for the preset's number.
        seconds: time limit of the run, or None for the preset's.
        wait_quiet: seconds to wait for a quiet machine at most.
        arguments: the options as text, for the journal: they mean the same from any folder.
        request: the options of the kind of run, checked; None for speed, which has these here.
    """

    kind: str
    preset_name: str
    preset: Preset
    lines: tuple[Grid, ...]
    implementations: tuple[str, ...]
    named: bool
    devices: tuple[str, ...] | None
    dtypes: tuple[str, ...] | None
    threads: tuple[str, ...]
    ranks: tuple[int, ...]
    interpreters: dict[str, str]
    processes: int | None
    seconds: float | None
    wait_quiet: float
    output: Path | None
    arguments: dict[str, str]
    request: Any = None

    @property
    def limit_seconds(self) -> float:
        """Time limit of the whole run, with a GPU where nobody said it; without one, infinity."""
        if self.kind != SPEED:
            return math.inf
        return self.seconds or max(self.preset.seconds)


def load_kind(name: str) -> Any:
    """The module of a kind of runs."""
    return importlib.import_module(KINDS[name])


def parse(
    *,
    kind: str = SPEED,
    preset: str | None = None,
    layers: str | None = None,
    batch_size: str | None = None,
    activation: str | None = None,
    output_activation: str | None = None,
    loss: str | None = None,
    bias: str | None = None,
    implementation: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    threads: str | None = None,
    ranks: str | None = None,
    processes: str | None = None,
    time: str | None = None,
    wait_quiet: str | None = None,
    python: str | None = None,
    output: str | None = None,
    workload: str | None = None,
    seeds: str | None = None,
    limit: str | None = None,
    data_dir: str | None = None,
) -> BenchmarkOptions:
    """Check every option as it was typed.

    Raises:
        ValueError: one line that says what is accepted.
    """
    of_speed = {
        "preset": preset,
        "layers": layers,
        "batch-size": batch_size,
        "activation": activation,
        "output-activation": output_activation,
        "loss": loss,
        "bias": bias,
        "threads": threads,
        "ranks": ranks,
        "processes": processes,
        "time": time,
    }
    of_training = {"seeds": seeds, "limit": limit, "data-dir": data_dir}
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not known; accepted: {', '.join(KINDS)}")
    request = None
    if kind == SPEED:
        _refuse(of_training, f"goes with training: {command('benchmark', '-m', 'training')}")
    else:
        _refuse(of_speed, f"does not go with {kind}: tasks have networks of their own")
        request = load_kind(kind).parse(workload, seeds, limit, data_dir)
    counts = (1,) if ranks is None else parse_ranks(ranks)
    preset = ("standard" if ranks is None else RANKS) if preset is None else preset
    counts = DEFAULT_RANKS if preset == RANKS and ranks is None else counts
    hosts.check(counts, preset == RANKS or ranks is not None)
    if preset not in PRESETS:
        raise ValueError(
            f"--preset {preset!r} is not known; accepted: {', '.join(PRESETS)}"
            f"{did_you_mean(preset, PRESETS)}"
        )
    lines = PRESETS[preset].lines
    if layers is not None:
        sizes = parse_layers(layers)
        batches = parse_batch_sizes("32" if batch_size is None else batch_size)
        check_memory(sizes, max(batches))
        lines = own_network(sizes, batches)
    elif batch_size is not None:
        raise ValueError("--batch-size goes with --layers, for example --layers 784-128-10")
    if ranks is not None:
        lines = tuple(replace(line, runs=SHARED_OUT) for line in lines)
    if workload is not None and request is None:
        lines = _of_workloads(lines, workload)
    if form := parse_form(activation, output_activation, loss, bias):
        lines = in_form(lines, form)
    runs = {who for line in lines for who in line.runs}
    names = (
        tuple(name for name, entry in registry.TABLE.items() if runs & {name, entry.kind})
        if implementation is None
        else _split("--implementation", implementation)
    )
    for name in names:
        registry.check_name(name)
    if not set(names) & set(registry.names("parallel")):  # beside these, others stand in one
        registry.check_ranks(names[0], max(counts))
    dtypes = None if dtype is None else _split("--dtype", dtype)
    for name in dtypes or ():
        if name not in ARITHMETIC:
            raise ValueError(
                f"--dtype {name!r} is not known; accepted: {', '.join(ARITHMETIC)}"
                f"{did_you_mean(name, ARITHMETIC)}"
            )
    absolute = {name: registry.absolute(name) for name in names}
    interpreters = parse_interpreters(python, names)
    pythons = [f"{absolute[name]}={Path(path).resolve()}" for name, path in interpreters.items()]
    arguments = {
        "kind": None if kind == SPEED else kind,
        "preset": preset if kind == SPEED else None,
        "layers": layers,
        "batch_size": batch_size,
        "activation": activation,
        "output_activation": output_activation,
        "loss": loss,
        "bias": bias,
        "implementation": None if implementation is None else ",".join(absolute.values()),
        "device": device,
        "dtype": dtype,
        "threads": threads,
        "ranks": ranks,
        "processes": processes,
        "time": time,
        "wait_quiet": wait_quiet,
        "python": ",".join(pythons),
        "workload": workload,
        **({} if request is None else request.arguments),
    }
    # A rank has as many cores in all rows: those that the most ranks leave to each.
    shared = (str(max(1, system.cores() // hosts.on_each(max(counts)))),)
    default_threads = PRESETS[preset].threads if max(counts) == 1 else shared
    shown = preset if layers is None else f"own network, as {preset}"
    return BenchmarkOptions(
        kind=kind,
        preset_name=shown if kind == SPEED else kind,
        preset=PRESETS[preset],
        lines=lines,
        implementations=tuple(names),
        named=implementation is not None,
        devices=None if device is None else _split("--device", device),
        dtypes=dtypes,
        threads=default_threads if threads is None else parse_threads(threads),
        ranks=counts,
        interpreters=interpreters,
        processes=None if processes is None else parse_processes(processes),
        seconds=None if time is None else parse_seconds("--time", time),
        wait_quiet=0.0 if wait_quiet is None else parse_seconds("--wait-quiet", wait_quiet),
        output=None if output is None else Path(output),
        arguments={name: value for name, value in arguments.items() if value},
        request=request,
    )


def parse_form(
    activation: str | None, output_activation: str | None, loss: str | None, bias: str | None
) -> dict[str, Any]:
    """The fields of an MLPSpec that are asked for: {"loss": "mse"} from "mse"."""
    asked = {
        "activation": (activation, ACTIVATIONS),
        "output_activation": (output_activation, OUTPUT_ACTIVATIONS),
        "loss": (loss, LOSSES),
        "bias": (bias, ("yes", "no")),
    }
    form: dict[str, Any] = {}
    for name, (value, accepted) in asked.items():
        if value is not None and value not in accepted:
            raise ValueError(
                f"--{name.replace('_', '-')} {value!r} is not known; accepted: "
                f"{', '.join(accepted)}{did_you_mean(value, accepted)}"
            )
        if value is not None:
            form[name] = value == "yes" if name == "bias" else value
    return form


def _refuse(options: Mapping[str, str | None], reason: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"--{name} {reason}")


def _of_workloads(lines: Sequence[Grid], workload: str) -> tuple[Grid, ...]:
    names = _split("--workload", workload)
    timed = dict.fromkeys(line.network.name for line in lines)
    for name in names:
        if name not in timed:
            raise ValueError(
                f"--workload {name!r} is not timed here; accepted: {', '.join(timed)} "
                f"(tasks are trained by: {command('benchmark', '-m', 'training')} --workload NAME)"
            )
    return tuple(line for line in lines if line.network.name in names)


def parse_layers(text: str) -> tuple[int, ...]:
    """(784, 128, 10) from "784-128-10"."""
    try:
        return MLPSpec(tuple(map(whole_number, text.split("-")))).layer_sizes
    except ValueError:
        raise ValueError(
            f"--layers {text!r} is not accepted; give features, hidden widths and outputs as "
            "whole numbers >= 1 joined by '-', for example 784-128-10"
        ) from None


def parse_batch_sizes(text: str) -> tuple[int, ...]:
    """(1, 32, 256) from "1,32,256"."""
    sizes = [whole_number(part) for part in _split("--batch-size", text)]
    if not all(1 <= size <= MOST_BATCH for size in sizes):
        raise ValueError(
            f"--batch-size {text!r} is not accepted; give whole numbers from 1 to "
            f"{MOST_BATCH:,} joined by ',', for example 1,32,256"
        )
    return tuple(sizes)


def parse_threads(text: str) -> tuple[str, ...]:
    """("1", "all") from "1,all"; no more threads than there are cores."""
    parts = _split("--threads", text)
    cores = system.cores()
    for part in parts:
        if part != ALL_THREADS and whole_number(part) < 1:
            raise ValueError(
                f"--threads {text!r} is not accepted; give whole numbers >= 1 or 'all' joined by "
                "',', for example 1,all"
            )
        if part != ALL_THREADS and int(part) > cores:
            raise ValueError(
                f"--threads {part}: there are {cores} cores here; give at most as many, or 'all'"
            )
    return tuple(dict.fromkeys(part if part == ALL_THREADS else str(int(part)) for part in parts))


def parse_ranks(text: str) -> tuple[int, ...]:
    """(1, 2, 4) from "1,2,4"."""
    counts = [whole_number(part) for part in _split("--ranks", text)]
    if not all(1 <= count <= MOST_RANKS for count in counts):
        raise ValueError(
            f"--ranks {text!r} is not accepted; give whole numbers from 1 to {MOST_RANKS:,} joined "
            "by ',', for example 1,2,4"
        )
    return tuple(dict.fromkeys(counts))


def parse_processes(text: str) -> int:
    """5 from "5"."""
    count = whole_number(text)
    if not 1 <= count <= MOST_PROCESSES:
        raise ValueError(
            f"--processes {text!r} is not accepted; give a whole number from 1 to "
            f"{MOST_PROCESSES}; at least 5 for intervals"
        )
    return count


def whole_number(text: str) -> int:
    """12 from "12"; 0 from what is no whole number of at most nine digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


def parse_seconds(option: str, text: str) -> float:
    """300.0 from "300"."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise ValueError(f"{option} {text!r} is not accepted; give seconds, for example 120")
    return seconds


def parse_interpreters(text: str | None, names: Sequence[str]) -> dict[str, str]:
    """{"torch": "PATH"} from "torch=PATH,jax=PATH"."""
    interpreters: dict[str, str] = {}
    for part in _split("--python", text) if text is not None else ():
        # A name may be a path, and a path may hold a "=".
        name = next((name for name in names if part.startswith(f"{name}=")), "")
        path = part.removeprefix(f"{name}=")
        if not name or not path:
            raise ValueError(
                f"--python {part!r} is not accepted; give IMPLEMENTATION=PATH with one of: "
                f"{', '.join(names)}"
            )
        interpreters[name] = str(Path(path).expanduser())
        if wrong := interpreter.why_not(interpreters[name]):
            raise ValueError(
                f"--python {part!r}: {wrong}; give the path of a Python from 3.11 on, for example "
                f"{name}=/usr/bin/python3"
            )
    return interpreters


def check_memory(sizes: tuple[int, ...], batch_size: int, what: str = "checked") -> None:
    """Raise ValueError if such a network, and what checks it, does not fit into the memory here."""
    needed = MLPSpec(sizes).parameters * BYTES_PER_PARAMETER
    needed += batch_size * (sum(sizes) + 4 * sizes[0]) * BYTES_PER_UNIT
    available = system.available_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"--layers {'-'.join(map(str, sizes))} at batch size {batch_size} needs about "
            f"{needed / 2**30:,.1f} GiB of memory to be {what}; {available / 2**30:.1f} GiB are "
            "free here"
        )


def _split(option: str, text: str) -> tuple[str, ...]:
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(parts):
        raise ValueError(f"{option} {text!r} is not accepted; give names joined by ','")
    return parts
