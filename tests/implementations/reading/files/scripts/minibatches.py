import numpy as np

rng = np.random.default_rng(1)
X_train = rng.normal(size=(96, 5))
labels = (X_train[:, 0] > 0).astype(int) + (X_train[:, 1] > 0.5)
Y_train = np.eye(3)[labels]

HIDDEN, LEARNING_RATE, BATCH, EPOCHS = 9, 0.05, 16, 40
w_in = rng.normal(size=(5, HIDDEN)) * 0.4
b_in = np.zeros(HIDDEN)
w_out = rng.normal(size=(HIDDEN, 3)) * 0.4
b_out = np.zeros(3)

history = []
for epoch in range(EPOCHS):
    order = rng.permutation(len(X_train))
    for start in range(0, len(X_train), BATCH):
        rows = order[start : start + BATCH]
        xb, yb = X_train[rows], Y_train[rows]

        pre = xb @ w_in + b_in
        hid = np.maximum(pre, 0)
        scores = hid @ w_out + b_out
        scores = scores - scores.max(axis=1, keepdims=True)
        probs = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        loss = -np.sum(yb * np.log(probs)) / len(xb)

        d_scores = (probs - yb) / len(xb)
        d_w_out = hid.T @ d_scores
        d_b_out = d_scores.sum(axis=0)
        d_hid = d_scores @ w_out.T
        d_hid[pre <= 0] = 0
        d_w_in = xb.T @ d_hid
        d_b_in = d_hid.sum(axis=0)

        w_in -= LEARNING_RATE * d_w_in
        b_in -= LEARNING_RATE * d_b_in
        w_out -= LEARNING_RATE * d_w_out
        b_out -= LEARNING_RATE * d_b_out
    history.append(loss)
print(history[-1])
