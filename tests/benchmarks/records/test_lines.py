"""What a line says does not depend on which library for JSON is there."""

import json
import random
import struct
from typing import Any

import pytest

from samegrad.benchmarks.records import lines

TEXTS = [
    *(
        "",
        "\n",
        "{}",
        '{"a": 1}\n',
        ' {"a": 1} ',
        '{"a": 1}{}',
        '{"a": 1,}',
        "{1: 2}",
        "'a'",
        "[1,]",
    ),
    *("null", "true", "nul", "NaN", "Infinity", "-Infinity", "-", "01", "1.", ".5", "+1", "0x1"),
    *("18446744073709551616", "-9223372036854775809", "9" * 30, "1" * 4300, "1" * 5000),
    *("1e309", "-1e309", "1e-400", "-0", "-0.0", "1E5", "1e+5", f"{'1' * 400}.5", f"0.{'1' * 400}"),
    *(
        '"\\ud800"',
        '"\\ud83d\\ude00"',
        '"\\/"',
        '"\\x"',
        '"\\u0000"',
        '"\\u00"',
        '"a\tb"',
        '"\x7f"',
    ),
    *('{"a": 1, "a": 2}', '{"": 1}', '"é"', '"\u2028"', "\ufeff{}", "\xa01", "\x0c1"),
    *("[" * 31 + "]" * 31, "[" * 40 + "]" * 40, "[" * 100_000, "[" * 100_000 + "]" * 100_000),
]
BYTES = [b'"\xff"', b'"\xed\xa0\x80"', b'{"\xff": 1}', b"\xff", b'"\xc3"', b"\x00"]


def said(line: bytes) -> str:
    """What a line says, kinds included, or that it cannot be used."""
    try:
        return repr(lines.decoded(line))
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {lines.why(error)}"


def differing(texts: list[bytes], monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Those that say something else without the faster library."""
    before = [said(text) for text in texts]
    monkeypatch.setattr(lines, "_fast", None)
    return [text for text, once in zip(texts, before, strict=True) if said(text) != once]


@pytest.mark.skipif(lines._fast is None, reason="msgspec is not installed")
def test_both_libraries_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is right, wrong or meant to do harm; numbers in any notation, to the last bit."""
    draw = random.Random(1)
    numbers = [struct.unpack("d", draw.randbytes(8))[0] for _ in range(2000)]
    drawn = [f"[{number!r}, {number:.{draw.randint(0, 40)}e}]" for number in numbers]
    every = [*BYTES, *(text.encode() for text in (*TEXTS, *drawn))]

    assert [] == differing(every, monkeypatch)


def test_another_library_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that makes whole numbers of more than 64 bits floats, as some do."""

    def of_floats(line: bytes) -> Any:
        return json.loads(line, parse_int=lambda text: int(text) if len(text) < 19 else float(text))

    monkeypatch.setattr(lines, "_fast", of_floats)

    assert differing([b"18446744073709551616"], monkeypatch)
