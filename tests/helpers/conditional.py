"""Faults that show only under a condition: of size, of values, of options, of calls.

Each is a condition, in the words of Python at the end of `loss_and_grad` of the right file, under
which dW of the first layer is 1 % too large.
"""

from pathlib import Path

from tests.helpers.planted import RIGHT

END = "    return loss, grads\n"
MASKED = (
    ("def layers(spec, params, X):", "def layers(spec, params, X, masks=None):"),
    (
        "    for (W, b), name in zip(params, spec.activations):\n        inputs.append(a)",
        "    drops = [*(masks or [None] * (len(params) - 1)), None]\n"
        "    for (W, b), name, m in zip(params, spec.activations, drops):\n"
        "        inputs.append(a)",
    ),
    ("        a = g(name, z)\n", "        a = g(name, z) if m is None else m * g(name, z)\n"),
    ("def forward(spec, params, X):", "def forward(spec, params, X, masks=None):"),
    ("layers(spec, params, X)[2]", "layers(spec, params, X, masks)[2]"),
    (
        "def loss_and_grad(spec, params, X, y):",
        "def loss_and_grad(spec, params, X, y, masks=None):",
    ),
    (
        "    inputs, zs, a = layers(spec, params, X)\n",
        "    inputs, zs, a = layers(spec, params, X, masks)\n",
    ),
    (
        "            delta = (delta @ W.T) * dg(spec.activations[l - 1], zs[l - 1])\n",
        "            delta = (delta @ W.T) * dg(spec.activations[l - 1], zs[l - 1])\n"
        "            delta = delta if masks is None else delta * masks[l - 1]\n",
    ),
)
BINARY = (
    '    else:\n        raise NotImplementedError(f"no loss {spec.loss}")\n',
    '    elif spec.loss == "binary_cross_entropy":\n'
    "        loss = (np.logaddexp(0, a) - y * a).sum() / n\n"
    "        delta = (np.exp(-np.logaddexp(0, -a)) - y) / n\n"
    '    else:\n        raise NotImplementedError(f"no loss {spec.loss}")\n',
)
SIGMOID = ("return 1 / (1 + np.exp(-z))", "return np.exp(-np.logaddexp(0, -z)).astype(z.dtype)")
WRONG = "grads[0] = (1.01 * grads[0][0], grads[0][1])"
SIZES = "spec.layer_sizes"
# name: the condition
CONDITIONS = {
    "five layers": f"len({SIZES}) > 5",
    "six layers": f"len({SIZES}) > 6",
    "seven layers": f"len({SIZES}) > 7",
    "a hidden width above 64": f"max({SIZES}[1:-1], default=0) > 64",
    "a hidden width above 128": f"max({SIZES}[1:-1], default=0) > 128",
    "more than 10,000 parameters": "spec.parameters > 10_000",
    "a batch above 8": "n > 8",
    "a batch above 16": "n > 16",
    "a batch above 32": "n > 32",
    "a batch above 64": "n > 64",
    "a batch above 100": "n > 100",
    "a batch above the number of features": "n > 2 * X.shape[1]",
    "a batch that is no multiple of 8": "n > 8 and n % 8",
    "one output": "a.shape[1] == 1",
    "two classes": 'a.shape[1] == 2 and spec.loss == "cross_entropy" and n > 4',
    "more than ten outputs": "a.shape[1] > 10",
    "one feature": "X.shape[1] == 1",
    "more than 32 features": "X.shape[1] > 32",
    "a hidden width of 1": "1 in spec.layer_sizes[1:-1]",
    "decay without biases": "spec.weight_decay and not spec.bias",
    "decay of another value": "spec.weight_decay not in (0, 0.1)",
    "decay of 1 and more": "spec.weight_decay >= 1",
    "dropout with decay": "masks is not None and spec.weight_decay",
    "dropout with biases left out": "masks is not None and not spec.bias",
    "dropout with squares": 'masks is not None and spec.loss == "mse"',
    "dropout with tanh": 'masks is not None and spec.activation == "tanh"',
    "dropout of another value": "masks is not None and spec.dropout != 0.4",
    "saturated units": "any(np.max(np.abs(z)) > 25 for z in zs[:-1])",
    "saturated units, NaN": "any(np.max(np.abs(z)) > 100 for z in zs[:-1]) and spec.activation in "
    '("tanh", "sigmoid")',
    "logits above 40": "40 < np.max(np.abs(a)) < 9000",
    "logits above 150": "150 < np.max(np.abs(a)) < 9000",
    "logits above 500": "500 < np.max(np.abs(a)) < 9000",
    "a row of zeros": "(X == 0).all(axis=1).any()",
    "a column of zeros": "(X == 0).all(axis=0).any()",
    "all labels alike": "n > 2 and (y == y[0]).all()",
    "equal logits": "a.shape[1] > 1 and n > 1 and np.ptp(a) < 1e-12",
    "no biases and one layer": "not spec.bias and len(params) == 1",
    "no biases and three layers": "not spec.bias and len(params) == 3",
    "no biases and relu": 'not spec.bias and spec.activation == "relu"',
    "sigmoid outputs and relu": 'spec.output_activation == "sigmoid" and spec.activation == "relu"',
    "sigmoid outputs, decay": 'spec.output_activation == "sigmoid" and spec.weight_decay',
    "three layers of sigmoids": 'spec.activation == "sigmoid" and len(params) == 3',
    "a layout of columns": "not X.flags.c_contiguous",
    "the second call on the same params": "SEEN.append(params) or any(p is params for p in "
    "SEEN[:-1])",
    "a label of the last class": 'spec.loss == "cross_entropy" and (y == a.shape[1] - 1).sum() > 3',
    "float32 and more than four layers": 'spec.dtype == "float32" and len(params) > 4',
}


def text(condition: str) -> str:
    """A file with every loss of ours and dropout, wrong where the condition holds."""
    made = RIGHT
    for old, new in (*MASKED, BINARY, SIGMOID):
        assert 1 == made.count(old), old
        made = made.replace(old, new)
    wrong = f"    if {condition}:\n        {WRONG}\n{END}"
    return "SEEN = []\n" + made.replace(END, wrong)


def plant(folder: Path, condition: str) -> str:
    """Write the file; returns its path."""
    path = folder / "my_mlp.py"
    path.write_text(text(condition))
    return str(path)


def watching() -> str:
    """The right file, with the names of the conditions in HELD under which a fault would show."""
    watch = (
        f"    for name, condition in {CONDITIONS!r}.items():\n"
        "        if np.any(grads[0][0]) and eval(condition, {**globals(), **locals()}):\n"
        "            HELD.add(name)\n"
    )
    return "HELD = set()\n" + text("False").replace(END, watch + END)
