"""Journals of a laptop, a server and others, and the reports made of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases import presets
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records.journal import read
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.data.report import Report, report
from tests.helpers.journals import ok, plan_record, run_record, write

F64 = MLPWorkload("digits", MLPSpec((64, 32, 10), dtype="float64"), 32, 1437)
SCALAR = Case(F64, "train_step", "scalar")
NUMPY = Case(F64, "train_step", "numpy")
CUDA = Case(F64, "train_step", "torch", "cuda")
TORCH = Case(F64, "train_step", "torch")
JAX = Case(F64, "train_step", "jax")
COMPLETE = {"record": "run_complete"}


def report_of(*paths: Path) -> Report:
    """The data of the report of some journals."""
    return report([read(path) for path in paths])


def several(case: Case, microseconds: float, processes: int = 5) -> list[dict[str, Any]]:
    """Outcomes of some processes that differ by a few percent."""
    return [ok(p, round(microseconds * 1000 * (1 + p / 100)), case) for p in range(processes)]


def unusable(case: Case, microseconds: float) -> list[dict[str, Any]]:
    """Outcomes of five processes of which each takes three times as long as the one before."""
    return [ok(p, round(microseconds * 1000 * 3**p), case) for p in range(5)]


def without_number(case: Case, status: str, reason: str) -> dict[str, Any]:
    """The outcome of a case that has none."""
    record = {"record": "outcome", "case": case.to_dict()}
    return record | {"status": status, "reason": reason}


def laptop(path: Path) -> Path:
    """CPU rows, with one failure and one skip."""
    skipped = replace(SCALAR, operation="epoch")
    wrong = replace(NUMPY, operation="epoch")
    return write(
        path,
        run_record(),
        plan_record(SCALAR, NUMPY, TORCH, skipped, wrong),
        *several(SCALAR, 6000),
        *several(NUMPY, 100),
        *several(TORCH, 300),
        without_number(skipped, "skipped", "predicted 42 s a process (limit 10 s)"),
        without_number(wrong, "wrong", "dW1: error 0.001"),
        COMPLETE,
    )


def server(path: Path) -> Path:
    """GPU rows of another machine."""
    machine = run_record()["machine"] | {"cpu": "Server CPU", "gpu": "NVIDIA Test 9000, 580"}
    end_to_end = replace(CUDA, transfer="end_to_end")
    return write(
        path,
        run_record(machine=machine, fingerprint="beef", run="r2"),
        plan_record(CUDA, end_to_end),
        *several(CUDA, 10),
        *several(end_to_end, 60),
        COMPLETE,
    )


def cost_series(path: Path) -> Path:
    """Two ways to differentiate, one of which has no number for the larger network."""
    records: list[dict[str, Any]] = []
    planned = []
    for units, slow in ((2, 300), (8, 1080)):
        network = presets.cost(units)
        workload = MLPWorkload(
            network.name, replace(network.spec, dtype="float64"), 8, 8, network.series
        )
        for name, microseconds in (("numpy", 40), ("dual", slow * 10)):
            forward = Case(workload, "forward", name)
            gradient = replace(forward, operation="loss_and_grad")
            planned += [forward, gradient]
            records += several(forward, 10)
            if name == "dual" and units == 8:
                records.append(without_number(gradient, "skipped", "predicted 42 s a process"))
            else:
                records += several(gradient, microseconds)
    return write(path, run_record(), plan_record(*planned), *records, COMPLETE)


def sourced(path: Path, texts: dict[str, str]) -> Path:
    """A journal that holds the sources of its implementations."""
    records: list[dict[str, Any]] = []
    for number, (name, text) in enumerate(texts.items()):
        sha = f"{number:012x}"
        file = f"implementations/mlp_{name}.py"
        records.append({"record": "source", "path": file, "sha256": sha, "text": text})
        records.append(
            {"record": "implementation", "name": name, "device": "cpu", "status": "ok",
             "reason": "", "files": {file: sha}}
        )  # fmt: skip
    planned = [replace(NUMPY, implementation=name) for name in texts]
    outcomes = [o for i, c in enumerate(planned) for o in several(c, 100.0 * (i + 1))]
    return write(path, run_record(), *records, plan_record(*planned), *outcomes, COMPLETE)


def ours(*names: str) -> dict[str, str]:
    """The sources of this checkout."""
    return {n: (ROOT / "implementations" / f"mlp_{n}.py").read_text() for n in names}


def without_scripts(page: Path) -> str:
    """A page without the script of ours, in whose text anything may stand."""
    text = page.read_text()
    script = (ROOT / "reports" / "document" / "page.js").read_text()
    assert 1 == text.count(script)
    return text.replace(script, "")
