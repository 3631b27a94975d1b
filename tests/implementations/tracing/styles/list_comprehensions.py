import math

W1 = [[0.3, -0.4, 0.8], [0.9, 0.2, -0.5]]
W2 = [[0.7], [-0.6], [0.4]]
xs = [[0.2, 0.7], [1.1, -0.4], [-0.6, 0.5], [0.3, 0.3]]
ys = [0.5, -0.2, 0.9, 0.1]


def dot(a, b):
    return sum(u * v for u, v in zip(a, b))


def forward(x):
    z = [dot(x, column) for column in zip(*W1)]
    h = [math.tanh(v) for v in z]
    out = dot(h, [w[0] for w in W2])
    return z, h, out


def loss():
    return sum((forward(x)[2] - y) ** 2 for x, y in zip(xs, ys)) / len(xs)


def backward():
    dW1 = [[0.0] * 3 for _ in range(2)]
    dW2 = [[0.0] for _ in range(3)]
    for x, y in zip(xs, ys):
        z, h, out = forward(x)
        dout = 2 * (out - y) / len(xs)
        dh = [dout * w[0] for w in W2]
        dz = [d * (1 - v * v) for d, v in zip(dh, h)]
        for j in range(3):
            dW2[j][0] += dout * h[j]
            for i in range(2):
                dW1[i][j] += x[i] * dz[j]
    return dW1, dW2


PARAMS = [W1, W2]


def grads(returned):
    return list(returned)
