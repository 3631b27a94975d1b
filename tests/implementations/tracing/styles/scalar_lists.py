import math
import random

random.seed(4)
n_in, n_hidden, n_out = 2, 3, 2
hidden_w = [[random.uniform(-1, 1) for _ in range(n_in)] for _ in range(n_hidden)]
hidden_b = [random.uniform(-1, 1) for _ in range(n_hidden)]
out_w = [[random.uniform(-1, 1) for _ in range(n_hidden)] for _ in range(n_out)]
out_b = [random.uniform(-1, 1) for _ in range(n_out)]
data = [([0.5, -0.2], [1.0, 0.0]), ([0.1, 0.9], [0.0, 1.0]), ([-0.7, 0.3], [1.0, 1.0])]


def sigmoid(v):
    return 1.0 / (1.0 + math.exp(-v))


def forward(x):
    hidden = []
    for j in range(n_hidden):
        total = hidden_b[j]
        for i in range(n_in):
            total += hidden_w[j][i] * x[i]
        hidden.append(sigmoid(total))
    outputs = []
    for k in range(n_out):
        total = out_b[k]
        for j in range(n_hidden):
            total += out_w[k][j] * hidden[j]
        outputs.append(sigmoid(total))
    return hidden, outputs


def loss():
    value = 0.0
    for x, t in data:
        _, o = forward(x)
        for k in range(n_out):
            value += 0.5 * (o[k] - t[k]) ** 2
    return value


def backward():
    g_hw = [[0.0] * n_in for _ in range(n_hidden)]
    g_hb = [0.0] * n_hidden
    g_ow = [[0.0] * n_hidden for _ in range(n_out)]
    g_ob = [0.0] * n_out
    for x, t in data:
        h, o = forward(x)
        out_delta = [0.0] * n_out
        for k in range(n_out):
            out_delta[k] = (o[k] - t[k]) * o[k] * (1 - o[k])
        hidden_delta = [0.0] * n_hidden
        for j in range(n_hidden):
            error = 0.0
            for k in range(n_out):
                error += out_delta[k] * out_w[k][j]
            hidden_delta[j] = error * h[j] * (1 - h[j])
        for k in range(n_out):
            for j in range(n_hidden):
                g_ow[k][j] += out_delta[k] * h[j]
            g_ob[k] += out_delta[k]
        for j in range(n_hidden):
            for i in range(n_in):
                g_hw[j][i] += hidden_delta[j] * x[i]
            g_hb[j] += hidden_delta[j]
    return g_hw, g_hb, g_ow, g_ob


PARAMS = [hidden_w, hidden_b, out_w, out_b]
grads = list
