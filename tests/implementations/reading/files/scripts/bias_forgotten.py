import numpy as np
from numpy import maximum, zeros

rng = np.random.RandomState(9)
points = rng.uniform(-2, 2, size=(64, 2))
values = (points**2).sum(axis=1, keepdims=True)
w_1, b_1 = rng.randn(2, 10), zeros(10)
w_2, b_2 = rng.randn(10, 6) / 3, zeros(6)
w_3, b_3 = rng.randn(6, 1) / 2, zeros(1)
step_size = 0.01
errors = []

for _ in range(800):
    l_1 = maximum(0, points.dot(w_1) + b_1)
    l_2 = np.tanh(l_1.dot(w_2) + b_2)
    guess = l_2.dot(w_3) + b_3
    loss = 0.5 * ((guess - values) ** 2).mean()
    errors.append(loss)

    d_3 = (guess - values) / len(points)
    d_2 = d_3.dot(w_3.T) * (1 - l_2**2)
    d_1 = d_2.dot(w_2.T) * (l_1 > 0)
    grad_w_3, grad_b_3 = l_2.T.dot(d_3), d_3.sum(axis=0)
    grad_w_2 = l_1.T.dot(d_2)
    grad_b_2 = d_2.sum(axis=0)
    grad_w_1, grad_b_1 = points.T.dot(d_1), d_1.sum(axis=0)

    w_3 = w_3 - step_size * grad_w_3
    b_3 = b_3 - step_size * grad_b_3
    w_2 = w_2 - step_size * grad_w_2
    w_1 = w_1 - step_size * grad_w_1
    b_1 = b_1 - step_size * grad_b_1
