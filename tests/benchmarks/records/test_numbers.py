"""Every number of the committed example, recomputed from its journal by a script of its own.

Nothing of `benchmarks` or `reports` is used here: only the lines of the journal and arithmetic.
"""

import csv
import json
import math
import statistics
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest
from scipy import stats

from samegrad.benchmarks.machine.checkout import ROOT

EXAMPLE = ROOT / "reports" / "results" / "example"


def lines() -> list[dict[str, Any]]:
    """The journal."""
    return [json.loads(line) for line in (EXAMPLE / "journal.jsonl").read_text().splitlines()]


def key(case: dict[str, Any]) -> tuple[str, ...]:
    """A case as its line in the table names it."""
    problem = case["workload"]
    return (
        problem["name"],
        "-".join(map(str, problem["spec"]["layer_sizes"])),
        case["operation"],
        str(problem["batch_size"]),
        problem["spec"]["dtype"],
        case["implementation"],
    )


def table() -> dict[tuple[str, ...], dict[str, str]]:
    """results.csv by case."""
    names = ("workload", "layers", "operation", "batch_size", "dtype", "implementation")
    with (EXAMPLE / "results.csv").open() as file:
        return {tuple(row[name] for name in names): row for row in csv.DictReader(file)}


def test_every_number_of_the_example_follows_from_its_journal() -> None:
    """Time, interval, rate, ceiling, share, split, first call."""
    repetitions: dict[Any, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    extra: dict[Any, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    cases: dict[Any, Any] = {}
    best: dict[str, float] = {}
    times: dict[Any, float] = {}
    proved: dict[Any, float] = {}  # the fastest block of a case whose results were judged
    for record in lines():
        if record["record"] == "ceiling" and record["quantity"] in ("gemm", "peak"):
            dtype = record["arithmetic"]
            best[dtype] = max(best.get(dtype, 0.0), record["value"])
        if record["record"] == "proof":
            case = key(record["case"])
            time = times[case, record["process"], record["repetition"]]
            proved[case] = min(time, proved.get(case, math.inf))
        if record["record"] != "outcome" or record["status"] != "ok":
            continue
        case = key(record["case"])
        cases[case] = record["case"]["workload"]
        median = statistics.median(record["elapsed_ns"]) / record["calls"] / 1e9
        repetitions[case][record["process"]].append(median)
        times[case, record["process"], record["repetition"]] = median
        for name in ("products_ns", "empty_ns", "first_call_ns"):
            if record.get(name) is not None:
                extra[case][name].append(record[name] / 1e9)
    rows = table()
    numbered = {case for case, row in rows.items() if row["status"] == "ok"}
    assert numbered == set(repetitions) and len(numbered) > 100

    for case in numbered:
        row, problem = rows[case], cases[case]
        counted = ([v for v in vs if v >= proved[case]] for vs in repetitions[case].values())
        medians = [sorted(vs)[math.ceil(len(vs) / 10) - 1] for vs in counted if vs]
        logs = [math.log(value) for value in medians]
        seconds = math.exp(statistics.fmean(logs))
        assert float(row["seconds"]) == pytest.approx(seconds)
        half = stats.t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
        assert float(row["seconds_low"]) == pytest.approx(seconds * math.exp(-half))
        assert float(row["seconds_high"]) == pytest.approx(seconds * math.exp(half))
        sizes = problem["spec"]["layer_sizes"]
        weights = [a * b for a, b in pairwise(sizes)]
        epoch = case[2] == "epoch"
        examples = problem["examples"] if epoch else problem["batch_size"]
        flops = 2 * examples * sum(weights)
        if case[2] != "forward":
            flops += 4 * examples * sum(weights) - 2 * examples * weights[0]
        assert float(row["gflops_per_second"]) == pytest.approx(flops / seconds / 1e9)
        assert float(row["ceiling_gflops_per_second"]) == pytest.approx(best[case[4]] / 1e9)
        products, empty = (min(extra[case][name]) for name in ("products_ns", "empty_ns"))
        assert float(row["products_seconds"]) == pytest.approx(products)
        assert float(row["dispatch_seconds"]) == pytest.approx(empty)
        rest = max(0.0, seconds - products - empty)
        assert float(row["rest_seconds"]) == pytest.approx(rest, abs=1e-15)
        if epoch:  # its first call is that of a step
            assert "" == row["first_call_seconds"]
        else:
            first = extra[case]["first_call_ns"][0]
            assert float(row["first_call_seconds"]) == pytest.approx(first)


def test_sources_of_the_example_are_those_that_its_records_name() -> None:
    """The code is in the journal, once, and each record says by a hash which it was."""
    import hashlib

    records = lines()
    sources = {r["sha256"]: r for r in records if r["record"] == "source"}
    implementations = {r["name"]: r for r in records if r["record"] == "implementation"}
    for sha256, record in sources.items():
        assert sha256 == hashlib.sha256(record["text"].encode()).hexdigest()[:12]
    for record in records:
        if record["record"] == "outcome" and record["status"] == "ok":
            made = implementations[record["case"]["implementation"]]
            assert record["source_sha256"] == made["source_sha256"]
            assert set(made["files"].values()) <= set(sources)
