import numpy as np

rng = np.random.default_rng(7)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Classifier:
    """Two layers, relu, cross entropy."""

    def __init__(self, features=4, hidden=6, classes=3):
        self.weights = {
            "w_in": rng.normal(0, 0.5, (features, hidden)),
            "b_in": np.zeros(hidden),
            "w_out": rng.normal(0, 0.5, (hidden, classes)),
            "b_out": np.zeros(classes),
        }

    def predict(self, X):
        w = self.weights
        self.hidden_in = X @ w["w_in"] + w["b_in"]
        self.hidden = np.maximum(0, self.hidden_in)
        self.scores = self.hidden @ w["w_out"] + w["b_out"]
        return softmax(self.scores)

    def cost(self, X, y):
        probs = self.predict(X)
        return -np.log(probs[np.arange(len(X)), y]).mean()

    def gradients(self, X, y):
        n = len(X)
        probs = self.predict(X)
        d_scores = probs.copy()
        d_scores[np.arange(n), y] -= 1
        d_scores /= n
        d_hidden = d_scores @ self.weights["w_out"].T
        d_hidden[self.hidden_in <= 0] = 0
        return {
            "w_in": X.T @ d_hidden,
            "b_in": d_hidden.sum(axis=0),
            "w_out": self.hidden.T @ d_scores,
            "b_out": d_scores.sum(axis=0),
        }

    def learn(self, X, y, rate=0.1):
        for name, slope in self.gradients(X, y).items():
            self.weights[name] -= rate * slope
