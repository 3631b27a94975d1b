"""Many journals of many rows, to see what a report of them costs.

python -m tests.helpers.many_journals FOLDER --journals 1000 --rows 500 --processes 5
python -m samegrad render FOLDER --output REPORT
"""

import argparse
import json
import math
import random
from dataclasses import replace
from pathlib import Path

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.journals import run_record

NAMES = ("scalar", "numpy", "torch", "jax")
OPERATIONS = ("forward", "loss_and_grad", "train_step", "epoch")


def planned(rows: int) -> list[Case]:
    """Cases of four implementations, four operations, and as many batch sizes as it takes."""
    cases = []
    for number in range(rows):
        name, operation = NAMES[number % 4], OPERATIONS[number // 4 % 4]
        problem = MLPWorkload("digits", MLPSpec((64, 32, 10)), 1 + number // 16, 1437)
        cases.append(Case(problem, operation, name))
    return cases


def write(folder: Path, number: int, rows: int, processes: int, blocks: int = 9) -> Path:
    """One run of many: noise of 2 %; from the middle on, every tenth case is 20 % slower."""
    chance = random.Random(number)
    path = folder / f"run{number:04}" / "journal.jsonl"
    path.parent.mkdir(parents=True)
    some = planned(rows)
    day = f"2026-{1 + number // 28 % 12:02}-{1 + number % 28:02}T{number // 336:02}:00:00+00:00"
    about = run_record(run=path.parent.name, started=day)
    about["machine"] |= {"commit": f"{number:040x}"}
    lines = [json.dumps(about)]
    plan = {"record": "cases", "cases": [case.to_dict() for case in some]}
    lines.append(json.dumps(plan | {"processes": processes}))
    for place, case in enumerate(some):
        text = json.dumps(replace(case).to_dict())
        level = 5e4 * (1 + place % 97) * (1.2 if place % 10 == 0 and number % 1000 >= 500 else 1)
        for process in range(processes):
            base = level * math.exp(chance.gauss(0, 0.02))
            elapsed = [round(base * (1 + 0.01 * chance.random())) for _ in range(blocks)]
            lines.append(
                f'{{"record": "outcome", "case": {text}, "status": "ok", "reason": "", '
                f'"calls": 1, "elapsed_ns": {elapsed}, "process": {process}, "repetition": 0, '
                '"source_sha256": "aa", "inputs_sha256": "ii", "first_call_ns": 5000, '
                '"gate": {"name": "dW1", "error": 1e-7, "bound": 1e-5}}'
            )
    lines.append('{"record": "run_complete"}')
    path.write_text("\n".join(lines) + "\n")
    return path


def main() -> None:
    """As the documentation above says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name, default in (("journals", 1000), ("rows", 500), ("processes", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    for number in range(arguments.journals):
        write(arguments.folder, number, arguments.rows, arguments.processes)


if __name__ == "__main__":
    main()
