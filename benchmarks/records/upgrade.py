"""Records of older schemas in the words of the present one."""

import re
from typing import Any

# Schemas 1 to 4: these workloads are of a series, and their number stands in the name.
SERIES = re.compile(r"(width|depth|cost)(\d{1,15})")


def case(data: dict[str, Any]) -> dict[str, Any]:
    """A case of schemas 1 to 4: a workload was a problem, and series stood in its name."""
    fields = {name: data[name] for name in data if name not in ("problem", "kernel")}
    problem = dict(data["problem"])
    name = problem.pop("workload")
    workload = {"kind": "mlp", "name": name, **problem}
    if isinstance(name, str) and (match := SERIES.fullmatch(name)):
        workload["series"] = {"name": match[1], "value": int(match[2])}
    return {"workload": workload, **fields}
