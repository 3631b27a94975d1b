"""Records of a journal, and journals made of them."""

import json
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.records.schema import SCHEMA
from samegrad.implementations.contract.spec import MLPSpec

PROBLEM = MLPWorkload("digits", MLPSpec((64, 32, 10)), 32, 1437)
CASE = Case(PROBLEM, "train_step", "numpy")


def run_record(**changes: Any) -> dict[str, Any]:
    """A journal's first line."""
    machine = {"cpu": "Test CPU", "cores": "2", "gpu": "none", "commit": "abc"}
    record = {
        "record": "run",
        "schema": SCHEMA,
        "run": "r1",
        "machine": machine,
        "fingerprint": "f00d",
    }
    return record | {"intervals": True, "preset": "standard", "command": "pytest"} | changes


def ok(process: int, elapsed_ns: int = 1000, case: Case = CASE, **changes: Any) -> dict[str, Any]:
    """An outcome with a number."""
    return {
        "record": "outcome",
        "case": case.to_dict(),
        "process": process,
        "status": "ok",
        "reason": "",
        "calls": 10,
        "elapsed_ns": [elapsed_ns * 10] * 3,
        "residual_ns": [0] * 3,
        "event_ns": [],
        "first_call_ns": 5000,
        "gate": {"name": "dW1", "error": 1e-7, "bound": 1e-5},
        **changes,
    }


def plan_record(*planned: Case) -> dict[str, Any]:
    """The list of cases."""
    return {"record": "cases", "cases": [c.to_dict() for c in planned], "processes": 2}


def write(path: Path, *records: dict[str, Any], tail: str = "") -> Path:
    """A journal with these records, and perhaps half a line."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)
    return path


def old_case(case: Case, **changes: Any) -> dict[str, Any]:
    """A case as schemas 1 to 4 have it."""
    fields = case.to_dict()
    workload = fields.pop("workload")
    names = ("spec", "batch_size", "examples")
    problem = {"workload": workload["name"], **{name: workload[name] for name in names}}
    return {"problem": problem, **fields, **changes}


def old_record(record: dict[str, Any]) -> dict[str, Any]:
    """A record as schema 4 has it, in the words of that time."""
    words = {"cases": "plan", "processes": "replan", "cpu_speed": "pace"}
    fields = {
        "inputs": {"workload": "problem"},
        "outcome": {"repetition": "visit", "breakdown_spent_ns": "parts_spent_ns"},
    }
    kind = record["record"]
    renamed = fields.get(kind, {})
    old = {renamed.get(name, name): value for name, value in record.items()}
    old["record"] = words.get(kind, kind)
    if kind == "run":
        old["schema"] = 4
    if kind == "cases":
        old["cases"] = [old_case(Case.from_dict(case)) for case in record["cases"]]
    if kind in ("outcome", "memory"):
        old["case"] = old_case(Case.from_dict(record["case"]))
    return old
