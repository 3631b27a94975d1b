"""What several ranks gain, from times that were made up: nothing guessed, nothing negative."""

import math
from typing import Any

import pandas as pd
import pytest

from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data import ranks


def row(count: int, batch: int, seconds: float, **changes: Any) -> dict[str, Any]:
    """A training step of so many ranks, with what it would take alone and to exchange."""
    same = dict.fromkeys(ranks.SAME, "")
    return same | {
        "implementation": "torch_ddp",
        "device": "cpu",
        "threads": "1",
        "ranks": count,
        "batch_size": batch,
        "status": OK,
        "seconds": seconds,
        "alone_seconds": math.nan,
        "exchange_seconds": math.nan,
    } | changes  # fmt: skip


def beside_one(*rows: dict[str, Any]) -> dict[str, Any]:
    """The only line of a table."""
    (line,) = ranks.scaling(pd.DataFrame.from_records(rows)).to_dict("records")
    return line


def test_efficiencies_are_against_one_rank_on_the_same_batch_and_on_its_share() -> None:
    """Two ranks: 8 ms become 5 where 4 would be ideal, and their share of 4 ms is 5 as well."""
    line = beside_one(row(1, 64, 8e-3), row(1, 32, 4e-3), row(2, 64, 5e-3))

    assert (2, 64, 5e-3) == (line["ranks"], line["batch_size"], line["seconds"])
    assert line["strong"] == pytest.approx(8 / (2 * 5))
    assert line["weak"] == pytest.approx(4 / 5)
    assert not any(map(pd.notna, (line["communication_seconds"], line["overlap"])))


@pytest.mark.parametrize(
    "other",
    [
        {"threads": "2"},
        {"implementation": "torch_fsdp"},
        {"source": "another machine"},
        {"dtype": "float64"},
        {"status": "noisy run"},
    ],
)
def test_rows_of_another_case_are_no_measure(other: dict[str, Any]) -> None:
    """Nor what failed; a batch that the ranks do not divide has no share."""
    line = beside_one(row(1, 64, 8e-3, **other), row(1, 32, 4e-3, **other), row(2, 64, 5e-3))
    odd = beside_one(row(1, 16, 2e-3), row(2, 33, 5e-3))

    assert [True] * 4 == [pd.isna(one[name]) for one in (line, odd) for name in ("strong", "weak")]


@pytest.mark.parametrize(
    ("seconds", "waits", "overlap"),
    [(5e-3, 2e-3, 0.0), (3.5e-3, 0.5e-3, 0.75), (2.9e-3, 0.0, 1.0), (9e-3, 6e-3, 0.0)],
)
def test_exchange_is_hidden_as_far_as_the_step_is_no_longer(
    seconds: float, waits: float, overlap: float
) -> None:
    """3 ms alone, 2 ms to exchange: 5 ms hide nothing, less than alone is no negative wait."""
    line = beside_one(row(2, 64, seconds, alone_seconds=3e-3, exchange_seconds=2e-3))

    assert line["communication_seconds"] == pytest.approx(waits)
    assert line["overlap"] == pytest.approx(overlap)


def test_exchange_of_no_time_hides_nothing() -> None:
    """There is no share of it."""
    line = beside_one(row(2, 64, 5e-3, alone_seconds=3e-3, exchange_seconds=0.0))

    assert line["communication_seconds"] == pytest.approx(2e-3) and pd.isna(line["overlap"])


def test_runs_without_ranks_have_no_table() -> None:
    """Of before there were any, of one rank, and of several that failed."""
    old = pd.DataFrame.from_records([row(1, 64, 8e-3)])

    assert ranks.scaling(old.drop(columns="ranks")).empty
    assert ranks.scaling(old).empty
    assert ranks.scaling(pd.DataFrame.from_records([row(2, 64, 8e-3, status="crashed")])).empty
    assert [] == [*ranks.sharing(old.drop(columns="ranks"), 2), *ranks.sharing(old, 2)]


@pytest.mark.parametrize(
    ("count", "threads", "cores", "shared"),
    [
        (2, "1", 2, ""),
        (4, "1", 2, "4 ranks of 1 cores share 2"),
        (2, "2", 2, "2 ranks of 2 cores share 2"),
        (4, "all", 2, "4 ranks of 1 cores share 2"),
        (2, "all", 4, ""),
    ],
)
def test_ranks_that_share_cores_say_so(count: int, threads: str, cores: int, shared: str) -> None:
    """And all of a CPU share its memory; those of GPUs say nothing."""
    rows = pd.DataFrame.from_records([row(count, 64, 8e-3, threads=threads)])

    *first, last = ranks.sharing(rows, cores)

    assert [shared] == [text.partition(":")[0] for text in first] or (not shared and not first)
    assert last.startswith("The ranks of a CPU share its memory")
    assert [] == list(ranks.sharing(rows.assign(device="cuda"), cores))


def test_ranks_of_several_hosts_share_the_cores_of_theirs() -> None:
    """And memory, if there are several on one."""
    rows = pd.DataFrame.from_records([row(4, 64, 8e-3, threads="1")])

    spread = list(ranks.sharing(rows, 2, hosts=2))
    many = list(ranks.sharing(rows, 1, hosts=2))

    assert ["2 hosts share the ranks", "The ranks of a CPU"] == [
        " ".join(text.split()[:n]) for text, n in zip(spread, (5, 5), strict=True)
    ]
    assert "2 ranks of 1 cores share 1: their times say" in many[0]
    (alone,) = ranks.sharing(rows.assign(ranks=2), 2, hosts=2)
    assert alone.endswith("watched on that one alone.")
