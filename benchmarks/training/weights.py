"""Files of weights: an npz of plain arrays, which is never unpickled."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.benchmarks.training.data.records import reason
from samegrad.implementations.contract.adapter import check_params
from samegrad.implementations.contract.files import ordinary, replaceable, replaced
from samegrad.implementations.contract.spec import MLPSpec, Params

FORM = 1  # of files of weights
LONGEST_DESCRIPTION = 2**20  # bytes of what a file of weights says of itself


class WeightsError(ValueError):
    """The file holds no weights of this form; the message says which file and why."""


def save_weights(path: Path, spec: MLPSpec, params: Params, about: dict[str, Any]) -> None:
    """Write W1, b1, W2, ... and a description, as JSON, of what they are.

    Raises:
        OSError: the file cannot be written.
    """
    arrays: dict[str, Any] = {}
    for layer, (W, b) in enumerate(params, start=1):
        arrays[f"W{layer}"] = W
        if b is not None:
            arrays[f"b{layer}"] = b
    description = {"form": FORM, "spec": spec.to_dict(), **about}
    # A file that is open: NumPy would add .npz to a path.
    with replaced(path) as beside, beside.open("wb") as file:
        np.savez(file, description=np.array(json.dumps(description)), **arrays)


def load_weights(path: Path) -> tuple[MLPSpec, Params, dict[str, Any]]:
    """(spec, params, description) that `save_weights` wrote.

    Raises:
        WeightsError: not such a file, or its arrays do not fit its spec.
    """
    try:
        about = json.loads(str(_arrays(path, ["description"], LONGEST_DESCRIPTION)["description"]))
        if about["form"] != FORM:
            raise WeightsError(f"{path}: weights of form {about['form']}, this reads form {FORM}")
        spec = MLPSpec.from_dict(about["spec"])
        layers = range(1, len(spec.layer_sizes))
        names = [f"{letter}{layer}" for layer in layers for letter in ("Wb" if spec.bias else "W")]
        arrays = _arrays(path, names, 8 * max(spec.weights) + LONGEST_DESCRIPTION)
        params = check_params(
            spec, [(arrays[f"W{layer}"], arrays.get(f"b{layer}")) for layer in layers]
        )
    except WeightsError:
        raise
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file") from None
    except Exception as error:  # whatever zipfile, its decompressors and NumPy make of a bad file
        what = f"{path}: no weights that `train --save` wrote: {reason(error)}"
        raise WeightsError(what) from None
    return spec, params, about


def _arrays(path: Path, names: list[str], most: int) -> dict[str, Any]:
    """Arrays of an npz by name, none of which may take more bytes.

    Raises:
        Exception: the file is none, or lies about what it holds.
    """
    if not zipfile.is_zipfile(ordinary(path)):
        raise ValueError("it is no npz file")
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for name in names:
            info = archive.getinfo(f"{name}.npy")
            if info.flag_bits & 1:
                raise ValueError(f"{name} is encrypted")
            if info.file_size > most:
                raise ValueError(f"{name} has {info.file_size:,} bytes")
            with archive.open(info) as member:
                data = io.BytesIO(member.read(most + 1))
            arrays[name] = np.lib.format.read_array(data, allow_pickle=False)
    return arrays


def check_writable(path: Path) -> None:
    """Raise ValueError now, rather than after the training, if weights cannot be written there."""
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"--save {path}: cannot be written; give a file in a folder that exists")
    try:
        with tempfile.TemporaryFile(dir=replaceable(path).parent):
            pass
        held = path.read_bytes()[:2] if path.is_file() else b""
    except OSError as error:
        raise ValueError(f"--save {path}: cannot be written: {error.strerror}") from None
    if held not in (b"", b"PK"):  # with which an npz begins
        raise ValueError(f"--save {path}: it is there and holds no weights; give another file")
