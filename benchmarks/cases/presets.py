"""The lists of cases: workloads, lines that combine them, presets with their budgets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from samegrad.benchmarks.cases.case import ALL_THREADS, TRANSFERS, Case, WorkerSpec
from samegrad.benchmarks.cases.workload import (
    COST,
    OPERATIONS,
    PRODUCTS,
    MLPWorkload,
    Series,
    SpikingWorkload,
    Workload,
)
from samegrad.implementations.contract import registry, spiking
from samegrad.implementations.contract.equations import TAU
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.spiking import LIFSpec

STEP = ("loss_and_grad", "train_step")
PROCESS_LIMIT_SECONDS = 10.0  # of one case in one process, for its gate and three blocks


@dataclass(frozen=True)
class Network:
    """A network and the data that it is fed, at any batch size.

    Attributes:
        name: short, for tables and for `-k`.
        spec: the network, in float32.
        examples: how many examples one epoch takes.
        series: the series of networks that it belongs to, or None.
    """

    name: str
    spec: MLPSpec
    examples: int
    series: Series | None = None

    def workload(self, batch_size: int, dtype: Any) -> Workload:
        """Of one batch size, in one dtype."""
        spec = replace(self.spec, dtype=dtype)
        return MLPWorkload(self.name, spec, batch_size, self.examples, self.series)


@dataclass(frozen=True)
class Neurons:
    """A population of spiking neurons; a batch is so many steps.

    Attributes:
        name, series: as of a network.
        spec: dt/tau_m and dt/tau_s are powers of two (`cases.spiking`).
    """

    name: str
    spec: LIFSpec
    series: Series | None = None

    def workload(self, batch_size: int, dtype: Any) -> Workload:
        """Of so many steps a call, in one dtype."""
        spec = replace(self.spec, dtype=dtype)
        return SpikingWorkload(self.name, spec, batch_size, batch_size, self.series)


# The examples of the first two are those of `inputs.EXAMPLES`; all others have standard normal
# inputs and random labels, in the shape of the task.
DIGITS = Network("digits", MLPSpec((64, 32, 10)), 1437)
LINE_LENGTH = Network("line_length", MLPSpec((10, 16, 16, 5)), 10_000)
MNIST = Network("mnist", MLPSpec((784, 128, 64, 10)), 60_000)
NEWSGROUPS = Network("newsgroups", MLPSpec((300, 2048, 256, 20)), 11_314)
CIFAR = Network("cifar", MLPSpec((3072, 512, 10)), 50_000)
WIDE = Network("wide", MLPSpec((1024, 2048, 2048, 10)), 8_192)
SQUARE = Network("square", MLPSpec((2048, 2048)), 2_048)  # square products, nothing else


def cost(units: int) -> Network:
    """A small smooth network, one of a series, for the cost of differentiation."""
    spec = MLPSpec((8, units, 4), "tanh")
    series = Series(COST, spec.parameters)
    return Network(f"{COST}{spec.parameters}", spec, 8, series=series)


def width(units: int) -> Network:
    """MNIST's inputs and outputs with two hidden layers of `units`."""
    spec, series = MLPSpec((784, units, units, 10)), Series("width", units)
    return Network(f"width{units}", spec, 60_000, series=series)


def depth(layers: int) -> Network:
    """MNIST's inputs and outputs with so many hidden layers of 128."""
    spec, series = MLPSpec((784, *(128,) * layers, 10)), Series("depth", layers)
    return Network(f"depth{layers}", spec, 60_000, series=series)


def population(neurons: int) -> Neurons:
    """A population at 1/128 of the membrane's time constant a step, 1/32 of the synapses'."""
    spec = LIFSpec(neurons, dt=TAU / 128, tau_s=TAU / 4)
    return Neurons(f"population{neurons}", spec, Series("neurons", neurons))


# What each line has. `c` has a line of its own: five minutes do not hold five of each row.
IDIOMS = tuple(name for name in registry.names() if name != "c")


@dataclass(frozen=True)
class Grid:
    """Several cases: a network at some batch sizes, by some operations, in some dtypes."""

    network: Network | Neurons
    batch_sizes: tuple[int, ...]
    operations: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float32",)
    runs: tuple[str, ...] = IDIOMS  # kinds or names of who has it, unless the user names others


BOTH = ("float32", "float64")
WAYS = ("idiom", "differentiation", "peer")  # to get a gradient
BEST = ("idiom", "variant", "peer")  # each idiom, its faster forms, and what stands against it
VECTORISED = tuple(  # of these, those that do not take one number at a time
    name
    for name, entry in registry.TABLE.items()
    if entry.kind in BEST and not registry.looped(name)
)
HELLO = (
    Grid(DIGITS, (32,), STEP, BOTH),
    Grid(MNIST, (32,), ("train_step",)),
)
DIFFERENTIATION = tuple(
    Grid(cost(units), (8,), ("forward", "loss_and_grad"), ("float64",), WAYS)
    for units in (2, 8, 32, 128, 512, 2048, 8192)
)
# Formulas grow so fast that the smallest of these have to do.
DIFFERENTIATION += tuple(
    Grid(cost(units), (8,), ("forward", "loss_and_grad"), ("float64",), ("symbolic",))
    for units in (1, 4)
)
OURS = tuple(name for name in VECTORISED if registry.TABLE[name].kind != "peer")
# Each idiom at its best, beside its matrix products alone and what people would use instead.
PEERS = (
    Grid(DIGITS, (32,), ("train_step",), runs=BEST),
    Grid(DIGITS, (32,), (PRODUCTS,), runs=("idiom", "variant")),
    Grid(DIGITS, (32,), ("epoch",), runs=(*VECTORISED, "loader")),
    Grid(MNIST, (128,), ("epoch",), runs=("torch", "loader")),
    Grid(DIGITS, (8,), ("train_step",), ("float64",), ("scalar", "numba", "micrograd")),
    *(
        line
        for network, batch_size in (
            (MNIST, 128),
            (width(512), 128),
            (NEWSGROUPS, 512),
            (WIDE, 1024),
        )
        for line in (
            Grid(network, (batch_size,), ("train_step",), runs=VECTORISED),
            Grid(network, (batch_size,), (PRODUCTS,), runs=OURS),
        )
    ),
    Grid(SQUARE, (2048,), (PRODUCTS,), runs=("numpy_inplace", "torch", "jax", "c")),
)
# The cost against the size. Looped Python's is in proportion to the work from the start: its curves
# end where a step takes seconds.
CURVES, LOOPED = ("numpy", "numpy_inplace", "torch", "jax"), ("scalar",)
SCALING = (
    Grid(MNIST, tuple(4**i for i in range(9)), ("train_step",), runs=CURVES),
    *(Grid(width(2**i), (128,), ("train_step",), runs=CURVES) for i in range(4, 14)),
    *(Grid(depth(2**i), (128,), ("train_step",), runs=CURVES) for i in range(7)),
    Grid(MNIST, tuple(4**i for i in range(5)), ("train_step",), runs=LOOPED),
    *(Grid(width(2**i), (128,), ("train_step",), runs=LOOPED) for i in range(4, 9)),
    *(Grid(depth(2**i), (128,), ("train_step",), runs=LOOPED) for i in range(5)),
)
SPIKING = tuple(
    Grid(population(neurons), (64,), ("simulate",), ("float64",), spiking.IDIOMS)
    for neurons in (10, 100, 1000)
)
# Batches for one rank up to eight: at one size the work is shared out (strong scaling), at one size
# for each rank it grows with them (weak scaling).
SHARED_OUT = ("torch", "jax", "parallel")
RANKS = tuple(
    Grid(network, (64, 128, 256, 512), ("train_step",), runs=SHARED_OUT)
    for network in (MNIST, width(512))
)
STANDARD = (
    Grid(DIGITS, (32, 256), OPERATIONS, BOTH),
    Grid(LINE_LENGTH, (32,), STEP, BOTH),
    Grid(MNIST, (32, 128), OPERATIONS),
    Grid(NEWSGROUPS, (512,), STEP),
    Grid(CIFAR, (128,), STEP),
    Grid(WIDE, (1024,), STEP),
    Grid(MNIST, (1, 8, 64, 512), ("train_step",)),
    Grid(MNIST, (1, 8), ("forward",)),
    *(Grid(width(units), (128,), ("train_step",)) for units in (16, 64, 256, 1024)),
    Grid(MNIST, (128,), STEP, runs=("c",)),
)
FULL = (
    *STANDARD,
    Grid(LINE_LENGTH, (32,), ("forward", "epoch"), BOTH),
    Grid(NEWSGROUPS, (32, 128), STEP),
    Grid(NEWSGROUPS, (512,), ("forward", "epoch")),
    Grid(CIFAR, (32, 512), STEP),
    Grid(CIFAR, (128,), ("forward", "epoch")),
    Grid(WIDE, (1024,), ("forward",)),
    Grid(WIDE, (256,), STEP),
    Grid(MNIST, (2, 4, 16, 256, 1024, 2048), ("train_step",)),
    *(Grid(width(units), (128,), ("train_step",)) for units in (32, 128, 512, 2048)),
    *DIFFERENTIATION,
)


@dataclass(frozen=True)
class Preset:
    """A list of cases and what a run of it may cost.

    Attributes:
        lines: the cases.
        processes: fresh processes per implementation and device.
        seconds: time limit of the whole run without a GPU, and with one.
        block_seconds: time for the blocks of one case in one process, at most.
        warm_up_seconds: at the start of each process, twice that on a GPU.
        intervals: whether there are enough processes for an interval.
        threads: thread regimes, "all" or numbers.
        ceilings: whether what explains the times is measured, too.
        memory: whether the peak memory of training steps is measured, in processes of its own.
        case_seconds: a case that is predicted to take longer in one process is skipped.
        short_call_seconds: a case whose call takes longer may be repeated only once per process,
            others three times at least, as far as the time allows.
    """

    lines: tuple[Grid, ...]
    processes: int
    seconds: tuple[float, float]
    block_seconds: float
    warm_up_seconds: float = 0.5
    intervals: bool = True
    threads: tuple[str, ...] = (ALL_THREADS,)
    ceilings: bool = True
    memory: bool = False
    case_seconds: float = PROCESS_LIMIT_SECONDS
    short_call_seconds: float = 0.05


GROUPS = ("peers", "scaling", "spiking")  # presets that `-m` asks for, too
PRESETS = {
    "hello": Preset(HELLO, 1, (20, 30), 0.05, 0.1, intervals=False, ceilings=False),
    "differentiation": Preset(DIFFERENTIATION, 5, (360, 420), 0.1, 0.2),
    # With a GPU three times as many rows, of which JAX's are compiled for four minutes.
    "standard": Preset(STANDARD, 5, (300, 900), 0.3, case_seconds=4.0, short_call_seconds=0.6),
    "scaling": Preset(
        SCALING,
        5,
        (1800, 1800),
        0.1,
        threads=("1", "all"),
        case_seconds=120.0,
        short_call_seconds=0.5,
    ),
    "peers": Preset(PEERS, 8, (1800, 1800), 0.3, case_seconds=120.0, short_call_seconds=1.0),
    "spiking": Preset(SPIKING, 5, (120, 120), 0.2, ceilings=False, case_seconds=120.0),
    "ranks": Preset(RANKS, 5, (600, 600), 0.2, case_seconds=60.0, short_call_seconds=0.5),
    "full": Preset(FULL, 10, (3600, 5400), 0.5, threads=("1", "all"), memory=True),
}


def own_network(layer_sizes: tuple[int, ...], batch_sizes: tuple[int, ...]) -> tuple[Grid, ...]:
    """The user's own network: one step and a forward pass at each batch size."""
    name = "own-" + "x".join(str(size) for size in layer_sizes)
    network = Network(name, MLPSpec(layer_sizes), 16 * max(batch_sizes))
    return (Grid(network, batch_sizes, ("forward", *STEP)),)


def in_form(lines: Iterable[Grid], form: Mapping[str, Any]) -> tuple[Grid, ...]:
    """The same lines with other activations, another loss, or no biases, under names that say so.

    Args:
        form: fields of an MLPSpec and their values.
    """
    biases = {True: "bias", False: "no_bias"}
    texts = [str(biases.get(value, value)) for value in form.values()]
    changed = {}
    for line in lines:
        network = line.network
        if not isinstance(network, Network):
            raise ValueError(f"{network.name} has neither of: {', '.join(form)}")
        changed[network.name] = replace(
            network,
            name="-".join([network.name, *texts]),
            spec=replace(network.spec, **form),
            series=None,
        )
    return tuple(replace(line, network=changed[line.network.name]) for line in lines)


def shared_out(operations: Iterable[str]) -> tuple[str, ...]:
    """The operations that several ranks are timed at: they share out a training."""
    return tuple(name for name in operations if name in ("train_step", "epoch"))


def transfers(worker: WorkerSpec, workload: Workload, operation: str) -> tuple[str, ...]:
    """Where a row's batches come from: of pinned memory torch has a notion."""
    if worker.device == "cpu" or operation == PRODUCTS:
        return TRANSFERS[:1]
    entry = registry.TABLE.get(worker.implementation)
    pins = entry is not None and entry.family == "torch" and entry.kind != "parallel"
    pins = pins and worker.device == "cuda" and isinstance(workload, MLPWorkload)
    return TRANSFERS if pins else TRANSFERS[:2]


def expand(
    lines: Iterable[Grid],
    worker: WorkerSpec,
    contracts: Sequence[str],
    only: Sequence[str] | None = None,
) -> list[Case]:
    """The cases of grids for one implementation, device and thread count.

    Args:
        worker: its precision does not count: `contracts` say it.
        contracts: the ARITHMETIC that the implementation has. A line of which it can do none runs
            in the first of these, so that looped Python (float64 only) has a row everywhere.
        only: what the user asked for, instead of the grids' own dtypes.
    """
    cases: dict[str, Case] = {}
    for line in lines:
        network = line.network
        usable = [name for name in only or line.dtypes if name in contracts]
        if not usable and only is None:
            usable = [contracts[0]]
        operations = line.operations if worker.ranks == 1 else shared_out(line.operations)
        for batch_size, name, operation in product(line.batch_sizes, usable, operations):
            dtype, precision = (name, "ieee") if name in BOTH else ("float32", name)
            workload = network.workload(batch_size, dtype)
            for transfer in transfers(worker, workload, operation):
                case = Case(
                    workload,
                    operation,
                    worker.implementation,
                    worker.device,
                    transfer,
                    worker.threads,
                    precision,
                    worker.ranks,
                )
                cases.setdefault(case.id, case)
    return list(cases.values())
