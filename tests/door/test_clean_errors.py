"""Messages quote what was given; what acts on a terminal stands in them as escapes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import samegrad as sg
from samegrad.implementations.contract.texts import ACTING


class Hostile:
    """What is shown of it clears a terminal."""

    def __repr__(self) -> str:
        return "\x1b[2Jx\0\x9b"

    __str__ = __repr__

    def __fspath__(self) -> str:
        return "nowhere/\x1b[2Jx\x9b"


def half(params: Any) -> float:
    """A loss."""
    return float(np.sum(params[0] ** 2) / 2)


def same(params: Any) -> Any:
    """Its gradient."""
    return params


X: Any = Hostile()
PARAMS = [np.ones(3)]
SPEC = {"layer_sizes": (3, 2)}
NET = np.ones(2)
CALLS: dict[str, Callable[[], Any]] = {
    "check loss": lambda: sg.check(None, X, lambda: None),
    "check tolerance": lambda: sg.check(NET, lambda: 1.0, lambda: None, tolerance=X),
    "check dtype": lambda: sg.check(NET, lambda: 1.0, lambda: None, dtype=X),
    "check params": lambda: sg.check(NET, lambda: NET.sum(), lambda: NET, params=["\x1b[2J"]),
    "check seed": lambda: sg.check(NET, lambda: NET.sum(), lambda: NET, seed=X),
    "check_function loss": lambda: sg.check_function(X, same, PARAMS),
    "check_function method": lambda: sg.check_function(half, same, PARAMS, method=X),
    "check_function tolerance": lambda: sg.check_function(half, same, PARAMS, tolerance=X),
    "check_function params": lambda: sg.check_function(half, same, X),
    "prove": lambda: sg.prove(X, same, PARAMS),
    "prove points": lambda: sg.prove(half, same, PARAMS, points=X),
    "verify": lambda: sg.verify(X),
    "verify name": lambda: sg.verify("\x1b[2J.py"),
    "verify loss": lambda: sg.verify("numpy", losses=[X]),
    "verify precision": lambda: sg.verify("numpy", precision=X),
    "verify hints": lambda: sg.verify("numpy", hints=[X], time_limit=X),
    "assert": lambda: sg.assert_gradients_agree(X),
    "measure": lambda: sg.measure("numpy", sg.MLPSpec(**SPEC), batch_size=X),
    "measure operation": lambda: sg.measure("numpy", X, batch_size=1, operation=X),
    "measure threads": lambda: sg.measure("numpy", X, batch_size=1, threads=X),
    "measure seconds": lambda: sg.measure("numpy", X, batch_size=1, block_seconds=X),
    "measure name": lambda: sg.measure(X, sg.MLPSpec(**SPEC), batch_size=1),
    "compare": lambda: sg.compare(X, X),
    "compare across": lambda: sg.compare("a", "b", across=[X]),
    "compare above": lambda: sg.compare("a", "b", fail_above=X),
    "render": lambda: sg.render(X),
    "render several": lambda: sg.render([X, X]),
    "load": lambda: sg.load(X),
    "load name": lambda: sg.load("\x1b[2J"),
    "names": lambda: sg.names(X),
    "init_params": lambda: sg.init_params(X),
    "init_params by": lambda: sg.init_params(sg.MLPSpec(**SPEC), initializer=X),
    "MLPSpec": lambda: sg.MLPSpec((3, X)),
    "MLPSpec loss": lambda: sg.MLPSpec((3, 2), loss=X),
    "MLPSpec decay": lambda: sg.MLPSpec((3, 2), weight_decay=X),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_message_of_a_refused_argument_is_clean(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its repr is, and wherever it is given."""
    monkeypatch.chdir(tmp_path)
    try:
        shown = str(CALLS[name]())
    except Exception as error:
        shown = f"{error}"

    assert shown and not ACTING.search(shown), ascii(shown)
