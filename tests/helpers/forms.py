"""samegrad as it is installed: wheels and sdists built without the network, in fresh environments.

An environment shares what is installed here by links, so that making one takes a second; what is
not linked is not installed there.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.machine.checkout import ROOT

PACKAGED = ("benchmarks", "implementations", "reports", "samegrad")
FILES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff",
         "constraints.txt", "conftest.py", "tox.ini")  # fmt: skip
BASE = ("numpy", "mpmath")  # what `pip install samegrad` brings
HERE = Path(sysconfig.get_path("purelib"))
# Written by a plugin of pytest when a run ends: files of samegrad that have two names by then.
TWICE = """
import collections, json, os, sys
from pathlib import Path

def pytest_unconfigure(config):
    import samegrad
    homes = {Path(folder).resolve() for folder in samegrad.__path__}
    names = collections.defaultdict(list)
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "/").resolve()
        ours = [file.relative_to(home).parts for home in homes if home in file.parents]
        if any("site-packages" not in parts for parts in ours):  # a checkout may hold .tox
            names[str(file)].append(name)
    Path(os.environ["TWICE"]).write_text(json.dumps(names))
"""


def source(folder: Path) -> Path:
    """A copy of what is packaged, and of a clone's other files, without git."""
    folder.mkdir()
    for name in (*PACKAGED, "tests"):
        ignored = shutil.ignore_patterns("output", "results", "__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(what: str, folder: Path, target: Path) -> Path:
    """What setuptools' build_wheel, build_sdist or build_editable makes of a source."""
    pytest.importorskip("setuptools", reason="without setuptools nothing is built here")
    target.mkdir(exist_ok=True)
    # The build system's own entry point: pip would ask for the network.
    code = f"from setuptools import build_meta; print(build_meta.build_{what}({str(target)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    return target / done.stdout.split()[-1]


def unpacked(sdist: Path, folder: Path) -> Path:
    """The folder in a sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source_folder,) = folder.iterdir()
    return source_folder


def environment(folder: Path, wheel: Path, packages: Collection[str] | None = None) -> Path:
    """The bin folder of a fresh environment with a wheel in it.

    Args:
        folder: where it is made.
        wheel: what is installed, a file.
        packages: what else is there, as far as it is installed here; None for everything.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    for path in HERE.iterdir():
        name = path.name.lower()
        package = name.split("-")[0].split(".")[0]
        if name.startswith(("samegrad", "__editable__", "__pycache__")) or path.suffix == ".pth":
            continue
        if packages is None or package in packages:
            (site / path.name).symlink_to(path)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    script = folder / "bin" / "samegrad"
    script.write_text(
        f"#!{folder / 'bin' / 'python'}\n"
        "import sys\nfrom samegrad.cli import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    return folder / "bin"


def run(program: Path, *arguments: str, cwd: Path, **variables: str) -> Any:
    """A program of an environment, as from a shell in which that is active."""
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(program), *arguments],
        cwd=cwd,
        env=inherited | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
