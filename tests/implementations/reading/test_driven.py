"""Training that no program calls, and what constructors of such networks are given."""

import builtins
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from samegrad.implementations.reading import older
from samegrad.implementations.reading.assembled import of_assembled
from samegrad.implementations.reading.board import Form, Sizes
from samegrad.implementations.reading.driven import driven_readings, one_pass
from samegrad.implementations.reading.found import compared_with
from samegrad.implementations.reading.loading import load, own_classes
from samegrad.implementations.reading.networks import constructions, methods
from samegrad.implementations.reading.search import of_classes
from tests.helpers.read_here import as_before

# Weights come to be in the training, which shuffles rows; what it gives are words.
TRAINED = """
import numpy as np

class Judge:
    def __init__(self, rooms=5):
        self.rooms = rooms

    def train(self, X, y, epochs=100, pace=0.1):
        rng = np.random.default_rng(0)
        self.A = rng.normal(0, 0.5, (X.shape[1], self.rooms))
        self.B = rng.normal(0, 0.5, (self.rooms, y.shape[1]))
        for _ in range(epochs):
            for i in np.random.permutation(len(X)):
                row, aim = X[i : i + 1], y[i : i + 1]
                inner = np.tanh(row @ self.A)
                said = inner @ self.B
                off = said - aim
                back = off @ self.B.T * {slope}
                self.B = self.B - pace * inner.T @ off
                self.A = self.A - pace * row.T @ back

    def verdict(self, X):
        return ["yes" if v > 0 else "no" for v in np.tanh(X @ self.A) @ self.B[:, 0]]
"""
# Inputs, the way up and targets are given one by one.
STEPWISE = """
import numpy as np

class Cells:
    def __init__(self, sizes):
        self.links = [np.random.normal(0, 0.5, pair) for pair in zip(sizes[:-1], sizes[1:])]
        self.levels = [np.zeros(n) for n in sizes]

    def setInputs(self, values):
        self.levels[0] = np.array(values, float)

    def fire(self):
        for i, link in enumerate(self.links):
            self.levels[i + 1] = np.tanh(self.levels[i] @ link)

    def correct(self, wanted):
        push = (wanted - self.levels[-1]) * {slope}
        for i in reversed(range(len(self.links))):
            below = (self.links[i] @ push) * (1 - self.levels[i] ** 2)
            self.links[i] += 0.1 * np.outer(self.levels[i], push)
            push = below
"""
KINDS = {
    "trained": (TRAINED, "(1 - inner**2)", "(1 - inner)", "Judge().train(X, y, epochs)"),
    "stepwise": (
        STEPWISE, "(1 - self.levels[-1] ** 2)", "1.0",
        "Cells([4, 6, 3]).setInputs(X), fire(), correct(y)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_training_is_called_where_no_program_does(tmp_path: Path, kind: str, wrong: bool) -> None:
    """With small data, watched as a program is."""
    text, right, other, shown = KINDS[kind]
    file = tmp_path / f"{kind}.py"
    file.write_text(text.replace("{slope}", other if wrong else right))
    with as_before():
        loaded = load(file)
        readings = driven_readings(loaded, lambda: (m for m, _ in of_classes(loaded, "")))
        reading = next(r for r in readings if r.loss_name == "squared error")
        compared = compared_with(reading)

    assert reading.how.startswith(f"called by samegrad as {shown}, ")
    assert compared is not None and len(compared.judged) == 2
    assert wrong != all(m.proportional(compared.tolerance) for m in compared.judged)


def test_pass_is_of_methods_that_take_one_thing_each(tmp_path: Path) -> None:
    """Of one that takes all at once there is none."""
    file = tmp_path / "net.py"
    file.write_text(TRAINED.replace("{slope}", "1"))
    with as_before():
        net = own_classes(load(file))["Judge"]()

    assert one_pass(methods(net)) == ""


# Constructors that names of parameters do not tell of.
GIVEN = """
import numpy as np

def bend(z): return np.tanh(z)
def bend_prime(z): return 1 - np.tanh(z) ** 2
def tanh(z): return np.tanh(z)
def tanh_prime(z): return 1 - np.tanh(z) ** 2
WAYS = {"SIGMOID": 1, "RELU": 2}

class Curve:
    def up(self, z): return np.tanh(z)
    def down(self, z): return 1 - np.tanh(z) ** 2

class Spread:
    def __init__(self, inputs, outputs, *hidden):
        self.widths = [inputs, *hidden, outputs]

class Word:
    def __init__(self, layers, kind):
        self.kind = kind
        self.made = layers, WAYS[self.kind]

class Thing:
    def __init__(self, n_in, n_out, curve):
        self.curve = curve
    def forward(self, x): return self.curve.up(x) + self.curve.down(x)

class Pair:
    def __init__(self, n_in, n_out, how, how_prime):
        self.how, self.prime = how, how_prime
        self.two = float(how(0.0)), float(how_prime(0.0))

class Part:
    def __init__(self, inputs, outputs, cases):
        self.W = np.ones((inputs, int(cases / (inputs + outputs))))
"""


@pytest.mark.parametrize(
    ("name", "attribute", "shown"),
    [
        ("Spread", "widths", "[4, 6, 3]"),
        ("Word", "kind", "SIGMOID"),
        ("Thing", "curve", "Curve"),
        ("Pair", "two", "(0.0, 1.0)"),
        ("Part", "W", "(4, 5)"),
    ],
)
def test_constructor_is_given_what_it_makes_use_of(
    tmp_path: Path, name: str, attribute: str, shown: str
) -> None:
    """Hidden widths beside both ends, a key of a dict, an object or a function of the file."""
    file = tmp_path / "given.py"
    file.write_text(GIVEN)
    with as_before():
        loaded = load(file)
        for make in constructions(own_classes(loaded)[name], loaded):
            try:
                held = getattr(make(Sizes(), Form()).net, attribute)
            except (ValueError, TypeError, KeyError):
                continue
            break

    seen = held.shape if isinstance(held, np.ndarray) else held
    assert shown in str(seen)


def test_file_in_a_package_of_its_own_name_finds_the_package(tmp_path: Path) -> None:
    """In its folder the file itself stands in the way of that."""
    folder = tmp_path / "owls"
    folder.mkdir()
    (folder / "bends.py").write_text("def bend(z): return z * z\n")
    (folder / "owls.py").write_text("import owls.bends as b\n\nclass Owl:\n    turn = b.bend\n")
    with as_before():
        loaded = load(folder / "owls.py")

    assert (loaded.whole, loaded.remarks) == (True, [])
    assert loaded.module.__name__ == "owls.owls"


def test_what_is_gone_is_put_back_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that calls it, alone."""
    monkeypatch.setattr(builtins, "get_ipython", None, raising=False)
    monkeypatch.setattr(older, "GONE", [("gone_number", float)])

    assert older.put_back("t0 = np.number_gone(1)") == []
    assert not hasattr(np, "gone_number")
    (said,) = older.put_back("t0 = np.gone_number(1)")
    assert said.startswith("numpy.gone_number is gone")
    monkeypatch.delattr(np, "gone_number")
    call = "get_ipython().run_line_magic('matplotlib', 'inline')"
    monkeypatch.setattr(builtins, "get_ipython", older.shell)
    exec(compile(call, str(Path("file.py").resolve()), "exec"))
    library = str(Path(sysconfig.get_path("purelib"), "library.py"))
    with pytest.raises(NameError, match="get_ipython"):  # as JAX asks, which would import IPython
        exec(compile(call, library, "exec"))


# A container of layers in the files of its package, trained by a cost and its derivative.
PACKAGE = {
    "__init__.py": "",
    "nets.py": """
class Pile:
    def __init__(self, layers):
        self.layers = layers

    def run(self, X):
        for layer in self.layers:
            X = layer.forward(X)
        return X

    def fit(self, X, y, epochs, rate, custo, custo_derivada):
        for _ in range(epochs):
            said = self.run(X)
            custo(said, y)
            down = custo_derivada(said, y)
            for layer in reversed(self.layers):
                down = layer.back(down, rate)
""",
    "parts/__init__.py": "",
    "parts/dense.py": """
import numpy as np

class Dense:
    def __init__(self, n_in, n_out, bend, bend_derivative=None):
        self.W = np.random.normal(0, 0.5, (n_in, n_out))
        self.bend = bend
        self.bend_derivative = bend_derivative

    def forward(self, X):
        self.X, self.Z = X, X @ self.W
        return self.bend(self.Z)

    def back(self, down, rate):
        down = down * self.bend_derivative(self.Z)
        below = down @ self.W.T
        self.W -= rate * self.X.T @ down
        return below
""",
    "parts/curves.py": """
import numpy as np

def relu(z): return np.maximum(z, 0)
def relu_derivative(z): return (z > 0) * 1.0
def tanh(z): return np.tanh(z)
def tanh_derivative(z): return 1 - np.tanh(z) ** 2
def custo(out, y): return ((out - y) ** 2).sum() / 2
def custo_derivada(out, y): return out - y
""",
}


def test_layers_of_a_package_are_put_together(tmp_path: Path) -> None:
    """Of two widths, a function and its derivative; the smoothest of those that there are."""
    folder = tmp_path / "piles"
    (folder / "parts").mkdir(parents=True)
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    with as_before():
        loaded = load(folder / "nets.py")
        readings = driven_readings(
            loaded, lambda: (m for m, _ in of_assembled(loaded, watched=True))
        )
        reading = next(readings)
        compared = compared_with(reading)

    shown = "Pile([Dense, Dense]).fit(X, y, epochs, rate, custo, custo_derivada)"
    assert reading.how.startswith(f"called by samegrad as {shown}, examples in rows, ")
    assert compared is not None and len(compared.judged) == 2
    assert all(m.proportional(compared.tolerance) for m in compared.judged)
