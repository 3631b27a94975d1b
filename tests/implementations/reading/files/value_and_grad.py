"""One function of (params, X, y) that gives the loss and the gradient, params a list of pairs."""
import numpy as np


def init_params(layer_sizes, scale=0.5):
    rng = np.random.RandomState(0)
    return [(scale * rng.randn(m, n), scale * rng.randn(n)) for m, n in zip(layer_sizes[:-1], layer_sizes[1:])]


def predict(params, inputs):
    for W, b in params[:-1]:
        inputs = np.tanh(np.dot(inputs, W) + b)
    W, b = params[-1]
    logits = np.dot(inputs, W) + b
    return logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))


def loss_and_grad(params, X, y):
    activations = [X]
    for W, b in params[:-1]:
        activations.append(np.tanh(activations[-1] @ W + b))
    W, b = params[-1]
    logits = activations[-1] @ W + b
    logp = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    n = len(X)
    loss = -logp[np.arange(n), y].mean()
    delta = np.exp(logp)
    delta[np.arange(n), y] -= 1
    delta /= n
    grads = []
    for (W, b), a in zip(reversed(params), reversed(activations)):
        grads.append((a.T @ delta, delta.sum(axis=0)))
        delta = (delta @ W.T) * (1 - a ** 2)
    return loss, grads[::-1]
