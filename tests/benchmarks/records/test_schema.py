"""The journal's form: documented, checked when it is written and when it is read."""

import ast
from typing import Any

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import schema

OUTCOME: dict[str, Any] = {
    "record": "outcome",
    "case": {},
    "status": "ok",
    "reason": "",
    "calls": 3,
    "elapsed_ns": [5, 6],
    "gate": {"name": "dW1", "error": 1e-7, "bound": 1e-5},
}


def test_document_is_the_table() -> None:
    """JOURNAL.md is what `samegrad schema` prints."""
    assert schema.markdown() == (ROOT / "benchmarks" / "records" / "JOURNAL.md").read_text()


def test_every_kind_and_field_has_a_meaning() -> None:
    """In words."""
    for kind in schema.RECORDS.values():
        assert kind.meaning and all(field.meaning for field in kind.fields.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"record": "secret"}, "record 'secret' is not known"),
        ({"status": "fine"}, "status must be a status, not 'fine'"),
        ({"reason": None}, "outcome without reason"),
        ({"calls": 0}, "calls must be a positive whole number, not 0"),
        ({"calls": True}, "calls must be a positive whole number, not True"),
        ({"elapsed_ns": []}, "elapsed_ns must be a list of positive whole numbers"),
        ({"elapsed_ns": [1.5]}, "elapsed_ns must be a list of positive whole numbers"),
        ({"gate": {"name": "dW1"}}, "gate must be an object with error and bound"),
        ({"case": 3}, "case must be an object, not 3"),
        ({"gate": None}, "outcome ok without gate"),
        ({"elapsed_ns": None}, "outcome ok without elapsed_ns"),
    ],
)
def test_record_of_another_form_is_refused(changes: dict[str, Any], message: str) -> None:
    """With the field and what it must be."""
    with pytest.raises(ValueError) as caught:
        schema.check(OUTCOME | changes)

    assert message in str(caught.value)


def test_record_of_its_form_passes() -> None:
    """So the refusals above are due to the changes."""
    assert schema.check(OUTCOME) is OUTCOME
    assert schema.check({**OUTCOME, "status": "wrong", "gate": None})


def test_what_is_no_record_is_refused() -> None:
    """A list, a number."""
    with pytest.raises(ValueError, match="record 'list' is not known"):
        schema.check([])


def test_nothing_is_ever_unpickled() -> None:
    """No pickle, no marshal, no array that may hold objects."""
    for path in [*ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("reports/*.py")]:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                assert not names & {"pickle", "marshal", "shelve", "joblib", "dill"}, path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
                assert "allow_pickle=False" in ast.unparse(node), path
