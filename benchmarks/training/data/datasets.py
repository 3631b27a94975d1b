"""A task's data, ready for training: parts for training, validation and test, in folds."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.training.data import fetch, originals
from samegrad.benchmarks.training.data.features import FEATURES, scale, shifted, stripped
from samegrad.benchmarks.training.data.records import SHA256, DataError, Records
from samegrad.benchmarks.training.data.simulated import SIMULATED
from samegrad.benchmarks.training.loop import Examples
from samegrad.implementations.contract.files import replaced

Array = Any
FOLDS = 10
DATA_DIR = "SAMEGRAD_DATA"  # the variable that names the directory of original files
SPLIT_SEED = 12345  # of the validation split and of the folds: the same for all seeds of weights


@dataclass(frozen=True)
class Fold:
    """Rows of the data for training, validation and test, and what they are fed as.

    Attributes:
        X, y: all records; X may be uint8, to be scaled when it is used.
        training, validation, test: indices.
        shift, scale: (X - shift) / scale is what the network is fed.
        records: of X without shifted copies, which follow in equal blocks.
    """

    X: Array
    y: Array
    training: Array
    validation: Array
    test: Array
    shift: Array
    scale: Array
    records: int

    def examples(self, rows: Array, dtype: str) -> Examples:
        """Some rows as the network is fed them."""
        X = self.X[rows].astype(dtype)
        X -= self.shift.astype(dtype)
        X /= self.scale.astype(dtype)
        y = self.y[rows]
        return Examples(X, y if y.dtype.kind == "i" else y.astype(dtype))


@dataclass(frozen=True)
class Dataset:
    """The folds of a task: one, or ten of a cross-validation.

    Attributes:
        seconds: to read or draw the records, and to make what is fed of them.
        of_features: the second of these.
    """

    folds: tuple[Fold, ...]
    sha256: str
    seconds: float
    of_features: float


@dataclass(frozen=True)
class Data:
    """How a task's data come about.

    Attributes:
        records: name of the raw records: one of SIMULATED or of `originals`.
        features: one of FEATURES.
        scaling: of the features, see `features.scale`.
        validation: share of the training records that are held out for choices and for the target.
        cross_validation: whether ten folds of all records are the test data one after another.
        last: whether the held-out records are the last ones instead of random ones.
        shifts: whether each training image comes in five copies, four of them shifted by a pixel.
        refit: whether the network of the test figure is trained once more, on all training records
            with the held-out ones among them; curves and times are those of the first training.
        watched: whether the test data take the place of validation data: nothing is chosen by
            them, the task is to see how the network does on them while it learns.
        stripped: whether headers, footers and quotes of the documents are removed.
    """

    records: str
    features: str = "as given"
    scaling: str = "none"
    validation: float = 0.0
    cross_validation: bool = False
    last: bool = False
    shifts: bool = False
    refit: bool = False
    watched: bool = False
    stripped: bool = False


def data_directory(option: str | None) -> Path | None:
    """The directory of --data-dir, or of SAMEGRAD_DATA, or None: then data are fetched.

    Raises:
        DataError: it does not exist.
    """
    text = option or os.environ.get(DATA_DIR)
    if not text:
        return None
    path = Path(text).expanduser()
    if not path.is_dir():
        raise DataError(f"{'--data-dir' if option else DATA_DIR} {text}: no such directory")
    return path.resolve()


def load(name: str, data_dir: Path | None, say: Any = lambda line: None) -> Records:
    """The raw records: drawn here, read from a directory, or fetched.

    Raises:
        DataError: a file is missing, broken, or not the one that it should be.
    """
    if name in SIMULATED:
        return SIMULATED[name]()
    records = fetch.fetch(name, say) if data_dir is None else _original(name, data_dir)
    # Of the whole of CIFAR-10 the first batch and the test data are known.
    known = _ends(records, 10_000) if name == "cifar10" else records
    expected = SHA256.get("cifar10_batch1" if name == "cifar10" else name)
    if expected is not None and known.sha256 != expected:
        raise DataError(
            f"{name}: the records are not those of the original files (hash {known.sha256[:12]}, "
            f"expected {expected[:12]}); give --data-dir a directory with these"
        )
    return records


def _ends(records: Records, count: int) -> Records:
    X, y = records.X, records.y
    ends = np.concatenate([np.arange(count), np.arange(len(X) - count, len(X))])
    return Records(X[ends], y[ends], count)


def _original(name: str, data_dir: Path) -> Records:
    readers: dict[str, Callable[[Path], Records]] = {
        "mnist": originals.mnist,
        "cifar10": partial(originals.cifar10, batches=(1, 2, 3, 4, 5)),
        "cifar10_batch1": partial(originals.cifar10, batches=(1,)),
        "newsgroups": originals.newsgroups,
        "titanic": originals.titanic,
        "automobile": originals.automobile,
    }
    return readers[name](data_dir)


def make(data: Data, data_dir: Path | None, say: Any = lambda line: None) -> Dataset:
    """The folds of a task, and how long it took to read and make them.

    Raises:
        DataError: see `load`.
    """

    def read() -> Records:
        records = load(data.records, data_dir, say)
        return stripped(records) if data.stripped else records

    records, read_ns = timer.timed(read)
    folds, made_ns = timer.timed(lambda: tuple(_folds(data, records)))
    return Dataset(folds, records.sha256[:12], (read_ns + made_ns) / 1e9, made_ns / 1e9)


def _folds(data: Data, records: Records) -> Any:
    rng = np.random.default_rng(SPLIT_SEED)
    if not data.cross_validation:
        rows = np.arange(records.training)
        test = np.arange(records.training, len(records.X))
        yield _fold(data, records, rows, test, rng)
        return
    # Rows without a label (cars without a price) are in no fold.
    _, y = FEATURES[data.features](records, np.arange(len(records.X)))
    rows = rng.permutation(np.flatnonzero(np.isfinite(y[:, 0])))
    for test in np.array_split(rows, FOLDS):
        yield _fold(data, records, np.setdiff1d(rows, test), np.sort(test), rng)


def _fold(data: Data, records: Records, rows: Array, test: Array, rng: Any) -> Fold:
    """Features and scales see the training part only.

    Where the network is trained once more with the held-out rows among the others, these rows are
    in what is fitted to X from the start (never their labels).
    """
    count = round(data.validation * len(rows))
    mixed = rows[::-1] if data.last else rng.permutation(rows)
    validation, training = np.sort(mixed[:count]), np.sort(mixed[count:])
    seen = rows if data.cross_validation or data.refit else training
    if data.watched:
        validation = test
    X, y = FEATURES[data.features](records, seen)
    shift, width = scale(X, seen, data.scaling)
    if data.shifts:
        copies, count = shifted(X), len(X)
        X, y = np.vstack([X, copies]), np.tile(y, 5)
        training = np.concatenate([training + i * count for i in range(5)])
    return Fold(X, y, training, validation, test, shift, width, len(records.X))


def save(path: Path, dataset: Dataset) -> None:
    """For the workers, as plain arrays."""
    arrays = {}
    for number, fold in enumerate(dataset.folds):
        for name in Fold.__dataclass_fields__:
            arrays[f"{number}.{name}"] = getattr(fold, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as beside:
        np.savez(beside, **arrays)


def read(path: Path) -> tuple[Fold, ...]:
    """What `save` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    count = 1 + max(int(name.split(".")[0]) for name in arrays)
    fields = Fold.__dataclass_fields__
    folds = (Fold(*(arrays[f"{i}.{name}"] for name in fields)) for i in range(count))
    return tuple(replace(fold, records=int(fold.records)) for fold in folds)


def refitted(fold: Fold) -> Fold:
    """The fold with its validation rows, and their shifted copies, back in the training part."""
    copies = len(fold.X) // fold.records
    back = [fold.validation + i * fold.records for i in range(copies)]
    rows = np.sort(np.concatenate([fold.training, *back]))
    return replace(fold, training=rows, validation=rows[:0])
