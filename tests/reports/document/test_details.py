"""The tables of details: what they take of several measurements."""

from samegrad.benchmarks.records.journal import Journal
from samegrad.reports.data.report import report
from samegrad.reports.document import details
from tests.helpers.journals import CASE, ok, plan_record, run_record


def test_ceilings_at_best_are_the_fastest_product_and_the_shortest_launch() -> None:
    """The most of what is a rate, the least of what is a time."""
    journal = Journal(run_record())
    where = {"record": "ceiling", "implementation": "numpy", "device": "cuda", "threads": "all"}
    for record in (plan_record(CASE), ok(0)):
        journal.add(record)
    for quantity, values in (("gemm", (2e9, 5e9, 3e9)), ("launch", (4e-6, 2e-6, 3e-6))):
        for process, value in enumerate(values):
            about = {"quantity": quantity, "arithmetic": "", "value": value, "process": process}
            journal.add({**where, **about})

    table = details.ceilings(report([journal]))

    best = " ".join(map(str, table["at best"]))
    assert "5" in best and "GFLOP/s" in best and "2" in best
    assert not any(text in best for text in ("3", "4"))


def test_what_proofs_took_is_said_of_each_row_and_implementation() -> None:
    """Outside of all clocks."""
    journal = Journal({**run_record(), "settings": {"proofs": True}})
    for record in (plan_record(CASE), ok(0, repetition=0), ok(1, repetition=0)):
        journal.add(record)
    for process in (0, 1):
        about = {"name": "dW1", "error": 1e-7, "bound": 1e-5, "spent_ns": 2_000_000}
        about |= {"process": process, "repetition": 0}
        journal.add({"record": "proof", "case": CASE.to_dict(), **about})

    made = report([journal])
    (line,) = details.largest_errors(made).to_dict("records")

    assert (2, "4.00 ms") == (line["proofs"], line["they took"])
    assert [0.004] == list(made.rows.proof_seconds)
