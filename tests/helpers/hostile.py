"""Texts that act on what shows them, in every field of a journal."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.helpers.journals import ok, plan_record, run_record, write
from tests.helpers.reports import COMPLETE, CUDA, NUMPY, SCALAR, TORCH, ours, several

# What a browser would run or ask for; ADDRESS is replaced by a server's that counts.
RUNS = "document.title='owned';alert(1)"
MARKUP = (
    f'<img src="ADDRESS/i" onerror="{RUNS}"><svg onload="{RUNS}"><script>{RUNS}</script>'
    f"</script></title></style><script>{RUNS}</script><iframe src=ADDRESS/f></iframe>"
    f'<link rel=stylesheet href=ADDRESS/c><a href="javascript:{RUNS}">a</a>'
    f"\"'` onmouseover={RUNS} x=&lt;img src=x onerror={RUNS}&gt; ]]> -->"
)
TEXTS = {
    "markup": MARKUP,
    "escapes": "\x1b]0;owned\x07\x1b[2J\x9b31m\x00\x08\x7f\u202eevil\u2028",
    "carriage return": '\r=cmd|\' /C calc\'!A0\r\n"=1+1",\n=HYPERLINK("ADDRESS")',
    "spaces": " \t@SUM(1)",
    "surrogates": "caf\udce9 \ud800 \udfff\ud83d",
    "template": "{{ made }} {% raw %} ${7*7} $\\frac{1}{0$ | a |\n## heading\n```",
    "path": f"../../../..{tempfile.gettempdir()}/owned",
}
TEXTS["all"] = f"{tempfile.gettempdir()}/owned" + "".join(TEXTS.values())
# Fields whose words are the schema's own: of anything else a record would be left out.
WORDS = {
    "record", "status", "kind", "operation", "dtype", "transfer", "precision", "arithmetic",
    "quantity", "activation", "output_activation", "loss", "optimizer", "sha256", "text",
    "files",
}  # fmt: skip
NAMES = {"implementation", "device", "threads", "task"}


def poisoned(record: Any, text: str, kept: set[str], field: str = "") -> Any:
    """A record with a text at the end of every text in it, but in some fields; begins with it."""
    if isinstance(record, dict):
        return {
            name: value if name in kept else poisoned(value, text, kept, name)
            for name, value in record.items()
        }
    if isinstance(record, list):
        return [poisoned(value, text, kept, field) for value in record]
    return f"{text}{record}{text}" if isinstance(record, str) else record


def records() -> list[dict[str, Any]]:
    """One of every kind that a report shows."""
    end_to_end = replace(CUDA, transfer="end_to_end")
    wrong = replace(NUMPY, operation="epoch")
    one = replace(TORCH, threads="1")
    planned = (SCALAR, NUMPY, TORCH, CUDA, end_to_end, wrong, one)
    machine = {"cpu": "CPU", "cores": "2", "gpu": "GPU, 1", "commit": "c", "cpu_caches": "L1 32K"}
    texts = ours("numpy", "scalar")
    lines: list[dict[str, Any]] = [
        run_record(
            machine=machine, started="2026-01-01T00:00:00+00:00", options={"layers": "3-2"},
            command="samegrad benchmark", settings={},
        )
    ]  # fmt: skip
    for number, (name, source) in enumerate(texts.items()):
        sha, path = f"{number:012x}", f"implementations/mlp_{name}.py"
        lines.append({"record": "source", "path": path, "sha256": sha, "text": source})
        lines.append(
            {"record": "implementation", "name": name, "device": "cpu", "status": "ok",
             "reason": "r", "facts": {"fact": "f"}, "files": {path: sha}, "versions": {"v": "1"},
             "python": "3.12", "kind": "idiom", "base": "scalar"}
        )  # fmt: skip
    lines += [
        plan_record(*planned),
        {"record": "inputs", "workload": "digits", "sha256": "ab", "seconds": 1.0},
        {"record": "cpu_speed", "process": 0, "work": "w", "elapsed_ns": 5},
        {"record": "memory", "case": NUMPY.to_dict(), "status": "ok", "reason": "",
         "host_bytes": 9},
        {"record": "parity", "task": "digits", "implementation": "numpy", "optimizer": "sgd",
         "losses": [1.0, 0.5]},
        {"record": "picture", "task": "mnist", "name": "p", "arrays": {"a": [[1.0]]}},
    ]  # fmt: skip
    for quantity, value in (("gemm", 1e11), ("bandwidth", 1e10), ("launch", 1e-6)):
        lines.append(
            {"record": "ceiling", "quantity": quantity, "implementation": "numpy", "device": "cpu",
             "threads": "all", "arithmetic": "float64", "value": value, "process": 0}
        )  # fmt: skip
    for number, case in enumerate(planned):
        if case is wrong:
            outcome = {"record": "outcome", "case": case.to_dict(), "status": "crashed"}
            lines.append(outcome | {"reason": "it raises ValueError"})
        else:
            lines += several(case, 50.0 * (number + 1))
    quality = {"quality": {"digits": 3.0}, "gate": {"name": "dW1", "error": 1e-7, "bound": 1e-5}}
    return [*lines, ok(7, 5000, NUMPY, **quality), COMPLETE]


def journal(path: Path, text: str, names: bool = True) -> Path:
    """A journal with a text in every field; else in all but those by which rows are grouped."""
    kept = WORDS if names else WORDS | NAMES
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, *(poisoned(record, text, kept) for record in records()))
