"""Mistakes that people make in worksheets, each told by its name and not by how much it is off."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from samegrad.implementations.exercises import check
from samegrad.implementations.exercises.judging import CUT, RIGHT_STATE, WRONG
from samegrad.implementations.exercises.sheets import SHEETS
from tests.helpers.worksheets import BODIES, filled

SOFT = "e = np.exp(outputs)\n"
OWN = "p = e / e.sum(axis=1, keepdims=True)\n"
ADDED, SET = "parent.grad += slope * value.grad", "parent.grad = value.grad * slope"
DEPTH = BODIES["autograd"]["Value.backward"].replace(ADDED, SET)
BREADTH = """
order = [self]
for value in order:
    value.grad = 0.0
    order += [parent for parent in dict.fromkeys(value.parents) if parent not in order]
self.grad = 1.0
for value in order:
    for parent, slope in zip(value.parents, value.slopes):
        parent.grad += value.grad * slope"""
# name of a file -> worksheet, function -> (what is written, what is said of it)
FILES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "shared rows": ("loops", {
        "affine": ("""
z = [[0.0] * len(b)] * len(a)
for n, row in enumerate(a):
    for j in range(len(b)):
        z[n][j] = b[j] + sum(x * w[j] for x, w in zip(row, W))
return z""", "all rows are the last one: [[0.0] * m] * n has one row n times"),
        "activation": ("""
out = []
for row in z:
    out.append([math.tanh(v) for v in row])
    return out""", "only the first example is in it: it returns inside the loop"),
        "loss": ("""
value = 0.0
for z, k in zip(outputs, y):
    value -= math.log2(math.exp(z[k]) / sum(map(math.exp, z)))
return value / len(y)""", "the log is to base 2"),
        "penalty": ("s = sum(abs(w) for W, _ in params for row in W for w in row)\n"
                    "return weight_decay / 2 * s", "weights are not squared"),
        "weight_gradient": ("""
dW = [[0.0] * len(W[0]) for _ in W]
for a_n, d_n in zip(a, delta):
    for i, x in enumerate(a_n):
        for j, d in enumerate(d_n):
            dW[i][j] = x * d + weight_decay * W[i][j]
return dW""", "only the last example is in it"),
        "bias_gradient": ("for row in delta:\n    db = list(row)\nreturn db",
                          "only the last example is in it"),
    }),
    "changed": ("loops", {
        "affine": ("""
z = []
for a_n in a:
    row = b
    for j in range(len(b)):
        row[j] += sum(x * w[j] for x, w in zip(a_n, W))
    z.append(row)
return z""", "times the largest entry; it changes what it is given"),
    }),
    "entries": ("matrices", {
        "loss": (f"{SOFT}return -np.log((e / e.sum())[range(len(y)), y]).mean()",
                 "softmax goes over all entries at once, not over each example"),
        "output_delta": (f"{SOFT}{OWN}p[:, y] -= 1\nreturn p / len(y)",
                         "1 is subtracted in every column"),
        "weight_gradient": ("return delta.T @ a + weight_decay * W",
                            "it is transposed: it must have the shape of W; it raises ValueError"),
        "penalty": ("return weight_decay / 2 * sum(np.linalg.norm(W) for W, _ in params)",
                    "norms are not squared"),
        "hidden_delta": ("return -delta @ W.T", "derivative of tanh is left out; it has the wrong"),
    }),
    "labels": ("matrices", {
        "loss": (f"{SOFT}{OWN}return -np.log(p[:, y]).mean()", "with the labels of all"),
        "output_delta": (f"{SOFT}p = e / e.sum()\np[range(len(y)), y] -= 1\nreturn p",
                         "not over each example; it is summed over the examples"),
        "bias_gradient": (
            "sums = globals().setdefault('sums', {})\n"
            "sums[delta.shape] = sums.get(delta.shape, 0) + delta.sum(axis=0)\n"
            "return 1 * sums[delta.shape]", "gradients add up over calls"),
    }),
    "losses": ("matrices", {
        "loss": (f"{SOFT}{OWN}T = np.eye(p.shape[1])[y]\n"
                 "return -np.mean(T * np.log(p) + (1 - T) * np.log(1 - p))",
                 "it is binary cross entropy of softmax, each class by itself; it is divided by "
                 "the number of outputs, too"),
    }),
    "indices": ("vectors", {
        "loss": (f"{SOFT}return -np.sum(y * np.log(e / e.sum()))", "y is taken for onehot(y)"),
        "output_delta": (f"{SOFT}return e / e.sum() - y", "y is taken for onehot(y)"),
    }),
    "kept": ("vectors", {
        "weight_gradient": ("for x in a:\n    row = x * delta\nreturn np.array([row] * len(a))",
                            "all rows are the last one"),
        "hidden_delta": (
            "before = globals().get('before', a)\nglobals()['before'] = a\n"
            "a = before if before.shape == a.shape else a\nreturn (W @ delta) * (1 - a**2)",
            "something is kept"),
    }),
    "rules": ("optimizers", {
        "adagrad": ("s = s + dp\nreturn p - learning_rate * dp / (np.sqrt(s) + ADAGRAD_EPS), s",
                    "dp is not squared in s"),
        "adadelta": (BODIES["optimizers"]["adadelta"].replace(
            "* d, s, RHO * e + (1 - RHO) * d**2", "* d, RHO * e + (1 - RHO) * d**2, s"),
            "s and e are returned in each other's place"),
        "adam": (BODIES["optimizers"]["adam"].replace("**t", "**(t + 1)"), "t is one too many"),
        "adamw": ("p = p - learning_rate * decay * p\n" + BODIES["optimizers"]["adam"].replace(
            "* step, m, v", "* step, v, m"), "m and v are returned in each other's place"),
    }),
    "depth": ("autograd", {
        "Value.__add__": ("return Value(self.data + other.data, (self, other))",
                          "it has 0 slopes for 2 parents"),
        "Value.exp": ("return Value(math.exp(self.data), (self,), (self.data,))",
                      "the slope is the number, not its exp"),
        "Value.log": ("return Value(math.log(self.data), (self,), (self.data,))",
                      "the slope is the number, not 1 over it"),
        "Value.backward": (DEPTH, "a grad is set where it must be added to"),
    }),
    "breadth": ("autograd", {
        "Value.backward": (BREADTH, "how far it is from the end is no order"),
    }),
}  # fmt: skip


def checked(folder: Path, name: str, changes: Mapping[str, str]) -> check.Report:
    """A worksheet, right but for some functions."""
    path = folder / "sheet.py"
    text = filled(SHEETS[name], {**BODIES[name], **changes})
    path.write_text(
        text.replace("import numpy as np\n", "import numpy as np\n\ntotal = np.zeros(0)\n")
    )
    return check.check(path, seed=1)


@pytest.mark.parametrize("name", FILES)
def test_mistake_has_a_name(name: str, tmp_path: Path) -> None:
    """And nothing else of the file is wrong."""
    sheet, functions = FILES[name]

    report = checked(tmp_path, sheet, {f: body for f, (body, _) in functions.items()})

    said = {r.function: r.said for r in report.results if r.state == WRONG and r.equation != "net"}
    assert functions.keys() == said.keys()
    assert [] == [(said[f], words) for f, (_, words) in functions.items() if words not in said[f]]


@pytest.mark.parametrize(
    ("sheet", "changes"),
    [
        ("torch", {"loss": f"{BODIES['torch']['loss']}.item()"}),
        ("torch", {"activation": "return torch.tensor(torch.tanh(z).detach().numpy())"}),
        pytest.param("jax", {"activation": "import numpy\nreturn numpy.tanh(z)"},
                     marks=pytest.mark.full),  # JAX compiles for 10 s; `child.stops` is tested
        pytest.param("jax", {"activation": "return jax.lax.stop_gradient(jnp.tanh(z))"},
                     marks=pytest.mark.full),
    ],
)  # fmt: skip
def test_what_autograd_cannot_pass_costs_the_gradient_alone_and_is_named(
    sheet: str, changes: dict[str, str], tmp_path: Path
) -> None:
    """The numbers are right: a note there; the gradient says which function it is."""
    pytest.importorskip(sheet, reason=f"{sheet} is not installed")
    ((function, _),) = changes.items()

    report = checked(tmp_path, sheet, changes)

    of = {result.function: result for result in report.results}
    assert (RIGHT_STATE, [CUT]) == (of[function].state, of[function].notes)
    assert WRONG == of["loss_and_grad"].state and of["loss_and_grad"].said.startswith(function)
    assert report.score == report.most - 1


def test_gradient_says_which_function_raises(tmp_path: Path) -> None:
    """It cannot be judged: its own line is not where the exception comes from."""
    pytest.importorskip("torch", reason="torch is not installed")

    report = checked(tmp_path, "torch", {"loss": "return torch.nosuch(outputs, y)"})

    said = {result.function: result.said for result in report.results}
    assert "raises AttributeError" in said["loss"]
    assert "because of loss (L1)" == said["loss_and_grad"]
