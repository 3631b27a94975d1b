import math
import random

random.seed(3)
data = [(3.0, 1.5, 1), (2.0, 1.0, 0), (4.0, 1.5, 1), (3.0, 1.0, 0), (3.5, 0.5, 1), (2.0, 0.5, 0)]
w1 = random.random()
w2 = random.random()
b = random.random()
learning_rate = 0.2

for step in range(5000):
    x1, x2, target = data[step % len(data)]
    z = w1 * x1 + w2 * x2 + b
    pred = 1 / (1 + math.exp(-z))
    cost = (pred - target) ** 2

    dcost_dpred = 2 * (pred - target)
    dpred_dz = pred * (1 - pred)
    dcost_dz = dcost_dpred * dpred_dz

    w1 = w1 - learning_rate * dcost_dz * x1
    w2 = w2 - learning_rate * dcost_dz * x2
    b = b - learning_rate * dcost_dz
