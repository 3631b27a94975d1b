import numpy as np

rng = np.random.default_rng(7)
features = rng.normal(size=(60, 3))
targets = (features @ np.array([1.0, -2.0, 0.5]) > 0).astype(float)[:, None]
params = {
    "W1": rng.normal(0, 0.5, (3, 5)),
    "b1": np.zeros((1, 5)),
    "W2": rng.normal(0, 0.5, (5, 1)),
    "b2": np.zeros((1, 1)),
}
cost_history = []

for i in range(1000):
    Z1 = features @ params["W1"] + params["b1"]
    A1 = 1 / (1 + np.exp(-Z1))
    Z2 = A1 @ params["W2"] + params["b2"]
    A2 = 1 / (1 + np.exp(-Z2))
    cost = -(targets * np.log(A2) + (1 - targets) * np.log(1 - A2)).mean()
    cost_history.append(cost)

    grads = {}
    dZ2 = (A2 - targets) / len(features)
    grads["W2"] = A1.T @ dZ2
    grads["b2"] = dZ2.sum(axis=0, keepdims=True)
    dZ1 = dZ2 @ params["W2"].T * A1 * (1 - A1)
    grads["W1"] = features.T @ dZ1
    grads["b1"] = dZ1.sum(axis=0, keepdims=True)

    for key in params:
        params[key] -= 0.3 * grads[key]
