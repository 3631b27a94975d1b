"""Data sets that are not here: numbers in the form of images of digits, which most scripts take.

Values mean nothing. A gradient is right or wrong on any.
"""

import functools
import re
from typing import Any

import numpy as np

Array = Any
ROWS, PIXELS, CLASSES = 320, 784, 10
TABLES = {"load_iris": (150, 4, 3), "load_breast_cancer": (569, 30, 2), "load_wine": (178, 13, 3),
          "load_digits": (300, 64, 10)}  # fmt: skip
MEANT = re.compile(r"mnist|\b784\b|digit", re.IGNORECASE)  # in the text of what reads them


def meant(texts: str) -> bool:
    """Whether a program reads images of digits."""
    return MEANT.search(texts) is not None


def digits() -> tuple[Array, Array]:
    """Images as rows of bytes, most of them 0, and their labels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (ROWS, PIXELS)) * (rng.random((ROWS, PIXELS)) < 0.2)
    return images.astype(np.uint8), (np.arange(ROWS) % CLASSES).astype(np.uint8)


@functools.cache
def table(name: str) -> str:
    """A table of them as text, labels first; with a header, but for files that have none."""
    X, y = digits()
    rows = [",".join(map(str, row)) for row in np.hstack([y[:, None], X]).tolist()]
    header = ",".join(["label", *(f"pixel{i}" for i in range(PIXELS))])
    return "\n".join([*([] if "mnist" in name.lower() else [header]), *rows]) + "\n"


def called(name: str, *given: Any, **named: Any) -> Any:
    """What a function of a missing library gives; NotImplemented of one that is not known."""
    last = name.rpartition(".")[2]
    rng = np.random.default_rng(0)
    if last == "load_data":
        X, y = digits()
        images = X.reshape(ROWS, 28, 28)
        return (images, y), (images[:40], y[:40])
    if last == "MNIST":
        return Loader()
    if (of_images := re.fullmatch(r"(?:train|test)_(images|labels)", last)) is not None:
        X, y = digits()
        return X.reshape(ROWS, 28, 28) if of_images[1] == "images" else y
    if last == "fetch_openml":
        X, y = digits()
        words = X.astype(float), y.astype(str)
        return words if named.get("return_X_y") else _Data(data=words[0], target=words[1])
    if last == "to_categorical":
        labels = np.asarray(given[0], int).ravel()
        return np.eye(max(CLASSES, int(labels.max()) + 1))[labels]
    if last == "train_test_split":
        share = named.get("test_size", 0.25)
        kept = len(given[0]) - (share if share >= 1 else int(share * len(given[0])))
        return [part for values in given for part in (values[:kept], values[kept:])]
    if last == "shuffle":
        order = rng.permutation(len(given[0]))
        found = [np.asarray(values)[order] for values in given]
        return found if len(found) > 1 else found[0]
    if last in ("make_moons", "make_circles", "make_blobs", "make_classification"):
        several = named.get("centers", named.get("n_classes", 2))
        rows = int(named.get("n_samples", given[0] if given else 100))
        y = np.arange(rows) % (several if isinstance(several, int) else 2)
        wide = named.get("n_features", 20 if last == "make_classification" else 2)
        return rng.normal(size=(rows, wide)) + y[:, None], y
    if last in TABLES:
        rows, wide, classes = TABLES[last]
        y = np.arange(rows) % classes
        X = np.abs(rng.normal(size=(rows, wide)) + y[:, None])
        return (X, y) if named.get("return_X_y") else _Data(data=X, target=y)
    if last in ("StandardScaler", "MinMaxScaler"):
        return Scaler()
    return NotImplemented


class _Data(dict[str, Any]):
    """Values by keys that are attributes, too."""

    __getattr__ = dict.__getitem__


class Loader:
    """Gives images of digits as lists, as that of a library which reads their files."""

    def load_training(self) -> tuple[list[list[int]], list[int]]:
        """All of them."""
        X, y = digits()
        return X.tolist(), y.tolist()

    def load_testing(self) -> tuple[list[list[int]], list[int]]:
        """Some."""
        X, y = digits()
        return X[:40].tolist(), y[:40].tolist()


class Scaler:
    """Takes off means and divides by deviations."""

    def fit(self, X: Any, *_: Any) -> "Scaler":
        """Keep them."""
        values = np.asarray(X, float)
        self.mean, self.scale = values.mean(axis=0), values.std(axis=0) + 1e-9
        return self

    def transform(self, X: Any) -> Array:
        """Values with both taken off."""
        return (np.asarray(X, float) - self.mean) / self.scale

    def fit_transform(self, X: Any, *_: Any) -> Array:
        """The same, of its own."""
        return self.fit(X).transform(X)
