"""Whether a journal tells the truth as far as it can be seen, and is fit to be published.

What it says twice must agree: hashes with what they are of, the machine with its facts, rows with
the code and inputs that the journal lists, values with the bounds that they have passed. Whoever
invents a whole journal that agrees with itself is not found here; that takes measuring again.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any

from samegrad.benchmarks.cases.case import ALL_THREADS, ARITHMETIC, TRANSFERS, case_id
from samegrad.benchmarks.cases.workload import PRODUCTS
from samegrad.benchmarks.clock import agreement
from samegrad.benchmarks.clock.intervals import LEAST_PROCESSES
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records import states
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.quality import GOOD, NOISY, UNUSABLE
from samegrad.benchmarks.records.rows import BELOW, NOT_RUN
from samegrad.benchmarks.records.schema import JUDGED, OK, STATUSES
from samegrad.benchmarks.records.sheets import sheet
from samegrad.implementations.contract import registry

MOST_BOUND = 0.3  # of any gate: the norm's of bfloat16 is 0.27 (comparison.IN_NORM)
DIGITS = 1e-4  # to which a value is the mean of its processes' values, which have six digits
UNKNOWN = "unknown"
TRUE = "`archive add` takes it as it is: these are rules for runs that others contribute"
AHEAD = timedelta(days=1)  # that the clock of another machine may be
FIRST = datetime(2020, 1, 1, tzinfo=UTC)  # before that there was nothing to run
# Seconds of a call: less than calling a function of C takes; 30 years.
LEAST_SECONDS, MOST_SECONDS = 1e-9, 1e9
# FLOP/s that nothing reaches. Of a core: twice what the matrix units of Apple's and Intel's have
# (2e12 in float32, 8e12 in bfloat16); of a GPU twice its data sheet, or of one that has none here.
OF_A_CORE = {"float64": 4e12, "float32": 4e12, "tf32": 16e12, "bfloat16": 16e12}
SHEETS_TIMES, OF_A_GPU = 2.0, 2e16
MOST_CORES = 4096  # where their number is not known
OF_CASE = itemgetter(
    "workload",
    "operation",
    "batch_size",
    "dtype",
    "implementation",
    "device",
    "threads",
    "ranks",
    "transfer",
)  # as `case_id` takes them
FINGERPRINT, LAYERS = re.compile("[0-9a-f]{12}"), re.compile("[1-9][0-9]*(-[1-9][0-9]*)+")
OF_BATCH = {"forward", "loss_and_grad", "train_step", PRODUCTS}  # whose FLOPs layers and batch say
# Of an outcome whose blocks the parent's clock has timed, too; lists of the same length.
LISTS = (
    *("elapsed_ns", "outer_ns", "waited_ns", "looked_ns", "outer_looked_ns", "others_ns"),
    "ready_ns",
)
CLOCKED = {*LISTS}


def untrue(journal: Journal) -> Iterator[str]:
    """What a journal says twice and not alike, a line each."""
    facts = journal.run["machine"]
    if journal.run["fingerprint"] != system.fingerprint(facts):
        yield "its machine's fingerprint is not that of its machine's facts"
    if wrong := wrong_time(str(journal.run.get("started", ""))):
        yield wrong
    for stated, (path, text) in journal.sources.items():
        if digest(text) != stated:
            yield f"the text of {path} does not have its hash, {stated}"
    yield from _of_code(journal)
    for case, outcome in journal.outcomes:
        own = outcome.get("inputs_sha256")
        known = journal.inputs.get(case.workload.id, journal.inputs.get(case.workload.name))
        if own is not None and known is not None and own != known:
            yield f"{case.id}: its inputs ({own}) are not those of its workload ({known})"
            break
    for case, outcome in journal.outcomes:
        gate = outcome.get("gate")
        if outcome["status"] == OK and gate and not _passed(gate["error"], gate["bound"]):
            told = f"{gate['name']}: error {gate['error']}, bound {gate['bound']}"
            yield f"{case.id}: its gate was not passed: {told}"
            break
    yield from _of_blocks(journal)
    for name, proofs in journal.proofs.items():
        if any(not _passed(proof["error"], proof["bound"]) for proof in proofs):
            yield f"{name}: a proof says that its block was wrong"
            break


def wrong_time(started: str) -> str:
    """Why a run cannot have been started then, or "", also where nobody knows when."""
    if not started:
        return ""
    try:
        when = datetime.fromisoformat(started)
    except ValueError:
        return f"started {started!r:.60} is no time in ISO 8601"
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    if when < FIRST:
        return f"started {started} is before {FIRST:%Y}: the clock of its machine was wrong"
    return f"started {started} is in the future" if when > datetime.now(UTC) + AHEAD else ""


def _of_blocks(journal: Journal) -> Iterator[str]:
    """What is in no list, or there twice; blocks that took longer within than from without."""
    listed = {case.id for case in journal.cases}
    names: dict[int, str] = {}  # of a case's object: an id is put together whenever it is asked for
    seen, of_blocks = set[tuple[Any, ...]](), itemgetter(*LISTS)
    known: dict[tuple[str, str, Any], list[tuple[list[int], ...]]] = {}  # LISTS of repetitions
    for case, outcome in journal.outcomes:
        name = names.get(id(case))
        if name is None:
            name = names[id(case)] = case.id
            if listed and name not in listed:
                yield f"{name}: it is not in the list of cases, and has an outcome"
                return
        if outcome["status"] != OK:
            continue
        process, repetition = outcome.get("process"), outcome.get("repetition")
        if process is not None and repetition is not None:  # older schemas do not count them
            if (name, process, repetition) in seen:
                yield f"{name}: repetition {repetition} of process {process} is there twice"
                return
            seen.add((name, process, repetition))
        if outcome.keys() >= CLOCKED:
            lists = of_blocks(outcome)
            if len({*map(len, lists)}) > 1:
                yield f"{name}: lists of its blocks are not of the same length"
                return
            known.setdefault((name, case.implementation, process), []).append(lists)
    helpers: dict[str, int] = {}
    of_row: dict[str, list[list[agreement.Block]]] = {}
    for (name, implementation, process), repetitions in known.items():
        whole = map(list, map(chain.from_iterable, zip(*repetitions, strict=True)))
        blocks = list(agreement.blocks(dict(zip(LISTS, whole, strict=True))))
        of_row.setdefault(name, []).append(blocks)
        entry = registry.TABLE.get(implementation)
        helpers[name] = entry.processes if entry else 0
        if reason := agreement.disagreement(blocks, helpers[name]):
            yield f"{name} in process {process}: {reason}"
            return
    for name, processes in of_row.items():
        every = list(chain.from_iterable(processes))
        if len(processes) > 1 and (reason := agreement.disagreement(every, helpers[name])):
            yield f"{name}: {reason}"
            return


def _of_code(journal: Journal) -> Iterator[str]:
    """Sources that implementations name, and the hash of all of them, which outcomes repeat."""
    known: dict[str, set[str]] = {}
    for record in journal.implementations:
        files: Mapping[str, Any] = record.get("files") or {}
        stated = record.get("source_sha256")
        known.setdefault(record["name"], set()).add(str(stated))
        texts = [journal.sources.get(str(files[path]), ("", None))[1] for path in sorted(files)]
        whole = None if None in texts or not texts else digest("".join(map(str, texts)))
        if stated is not None and whole is not None and whole != stated:
            yield f"{record['name']}: its sources do not have their hash, {stated}"
    for case, outcome in journal.outcomes:
        own, listed = outcome.get("source_sha256"), known.get(case.implementation)
        if own is not None and listed is not None and own not in listed:
            yield f"{case.id}: its code ({own}) is not what the journal lists"
            break


def digest(text: str) -> str:
    """As a journal has it: twelve hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def impossible(run: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> str:
    """What a run and its rows, as the archive has them, say by themselves that cannot be, or ""."""
    if wrong := wrong_time(run["started"]) or _other_machine(run):
        return wrong
    names, most = set[str](), _most_flops(run)
    for row in rows:
        name = row["case_id"]
        if name in names:
            return f"{name} is there twice"
        names.add(name)
        if wrong := _other_case(row) or _in_row(row, most):
            return f"{name}: {wrong}"
    return ""


def _other_machine(run: Mapping[str, Any]) -> str:
    """What a run says of its machine twice and not alike, or ""."""
    own, cpu, gpu = run["fingerprint"], run["cpu"], run["gpu"]
    if not FINGERPRINT.fullmatch(own):
        return f"fingerprint {own!r:.40} is not 12 hexadecimal digits"
    end = ("" if gpu in ("none", UNKNOWN) else f", {gpu.split(',')[0]}") + f" [{own[:4]}]"
    for begin in (cpu, "unknown CPU")[: 1 + (cpu == UNKNOWN)]:  # as `machine_label` puts it
        if run["machine"].startswith(f"{begin}, ") and run["machine"].endswith(f" cores{end}"):
            cores = run["machine"][len(begin) + 2 : -len(end) - 6]
            if (int(cores) if cores.isdecimal() else None) == run["cores"]:
                return ""
    told = f"{cpu}, {run['cores']} cores{end}"
    return f"machine {run['machine']!r:.80} is not what is said of it beside: {told!r:.80}"


def _most_flops(run: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], float]:
    """FLOP/s that a row cannot reach on the machine of its run."""
    rates, gpu = sheet(run["gpu"]), max(sheet(run["gpu"]).values(), default=0.0)
    known: dict[tuple[Any, ...], float] = {}

    def most(row: Mapping[str, Any]) -> float:
        key = row["device"], row["dtype"], row["threads"], row["ranks"]
        if key not in known:
            device, dtype, threads, ranks = key
            if device == "cpu":
                cores = run["cores"] or MOST_CORES
                if threads.isdecimal():
                    cores = min(cores, int(threads) * (ranks or 1))
                known[key] = cores * OF_A_CORE[dtype]
            else:
                of_one = SHEETS_TIMES * rates.get(dtype, gpu) or OF_A_GPU
                known[key] = (ranks or 1) * of_one
        return known[key]

    return most


def _other_case(row: Mapping[str, Any]) -> str:
    """What a row says of its case twice and not alike, or ""."""
    about = OF_CASE(row)
    _, operation, batch, dtype, _, _, threads, _, transfer = about
    if dtype not in ARITHMETIC:
        return f"dtype {dtype!r:.40} is none of {', '.join(ARITHMETIC)}"
    if transfer not in TRANSFERS:
        return f"transfer {transfer!r:.40} is none of {', '.join(TRANSFERS)}"
    if threads != ALL_THREADS and not (threads.isdecimal() and int(threads)):
        return f"threads {threads!r:.40} is neither {ALL_THREADS} nor a number"
    made = case_id(*about)
    if row["case_id"] != made:
        return f"its columns are of another case, {made:.200}"
    if layers := row["layers"]:
        whole, later = _weights(layers)
        if not whole:
            return f"layers {layers!r:.40} are no sizes, joined by -"
        flops = 2 * batch * (whole if operation == "forward" else 2 * whole + later)
        if row["flops"] not in (flops, None) and operation in OF_BATCH:
            return f"its flops, {row['flops']:.6g}, are not those of its layers, {flops:.6g}"
    return ""


@lru_cache(maxsize=1000)
def _weights(layers: str) -> tuple[int, int]:
    """How many weights there are, and how many behind the first layer; 0 of what is no sizes."""
    if not LAYERS.fullmatch(layers):
        return 0, 0
    sizes = list(map(int, layers.split("-")))
    each = [a * b for a, b in pairwise(sizes)]
    return sum(each), sum(each[1:])


def _in_row(row: Mapping[str, Any], most: Callable[[Mapping[str, Any]], float]) -> str:
    """What is wrong with a row's numbers, or ""."""
    if row["status"] not in (*STATUSES, NOT_RUN, UNUSABLE):
        return f"status {row['status']!r:.40} is not known"
    seconds = row["seconds"]
    if row["status"] != OK:
        return "a number beside a status that has none" if seconds is not None else ""
    if seconds is None or not 0 < seconds < math.inf:
        return f"its time is {seconds}"
    if not _passed(row["gradient_error"], row["gradient_bound"]):
        gate = f"error {row['gradient_error']}, bound {row['gradient_bound']}"
        return f"its gate was not passed: {gate}"
    values = row["process_seconds"]
    if not values or min(values) <= 0 or len(values) != row["processes"]:
        return "its processes have no values"
    if not LEAST_SECONDS <= min(values) <= max(values) <= MOST_SECONDS:
        wrong = min(values) if min(values) < LEAST_SECONDS else max(values)
        bounds = f"none takes less than {LEAST_SECONDS:g} s or more than {MOST_SECONDS:g} s"
        return f"a call of {wrong:.3g} s: {bounds}"
    mean = math.exp(math.fsum(map(math.log, values)) / len(values))  # of logs, taken back
    if abs(mean / seconds - 1) > DIGITS:
        return "its time is not the mean of its processes' values"
    low, high = row["seconds_low"], row["seconds_high"]
    if (low is None) != (high is None) or (low is not None and not low <= seconds <= high):
        return "its interval does not hold its time"
    if low is not None and len(values) < LEAST_PROCESSES:
        return f"an interval from {len(values)} of at least {LEAST_PROCESSES} processes"
    if row["quality"] not in (GOOD, NOISY) or (row["quality"] == GOOD and low is None):
        return f"quality {row['quality']!r:.40}" + " without an interval" * (low is None)
    rate = (row["flops"] or 0.0) / seconds
    if rate > OF_A_CORE["float64"] and rate > (possible := most(row)):
        told = f"{rate / 1e9:.3g} GFLOP/s, and no such machine has {possible / 1e9:.3g}"
        return f"faster than possible: {told}"
    least = row["limit_seconds"]
    if least is not None and seconds < (1 - DIGITS) * least and BELOW not in (row["remarks"] or ""):
        return (
            f"its time, {seconds:.3g} s, is below its limit, {least:.3g} s, and no remark says so"
        )
    return ""


def _passed(error: float | None, bound: float | None) -> bool:
    """Whether an error is within a bound that is one."""
    return error is not None and bound is not None and 0 <= error <= bound <= MOST_BOUND


def unfit(journal: Journal, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why a true journal of others is not published, a line each, and last that it is true."""
    found = list(_unfit(journal, rows))
    return [*found, TRUE] if found else []


def _unfit(journal: Journal, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from journal.warnings
    if not journal.complete:
        yield "the run did not come to its end"
    if shared := journal.run["machine"].get("shared"):
        yield f"its machine was shared: {shared}"
    elif states.run_too_busy(journal.states):
        yield "its machine was too busy"
    if not any(row["status"] == OK for row in rows):
        yield "no row has a number"
    reasons = {
        "its number is unusable": [r for r in rows if r["status"] == UNUSABLE],
        "its results were judged": [r for r in rows if r["status"] in JUDGED],
        "its code is not known": [r for r in rows if r["status"] == OK and r["code"] == UNKNOWN],
        BELOW: [r for r in rows if BELOW in (r["remarks"] or "")],
    }
    for reason, some in reasons.items():
        if some:
            yield f"{_named(r['case_id'] for r in some)}: {reason}"


def _named(names: Iterable[str]) -> str:
    first, *others = names
    return f"{first} and {len(others)} more rows" if others else first
