"""Any depth, weights (out, in), examples in columns, caches of lists."""
import numpy as np


class DeepNet:
    def __init__(self, layer_dims, learning_rate=0.01):
        self.L = len(layer_dims) - 1
        self.lr = learning_rate
        self.W = {l: np.random.randn(layer_dims[l], layer_dims[l - 1]) * 0.1 for l in range(1, self.L + 1)}
        self.b = {l: np.zeros((layer_dims[l], 1)) for l in range(1, self.L + 1)}

    def forward(self, X):
        self.A = {0: X}
        self.Z = {}
        for l in range(1, self.L + 1):
            self.Z[l] = self.W[l] @ self.A[l - 1] + self.b[l]
            if l < self.L:
                self.A[l] = np.where(self.Z[l] > 0, self.Z[l], 0.01 * self.Z[l])
            else:
                e = np.exp(self.Z[l] - self.Z[l].max(axis=0))
                self.A[l] = e / e.sum(axis=0)
        return self.A[self.L]

    def cost(self, AL, Y):
        return -np.sum(Y * np.log(AL)) / Y.shape[1]

    def backward(self, Y):
        m = Y.shape[1]
        self.dW, self.db = {}, {}
        dZ = self.A[self.L] - Y
        for l in range(self.L, 0, -1):
            self.dW[l] = dZ @ self.A[l - 1].T / m
            self.db[l] = dZ.sum(axis=1, keepdims=True) / m
            if l > 1:
                dZ = (self.W[l].T @ dZ) * np.where(self.Z[l - 1] > 0, 1, 0.01)

    def step(self):
        for l in self.W:
            self.W[l] -= self.lr * self.dW[l]
            self.b[l] -= self.lr * self.db[l]
