"""Records of older schemas in the words of the present one.

The reader calls `record` before it checks a record of schemas 1 to 4, and everything after it knows
the present words only. Those schemas differ from each other in what was added to them.
"""

import re
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.records.schema import NUMBER, TEXT, Record
from samegrad.implementations.contract.texts import an

PRESENT_WORDS = 5  # the schema that began to use them
# These workloads are of a series, and their number stands in the name.
SERIES = re.compile(r"(width|depth|cost)(\d{1,15})")
KINDS = {"plan": "cases", "replan": "processes", "pace": "cpu_speed"}
FIELDS = {
    "inputs": {"problem": "workload"},
    "outcome": {"visit": "repetition", "parts_spent_ns": "breakdown_spent_ns"},
}
SETTINGS = {"visited_seconds": "short_call_seconds"}  # of a run
GONE = {  # fields that nothing reads any more; what is wrong in them still spoils their record
    "plan": {"block_seconds": NUMBER},
    "replan": {"block_seconds": NUMBER},
    "outcome": {"cpu_ns": NUMBER},
    "ceiling": {"kernel": TEXT},
}


def case(data: Record) -> Record:
    """A case of any schema: a workload was a problem, and its series stood in its name."""
    if "problem" not in data:
        return data
    fields = {name: data[name] for name in data if name not in ("problem", "kernel")}
    problem = {**data["problem"]}  # which a list of pairs is not
    name = problem.pop("workload")
    workload = {"kind": "mlp", "name": name, **problem}
    if isinstance(name, str) and (match := SERIES.fullmatch(name)):
        workload["series"] = {"name": match[1], "value": int(match[2])}
    return {"workload": workload, **fields}


def record(data: Any) -> Any:
    """A record of schemas 1 to 4 in the present words; its cases are left to `case`.

    Args:
        data: what a line of the journal holds; it is changed.

    Raises:
        ValueError: its kind came later, or a field that is gone is wrong.
    """
    kind = data.get("record") if isinstance(data, dict) else None
    if not isinstance(kind, str):
        return data
    if kind in KINDS.values():
        raise ValueError(f"record {kind!r} is not known")
    for name, form in GONE.get(kind, {}).items():
        value = data.pop(name, None) if name != "kernel" else data.get(name)
        if value is not None and not form.holds(value):
            raise ValueError(f"{kind}: {name} must be {an(form.name)}, not {value!r:.60}")
    data["record"] = KINDS.get(kind, kind)
    for old, new in FIELDS.get(kind, {}).items():
        if old in data:
            data[new] = data.pop(old)
    if kind == "run" and isinstance(data.get("settings"), dict):
        data["settings"] = {SETTINGS.get(k, k): v for k, v in data["settings"].items()}
    return data


def without_other_kernels(data: Record, left_out: set[tuple[str, str]]) -> Record | None:
    """A checked record without rows of NumPy with other OpenBLAS kernels (schemas 2 to 4).

    Args:
        left_out: receives (case id, core type) of those rows.

    Returns:
        The record, or None where it is of such a row itself.

    Raises:
        ValueError, KeyError, TypeError: a case in it is none.
    """
    if data["record"] == "ceiling" and data.get("kernel"):
        return None
    if data["record"] == "cases":
        return {**data, "cases": [one for one in data["cases"] if not _tuned(one, left_out)]}
    return None if "case" in data and _tuned(data["case"], left_out) else data


def _tuned(data: Record, left_out: set[tuple[str, str]]) -> bool:
    kernel = data.get("kernel", "")
    if not isinstance(kernel, str):
        raise ValueError("a case's names must be texts")
    if not kernel:
        return False
    left_out.add((Case.from_dict(case(data)).id, kernel))
    return True
