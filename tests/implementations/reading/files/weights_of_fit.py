import numpy as np


class SoftmaxClassifier:
    def __init__(self, learning_rate=0.1, n_iters=500):
        self.learning_rate = learning_rate
        self.n_iters = n_iters

    def fit(self, X, y):
        m, d = X.shape
        classes = int(y.max()) + 1
        self.W = np.zeros((d, classes))
        self.b = np.zeros(classes)
        self.__history = []
        for i in range(self.n_iters):
            scores = X @ self.W + self.b
            e = np.exp(scores - scores.max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
            p[np.arange(m), y] -= 1
            self.W -= self.learning_rate * X.T @ p / m
            self.b -= self.learning_rate * p.mean(axis=0)
            scores = X @ self.W + self.b
            loss = np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(m), y])
            self.__history.append(loss)
            if i % 100 == 0:
                print(i, loss)
        return self
