"""Journals that agree with themselves, and archives of many simulated machines.

python -m tests.helpers.archives FOLDER --machines 10000 --runs 1

writes a summary for each run: 177 rows of the published runs (of `example`, then of `peers`)
with other values. A machine has a speed, each implementation on it another; processes differ by
2 %; of the later half of a machine's runs every tenth case is 20 % slower.
"""

import argparse
import json
import math
import random
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.clock.intervals import interval
from samegrad.benchmarks.machine import checkout, system
from samegrad.benchmarks.records.journal import read
from samegrad.reports.archive import form
from samegrad.reports.archive import summary as summaries
from samegrad.reports.archive.checking import digest
from samegrad.reports.archive.summary import Summary
from tests.helpers.journals import CASE, ok, plan_record, run_record, write

ROWS = 177
RESULTS = checkout.ROOT / "reports" / "results"
TEXT = "x = 1\n"
FACTS = {
    "cpu": "Test CPU", "cores": "2", "memory_gib": "8", "architecture": "x86_64", "gpu": "none",
    "system": "Linux 6", "python": "3.11.7", "commit": "abc", "versions": '{"numpy": "2.4.6"}',
}  # fmt: skip
CASES = (CASE, replace(CASE, implementation="jax"), replace(CASE, operation="forward"))


def records(
    name: str = "r1", day: int = 1, times: float = 1.0, cases: tuple[Case, ...] = CASES,
    text: str = TEXT, **facts: str,
) -> list[dict[str, Any]]:  # fmt: skip
    """A run that is fit to be published: five processes that differ by a percent each."""
    machine = FACTS | facts
    started = f"2026-01-{day:02}T00:00:00+00:00"
    about = run_record(
        run=name, started=started, machine=machine, fingerprint=system.fingerprint(machine)
    )
    code = {"files": {"a.py": digest(text)}, "source_sha256": digest(text), "kind": "idiom"}
    lines = [about, {"record": "source", "path": "a.py", "sha256": digest(text), "text": text}]
    for one in dict.fromkeys(case.implementation for case in cases):
        known = {"record": "implementation", "name": one, "device": "cpu", "status": "ok"}
        lines.append(known | {"reason": ""} | code)
    workloads = dict.fromkeys(case.workload.id for case in cases)
    lines += [{"record": "inputs", "workload": one, "sha256": "1" * 12} for one in workloads]
    lines.append(plan_record(*cases))
    hashes = {"source_sha256": digest(text), "inputs_sha256": "1" * 12}
    for number, case in enumerate(cases, start=1):
        for process in range(5):
            elapsed = round(100_000 * number * times * (1 + process / 100))
            lines.append(ok(process, elapsed, case, **hashes))
    return [*lines, {"record": "run_complete"}]


def journal(folder: Path, *lines: dict[str, Any], **about: Any) -> Path:
    """The journal of such a run, or of other records."""
    folder.mkdir(parents=True, exist_ok=True)
    return write(folder / "journal.jsonl", *(lines or records(**about)))


def rewritten(part: Path, content: Any) -> Path:
    """A part with something else in it, a table or bytes, under the name that goes with that."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from samegrad.reports.archive import files

    data = content
    if not isinstance(content, bytes):
        sink = pa.BufferOutputStream()
        pq.write_table(content, sink)
        data = sink.getvalue()
    part.unlink()
    return files.named_by_hash(part.parent, data, part.name[5:21])


@lru_cache(maxsize=2)
def template(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of real runs."""
    made = []
    for name in names:
        path = RESULTS / name / "journal.jsonl"
        made += summaries.summary(read(path), summaries.content(path)).rows
    return list({row["case_id"]: row for row in made}.values())[:ROWS]


def simulated(
    machine: int, run: int, runs: int, rows: int = 20, names: tuple[str, ...] = ("peers",)
) -> Summary:
    """One run of many, with so many of the rows of some published runs."""
    own, chance = random.Random(machine), random.Random(f"{machine} {run}")
    marks = random.Random(f"{machine} {run} beginnings")
    maker, model = (
        own.choice(("AMD EPYC", "Intel Xeon", "Apple M", "Ampere Altra")),
        own.randint(1, 99),
    )
    cores, speed = 2 ** own.randint(1, 6), math.exp(own.gauss(0, 0.4))
    facts = {
        "cpu": f"{maker} {model}", "cores": str(cores), "memory_gib": str(4 * cores),
        "architecture": "x86_64", "gpu": "none", "system": f"Linux 6.{machine % 10}.{machine}",
    }  # fmt: skip
    fingerprint = system.fingerprint(facts)
    month = machine % 24 + run
    ident = f"{machine:08x}{run:08x}"
    about = {
        "run_id": ident, "journal_bytes": 17_000_000 + run, "journal_sha256": f"{ident:0>64}",
        "beginnings": " ".join(["524288", *(f"{marks.getrandbits(32):08x}" for _ in range(32))]),
        "form": form.FORM, "run": f"run{run}", "complete": True, "preset": "standard",
        "started": f"{2024 + month // 12}-{1 + month % 12:02}-{1 + machine % 28:02}T00:00:00+00:00",
        "commit": f"{0xABC000 + month:012x}", "fingerprint": fingerprint, "cores": cores,
        "machine": f"{facts['cpu']}, {cores} cores [{fingerprint[:4]}]", "cpu": facts["cpu"],
        "gpu": "none", "system": facts["system"], "architecture": "x86_64", "python": "3.12.1",
        "versions": json.dumps({"numpy": f"2.{month % 6}.0", "torch": "2.13.0"}),
        "machine_too_busy": False, "cpu_speed_ns": None, "cpu_speed_work": "",
    }  # fmt: skip
    factors = {name: math.exp(own.gauss(0, 0.1)) for name in ("numpy", "torch", "jax", "scalar")}
    made = []
    for place, row in enumerate(template(names)[:rows]):
        row = {**row}
        if row["status"] == "ok":
            step = 1.2 if place % 10 == 0 and 2 * run >= runs > 1 else 1.0
            before, least = row["seconds"], row["limit_seconds"]
            value = before * speed * step * factors.get(row["implementation"], 1.0)
            values = [float(f"{value * math.exp(chance.gauss(0, 0.02)):.6g}") for _ in range(5)]
            low, high = interval(values)
            row |= {"seconds": geometric_mean(values), "seconds_low": low, "seconds_high": high}
            row |= {"process_seconds": values, "processes": 5}
            if least is not None:
                row["limit_seconds"] = least * value / before  # as far from it as before
        made.append(row)
    return Summary(about, made)


def write_simulated(folder: Path, machines: int, runs: int, **options: Any) -> None:
    """A summary for each run of each machine, each in a folder of its own."""
    for machine in range(machines):
        for run in range(runs):
            own = folder / f"{machine // 1000:03}" / f"{machine:06}-{run}"
            own.mkdir(parents=True)
            summaries.write(simulated(machine, run, runs, **options), own / summaries.NAME)


def main() -> None:
    """As the documentation above says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--machines", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    names = ("example", "peers")
    write_simulated(arguments.folder, arguments.machines, arguments.runs, rows=ROWS, names=names)


if __name__ == "__main__":
    main()
