"""What only a GPU's rows have: shown on a pretended one, and with stand-ins."""

import configparser
import importlib
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.clock.calls import most_pending
from samegrad.benchmarks.judge.inputs import draw
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.runs import budget, capabilities, speed
from samegrad.benchmarks.runs.options import parse
from samegrad.benchmarks.runs.run import Progress, Run
from samegrad.benchmarks.runs.selection import select
from samegrad.benchmarks.worker.placed import Placed
from samegrad.implementations.checking import failures
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec

FAKE = str(ROOT / "tests" / "helpers" / "fake_cuda.py")
DEEP = MLPSpec((6, 5, 4, 4, 3))
WORKLOAD = MLPWorkload("random", MLPSpec((7, 5, 3)), 4, 16)
MODEL = load("numpy").model


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate", "out_of_memory"),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", "out_of_memory"),
        ("RESOURCE_EXHAUSTED: Failed to allocate", "out_of_memory"),
        ("CUDA_ERROR_OUT_OF_MEMORY: out of memory", "out_of_memory"),
        ("CUDA error: an illegal memory access was encountered", "crashed"),
    ],
)  # fmt: skip
def test_lack_of_memory_is_known_by_its_words(text: str, status: str) -> None:
    """Every library has its own."""
    assert status == failures.failure(RuntimeError(text))["status"]


def test_error_that_the_device_keeps_costs_one_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process ends, and the case after it is measured in another one."""
    monkeypatch.setenv("SAMEGRAD_FAKE_FAULT", "sticky")
    specs = (MLPSpec((6, 3)), DEEP, MLPSpec((16, 8, 3)))
    cases = [
        Case(MLPWorkload(f"w{i}", spec, 8, 128), "train_step", "fake_cuda", "cuda")
        for i, spec in enumerate(specs)
    ]
    model = budget.CostModel(1e-4, 0.0, 1e9, 1.0)
    capability = capabilities.Capabilities(FAKE, "fake_cuda", cost_models={"cuda": model})
    settings = budget.RunSettings(None, 0.01, 0.0, ceilings=False)
    run = Run(
        budget.Budget(cases, processes=1),
        {"fake_cuda": capability},
        tmp_path / "run",
        settings,
        progress=Progress(),
        about={},
    )
    speed.execute(run)

    made = list(rows.rows(run.journal))
    assert ["ok", "crashed", "ok"] == [row.status for row in made], [r.reason for r in made]
    assert "an illegal memory access was encountered (fake_cuda.py:" in made[1].reason
    assert "; after that cuda took no more work" in made[1].reason


def test_weights_of_an_earlier_step_are_not_kept() -> None:
    """A chain of steps that make new arrays holds those of one step, besides what it makes."""
    seen: list[Any] = []
    alive: list[int] = []

    def train_step(spec: Any, params: Any, state: Any, *_: Any) -> Any:
        alive.append(sum(ref() is not None for ref in seen))
        seen.append(weakref.ref(params[0][0]))
        return [(W + 1, b + 1) for W, b in params], state, np.float32(0)

    model = SimpleNamespace(**vars(MODEL) | {"train_step": train_step})
    placed = Placed(WORKLOAD, Implementation(model, "own"), "cpu", draw(WORKLOAD, 0))
    timer.block(placed.work("train_step"), 4)

    assert [0, 0, 0, 0] == alive


class Memory:
    """A GPU's memory: what is taken, the most of it since it was forgotten, and the most ever."""

    def __init__(self) -> None:
        self.used = self.most = self.ever = 0
        self.hooks: list[Any] = []

    def take(self, size: int) -> Any:
        """As a framework's allocator does."""
        self.used += size
        self.most, self.ever = max(self.most, self.used), max(self.ever, self.used)
        for hook in self.hooks:
            hook.malloc_postprocess(size=size)
        return SimpleNamespace(delete=lambda: self.give(size))

    def give(self, size: int) -> None:
        """Back."""
        self.used -= size

    def forget(self) -> None:
        """The most so far."""
        self.most = self.used

    def of_torch(self, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its functions."""
        for name, function in (("reset_peak_memory_stats", self.forget),
                               ("memory_allocated", lambda: self.used),
                               ("max_memory_allocated", lambda: self.most)):  # fmt: skip
            monkeypatch.setattr(backend.torch.cuda, name, function)

    def of_jax(self, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its figures, of which one never falls; arrays are taken of it."""

        def device_put(array: Any, where: Any) -> Any:
            taken = self.take(array.nbytes)
            return SimpleNamespace(block_until_ready=lambda: taken)

        told = lambda: {"bytes_in_use": self.used, "peak_bytes_in_use": self.ever}  # noqa: E731
        device = SimpleNamespace(memory_stats=told)
        monkeypatch.setattr(backend.jax, "local_devices", lambda backend: [device])
        monkeypatch.setattr(backend.jax, "device_put", device_put)

    def of_cupy(self, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its pool, and a hook that is called when it gives memory away."""
        memory = self

        class MemoryHook:
            def __enter__(self) -> None:
                memory.hooks.append(self)

        pool = SimpleNamespace(used_bytes=lambda: self.used)
        cupy = SimpleNamespace(
            get_default_memory_pool=lambda: pool, cuda=SimpleNamespace(MemoryHook=MemoryHook)
        )
        monkeypatch.setattr(backend, "library", lambda: cupy)


@pytest.mark.parametrize("name", ["torch", "jax", "cupy"])
def test_peak_memory_is_the_most_that_calls_hold_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all idioms: neither what was there, nor what compiling took, nor what a pool keeps."""
    if name != "cupy":
        pytest.importorskip(name, reason=f"{name} is not installed")
    backend = importlib.import_module(f"samegrad.implementations.backends.{name}_backend")
    memory = Memory()
    getattr(memory, f"of_{name}")(backend, monkeypatch)
    for size in (1000, 500):  # weights and batches; what is tried while it compiles
        memory.take(size)
    memory.give(500)

    watched = backend.peak_memory("cuda")
    for size in (50, 70, 60):  # each is given back, and the second has no place in the first's
        memory.take(size)
        memory.give(size)

    assert 70 == watched()


def test_end_to_end_calls_copy_and_check_nothing() -> None:
    """What a batch must be was checked when it was placed; a call only copies it."""
    placed = Placed(WORKLOAD, Implementation(MODEL, "own"), "cpu", draw(WORKLOAD, 0))
    placed.implementation.batch_from_numpy = None  # type: ignore[assignment] # to be left alone

    for operation in ("forward", "train_step", "epoch"):
        work = placed.work(operation, "end_to_end")
        assert timer.block(work, 2).elapsed_ns > 0


def test_pinned_batches_are_made_once_and_begun_in_each_call() -> None:
    """An array is in pinned memory once, however many blocks there are; each call copies it."""
    made: list[Any] = []
    begun: list[Any] = []

    def pinned(array: Any, device: str) -> Any:
        made.append((device, array.shape))

        def begin() -> Any:
            begun.append(array.shape)
            return array

        return begin

    implementation = Implementation(MODEL, "own")
    implementation.capabilities = Capabilities(pinned=pinned)
    placed = Placed(WORKLOAD, implementation, "cpu", draw(WORKLOAD, 0))
    arrays = 2 * len(placed.host)
    for operation in ("train_step", "train_step", "epoch", "loss_and_grad"):
        given = timer.block(placed.work(operation, "end_to_end_pinned"), 4)
        assert given.elapsed_ns > 0

    assert arrays == len(made) and {"cpu"} == {device for device, _ in made}
    assert 2 * (4 + 4 + 4 * (WORKLOAD.examples // WORKLOAD.batch_size) + 4) == len(begun)


def test_waiting_passes_over_arrays_of_numpy() -> None:
    """End to end the batches are on the host; NumPy's arrays have a device, the text "cpu"."""
    torch = load("torch").backend

    torch.synchronize(([np.zeros(2)], torch.place(np.zeros(2), "cpu"), 1.0, None))


def test_row_without_pinned_memory_says_so() -> None:
    """It is planned for no such implementation."""
    placed = Placed(WORKLOAD, Implementation(MODEL, "own"), "cpu", draw(WORKLOAD, 0))

    with pytest.raises(NotImplementedError, match="own has no pinned memory"):
        placed.work("forward", "end_to_end_pinned")


def test_copy_from_pinned_memory_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one of its own, there before it is asked for, and the same numbers."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    asked: list[Any] = []
    to = torch.Tensor.to

    def noted(tensor: Any, device: str, **options: Any) -> Any:
        asked.append((device, options))
        return to(tensor, "cpu")

    def pin(tensor: Any) -> Any:
        asked.append("pinned")
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", noted)
    array = np.arange(6.0).reshape(2, 3)

    begin = load("torch").capabilities.pinned(array, "cuda")
    array[...] = 0

    assert np.arange(6.0).tolist() == begin().flatten().tolist()
    assert ["pinned", ("cuda", {"non_blocking": True})] == asked


def test_learning_rate_is_placed_once_for_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each step would copy it; and it is what the steps get."""
    asked: list[Any] = []
    got: list[Any] = []
    implementation = load("numpy")
    backend = type(implementation.backend)()

    def placed_rate(rate: float, device: str) -> tuple[float]:
        asked.append(device)
        return (rate,)

    monkeypatch.setattr(backend, "rate", placed_rate)

    def train_step(spec: Any, params: Any, state: Any, X: Any, y: Any, rate: Any) -> Any:
        got.append(rate)
        return params, state, np.float32(0)

    model = SimpleNamespace(**vars(MODEL) | {"train_step": train_step, "BACKEND": backend})
    placed = Placed(WORKLOAD, Implementation(model, "own"), "cpu", draw(WORKLOAD, 0))
    timer.block(placed.work("train_step"), 5)

    assert ["cpu"] == asked and 5 == len(got) and {tuple} == set(map(type, got))


def test_jax_takes_a_placed_rate_without_compiling_again() -> None:
    """On a GPU it has the type of a float, so the program is the same."""
    pytest.importorskip("jax", reason="jax is not installed")
    implementation = load("jax")
    backend, spec = implementation.backend, WORKLOAD.spec
    placed = Placed(WORKLOAD, implementation, "cpu", draw(WORKLOAD, 0))

    def step(rate: Any) -> Any:
        return implementation.to_numpy(
            implementation.train_step(spec, *placed.start(), *placed.batches[0], rate)[0]
        )

    first, rate = step(0.1), backend.rate(0.1, "cuda")
    compiled = implementation.capabilities.compilations()[0]
    second = step(rate)

    assert float is type(backend.rate(0.1, "cpu")) and float is not type(rate)
    assert compiled == implementation.capabilities.compilations()[0]
    assert (first[0][0] == second[0][0]).all()


def test_torch_sgd_is_one_call_for_all_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU one launch, or a few, instead of one for each tensor."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    calls: list[int] = []
    original = torch._foreach_sub_

    def counted(tensors: Any, *rest: Any, **options: Any) -> Any:
        calls.append(len(tensors))
        return original(tensors, *rest, **options)

    monkeypatch.setattr(torch, "_foreach_sub_", counted)
    implementation = load("torch")
    placed = Placed(WORKLOAD, implementation, "cpu", draw(WORKLOAD, 0))
    implementation.train_step(WORKLOAD.spec, *placed.start(), *placed.batches[0], 0.1)

    assert [4] == calls


@pytest.mark.parametrize(
    ("device", "products", "empty", "expected"),
    [
        ("cpu", 4e-4, 3e-4, (4e-4, 3e-4, 3e-4)),
        ("cuda", 4e-4, 3e-4, (4e-4, 0.0, 6e-4)),  # dispatched while the products are computed
        ("cuda", 1e-4, 3e-4, (1e-4, 2e-4, 7e-4)),
    ],
)
def test_dispatch_that_a_gpu_hides_is_no_part_of_a_call(
    device: str, products: float, empty: float, expected: tuple[float, ...]
) -> None:
    """The parts add up to the call."""
    row = Row(
        Case(WORKLOAD, "train_step", "torch", device), "ok", "", process_medians=(1e-3,),
        products_seconds=products, empty_seconds=empty,
    )  # fmt: skip

    assert row.split == pytest.approx(expected) and sum(row.split) == pytest.approx(1e-3)


def test_plan_and_queue_of_a_gpu_are_not_those_of_a_cpu() -> None:
    """Blocks are longer there, and no cache of a CPU limits what may wait."""
    short, gradient = 1e-5, 4 * MLPSpec((8192, 8192, 8192, 10)).parameters

    seconds = {device: budget.timing_seconds(short, 0.0, device) for device in ("cpu", "cuda")}

    assert 4 == seconds["cuda"] / seconds["cpu"]
    assert 1 == most_pending(gradient) < most_pending(gradient, "cuda") <= 4
    assert 16 == most_pending(1000, "cuda")


@pytest.mark.parametrize("asked", ["cuda:1", "cpu,cuda:1"])
def test_number_of_a_gpu_says_how_to_choose_it(asked: str) -> None:
    """In the one line that refuses it."""
    with pytest.raises(ValueError, match=r"choose a GPU by CUDA_VISIBLE_DEVICES=1 and give --dev"):
        select(parse(implementation="numpy", device=asked, preset="hello"))


def test_environment_with_cuda_has_constraints_peers_and_the_settings_of_cuda() -> None:
    """As those without it, and what chooses a GPU reaches it."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    cuda, passed = tox["testenv:benchmark-cuda"], tox["testenv"]["pass_env"].split()

    assert "set_env" not in cuda and "constraints.txt" in tox["testenv"]["set_env"]
    assert {"cuda", "peers"} <= {name.strip() for name in cuda["extras"].split(",")}
    assert {"CUDA_*", "PYTORCH_*"} <= set(passed)
