import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


if __name__ == "__main__":
    np.random.seed(4)
    m = 48
    x_train = np.random.rand(6, m)
    onehot = np.eye(3)[np.random.randint(0, 3, m)].T
    theta1 = np.random.randn(7, 6) * 0.4
    bias1 = np.zeros((7, 1))
    theta2 = np.random.randn(3, 7) * 0.4
    bias2 = np.zeros((3, 1))
    alpha = 0.3
    for iteration in range(500):
        z1 = theta1 @ x_train + bias1
        a1 = 1 / (1 + np.exp(-z1))
        a2 = softmax(theta2 @ a1 + bias2)
        cost = -(onehot * np.log(a2)).sum() / m
        if iteration % 100 == 0:
            print(iteration, cost)
        d2 = (a2 - onehot) / m
        d1 = theta2.T @ d2 * a1 * (1 - a1)
        theta2 += alpha * d2 @ a1.T
        bias2 += alpha * d2.sum(axis=1, keepdims=True)
        theta1 += alpha * d1 @ x_train.T
        bias1 += alpha * d1.sum(axis=1, keepdims=True)
