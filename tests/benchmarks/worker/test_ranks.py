"""Several ranks agree with the reference and among themselves; a fault costs one row."""

import os
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.machine import system
from samegrad.benchmarks.runs.worker_process import WORKER, command, stopped_short
from samegrad.implementations.checking import launch, problems, steps
from samegrad.implementations.checking.processes import Child, Exit
from samegrad.implementations.checking.rank import share
from samegrad.implementations.checking.report import VerifyOptions
from samegrad.implementations.checking.verifier import verify_problems
from samegrad.implementations.contract import ranks, registry
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers import ten_steps
from tests.helpers.ranked_workers import gated, small_case

pytest.importorskip("torch", reason="torch is not installed: its launcher starts ranks")
FAULTY = "tests.helpers.faulty_ranks"
# One of each framework, as the others take as long again; JAX compiles for each spec on each rank.
QUICK = ("torch_ddp", "jax_sharded")
PARALLEL = [
    pytest.param(
        name,
        few,
        id=f"{name}{'-few' * few}",
        marks=[pytest.mark.skipif(bool(why), reason=why or "it is installed")]
        + [pytest.mark.full] * (name not in QUICK or (not few and name.startswith("jax"))),
    )
    for name in registry.names("parallel")
    for why in [registry.why_not_installed(name)]
    for few in ((True, False) if name in QUICK and name.startswith("jax") else (False,))
]


def shared_out() -> list[problems.Problem]:
    """Batches that no number of ranks divides, fewer examples than ranks, masks, rules."""
    float64: Any = {"dtype": "float64"}
    specs = [
        (MLPSpec((4, 6, 3), **float64), 33),
        (MLPSpec((4, 6, 5, 3), dropout=0.5, **float64), 5),
        (MLPSpec((4, 6, 3), "tanh", loss="mse", weight_decay=0.1, **float64), 1),
        (MLPSpec((4, 6, 2), "tanh", loss="binary_cross_entropy", optimizer="adam", **float64), 7),
        (MLPSpec((4, 3), bias=False), 9),
    ]
    return [problems.draw(spec, batch_size) for spec, batch_size in specs]


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.full)])
@pytest.mark.parametrize(("name", "few"), PARALLEL)
def test_ranks_agree_with_the_reference(
    name: str, few: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss, every gradient and chains of ten steps; each result the same bits on all ranks."""
    chosen = shared_out()[1:4] if few else shared_out()  # masks, one example, another rule
    options = VerifyOptions(chosen, ranks=count)
    monkeypatch.setattr(steps, "STEPS", ten_steps.TEN)
    ours = partial(launch.command, ten_steps.__name__)
    monkeypatch.setattr(launch, "command", lambda _, **given: ours(**given))

    report = verify_problems(name, options)

    assert ("agrees", "") == (report.verdict, report.reason)
    assert ["agree"] * len(chosen) == [outcome.status for outcome in report.outcomes]
    assert f"{name} on {count} ranks" == report.name
    named = [t.name for o in report.outcomes for t in o.comparison.tensors]
    assert min(4, len(chosen)) == sum(name == "W1 after 10 steps" for name in named)


def faulty(directory: Path, fault: str, count: int = 2) -> tuple[Any, list[str]]:
    """How a worker process of two ranks ends of which one has a fault; and its gate's messages."""
    environment = system.worker_environment("cpu", directory, "1")
    child = Child(launch.command(FAULTY, sys.executable, 2, "1"), environment)
    return gated(child, small_case(directory, count), directory, fault)


def test_two_ranks_gate_where_nothing_is_wrong(tmp_path: Path) -> None:
    """Or the faults below would show nothing."""
    assert (None, ["train_step"]) == faulty(tmp_path, "none")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("dies", "rank 1 of 2 was killed by SIGKILL"),
        pytest.param("raises", "ValueError: only here", marks=pytest.mark.full),
        pytest.param("code", "rank 1 has another code than rank 0", marks=pytest.mark.full),
        pytest.param("data", "rank 1 has another data of small than", marks=pytest.mark.full),
        pytest.param("result", "rank 1 has another result than rank 0", marks=pytest.mark.full),
    ],
)
def test_fault_of_a_rank_ends_its_process_with_the_reason(
    tmp_path: Path, fault: str, says: str
) -> None:
    """All of its ranks, and nothing is left of them."""
    ended, gates = faulty(tmp_path, fault)

    outcome = stopped_short(ended)
    assert "crashed" == outcome["status"]
    assert says in outcome["reason"]
    assert [] == gates


@pytest.mark.full  # 20 s
def test_rank_that_hangs_costs_its_limit(tmp_path: Path) -> None:
    """The one that waits for it is ended with it."""
    ended, gates = faulty(tmp_path, "hangs")

    assert (Exit("timeout", "no result within 20 s; killed"), []) == (ended, gates)


@pytest.mark.full
def test_another_number_of_ranks_is_refused(tmp_path: Path) -> None:
    """Whoever started them."""
    ended, _ = faulty(tmp_path, "none", count=3)

    assert "RanksError: 2 ranks have joined, of 3" in ended.reason


@pytest.mark.full
def test_port_that_is_in_use_ends_the_process(tmp_path: Path, monkeypatch: Any) -> None:
    """Where one is asked for by its number; others are free ones."""
    with socket.socket() as busy:
        busy.bind((ranks.LOOPBACK, 0))
        busy.listen()
        monkeypatch.setenv(ranks.OWN, str(busy.getsockname()[1]))

        ended, gates = faulty(tmp_path, "none")

    assert ("crashed", []) == (ended.kind, gates)
    assert "is the port in use?" in ended.reason


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Calls a function in a thread for each of two ranks, which meet in a store of one process."""
    from torch._C._distributed_c10d import HashStore

    here = threading.local()
    monkeypatch.setattr(ranks, "rank", lambda: here.rank)
    monkeypatch.setattr(ranks, "size", lambda: 2)

    def run(*functions: Callable[[ranks.Group], Any]) -> list[Any]:
        store = HashStore()
        results: list[Any] = [None] * len(functions)

        def one(number: int) -> None:
            here.rank = number
            try:
                results[number] = functions[number](ranks.Group(store))
            except ranks.RanksError as error:
                results[number] = str(error)

        threads = [threading.Thread(target=one, args=(n,)) for n in range(len(functions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run


def test_other_bits_on_a_rank_are_seen_by_all(together: Any) -> None:
    """Down to the last one."""
    ours, theirs = np.ones(3), np.ones(3)
    theirs[1] = np.nextafter(1, 2)

    same = together(*[lambda group: group.same_bits("result", [(ours, None)])] * 2)
    other = together(
        lambda group: group.same_bits("gradient", ours),
        lambda group: group.same_bits("gradient", theirs),
    )

    assert [None, None] == same
    assert other[0] == other[1]
    assert "rank 1 has another gradient than rank 0" in other[0]


def test_rank_that_says_nothing_is_named(together: Any) -> None:
    """Within the limit."""
    (said,) = together(lambda group: group.gather("here", seconds=0.2))

    assert "rank 1 of 2 has not answered rank 0 within 0 s" == said


def test_rank_that_never_joins_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 0 waits no longer than its limit."""
    with socket.socket() as free:
        free.bind((ranks.LOOPBACK, 0))
        port = free.getsockname()[1]
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", ranks.LOOPBACK)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", str(port))
    monkeypatch.setattr(ranks, "JOIN_SECONDS", 1.0)
    ranks.group.cache_clear()

    with pytest.raises(ranks.RanksError, match=r"rank 0 finds no|rank 1 of 2 has not answered"):
        ranks.group()


@pytest.mark.parametrize(
    ("number", "count", "threads", "expected"),
    [(0, 2, "all", [3, 5]), (1, 2, "all", [7, 9]), (1, 2, "1", [5]), (4, 8, "all", [3])],
)
def test_ranks_have_cores_of_their_own_as_far_as_there_are(
    number: int, count: int, threads: str, expected: list[int]
) -> None:
    """Whatever the numbers of the cores are."""
    assert expected == share([3, 5, 7, 9], number, count, threads)


def test_variables_of_torchrun_and_srun_say_who_is_who(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a batch script of Slurm, which is no rank, say nothing."""
    for name in {*ranks.VARIABLES, ranks.OF_SLURM}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    monkeypatch.setenv("SLURM_LOCALID", "1")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")

    script = ranks.rank(), ranks.size()
    monkeypatch.setenv(ranks.OF_SLURM, "node[1-4]")
    step = ranks.rank(), ranks.size(), ranks.local()
    monkeypatch.setenv("RANK", "5")
    monkeypatch.setenv("WORLD_SIZE", "6")

    assert ((0, 1), (3, 8, (1, 2)), (5, 6)) == (script, step, (ranks.rank(), ranks.size()))


def test_rows_of_all_ranks_are_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, in their order, none empty before another has two."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    shares = []
    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        shares.append([range(count)[ranks.own_rows(count)] for count in (33, 2)])

    assert [9, 8, 8, 8] == [len(share) for share, _ in shares]
    assert [1, 1, 0, 0] == [len(share) for _, share in shares]
    assert list(range(33)) == [row for share, _ in shares for row in share]


def test_ports_of_ones_own_are_not_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher has one, JAX's coordinator another."""
    monkeypatch.setenv(ranks.OWN, "29600")
    assert [29600, 29601] == [ranks.free_port(), ranks.free_port(1)]
    monkeypatch.delenv(ranks.OWN)
    assert ranks.free_port() != 29600


def test_one_process_is_the_command_of_one_rank() -> None:
    """No launcher where nothing is to be launched."""
    assert command(WORKER) == command(WORKER, ranks=1)
    assert launch.LAUNCH not in command(WORKER)
    assert [launch.LAUNCH, "", "2", WORKER, "all"] == command(WORKER, ranks=2)[-5:]


def test_environment_of_one_process_names_no_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of one process is none of the ranks that its parent may be one of."""
    monkeypatch.setenv("RANK", "1")

    assert "RANK" not in system.worker_environment("cpu", Path(os.sep))
