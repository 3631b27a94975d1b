import numpy as np
import matplotlib.pyplot as plt
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=1000)
parser.add_argument("--data", required=True)
args = parser.parse_args()


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


np.random.seed(0)
X = np.random.randn(200, 3)
t = (X[:, :1] * X[:, 1:2] > 0).astype(float)
lr = 0.5
W1 = np.random.randn(3, 8) * 0.5
b1 = np.zeros((1, 8))
W2 = np.random.randn(8, 1) * 0.5
b2 = np.zeros((1, 1))
m = X.shape[0]
costs = []
for epoch in range(args.epochs):
    A1 = np.tanh(X @ W1 + b1)
    A2 = sigmoid(A1 @ W2 + b2)
    cost = -np.sum(t * np.log(A2) + (1 - t) * np.log(1 - A2)) / m
    costs.append(cost)
    dZ2 = A2 - t
    dW2 = A1.T @ dZ2 / m
    db2 = np.sum(dZ2, axis=0, keepdims=True) / m
    dZ1 = (dZ2 @ W2.T) * (1 - A1 ** 2)
    dW1 = X.T @ dZ1 / m
    db1 = np.sum(dZ1, axis=0, keepdims=True) / m
    W1 = W1 - lr * dW1
    b1 = b1 - lr * db1
    W2 = W2 - lr * dW2
    b2 = b2 - lr * db2
plt.plot(costs)
plt.show()
