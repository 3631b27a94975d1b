"""The saboteurs of `selftest` whose refusal does not depend on timing, and the command itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from samegrad import cli as command
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.doctor import doctor
from samegrad.benchmarks.selftest import checks, saboteurs, selftest
from samegrad.benchmarks.selftest.saboteurs import SABOTEURS
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import MODEL

BY_TIME = (
    *("second_pool", "helper_process", "slow_clock", "forged_times"),
    *("unsynchronised", "unsynchronised_cuda"),
)
NAMES = [name for name in SABOTEURS if name not in BY_TIME]


@pytest.mark.parametrize("name", [n for n, s in SABOTEURS.items() if s.over == "numpy"])
def test_saboteur_is_an_implementation_by_its_name(name: str) -> None:
    """As anybody's object of a module, with everything but one function from its network."""
    implementation = registry.load(f"{saboteurs.__name__}:{name}")
    network: Any = registry.load("numpy").model

    replaced = {f for f in MODEL if getattr(implementation, f) is not getattr(network, f)}

    assert {SABOTEURS[name].operation} == replaced
    assert network.BACKEND is implementation.backend
    assert "saboteurs.py" == Path(str(implementation.file)).name


def test_saboteurs_have_no_number_and_the_right_reason() -> None:
    """Each in a process of its own; an honest row among them survives."""
    cases = []
    for name in NAMES:
        saboteur = SABOTEURS[name]
        if not registry.why_not_installed(saboteur.over):
            cases.append(Case(saboteur.workload, saboteur.operation, name))

    rows = selftest.measure([*cases, Case(saboteurs.SMALL, "loss_and_grad", "numpy")], 1)

    assert "ok" == rows.pop("numpy").status
    for name, row in rows.items():
        saboteur = SABOTEURS[name]
        check = checks.refused(name, row.status, row.reason, (saboteur.status, saboteur.reason))
        assert check.passed, check
        assert row.median_seconds is None


def test_selftest_counts_its_checks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1 as soon as one fails."""
    done = [
        checks.Check("a", "5 %", "1 %", True),
        checks.Check("b", "5 %", "no GPU", None),
    ]
    monkeypatch.setattr(selftest, "run", lambda say, device, only: done)

    assert 0 == command.main(["selftest"])
    assert "1 of 1 checks passed; 1 could not be tried here." in capsys.readouterr().out
    done.append(checks.Check("interference: x", "3 %", "9 %", False))
    assert 1 == command.main(["selftest"])
    assert "The machine was not quiet" in capsys.readouterr().out
    assert 1 == command.main(["selftest", "--json"])
    assert ["a", "b", "interference: x"] == [
        check["what"] for check in json.loads(capsys.readouterr().out)
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["selftest", "--quick"],
        ["selftest", "--only", "speed"],
        ["doctor", "now"],
        ["selftest", "--device", "tpu"],
        ["operate"],
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, nothing measured."""
    assert 2 == command.main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert ": error: " in line and arguments[-1] in line


@pytest.mark.parametrize(("name", "status"), [("nothing_wrong", 0), ("quota_below_cores", 1)])
def test_doctor_ends_with_1_if_something_is_wrong(
    name: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words and as JSON."""
    facts = json.loads(
        (Path(__file__).parents[1] / "doctor" / "machines" / f"{name}.json").read_text()
    )
    monkeypatch.setattr(doctor, "gather", lambda _: facts)

    assert status == command.main(["doctor"])
    assert ("PROBLEM" in capsys.readouterr().out) == bool(status)
    assert status == command.main(["doctor", "--json"])
    assert facts == json.loads(capsys.readouterr().out)["facts"]


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """As Markdown."""
    assert 0 == command.main(["schema"])
    assert capsys.readouterr().out.startswith("# The journal")
