"""Whether a journal tells the truth as far as it can be seen, and is fit to be published.

What it says twice must agree: hashes with what they are of, the machine with its facts, rows with
the code and inputs that the journal lists, values with the bounds that they have passed. Whoever
invents a whole journal that agrees with itself is not found here; that takes measuring again.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import itemgetter
from statistics import geometric_mean
from typing import Any

from samegrad.benchmarks.clock import agreement
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records import states
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.quality import UNUSABLE
from samegrad.benchmarks.records.rows import BELOW, NOT_RUN
from samegrad.benchmarks.records.schema import JUDGED, OK, STATUSES
from samegrad.implementations.contract import registry

MOST_BOUND = 0.3  # of any gate: the norm's of bfloat16 is 0.27 (comparison.IN_NORM)
DIGITS = 1e-4  # to which a value is the mean of its processes' values, which have six digits
UNKNOWN = "unknown"
AHEAD = timedelta(days=1)  # that the clock of another machine may be
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
    return f"started {started} is in the future" if when - AHEAD > datetime.now(UTC) else ""


def _of_blocks(journal: Journal) -> Iterator[str]:
    """Repetitions that are there twice; blocks that took longer within than from without."""
    names: dict[int, str] = {}  # of a case's object: an id is put together whenever it is asked for
    seen, of_blocks = set[tuple[Any, ...]](), itemgetter(*LISTS)
    known: dict[tuple[str, str, Any], list[tuple[list[int], ...]]] = {}  # LISTS of repetitions
    for case, outcome in journal.outcomes:
        if outcome["status"] != OK:
            continue
        name = names.get(id(case)) or names.setdefault(id(case), case.id)
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
    for (name, implementation, process), repetitions in known.items():
        whole = map(list, map(chain.from_iterable, zip(*repetitions, strict=True)))
        blocks = list(agreement.blocks(dict(zip(LISTS, whole, strict=True))))
        entry = registry.TABLE.get(implementation)
        if reason := agreement.disagreement(blocks, entry.processes if entry else 0):
            yield f"{name} in process {process}: {reason}"
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


def impossible(row: Mapping[str, Any]) -> str:
    """What is wrong in a row of the archive by itself, or ""."""
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
    if abs(geometric_mean(values) / seconds - 1) > DIGITS:
        return "its time is not the mean of its processes' values"
    low, high = row["seconds_low"], row["seconds_high"]
    if (low is None) != (high is None) or (low is not None and not low <= seconds <= high):
        return "its interval does not hold its time"
    least = row["limit_seconds"]
    if least is not None and seconds < (1 - DIGITS) * least and BELOW not in (row["remarks"] or ""):
        return (
            f"its time, {seconds:.3g} s, is below its limit, {least:.3g} s, and no remark says so"
        )
    return ""


def _passed(error: float | None, bound: float | None) -> bool:
    """Whether an error is within a bound that is one."""
    return error is not None and bound is not None and 0 <= error <= bound <= MOST_BOUND


def unfit(journal: Journal, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Why a true journal is not published, a line each."""
    yield from journal.warnings
    if not journal.complete:
        yield "the run did not come to its end"
    if states.run_too_busy(journal.states):
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
