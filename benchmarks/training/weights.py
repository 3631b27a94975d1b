"""Trained weights as a file: an npz of plain arrays, which is never unpickled."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.benchmarks.training.data.records import reason
from samegrad.implementations.contract.adapter import check_params
from samegrad.implementations.contract.spec import MLPSpec, Params

FORM = 1


class WeightsError(ValueError):
    """The file holds no weights of this form; the message says which file and why."""


def save(path: Path, spec: MLPSpec, params: Params, about: dict[str, Any]) -> None:
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
    with path.open("wb") as file:  # a name of its own: NumPy would add .npz to a path
        np.savez(file, description=np.array(json.dumps(description)), **arrays)


def load(path: Path) -> tuple[MLPSpec, Params, dict[str, Any]]:
    """(spec, params, description) that `save` wrote.

    Raises:
        WeightsError: not such a file, or its arrays do not fit its spec.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = json.loads(str(arrays["description"]))
        if about["form"] != FORM:
            raise WeightsError(f"{path}: weights of form {about['form']}, this reads form {FORM}")
        spec = MLPSpec.from_dict(about["spec"])
        layers = range(1, len(spec.layer_sizes))
        params = check_params(
            spec, [(arrays[f"W{layer}"], arrays.get(f"b{layer}")) for layer in layers]
        )
    except WeightsError:
        raise
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        what = f"{path}: no weights that `train --save` wrote: {reason(error)}"
        raise WeightsError(what) from None
    return spec, params, about
