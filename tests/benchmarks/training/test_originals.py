"""The readers of the original files: the right arrays, or an error that names the file."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.training.data import datasets, originals
from samegrad.benchmarks.training.data.records import SHA256, DataError
from tests.helpers.shared_data import data_dir


def idx(array: Any) -> bytes:
    """An IDX file of unsigned bytes."""
    header = (0x0800 + array.ndim).to_bytes(4, "big")
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """Three training and two test images."""
    (tmp_path / "mnist").mkdir()
    for part, count in (("train", 3), ("t10k", 2)):
        images = np.arange(count * 784, dtype=np.uint8).reshape(count, 28, 28)
        labels = np.arange(count, dtype=np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = tmp_path / "mnist" / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(idx(array)))
    return tmp_path


def replace(path: Path, change: Any) -> None:
    """Rewrite a gzip file's contents."""
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


def test_mnist_is_read_as_it_was_written(mnist: Path) -> None:
    """Images as rows, training first."""
    records = originals.mnist(mnist, checksums={})

    assert (5, 784) == records.X.shape and 3 == records.training
    assert [0, 1, 2, 0, 1] == records.y.tolist()
    assert np.array_equal(records.X[0], np.arange(784).astype(np.uint8))


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (TRAIN_IMAGES, lambda d: d[:-1], "header promises 3 records"),
        (TRAIN_IMAGES, lambda d: d + b"x", "header promises 3 records"),
        (TRAIN_IMAGES, lambda d: b"\0\0\x09\x03" + d[4:], "magic number 0x00000903"),
        (TRAIN_IMAGES, lambda d: d[:10], "shorter than the header"),
        (TRAIN_LABELS, lambda d: d[:7] + b"\2" + d[8:10], "2 labels for the 3 images"),
        (TRAIN_LABELS, lambda d: d[:-1] + b"\x0a", "a label 10, accepted 0 to 9"),
    ],
)
def test_fault_in_mnist_is_an_error_that_names_the_file(
    mnist: Path, name: str, change: Any, message: str
) -> None:
    """Never a wrong array."""
    replace(mnist / "mnist" / name, change)

    with pytest.raises(DataError, match=message) as caught:
        originals.mnist(mnist, checksums={})
    assert name in str(caught.value)


def test_truncated_gzip_is_said(mnist: Path) -> None:
    """A download that broke off."""
    path = mnist / "mnist" / TRAIN_IMAGES
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}: cannot be unpacked"):
        originals.mnist(mnist, checksums={})


def test_file_that_is_no_gzip_is_said(mnist: Path) -> None:
    """A page of a server's error, for instance."""
    (mnist / "mnist" / TRAIN_IMAGES).write_text("<html>")

    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}: cannot be unpacked"):
        originals.mnist(mnist, checksums={})


def test_swapped_images_and_labels_are_said(mnist: Path) -> None:
    """Each has the other's magic number."""
    images, labels = (mnist / "mnist" / name for name in (TRAIN_IMAGES, TRAIN_LABELS))
    first, second = images.read_bytes(), labels.read_bytes()
    images.write_bytes(second)
    labels.write_bytes(first)

    with pytest.raises(DataError, match="that of labels: are two files swapped"):
        originals.mnist(mnist, checksums={})


def test_swapped_labels_of_training_and_test_are_said(mnist: Path) -> None:
    """Their numbers differ."""
    first, second = (mnist / "mnist" / f"{p}-labels-idx1-ubyte.gz" for p in ("train", "t10k"))
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)

    with pytest.raises(DataError, match="2 labels for the 3 images"):
        originals.mnist(mnist, checksums={})


def test_well_formed_file_that_is_not_the_original_is_refused(mnist: Path) -> None:
    """By its published checksum."""
    with pytest.raises(DataError, match="not the original file: md5"):
        originals.mnist(mnist)


def test_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    """A gzip bomb costs no more memory than the limit."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(1_000_000)))

    with pytest.raises(DataError, match="unpacks to more than 1,000 bytes"):
        originals.unpacked(path, 1_000)


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    """Give a directory, or fetch."""
    with pytest.raises(DataError, match=r"no such file; give --data-dir \(or SAMEGRAD_DATA\)"):
        originals.mnist(tmp_path)


def test_cifar_of_another_size_or_content_is_refused(tmp_path: Path) -> None:
    """Whole records, known labels, the known checksum."""
    folder = tmp_path / "cifar-10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    data = np.zeros((originals.CIFAR_RECORDS, originals.CIFAR_RECORD), np.uint8)
    first, test = folder / "data_batch_1.bin", folder / "test_batch.bin"
    test.write_bytes(data.tobytes())

    first.write_bytes(data.tobytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_1.bin: 30,729,999 bytes unpacked"):
        originals.cifar10(tmp_path, (1,), checksums={})
    data[5, 0] = 10
    first.write_bytes(data.tobytes())
    with pytest.raises(DataError, match=r"data_batch_1.bin: a label 10"):
        originals.cifar10(tmp_path, (1,), checksums={})
    data[5, 0] = 9
    first.write_bytes(data.tobytes())
    with pytest.raises(DataError, match=r"data_batch_1.bin: not the original file: sha256"):
        originals.cifar10(tmp_path, (1,))
    assert 9 == originals.cifar10(tmp_path, (1,), checksums={}).y[5]


def archive(path: Path, members: dict[str, bytes], kinds: dict[str, bytes] | None = None) -> None:
    """A tar.gz of these members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.type = (kinds or {}).get(name, tarfile.REGTYPE)
            info.linkname = "/etc/passwd" if info.type != tarfile.REGTYPE else ""
            tar.addfile(info, io.BytesIO(data))


def documents() -> dict[str, bytes]:
    """Two training documents and one for the test in each of twenty groups."""
    texts = {}
    for group in range(20):
        for part, numbers in (("train", (1, 2)), ("test", (3,))):
            for number in numbers:
                name = f"20news-bydate-{part}/group.{group:02}/{number}"
                texts[name] = f"From: someone\n\nword{group} \xe9 {number}\n".encode("latin-1")
    return texts


COUNTS = {"train": 40, "test": 20}


def news_file(directory: Path) -> Path:
    """Where the archive is expected."""
    return directory / "20newsgroups" / "20news-bydate.tar.gz"


def test_newsgroups_are_read_in_the_order_of_groups_and_numbers(tmp_path: Path) -> None:
    """Whatever the archive's own order."""
    archive(news_file(tmp_path), dict(reversed(documents().items())))

    records = originals.newsgroups(tmp_path, COUNTS)

    assert 60 == len(records.X) and 40 == records.training
    assert [0, 0, 1, 1] == records.y[:4].tolist()
    assert "From: someone\n\nword0 \xe9 1\n" == records.X[0]
    assert 20 == len(set(records.y))


@pytest.mark.parametrize(
    ("extra", "kinds", "message"),
    [
        ({"../outside": b"x"}, {}, "a path outside of it"),
        ({"/etc/passwd": b"x"}, {}, "a path outside of it"),
        ({"20news-bydate-train/group.00/9": b""}, {"SYM": True}, "neither a file nor a folder"),
        ({"20news-bydate-train/group.00/9": b"x" * 6_000_000}, {}, "unpacks to more than"),
        ({"readme": b"x"}, {}, "is not 20news-bydate"),
        ({"20news-bydate-train/group.00/9": b"x"}, {}, "41 documents in train, expected 40"),
        ({"20news-bydate-test/another/9": b"x"}, {}, "21 groups, expected 20"),
    ],
)
def test_fault_in_the_archive_is_an_error_that_names_it(
    tmp_path: Path, extra: dict[str, bytes], kinds: dict[str, bool], message: str
) -> None:
    """Nothing is unpacked to the disk, and nothing but documents is read."""
    types = dict.fromkeys(extra, tarfile.SYMTYPE) if kinds else None
    archive(news_file(tmp_path), documents() | extra, types)

    with pytest.raises(DataError, match=message) as caught:
        originals.newsgroups(tmp_path, COUNTS)
    assert "20news-bydate.tar.gz" in str(caught.value)


def test_archive_that_broke_off_is_said(tmp_path: Path) -> None:
    """Half of it."""
    path = news_file(tmp_path)
    archive(path, documents())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(DataError, match="cannot be unpacked"):
        originals.newsgroups(tmp_path, COUNTS)


def test_table_without_a_column_or_with_other_values_is_refused(tmp_path: Path) -> None:
    """A CSV that is not this one."""
    folder = tmp_path / "titanic"
    folder.mkdir()
    path = folder / "train.csv"
    header = ",".join(originals.TITANIC_COLUMNS)

    path.write_text(header.replace(",Fare", "") + "\n")
    with pytest.raises(DataError, match=r"train.csv: without the column Fare"):
        originals.titanic(tmp_path)
    path.write_text(header + "\n1,0,3,Name,male,young,0,0,x,7.5,,S\n")
    with pytest.raises(DataError, match=r"train.csv: column Age is not of numbers"):
        originals.titanic(tmp_path)
    path.write_text(header + "\n1,0,3,Name,male,22,0,0,x,7.5,,S\n")
    with pytest.raises(DataError, match=r"train.csv: 1 rows, expected 891"):
        originals.titanic(tmp_path)
    path.write_text('"')
    with pytest.raises(DataError, match=r"train.csv: not a CSV file"):
        originals.titanic(tmp_path)


def test_cars_with_another_number_of_columns_are_refused(tmp_path: Path) -> None:
    """Without a header the number is all there is."""
    (tmp_path / "automobile").mkdir()
    (tmp_path / "automobile" / "imports-85.data").write_text("1,2,3\n")

    with pytest.raises(DataError, match=r"imports-85.data: 3 columns, expected 26"):
        originals.automobile(tmp_path)


@pytest.mark.parametrize(
    ("name", "folder", "records"),
    [
        ("mnist", "mnist", 70_000),
        ("cifar10_batch1", "cifar-10", 20_000),
        ("newsgroups", "20newsgroups", 18_846),
        ("titanic", "titanic", 891),
        ("automobile", "automobile", 205),
    ],
)
def test_original_files_give_the_known_records(name: str, folder: str, records: int) -> None:
    """Their hash is what an online source is held against."""
    read = datasets.load(name, data_dir(folder))

    assert records == len(read.X)
    assert SHA256[name] == read.sha256
