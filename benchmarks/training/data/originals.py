"""Readers of the original files, for work without a network.

A directory holds `mnist/`, `cifar-10/`, `20newsgroups/`, `titanic/` and `automobile/`, each with
the files as their authors publish them. A fault is a DataError that names the file, never a wrong
array.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from samegrad.benchmarks.training.data.records import Array, DataError, Records, reason
from samegrad.implementations.contract.files import ordinary

# As published with the files (LeCun and Cortes).
MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
IMAGES, LABELS = 0x0803, 0x0801  # magic numbers of IDX: uint8 in three dimensions, and in one
CIFAR_RECORD, CIFAR_RECORDS = 1 + 3 * 32 * 32, 10_000  # bytes; records per file
CIFAR_SHA256 = {  # of the unpacked files
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
NEWS_COUNTS = {"train": 11_314, "test": 7_532}
NEWS_GROUPS = 20
# The archive unpacks to 35 MB in 18,846 files; what is far larger is not it.
NEWS_MOST_BYTES, NEWS_MOST_FILE_BYTES, NEWS_MOST_MEMBERS = 150_000_000, 5_000_000, 60_000
TITANIC_ROWS, TITANIC_SURVIVED = 891, 342
TITANIC_COLUMNS = (
    "PassengerId Survived Pclass Name Sex Age SibSp Parch Ticket Fare Cabin Embarked"
).split()
TITANIC_NUMBERS = ("PassengerId", "Survived", "Pclass", "Age", "SibSp", "Parch", "Fare")
AUTOMOBILE_SHA256 = "125db8bd36a84801f7223faf54071d15f85f26c13a9a7aee63375ac46098fb7f"
AUTOMOBILE_ROWS = 205
AUTOMOBILE_COLUMNS = (
    "symboling normalized-losses make fuel-type aspiration num-of-doors body-style drive-wheels "
    "engine-location wheel-base length width height curb-weight engine-type num-of-cylinders "
    "engine-size fuel-system bore stroke compression-ratio horsepower peak-rpm city-mpg "
    "highway-mpg price"
).split()
AUTOMOBILE_NUMBERS = (
    "symboling normalized-losses wheel-base length width height curb-weight engine-size bore "
    "stroke compression-ratio horsepower peak-rpm city-mpg highway-mpg price"
).split()


TABLE_MOST_BYTES, TABLE_MOST_COLUMNS = 1_000_000, 1_000  # Titanic has 61 kB, 12 columns


def mnist(directory: Path, checksums: Mapping[str, str] = MNIST_MD5) -> Records:
    """The 60,000 + 10,000 handwritten digits of LeCun and Cortes, (records, 784) uint8."""
    X, y = [], []
    for part in ("train", "t10k"):
        images = directory / "mnist" / f"{part}-images-idx3-ubyte.gz"
        labels = directory / "mnist" / f"{part}-labels-idx1-ubyte.gz"
        X.append(idx(images, IMAGES).reshape(-1, 28 * 28))
        y.append(idx(labels, LABELS).astype(np.int64))
        if len(X[-1]) != len(y[-1]):
            raise DataError(
                f"{labels}: {len(y[-1])} labels for the {len(X[-1])} images of {images.name}"
            )
        if y[-1].max(initial=0) > 9:
            raise DataError(f"{labels}: a label {y[-1].max()}, accepted 0 to 9")
        for path in (images, labels):
            checksum = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            _same_checksum(path, "md5", checksum, checksums.get(path.name))
    return Records(np.vstack(X), np.concatenate(y), len(X[0]))


def idx(path: Path, magic: int) -> Array:
    """The array of a gzipped IDX file of unsigned bytes.

    Raises:
        DataError: truncated, not this magic number, or not as long as its header says.
    """
    data = unpacked(path, 100_000_000)
    dimensions = magic & 0xFF
    header = 4 + 4 * dimensions
    number = int.from_bytes(data[:4], "big")
    if len(data) >= 4 and number != magic:
        other = {IMAGES: "images", LABELS: "labels"}.get(number)
        hint = f", which is that of {other}: are two files swapped?" if other else ""
        raise DataError(f"{path}: magic number {number:#010x}, expected {magic:#010x}{hint}")
    if len(data) < header:
        raise DataError(f"{path}: {len(data)} bytes, shorter than the header of an IDX file")
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions))
    if magic == IMAGES and shape[1:] != (28, 28):
        raise DataError(f"{path}: images of {shape[1:]} pixels, expected (28, 28)")
    size = int(np.prod(shape, dtype=object))
    if len(data) - header != size:
        raise DataError(
            f"{path}: the header promises {shape[0]} records ({size} bytes), the file has "
            f"{len(data) - header} bytes of them"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def cifar10(
    directory: Path, batches: tuple[int, ...], checksums: Mapping[str, str] = CIFAR_SHA256
) -> Records:
    """The 32 x 32 colour images of Krizhevsky (2009), (records, 3072) uint8: R, G and B planes."""
    names = [f"data_batch_{batch}.bin" for batch in batches] + ["test_batch.bin"]
    X, y = [], []
    for name in names:
        path = _plain_or_gzip(directory / "cifar-10" / "cifar-10-batches-bin" / name)
        data = unpacked(path, 2 * CIFAR_RECORD * CIFAR_RECORDS)
        if len(data) != CIFAR_RECORD * CIFAR_RECORDS:
            raise DataError(
                f"{path}: {len(data):,} bytes unpacked, expected {CIFAR_RECORDS:,} records of "
                f"{CIFAR_RECORD:,}"
            )
        _same_checksum(path, "sha256", hashlib.sha256(data).hexdigest(), checksums.get(name))
        records = np.frombuffer(data, np.uint8).reshape(CIFAR_RECORDS, CIFAR_RECORD)
        if records[:, 0].max() > 9:
            raise DataError(f"{path}: a label {records[:, 0].max()}, accepted 0 to 9")
        y.append(records[:, 0].astype(np.int64))
        X.append(records[:, 1:])
    return Records(np.vstack(X), np.concatenate(y), CIFAR_RECORDS * len(batches))


def newsgroups(directory: Path, counts: Mapping[str, int] = NEWS_COUNTS) -> Records:
    """The documents of 20 newsgroups, split by date, as latin-1 texts: training, then test."""
    path = directory / "20newsgroups" / "20news-bydate.tar.gz"
    documents: dict[str, dict[tuple[str, str], bytes]] = {"train": {}, "test": {}}
    for (part, group, name), data in _documents(path):
        documents[part][group, name] = data
    groups = sorted({group for keys in documents.values() for group, _ in keys})
    if len(groups) != NEWS_GROUPS:
        raise DataError(f"{path}: {len(groups)} groups, expected {NEWS_GROUPS}")
    for part, texts in documents.items():
        if len(texts) != counts[part]:
            raise DataError(
                f"{path}: {len(texts):,} documents in {part}, expected {counts[part]:,}"
            )
    keys = [(part, key) for part in ("train", "test") for key in sorted(documents[part])]
    X = [documents[part][key].decode("latin-1") for part, key in keys]
    y = np.array([groups.index(group) for _, (group, _) in keys], np.int64)
    return Records(X, y, counts["train"])


def _documents(path: Path) -> Iterator[tuple[tuple[str, str, str], bytes]]:
    """((part, group, name), bytes) of every document; nothing is ever written to the disk."""
    _check_exists(path)
    total = members = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                members += 1
                place = PurePosixPath(member.name)
                if place.is_absolute() or ".." in place.parts:
                    raise DataError(f"{path}: it has a path outside of it, {member.name!r}")
                if member.isdir():
                    continue
                if not member.isfile():
                    raise DataError(f"{path}: {member.name!r} is neither a file nor a folder")
                total += member.size
                if (
                    total > NEWS_MOST_BYTES
                    or member.size > NEWS_MOST_FILE_BYTES
                    or members > NEWS_MOST_MEMBERS
                ):
                    raise DataError(
                        f"{path}: it unpacks to more than {NEWS_MOST_BYTES:,} bytes, or a file of "
                        f"more than {NEWS_MOST_FILE_BYTES:,}: this is not the data set"
                    )
                parts = [part.removeprefix("20news-bydate-") for part in place.parts]
                if len(parts) != 3 or parts[0] not in NEWS_COUNTS:
                    raise DataError(
                        f"{path}: {member.name!r} is not 20news-bydate-(train|test)/GROUP/NUMBER"
                    )
                file = archive.extractfile(member)
                assert file is not None
                yield (parts[0], parts[1], parts[2]), file.read()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        raise DataError(f"{path}: cannot be unpacked: {reason(error)}") from None


def titanic(directory: Path) -> Records:
    """The 891 labelled passengers (Kaggle's train.csv), as a table."""
    path = directory / "titanic" / "train.csv"
    table = _table(path, TITANIC_COLUMNS, TITANIC_NUMBERS, header=0, missing="")
    if len(table) != TITANIC_ROWS:
        raise DataError(f"{path}: {len(table)} rows, expected {TITANIC_ROWS}")
    if table.Survived.sum() != TITANIC_SURVIVED or not table.Survived.isin((0, 1)).all():
        raise DataError(f"{path}: Survived is not 0 or 1 with {TITANIC_SURVIVED} survivors")
    return Records(table, np.empty(0), len(table))


def automobile(directory: Path, checksum: str | None = AUTOMOBILE_SHA256) -> Records:
    """The 205 cars of UCI's imports-85 (Schlimmer 1987), as a table; 201 have a price."""
    path = directory / "automobile" / "imports-85.data"
    table = _table(path, AUTOMOBILE_COLUMNS, AUTOMOBILE_NUMBERS, header=None, missing="?")
    if len(table) != AUTOMOBILE_ROWS:
        raise DataError(f"{path}: {len(table)} rows, expected {AUTOMOBILE_ROWS}")
    _same_checksum(path, "sha256", hashlib.sha256(path.read_bytes()).hexdigest(), checksum)
    return Records(table, np.empty(0), len(table))


def _table(path: Path, columns: list[str], numbers: Any, header: int | None, missing: str) -> Any:
    import pandas as pd

    text = unpacked(path, TABLE_MOST_BYTES)
    if (found := 1 + text.partition(b"\n")[0].count(b",")) > TABLE_MOST_COLUMNS:
        raise DataError(f"{path}: {found:,} columns, expected {len(columns)}")
    try:
        table = pd.read_csv(io.BytesIO(text), header=header, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{path}: not a CSV file: {reason(error)}") from None
    if header is None:
        if len(table.columns) != len(columns):
            raise DataError(f"{path}: {len(table.columns)} columns, expected {len(columns)}")
        table.columns = pd.Index(columns)
    missing_columns = [name for name in columns if name not in table.columns]
    if missing_columns:
        raise DataError(f"{path}: without the column {', '.join(missing_columns)}")
    table = table[columns].replace(missing, np.nan)
    for name in numbers:
        try:
            table[name] = table[name].astype(float)
        except ValueError as error:
            raise DataError(f"{path}: column {name} is not of numbers: {reason(error)}") from None
    return table


def unpacked(path: Path, most_bytes: int) -> bytes:
    """The contents of a file, unpacked if it ends in .gz.

    Raises:
        DataError: it is truncated, no gzip file, or unpacks to more than `most_bytes`.
    """
    _check_exists(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path}: cannot be unpacked: {reason(error)}") from None
    if len(data) > most_bytes:
        raise DataError(f"{path}: it unpacks to more than {most_bytes:,} bytes")
    return data


def _plain_or_gzip(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    return packed if packed.is_file() or not path.is_file() else path


def _check_exists(path: Path) -> None:
    try:
        ordinary(path)
    except OSError:
        what = "no ordinary file" if path.exists() else "no such file"
        raise DataError(
            f"{path}: {what}; give --data-dir (or SAMEGRAD_DATA) a directory with the "
            "original files, or leave it out to fetch them"
        ) from None


def _same_checksum(path: Path, kind: str, checksum: str, expected: str | None) -> None:
    if expected is not None and checksum != expected:
        raise DataError(f"{path}: not the original file: {kind} {checksum}, expected {expected}")
