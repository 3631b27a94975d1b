"""Worksheets, filled in: right, in part, or with mistakes that students make."""

import ast
from collections.abc import Mapping
from pathlib import Path

from samegrad.implementations.exercises.sheets import SHEETS, Sheet

_NUMPY = {
    "affine": "return a @ W + b",
    "activation": "return np.tanh(z)",
    "loss": "return -np.mean(log_softmax(outputs)[np.arange(len(y)), y])",
    "penalty": "return weight_decay / 2 * sum((W**2).sum() for W, _ in params)",
    "output_delta": "return (softmax(outputs) - np.eye(outputs.shape[1])[y]) / len(y)",
    "weight_gradient": "return a.T @ delta + weight_decay * W",
    "bias_gradient": "return delta.sum(axis=0)",
    "hidden_delta": "return (delta @ W.T) * (1 - a**2)",
    "update": "return p - learning_rate * dp",
}
_AUTODIFF = {
    "affine": "return a @ W + b",
    "penalty": "return weight_decay / 2 * sum((W**2).sum() for W, _ in params)",
    "update": "return p - learning_rate * dp",
}
# worksheet -> function -> what is written in it
BODIES: dict[str, dict[str, str]] = {
    "loops": {
        "affine": """
z = []
for a_n in a:
    z.append([sum(a_ni * W[i][j] for i, a_ni in enumerate(a_n)) + b[j] for j in range(len(b))])
return z""",
        "activation": "return [[math.tanh(z_nj) for z_nj in z_n] for z_n in z]",
        "loss": """
value = 0.0
for z, k in zip(outputs, y):
    value += math.log(sum(math.exp(z_j - max(z)) for z_j in z)) + max(z) - z[k]
return value / len(y)""",
        "penalty": """
return weight_decay / 2 * sum(w * w for W, _ in params for row in W for w in row)""",
        "output_delta": """
return [[(p - (j == k)) / len(y) for j, p in enumerate(soft(z))] for z, k in zip(outputs, y)]""",
        "weight_gradient": """
return [[sum(a_n[i] * d_n[j] for a_n, d_n in zip(a, delta)) + weight_decay * W[i][j]
         for j in range(len(W[0]))] for i in range(len(W))]""",
        "bias_gradient": "return [sum(column) for column in zip(*delta)]",
        "hidden_delta": """
return [[sum(d * w for d, w in zip(d_n, W[i])) * (1 - a_n[i] ** 2) for i in range(len(W))]
        for d_n, a_n in zip(delta, a)]""",
        "update": """
return [[w - learning_rate * dw for w, dw in zip(r, dr)] for r, dr in zip(W, dW)]""",
    },
    "vectors": {
        **_NUMPY,
        "loss": "return -log_softmax(outputs)[y]",
        "output_delta": "return softmax(outputs) - np.eye(len(outputs))[y]",
        "weight_gradient": "return np.outer(a, delta)",
        "bias_gradient": "return delta",
        "hidden_delta": "return (W @ delta) * (1 - a**2)",
    },
    "matrices": _NUMPY,
    "optimizers": {
        "sgd": "return p - learning_rate * dp",
        "momentum": "v = MOMENTUM * v + dp\nreturn p - learning_rate * v, v",
        "nesterov": """
v[...] = MOMENTUM * v + dp
p -= learning_rate * (dp + MOMENTUM * v)
return p, v""",
        "adagrad": """
s = s + dp**2
return p - learning_rate * dp / (np.sqrt(s) + ADAGRAD_EPS), s""",
        "adadelta": """
s = RHO * s + (1 - RHO) * dp**2
d = np.sqrt(e + ADADELTA_EPS) / np.sqrt(s + ADADELTA_EPS) * dp
return p - learning_rate * d, s, RHO * e + (1 - RHO) * d**2""",
        "adam": """
m = BETA1 * m + (1 - BETA1) * dp
v = BETA2 * v + (1 - BETA2) * dp**2
step = m / (1 - BETA1**t) / (np.sqrt(v / (1 - BETA2**t)) + ADAM_EPS)
return p - learning_rate * step, m, v""",
        "adamw": "return adam(p - learning_rate * decay * p, dp, m, v, t, learning_rate)",
    },
    "autograd": {
        "Value.__add__": "return Value(self.data + other.data, (self, other), (1.0, 1.0))",
        "Value.__mul__": """
return Value(self.data * other.data, (self, other), (other.data, self.data))""",
        "Value.tanh": "t = math.tanh(self.data)\nreturn Value(t, (self,), (1 - t * t,))",
        "Value.exp": "e = math.exp(self.data)\nreturn Value(e, (self,), (e,))",
        "Value.log": "return Value(math.log(self.data), (self,), (1 / self.data,))",
        "Value.backward": """
order, seen = [], set()
def visit(value):
    if value not in seen:
        seen.add(value)
        for parent in value.parents:
            visit(parent)
        order.append(value)
visit(self)
for value in order:
    value.grad = 0.0
self.grad = 1.0
for value in reversed(order):
    for parent, slope in zip(value.parents, value.slopes):
        parent.grad += slope * value.grad""",
    },
    "torch": {
        **_AUTODIFF,
        "activation": "return torch.tanh(z)",
        "loss": "return torch.nn.functional.cross_entropy(outputs, y)",
        "loss_and_grad": """
value = loss(forward(params, X), y) + penalty(params, weight_decay)
for pair in params:
    for p in pair:
        p.grad = None
value.backward()
return value.detach(), [(W.grad, b.grad) for W, b in params]""",
    },
    "jax": {
        **_AUTODIFF,
        "activation": "return jnp.tanh(z)",
        "loss": """
logs = jax.nn.log_softmax(outputs)
return -logs[jnp.arange(len(y)), y].mean()""",
        "loss_and_grad": """
def value(params):
    return loss(forward(params, X), y) + penalty(params, weight_decay)
return jax.value_and_grad(value)(params)""",
    },
}
HELPERS = {
    "loops": """

def soft(z):
    e = [math.exp(z_j - max(z)) for z_j in z]
    return [e_j / sum(e) for e_j in e]
""",
    "numpy": """

def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(z):
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
""",
}
# file of a class -> worksheet, what differs from a right file, equation -> what is said of it
Changes = Mapping[str, str | None]  # None: not written yet
CLASS: dict[str, tuple[str, Changes, dict[str, str]]] = {
    "ada.py": ("matrices", {}, {}),
    "ben.py": ("matrices", dict.fromkeys(_NUMPY), dict.fromkeys(
        ("F1", "F2", "L1", "L2", "B1", "B2", "B3", "B4", "U1"), "not written yet")),
    "cleo.py": (
        "matrices",
        dict.fromkeys(["output_delta", "weight_gradient", "bias_gradient", "hidden_delta"], None)
        | {"update": "pass"},
        dict.fromkeys(("B1", "B2", "B3", "B4", "U1"), "not written yet"),
    ),
    "dan.py": (
        "matrices",
        {"output_delta": "return softmax(outputs) - np.eye(outputs.shape[1])[y]",
         "hidden_delta": "return delta @ W.T", "update": "return p + learning_rate * dp"},
        {"B1": "summed over the examples", "B4": "derivative of tanh is left out",
         "U1": "the gradient is added"},
    ),
    "eve.py": (
        "matrices",
        {"affine": "return a @ W", "loss": """
p = softmax(softmax(outputs))
return -np.mean(np.log(p[np.arange(len(y)), y]))""",
         "weight_gradient": "return a.T @ delta", "bias_gradient": "return delta.mean(axis=0)"},
        {"F1": "bias is left out", "L1": "softmax is taken twice", "B2": "weight decay is left out",
         "B3": "it is the mean"},
    ),
    "finn.py": (
        "matrices",
        {"activation": "while True:\n    pass", "loss": "import os\nos._exit(0)",
         "penalty": "return undefined", "output_delta": "return 'later'"},
        {"F2": "it hangs", "L1": "it ends the process", "L2": "raises NameError in line ",
         "B1": "a str instead of an array of shape (4, 3)"},
    ),
    "gus/worksheet.py": (
        "loops",
        {"hidden_delta": """
return [[sum(d * w for d, w in zip(d_n, W[i])) * (1 - math.tanh(a_n[i]) ** 2)
         for i in range(len(W))] for d_n, a_n in zip(delta, a)]""",
         "penalty": """
return weight_decay * sum(w * w for W, _ in params for row in W for w in row)"""},
        {"B4": "tanh is taken of a once more", "L2": "its 1/2 is missing"},
    ),
    "hana/worksheet.py": (
        "optimizers",
        {"momentum": """
v0 = MOMENTUM * np.zeros_like(p) + dp
return p - learning_rate * v0, v""",
         "adam": """
m = BETA1 * m + (1 - BETA1) * dp
v = BETA2 * v + (1 - BETA2) * dp**2
return p - learning_rate * m / (np.sqrt(v) + ADAM_EPS), m, v""",
         "adamw": "return adam(p, dp + decay * p, m, v, t, learning_rate)",
         "sgd": "p -= learning_rate * dp\nreturn p", "adadelta": None},
        {"U2": "what was kept is thrown away", "U6": "not corrected for their start",
         "U7": "off by", "U5": "not written yet"},
    ),
    "ivy.ipynb": (
        "autograd",
        {"Value.backward": """
def visit(value):
    for parent, slope in zip(value.parents, value.slopes):
        parent.grad = slope * value.grad
        visit(parent)
self.grad = 1.0
visit(self)""", "Value.log": None},
        {"D6": "order the Values first, and add up", "D5": "not written yet",
         "net": "not written yet: it needs log"},
    ),
    "jo.py": (
        "torch",
        {"loss_and_grad": """
value = loss(forward(params, X), y) + penalty(params, weight_decay)
value.backward()
return value.detach(), [(W.grad, b.grad) for W, b in params]"""},
        {"B1-B4": "gradients add up over calls"},
    ),
}  # fmt: skip


def filled(sheet: Sheet, bodies: Mapping[str, str | None]) -> str:
    """The worksheet with these bodies; the others stay empty."""
    lines = sheet.text.splitlines()
    tree = ast.parse(sheet.text)
    named = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            named |= {f"{node.name}.{n.name}": n for n in methods}
    for name, node in sorted(named.items(), key=lambda item: -item[1].lineno):
        body = bodies.get(name)
        if body is not None:
            last = node.body[-1]
            before = " " * last.col_offset
            lines[last.lineno - 1 : last.end_lineno] = [
                f"{before}{line}" for line in body.strip("\n").splitlines()
            ]
    helper = HELPERS.get(sheet.name) or HELPERS.get(sheet.kind, "")
    return "\n".join(lines) + "\n" + helper


def right(name: str) -> str:
    """A worksheet as its lecturer would fill it in."""
    return filled(SHEETS[name], BODIES[name])


def write_class(folder: Path) -> None:
    """The files of CLASS."""
    import json

    for name, (sheet, changes, _) in CLASS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = filled(SHEETS[sheet], {**BODIES[sheet], **changes})
        if path.suffix == ".ipynb":
            cell = {"cell_type": "code", "source": text.splitlines(keepends=True)}
            text = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4})
        path.write_text(text)
