"""What is no network of dense layers, and is said to be none."""

import numpy as np


class Conv2D:
    def __init__(self, filters):
        self.filters = np.random.randn(filters, 3, 3)

    def forward(self, image):
        self.image, (h, w) = image, image.shape
        out = np.zeros((h - 2, w - 2, len(self.filters)))
        for i in range(h - 2):
            for j in range(w - 2):
                out[i, j] = (image[i : i + 3, j : j + 3] * self.filters).sum(axis=(1, 2))
        return out
