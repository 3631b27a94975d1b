"""One case, measured as a user would: what is right gets a number, what is not a reason."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.api import measure
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.runs import scheduler
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.spec import MLPSpec

SPEC = MLPSpec((6, 5, 3))
DEEP = MLPSpec((6, 5, 4, 4, 3))
FAKE_CUDA = str(ROOT / "tests" / "helpers" / "fake_cuda.py")
HEAD = (
    "from samegrad.implementations import mlp_numpy\n"
    "from samegrad.implementations.mlp_numpy import *\nimport os\n"
)


def written(tmp_path: Path, body: str) -> str:
    """A user's file: the NumPy network with a fault."""
    path = tmp_path / "mine.py"
    path.write_text(HEAD + body)
    return str(path)


def quick(name: str, **changes: Any) -> Any:
    """One process, short blocks."""
    arguments: dict[str, Any] = {"batch_size": 8, "block_seconds": 0.01} | changes
    return measure(name, arguments.pop("spec", SPEC), **arguments)


@pytest.mark.parametrize("operation", ["forward", "loss_and_grad", "train_step", "epoch"])
def test_measure_gives_a_time_and_its_proof(operation: str) -> None:
    """Seconds per call, examples and GFLOP per second, and the tensor nearest to its bound."""
    row = quick("numpy", operation=operation, spec=MLPSpec((64, 32, 10)))

    assert "ok" == row.status, row.reason
    assert 0 < row.median_seconds < 1
    assert row.examples_per_second == pytest.approx(row.case.examples / row.median_seconds)
    assert row.gflops == pytest.approx(row.case.flops / row.median_seconds / 1e9)
    assert 0 <= row.gate["error"] <= row.gate["bound"] == 1e-5


def test_measure_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any process, and not as a row that has crashed."""
    monkeypatch.setattr(commands, "_installed", lambda module: module != "threadpoolctl")

    with pytest.raises(ImportError, match=r"samegrad.measure needs threadpoolctl .*pip install"):
        quick("numpy")


def test_measure_takes_as_many_processes_as_asked() -> None:
    """Each gives a median of its own."""
    assert 2 == len(quick("numpy", processes=2).process_medians)


def test_delay_in_a_step_shows_in_its_time(tmp_path: Path) -> None:
    """A busy-wait of 20 ms in the step cannot be missed: the time is at least that."""
    body = (
        "import time\n"
        "def train_step(*a):\n"
        "    until = time.perf_counter() + 0.02\n"
        "    while time.perf_counter() < until: pass\n"
        "    return mlp_numpy.train_step(*a)\n"
    )

    row = quick(written(tmp_path, body))

    assert "ok" == row.status, row.reason
    assert row.median_seconds >= 0.02


FAULTS = {
    "gradient wrong by 0.1 %": (
        "def loss_and_grad(*a):\n"
        "    loss, grads = mlp_numpy.loss_and_grad(*a)\n"
        "    return loss, [(W * np.float32(1.001), b) for W, b in grads]\n",
        "loss_and_grad",
        "wrong",
        "dW",
    ),
    "gradient wrong, forward timed": (
        "def loss_and_grad(*a):\n"
        "    loss, grads = mlp_numpy.loss_and_grad(*a)\n"
        "    return loss, [(-W, b) for W, b in grads]\n",
        "forward",
        "wrong",
        "dW",
    ),
    "step that does nothing": (
        "def train_step(spec, p, s, X, y, rate):\n    return p, s, mlp_numpy.loss(spec, p, X, y)\n",
        "train_step",
        "wrong",
        "after a step",
    ),
    "gradient with the wrong sign in the step": (
        "def train_step(spec, p, s, X, y, rate):\n"
        "    return mlp_numpy.train_step(spec, p, s, X, y, -rate)\n",
        "epoch",
        "wrong",
        "after a step",
    ),
    "NaN": (
        "def train_step(*a):\n"
        "    p, s, loss = mlp_numpy.train_step(*a)\n"
        "    return [(W * np.float32('nan'), b) for W, b in p], s, loss\n",
        "train_step",
        "wrong",
        "not finite",
    ),
    "float64 in a float32 table": (
        "def forward(*a):\n    return mlp_numpy.forward(*a).astype('float64')\n",
        "forward",
        "wrong",
        "dtype float64, expected float32",
    ),
    "exception": (
        "def train_step(*a):\n    raise RuntimeError('no step today')\n",
        "train_step",
        "crashed",
        "RuntimeError: no step today",
    ),
    "refusal": (
        "def train_step(*a):\n    raise NotImplementedError('no steps here')\n",
        "train_step",
        "unavailable",
        "no steps here",
    ),
    "SIGKILL": (
        "import signal\ndef train_step(*a):\n    os.kill(os.getpid(), signal.SIGKILL)\n",
        "train_step",
        "crashed",
        "killed by SIGKILL",
    ),
    "SIGSEGV": (
        "import signal\ndef train_step(*a):\n    os.kill(os.getpid(), signal.SIGSEGV)\n",
        "train_step",
        "crashed",
        "killed by SIGSEGV",
    ),
    "exit": (
        "def train_step(*a):\n    os._exit(0)\n",
        "train_step",
        "crashed",
        "exit status 0 before its work was done",
    ),
    "out of memory": (
        "def train_step(*a):\n    raise MemoryError('Unable to allocate 9 TiB')\n",
        "train_step",
        "out_of_memory",
        "9 TiB",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_gives_a_reason_and_no_number(fault: str, tmp_path: Path) -> None:
    """Each with its own status; printing to standard output disturbs nothing."""
    body, operation, status, reason = FAULTS[fault]

    row = quick(written(tmp_path, "print('hello')\n" + body), operation=operation)

    assert status == row.status, row.reason
    assert reason in row.reason
    assert row.median_seconds is None


def test_hanging_step_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit ends the whole process group; no orphan is left."""
    monkeypatch.setattr(scheduler, "CASE_SECONDS", 1.5)
    pid_file = tmp_path / "pid"
    body = (
        "import subprocess, sys, time\n"
        "def train_step(*a):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"    open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "    time.sleep(600)\n"
    )

    row = quick(written(tmp_path, body))

    assert "timeout" == row.status
    assert "no result within" in row.reason
    pid = int(pid_file.read_text())
    for _ in range(100):
        if not _lives(pid):
            break
        time.sleep(0.05)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


@pytest.mark.parametrize("fault", ["", pytest.param("unsynchronised", marks=pytest.mark.full)])
def test_pretended_gpu_is_timed_to_the_end_of_its_queue(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dispatch takes no time there; the number is what the work takes, waited for.

    Where waiting does not wait: until its results, of a type that may compute when it is asked, are
    NumPy's.
    """
    monkeypatch.setenv("SAMEGRAD_FAKE_FAULT", fault)
    spec = MLPSpec((256, 256, 10))

    queued = quick(FAKE_CUDA, device="cuda", spec=spec, batch_size=64)
    direct = quick("numpy", spec=spec, batch_size=64)

    assert ("ok", "ok") == (queued.status, direct.status), queued.reason
    assert queued.median_seconds > direct.median_seconds / 5


@pytest.mark.parametrize(
    ("fault", "spec", "status", "reason"),
    [
        ("nan_later", SPEC, "wrong", "not finite"),
        ("out_of_memory", DEEP, "out_of_memory", "CUDA out of memory"),
    ],
)
def test_fault_on_a_pretended_gpu_is_caught(
    fault: str, spec: MLPSpec, status: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN after the gate, a full GPU."""
    monkeypatch.setenv("SAMEGRAD_FAKE_FAULT", fault)

    row = quick(FAKE_CUDA, device="cuda", spec=spec, batch_size=64)

    assert status == row.status, row.reason
    assert reason in row.reason


@pytest.mark.full  # the saboteurs of selftest have one that does not wait, too
def test_unsynchronised_jax_twin_is_rejected_and_the_right_one_accepted(tmp_path: Path) -> None:
    """The same JAX network with a synchronize that does not wait."""
    pytest.importorskip("jax", reason="jax is not installed")
    twin = tmp_path / "twin.py"
    head = "from samegrad.implementations.backends.jax_backend import JaxBackend\n"
    head += "from samegrad.implementations.mlp_jax import *\n"
    hasty = "class Hasty(JaxBackend):\n    def synchronize(self, tree):\n        pass\n\n\n"
    twin.write_text(head + hasty + "BACKEND = Hasty()\n")
    spec = MLPSpec((512, 512, 10))

    rows = [quick(name, spec=spec, batch_size=256) for name in (str(twin), "jax")]

    assert ["rejected", "ok"] == [row.status for row in rows], [row.reason for row in rows]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size 0 is not accepted"),
        ({"batch_size": 2.5}, "whole number >= 1"),
        ({"processes": 0}, "processes 0 is not accepted"),
        ({"operation": "backward"}, "operation 'backward' is not known; accepted: forward"),
        ({"device": "cuda"}, "device 'cuda' is not available to numpy (has: cpu)"),
    ],
)
def test_measure_refuses_wrong_input(changes: dict[str, Any], message: str) -> None:
    """In one line, before anything is timed."""
    with pytest.raises(ValueError) as caught:
        quick("numpy", **changes)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "killed by SIGKILL"),
        ("os._exit(0)\n", "exit status 0"),
        ("raise SystemExit('no licence')\n", "SystemExit: no licence"),
        ("def loss_and_grad(*a):\n    os._exit(3)\n", "exit status 3"),
        ("def loss_and_grad(*a):\n    raise SystemExit\n", "exit status 0"),
        ("def train_step(*a):\n    raise SystemExit(4)\n", "SystemExit: 4"),
    ],
)
def test_implementation_that_ends_its_process_is_a_row(
    body: str, reason: str, tmp_path: Path
) -> None:
    """On import, while its speed is looked at, or later; whatever its exit status."""
    row = quick(written(tmp_path, body))

    assert "crashed" == row.status and reason in row.reason


def test_digits_are_those_of_scikit_learn_which_need_not_be_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From its file, or by its function where there is none."""
    from sklearn.datasets import load_digits

    from samegrad.benchmarks.cases import inputs

    expected = load_digits(return_X_y=True)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    of_file = inputs.all_digits()
    monkeypatch.undo()
    monkeypatch.setattr(inputs, "find_spec", lambda _: None)
    for actual in (of_file, inputs.all_digits()):
        np.testing.assert_array_equal(expected[0], actual[0])
        np.testing.assert_array_equal(expected[1], actual[1])


def test_inputs_are_the_same_for_all_and_real_where_promised(tmp_path: Path) -> None:
    """What is written is what is read back; digits are scikit-learn's, lines are balanced."""
    from samegrad.benchmarks.cases import inputs
    from samegrad.benchmarks.cases.workload import MLPWorkload
    from samegrad.benchmarks.judge.inputs import draw

    problem = MLPWorkload("digits", MLPSpec((64, 32, 10), dtype="float64"), 32, 1437)
    made = draw(problem, 0)
    inputs.save(tmp_path, problem, made)
    read = inputs.load(tmp_path, problem)

    for a, b in ((made.X, read.X), (made.y, read.y), (made.params[0][0], read.params[0][0])):
        np.testing.assert_array_equal(a, b)
    assert (made.rate, made.scale) == (read.rate, read.scale) and made.rate >= 1.0
    X, y = inputs.digits()
    assert (1437, 64) == X.shape and 0.0 == X.min() and 1.0 == X.max()
    np.testing.assert_array_equal(np.sort(X.sum(axis=1)), np.sort(made.X.sum(axis=1)))
    X, y = inputs.line_length(np.random.default_rng(0))
    np.testing.assert_array_equal(X.sum(axis=1), y + 1)
    assert [2000] * 5 == np.bincount(y).tolist()
    assert (np.abs(np.diff(X, axis=1)).sum(axis=1) <= 2).all()  # one line, no gaps
