import numpy as np

np.random.seed(71)
inputs = np.random.rand(5, 3)
targets = np.random.rand(5, 2)
wh = np.random.uniform(-1, 1, size=(3, 4))
bh = np.random.uniform(-1, 1, size=(1, 4))
wout = np.random.uniform(-1, 1, size=(4, 2))
bout = np.random.uniform(-1, 1, size=(1, 2))
lr = 0.1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def derivatives_sigmoid(x):
    return x * (1 - x)


def run():
    hidden = sigmoid(np.dot(inputs, wh) + bh)
    return hidden, sigmoid(np.dot(hidden, wout) + bout)


def loss():
    return 0.5 * np.sum((targets - run()[1]) ** 2)


def backward():
    global wh, bh, wout, bout
    hiddenlayer, output = run()
    E = targets - output
    slope_output = derivatives_sigmoid(output)
    slope_hidden = derivatives_sigmoid(hiddenlayer)
    d_output = E * slope_output
    error_hidden = d_output.dot(wout.T)
    d_hidden = error_hidden * slope_hidden
    wout += hiddenlayer.T.dot(d_output) * lr
    bout += np.sum(d_output, axis=0, keepdims=True) * lr
    wh += inputs.T.dot(d_hidden) * lr
    bh += np.sum(d_hidden, axis=0, keepdims=True) * lr


PARAMS = {"wh": wh, "bh": bh, "wout": wout, "bout": bout}
BEFORE = [p.copy() for p in PARAMS.values()]


def grads(_):
    return [(before - now) / lr for before, now in zip(BEFORE, [wh, bh, wout, bout])]
