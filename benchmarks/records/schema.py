"""The form of a journal's records: one table, by which they are checked and documented.

`samegrad schema` prints the table as Markdown; JOURNAL.md is its output. Journals of older schemas
are read in the words of this one (see `upgrade`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from samegrad.benchmarks.records import pictures
from samegrad.implementations.contract.texts import an

SCHEMA = 6
OK = "ok"
NO_NUMBER = ("skipped", "unavailable")  # with a reason; not a failure
JUDGED = ("wrong", "rejected", "not_converged")  # for what was computed, or how it was timed
FAILED = (*JUDGED, "timeout", "out_of_memory", "crashed")
STATUSES = (OK, *NO_NUMBER, *FAILED)

MOST = 2.0**63  # a number from there on, infinity or NaN is no measurement

Record = dict[str, Any]


class Form(NamedTuple):
    """What a field's value must be.

    Attributes:
        name: in words.
        holds: whether a value is of this form.
    """

    name: str
    holds: Callable[[Any], bool]


def _number(value: Any) -> bool:
    if type(value) is float or type(value) is int:  # nearly always, and quickly told
        return -MOST < value < MOST
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def _whole(least: int) -> Callable[[Any], bool]:
    """Whether a value is a list of whole numbers from the least on, without a call for each."""

    def holds(value: Any) -> bool:
        if not isinstance(value, list):
            return False
        for number in value:  # noqa: SIM110 # a generator takes twice as long
            if type(number) is not int or not least <= number < MOST:
                return False
        return True

    return holds


def _list(form: Form) -> Form:
    name = f"list of {form.name}s"
    return Form(name, lambda value: isinstance(value, list) and all(map(form.holds, value)))


def _gate(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return False
    return _number(value.get("error")) and _number(value.get("bound")) and value["bound"] > 0


def _training(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("metric"), str):
        return False
    at = value.get("at")
    if not isinstance(at, list) or not at or not all(map(COUNT.holds, at)):
        return False
    others = ("validation", "validation_loss", "spent_ns")
    curves = [value.get("loss", 0), *map(value.get, others)]
    known = [curve for curve in curves if curve is not None]
    if not all(NUMBERS.holds(curve) and len(curve) == len(at) for curve in known):
        return False
    numbers = [value.get("test"), *filter(None, map(value.get, ("target", "to_target_ns")))]
    return all(map(_number, numbers))


TEXT = Form("text", lambda value: isinstance(value, str))
TRUTH = Form("boolean", lambda value: isinstance(value, bool))
NUMBER = Form("number", _number)
COUNT = Form("whole number", lambda value: type(value) is int and 0 <= value < MOST)
POSITIVE = Form("positive whole number", lambda value: type(value) is int and 0 < value < MOST)
DURATION = Form("number from 0 on", lambda value: _number(value) and value >= 0)
NUMBERS = _list(NUMBER)
COUNTS, POSITIVES = (
    Form(f"list of {one.name}s", _whole(least)) for least, one in enumerate((COUNT, POSITIVE))
)
DURATIONS = Form(POSITIVES.name, lambda value: bool(value) and POSITIVES.holds(value))
OBJECT = Form("object", lambda value: isinstance(value, dict))
NUMBERS_BY_NAME = Form(
    "object of numbers",
    lambda value: isinstance(value, dict) and all(map(_number, value.values())),
)
GATE = Form("object with error and bound", _gate)
TRAINED = Form("object with metric, test and curves", _training)
STATUS = Form("status", lambda value: value in STATUSES)


class Field(NamedTuple):
    """One field of a record.

    Attributes:
        form: of its value.
        meaning: in words, with its unit.
        optional: whether a record may lack it.
    """

    form: Form
    meaning: str
    optional: bool = False


class Kind(NamedTuple):
    """One kind of record.

    Attributes:
        meaning: in words.
        fields: by name, besides "record", which names the kind.
    """

    meaning: str
    fields: dict[str, Field]


def _maybe(form: Form, meaning: str) -> Field:
    return Field(form, meaning, optional=True)


RECORDS = {
    "run": Kind(
        "the first line: what ran where",
        {
            "schema": Field(POSITIVE, "version of this table"),
            "run": Field(TEXT, "name of the run's directory"),
            "started": _maybe(TEXT, "ISO 8601, UTC"),
            "machine": Field(OBJECT, 'facts about machine, system and commit, or "unknown"'),
            "fingerprint": Field(TEXT, "hash of the facts that make two machines different ones"),
            "preset": _maybe(TEXT, "the list of cases"),
            "intervals": _maybe(TRUTH, "whether there are enough processes"),
            "command": _maybe(TEXT, "what the user typed"),
            "options": _maybe(OBJECT, "the options as typed, for --resume"),
            "settings": _maybe(OBJECT, "limits and seed of the run, for --resume"),
        },
    ),
    "implementation": Kind(
        "what one implementation can do here, per device",
        {
            "name": Field(TEXT, "as shown"),
            "device": Field(TEXT, "cpu, cuda, ..."),
            "status": Field(STATUS, "ok or unavailable"),
            "reason": Field(TEXT, "why it is unavailable"),
            "facts": _maybe(OBJECT, "what it says of itself"),
            "files": _maybe(OBJECT, "path -> SHA-256 (12 digits) of its sources"),
            "source_sha256": _maybe(TEXT, "hash of all of these"),
            "kind": _maybe(TEXT, "idiom, variant, peer, differentiation or parallel"),
            "base": _maybe(TEXT, "of which idiom it is a variant or a peer"),
        },
    ),
    "source": Kind(
        "one source file, once per journal",
        {
            "path": Field(TEXT, "relative to the project, or a file's name"),
            "sha256": Field(TEXT, "12 hexadecimal digits"),
            "text": Field(TEXT, "the file"),
        },
    ),
    "state": Kind(
        "what else the machine did, before the run or between two looks at it",
        {
            "when": Field(TEXT, "before (the run) or during (it: of the outcomes since the last)"),
            "seconds": Field(DURATION, "how long it was looked at"),
            "cores": Field(POSITIVE, "that this run may use"),
            "others": _maybe(NUMBER, "cores' worth of time that other programs took"),
            "programs": _maybe(NUMBERS_BY_NAME, "the same by name, as far as they can be seen"),
            "steal": _maybe(NUMBER, "share of the time that the hypervisor took"),
            "throttled": _maybe(NUMBER, "share of the time that a quota stopped processes"),
            "quota": _maybe(NUMBER, "cores' worth of time that the control group allows"),
            "hot": _maybe(COUNT, "how often cores were slowed down for heat"),
            "loop_ns": _maybe(POSITIVE, "what a fixed loop took, half of the time"),
            "loop_least_ns": _maybe(POSITIVE, "the least that it took"),
        },
    ),
    "cases": Kind(
        "every case of the run, and how often it is measured",
        {
            "cases": Field(_list(OBJECT), "workload, operation, implementation, device, ..."),
            "processes": Field(COUNT, "per case"),
            "predicted_seconds": _maybe(DURATION, "of the whole run"),
        },
    ),
    "processes": Kind(
        "for how many processes the time suffices, after each of them",
        {"processes": Field(COUNT, "per case, from here on")},
    ),
    "inputs": Kind(
        "the weights and examples of one workload",
        {
            "workload": Field(TEXT, "name, batch size and dtype; of a training the task"),
            "sha256": Field(
                TEXT, "of weights and examples (of a task: its raw records), 12 digits"
            ),
            "seconds": _maybe(DURATION, "to load a task's data and make its features"),
        },
    ),
    "ceiling": Kind(
        "what the machine or a library can do at most; the maximum of all counts",
        {
            "quantity": Field(
                TEXT,
                "peak, gemm, bandwidth (of memory; of a cache, bandwidth L1), call, launch, "
                "transfer_in or transfer_out",
            ),
            "implementation": Field(TEXT, "whose library it is; empty for the machine's own"),
            "device": Field(TEXT, "cpu, cuda, ..."),
            "threads": Field(TEXT, "all, or a number"),
            "arithmetic": Field(TEXT, "float64, float32, tf32, bfloat16, or empty"),
            "value": Field(NUMBER, "FLOP/s, byte/s, or seconds for call and launch"),
            "process": Field(COUNT, "number of the process that measured it"),
        },
    ),
    "probe": Kind(
        "what a fixed call took that is no row, before any row was measured",
        {
            "case": Field(OBJECT, "as in the list of cases"),
            "seconds": Field(DURATION, "of a call"),
        },
    ),
    "predictions": Kind(
        "what rows are predicted to take, from ceilings and probes alone, before any is measured",
        {"seconds": Field(NUMBERS_BY_NAME, "id of a case -> of a call")},
    ),
    "cpu_speed": Kind(
        "how fast the machine itself was when a process had answered a request",
        {
            "process": Field(COUNT, "number of the process"),
            "work": Field(TEXT, "a fixed piece of work"),
            "elapsed_ns": Field(POSITIVE, "that it took"),
        },
    ),
    "outcome": Kind(
        "one repetition of a case in one process, or why it has no number",
        {
            "case": Field(OBJECT, "as in the list of cases"),
            "status": Field(STATUS, "one of the statuses above"),
            "reason": Field(TEXT, "why there is no number; empty for ok"),
            "process": _maybe(COUNT, "number of the process"),
            "repetition": _maybe(
                COUNT, "number of the repetition in this process (after --resume, in another one)"
            ),
            "source_sha256": _maybe(TEXT, "of the implementation's sources"),
            "inputs_sha256": _maybe(TEXT, "of weights and examples"),
            "calls": _maybe(POSITIVE, "per block"),
            "elapsed_ns": _maybe(DURATIONS, "of each block"),
            "residual_ns": _maybe(COUNTS, "what waiting again after each block took"),
            "event_ns": _maybe(COUNTS, "of each block by the GPU's own clock"),
            "busy_ns": _maybe(COUNTS, "CPU time of each block, all threads"),
            "looked_ns": _maybe(COUNTS, "what looking at the results took after each block"),
            "new_bytes": _maybe(COUNTS, "memory that its process was given within each block"),
            "outer_ns": _maybe(COUNTS, "each block by the clock of the process that started it"),
            "outer_looked_ns": _maybe(COUNTS, "looked_ns by that clock"),
            "others_ns": _maybe(COUNTS, "CPU time meanwhile of processes that it has started"),
            "waited_ns": _maybe(COUNTS, "how long both waited for a core meanwhile"),
            "ready_ns": _maybe(COUNTS, "how long its thread computed, or waited for a core"),
            "first_call_ns": _maybe(DURATION, "the first call of this shape in this process"),
            "request_ns": _maybe(COUNTS, "forward passes of few examples, waited for one by one"),
            "import_ns": _maybe(DURATION, "loading the implementation, its framework included"),
            "imported_bytes": _maybe(NUMBER, "memory of the process once that is loaded"),
            "compile_ns": _maybe(DURATION, "trace, lower and compile within the first call"),
            "transfer_in_ns": _maybe(DURATION, "a batch from the host's memory to the device"),
            "transfer_out_ns": _maybe(DURATION, "the operation's result to the host's memory"),
            "products_ns": _maybe(DURATION, "the matrix products of a call, by the same library"),
            "empty_ns": _maybe(DURATION, "the same call with every layer of width 1, batch 1"),
            "alone_ns": _maybe(DURATION, "of ranks: a step on the rows of one, without the others"),
            "exchange_ns": _maybe(DURATION, "of ranks: an all-reduce of as much as a gradient"),
            "breakdown_spent_ns": _maybe(DURATION, "what measuring the six above took"),
            "steal": _maybe(NUMBER, "share of the machine's time that the hypervisor took"),
            "pressure": _maybe(NUMBER, "share of the time in which a process waited for a core"),
            "others": _maybe(NUMBER, "share of the cores that others took (the states say it)"),
            "clock_limit": _maybe(TEXT, "what kept the GPU's clock below its most, in order"),
            "gate": _maybe(GATE, "the tensor nearest to its bound: name, error, bound"),
            "quality": _maybe(NUMBERS_BY_NAME, "what the result is worth, beside its time"),
            "spent_ns": _maybe(DURATION, "everything that was done for the case in this process"),
            "training": _maybe(TRAINED, "metric on test data, time to target, curves"),
        },
    ),
    "proof": Kind(
        "the results of one timed block agree with those of float64, by a process of its own",
        {
            "case": Field(OBJECT, "as in the list of cases"),
            "process": Field(COUNT, "number of the process"),
            "repetition": Field(COUNT, "number of its repetition"),
            "name": Field(TEXT, "the tensor nearest to its bound"),
            "error": Field(NUMBER, "its error"),
            "bound": Field(NUMBER, "what the error may be"),
            "spent_ns": Field(DURATION, "what the proof took, outside of all clocks"),
        },
    ),
    "memory": Kind(
        "the peak memory of one case, in a process of its own",
        {
            "case": Field(OBJECT, "as in the list of cases"),
            "status": Field(STATUS, "ok, or why there is no number"),
            "reason": Field(TEXT, "in words"),
            "host_bytes": _maybe(COUNT, "peak resident memory above that before the call"),
            "device_bytes": _maybe(COUNT, "peak of the GPU's memory"),
        },
    ),
    "parity": Kind(
        "the losses of the first steps of a task, in float64, by one rule",
        {
            "task": Field(TEXT, "whose data and network it is"),
            "implementation": Field(TEXT, "as shown"),
            "optimizer": Field(TEXT, "the update rule"),
            "losses": Field(_list(NUMBER), "before each step"),
        },
    ),
    "picture": Kind(
        "what is drawn of one trained network",
        {
            "task": Field(TEXT, "name of the task"),
            "name": Field(TEXT, "what it shows"),
            "arrays": Field(OBJECT, "name -> nested lists of numbers, or of texts"),
        },
    ),
    "retry": Kind(
        "cases whose failures before this line no longer count, or nothing where they were judged",
        {"cases": Field(_list(TEXT), "ids of cases")},
    ),
    "resumed": Kind("the run went on in another session", {"at": Field(TEXT, "ISO 8601, UTC")}),
    "run_complete": Kind(
        "the last line; without it the run is partial",
        {"seconds": _maybe(DURATION, "of the whole run")},
    ),
}
REQUIRED = {
    kind: [name for name, field in fields.items() if not field.optional]
    for kind, (_, fields) in RECORDS.items()
}
HOLDS = {
    kind: {name: field.form.holds for name, field in fields.items()}
    for kind, (_, fields) in RECORDS.items()
}


def check(record: Any) -> Record:
    """The record, if it has the form that the table says; without fields that are null.

    Raises:
        ValueError: it does not; the message says what and where.
    """
    if not isinstance(record, dict) or record.get("record") not in RECORDS:
        kind = record.get("record") if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"record {kind!r} is not known")
    kind = record["record"]
    known = HOLDS[kind]
    for name in REQUIRED[kind]:
        if record.get(name) is None:
            raise ValueError(f"{kind} without {name}")
    for name, value in record.items():  # fewer than there are fields: a journal has many records
        holds = known.get(name)
        if holds is not None and value is not None and not holds(value):
            form = RECORDS[kind].fields[name].form
            raise ValueError(f"{kind}: {name} must be {an(form.name)}, not {value!r:.60}")
    if kind == "picture":
        pictures.check(record, _number)
    if kind == "outcome" and record["status"] == OK:
        for name in ("calls", "elapsed_ns", "gate"):
            if record.get(name) is None:
                raise ValueError(f"outcome ok without {name}")
    if None in record.values():
        return {name: value for name, value in record.items() if value is not None}
    return record


def markdown() -> str:
    """The table as a document."""
    lines = [
        "# The journal",
        "",
        "A run's `journal.jsonl` is a file of JSON lines, appended to and fsync'd one record at a",
        "time, so that whatever kills a run costs at most the record being written. Records are",
        f"plain data; nothing is ever unpickled. This is schema {SCHEMA}; journals of older",
        "schemas are read in its words (`benchmarks/records/upgrade.py`), those of newer ones",
        "refused. Made by `samegrad schema`.",
        "",
        f"Statuses: {', '.join(STATUSES)}.",
    ]
    for kind, (meaning, fields) in RECORDS.items():
        lines += ["", f"## {kind}", "", f"{meaning[0].upper()}{meaning[1:]}.", ""]
        lines += ["| field | form | meaning |", "|---|---|---|"]
        for name, field in fields.items():
            form = field.form.name + (", optional" * field.optional)
            lines.append(f"| {name} | {form} | {field.meaning} |")
    return "\n".join(lines) + "\n"
