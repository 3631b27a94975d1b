"""What an implementation can do here, and the times that its cost model is fitted to."""

import contextlib
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.workload import MLPWorkload, SpikingWorkload, Workload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.machine import checkout, system
from samegrad.benchmarks.worker import loaded
from samegrad.benchmarks.worker.placed import REFUSALS, Placed
from samegrad.implementations.contract import commands, spiking
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.files import exclusive
from samegrad.implementations.contract.own_calls import OwnCalls
from samegrad.implementations.contract.sources import place, raised
from samegrad.implementations.contract.spec import MLPSpec

Message = dict[str, Any]
# What a process holds until it has ended: its threads come to rest during that.
UNTIL_THE_END = contextlib.ExitStack()
TINY = ((8, 8, 4), 8)
SMALL = ((64, 32, 10), 32)
# Each has four to six times the arithmetic of the one after it: threads that others keep waiting
# make a small call as slow as arithmetic would, and only a larger one tells these apart.
LARGE: tuple[tuple[tuple[int, ...], int], ...] = (
    ((784, 512, 512, 10), 128),
    ((512, 256, 10), 128),
    ((256, 256, 10), 64),
    ((256, 128, 10), 32),
    ((128, 128, 10), 16),
)
# Activations, loss and biases of these networks: the first form that is supported. The first is
# that of most cases, and the numerical gradient's cost depends on it.
FORMS: tuple[dict[str, Any], ...] = (
    {},
    {"activation": "tanh", "loss": "mse"},
    {"activation": "sigmoid", "output_activation": "sigmoid", "loss": "mse"},
    {"activation": "sigmoid"},
    {"activation": "tanh"},
    {"loss": "mse"},
    {"loss": "binary_cross_entropy"},
    {"activation": "sigmoid", "loss": "mse"},
    {"activation": "sigmoid", "loss": "binary_cross_entropy"},
    {"activation": "tanh", "loss": "binary_cross_entropy"},
    {"bias": False},
    {"activation": "sigmoid", "output_activation": "sigmoid", "loss": "mse", "bias": False},
)
Network = tuple[tuple[int, ...], int, dict[str, Any]]  # layer sizes, batch size, form
MOST_ASKED = 5  # of the run's networks that are tried where none of these is supported
SECONDS = 1.0  # the largest network that is predicted to take less is tried


def answer(request: Message, send: Callable[[Message], None]) -> None:
    """Say what an implementation can do here, and how fast it is on a few small networks."""
    try:
        implementation = loaded.load(request["implementation"])
    except ImportError as error:
        exits = isinstance(error.__cause__, SystemExit)
        status = getattr(error, "status", "crashed" if exits else "unavailable")
        send({"status": status, "reason": str(error)})
        return
    devices = implementation.devices()
    if any(data["kind"] == SpikingWorkload.kind for data in request["workloads"]):
        with contextlib.suppress(NotImplementedError):  # then it has no rows of them
            spiking.load("lif", implementation.name)
    texts = sources(implementation)
    send(
        {
            "status": "ok",
            "devices": list(devices),
            "dtypes": list(implementation.dtypes),
            "precisions": {
                device: [p for p in ("tf32", "bfloat16") if _has(implementation, p, device)]
                for device in devices
            },
            "products": implementation.capabilities.products is not None,
            "sources": texts,
            "files": {path: _digest(text) for path, text in texts.items()},
            "source_sha256": _digest("".join(texts[path] for path in sorted(texts))),
            "versions": system.versions(),
            "python": sys.version.split()[0],
        }
    )
    UNTIL_THE_END.enter_context(exclusive(Path(request["lock"])))
    send({"alone": True})
    leaves_cycles = implementation.capabilities.leaves_cycles
    collector = {"garbage collector": "on while it is timed"} if leaves_cycles else {}
    for device in devices:
        if device in request["devices"]:
            facts = implementation.capabilities.describe(device)
            try:
                samples = cost_samples(implementation, device, _asked(request))
            except NotImplementedError as error:
                reason = f"it supports none of the networks that predict its cost: {error}"
                send({"device": device, "failed": reason})
                continue
            except Exception as error:
                if not place(error):  # ours: a fault of samegrad's, or of the machine
                    raise
                file = Path(request["implementation"]).name
                mend = f"mend that, then `{commands.PORTABLE} verify {file}`"
                reason = f"its first call raises {raised(error)}; {mend}"
                if device == "cpu":
                    send({"status": "crashed", "reason": reason})
                    return
                send({"device": device, "failed": reason})
                continue
            send(
                {
                    "device": device,
                    "facts": {**facts, **collector, "numpy_blas": system.blas()},
                    "cost_samples": samples,
                }
            )


def _has(implementation: Implementation, precision: str, device: str) -> bool:
    try:
        with implementation.capabilities.precision(precision, device):
            return True
    except NotImplementedError:
        return False


def sources(implementation: Implementation) -> dict[str, str]:
    """Path -> text of everything of ours, and of the implementation's own, that makes it up."""
    texts = {}
    ours = checkout.ROOT / "implementations"
    own = implementation.file
    files = {own.resolve()} if own else set()
    for name, module in list(sys.modules.items()):
        folder, _, part = name.removeprefix("samegrad.implementations.").rpartition(".")
        if folder == "backends" or part.startswith(("mlp_", "functions_", "engine_", "lif_")):
            files.add(Path(str(module.__file__)).resolve())
            if in_C := getattr(module, "SOURCES", ()):
                files |= {path.resolve() for path in in_C}
    for path in files:
        inside = path.is_relative_to(ours)
        shown = path.relative_to(checkout.ROOT).as_posix() if inside else path.name
        texts[shown] = path.read_text(encoding="utf-8", errors="replace")
    return texts


def _digest(text: str) -> str:
    """Twelve hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _asked(request: Message) -> list[Network]:
    """The networks of the run, the smallest first."""
    made = [Workload.from_dict(data) for data in request["workloads"]]
    workloads = sorted((w for w in made if isinstance(w, MLPWorkload)), key=lambda w: w.size)
    names = ("activation", "output_activation", "loss", "bias")
    return [
        (w.spec.layer_sizes, w.batch_size, {name: getattr(w.spec, name) for name in names})
        for w in workloads[:MOST_ASKED]
    ]


def cost_samples(
    implementation: Implementation, device: str, asked: Sequence[Network] = ()
) -> Message:
    """Times of loss_and_grad on a small network, and on the largest that takes about a second.

    A file that takes none of our small networks (it is for one shape) is timed on the smallest of
    those that are asked for; one that names those that it takes, on these. "form" is the first that
    it supports of FORMS, or of those; or None.

    Where a gradient takes passes in proportion to the number of parameters, forward passes are
    timed instead, and a small gradient says how many of them it is worth. Where there is no
    gradient to be had, training steps are timed.
    """
    passes = 0.0
    operations = ["loss_and_grad", "train_step", "forward"]  # scikit-learn shows no gradient
    if implementation.capabilities.passes_per_parameter:
        operations = ["forward"]
        one, whole = (
            sample(implementation, device, *TINY, o, FORMS[0]) for o in ("forward", "loss_and_grad")
        )
        passes = whole["warm_ns"] / one["warm_ns"] / MLPSpec(TINY[0]).parameters
    own = implementation.networks() if isinstance(implementation, OwnCalls) else []
    networks = own or [(*SMALL, form) for form in FORMS] + list(asked)
    small, operation, form = _first_supported(implementation, device, operations, networks)
    large = small
    # What a small network's fixed cost rules out may be affordable at the rate of the next.
    with contextlib.suppress(*REFUSALS):  # of so many layers
        while larger := [network for network in LARGE if _affordable(large, *network, operation)]:
            large = sample(implementation, device, *larger[0], operation, form)
    return {
        "networks": [small] if large is small else [small, large],
        "passes": passes,
        "form": form if form in FORMS or own else None,
    }


def _first_supported(
    implementation: Implementation,
    device: str,
    operations: list[str],
    networks: Sequence[Network],
) -> tuple[Message, str, dict[str, Any]]:
    """The times of the first network that is supported, and in which operation and form it is.

    Raises:
        NotImplementedError: none is; with what the first raised.
    """
    refusals: list[Exception] = []
    for sizes, batch_size, form in networks:
        for operation in operations:
            try:
                made = sample(implementation, device, sizes, batch_size, operation, form)
            except REFUSALS as error:
                refusals.append(error)
                continue
            return made, operation, form
    first = refusals[0]
    if isinstance(first, NotImplementedError):
        raise first
    raise NotImplementedError(raised(first))


def _affordable(known: Message, sizes: tuple[int, ...], batch_size: int, operation: str) -> bool:
    """Whether a larger network takes about a second at most, at the rate of a known one."""
    flops = MLPWorkload("sample", MLPSpec(sizes), batch_size, batch_size).flops(operation)
    rate = known["warm_ns"] / known["flops"]
    return bool(flops > known["flops"] and rate * flops < SECONDS * 1e9)


def sample(
    implementation: Implementation,
    device: str,
    sizes: tuple[int, ...],
    batch_size: int,
    operation: str,
    form: dict[str, Any],
) -> Message:
    """flops, first_ns and warm_ns of an operation on one network, in one of FORMS."""
    dtype: Any = implementation.dtypes[0]
    if operation == "forward":  # as in the cases whose gradient takes passes of it
        form = {"activation": "tanh", **form}
    spec = MLPSpec(sizes, **form, dtype=dtype)
    workload = MLPWorkload("sample", spec, batch_size, batch_size)
    work = Placed.random(workload, implementation, device).work(operation)
    times: list[int] = []
    while len(times) < 3 or (len(times) < 50 and sum(times[1:]) < SECONDS * 1e8):
        times.append(timer.block(work, 1).elapsed_ns)
    flops = workload.flops(operation)
    return {"flops": flops, "first_ns": times[0], "warm_ns": min(times[1:])}
