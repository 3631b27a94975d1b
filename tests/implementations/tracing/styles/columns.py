import numpy as np

np.random.seed(2)
X = np.random.randn(3, 7)
Y = (np.random.rand(1, 7) > 0.5).astype(float)
parameters = {
    "W1": np.random.randn(4, 3) * 0.5,
    "b1": np.random.randn(4, 1) * 0.1,
    "W2": np.random.randn(1, 4) * 0.5,
    "b2": np.random.randn(1, 1) * 0.1,
}
lambd = 0.7


def sigmoid(Z):
    return 1 / (1 + np.exp(-Z))


def relu(Z):
    return np.maximum(0, Z)


def forward_propagation(X, parameters):
    W1, b1, W2, b2 = (parameters[k] for k in ("W1", "b1", "W2", "b2"))
    Z1 = np.dot(W1, X) + b1
    A1 = relu(Z1)
    Z2 = np.dot(W2, A1) + b2
    A2 = sigmoid(Z2)
    return A2, (Z1, A1, W1, b1, Z2, A2, W2, b2)


def compute_cost(A2, Y, parameters):
    m = Y.shape[1]
    cross = -(np.dot(Y, np.log(A2).T) + np.dot(1 - Y, np.log(1 - A2).T)) / m
    penalty = (
        lambd
        / (2 * m)
        * (np.sum(np.square(parameters["W1"])) + np.sum(np.square(parameters["W2"])))
    )
    return np.squeeze(cross) + penalty


def backward_propagation(X, Y, cache):
    m = X.shape[1]
    Z1, A1, W1, b1, Z2, A2, W2, b2 = cache
    dZ2 = A2 - Y
    dW2 = 1.0 / m * np.dot(dZ2, A1.T) + lambd / m * W2
    db2 = 1.0 / m * np.sum(dZ2, axis=1, keepdims=True)
    dA1 = np.dot(W2.T, dZ2)
    dZ1 = np.multiply(dA1, np.int64(A1 > 0))
    dW1 = 1.0 / m * np.dot(dZ1, X.T) + lambd / m * W1
    db1 = 1.0 / m * np.sum(dZ1, axis=1, keepdims=True)
    return {"dZ2": dZ2, "dW2": dW2, "db2": db2, "dA1": dA1, "dZ1": dZ1, "dW1": dW1, "db1": db1}


def loss():
    A2, _ = forward_propagation(X, parameters)
    return compute_cost(A2, Y, parameters)


def backward():
    _, cache = forward_propagation(X, parameters)
    return backward_propagation(X, Y, cache)


PARAMS = parameters


def grads(returned):
    return [returned["d" + name] for name in PARAMS]
