"""Hashes of beginnings: what a shorter file is held to a longer one by."""

import random

import pytest

from samegrad.reports.archive.beginnings import FORM, MOST, Beginnings, agree


def text(data: bytes, blocks: int = 1000) -> str:
    """Of all of these bytes, which come in blocks."""
    made = Beginnings()
    for start in range(0, len(data), blocks):
        made.update(data[start : start + blocks])
    return made.text(len(data))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 1000, 4096, 100_000])
def test_each_beginning_agrees_and_one_that_differs_does_not(size: int) -> None:
    """Wherever it ends; a difference is seen but in the last bit, a thirty-second of the longer."""
    drawn = random.Random(size)
    whole = drawn.randbytes(size)
    longer = text(whole)

    for end in sorted(drawn.randint(0, size) for _ in range(20)):
        assert agree(text(whole[:end], 37), longer)
        seen = end - max(64, size // 32)
        if seen > 0:
            at = drawn.randrange(seen)
            other = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 : end]
            assert not agree(text(other), longer) and not agree(longer, text(other))


def test_there_are_few_of_them_however_long_a_file_is() -> None:
    """And what is said has its form, in whatever blocks the file is read."""
    data = random.Random(0).randbytes(300_000)
    for size in (0, 5000, 10**5, 3 * 10**5):
        said = text(data[:size])

        assert FORM.fullmatch(said) and len(said.split()) <= MOST
        assert {said} == {text(data[:size], blocks) for blocks in (1, 64, 4097, 2**20)}
    assert 33 <= len(text(data).split())


@pytest.mark.parametrize("said", ["", "x", "0 12345678", "64 1234567", "64 zzzzzzzz", "-1"])
def test_what_is_not_known_contradicts_nothing(said: str) -> None:
    """As of an archive of an older version."""
    assert agree(said, text(bytes(10_000))) and agree(text(bytes(10_000)), said)
    assert agree("3 00000000 00000000", "64 11111111 11111111")  # of nobody's writing
