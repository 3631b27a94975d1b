"""The line at fault: found in networks of many styles, and never in a right one."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from samegrad.implementations.tracing.explain import Line, explain
from samegrad.implementations.tracing.search import clean
from tests.implementations.tracing.faults import FAULTS, MISSED

STYLES = Path(__file__).parent / "styles"
NAMES = sorted(path.stem for path in STYLES.glob("*.py"))
CASES = [  # one in eight by default: all of them take two minutes
    pytest.param(*fault, id=f"{fault[0]}-{i}", marks=[pytest.mark.full] if i % 8 else [])
    for i, fault in enumerate(FAULTS)
    if fault[2] not in MISSED
]


def loaded(path: Path) -> ModuleType:
    """A network's file as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"traced_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def explained(module: ModuleType, free: bool = False) -> list[Line]:
    """What is said of a network, of the gradients that it pins."""
    held = module.PARAMS
    params = held if isinstance(held, dict) else {f"params[{i}]": p for i, p in enumerate(held)}
    state = (module.loss, module.backward)
    return explain(module.loss, module.backward, state, params, module.grads, free)


@pytest.mark.parametrize("name", NAMES)
def test_right_network_is_not_accused(name: str) -> None:
    """Whatever its conventions."""
    assert [] == explained(loaded(STYLES / f"{name}.py"))


@pytest.mark.parametrize(("name", "right", "wrong"), CASES)
def test_line_at_fault_is_named(name: str, right: str, wrong: str, tmp_path: Path) -> None:
    """The line that was changed, and no other."""
    text = (STYLES / f"{name}.py").read_text()
    expected = text[: text.index(right)].count("\n") + 1
    file = tmp_path / f"{name}.py"
    file.write_text(text.replace(right, wrong))

    lines = explained(loaded(file))

    assert [(str(file), expected)] == [(line.file, line.number) for line in lines]


def test_gradient_that_adds_up_over_calls_is_named(tmp_path: Path) -> None:
    """A second pass adds to what the first one left: there."""
    file = tmp_path / "adding.py"
    file.write_text(
        "import numpy as np\n"
        "W, X = np.array([[0.3, -0.2], [0.5, 0.1]]), np.array([[1.0, 2.0], [0.5, -1.0]])\n"
        "kept = {'W': np.zeros((2, 2))}\n"
        "def loss():\n"
        "    return 0.5 * np.sum((X @ W) ** 2)\n"
        "def backward():\n"
        "    kept['W'] += X.T @ (X @ W)\n"
    )
    module = loaded(file)

    lines = explain(
        module.loss,
        module.backward,
        (module.loss, module.backward),
        {"W": module.W},
        lambda _: [module.kept["W"]],
    )

    assert [7] == [line.number for line in lines] and "adds up" in lines[0].text


def test_line_that_may_be_another_is_not_certain(tmp_path: Path) -> None:
    """A slope by an unusual number may be wrong itself, or right up to what follows."""
    text = (STYLES / "sigmoid_class.py").read_text()
    file = tmp_path / "doubtful.py"
    file.write_text(
        text.replace("delta2 = 2 * error * sigmoid_derivative(self.output)", "delta2 = 2 * error")
    )

    lines = explained(loaded(file), free=True)

    assert [False] == [line.certain for line in lines]
    assert lines[0].text.endswith("or line 26 is wrong")


def test_nine_faults_of_ten_are_named() -> None:
    """Those of another line are listed, and few."""
    assert len(MISSED) <= len(FAULTS) / 10


def test_code_is_put_back_after_a_search() -> None:
    """The user's functions are theirs again, and their state is as it was."""
    module = loaded(STYLES / "training_step.py")
    code, before = module.backward.__code__, module.wh.copy()

    explained(module)

    assert module.backward.__code__ is code
    assert (before == module.wh).all()


def test_code_without_a_source_is_left_alone() -> None:
    """Nothing is said, and nothing raised, of what has no lines."""
    names: dict[str, Any] = {}
    exec("W = [1.0]\ndef loss(): return W[0] ** 2\ndef backward(): return [[W[0]]]", names)
    loss, backward = names["loss"], names["backward"]

    assert [] == explain(loss, backward, (loss, backward), {"W": names["W"]}, list)


AVERAGED = """import numpy as np
rng = np.random.default_rng(4)
E, w, rows, t = rng.normal(size=(5, 3)), rng.normal(size=3), [0, 2, 3], 0.7
PARAMS = [E, w]
def loss():
    mid = E[rows].mean(axis=0)
    return (mid @ w - t) ** 2
def backward():
    mid = E[rows].mean(axis=0)
    d_mid = np.zeros(3)
    d_mid += 2 * (mid @ w - t) * w
    dE = np.zeros_like(E)
    for row in rows:
        dE[row] += d_mid  # without / len(rows)
    return [dE, 2 * (mid @ w - t) * mid]
"""
JACOBIANS = """import numpy as np
rng = np.random.default_rng(5)
W, X, y = rng.normal(size=(3, 4)), rng.normal(size=(5, 3)), np.array([0, 2, 1, 3, 2])
PARAMS = [W]
def run():
    e = np.exp(X @ W)
    probs = e / e.sum(axis=1, keepdims=True)
    return probs
def loss():
    return np.mean(-np.log(run()[np.arange(5), y]))
def backward():
    probs, hot = run(), np.eye(4)[y]
    dprobs = -hot / probs
    dprobs = dprobs / 5
    dz = np.empty_like(probs)
    for i, (p, d) in enumerate(zip(probs, dprobs)):
        square = np.diagflat(p)  # without - np.outer(p, p)
        dz[i] = square @ d
    return [X.T @ dz]
"""


@pytest.mark.parametrize("source", [AVERAGED, JACOBIANS], ids=["mean", "softmax"])
def test_line_that_leaves_something_out_is_named(source: str, tmp_path: Path) -> None:
    """And no line before it, which is right."""
    file = tmp_path / "left_out.py"
    file.write_text(source + "grads = list\n")

    lines = explained(loaded(file))

    expected = source[: source.index("# without")].count("\n") + 1
    assert [(str(file), expected)] == [(line.file, line.number) for line in lines]


def test_constant_without_an_inverse_stays() -> None:
    """A slope next to zero once ended the search."""
    assert clean(1e-310) == 1e-310
