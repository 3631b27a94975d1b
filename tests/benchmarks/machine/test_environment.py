"""Facts about the machine are read, not typed, and what cannot be read is said to be unknown."""

import json
from pathlib import Path

import pytest

from samegrad.benchmarks.machine import checkout, system


def test_machine_is_described_in_strings_that_a_journal_can_hold() -> None:
    """Every fact has a value, "unknown" at worst."""
    facts = system.machine()

    assert facts == json.loads(json.dumps(facts))
    assert all(isinstance(value, str) and value for value in facts.values())
    assert {"cpu", "cores", "gpu", "versions", "commit", "load", "cpu_quota"} <= set(facts)


def test_fingerprint_depends_on_hardware_and_not_on_the_moment() -> None:
    """Load, commit and versions do not make another machine; a GPU does."""
    facts = system.machine()
    same = facts | {"load": "99 99 99", "commit": "other", "versions": "{}"}

    assert system.fingerprint(facts) == system.fingerprint(same)
    assert system.fingerprint(facts) != system.fingerprint(facts | {"gpu": "another"})


def test_commit_may_be_given_or_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A copy without history is told by SAMEGRAD_COMMIT, or says unknown; neither fails."""
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    monkeypatch.delenv("SAMEGRAD_COMMIT", raising=False)

    assert "unknown" == checkout.commit()
    monkeypatch.setenv("SAMEGRAD_COMMIT", "abc123")
    assert "abc123" == checkout.commit()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8000 * 1024),
        ({"memory.max": "max", "memory.current": "5", "memory.stat": ""}, 8000 * 1024),
        (
            {"memory.max": "3000000", "memory.current": "900000", "memory.stat": "anon 8\nfile 7"},
            2100000,
        ),
        (
            {
                "memory.max": "3000000",
                "memory.current": "2900000",
                "memory.stat": "file 9\ninactive_file 400000\n",
            },
            500000,
        ),
        ({"memory.max": "10", "memory.current": "20", "memory.stat": "unknown"}, 0),
        (
            {
                "memory/memory.limit_in_bytes": "4000000",
                "memory/memory.usage_in_bytes": "1000000",
                "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 500",
            },
            3000500,
        ),
        (
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": "1000000",
            },
            8000 * 1024,
        ),
    ],
)
def test_memory_is_what_machine_and_control_group_leave(
    files: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The less of both; files that the system may drop count as free, no limit as none."""
    texts = {f"/sys/fs/cgroup/{name}": text for name, text in files.items()}
    texts["/proc/meminfo"] = "MemTotal: 9000 kB\nMemAvailable: 8000 kB"
    monkeypatch.setattr(system, "text", lambda path: texts.get(path, system.UNKNOWN))

    assert expected == system.available_memory()


def test_memory_is_unknown_where_nothing_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system has no such files."""
    monkeypatch.setattr(system, "text", lambda _: system.UNKNOWN)

    assert system.available_memory() is None


def test_worker_gets_all_cores_unless_the_user_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One thread count for all libraries; what the user has set stays."""
    for variable in (*system.THREAD_VARIABLES, "JAX_PLATFORMS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    environment = system.worker_environment("cpu", tmp_path)

    cores = str(system.cores())
    assert ("1", cores, cores) == tuple(
        environment[v] for v in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")
    )
    assert "cpu" == environment["JAX_PLATFORMS"]
    assert "cuda,cpu" == system.worker_environment("cuda", tmp_path)["JAX_PLATFORMS"]
    assert "JAX_PLATFORMS" not in system.worker_environment(None, tmp_path)


def test_quota_is_read_in_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """150000 of 100000 microseconds are one and a half cores."""
    for text, quota in (("150000 100000", "1.5"), ("max 100000", "none"), ("unknown", "unknown")):
        monkeypatch.setattr(system, "text", lambda path, text=text: text)
        assert quota == system.cpu_quota()
