"""The form of a journal's records: one table, by which they are checked and documented.

`python -m samegrad schema` prints the table as Markdown; JOURNAL.md is its output.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SCHEMA = 5
OK = "ok"
NO_NUMBER = ("skipped", "unavailable")  # said with a reason; not a failure
FAILED = ("wrong", "rejected", "not_converged", "timeout", "out_of_memory", "crashed")
STATUSES = (OK, *NO_NUMBER, *FAILED)

MOST = 2.0**63  # a number from there on, infinity or NaN is no measurement

Record = dict[str, Any]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def _positive(value: Any) -> bool:
    return type(value) is int and 0 < value < MOST


def _durations(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_positive, value))


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_count, value))


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_number, value))


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(map(_object, value))


def _gate(value: Any) -> bool:
    if not _object(value) or not _text(value.get("name")):
        return False
    return _number(value.get("error")) and _number(value.get("bound")) and value["bound"] > 0


def _status(value: Any) -> bool:
    return value in STATUSES


FORMS: dict[Callable[[Any], bool], str] = {
    _text: "text",
    _number: "number",
    _count: "whole number",
    _positive: "positive whole number",
    _durations: "list of positive whole numbers",
    _counts: "list of whole numbers",
    _numbers: "list of numbers",
    _texts: "list of texts",
    _object: "object",
    _objects: "list of objects",
    _gate: "object with error and bound",
    _status: "one of the statuses",
}


@dataclass(frozen=True)
class Field:
    """One field of a record.

    Attributes:
        form: what its value must satisfy.
        meaning: in words, with its unit.
        since: the schema that introduced it; older journals lack it.
        optional: whether a record may lack it.
    """

    form: Callable[[Any], bool]
    meaning: str
    since: int = 1
    optional: bool = False


def _maybe(form: Callable[[Any], bool], meaning: str, since: int = 1) -> Field:
    return Field(form, meaning, since, optional=True)


MEANING = {
    "run": "the first line: what ran where",
    "implementation": "what the probe of one implementation found, per device",
    "source": "one source file, once per journal",
    "plan": "every case of the run, and how often it is measured",
    "replan": "how many processes the time suffices for, after each round",
    "inputs": "the weights and examples of one problem",
    "ceiling": "what the machine or a library can do at most; the maximum of all counts",
    "pace": "how fast the machine itself was at the end of a process's turn",
    "outcome": "one visit to a case in one process",
    "memory": "the peak memory of one case, in a process of its own",
    "parity": "the losses of the first steps of a task, in float64, by one rule",
    "picture": "what is drawn of one trained network",
    "retry": "cases whose failures before this line no longer count",
    "resumed": "the run went on in another session",
    "run_complete": "the last line; without it the run is partial",
}
RECORDS: dict[str, dict[str, Field]] = {
    "run": {
        "schema": Field(_positive, "version of this table"),
        "run": Field(_text, "name of the run's directory"),
        "started": _maybe(_text, "ISO 8601, UTC"),
        "machine": Field(_object, 'facts about machine, system and commit; "unknown" where so'),
        "fingerprint": Field(_text, "hash of the facts that make two machines different ones"),
        "preset": _maybe(_text, "the list of cases"),
        "intervals": _maybe(lambda v: isinstance(v, bool), "whether there are enough processes"),
        "command": _maybe(_text, "what the user typed"),
        "options": _maybe(_object, "the options as given, for --resume", 2),
        "settings": _maybe(_object, "limits and seed of the run, for --resume", 2),
    },
    "implementation": {
        "name": Field(_text, "as shown"),
        "device": Field(_text, "cpu, cuda, ..."),
        "status": Field(_status, "ok or unavailable"),
        "reason": Field(_text, "why it is unavailable"),
        "facts": _maybe(_object, "what it says of itself"),
        "files": _maybe(_object, "path -> SHA-256 (12 digits) of its sources", 2),
        "source_sha256": _maybe(_text, "hash of all of these"),
        "kind": _maybe(_text, "idiom, variant, peer or differentiation"),
        "base": _maybe(_text, "of which idiom it is a variant or a peer"),
    },
    "source": {
        "path": Field(_text, "relative to the project, or a file's name", 2),
        "sha256": Field(_text, "12 hexadecimal digits", 2),
        "text": Field(_text, "the file", 2),
    },
    "plan": {
        "cases": Field(_objects, "implementation, device, threads, precision, problem, ..."),
        "processes": Field(_count, "per case"),
        "block_seconds": _maybe(_number, "until schema 3: time for the blocks of a case"),
        "predicted_seconds": _maybe(_number, "of the whole run"),
    },
    "replan": {
        "processes": Field(_count, "per case, from here on", 2),
        "block_seconds": _maybe(_number, "until schema 3: time for the blocks of a case", 2),
    },
    "inputs": {
        "problem": Field(_text, "workload, layers, batch size, dtype"),
        "sha256": Field(_text, "of weights and examples (of a task: its raw records), 12 digits"),
        "seconds": _maybe(_number, "to load a task's data and make its features", 3),
    },
    "ceiling": {
        "quantity": Field(_text, "gemm, bandwidth, launch, transfer_in or transfer_out", 2),
        "implementation": Field(_text, "whose library it is", 2),
        "device": Field(_text, "cpu, cuda, ...", 2),
        "threads": Field(_text, "all, or a number", 2),
        "kernel": _maybe(_text, "until schema 4: OpenBLAS core type, or empty", 2),
        "arithmetic": Field(_text, "float64, float32, tf32, bfloat16, or empty", 2),
        "value": Field(_number, "FLOP/s, byte/s, or seconds for launch", 2),
        "process": Field(_count, "in which round it was measured", 2),
    },
    "pace": {
        "process": Field(_count, "whose turn it was", 4),
        "work": Field(_text, "a fixed piece of work", 4),
        "elapsed_ns": Field(_positive, "that it took", 4),
    },
    "outcome": {
        "case": Field(_object, "as in the plan"),
        "status": Field(_status, "one of the statuses below"),
        "reason": Field(_text, "why there is no number; empty for ok"),
        "process": _maybe(_count, "number of the round"),
        "visit": _maybe(
            _count, "number of the visit in this round (after --resume, by another process)", 2
        ),
        "source_sha256": _maybe(_text, "of the implementation's sources", 2),
        "inputs_sha256": _maybe(_text, "of weights and examples", 2),
        "calls": _maybe(_positive, "per block"),
        "elapsed_ns": _maybe(_durations, "of each block"),
        "residual_ns": _maybe(_counts, "what waiting again after each block took"),
        "event_ns": _maybe(_counts, "of each block by the GPU's own clock"),
        "busy_ns": _maybe(_counts, "CPU time of each block, all threads", 2),
        "cpu_ns": _maybe(_number, "schema 1: CPU time of all blocks and their calibration"),
        "first_call_ns": _maybe(_number, "the first call of this shape in this process"),
        "compile_ns": _maybe(_number, "trace, lower and compile within the first call", 2),
        "transfer_in_ns": _maybe(_number, "a batch from the host's memory to the device", 2),
        "transfer_out_ns": _maybe(_number, "the operation's result to the host's memory", 2),
        "products_ns": _maybe(_number, "the matrix products of a call, by the same library", 2),
        "empty_ns": _maybe(_number, "the same call with every layer of width 1, batch 1", 2),
        "parts_spent_ns": _maybe(_number, "what measuring the four above took", 2),
        "steal": _maybe(_number, "share of the machine's time that the hypervisor took", 2),
        "pressure": _maybe(_number, "share of the time in which some process waited for a core", 2),
        "gate": _maybe(_gate, "the tensor nearest to its bound: name, error, bound"),
        "spent_ns": _maybe(_number, "everything that was done for the case in this process"),
        "training": _maybe(_object, "metric on test data, time to target, curves", 3),
    },
    "memory": {
        "case": Field(_object, "as in the plan", 2),
        "status": Field(_status, "ok, or why there is no number", 2),
        "reason": Field(_text, "in words", 2),
        "host_bytes": _maybe(_count, "peak resident memory above that before the call", 2),
        "device_bytes": _maybe(_count, "peak of the GPU's memory", 2),
    },
    "parity": {
        "task": Field(_text, "whose data and network it is", 3),
        "implementation": Field(_text, "as shown", 3),
        "optimizer": Field(_text, "the update rule", 3),
        "losses": Field(_numbers, "before each step", 3),
    },
    "picture": {
        "task": Field(_text, "name of the task", 3),
        "name": Field(_text, "what it shows", 3),
        "arrays": Field(_object, "name -> nested lists of numbers, or of texts", 3),
    },
    "retry": {"cases": Field(_texts, "ids of cases", 2)},
    "resumed": {"at": Field(_text, "ISO 8601, UTC", 2)},
    "run_complete": {"seconds": _maybe(_number, "of the whole run")},
}


REQUIRED = {
    kind: [name for name, field in fields.items() if not field.optional]
    for kind, fields in RECORDS.items()
}


def check(record: Any, schema: int = SCHEMA) -> Record:
    """The record, if it has the form that its schema says.

    Raises:
        ValueError: it does not; the message says what and where.
    """
    if not isinstance(record, dict) or record.get("record") not in RECORDS:
        kind = record.get("record") if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"record {kind!r} is not known")
    kind = record["record"]
    fields = RECORDS[kind]
    for name in REQUIRED[kind]:
        if record.get(name) is None and fields[name].since <= schema:
            raise ValueError(f"{kind} without {name}")
    for name, value in record.items():  # fewer than there are fields: a journal has many records
        field = fields.get(name)
        if field is not None and value is not None and not field.form(value):
            form = FORMS.get(field.form, "true or false")
            raise ValueError(f"{kind}: {name} must be a {form}, not {value!r:.60}")
    if kind == "outcome" and record["status"] == OK:
        for name in ("calls", "elapsed_ns", "gate"):
            if record.get(name) is None:
                raise ValueError(f"outcome ok without {name}")
    return record


def markdown() -> str:
    """The table as a document."""
    lines = [
        "# The journal",
        "",
        "A run's `journal.jsonl` is a file of JSON lines, appended to and fsync'd one record at a",
        "time, so that whatever kills a run costs at most the record being written. Records are",
        f"plain data; nothing is ever unpickled. This is schema {SCHEMA}; journals of older",
        "schemas are read, those of newer ones refused. Made by `python -m samegrad schema`.",
        "",
        f"Statuses: {', '.join(STATUSES)}.",
    ]
    for kind, fields in RECORDS.items():
        lines += ["", f"## {kind}", "", f"{MEANING[kind][0].upper()}{MEANING[kind][1:]}.", ""]
        lines += ["| field | form | meaning |", "|---|---|---|"]
        for name, field in fields.items():
            form = FORMS.get(field.form, "true or false") + (", optional" * field.optional)
            since = f" (since schema {field.since})" if field.since > 1 else ""
            lines.append(f"| {name} | {form} | {field.meaning}{since} |")
    return "\n".join(lines) + "\n"
