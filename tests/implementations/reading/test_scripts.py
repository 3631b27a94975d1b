"""Scripts in the styles of public ones: right ones agree, of wrong ones the line is named."""

from pathlib import Path

import pytest

from samegrad.cli import main
from samegrad.implementations.checking.objects import lines
from samegrad.implementations.reading import files, judging, search
from samegrad.implementations.reading.files import verify_file
from tests.helpers.read_here import read_here

SCRIPTS = Path(__file__).parent / "files" / "scripts"
# right script -> the codes of its notes
RIGHT = {
    "minibatches.py": [],
    "gradient_table.py": [],
    "one_neuron.py": [],
    "momentum.py": [],
    "label_batches.py": [],
    "decay_in_update.py": ["decay-in-update"],
}
# wrong script -> the beginning of the line at fault, what is said of it
WRONG = {
    "updated_weights.py": ("grad_rectified =", "expected weight2 as it was before that changed"),
    "climbs.py": ("theta2 += alpha", "goes up the gradient"),
    "bias_forgotten.py": ("grad_b_2 =", "is used by no update: b_2 stays as it is"),
    "bias_per_example.py": ("B1 = B1 -", "gives B1 the shape (30, 4)"),
    "one_bias_summed.py": ("hidden_bias -=", "is 7 (the batch of this check) times the slope"),
    "wrong_slope_of_tanh.py": ("back =", ""),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_script_agrees(name: str) -> None:
    """With no other note than that of its convention, and by the names of its own variables."""
    report = read_here(SCRIPTS / name)

    assert "agrees" == report.verdict, report
    assert RIGHT[name] == [note.code for note in report.notes]
    assert "net[" not in str(report)
    assert "returned[" not in str(report)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_script_disagrees_by_its_line(name: str) -> None:
    """The first line that is named is the one at fault."""
    begins, said = WRONG[name]
    text = (SCRIPTS / name).read_text()
    number = next(
        n for n, line in enumerate(text.splitlines(), 1) if line.strip().startswith(begins)
    )

    report = read_here(SCRIPTS / name)

    assert "disagrees" == report.verdict, report
    assert report.lines[0].startswith(f"{name}:{number}: "), report
    assert said in report.lines[0]


@pytest.mark.parametrize(
    ("name", "old", "new", "verdict", "said"),
    [
        pytest.param(
            "minibatches.py", "(probs - yb) / len(xb)", "probs - yb", "agrees",
            "the batch size (7 in this check) times that of loss, for which a learning rate makes "
            "up [summed]", id="not averaged",
        ),
        pytest.param(
            "label_batches.py", "        b2 = b2 - lr * db2\n", "", "disagrees",
            "`db2 = dlogits.sum(axis=0)` is used by no update", id="bias with its gradient",
        ),
        pytest.param(
            "minibatches.py", "        b_in -= LEARNING_RATE * d_b_in\n", "", "disagrees",
            "d_b_in is the gradient of b_in, and no line takes it off that", id="another",
            marks=pytest.mark.full,
        ),
        pytest.param(
            "gradient_table.py", "for key in params:", 'for key in ("W1", "W2", "b2"):', "agrees",
            "params['b1'] changes the loss, and the loop never changes it",
            id="bias without an update",
        ),
        pytest.param(
            "gradient_table.py", "-= 0.3", "+= 0.3", "disagrees",
            "`params[key] += 0.3 * grads[key]` goes up the gradient", id="climbs by a table",
            marks=pytest.mark.full,
        ),
        pytest.param(
            "momentum.py", "W1 += vW1", "W1 -= vW1", "disagrees",
            "`W1 -= vW1` goes up the gradient", id="one climbs by momentum",
        ),
        pytest.param(
            "momentum.py", "eta * db1", "eta * dW1.sum(0)", "disagrees",
            "`b1 += vb1` takes off something else", id="another gradient",
            marks=pytest.mark.full,
        ),
        pytest.param(
            "minibatches.py", "w_out.T", "w_out", "not checked",
            "its loop raises ValueError in script.py:31: matmul", id="transpose",
        ),
        pytest.param(
            "label_batches.py", "da1.sum(axis=0)", "da1.sum(axis=1)", "not checked",
            "its loop raises ValueError in script.py:35: operands", id="axis",
            marks=pytest.mark.full,
        ),
        pytest.param(
            "minibatches.py", "rng.normal(size=(96, 5))", "np.loadtxt('no_such_table.txt')",
            "not checked", "its loop raises FileNotFoundError in script.py:4", id="data",
        ),
    ],
)  # fmt: skip
def test_what_is_said_of_a_script(
    name: str,
    old: str,
    new: str,
    verdict: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In words of the script: its lines, its variables, what its interpreter raises."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    text = (SCRIPTS / name).read_text()
    assert old in text
    file = tmp_path / "script.py"
    file.write_text(text.replace(old, new))

    report = read_here(file)

    assert verdict == report.verdict, report
    assert said in " ".join(str(report).split())


def test_note_of_a_script_fails_where_checks_are_strict(tmp_path: Path) -> None:
    """Unless its code is allowed."""
    text = (SCRIPTS / "gradient_table.py").read_text()
    file = tmp_path / "script.py"
    file.write_text(text.replace(" / len(features)", ""))
    verify = ["verify", str(file), "--strict"]

    assert 1 == main(verify)
    assert 0 == main([*verify, "--allow", "summed"])


def test_sign_that_is_lost_before_the_update_is_told_where_it_is_lost(tmp_path: Path) -> None:
    """The line of the error, and not that of the update, which takes off as it should."""
    text = (SCRIPTS / "gradient_table.py").read_text()
    file = tmp_path / "script.py"
    file.write_text(text.replace("(A2 - targets) /", "(targets - A2) /"))

    report = read_here(file)

    assert ("disagrees", True) == (report.verdict, "script.py:23: dZ2" in report.lines[0]), report


ASCENDS = """import numpy as np
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)); y = (rng.random(40) > 0.4) * 1.0
w = np.zeros(3); b = 0.0
for epoch in range(300):
    p = 1 / (1 + np.exp(-(X @ w + b)))
    log_likelihood = np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))
    dw, db = X.T @ (y - p), np.sum(y - p)
    w += 0.01 * dw
    b {sign}= 0.01 * db
"""
CLIPS = """import numpy as np
rng = np.random.default_rng(0)
x = rng.normal(size=(50, 3)); y = rng.normal(size=(50, 2))
w1 = rng.normal(size=(3, 7)); w2 = rng.normal(size=(7, 2))
for i in range(100):
    h = np.maximum(0, x @ w1)
    loss = 0.5 * np.sum((h @ w2 - y) ** 2) / len(x)
    d = (h @ w2 - y) / len(x)
    g1, g2 = x.T @ ((d @ w2.T) * (h > 0)), h.T @ d
    norm = np.sqrt((g1**2).sum() + (g2**2).sum())
    if norm > 0.5:
        g1, g2 = g1 * 0.5 / norm, g2 * 0.5 / norm
    w1 = np.clip(w1 - 0.1 * g1, -2, 2)
    w2 = np.clip(w2 - 0.1 * g2, -2, 2)
"""


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (ASCENDS.format(sign="+"), "agrees"),
        (ASCENDS.format(sign="-"), "disagrees"),
        (CLIPS, "agrees"),
    ],
    ids=["ascends", "one descends", "clips"],
)
def test_steps_of_another_kind_are_no_fault(
    text: str, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up a likelihood, of all weights alike; or cut to a length, which other weights have not."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    file = tmp_path / "script.py"
    file.write_text(text)

    report = read_here(file)

    assert verdict == report.verdict, report


BOTH = """import numpy as np
def initialize_parameters(n_x, n_h, n_y):
    rng = np.random.default_rng(0)
    W1, W2 = rng.normal(size=(n_h, n_x)), rng.normal(size=(n_y, n_h))
    return {"W1": W1, "b1": np.zeros((n_h, 1)), "W2": W2, "b2": np.zeros((n_y, 1))}
def forward_propagation(X, parameters):
    A1 = np.tanh(parameters["W1"] @ X + parameters["b1"])
    A2 = 1 / (1 + np.exp(-(parameters["W2"] @ A1 + parameters["b2"])))
    return A2, {"A1": A1, "A2": A2}
def compute_cost(A2, Y):
    return -np.sum(Y * np.log(A2) + (1 - Y) * np.log(1 - A2)) / Y.shape[1]
def backward_propagation(parameters, cache, X, Y):
    m = X.shape[1]
    dZ2 = cache["A2"] - Y
    dZ1 = (parameters["W2"].T @ dZ2) * (1 - cache["A1"] ** 2)
    return {"dW1": dZ1 @ X.T / m, "db1": np.sum(dZ1) / m, "dW2": dZ2 @ cache["A1"].T / m,
            "db2": np.sum(dZ2) / m}
"""


@pytest.mark.parametrize("seconds", [0.0, pytest.param(20.0, marks=pytest.mark.full)])
def test_reading_that_shows_more_is_told_however_many_there_was_time_for(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one output, the sum over everything of the last bias is right."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    monkeypatch.setattr(judging, "MORE_SECONDS", seconds)
    monkeypatch.setattr(search, "PASSES", (search.PASSES[0], search.PASSES[-1]))
    monkeypatch.setattr(search, "WIDE", ())
    file = tmp_path / "course.py"
    file.write_text(BOTH)

    report = read_here(file)

    assert ("disagrees", True) == (
        report.verdict, "initialize_parameters(4, 6, 3)" in report.reading
    ), report  # fmt: skip


SLOW = """import numpy as np, threading
class Net:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out)
    def forward(self, X):
        return X @ self.W
    def loss(self, X, Y):
        return ((self.forward(X) - Y) ** 2).sum() / 2
    def backward(self, X, Y):
        {waits}
        return X.T @ (self.forward(X) - Y)
"""


@pytest.mark.parametrize(
    ("waits", "limit", "said"),
    [
        ("threading.Event().wait()", "WAITING_SECONDS", "it waits, for 2 s by now"),
        ("sum(range(10**12))", "READING_SECONDS", "it takes longer than 2 s"),
    ],
)
def test_what_hangs_when_it_is_called_is_undecided(
    waits: str, limit: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what it computes, or by how long it waits, and not by the clock of a busy machine."""
    monkeypatch.setattr(files, limit, 2.0)
    file = tmp_path / "net.py"
    file.write_text(SLOW.format(waits=waits))

    report = verify_file(str(file))

    assert ("undecided", True) == (report.verdict, said in report.reason), report
