from math import tanh

table = [([0.0, 0.0], 0.1), ([0.0, 1.0], 0.8), ([1.0, 0.0], 0.7), ([1.0, 1.0], -0.2)]
w = [[0.4, -0.3, 0.2], [-0.5, 0.6, 0.1]]
v = [0.3, -0.4, 0.5]
learn_rate = 0.3

for epoch in range(200):
    for x, t in table:
        s = [sum(x[i] * w[i][j] for i in range(2)) for j in range(3)]
        h = [tanh(a) for a in s]
        o = sum(h[j] * v[j] for j in range(3))
        error = (o - t) ** 2 / 2
        delta = o - t
        back = [delta * v[j] * (1 - h[j]) for j in range(3)]
        for j in range(3):
            v[j] = v[j] - learn_rate * delta * h[j]
            for i in range(2):
                w[i][j] = w[i][j] - learn_rate * back[j] * x[i]
