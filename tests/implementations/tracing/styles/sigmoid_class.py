import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_derivative(x):
    return x * (1 - x)


class NeuralNetwork:
    def __init__(self, x, y):
        r = np.random.RandomState(3)
        self.input = x
        self.weights1 = r.rand(self.input.shape[1], 4)
        self.weights2 = r.rand(4, 1)
        self.y = y
        self.output = np.zeros(self.y.shape)

    def feedforward(self):
        self.layer1 = sigmoid(np.dot(self.input, self.weights1))
        self.output = sigmoid(np.dot(self.layer1, self.weights2))

    def backprop(self):
        error = self.y - self.output
        delta2 = 2 * error * sigmoid_derivative(self.output)
        d_weights2 = np.dot(self.layer1.T, delta2)
        delta1 = np.dot(delta2, self.weights2.T) * sigmoid_derivative(self.layer1)
        d_weights1 = np.dot(self.input.T, delta1)
        self.weights1 += d_weights1
        self.weights2 += d_weights2

    def loss(self):
        self.feedforward()
        return np.sum((self.y - self.output) ** 2)


net = NeuralNetwork(
    np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1.0]]), np.array([[0], [1], [1], [0.0]])
)
loss = net.loss


def backward():
    net.feedforward()
    net.backprop()


PARAMS = [net.weights1, net.weights2]
BEFORE = [p.copy() for p in PARAMS]


def grads(_):
    return [before - now for before, now in zip(BEFORE, [net.weights1, net.weights2])]
