"""A right gradient as a user would write it, and faults to plant in it."""

from pathlib import Path

RIGHT = """
import numpy as np

def g(name, z):
    if name == "identity":
        return z
    if name == "relu":
        return np.maximum(z, 0)
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return 1 / (1 + np.exp(-z))
    raise NotImplementedError(f"no activation {name}")

def dg(name, z):
    if name == "identity":
        return np.ones_like(z)
    if name == "relu":
        return (z > 0).astype(z.dtype)
    if name == "tanh":
        return 1 - np.tanh(z) ** 2
    return g(name, z) * (1 - g(name, z))

def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))

def layers(spec, params, X):
    inputs, zs, a = [], [], X
    for (W, b), name in zip(params, spec.activations):
        inputs.append(a)
        z = a @ W
        if b is not None:
            z = z + b
        zs.append(z)
        a = g(name, z)
    return inputs, zs, a

def forward(spec, params, X):
    return layers(spec, params, X)[2]

def loss_and_grad(spec, params, X, y):
    inputs, zs, a = layers(spec, params, X)
    n = len(X)
    if spec.loss == "cross_entropy":
        log_p = log_softmax(a)
        loss = -log_p[np.arange(n), y].sum() / n
        delta = np.exp(log_p)
        delta[np.arange(n), y] -= 1
        delta = delta / n
    elif spec.loss == "mse":
        loss = ((a - y) ** 2).sum() / 2 / n
        delta = (a - y) / n
    else:
        raise NotImplementedError(f"no loss {spec.loss}")
    loss = loss + spec.weight_decay / 2 * sum((W**2).sum() for W, b in params)
    delta = delta * dg(spec.activations[-1], zs[-1])
    grads = []
    for l in range(len(params) - 1, -1, -1):
        W, b = params[l]
        dW = inputs[l].T @ delta
        dW = dW + spec.weight_decay * W
        db = None if b is None else delta.sum(axis=0)
        grads.insert(0, (dW, db))
        if l > 0:
            delta = (delta @ W.T) * dg(spec.activations[l - 1], zs[l - 1])
    return loss, grads
"""

# name: (what is replaced, by what, what the report says)
FAULTS: dict[str, tuple[str, str, str]] = {
    "transposed W": (
        "delta = (delta @ W.T)",
        "delta = (delta @ (W if W.shape[0] == W.shape[1] else W.T))",
        "W were not transposed (B4",
    ),
    "forgotten derivative of the activation": (
        " * dg(spec.activations[l - 1], zs[l - 1])",
        "",
        "g'(z) of the hidden layers were left out (B4)",
    ),
    "derivative at a instead of z": (
        "dg(spec.activations[l - 1], zs[l - 1])",
        "dg(spec.activations[l - 1], inputs[l])",
        "g' of the hidden layers were taken at a instead of z (B4)",
    ),
    "derivative of another activation": (
        "return 1 - np.tanh(z) ** 2",
        "return g('sigmoid', z) * (1 - g('sigmoid', z))",
        "g' of the hidden layers were that of sigmoid (B4)",
    ),
    "sum for mean": (
        "        delta = delta / n\n",
        "",
        "times too large = batch size: sum for mean",
    ),
    "mean over outputs too": (
        "loss = ((a - y) ** 2).sum() / 2 / n",
        "loss = ((a - y) ** 2).mean() / 2",
        "the loss disagrees first: it is 3 times too small = outputs",
    ),
    "square without its half": (
        "delta = (a - y) / n",
        "delta = 2 * (a - y) / n",
        "2 times too large, as of a square without its 1/2",
    ),
    "wrong sign": (
        "delta[np.arange(n), y] -= 1\n        delta = delta / n",
        "delta[np.arange(n), y] -= 1\n        delta = -delta / n",
        "of the wrong sign",
    ),
    "missing weight decay in the gradient": (
        "        dW = dW + spec.weight_decay * W\n",
        "",
        "weight decay were missing from dW (B2)",
    ),
    "weight decay twice": (
        "dW = dW + spec.weight_decay * W",
        "dW = dW + 2 * spec.weight_decay * W",
        "weight decay entered dW twice as strong (B2)",
    ),
    "missing weight decay in the loss": (
        "    loss = loss + spec.weight_decay / 2 * sum((W**2).sum() for W, b in params)\n",
        "",
        "the loss disagrees first: the weight decay term is missing from the loss (L2)",
    ),
    "weight decay of the biases": (
        "delta.sum(axis=0)",
        "delta.sum(axis=0) + spec.weight_decay * b",
        "b were decayed too (B3)",
    ),
    "off-by-one layer in W": (
        "delta = (delta @ W.T)",
        "W = params[l - 1][0] if params[l - 1][0].shape == W.shape else W\n"
        "            delta = (delta @ W.T)",
        "delta went through W of the layer below",
    ),
    "off-by-one layer in the derivative": (
        "dg(spec.activations[l - 1], zs[l - 1])",
        "dg(spec.activations[l - 1], zs[l] if zs[l].shape == zs[l - 1].shape else zs[l - 1])",
        "g' were taken at z of the layer above",
    ),
    "derivative at relu's kink": (
        "return (z > 0).astype(z.dtype)",
        "return (z >= 0).astype(z.dtype)",
        "g'(0) is 1 where ours is 0",
    ),
    "half a derivative at relu's kink": (
        "return (z > 0).astype(z.dtype)",
        "return np.heaviside(z, z.dtype.type(0.5))",
        "g'(0) is 0.5 where ours is 0",
    ),
    "bias summed over the wrong axis": (
        "delta.sum(axis=0)",
        "delta.sum(axis=1)",
        "summed over the wrong axis",
    ),
    "bias summed with kept dimensions": (
        "delta.sum(axis=0)",
        "delta.sum(axis=0, keepdims=True)",
        "db2 has shape (1, 3), expected (3,)",
    ),
    "bias averaged": (
        "delta.sum(axis=0)",
        "delta.mean(axis=0)",
        "every db is 6 times too small = batch size",
    ),
    "transposed result": (
        "grads.insert(0, (dW, db))",
        "grads.insert(0, (dW.T, db))",
        "dW2 is transposed",
    ),
    "layers in reverse order": (
        "grads.insert(0, (dW, db))",
        "grads.append((dW, db))",
        "the layers are in reverse order",
    ),
    "unstable softmax": (
        "    z = z - z.max(axis=1, keepdims=True)\n",
        "",
        "the loss is not finite (L1)",
    ),
    "missing one-hot": (
        "        delta[np.arange(n), y] -= 1\n",
        "",
        "softmax(z) were not reduced by onehot(y) (B1)",
    ),
    "z for a in dW": (
        "dW = inputs[l].T @ delta",
        "dW = (zs[l - 1] if l else inputs[l]).T @ delta",
        "dW were z^T delta instead of a^T delta (B2)",
    ),
    "missing derivative of the output activation": (
        "    delta = delta * dg(spec.activations[-1], zs[-1])\n",
        "",
        "g' of the output layer were left out (B1)",
    ),
    "dW too small in one entry": (
        "        grads.insert(0, (dW, db))",
        "        dW[0, 0] *= 1.001\n        grads.insert(0, (dW, db))",
        "layer 2: B2 (db is right, dW is not)",
    ),
    "wrong delta in the first layer": (
        "            delta = (delta @ W.T)",
        "            delta = delta * (1 + 0.01 * np.arange(delta.shape[1]))\n"
        "            delta = (delta @ W.T)",
        "layer 1: B4 (dW1 and db1 are both wrong",
    ),
    "forgotten biases": (
        "            z = z + b\n",
        "            pass\n",
        "the outputs are as if the biases were left out (F1)",
    ),
    "one activation for all": (
        '    if name == "identity":\n        return z\n    if name == "relu":\n'
        "        return np.maximum(z, 0)\n",
        '    if name == "identity":\n        return z\n    if name in ("relu", "tanh"):\n'
        "        return np.maximum(z, 0)\n",
        "the hidden activation were relu, whatever the spec says (F2)",
    ),
    "float32 inside": (
        "    inputs, zs, a = [], [], X\n",
        "    inputs, zs, a = [], [], X.astype(np.float32).astype(X.dtype)\n",
        "something inside is computed in float32",
    ),
    "float32 results": (
        "grads.insert(0, (dW, db))",
        "grads.insert(0, (dW.astype(np.float32), db))",
        "dtype float32, expected float64",
    ),
    "float64 always": (
        "    inputs, zs, a = [], [], X\n",
        "    inputs, zs, a = [], [], X.astype(np.float64)\n",
        "float32 goes in and float64 comes out",
    ),
    "mutated input": (
        "    n = len(X)\n",
        "    n = len(X)\n    X -= 1\n    X += 2\n",
        "loss_and_grad: it changes its argument X",
    ),
    "mutated params": (
        "        dW = dW + spec.weight_decay * W\n",
        "        dW = dW + spec.weight_decay * W\n        W += 1\n",
        "loss_and_grad: it changes its argument params",
    ),
    "no gradient at all": (
        "dW = inputs[l].T @ delta",
        "dW = 0 * W",
        "every dW is zero",
    ),
    "NaN": ("dW = inputs[l].T @ delta", "dW = inputs[l].T @ delta * np.nan", "not finite"),
    "raises": ("    n = len(X)\n", "    n = len(Y)\n", "it raises NameError"),
    "exits": ("    n = len(X)\n", "    raise SystemExit(3)\n", "it exits (SystemExit 3)"),
    "ends the process": (
        "    n = len(X)\n",
        "    import os\n    os._exit(3)\n",
        "it ends the process: exit status 3",
    ),
    "hangs": (
        "    n = len(X)\n",
        "    while True: pass\n",
        "it hangs: no result within 2 s",
    ),
    "no number for a loss": ("return loss, grads", "return str(loss), grads", "got a str"),
    "an exception of its own kind": (
        "    n = len(X)\n",
        "    raise BaseException('mine')\n",
        "it ends the process: exit status 1: BaseException: mine",
    ),
    "crashes the interpreter": (
        "    n = len(X)\n",
        "    import ctypes\n    ctypes.string_at(0)\n",
        "it ends the process: killed by SIGSEGV",
    ),
    "only the loss": ("return loss, grads", "return loss", "expected a pair (loss, grads)"),
    "a dictionary": (
        "return loss, grads",
        "return loss, {'W1': grads[0][0]}",
        "dparams: expected 2 layers, got 1",
    ),
    "lists": (
        "grads.insert(0, (dW, db))",
        "grads.insert(0, (dW.tolist(), db))",
        "expected an array, got a list",
    ),
    "missing layer": ("return loss, grads", "return loss, grads[1:]", "layers, got"),
    "loss per example": (
        "loss = -log_p[np.arange(n), y].sum() / n",
        "loss = -log_p[np.arange(n), y] / n",
        "loss with the gradient: shape (6,), expected ()",
    ),
    "does not import": ("import numpy as np", "import nunpy as np", "could not be loaded"),
    "exits when imported": (
        "import numpy as np",
        "import numpy as np\nraise SystemExit",
        "could not be loaded",
    ),
    "nothing in it": (RIGHT, "x = 1", "defines neither forward"),
}

# With these nothing differs: there is no gradient to compare.
NOT_CHECKED = (
    "raises",
    "exits",
    "ends the process",
    "hangs",
    "an exception of its own kind",
    "crashes the interpreter",
    "only the loss",
    "does not import",
    "exits when imported",
    "nothing in it",
)


# These are conventions: a note says so.
NOTED = ("derivative at relu's kink", "half a derivative at relu's kink", "float64 always")


def verdict(fault: str) -> str:
    """What `verify` has to say of a file with the fault."""
    if fault in NOTED:
        return "agrees"
    return "not checked" if fault in NOT_CHECKED else "disagrees"


def plant(folder: Path, fault: str) -> str:
    """Write the file with the fault; returns its path."""
    old, new, _ = FAULTS[fault]
    assert RIGHT.count(old) == 1, fault
    path = folder / "my_mlp.py"
    path.write_text(RIGHT.replace(old, new))
    return str(path)
