"""mypy of the package as it is installed: `python tests/helpers/typed_tree.py [OPTIONS]`.

In the checkout `benchmarks/` and its neighbours lie beside `samegrad/`, and `__path__` joins them
when the program runs, which mypy cannot follow. So a folder of links shows it the merged tree.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "build" / "typing"


def make(tree: Path = TREE) -> Path:
    """A folder with one package, samegrad, made of links to the checkout's files."""
    shutil.rmtree(tree, ignore_errors=True)
    package = tree / "samegrad"
    package.mkdir(parents=True)
    for source in (ROOT / "samegrad").iterdir():
        if source.name != "__pycache__":
            (package / source.name).symlink_to(source)
    for name in ("benchmarks", "implementations", "reports"):
        (package / name).symlink_to(ROOT / name, target_is_directory=True)
    return tree


def main(options: list[str]) -> int:
    """mypy's exit status."""
    command = [sys.executable, "-m", "mypy", "-p", "samegrad", "-p", "tests", "-m", "conftest"]
    environment = os.environ | {"MYPYPATH": str(make())}
    return subprocess.run([*command, *options], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
