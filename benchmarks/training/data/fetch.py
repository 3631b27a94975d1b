"""The same data sets from the network, by scikit-learn's fetchers, which keep what they fetched."""

import contextlib
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.benchmarks.training.data.originals import (
    AUTOMOBILE_COLUMNS,
    AUTOMOBILE_NUMBERS,
    NEWS_COUNTS,
)
from samegrad.benchmarks.training.data.records import DataError, Records, reason

STALLED_SECONDS = 60.0  # without a byte from the other side
# name -> (name at OpenML, version)
OPENML = {"mnist": ("mnist_784", 1), "cifar10": ("CIFAR_10", 1), "automobile": ("autos", 1)}


def fetch(name: str, say: Callable[[str], None] = lambda line: None) -> Records:
    """Raw records from the network, or from scikit-learn's cache of an earlier time.

    Raises:
        DataError: they cannot be fetched, are not to be had this way, or are not in the expected
            form.
    """
    readers: dict[str, Callable[[], Records]] = {
        "mnist": partial(_images, "mnist", (70_000, 784), 60_000),
        "cifar10": partial(_images, "cifar10", (60_000, 3072), 50_000),
        "newsgroups": _newsgroups,
        "automobile": _automobile,
    }
    if name not in readers:
        raise DataError(
            f"{name} cannot be fetched; give --data-dir (or SAMEGRAD_DATA) a directory with its "
            "original files"
        )
    from sklearn.datasets import get_data_home

    folder = Path(get_data_home())
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALLED_SECONDS)
    try:
        with (
            _tell_size(f"fetching {name} into {folder}", folder, say),
            warnings.catch_warnings(),  # of retries: what matters is whether it comes in the end
        ):
            warnings.simplefilter("ignore")
            return readers[name]()
    except DataError:
        raise
    except Exception as error:  # the network's, the disk's, or the fetcher's own about what came
        raise DataError(
            f"{name} cannot be fetched: {reason(error)}; give --data-dir (or SAMEGRAD_DATA) a "
            "directory with its original files"
        ) from None
    finally:
        socket.setdefaulttimeout(patience)


def _openml(name: str, as_frame: bool) -> Any:
    from sklearn.datasets import fetch_openml

    known, version = OPENML[name]
    column = "default-target" if not as_frame else None
    return fetch_openml(
        known,
        version=version,
        as_frame=as_frame,
        target_column=column,
        parser="liac-arff" if as_frame else "auto",  # small tables: every quoted text as it stands
    )


def _images(name: str, shape: tuple[int, int], training: int) -> Records:
    bunch = _openml(name, as_frame=False)
    X = np.asarray(bunch.data)
    if X.shape != shape or X.min() < 0 or X.max() > 255:
        raise DataError(f"{name}: {X.shape} values from {X.min()} to {X.max()} were fetched")
    return Records(X.astype(np.uint8), bunch.target.astype(np.int64), training)


def _newsgroups() -> Records:
    from sklearn.datasets import fetch_20newsgroups

    X: list[str] = []
    y: list[int] = []
    for part in NEWS_COUNTS:
        bunch = fetch_20newsgroups(subset=part, shuffle=False)
        # Sorted as the original files are read: by group, then by the document's number as text.
        keys = [(Path(f).parent.name, Path(f).name) for f in bunch.filenames]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        X += [bunch.data[i] for i in order]
        y += [int(bunch.target[i]) for i in order]
    return Records(X, np.array(y, np.int64), NEWS_COUNTS["train"])


def _automobile() -> Records:
    table = _openml("automobile", as_frame=True).frame
    missing = [name for name in AUTOMOBILE_COLUMNS if name not in table.columns]
    if missing:
        raise DataError(f"automobile: what was fetched is without {', '.join(missing)}")
    table = table[AUTOMOBILE_COLUMNS].astype(object)
    for name in AUTOMOBILE_COLUMNS:
        if name in AUTOMOBILE_NUMBERS:
            table[name] = table[name].astype(float)
        else:
            table[name] = table[name].where(table[name].notna(), np.nan)
    return Records(table, np.empty(0), len(table))


@contextlib.contextmanager
def _tell_size(what: str, folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Say what is fetched, and every few seconds how much has come."""
    done = threading.Event()
    before = _size(folder)

    def watch() -> None:
        while not done.wait(3):
            say(f"{what}: {max(0, _size(folder) - before) / 1e6:.0f} MB")

    say(what)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a download is renamed when it is complete
            total += path.stat().st_size if path.is_file() else 0
    return total
