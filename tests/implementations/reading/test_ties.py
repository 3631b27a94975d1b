"""Of a loss that is guessed: which of two constants the gradient has, where as many have each."""

from types import SimpleNamespace
from typing import Any

from samegrad.implementations.reading.compare import Compared, Match
from samegrad.implementations.reading.found import Found


def test_most_numbers_decide_where_as_many_arrays_have_each_constant() -> None:
    """Unless the loss is the file's own: a factor is forgotten of biases, not of weights."""
    rows = [((4, 6), 0.2), ((1, 6), 1.0), ((6, 3), 0.2), ((1, 3), 1.0)]
    compared = Compared([Match("", shape, "dW", f, abs(f - 1), 0.0) for shape, f in rows])
    reading: Any = SimpleNamespace(own=False, step=False, applied=None, batched=True)

    assert 0.2 == Found(reading, compared).factor
    reading.own, reading.printed, reading.rated, reading.update = True, False, False, None
    assert 1.0 == Found(reading, compared).factor
