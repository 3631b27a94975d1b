"""Ranks on several hosts: one process on each of two, which are both this one here."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.judge.networks import Networks
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.runs import hosts
from samegrad.benchmarks.runs.worker_process import WORKER
from samegrad.benchmarks.worker import ranked
from samegrad.implementations.checking import launch
from samegrad.implementations.contract import ranks
from tests.helpers.ranked_workers import SMALL, gated, small_case

pytest.importorskip("torch", reason="torch is not installed: its launcher starts ranks")
FAULTY = "tests.helpers.faulty_ranks"


@pytest.fixture
def two_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if torchrun had started this process on the first of two hosts, and it led."""
    monkeypatch.setattr(hosts, "_leading", [True])
    given = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("two_hosts")
@pytest.mark.parametrize(
    ("counts", "asked", "says"),
    [
        ((1, 2, 4), True, None),
        ((1, 3), True, r"--ranks 3: 2 hosts share them out evenly; give 1 or multiples of 2"),
        ((1,), False, r"samegrad was started 2 times, by torchrun or srun.* give --ranks, for"),
    ],
)
def test_ranks_are_shared_out_evenly(counts: Any, asked: bool, says: str | None) -> None:
    """One rank is on the first host; a run without ranks would be the same on all."""
    if says is None:
        hosts.check(counts, asked)
        assert [1, 1, 2] == [hosts.on_each(count) for count in counts]
    else:
        with pytest.raises(ValueError, match=says):
            hosts.check(counts, asked)


@pytest.mark.usefixtures("two_hosts")
def test_two_of_a_host_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would start all ranks of its host."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")

    with pytest.raises(ValueError, match="2 of 2 were started on this host; start one"):
        hosts.check((1, 2), True)


@pytest.mark.usefixtures("two_hosts")
def test_pytest_does_not_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait for others that do the same."""
    monkeypatch.setattr(hosts, "_leading", [])

    with pytest.raises(ValueError, match="pytest does not measure on 2 hosts: start `samegrad"):
        hosts.check((1, 2), True)


@pytest.mark.usefixtures("two_hosts")
def test_several_hosts_are_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its facts and in its fingerprint; its workers are none of the two processes."""
    monkeypatch.setenv(ranks.OF_SLURM, "node[1-2]")
    two, environment = system.machine(), system.worker_environment("cpu", Path(os.sep))
    for name in ("RANK", "WORLD_SIZE", ranks.OF_SLURM):
        monkeypatch.delenv(name)
    one = system.machine()

    assert ("2", None) == (two["hosts"], one.get("hosts"))
    assert f"2 hosts with {one['cpu']}" == two["cpu"]
    assert system.fingerprint(one) != system.fingerprint(two)
    assert not {"RANK", "WORLD_SIZE", ranks.OF_SLURM} & environment.keys()


def test_hosts_without_the_inputs_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bits, in parts, and nothing of them stays: neither a file nor in the store."""
    from torch._C._distributed_c10d import HashStore

    here, store, found = threading.local(), HashStore(), {}
    monkeypatch.setattr(ranks, "rank", lambda: here.rank)
    monkeypatch.setattr(ranks, "size", lambda: 2)
    monkeypatch.setattr(ranks, "group", lambda: here.group)
    monkeypatch.setattr(ranks, "PART_BYTES", 1000)
    drawn, _ = Networks.prepare(SMALL, 0)
    inputs.save(tmp_path / "first", SMALL, drawn)

    def one(number: int, directory: Path) -> None:
        here.rank, here.group = number, ranks.Group(store)
        with ranked._handed_out(directory, SMALL) as at_hand:
            found[number] = at_hand, inputs.load(at_hand, SMALL)

    threads = [
        threading.Thread(target=one, args=(number, tmp_path / name))
        for number, name in enumerate(("first", "second"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found[0][0] == tmp_path / "first"
    assert not found[1][0].exists()
    np.testing.assert_array_equal(found[0][1].X, found[1][1].X)
    assert not any(store.check([f"data1/{part}"]) for part in range(3))


@pytest.fixture
def follower(two_hosts: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The other host's process, which follows this one."""
    del two_hosts
    monkeypatch.delenv(ranks.OWN, raising=False)
    monkeypatch.setenv("MASTER_ADDR", ranks.LOOPBACK)
    monkeypatch.setenv("MASTER_PORT", str(ranks.free_port()))
    ranks.group.cache_clear()
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(
        [sys.executable, "-m", "samegrad", "benchmark", "--ranks", "2"],
        env={**os.environ, "RANK": "1"},
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as other:
        yield other
        other.kill()
    ranks.group.cache_clear()


def on_both(directory: Path, module: str, fault: str) -> tuple[Any, list[str]]:
    """How a worker of two ranks ends, one on each host; and its gate's messages."""
    case, environment = small_case(directory, 2), system.worker_environment("cpu", directory, "1")
    child = hosts.child(sys.executable, case.worker, module, environment)
    return gated(child, case, directory, fault, 30.0)


@pytest.mark.parametrize(
    ("module", "fault", "says"),
    [
        pytest.param(WORKER, "none", None, id="right"),
        pytest.param(
            FAULTY, "dies", "host 1: exit status 1: rank 1 of 2 was killed", marks=pytest.mark.full
        ),
        pytest.param(FAULTY, "code", "rank 1 has another code", marks=pytest.mark.full),
    ],
)
def test_two_hosts_compute_together(
    follower: Any, tmp_path: Path, module: str, fault: str, says: str | None
) -> None:
    """A fault of the other host's rank costs the row; the other process ends with this one."""
    results = list[Any]()

    def work() -> int:
        results.append(on_both(tmp_path, module, fault))
        return 5

    status = hosts.lead(work)
    said, errors = follower.communicate(timeout=30)
    ((ended, gates),) = results
    assert (5, 0, "") == (status, follower.returncode, errors)
    assert "host 2 of 2 waits for the first one, which measures" in said
    if says is None:
        assert (None, ["train_step"]) == (ended, gates)
    else:
        assert "crashed" == ended.kind
        assert says in ended.reason


@pytest.mark.full  # it waits for who is gone
def test_host_that_is_gone_costs_its_rows(
    follower: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing waits for it longer than its limit."""
    monkeypatch.setattr(ranks, "STEP_SECONDS", 2.0)
    results = list[Any]()

    def work() -> int:
        results.append(on_both(tmp_path, WORKER, "none"))
        follower.kill()
        results.append(on_both(tmp_path, WORKER, "none"))
        return 0

    assert hosts.lead(work) == 0
    assert (None, ["train_step"]) == results[0]
    assert "rank 1 of 2 has not answered" in results[1][0].reason


def test_command_of_one_of_several_hosts_says_where_all_meet() -> None:
    """Even of one rank: the others are elsewhere."""
    place = launch.Host(1, 2, "10.0.0.1", 29500)

    assert '[1, 2, "10.0.0.1", 29500]' == launch.command(WORKER, ranks=1, host=place)[-1]
    assert (True, True, False) == tuple(
        map(launch._is_loopback, ("127.0.0.1", "localhost", "10.0.0.1"))
    )
