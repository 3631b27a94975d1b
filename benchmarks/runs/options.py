"""What the user asks for on the command line, checked before anything runs.

Every mistake is a ValueError of one line: what was given, what is accepted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import ALL_THREADS, ARITHMETIC
from samegrad.benchmarks.cases.presets import PRESETS, Grid, Preset, own_network
from samegrad.benchmarks.clock import intervals
from samegrad.benchmarks.machine import system
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.commands import command, did_you_mean
from samegrad.implementations.contract.spec import MLPSpec

MOST_BATCH = 1_000_000
MOST_PROCESSES = 1000
# Bytes per parameter while the reference is made: weights, gradient, magnitudes and updated in
# float64, each with a temporary; and per preactivation: z, a, delta and theirs.
BYTES_PER_PARAMETER, BYTES_PER_UNIT = 80, 80


@dataclass(frozen=True)
class Options:
    """A checked command line.

    Attributes:
        devices: those asked for by name, or None for all that are there.
        dtypes: of ARITHMETIC those asked for, or None for the lines' own.
        threads: regimes: "all", or numbers.
        interpreters: implementation -> path of its Python.
        given: what was given, in words that mean the same from any folder.
        training: what is to be trained, or None for a run of speed alone.
    """

    preset_name: str
    preset: Preset
    lines: tuple[Grid, ...]
    implementations: tuple[str, ...]
    named: bool
    devices: tuple[str, ...] | None
    dtypes: tuple[str, ...] | None
    threads: tuple[str, ...]
    interpreters: dict[str, str]
    output: Path | None
    given: dict[str, str]
    training: Any = None  # training.wish.Wish, which is imported only where it is asked for


def parse(
    *,
    preset: str | None = None,
    layers: str | None = None,
    batch_size: str | None = None,
    implementation: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    threads: str | None = None,
    processes: str | None = None,
    time: str | None = None,
    python: str | None = None,
    output: str | None = None,
    training: str | None = None,
    workload: str | None = None,
    seeds: str | None = None,
    limit: str | None = None,
    data_dir: str | None = None,
) -> Options:
    """Check every option as it was typed.

    Args:
        training: anything but None: tasks are to be trained.

    Raises:
        ValueError: one line that says what is accepted.
    """
    wish = None
    if training is not None:
        wish = _training(
            workload, seeds, limit, data_dir,
            {"preset": preset, "layers": layers, "batch-size": batch_size, "threads": threads,
             "processes": processes, "time": time},
        )  # fmt: skip
    for name, value in {"seeds": seeds, "limit": limit, "data-dir": data_dir}.items():
        if wish is None and value is not None:
            raise ValueError(
                f"--{name} goes with training: {command('benchmark', '-m', 'training')}"
            )
    preset = preset or "standard"
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
    if workload is not None and wish is None:
        lines = _of_workloads(lines, workload)
    wanted = {who for line in lines for who in line.runs}
    names = (
        tuple(name for name, entry in registry.TABLE.items() if wanted & {name, entry.kind})
        if implementation is None
        else _split("--implementation", implementation)
    )
    for name in names:
        registry.check_name(name)
    dtypes = None if dtype is None else _split("--dtype", dtype)
    for name in dtypes or ():
        if name not in ARITHMETIC:
            raise ValueError(
                f"--dtype {name!r} is not known; accepted: {', '.join(ARITHMETIC)}"
                f"{did_you_mean(name, ARITHMETIC)}"
            )
    absolute = [registry.absolute(name) for name in names]
    interpreters = parse_interpreters(python, names)
    given = {
        "preset": preset,
        "layers": layers,
        "batch_size": batch_size,
        "implementation": None if implementation is None else ",".join(absolute),
        "device": device,
        "dtype": dtype,
        "threads": threads,
        "processes": processes,
        "time": time,
        "python": ",".join(f"{name}={Path(path).resolve()}" for name, path in interpreters.items()),
        "workload": workload,
        "seeds": seeds,
        "limit": limit,
        "training": training,
        "data_dir": str(wish.data_dir) if wish and wish.data_dir else None,
    }
    if wish is not None:
        del given["preset"]
    named = preset if layers is None else f"own network, as {preset}"
    return Options(
        preset_name=named if wish is None else "training",
        preset=_limited(PRESETS[preset], processes, time),
        lines=lines,
        implementations=tuple(names),
        named=implementation is not None,
        devices=None if device is None else _split("--device", device),
        dtypes=dtypes,
        threads=PRESETS[preset].threads if threads is None else parse_threads(threads),
        interpreters=interpreters,
        output=None if output is None else Path(output),
        given={name: value for name, value in given.items() if value},
        training=wish,
    )


def _limited(preset: Preset, processes: str | None, time: str | None) -> Preset:
    """The preset with another number of processes and another limit of time, where asked for."""
    if processes is not None:
        count = int(processes) if processes.isascii() and processes.isdigit() else 0
        if not 1 <= count <= MOST_PROCESSES:
            raise ValueError(
                f"--processes {processes!r} is not accepted; give a whole number from 1 to "
                f"{MOST_PROCESSES}"
            )
        enough = count >= intervals.LEAST_PROCESSES
        preset = replace(preset, processes=count, intervals=enough)
    if time is not None:
        try:
            seconds = float(time)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise ValueError(f"--time {time!r} is not accepted; give seconds, for example 120")
        preset = replace(preset, seconds=(seconds, seconds))
    return preset


def _training(
    workload: str | None,
    seeds: str | None,
    limit: str | None,
    data_dir: str | None,
    others: Mapping[str, str | None],
) -> Any:
    from samegrad.benchmarks.training import request as wish

    for name, value in others.items():
        if value is not None:
            raise ValueError(
                f"--{name} does not go with training: tasks have networks of their own"
            )
    return wish.parse(workload, seeds, limit, data_dir)


def _of_workloads(lines: Sequence[Grid], workload: str) -> tuple[Grid, ...]:
    names = _split("--workload", workload)
    there = dict.fromkeys(line.network.name for line in lines)
    for name in names:
        if name not in there:
            raise ValueError(
                f"--workload {name!r} is not timed here; accepted: {', '.join(there)} "
                f"(tasks are trained by: {command('benchmark', '-m', 'training')} --workload NAME)"
            )
    return tuple(line for line in lines if line.network.name in names)


def parse_layers(text: str) -> tuple[int, ...]:
    """(784, 128, 10) from "784-128-10"."""
    try:
        return MLPSpec(tuple(int(part) for part in text.split("-"))).layer_sizes
    except ValueError:
        raise ValueError(
            f"--layers {text!r} is not accepted; give features, hidden widths and outputs as "
            "whole numbers >= 1 joined by '-', for example 784-128-10"
        ) from None


def parse_batch_sizes(text: str) -> tuple[int, ...]:
    """(1, 32, 256) from "1,32,256"."""
    parts = _split("--batch-size", text)
    sizes = [int(part) if part.isascii() and part.isdigit() else 0 for part in parts]
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
        if part != ALL_THREADS and not (part.isascii() and part.isdigit() and int(part) >= 1):
            raise ValueError(
                f"--threads {text!r} is not accepted; give whole numbers >= 1 or 'all' joined by "
                "',', for example 1,all"
            )
        if part != ALL_THREADS and int(part) > cores:
            raise ValueError(
                f"--threads {part}: there are {cores} cores here; give at most as many, or 'all'"
            )
    return tuple(dict.fromkeys(part if part == ALL_THREADS else str(int(part)) for part in parts))


def parse_interpreters(text: str | None, names: Sequence[str]) -> dict[str, str]:
    """{"torch": "PATH"} from "torch=PATH,jax=PATH"."""
    found: dict[str, str] = {}
    for part in _split("--python", text) if text is not None else ():
        name, _, path = part.partition("=")
        if name not in names or not path:
            raise ValueError(
                f"--python {part!r} is not accepted; give IMPLEMENTATION=PATH with one of: "
                f"{', '.join(names)}"
            )
        if not Path(path).expanduser().is_file():
            raise ValueError(f"--python {part!r}: no such interpreter: {path}")
        found[name] = str(Path(path).expanduser())
    return found


def check_memory(sizes: tuple[int, ...], batch_size: int) -> None:
    """Raise ValueError if checking such a network cannot fit into this machine's memory."""
    needed = MLPSpec(sizes).parameters * BYTES_PER_PARAMETER
    needed += batch_size * (sum(sizes) + 4 * sizes[0]) * BYTES_PER_UNIT
    available = system.available_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"--layers {'-'.join(map(str, sizes))} at batch size {batch_size} needs about "
            f"{needed / 2**30:,.1f} GiB of memory to be checked; {available / 2**30:.1f} GiB are "
            "free here"
        )


def _split(option: str, text: str) -> tuple[str, ...]:
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(parts):
        raise ValueError(f"{option} {text!r} is not accepted; give names joined by ','")
    return parts
