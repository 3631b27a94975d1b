"""Executes the notebooks of docs/, each in a folder of its own, as on a machine that has no clone.

python -m tests.helpers.notebooks [FILE ...]
"""

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from samegrad.benchmarks.machine.checkout import ROOT

FOLDER = ROOT / "docs" / "notebooks"
CELL_SECONDS = 300


def execute(files: Iterable[Path]) -> None:
    """Run every cell; an error ends it."""
    import nbformat
    from nbclient import NotebookClient

    os.environ["SAMEGRAD_ADDRESS"] = str(ROOT)
    os.environ["PYTHONPATH"] = str(ROOT)
    for file in files:
        notebook = nbformat.read(file, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            resources = {"metadata": {"path": folder}}
            NotebookClient(notebook, timeout=CELL_SECONDS, resources=resources).execute()


if __name__ == "__main__":
    execute(map(Path, sys.argv[1:] or sorted(FOLDER.glob("*.ipynb"))))
