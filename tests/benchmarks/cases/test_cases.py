"""The presets have the rows that the README promises."""

from collections import Counter
from itertools import pairwise

import pytest

from samegrad.benchmarks.cases.case import Case, WorkerSpec, smallest_first
from samegrad.benchmarks.cases.presets import IDIOMS, PRESETS, STEP, expand
from samegrad.benchmarks.cases.workload import OPERATIONS, MLPWorkload, Series
from samegrad.benchmarks.machine import gpu as machine_gpu
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.runs import capabilities, selection
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.options import parse
from samegrad.benchmarks.runs.selection import _lines
from samegrad.implementations.contract.registry import names
from samegrad.implementations.contract.spec import MLPSpec

BOTH = ("float32", "float64")


def rows(preset: str, device: str = "cpu") -> dict[str, list[Case]]:
    """The rows of each implementation, those that use a device only on it."""
    lines = [line for line in PRESETS[preset].lines if line.runs == IDIOMS]
    vectorised = {
        name: expand(lines, WorkerSpec(name, device), BOTH) for name in ("numpy", "torch", "jax")
    }
    return vectorised | {"scalar": expand(lines, WorkerSpec("scalar", device), ("float64",))}


@pytest.mark.parametrize(
    ("preset", "each", "scalar"), [("hello", 5, 3), ("standard", 44, 34), ("full", 73, 61)]
)
def test_preset_has_its_rows(preset: str, each: int, scalar: int) -> None:
    """Looped Python has one row where the others have float32 and float64."""
    counts = {name: len(cases) for name, cases in rows(preset).items()}

    assert {"numpy": each, "torch": each, "jax": each, "scalar": scalar} == counts


def test_gates_begin_with_the_smallest_network_in_every_process() -> None:
    """One order, whatever order the cases come in; a problem is not begun twice."""
    planned = rows("standard")["jax"]
    ordered = smallest_first(planned)

    assert ordered == smallest_first(planned[::-1]) and set(planned) == set(ordered)
    sizes = [c.spec.parameters * c.workload.batch_size for c in ordered]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    problems = [c.workload for c in ordered]
    changes = sum(a != b for a, b in pairwise(problems))
    assert changes == len(set(problems)) - 1


def test_standard_has_the_promised_cases() -> None:
    """Each workload at its batch sizes with its operations, in float32 unless said."""
    numpy_rows = rows("standard")["numpy"]
    counts = Counter(
        (c.workload.name, c.workload.batch_size, c.spec.dtype, c.operation) for c in numpy_rows
    )

    expected = {
        *(("digits", b, d, op) for b in (32, 256) for d in BOTH for op in OPERATIONS),
        *(("line_length", 32, d, op) for d in BOTH for op in STEP),
        *(("mnist", b, "float32", op) for b in (32, 128) for op in OPERATIONS),
        *(("newsgroups", 512, "float32", op) for op in STEP),
        *(("cifar", 128, "float32", op) for op in STEP),
        *(("wide", 1024, "float32", op) for op in STEP),
        *(("mnist", b, "float32", "train_step") for b in (1, 8, 64, 512)),
        *(("mnist", b, "float32", "forward") for b in (1, 8)),
        *((f"width{w}", 128, "float32", "train_step") for w in (16, 64, 256, 1024)),
    }
    assert Counter(expected) == counts


def test_presets_ask_for_enough_processes() -> None:
    """5 for an interval, 10 for full; hello has one and promises no interval."""
    expected = {
        "hello": 1,
        "differentiation": 5,
        "standard": 5,
        "scaling": 5,
        "peers": 8,
        "spiking": 5,
        "ranks": 5,
        "full": 10,
    }
    assert expected == {name: preset.processes for name, preset in PRESETS.items()}
    assert {"hello"} == {name for name, preset in PRESETS.items() if not preset.intervals}


def test_differentiation_has_a_series_of_networks_for_every_way() -> None:
    """Forward and gradient from 30 to 100,000 parameters, smooth, in float64; full has it too."""
    lines = [line for line in PRESETS["differentiation"].lines if line.runs != ("symbolic",)]
    planned = expand(lines, WorkerSpec("dual"), ("float64",))
    sizes = sorted({case.spec.parameters for case in planned})

    assert {("idiom", "differentiation", "peer")} == {line.runs for line in lines}
    assert (30, 106_500, 7) == (sizes[0], sizes[-1], len(sizes))
    assert {"forward", "loss_and_grad"} == {case.operation for case in planned}
    assert {f"cost of differentiation, {n} parameters" for n in sizes} == {c.group for c in planned}
    assert set(PRESETS["differentiation"].lines) <= set(PRESETS["full"].lines)
    more = set(PRESETS["differentiation"].lines) - set(lines)
    assert {17, 56} == {line.network.spec.parameters for line in more}  # formulas: small ones


def test_implementations_of_a_preset_are_those_that_its_lines_name() -> None:
    """By kind or by name; scikit-learn has no gradient, and no line that asks for one."""
    ways = {*names("idiom"), *names("differentiation"), *names("peer")}
    assert ways == set(parse(preset="differentiation").implementations)
    assert set(IDIOMS) == set(names()) - {"c"} == set(parse(preset="hello").implementations)
    assert set(names()) == set(parse(preset="standard").implementations)
    assert {*IDIOMS, "numpy_inplace"} == set(parse(preset="scaling").implementations)
    assert [] == _lines(parse(preset="differentiation"), "sklearn")
    assert _lines(parse(preset="peers"), "sklearn")


def test_gpu_rows_are_resident_and_end_to_end() -> None:
    """Two quantities per row on a GPU, of torch a third from pinned memory; one on the CPU."""
    two, lines = {"resident": 5, "end_to_end": 5}, PRESETS["hello"].lines
    for worker, expected in {
        WorkerSpec("torch", "cuda"): two | {"end_to_end_pinned": 5},
        WorkerSpec("torch", "mps"): two,
        WorkerSpec("torch_ddp", "cuda"): two,
        WorkerSpec("jax", "cuda"): two,
        WorkerSpec("my_mlp", "cuda"): two,
        WorkerSpec("torch"): {"resident": 5},
    }.items():
        planned = expand(lines, worker, BOTH)

        assert expected == Counter(case.transfer for case in planned), worker
        assert len(planned) == len({case.id for case in planned})


def test_flops_are_counted_by_the_formula() -> None:
    """Forward 2 B sum(W); the gradient adds 4 B sum(W) - 2 B W_1."""
    batch = 32
    workload = MLPWorkload("x", MLPSpec((784, 128, 64, 10)), batch, batch)
    weights = (784 * 128, 128 * 64, 64 * 10)

    forward = 2 * batch * sum(weights)

    assert forward == workload.flops("forward")
    gradient = 4 * batch * sum(weights) - 2 * batch * weights[0]
    assert forward + gradient == workload.flops("train_step")


def test_epoch_counts_its_smaller_last_batch() -> None:
    """1,437 digits in batches of 32: 45 steps, 1,437 examples."""
    case = next(c for c in rows("standard")["numpy"] if c.operation == "epoch")

    assert (45, 1437) == (case.calls_per_epoch, case.examples)


def test_case_survives_its_journal() -> None:
    """to_dict and from_dict are inverse."""
    for case in rows("full", "cuda")["jax"]:
        assert case == Case.from_dict(case.to_dict())


def test_dtype_that_was_asked_for_is_all_there_is() -> None:
    """--dtype float32 leaves looped Python without a row rather than with another dtype."""
    lines = PRESETS["hello"].lines

    assert [] == expand(lines, WorkerSpec("scalar"), ("float64",), ("float32",))
    assert {"float32"} == {
        c.spec.dtype for c in expand(lines, WorkerSpec("numpy"), BOTH, ("float32",))
    }


def test_what_is_gated_covers_every_gradient() -> None:
    """A forward pass needs the gradient's proof too; the timed operation comes last."""
    problem = MLPWorkload("x", MLPSpec((3, 2)), 4, 16)
    gated = {op: Case(problem, op, "numpy").gated for op in OPERATIONS}

    assert gated["forward"] == ("loss_and_grad", "forward")
    assert gated["loss_and_grad"] == ("loss_and_grad",)
    assert gated["train_step"] == gated["epoch"] == ("train_step",)


def test_contracts_of_arithmetic_are_rows_of_their_own() -> None:
    """tf32 and bfloat16 are float32 networks, in processes of their own."""
    lines = PRESETS["hello"].lines

    planned = expand(lines, WorkerSpec("torch", "cuda"), (*BOTH, "tf32"), ("float32", "tf32"))

    assert {("float32", "ieee"), ("float32", "tf32")} == {
        (c.spec.dtype, c.precision) for c in planned
    }
    assert {"float32", "tf32"} == {c.arithmetic for c in planned}
    assert len({c.id for c in planned}) == len(planned)
    assert len({c.worker for c in planned}) == 2


def test_thread_counts_are_rows_of_their_own() -> None:
    """Each with a name of its own, a process of its own, and a group per thread count."""
    problem = MLPWorkload("x", MLPSpec((3, 2)), 4, 16)
    planned = [
        Case(problem, "forward", "numpy"),
        Case(problem, "forward", "numpy", threads="1"),
    ]

    assert [
        "x-forward-batch4-float32-numpy-cpu",
        "x-forward-batch4-float32-numpy-cpu-1_thread",
    ] == [case.id for case in planned]
    assert 2 == len({case.worker for case in planned})
    assert planned[0].group != planned[1].group


def test_larger_size_of_a_series() -> None:
    """A larger batch or a larger width, all else equal; nothing else."""
    small = Case(
        MLPWorkload("width16", MLPSpec((784, 16, 16, 10)), 128, 60, Series("width", 16)),
        "train_step",
        "numpy",
    )
    wide = MLPWorkload("width64", MLPSpec((784, 64, 64, 10)), 128, 60, Series("width", 64))
    other = MLPWorkload("mnist", MLPSpec((784, 128, 64, 10)), 128, 60)

    assert Case(wide, "train_step", "numpy").larger_than(small)
    assert not small.larger_than(Case(wide, "train_step", "numpy"))
    assert not Case(wide, "forward", "numpy").larger_than(small)
    assert not Case(wide, "train_step", "jax").larger_than(small)
    assert not Case(other, "train_step", "numpy").larger_than(small)


@pytest.mark.parametrize(
    ("gpu", "message"),
    [("", "cupy: no GPU on this machine"), ("NVIDIA Test 9000", "cupy: it runs on a GPU only")],
)
def test_what_runs_on_a_gpu_only_is_not_asked_of_a_cpu(
    gpu: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name an error of one line; of the table it is left out, with a note."""
    known = {
        name: Capabilities(name, name, devices=(device,), dtypes=("float32",))
        for name, device in (("numpy", "cpu"), ("cupy", "cuda"))
    }
    monkeypatch.setattr(capabilities, "find", lambda *_, **__: dict(known))
    monkeypatch.setattr(machine_gpu, "facts", lambda: {"gpu": gpu} if gpu else {})

    with pytest.raises(ValueError, match=f"--implementation {message}"):
        selection.select(parse(preset="peers", implementation="numpy,cupy", device="cpu"))
    selected = selection.select(parse(preset="peers", device="cpu"))
    assert {"numpy"} == {case.implementation for case in selected.cases}
    assert (f"cupy: {selection.NO_GPU}" in selected.notes) == (gpu == "")


@pytest.mark.parametrize(
    ("threads", "number", "said"), [(None, "1", True), (None, "", False), ("1", "1", False)]
)
def test_users_number_of_threads_is_said(
    monkeypatch: pytest.MonkeyPatch, threads: str | None, number: str, said: bool
) -> None:
    """A variable of a shell or a container limits what "all" means: nobody else would tell."""
    monkeypatch.setattr(system, "cores", lambda: 2)
    for name in system.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if number:
        monkeypatch.setenv("OMP_NUM_THREADS", number)

    notes = selection.select(parse(implementation="numpy", threads=threads)).notes

    assert said == any("OMP_NUM_THREADS=1 is set" in note for note in notes)
