import numpy as np

r = np.random.default_rng(5)


class Dense:
    def __init__(self, n_in, n_out):
        self.weights = r.normal(size=(n_in, n_out)) * 0.7
        self.biases = r.normal(size=(1, n_out)) * 0.1

    def forward(self, inputs):
        self.inputs = inputs
        return np.dot(inputs, self.weights) + self.biases

    def backward(self, dvalues):
        self.dweights = np.dot(self.inputs.T, dvalues)
        self.dbiases = np.sum(dvalues, axis=0, keepdims=True)
        return np.dot(dvalues, self.weights.T)


class ReLU:
    def forward(self, inputs):
        self.inputs = inputs
        return np.maximum(0, inputs)

    def backward(self, dvalues):
        dinputs = dvalues.copy()
        dinputs[self.inputs <= 0] = 0
        return dinputs


class SoftmaxLoss:
    def forward(self, inputs, y_true):
        exp = np.exp(inputs - np.max(inputs, axis=1, keepdims=True))
        self.output = exp / np.sum(exp, axis=1, keepdims=True)
        clipped = np.clip(self.output, 1e-7, 1 - 1e-7)
        return np.mean(-np.log(clipped[range(len(inputs)), y_true]))

    def backward(self, y_true):
        samples = len(self.output)
        dinputs = self.output.copy()
        dinputs[range(samples), y_true] -= 1
        return dinputs / samples


class Model:
    def __init__(self):
        self.layers = [Dense(4, 6), ReLU(), Dense(6, 5), ReLU(), Dense(5, 3)]
        self.head = SoftmaxLoss()

    def loss(self, X, y):
        for layer in self.layers:
            X = layer.forward(X)
        return self.head.forward(X, y)

    def backward(self, y):
        grad = self.head.backward(y)
        for layer in reversed(self.layers):
            grad = layer.backward(grad)


model = Model()
X, y = r.normal(size=(8, 4)), r.integers(0, 3, 8)


def loss():
    return model.loss(X, y)


def backward():
    model.loss(X, y)
    model.backward(y)


DENSE = [layer for layer in model.layers if isinstance(layer, Dense)]
PARAMS = [p for layer in DENSE for p in (layer.weights, layer.biases)]


def grads(_):
    return [g for layer in DENSE for g in (layer.dweights, layer.dbiases)]
