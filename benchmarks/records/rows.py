"""Rows: what a journal says of each case, with a number or with the reason why there is none.

Computed from the journal and from nothing else.
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import TRAINING
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.limits import Limit, limit
from samegrad.benchmarks.records.quality import UNUSABLE, WITHOUT_FAULT, Quality, quality
from samegrad.benchmarks.records.schema import OK, Record
from samegrad.benchmarks.records.shown import Shown

NOT_RUN = "not_run"  # in the list of cases, and the run ended before it was measured

EVENTS = 0.10  # the GPU's clock against the wall's: beyond it a row is bound by the host
LEAST_CPU_SPEEDS = 10  # measurements that say how fast a machine was in a run
TOO_FAST = 1.2  # times what was seen to be possible here
BELOW = "faster than the limit"
EXCEEDS = 1.05  # times the call: parts that take as long are no parts of it
# Of new memory a call; of all arrays that it must touch, each once.
NEW_BYTES, NEW_SHARE = 2**16, 0.05


@dataclass(frozen=True)
class Row(Shown):
    """One case of one run, over all of its processes.

    Attributes:
        case: what was timed.
        status: "ok", or why there is no number.
        reason: in words; empty for "ok".
        process_medians: seconds per call, the median of each process.
        blocks: how many blocks, over all processes.
        first_call_seconds: the first call in the first process that measured it (compilation
            included), or None.
        compile_seconds: trace, lower and compile within that call, where the framework says it.
        request_seconds: calls one by one, of all processes; of forward passes of few examples.
        request_medians: the median of these in each process.
        import_seconds, imported_bytes: loading the implementation in the process of the first
            call, and the memory that it has then; or None.
        transfer_in_seconds, transfer_out_seconds: a batch to the device; the result from it.
        products_seconds: the matrix products of a call by the same library in the same setting.
        empty_seconds: the same call with nothing to compute: dispatch and Python.
        alone_seconds, exchange_seconds: of several ranks, a step on the rows of one without the
            others, and an all-reduce of as much as a gradient.
        ceiling: FLOP/s that are known to be possible on this device, with as many threads and in
            the same arithmetic: `Journal.most_flops`.
        limit: the least that a call could take there: `limits.limit`.
        host_bytes, device_bytes: peak memory of a call, where it was measured.
        quality: what the number is worth.
        remarks: what else is to be known of it, one line each.
        gate: name, error and bound of the tensor nearest to its bound, or None.
        code: hash of the implementation's sources, or "unknown".
        inputs: hash of weights and examples, or "unknown".
        training: of a training, what each seed gave.
        predicted_seconds: of a call, before any row was measured: `predictions`; or None.
        measures: what the result is worth beside its time, by name; of the first process.
        proofs, proof_seconds: how many timed blocks have been proved, and what that took.
    """

    case: Case
    status: str
    reason: str
    process_medians: tuple[float, ...] = ()
    blocks: int = 0
    first_call_seconds: float | None = None
    compile_seconds: float | None = None
    request_seconds: tuple[float, ...] = ()
    request_medians: tuple[float, ...] = ()
    import_seconds: float | None = None
    imported_bytes: float | None = None
    transfer_in_seconds: float | None = None
    transfer_out_seconds: float | None = None
    products_seconds: float | None = None
    empty_seconds: float | None = None
    alone_seconds: float | None = None
    exchange_seconds: float | None = None
    ceiling: float | None = None
    limit: Limit | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None
    quality: Quality = WITHOUT_FAULT
    remarks: tuple[str, ...] = ()
    gate: Record | None = None
    code: str = "unknown"
    inputs: str = "unknown"
    training: tuple[Record, ...] = ()
    predicted_seconds: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    proofs: int = 0
    proof_seconds: float = 0.0

    @cached_property
    def median_seconds(self) -> float | None:
        """Per call: the mean of the log of the processes' medians, taken back."""
        if not self.process_medians:
            return None
        return statistics.geometric_mean(self.process_medians)

    @property
    def examples_per_second(self) -> float | None:
        """Examples that pass in a second."""
        return None if self.median_seconds is None else self.case.examples / self.median_seconds

    @property
    def gflops(self) -> float | None:
        """10^9 floating-point operations of the matrix products per second."""
        return None if self.median_seconds is None else self.case.flops / self.median_seconds / 1e9

    @property
    def share(self) -> float | None:
        """Of the ceiling, from 0 to about 1."""
        if self.gflops is None or not self.ceiling:
            return None
        return 1e9 * self.gflops / self.ceiling

    @property
    def split(self) -> tuple[float, float, float] | None:
        """Seconds of a call: (matrix products, dispatch and Python, the rest), or None.

        The products are timed on their own, less what calling the library for products of
        nothing costs; dispatch and Python are the same call on a network of width 1 (`exposed`).
        The rest is elementwise work, memory traffic, and what the parts cost each other. Measured
        apart, the first two may exceed the call on a noisy machine: the rest is then 0, and a
        remark says so.
        """
        if self.median_seconds is None or self.products_seconds is None:
            return None
        empty = exposed(self.case, self.products_seconds, self.empty_seconds)
        rest = self.median_seconds - self.products_seconds - empty
        return self.products_seconds, empty, max(0.0, rest)


def exposed(case: Case, products: float | None, empty: float | None) -> float:
    """What dispatch adds to the products of a call.

    A GPU computes while the next call is dispatched: what of it is longer than the products.
    """
    return (empty or 0.0) if case.device == "cpu" else max(0.0, (empty or 0.0) - (products or 0.0))


def rows(journal: Journal) -> list[Row]:
    """Each case of the run once, in their order; one failed process fails its row.

    Of a machine that several runs shared at the same time every number is unusable.
    """
    outcomes: dict[str, list[Record]] = {}
    for case, record in journal.outcomes:
        outcomes.setdefault(case.id, []).append(record)
    cases = journal.cases or list({case.id: case for case, _ in journal.outcomes}.values())
    ceilings = journal.most_flops()
    made = [
        _row(
            case,
            outcomes.get(case.id, ()),
            case.ranks * ceilings.get((case.device, case.threads, case.arithmetic), 0) or None,
            limit(journal, case) if case.ranks == 1 else None,
            journal.memory.get(case.id, {}),
            journal.proofs.get(case.id, ()) if journal.needs_proof(case) else None,
            journal.run.get("intervals", True) is not False,
            journal.tried_again.get(case.id),
            journal.predictions.get(case.id),
        )
        for case in cases
    ]
    shared = journal.run["machine"].get("shared")
    if not shared:
        return made
    worth = Quality(UNUSABLE, f"shared machine: {shared}")
    return [replace(row, quality=worth) if row.status == OK else row for row in made]


def without_use(rows: Iterable[Row]) -> str:
    """In a line why a run was for nothing: none of its rows has a usable number; "" if one has.

    What a network has learned is of use on a busy machine, too.
    """
    lost = Counter[str]()
    for row in rows:
        unusable = row.quality.level == UNUSABLE and row.case.operation != TRAINING
        if row.status == OK and not unusable:
            return ""
        lost[UNUSABLE if row.status == OK else row.status] += 1
    if not lost:
        return ""
    counts = ", ".join(f"{count} {status}" for status, count in lost.items())
    return f"no row has a usable number ({counts}); the exit status is 1"


def sound(journal: Journal, case: Case, records: Sequence[Record]) -> Sequence[Record]:
    """The repetitions of a case that count: all, or where it needs proofs what they allow."""
    proofs = journal.proofs.get(case.id, ())
    return counted(records, proofs) if journal.needs_proof(case) else records


def counted(records: Sequence[Record], proofs: Sequence[Record]) -> list[Record]:
    """The repetitions that count: those that are no faster than one that has been proved.

    What has not been proved sets no value then: somebody's block that is fast because it is wrong
    is faster than those that are right.
    """
    proved = {(proof["process"], proof["repetition"]) for proof in proofs}
    times = [
        call_seconds(record)
        for record in records
        if (record.get("process"), record.get("repetition")) in proved
    ]
    least = min(times, default=math.inf)
    return [record for record in records if call_seconds(record) >= least]


def _row(
    case: Case,
    records: Sequence[Record],
    ceiling: float | None,
    least_time: Limit | None,
    memory: Mapping[str, object],
    proofs: Sequence[Record] | None,
    intervals: bool,
    before: Record | None,
    predicted: float | None,
) -> Row:
    for record in records:
        if record["status"] != OK:
            process = record.get("process")
            where = f"process {process + 1}: " if isinstance(process, int) and process else ""
            return Row(case, record["status"], where + record["reason"])
    if not records and before is not None:
        return Row(case, before["status"], f"{before['reason']} (and not measured again)")
    if not records:
        return Row(case, NOT_RUN, "the run ended before it was measured")
    sound = records if proofs is None else counted(records, proofs)
    if not sound:
        return Row(case, NOT_RUN, "the run ended before a block of it had been proved")
    processes = by_process(sound)
    times = [[call_seconds(record) for record in repetitions] for repetitions in processes]
    medians = tuple(map(undisturbed, times))
    rate = case.flops / statistics.geometric_mean(medians)
    remarks = [*_host_bound(sound), *_limited(sound), *_new_memory(case, sound)]
    if before is not None:
        remarks.insert(0, f"tried again; before, {before['status']}: {before['reason']}")
    if ceiling and rate > TOO_FAST * ceiling:
        faster = f"{rate / 1e9:.3g} GFLOP/s, and the most that this machine has shown is "
        faster += f"{ceiling / 1e9:.3g}"
        if proofs is None:  # what was timed is not known to be right
            return Row(case, "rejected", f"faster than possible: {faster}")
        remarks.append(f"faster than it should be possible here: {faster}")

    if least_time and statistics.geometric_mean(medians) < least_time.seconds:
        remarks.append(f"{BELOW} of {1e6 * least_time.seconds:.3g} us, which is wrong here")

    def least(name: str) -> float | None:
        values = [record[name] / 1e9 for record in records if record.get(name) is not None]
        return min(values, default=None)

    products, empty = least("products_ns"), least("empty_ns")
    parts = (products or 0.0) + exposed(case, products, empty)
    if parts > EXCEEDS * statistics.geometric_mean(medians):
        times_longer = parts / statistics.geometric_mean(medians)
        remarks.append(f"its parts, measured apart, take {times_longer:.2f} times as long as it")
    first = next((r for r in records if r.get("first_call_ns")), {})
    requests = [
        [ns / 1e9 for record in own for ns in record.get("request_ns") or () if ns]
        for own in by_process(records)
    ]
    host, device = memory.get("host_bytes"), memory.get("device_bytes")
    return Row(
        case,
        OK,
        "",
        process_medians=medians,
        blocks=sum(len(record["elapsed_ns"]) for record in sound),
        first_call_seconds=first["first_call_ns"] / 1e9 if first else None,
        compile_seconds=first["compile_ns"] / 1e9 if first.get("compile_ns") else None,
        request_seconds=tuple(chain.from_iterable(requests)),
        request_medians=tuple(statistics.median(calls) for calls in requests if calls),
        import_seconds=first["import_ns"] / 1e9 if first.get("import_ns") else None,
        imported_bytes=first.get("imported_bytes"),
        transfer_in_seconds=least("transfer_in_ns"),
        transfer_out_seconds=least("transfer_out_ns"),
        products_seconds=products,
        empty_seconds=empty,
        alone_seconds=least("alone_ns"),
        exchange_seconds=least("exchange_ns"),
        ceiling=ceiling,
        limit=least_time,
        host_bytes=host if isinstance(host, int) else None,
        device_bytes=device if isinstance(device, int) else None,
        quality=quality(
            processes,
            times,
            medians,
            intervals=intervals,
            alike=case.operation != TRAINING,
        ),
        remarks=tuple(remarks),
        gate=max((r["gate"] for r in records), key=lambda g: g["error"] / g["bound"]),
        code=records[0].get("source_sha256", "unknown"),
        inputs=records[0].get("inputs_sha256", "unknown"),
        training=tuple(record["training"] for record in records if "training" in record),
        predicted_seconds=predicted,
        measures=next((r["quality"] for r in records if r.get("quality")), {}),
        proofs=len(proofs or ()),
        proof_seconds=sum(proof["spent_ns"] for proof in proofs or ()) / 1e9,
    )


def by_process(records: Sequence[Record]) -> list[list[Record]]:
    """The repetitions of each process, in their order."""
    processes: dict[int, list[Record]] = {}
    for number, record in enumerate(records):
        processes.setdefault(record.get("process", number), []).append(record)
    return list(processes.values())


def _host_bound(records: Sequence[Record]) -> Iterable[str]:
    events = sum(sum(record.get("event_ns") or ()) for record in records)
    wall = sum(sum(record["elapsed_ns"]) for record in records)
    if events and abs(wall / events - 1) > EVENTS:
        yield f"host-bound: the GPU's own clock counts {100 * events / wall:.0f} % of the time"


def _limited(records: Sequence[Record]) -> Iterable[str]:
    """Of a limit that is no fault: the number is what this GPU does."""
    limits = [str(record["clock_limit"]) for record in records if record.get("clock_limit")]
    if limits:
        yield f"at the GPU's {limits[0]} in {len(limits)} of {len(records)} repetitions"


def _new_memory(case: Case, records: Sequence[Record]) -> Iterable[str]:
    """Of what takes memory anew in every call, which the system clears first: microseconds a page.

    The median: the process grows in a call now and then.
    """
    each = [
        given / record["calls"] for record in records for given in record.get("new_bytes") or ()
    ]
    given = statistics.median(each) if each else 0.0
    if given > max(NEW_BYTES, NEW_SHARE * case.bytes):
        yield f"takes {given / 2**20:.3g} MiB of new memory in every call (page faults)"


def call_seconds(record: Mapping[str, Any]) -> float:
    """Seconds per call, the median block of one repetition."""
    return statistics.median(record["elapsed_ns"]) / record["calls"] / 1e9


def undisturbed(times: Sequence[float]) -> float:
    """What the repetitions of a process say: the longest of their least disturbed tenth.

    Others' work comes in bursts that are longer than a repetition, and it only ever adds time. Of
    up to ten this is the least; of more, the least would be the more of an accident the more
    there are.
    """
    return sorted(times)[(len(times) - 1) // 10]


def cpu_speed_change(old: Journal, new: Journal) -> float | None:
    """How many times as long the new run's machine took for a fixed piece of work, or None.

    Of each run's measurements the least disturbed tenth counts, as of a case's repetitions.
    """
    kinds = {record["work"] for record in (*old.cpu_speeds, *new.cpu_speeds)}
    if len(kinds) != 1 or min(len(old.cpu_speeds), len(new.cpu_speeds)) < LEAST_CPU_SPEEDS:
        return None
    before, after = (
        undisturbed([record["elapsed_ns"] for record in journal.cpu_speeds])
        for journal in (old, new)
    )
    return after / before


def differences(old: Row, new: Row, old_run: Record, new_run: Record) -> dict[str, str]:
    """What but speed differs between rows of two runs: "machine", "code", "inputs" -> in words.

    Rows are never compared across precisions or thread counts: those are different cases.
    """
    reasons = {}
    for what, a, b in (
        ("machine", old_run["fingerprint"], new_run["fingerprint"]),
        ("code", old.code, new.code),
        ("inputs", old.inputs, new.inputs),
    ):
        verb = "are" if what == "inputs" else "is"
        if "unknown" in (a, b):
            reasons[what] = f"its {what} {verb} not known"
        elif a != b:
            reasons[what] = f"its {what} {'differ' if what == 'inputs' else 'differs'} ({a}, {b})"
    return reasons
