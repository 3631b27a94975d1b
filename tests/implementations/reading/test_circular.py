"""A file that what it imports imports, with one output that relu may switch off."""

from pathlib import Path

from tests.helpers.read_here import read_here

NETWORK = """
import numpy as np
import circle_losses

def slope_of(a):
    return (a > 0).astype(float)

class OneOutput:
    def __init__(self, layers, output_activation=None):
        self.output_activation = output_activation
        self.W = [np.random.randn(a, b) for a, b in zip(layers, layers[1:])]
        self.b = [np.zeros((1, b)) for b in layers[1:]]

    def forward(self, X):
        self.kept = [X]
        assert self.b[-1].size == 1
        for W, b in zip(self.W, self.b):
            self.kept.append(np.maximum(0, self.kept[-1] @ W + b))
        return self.kept[-1]

    def compute_loss(self, y_true, y_pred):
        return circle_losses.squares(y_true, y_pred)

    def backward(self, y_true, learning_rate):
        delta = 2 * (self.kept[-1] - y_true.reshape(-1, 1)) * slope_of(self.kept[-1])
        slopes = []
        for W, a in zip(self.W[::-1], self.kept[-2::-1]):
            slopes.append((a.T @ delta, delta.sum(axis=0)))
            delta = (delta @ W.T) * slope_of(a)
        for W, b, (dW, db) in zip(self.W, self.b, slopes[::-1]):
            W -= learning_rate * dW
            b -= learning_rate * db
"""
LOSSES = """
import numpy as np
from circle import slope_of

def squares(y_true, y_pred):
    return np.sum((y_true - y_pred) ** 2)
"""


def test_file_in_a_circle_of_imports_is_judged(tmp_path: Path) -> None:
    """It is another module than the one that its imports import, as of `python FILE`."""
    (tmp_path / "circle_losses.py").write_text(LOSSES)
    (tmp_path / "circle.py").write_text(NETWORK)

    report = read_here(tmp_path / "circle.py")

    assert report.agrees, str(report)
    assert "class OneOutput([4, 6, 1])" in report.reading
    assert not any("ImportError" in remark for remark in report.remarks)
