"""An estimator: rate eta0, decay alpha, a loss whose name begins like a score, one bias."""

import numpy as np


class Ridge:
    def __init__(self, n_features, eta0=0.2, alpha=0.05):
        self.coef_ = np.random.default_rng(3).normal(size=n_features)
        self.intercept_ = np.zeros(1)
        self.alpha, self.eta0 = alpha, eta0

    def predict(self, X):
        return X @ self.coef_ + self.intercept_

    def score_loss(self, X, y):
        penalty = self.alpha / 2 * (self.coef_**2).sum()
        return ((self.predict(X) - y) ** 2).mean() / 2 + penalty

    def partial_fit(self, X, y):
        error = (self.predict(X) - y) / len(y)
        self.coef_ -= self.eta0 * (X.T @ error + self.alpha * self.coef_)
        self.intercept_ -= self.eta0 * error.sum()
        return self.score_loss(X, y)
