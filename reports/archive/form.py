"""What the archive holds of a row: one table, by which parts are written, checked and documented.

FORM counts its versions; a summary of a newer one is refused, an older one lacks columns.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

FORM = 3
# Kind -> types of its values in Python.
KINDS: dict[str, set[type]] = {
    "text": {str}, "whole": {int}, "number": {float, int}, "truth": {bool}, "numbers": {list},
}  # fmt: skip
OR_NULL = {kind: types | {type(None)} for kind, types in KINDS.items()}


class Column(NamedTuple):
    """One column.

    Attributes:
        kind: a key of KINDS.
        meaning: in words, with its unit.
    """

    kind: str
    meaning: str


# Of a run: the same in each of its rows, but for ONCE.
RUN = {
    "run_id": Column("text", "SHA-256 (16 digits) of the journal's first line"),
    "journal_bytes": Column("whole", "whole lines of the journal that were summarised"),
    "journal_sha256": Column("text", "of these"),
    "beginnings": Column("text", "a length, hashes of this many bytes, of twice, ...; in one row"),
    "form": Column("whole", "version of this table"),
    "run": Column("text", "name of the run's directory"),
    "started": Column("text", "ISO 8601, UTC"),
    "complete": Column("truth", "whether the run came to its end"),
    "preset": Column("text", "the list of cases"),
    "commit": Column("text", "of samegrad"),
    "fingerprint": Column("text", "of the machine: hash of its hardware and system"),
    "machine": Column("text", "processor, cores, GPU, in words"),
    "cpu": Column("text", "processor"),
    "cores": Column("whole", "that the run could use"),
    "gpu": Column("text", "or none"),
    "system": Column("text", "operating system and its release"),
    "architecture": Column("text", "of the processor"),
    "python": Column("text", "version"),
    "versions": Column("text", "of libraries, as JSON"),
    "machine_too_busy": Column("truth", "nothing is concluded from such a run"),
    "cpu_speed_ns": Column("number", "what a fixed piece of work took"),
    "cpu_speed_work": Column("text", "which one"),
}
ROW = {
    "case_id": Column("text", "workload, operation, batch size, arithmetic, implementation, ..."),
    "workload": Column("text", "name of the network or task"),
    "layers": Column("text", "sizes, joined by -"),
    "operation": Column("text", "what is timed"),
    "batch_size": Column("whole", "examples"),
    "dtype": Column("text", "arithmetic: float64, float32, tf32 or bfloat16"),
    "threads": Column("text", "all, or a number"),
    "ranks": Column("whole", "processes that computed it together"),
    "implementation": Column("text", "who computes"),
    "device": Column("text", "cpu, cuda, ..."),
    "transfer": Column("text", "resident, end_to_end or end_to_end_pinned"),
    "status": Column("text", "ok, or why there is no number"),
    "reason": Column("text", "the same in words"),
    "seconds": Column("number", "per call: mean over processes, of logs, taken back"),
    "seconds_low": Column("number", "its 95 % interval"),
    "seconds_high": Column("number", "its 95 % interval"),
    "process_seconds": Column("numbers", "the value of each process"),
    "processes": Column("whole", "how many"),
    "blocks": Column("whole", "timed in all of them"),
    "quality": Column("text", "good, noisy or unusable"),
    "remarks": Column("text", "what else is to be known"),
    "flops": Column("number", "of a call"),
    "limit_seconds": Column("number", "the least that the machine allows"),
    "products_seconds": Column("number", "of a call: matrix products"),
    "dispatch_seconds": Column("number", "of a call: dispatch and Python"),
    "rest_seconds": Column("number", "of a call: what else"),
    "first_call_seconds": Column("number", "compilation included"),
    "p50_seconds": Column("number", "of calls one by one"),
    "p99_seconds": Column("number", "of calls one by one"),
    "host_bytes": Column("number", "peak memory of a call"),
    "device_bytes": Column("number", "peak memory of a call on the GPU"),
    "worst_tensor": Column("text", "the one nearest to its bound"),
    "gradient_error": Column("number", "its error"),
    "gradient_bound": Column("number", "what that may be"),
    "proofs": Column("whole", "timed blocks whose results were proved"),
    "code": Column("text", "hash of the implementation's sources"),
    "inputs": Column("text", "hash of weights and examples"),
}
# Of one copy in the archive.
COPY = {
    "added": Column("text", "ISO 8601, UTC"),
    "from_summary": Column("truth", "made from a summary that came alone, not from its journal"),
    "entry": Column("whole", "number of this copy of this version of the run"),
}
COLUMNS = {**COPY, **RUN, **ROW}
SINCE = {"ranks": 2, "beginnings": 3}  # column -> the first version that has it
MAY_BE_UNKNOWN = ("beginnings", "from_summary", "cores", "cpu_speed_ns")
POSITIVE = ("form", "cores", "batch_size", "ranks")  # others from 0 on
MOST_TEXT = 10_000  # characters of a name or a hash
# Texts that are in a case's id, as is checked, or one of a few.
IN_CASE = (
    "workload", "operation", "dtype", "threads", "implementation", "device", "transfer", "status",
)  # fmt: skip
LONG, MOST_LONG = ("beginnings", "machine", "versions", "layers", "reason", "remarks"), 100_000
ONCE = ("beginnings",)  # in the first row of a run alone, since it is long
# Without a value of each of these a row is none.
NEEDED = (
    *(name for name in (*COPY, *RUN) if name not in MAY_BE_UNKNOWN), "case_id", "workload",
    "batch_size", "operation", "dtype", "threads", "implementation", "device", "transfer", "status",
)  # fmt: skip


def check(name: str, values: Sequence[Any]) -> None:
    """Raise ValueError unless each value of a column is null, or of its kind and in its bounds."""
    kind = COLUMNS[name].kind
    wrong = {*map(type, values)} - OR_NULL[kind]
    if wrong:
        value = next(value for value in values if type(value) in wrong)
        raise ValueError(f"{name}: {value!r:.60} is no {kind}")
    if kind == "text" and name not in IN_CASE:
        most = MOST_LONG if name in LONG else MOST_TEXT
        longest = max(map(len, filter(None, values)), default=0)
        if longest > most:
            raise ValueError(f"{name}: a text of {longest:,} characters; at most {most:,}")
    elif kind in ("whole", "number"):
        known, least = [*filter(None, values)], int(name in POSITIVE)  # neither null nor 0
        if (known and not (min(known) > 0 and max(known) < math.inf)) or (least and 0 in values):
            known = [value for value in values if value is not None]
            wrong = next(value for value in known if not least <= value < math.inf)
            raise ValueError(f"{name}: {wrong} is no number from {least} on")
    elif kind == "numbers":
        numbers = [number for value in values for number in value or ()]
        if {*map(type, numbers)} - KINDS["number"]:
            raise ValueError(f"{name}: a list of something else than numbers")
