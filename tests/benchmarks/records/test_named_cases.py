"""A case's text is decoded once: what a line says stays what JSON says."""

import json
from typing import Any

import pytest

from samegrad.benchmarks.records.lines import cleaned, decoded, may_be_unclean
from samegrad.benchmarks.records.named_cases import NamedCases, case_of
from tests.helpers.journals import CASE

TEXT = json.dumps(CASE.to_dict())
FIRST = f'{{"record": "outcome", "case": {TEXT}, "process": 1}}\n'


def read(*lines: str) -> list[Any]:
    """What each of some lines says, or the kind of error."""
    cases, said = NamedCases(), list[Any]()
    for line in lines:
        try:
            said.append(cases.decoded(line.encode()))
        except ValueError as error:
            said.append(type(error))
    return said


@pytest.mark.parametrize(
    "line",
    [
        FIRST,
        f'{{"process": 2, "record": "proof", "case": {TEXT}}}\n',
        f'{{"process": 2, "record": "proof", "case": {TEXT}}}',
        f'{{"a": {{"case": {TEXT}, "b": 1}}, "c": 2}}\n',
        f'{{"a": {{"case": {TEXT}}}}}\n',
        f'{{"a": "\\"case\\": {TEXT[1:-1].replace(chr(34), "")}", "case": 3}}\n',
        f'{{"\\"case": {TEXT}, "b": 1}}\n',
        f'{{"case": {TEXT}, "case": 7}}\n',
        f'[{{"case": {TEXT}, "b": 1}}]\n',
        f'{{"case": {TEXT[:-1]}, "more": 1}}, "process": 1}}\n',
        f'{{"case": {TEXT}',
        f'{{"case": {TEXT}}}}}\n',
        f'{{"x: "case": {TEXT}, "b": 1}}\n',
        '{"case": 3}\n',
        '{"case": {"a": 1}, "b": 2}\n',
        "\n",
    ],
)
def test_a_line_says_the_same_as_without(line: str) -> None:
    """Wherever the text of a known case stands in it, twice in a row."""
    try:
        expected: Any = decoded(line.encode())
    except ValueError as error:
        expected = type(error)

    assert [expected, expected] == read(FIRST, line, line)[1:]


def test_a_known_case_is_the_same_object() -> None:
    """And equal to the one that a text without it names."""
    first, second, third = read(FIRST, FIRST, FIRST.replace('"process": 1', '"process": 2'))

    assert case_of(second["case"]) is case_of(third["case"])
    assert CASE == case_of(first["case"]) == case_of(second["case"])
    assert 2 == third["process"]


@pytest.mark.parametrize("letter", [*map(chr, range(256)), "\u2028", "\u202e", "\ud800", "\\u"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_lines_that_need_cleaning_are_told(letter: str, ascii_only: bool) -> None:
    """None is passed over that cleaning would change, in whatever way it is written."""
    record = {"a": f"x{letter}y"}
    line = json.dumps(record, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    said = decoded(line)

    assert may_be_unclean(line) or cleaned(said) == said
