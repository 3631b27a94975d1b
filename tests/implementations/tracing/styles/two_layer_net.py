import numpy as np


class TwoLayerNet:
    def __init__(self, input_size, hidden_size, output_size):
        r = np.random.RandomState(0)
        self.params = {}
        self.params["W1"] = r.randn(input_size, hidden_size)
        self.params["b1"] = r.randn(hidden_size) * 0.3
        self.params["W2"] = r.randn(hidden_size, output_size)
        self.params["b2"] = r.randn(output_size) * 0.3

    def loss(self, X, y, reg=0.0):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        N, D = X.shape
        hidden = np.maximum(0, X.dot(W1) + b1)
        scores = hidden.dot(W2) + b2
        scores -= np.max(scores, axis=1, keepdims=True)
        exp_scores = np.exp(scores)
        probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
        data_loss = np.sum(-np.log(probs[range(N), y])) / N
        reg_loss = reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        loss = data_loss + reg_loss
        grads = {}
        dscores = probs
        dscores[range(N), y] -= 1
        dscores /= N
        grads["W2"] = np.dot(hidden.T, dscores)
        grads["b2"] = np.sum(dscores, axis=0)
        dhidden = np.dot(dscores, W2.T)
        dhidden[hidden <= 0] = 0
        grads["W1"] = np.dot(X.T, dhidden)
        grads["b1"] = np.sum(dhidden, axis=0)
        grads["W2"] += 2 * reg * W2
        grads["W1"] += 2 * reg * W1
        return loss, grads


net = TwoLayerNet(4, 10, 3)
_r = np.random.RandomState(1)
X, y = 3 * _r.randn(5, 4), np.array([0, 1, 2, 2, 1])


def loss():
    return net.loss(X, y, reg=0.05)[0]


def backward():
    return net.loss(X, y, reg=0.05)[1]


PARAMS = net.params


def grads(returned):
    return [returned[name] for name in PARAMS]
