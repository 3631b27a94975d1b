"""The cases that a journal names: each of them many times, so that most of its bytes are these."""

import contextlib
import json
from functools import lru_cache
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.records import upgrade
from samegrad.benchmarks.records.lines import DECODER, decoded
from samegrad.benchmarks.records.schema import Record

MARK = b'"case": '
PLACE = 0x5A4E_C0DE_CA5E  # in whose place a case stands
# What reading a line may raise when it is not what the schema says, or not JSON at all.
UNUSABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


class _Named(dict[str, Any]):
    """A case as a record has it, and the case: of a text that has occurred before."""

    case: Case


class NamedCases:
    """The cases that a journal names, by their texts: most of its bytes are these."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Named] = {}

    def decoded(self, line: bytes) -> Any:
        """What a line says that is ASCII, as `lines.decoded`, with a case decoded only once.

        A text that was an object is one wherever a value begins, and ends where it ended; after
        MARK a value begins, or the line is no JSON at all, with the case or without.
        """
        start = line.find(MARK) + len(MARK)
        if start < len(MARK):
            return decoded(line)
        end = self._end(line, start)
        if end:
            record = decoded(b"%b%d%b" % (line[:start], PLACE, line[end:]))
            if isinstance(record, dict) and record.get("case") == PLACE:
                record["case"] = self._known[line[start:end]]
                return record
        record = decoded(line)
        if isinstance(record, dict):
            self._learn(line, start, record.get("case"))
        return record

    def _end(self, line: bytes, start: int) -> int:
        """Where a case ends that is known, the last of its record or not; 0 if none is."""
        if line[start:-2] in self._known:
            return len(line) - 2
        end = line.find(b'}, "', start) + 1
        while end:
            if line[start:end] in self._known:
                return end
            end = line.find(b'}, "', end) + 1
        return 0

    def _learn(self, line: bytes, start: int, data: Any) -> None:
        with contextlib.suppress(*UNUSABLE):  # then whoever takes the record in says why
            again, end = DECODER.raw_decode(line.decode("ascii"), start)
            if again == data:
                case = _Named(data)
                case.case = case_of(data)
                self._known[line[start:end]] = case


def case_of(data: Record) -> Case:
    """The same object for the same case: journals name each of their cases many times.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    return data.case if isinstance(data, _Named) else _case_of(json.dumps(data))


@lru_cache(maxsize=20_000)
def _case_of(text: str) -> Case:
    return Case.from_dict(upgrade.case(json.loads(text)))
