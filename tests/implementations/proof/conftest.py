"""Intervals compare as those of mpmath 1.4 do, whichever version is installed."""

from collections.abc import Callable
from typing import Any

import mpmath
import pytest


@pytest.fixture(autouse=True)
def _intervals_that_overlap_do_not_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 1.3 the answer was None, which is taken for no."""
    kind = type(mpmath.iv.mpf(1))

    def strict(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
        def compared(a: Any, b: Any) -> bool:
            answer = compare(a, b)
            if answer is None:
                raise ValueError
            return bool(answer)

        return compared

    for name in ("lt", "le", "gt", "ge"):
        method = f"__{name}__"
        monkeypatch.setattr(kind, method, strict(getattr(kind, method)))
