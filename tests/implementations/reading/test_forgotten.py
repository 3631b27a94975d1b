"""Averages of gradients that start anew in each step are named; what is kept is not."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.implementations.reading.forgotten import thrown_away
from samegrad.implementations.reading.unkept import never_kept
from tests.helpers.read_here import read_here

LOOP = """
START
for epoch in range(20):
    dW = X.T @ (X @ W - Y)
    ANEW
    v = 0.9 * v + dW
    W -= 0.1 * v
"""
ADAM = """
class Adam:
    def __init__(self, params):
        self.params, self.t = params, 0
        self.m = [np.zeros_like(p) for p in params]
        self.v = [np.zeros_like(p) for p in params]

    def step(self, grads):
        self.t += 1
        ANEW
        for i, (p, g) in enumerate(zip(self.params, grads)):
            self.m[i] = 0.9 * self.m[i] + 0.1 * g
            self.v[i] = 0.999 * self.v[i] + 0.001 * g * g
            m = self.m[i] / (1 - 0.9**self.t)
            p -= 0.1 * m / (np.sqrt(self.v[i] / (1 - 0.999**self.t)) + 1e-8)
"""
BOOK = """
class Momentum:
    v = None

    def update(self, params, grads):
        IF
            self.v = {}
            for key, val in params.items():
                self.v[key] = np.zeros_like(val)
        for key in params.keys():
            self.v[key] = self.momentum * self.v[key] - self.lr * grads[key]
            params[key] += self.v[key]
"""
STATE = """
def init_state(params):
    return [np.zeros_like(W) for W in params]


def train_step(params, state, X, y, rate):
    grads = gradient(params, X, y)
    ANEW
    state = [0.9 * v + dW for v, dW in zip(state, grads)]
    return [W - rate * v for W, v in zip(params, state)], state
"""
TORCH = """
BEFORE
for epoch in range(20):
    ANEW
    opt.zero_grad()
    loss_fn(model(X), y).backward()
    opt.step()
"""
MADE = "opt = torch.optim.Adam(model.parameters(), lr=0.1)"
# Rules of classes and functions of the file's own; with UPDATE in the place of theirs.
OWN = """
class Rule:
    def __init__(self, lr=0.1):
        self.lr, self.h = lr, None

    def update(self, params, grads):
        if self.h is None:
            self.h = {k: np.zeros_like(v) for k, v in params.items()}
        for key in params.keys():
            UPDATE


class Heavy(Rule):
    pass


def rule(lr):
    h = {}
    def step(params, grads):
        for key in params:
            h[key] = 0.9 * h.get(key, 0) - lr * grads[key]
            params[key] += h[key]
    return step


BEFORE
for i in range(300):
    ANEW
    grads = net.gradient(x, t)
    STEP
"""
RULES = {
    "momentum": "self.h[key] = 0.9 * self.h[key] - self.lr * grads[key]\n"
    "            params[key] += self.h[key]",
    "adagrad": "self.h[key] += grads[key] * grads[key]\n"
    "            params[key] -= self.lr * grads[key] / (np.sqrt(self.h[key]) + 1e-7)",
    "rmsprop": "self.h[key] *= 0.99\n            self.h[key] += 0.01 * grads[key] ** 2\n"
    "            params[key] -= self.lr * grads[key] / (np.sqrt(self.h[key]) + 1e-7)",
    "adam": "self.h[key] += 0.1 * (grads[key] - self.h[key])\n"
    "            params[key] -= self.lr * self.h[key]",
    "sgd": "params[key] -= self.lr * grads[key]",
}
TAKE = "opt.update(net.params, grads)"
OPTAX = """
opt = optax.RULE
BEFORE
for i in range(100):
    ANEW
    grads = jax.grad(loss)(params, X, y)
    updates, state = opt.update(grads, state, params)
    params = optax.apply_updates(params, updates)
"""
BEGIN = "state = opt.init(params)"
# Sums over a batch, an average that is printed, a network per turn, a rate per epoch: no fault.
OTHERS = (
    "for epoch in range(9):\n  v = np.zeros_like(W)\n  for x, y in batch:\n    v = v + g(x, y)\n"
    "  W -= 0.1 * v",
    "for epoch in range(9):\n  v = 0\n  for x, y in batches:\n    v = 0.9 * v + g(x, y)\n"
    "    W -= 0.1 * v",
    "for epoch in range(9):\n  mean = 0.0\n  mean = 0.9 * mean + 0.1 * loss()\n  W -= 0.1 * g()\n"
    "  print(mean)",
    "for W in weights:\n  reg = 0.0\n  loss = data(W) + 0.5 * lam * reg\n  W -= 0.1 * loss",
    "for epoch in range(9):\n  grads = [0.0, 0.0]\n  grads[0] = X.T @ d\n  W -= 0.1 * grads[0]",
    f"for model in models:\n  {MADE}\n  loss(model).backward()\n  opt.step()",
    f"for seed in range(3):\n  model = Net(seed)\n  {MADE}\n  loss(model).backward()\n  opt.step()",
    f"for epoch in range(3):\n  {MADE}\n  for x, y in loader:\n    loss(x, y).backward()\n"
    "    opt.step()",
    "for epoch in range(9):\n  opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0)\n"
    "  loss().backward()\n  opt.step()",
    f"for epoch in range(3):\n  {MADE}\n  opt.load_state_dict(kept)\n  loss().backward()\n"
    "  opt.step()",
)


def found(text: str, **places: str) -> tuple[int, str] | None:
    """What is said of a text with something in its places."""
    for place, instead in places.items():
        text = text.replace(place, instead)
    loaded: Any = SimpleNamespace(statements=ast.parse(text).body)
    return thrown_away(loaded)


@pytest.mark.parametrize(
    ("text", "places", "name"),
    [
        (LOOP, {"START": "v = np.zeros_like(W)", "ANEW": "pass"}, None),
        (LOOP, {"START": "", "ANEW": "v = np.zeros_like(W)"}, "v"),
        (LOOP, {"START": "", "ANEW": "v, n = np.zeros(3), 0"}, "v"),
        (LOOP, {"START": "", "ANEW": "v = np.zeros_like(W) if epoch == 0 else v"}, None),
        (LOOP, {"START": "", "ANEW": "if epoch == 0: v = 0"}, None),
        (ADAM, {"ANEW": "pass"}, None),
        (ADAM, {"ANEW": "self.m = [np.zeros_like(p) for p in self.params]"}, "self.m"),
        (ADAM, {"ANEW": "self.v = [0.0] + [np.zeros(3)]"}, None),  # of what it is is not known
        (BOOK, {"IF": "if self.v is None:"}, None),
        (BOOK, {"IF": "with np.errstate(all='ignore'):"}, "self.v"),
        (STATE, {"ANEW": "pass"}, None),
        (STATE, {"ANEW": "state = init_state(params)"}, "state"),
        (STATE, {"ANEW": "state = state or init_state(params)"}, None),
        (TORCH, {"BEFORE": MADE, "ANEW": "pass"}, None),
        (TORCH, {"BEFORE": "", "ANEW": MADE}, "opt"),
        (TORCH, {"BEFORE": "", "ANEW": MADE.replace("Adam", "SGD")}, None),
        (TORCH, {"BEFORE": "", "ANEW": "opt = SGD(model.parameters(), 0.1, momentum=0.9)"}, "opt"),
        *(
            (
                OWN,
                {"UPDATE": rule, "BEFORE": "", "ANEW": "opt = Rule()", "STEP": TAKE},
                None if name == "sgd" else "opt",
            )
            for name, rule in RULES.items()
        ),
        *(
            (OWN, {"UPDATE": RULES["adam"], "BEFORE": before, "ANEW": anew, "STEP": step}, name)
            for before, anew, step, name in (
                ("opt = Rule()", "pass", TAKE, None),
                ("", "opt = Heavy(0.1)", TAKE, "opt"),
                ("", "pass", "Rule(0.1).update(net.params, grads)", "Rule(0.1)"),
                ("", "net.opt = Rule()", "net.opt.update(net.params, grads)", "net.opt"),
                ("", "step = rule(0.1)", "step(net.params, grads)", "step"),
                ("step = rule(0.1)", "pass", "step(net.params, grads)", None),
                (
                    "def one(x, t):\n    opt = Rule()\n    grads = net.gradient(x, t)\n    " + TAKE,
                    "one(x, t)",
                    "pass",
                    "opt",
                ),
                ("", "net = Net(3, 4)\n    opt = Rule()", TAKE, None),  # one for each network
                ("", "opt = Rule()\n    opt.h = kept", TAKE, None),
                ("", "opt = Rule() if i == 0 else opt", TAKE, None),
                ("", "opt = Rule()", f"for x, t in batches:\n        {TAKE}", None),
            )
        ),
        (OWN, {"UPDATE": RULES["adam"], "if self.h is None": "if True", "ANEW": "pass"}, "self.h"),
        (
            OWN,
            {"UPDATE": RULES["adagrad"], "if self.h is None": "if True", "ANEW": "pass"},
            "self.h",
        ),
        (
            OWN,
            {
                "UPDATE": RULES["adam"],
                "lr=0.1": "lr, h",
                "lr, None": "lr, h",
                "BEFORE": "",
                "ANEW": "opt = Rule(0.1, h)",
                "STEP": TAKE,
            },
            None,
        ),  # kept outside of it
        (OPTAX, {"RULE": "adam(0.1)", "BEFORE": "", "ANEW": BEGIN}, "state"),
        (OPTAX, {"RULE": "adam(0.1)", "BEFORE": BEGIN, "ANEW": "pass"}, None),
        (OPTAX, {"RULE": "sgd(0.1)", "BEFORE": "", "ANEW": BEGIN}, None),
        (OPTAX, {"RULE": "sgd(0.1, momentum=0.9)", "BEFORE": "", "ANEW": BEGIN}, "state"),
        *((text, {}, None) for text in OTHERS),
    ],
)
def test_name_is_that_of_a_state_that_starts_anew(
    text: str, places: dict[str, str], name: str | None
) -> None:
    """None where it is kept, where it is no average, or where the network is new as well."""
    at = found(text, **places)

    assert name == (None if at is None else at[1])


NET = """
import numpy as np


class Net:
    def __init__(self, n_in, n_out, rate=0.1):
        self.W, self.v, self.rate = np.random.randn(n_in, n_out), np.zeros((n_in, n_out)), rate

    def loss(self, X, Y):
        self.d = X @ self.W - Y
        return (self.d**2).sum() / 2

    def backward(self, X, Y):
        self.dW = X.T @ self.d

    def train_step(self, X, Y):
        self.loss(X, Y)
        self.backward(X, Y)
        STEP
"""
RULE = "self.v = 0.9 * self.v + self.dW\n        self.W -= self.rate * self.v"


UNKEPT = ADAM.replace("        ANEW\n", "").replace("self.m[i] = 0.9", "m_i = 0.9").replace(
    "m = self.m[i] /", "m = m_i /")  # fmt: skip
RETURNED = """
def momentum(p, g, v, rate=0.1):
    v_new = 0.9 * v + g
    return p - rate * v_new, v
"""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (UNKEPT, "self.m"),
        (RETURNED, "v"),
        (ADAM.replace("ANEW", ""), ""),
        (UNKEPT.replace("            p -=", "            self.m[i] = m_i\n            p -="), ""),
        (UNKEPT.replace("            p -=", "            self.m[i] += m_i - self.m[i]\n"
                        "            p -="), ""),
        (f"{UNKEPT}\n    def keep(self, new):\n        self.m = new\n", ""),
        (f"{UNKEPT}\nfor m in optimizer.m:\n    m *= 0.9\n", ""),
        (RETURNED.replace("v_new, v", "v_new, v_new"), ""),
        (RETURNED.replace("    return", "    v[...] = v_new\n    return"), ""),
        ("def step(W, dW, decay):\n    d = 0.1 * dW + decay * W\n    return W - d, decay", ""),
        ("class A:\n    def __init__(self):\n        self.decay = 0.0\n    def step(self, W, g):\n"
         "        d = g + self.decay * W\n        return W - 0.1 * d\n", ""),
    ],
)  # fmt: skip
def test_average_that_nothing_keeps_is_named_and_no_other(text: str, name: str) -> None:
    """The state that a step reads is never written."""
    found = never_kept(ast.parse(text))

    assert name == ("" if found is None else found[1]), found


@pytest.mark.parametrize(
    ("step", "verdict"),
    [(RULE, "agrees"), (f"self.v = np.zeros_like(self.W)\n        {RULE}", "disagrees")],
)
def test_class_that_throws_its_state_away(step: str, verdict: str, tmp_path: Path) -> None:
    """Is wrong though its gradient is right; the line is named."""
    text = NET.replace("STEP", step)
    file = tmp_path / "net.py"
    file.write_text(text)

    report = read_here(file)

    line = text[: text.index("np.zeros_like(")].count("\n") + 1 if verdict == "disagrees" else 0
    said = f"net.py:{line}: self.v starts anew in each step; expected to be kept from step to step"
    assert verdict == report.verdict, str(report)
    assert ((said,) if line else ()) == report.lines


IN_PLACE = """
import numpy as np
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
w, b = rng.normal(size=(3, 2)), np.zeros(2)
params = [w, b]
BEFORE
for epoch in range(100):
    d = (X @ w + b - Y) / len(X)
    loss = 0.5 * len(X) * (d * d).sum()
    INSIDE
    for p, g, v in zip(params, [X.T @ d, d.sum(axis=0)], vel):
        STEP
"""
ZEROS = "vel = [np.zeros_like(p) for p in params]"
NAMED = "vw, vb = np.zeros_like(w), np.zeros_like(b)\nvel = [vw, vb]"
UP = "v *= 0.9\n        v += g\n        p -= 0.1 * v"
DOWN = "v *= 0.9\n        v -= 0.1 * g\n        p += v"


@pytest.mark.parametrize("step", [UP, DOWN], ids=["up", "down"])
@pytest.mark.parametrize("zeros", [ZEROS, NAMED], ids=["list", "names"])
def test_averages_that_a_loop_changes_in_place(zeros: str, step: str) -> None:
    """Made anew in each turn they are named, and made once they are not."""
    inside = IN_PLACE.replace("INSIDE", zeros.replace("\n", "\n    ")).replace("STEP", step)
    before = IN_PLACE.replace("BEFORE", zeros).replace("STEP", step)

    anew = found(inside.replace("BEFORE", ""))

    assert anew is not None and anew[1] in ("vel", "vw")
    assert None is found(before.replace("INSIDE", "pass"))


@pytest.mark.parametrize("step", [UP, DOWN], ids=["up", "down"])
def test_momentum_that_is_kept_has_no_notes_on_its_rate(step: str, tmp_path: Path) -> None:
    """A step by an average is no rate times the gradient."""
    text = IN_PLACE.replace("BEFORE", ZEROS).replace("INSIDE", "pass").replace("STEP", step)
    file = tmp_path / "net.py"
    file.write_text(text)

    report = read_here(file)

    assert ("agrees", ()) == (report.verdict, report.notes)
    assert any("what is kept from step to step was read, not run" in r for r in report.remarks)
