"""Whose file is verified can write messages of its own: that is a verdict, and never an error."""

import json
from pathlib import Path
from typing import Any

import pytest

from samegrad.implementations.checking.verifier import verify
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.forging import FORGES, NETWORK

SMALL: dict[str, Any] = {"layers": (2, 3, 2), "activations": ["tanh"], "losses": ["mse"]}
RESULT = {"function": "loss", "results": {}, "second": {}, "other": {}, "last": {}}
ARRAY = {"dtype": "O", "shape": [1], "data": "AAAAAAAAAAA="}


def verdict(tmp_path: Path, text: str, time_limit: float = 20.0) -> tuple[str, str]:
    """The verdict on a file, and why."""
    (tmp_path / "mine.py").write_text(text)
    report = verify(str(tmp_path / "mine.py"), **SMALL, dtypes=["float64"], time_limit=time_limit)
    return report.verdict, report.reason


@pytest.mark.parametrize(
    "message",
    [
        {"task": 99, "begins": "loss"},
        {"task": "0", "begins": "loss"},
        {"task": [], "begins": "loss"},
        {"task": 0, "begins": 5},
        {"task": 0, "begins": "x"},
        {"task": 0, "accuracy": {"float64": "x"}},
        {"task": 0, "accuracy": {"float64": 1e9}},
        {"task": 0, "result": RESULT},
        {"task": 0, "result": {"function": "loss", "results": {"loss": ARRAY}}},
        {"devices": 5},
        {"lacks": ["\x1b"], "fault": 7},
        {"unknown": 1},
        {"complete": True},
        [1],
    ],
)
def test_message_of_a_file_is_a_verdict(message: Any, tmp_path: Path) -> None:
    """Not checked, with what is wrong with it; nothing is raised."""
    text = f"{NETWORK}{FORGES}forge({json.dumps(message)!r})\n"

    said, reason = verdict(tmp_path, text)

    assert "not checked" == said
    assert "makes no sense" in reason or "pipe of its messages" in reason


def test_file_that_writes_messages_for_ever_ends_at_the_limit(tmp_path: Path) -> None:
    """Those that nobody waits for win it no time."""
    text = f"{NETWORK}{FORGES}while True:\n    forge('{{\"lacks\": []}}')\n"

    assert ("not checked", "between calls: it hangs: no result within 2 s; killed") == verdict(
        tmp_path, text, 2.0
    )


def test_result_that_nests_deeper_than_can_be_sent_differs(tmp_path: Path) -> None:
    """It is no gradient, whatever the limit of recursion is in its process."""
    text = (
        f"{NETWORK}def loss_and_grad(*arguments):\n"
        "    import sys\n"
        "    sys.setrecursionlimit(10**6)\n"
        "    loss, x = _right(*arguments)\n"
        "    for _ in range(700): x = [x]\n"
        "    return loss, x\n"
    )

    assert "disagrees" == verdict(tmp_path, text)[0]


def test_results_of_another_shape_in_a_later_call_are_a_verdict(tmp_path: Path) -> None:
    """More numbers from call to call: sums of them cannot be formed."""
    text = (
        f"{NETWORK}calls = []\n"
        "def loss_and_grad(*arguments):\n"
        "    loss, grads = _right(*arguments)\n"
        "    calls.append(loss)\n"
        "    return loss, grads + grads[:1] * (len(calls) > 1) * len(calls)\n"
    )

    assert "agrees" != verdict(tmp_path, text)[0]


@pytest.mark.parametrize(
    "accuracy",
    ["{'float64': 1e+99}", "{'float64': 0.011}", "{'float64': -1.0}", "{'x': 1e-06}", "5"],
)
def test_declared_accuracy_has_a_bound(accuracy: str, tmp_path: Path) -> None:
    """A gradient that is three times too large is not within anything that may be declared."""
    text = (
        f"{NETWORK}from samegrad.implementations.contract.protocol import Capabilities\n"
        f"CAPABILITIES = Capabilities(accuracy=lambda _: {accuracy})\n"
        "def loss_and_grad(*arguments):\n"
        "    loss, grads = _right(*arguments)\n"
        "    return loss, [(W, 3 * b) for W, b in grads]\n"
    )

    said, reason = verdict(tmp_path, text)

    assert "not checked" == said
    assert f"accuracy {accuracy} is not accepted; declare bounds above 0, 0.01 at most" in reason


def test_declared_accuracy_at_the_bound_is_taken() -> None:
    """As numbers, whatever kind they are."""

    class Model:
        CAPABILITIES = Capabilities(accuracy=lambda _: {"float64": 1e-2, "float32": 1e-2})
        forward = staticmethod(lambda spec, params, X: X)

    declared = Implementation(Model, "mine").capabilities.accuracy(MLPSpec((2, 2)))

    assert {"float64": 1e-2, "float32": 1e-2} == declared
