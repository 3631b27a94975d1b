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


def test_what_reproduces_and_cites_a_run_is_what_its_journal_says() -> None:
    """Commit, interpreter, versions, variable, command; a local build by its name."""
    run = run_record(run="r'1", command="samegrad benchmark --preset hello", started="2026-11-22T1")
    run["machine"] |= {"commit": "8bc63e5e5986", "python": "3.11.7", "openblas_coretype": "Haswell"}
    run["machine"]["versions"] = '{"numpy": "2.4.6", "torch": "2.13.0+cpu"}'

    block, render = details.commands([Journal(run)])
    (cited,) = details.cite(report([Journal(run)])).commands

    assert [
        "git checkout 8bc63e5e5986",
        "python3.11 -m venv .venv && . .venv/bin/activate",
        "pip install numpy==2.4.6 torch==2.13.0 '.[benchmark]'",
        "# torch was the build 2.13.0+cpu",
        "export OPENBLAS_CORETYPE=Haswell",
        "samegrad benchmark --preset hello",
    ] == block.splitlines()
    assert render.endswith("""'r'"'"'1/journal.jsonl'""")
    assert "@misc{samegrad-r-1," in cited and "year = {2026}" in cited and "8bc63e5e5986" in cited


def test_what_a_journal_does_not_say_is_not_made_up() -> None:
    """No version, no variable, no commit; and no text of it becomes a command of its own."""
    run = run_record(command="pytest")
    run["machine"] = {"versions": "[1", "python": "$(rm)", "openblas_coretype": "a; b"}

    block, _ = details.commands([Journal(run)])

    assert "pytest" == block
