import numpy as np

np.random.seed(0)
n, batch_size, epochs, lr = 120, 20, 5, 0.1
train_x = np.random.randn(n, 4)
train_y = np.random.randint(0, 3, n)
n_batches = n // batch_size
w1 = np.random.randn(4, 8) * 0.5
b1 = np.zeros(8)
w2 = np.random.randn(8, 3) * 0.5
b2 = np.zeros(3)

for epoch in range(epochs):
    running = 0.0
    for i in range(n_batches):
        x_batch = train_x[i * batch_size : (i + 1) * batch_size]
        y_batch = train_y[i * batch_size : (i + 1) * batch_size]
        a1 = np.maximum(0, x_batch @ w1 + b1)
        logits = a1 @ w2 + b2
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        probs = exp / exp.sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(batch_size), y_batch]).mean()
        running += loss

        dlogits = probs.copy()
        dlogits[np.arange(batch_size), y_batch] -= 1
        dlogits /= batch_size
        dw2 = a1.T @ dlogits
        db2 = dlogits.sum(axis=0)
        da1 = dlogits @ w2.T
        da1[a1 == 0] = 0
        dw1 = x_batch.T @ da1
        db1 = da1.sum(axis=0)
        w1 = w1 - lr * dw1
        b1 = b1 - lr * db1
        w2 = w2 - lr * dw2
        b2 = b2 - lr * db2
    print(epoch, running / n_batches)
