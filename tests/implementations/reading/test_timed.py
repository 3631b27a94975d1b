"""Files in nobody's dialect as implementations: what of them is offered, and what is compared."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.judge.inputs import draw
from samegrad.benchmarks.judge.proofs import Proofs
from samegrad.benchmarks.worker.placed import Placed
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.reading import stepped, timed
from tests.helpers.proofs import first_call, handed_in
from tests.helpers.read_here import as_before

Load = Callable[[Path], timed.FileImplementation]
FILES = Path(__file__).parent / "files"
# A class; layer objects; a dict of weights; a pair of functions; lists of numbers.
STYLES = {
    "params_dict_class.py": ("loss_and_grad", 6),
    "small_framework.py": ("loss_and_grad", 6),
    "two_layer_functions.py": ("loss_and_grad", 6),
    "digits_functions.py": ("loss_and_grad", 6),
    "lists_of_floats.py": ("", 1),
}
CLASS = """
import numpy as np

class Net:
    def __init__(self, f, h, k):
        self.W1, self.b1 = np.random.randn(f, h), np.zeros(h)
        self.W2, self.b2 = np.random.randn(h, k), np.zeros(k)

    def forward(self, X):
        self.X, self.h = X, np.tanh(X @ self.W1 + self.b1)
        return self.h @ self.W2 + self.b2

    def loss(self, out, y):
        return np.sum((out - y) ** 2) / 2

    def backward(self, out, y):
        d = out - y
        e = d @ self.W2.T * (1 - self.h ** 2)
        return {"W1": self.X.T @ e, "b1": e.sum(0), "W2": self.h.T @ d, "b2": d.sum(0)}
"""

FUNCTIONS = """
import numpy as np

def init_params(n_in, n_hidden, n_out):
    f, h, k = n_in, n_hidden, n_out
    return [np.random.randn(f, h), np.zeros(h), np.random.randn(h, k), np.zeros(k)]

def forward(params, x):
    W1, b1, W2, b2 = params
    return np.tanh(x @ W1 + b1) @ W2 + b2

def loss_and_grad(params, x, y):
    W1, b1, W2, b2 = params
    h = np.tanh(x @ W1 + b1)
    d = (h @ W2 + b2 - y) / len(x)
    e = d @ W2.T * (1 - h ** 2)
    return len(x) * np.sum(d ** 2) / 2, [x.T @ e, e.sum(0), h.T @ d, d.sum(0)]
"""
# How people hold weights and biases in one list.
LISTS = {
    "flat": FUNCTIONS,
    "pairs": FUNCTIONS.replace("W1, b1, W2, b2 =", "(W1, b1), (W2, b2) =")
    .replace("[np.random.randn(f, h), np.zeros(h), ", "[(np.random.randn(f, h), np.zeros(h)), (")
    .replace("np.zeros(k)]", "np.zeros(k))]")
    .replace(
        "[x.T @ e, e.sum(0), h.T @ d, d.sum(0)]", "[(x.T @ e, e.sum(0)), (h.T @ d, d.sum(0))]"
    ),
    "weights first": FUNCTIONS.replace("W1, b1, W2, b2 =", "W1, W2, b1, b2 =")
    .replace("np.zeros(h), np.random.randn(h, k), ", "np.random.randn(h, k), np.zeros(h), ")
    .replace("[x.T @ e, e.sum(0), h.T @ d,", "[x.T @ e, h.T @ d, e.sum(0),"),
}
SCRIPT = """
import numpy as np

X, Y = np.random.randn(8, 3), np.random.randn(8, 2)
W = np.random.randn(3, 2)
for epoch in range(9):
    out = X @ W
    loss = np.sum((out - Y) ** 2) / 2
    W -= 0.01 * X.T @ (out - Y)
"""


@pytest.fixture
def load() -> Iterator[Callable[[Path], timed.FileImplementation]]:
    """Load a file in this process, which is as before afterwards."""
    with as_before():
        yield lambda path: timed.load_file(str(path))


def gated(
    file: timed.FileImplementation,
    sizes: tuple[int, ...],
    batch: int,
    where: Path,
    operation: str = "",
) -> tuple[dict[str, Any], Placed]:
    """(the verdict of the gate, what is placed) on one operation of a file."""
    own = file.owns[0]
    operation = operation or ("train_step" if own.calls.step else "loss_and_grad")
    spec = MLPSpec(sizes, **own.form, dtype="float64")
    workload = MLPWorkload("test", spec, batch, 4 * batch)
    placed = Placed(workload, file, "cpu", draw(workload, 0))
    return first_call(placed, operation, where), placed


@pytest.mark.parametrize("name", STYLES)
def test_file_agrees_on_a_network_of_other_sizes(load: Load, name: str, tmp_path: Path) -> None:
    """Each style is built for other sizes, and gives the reference's gradient there."""
    file = load(FILES / name)
    operation, batch = STYLES[name]
    outputs = 5 if file.owns[0].sizes[-1] > 1 else 1
    verdict, _ = gated(file, (9, 7, outputs), batch, tmp_path, operation)

    assert verdict["reason"] == ""


@pytest.mark.parametrize("operation", ["forward", "loss_and_grad", "train_step"])
@pytest.mark.parametrize("form", LISTS)
def test_two_functions_are_timed_and_their_steps_are_sgd(
    load: Load, form: str, operation: str, tmp_path: Path
) -> None:
    """Weights and biases in one list are told apart; a step takes its own gradient off them."""
    path = tmp_path / "two.py"
    path.write_text(LISTS[form])
    file = load(path)
    verdict, _ = gated(file, (9, 7, 5), 6, tmp_path, operation)

    assert verdict["reason"] == ""
    assert "samegrad's update rule" in file.said()["training step"]


def test_batch_of_as_many_examples_as_outputs_keeps_its_targets(load: Load, tmp_path: Path) -> None:
    """A square of targets fits both ways round; rows stay rows."""
    path = tmp_path / "two.py"
    path.write_text(FUNCTIONS)
    verdict, _ = gated(load(path), (9, 7, 5), 5, tmp_path)

    assert verdict["reason"] == ""


@pytest.mark.parametrize("name", ["params_dict_class.py", "two_layer_functions.py"])
def test_step_of_a_gradient_that_a_network_keeps(load: Load, name: str, tmp_path: Path) -> None:
    """Its gradient is in an attribute or a dict, with examples in columns perhaps."""
    file = load(FILES / name)
    verdict, placed = gated(
        file, (9, 7, 5 if file.owns[0].sizes[-1] > 1 else 1), 6, tmp_path, "train_step"
    )
    block = handed_in(placed, "train_step", 3, tmp_path)

    assert ["", ""] == [verdict["reason"], Proofs(tmp_path).verdict(block)["reason"]]


def test_step_in_the_wrong_direction_is_refused(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is supplied is compared with the reference's step as any other."""
    path = tmp_path / "two.py"
    path.write_text(FUNCTIONS)
    update = stepped._update
    monkeypatch.setattr(
        stepped, "_update", lambda *given: lambda result, rate: update(*given)(result, -rate)
    )
    verdict, _ = gated(load(path), (9, 7, 5), 6, tmp_path, "train_step")

    assert "after a step" in verdict["reason"] or "W1" in verdict["reason"]


def test_gradient_that_adds_up_makes_no_step(load: Load, tmp_path: Path) -> None:
    """A step of it would be of all that came before."""
    path = tmp_path / "two.py"
    path.write_text(FUNCTIONS)
    file = load(path)
    spec = MLPSpec((4, 6, 3), **file.owns[0].form, dtype="float64")
    network = file.params_from_numpy(spec, init_params(spec), "cpu")
    run, calls = network.run, count(1)
    network.run = lambda batch: (0.0, [next(calls) * g for g in run(batch)[1]])

    with pytest.raises(NotImplementedError, match="nor a gradient for one"):
        file.init_state(spec, network)


def test_script_says_what_to_put_into_a_function(load: Load, tmp_path: Path) -> None:
    """Its loop agrees and cannot be called: the line names its lines."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)

    with pytest.raises(timed.NotTimedError, match=r"a loop \(lines 6 to 9\).* put that into"):
        load(path)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("(1 - self.h ** 2)", "(1 - self.h)", marks=pytest.mark.full),
        # Right for the usual squares, and not for the loss that the file has.
        ("d = out - y", "d = 2 * (out - y)"),
    ],
)
def test_file_with_a_fault_has_no_rows(load: Load, tmp_path: Path, right: str, wrong: str) -> None:
    """A wrong derivative is found before anything is timed, and its rows say wrong."""
    path = tmp_path / "wrong_net.py"
    path.write_text(CLASS.replace(right, wrong))

    with pytest.raises(timed.NotTimedError) as raised:
        load(path)
    assert raised.value.status == "wrong"


def test_gate_refuses_a_fault_that_shows_at_larger_sizes(load: Load, tmp_path: Path) -> None:
    """What is right on the small network and wrong on the one that is timed gets no number."""
    path = tmp_path / "late_net.py"
    path.write_text(CLASS.replace("        d = out - y\n", "        d = out - y\n" + 8 * " "
                                  + "d = d * (1.5 if self.W1.shape[1] > 20 else 1)\n"))  # fmt: skip
    verdict, _ = gated(load(path), (9, 30, 4), 6, tmp_path)

    assert verdict["reason"] and not verdict["undecided"]


def test_gate_refuses_a_gradient_that_ignores_its_batch(load: Load, tmp_path: Path) -> None:
    """A gradient that is kept from the call before is found in the timed block, at the latest."""
    path = tmp_path / "kept_net.py"
    path.write_text(
        CLASS.replace("        d = out - y\n", "        if len(y) > 50 and hasattr(Net, 'kept'):\n"
                      "            return Net.kept\n        d = out - y\n")
        .replace("        return {", "        Net.kept = {")
        .replace('"b2": d.sum(0)}', '"b2": d.sum(0)}\n        return Net.kept')
    )  # fmt: skip
    verdict, placed = gated(load(path), (9, 7, 4), 64, tmp_path)
    placed.overwrites.add("loss_and_grad")
    block = handed_in(placed, "loss_and_grad", 9, tmp_path)

    assert verdict["reason"] or "dW" in Proofs(tmp_path).verdict(block)["reason"]


def test_sum_over_the_batch_is_a_convention_that_is_said(load: Load, tmp_path: Path) -> None:
    """A summed loss and its gradient agree, and the row says so."""
    path = tmp_path / "summed_net.py"
    path.write_text(CLASS)
    file = load(path)
    verdict, _ = gated(file, (9, 7, 4), 6, tmp_path)

    assert verdict["reason"] == ""
    assert "summed over the batch" in file.conventions(MLPSpec((9, 7, 4), **file.owns[0].form))


def test_sizes_that_a_file_cannot_have_are_refused(load: Load, tmp_path: Path) -> None:
    """A network of one hidden layer has no rows with two: that is no fault of the file."""
    path = tmp_path / "shallow_net.py"
    path.write_text(CLASS)
    file = load(path)

    with pytest.raises(NotImplementedError, match="no network of these sizes"):
        gated(file, (9, 7, 6, 4), 6, tmp_path)
    with pytest.raises(NotImplementedError, match="another one: --activation tanh"):
        file.own(MLPSpec((9, 7, 4)))


def test_hints_in_the_file_hold(load: Load, tmp_path: Path) -> None:
    """A backward pass that a hint names is what is called."""
    path = tmp_path / "hinted_net.py"
    hints = "# samegrad: net = Net(4, 6, 3)\n# samegrad: loss = net.cost_of(net.forward(X), y)\n"
    hints += "# samegrad: backward = net.qq(net.forward(X), y)\n"
    path.write_text(hints + CLASS.replace("def backward", "def qq").replace("loss(", "cost_of("))
    file = load(path)
    verdict, _ = gated(file, (4, 6, 3), 6, tmp_path)

    assert verdict["reason"] == ""


def test_results_are_converted_after_the_call(load: Load, tmp_path: Path) -> None:
    """A timed call hands over what the file returned, as it is."""
    path = tmp_path / "plain_net.py"
    path.write_text(CLASS)
    file = load(path)
    spec = MLPSpec((4, 6, 3), **file.owns[0].form, dtype="float64")
    placed = Placed.random(MLPWorkload("test", spec, 5, 5), file, "cpu")
    params, _ = placed.start(with_state=False)
    result, _ = file.loss_and_grad(spec, params, *placed.batches[0])

    assert sorted(result.returned) == ["W1", "W2", "b1", "b2"]
    assert isinstance(result.returned["W1"], np.ndarray)
