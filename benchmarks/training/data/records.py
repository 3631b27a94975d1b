"""Raw records of a data set, and the faults that its files can have."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any


def reason(error: BaseException) -> str:
    """What an error says, on one line; its class where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


class DataError(ValueError):
    """Files are missing, or not what they should be; the message names one and what to do."""


@dataclass(frozen=True)
class Records:
    """One data set as its source hands it over, before any feature is made.

    Attributes:
        X: (records, features) uint8 or float64, a list of texts, or a DataFrame.
        y: (records,) class indices as int64, or (records, outputs) values; labels of a table are
            made from its columns, and y is then empty.
        training: how many of the records, the first ones, are for training; the others are the
            test data that its authors set apart.
    """

    X: Any
    y: Array
    training: int

    @property
    def sha256(self) -> str:
        """Hash of the raw records, by which two sources of one data set are compared."""
        digest = hashlib.sha256()
        if hasattr(self.X, "columns"):  # pandas takes a while to load, and few tasks need it
            for name in self.X.columns:
                column = self.X[name]
                digest.update(f"{name}\0".encode())
                if column.dtype.kind == "f":
                    digest.update(column.to_numpy(np.float64).astype("<f8").tobytes())
                else:
                    digest.update("\0".join(column.fillna("").astype(str)).encode())
        elif isinstance(self.X, list):
            for text in self.X:
                digest.update(hashlib.sha256(text.encode("latin-1")).digest())
        else:
            digest.update(np.ascontiguousarray(self.X).tobytes())
        digest.update(np.ascontiguousarray(self.y).tobytes())
        return digest.hexdigest()


# Of the records as read from the original files. What an online source hands over under the same
# name must have the same hash.
SHA256 = {
    "mnist": "b3fe36794a3a345d09632e9d79f122d61ca91a07e5a22f8536973655bacf2a78",
    "cifar10_batch1": "b1fbba5a748b84f5151739b4be0e4b03e43a62895fe35ba483a9e11e37e60569",
    "newsgroups": "ec52eb71335351e910e9b1d34ccbc7f0942e7a0780278cf4c54f31f40142c521",
    "titanic": "9a7dc3c9cb6fcfebb1928258d791ef0f2bcc32f134fe3f71552c3d33d6e53920",
    "automobile": "a4d8e3a27d616863f03eb69e362888aadecaa23ede972dbdfd08e57aa2dbe466",
}
