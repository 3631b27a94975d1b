import numpy as np

gen = np.random.default_rng(12)
batch = 25
images = gen.random((batch, 16))
digits = gen.integers(0, 4, batch)
target = np.zeros((batch, 4))
target[np.arange(batch), digits] = 1
hidden_weights = gen.normal(0, 0.3, (16, 9))
hidden_bias = gen.normal(0, 0.1, 9)
output_weights = gen.normal(0, 0.3, (9, 4))
output_bias = gen.normal(0, 0.1, 4)

for it in range(250):
    hidden = np.tanh(images @ hidden_weights + hidden_bias)
    output = 1 / (1 + np.exp(-(hidden @ output_weights + output_bias)))
    mse = ((output - target) ** 2).sum() / (2 * batch)
    if it % 50 == 0:
        print(f"{it}: {mse:.5f}")
    output_delta = (output - target) * output * (1 - output)
    hidden_delta = (output_delta @ output_weights.T) * (1 - hidden**2)
    output_weights -= 0.2 * (hidden.T @ output_delta) / batch
    output_bias -= 0.2 * output_delta.sum(axis=0) / batch
    hidden_weights -= 0.2 * (images.T @ hidden_delta) / batch
    hidden_bias -= 0.2 * hidden_delta.sum(axis=0)
