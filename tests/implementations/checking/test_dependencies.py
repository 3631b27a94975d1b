"""What checking a gradient needs: NumPy, mpmath and the standard library, and little time."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from samegrad.benchmarks.machine.checkout import ROOT
from tests.helpers.planted import RIGHT

# Comes first on the path of the process and of its children.
GUARD = """
import sys
from importlib.machinery import PathFinder
ACCEPTED = {"numpy", "mpmath", "samegrad", "sitecustomize", "my_mlp"}
# Which mpmath and NumPy use where they are installed.
OPTIONAL = {"gmpy2", "gmpy", "sage", "flint", "threadpoolctl"}

class Guard:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in OPTIONAL:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        ours = top in ACCEPTED or top in sys.stdlib_module_names or top.startswith("_")
        if path is None and not ours and PathFinder.find_spec(name) is not None:
            raise RuntimeError(f"{name} is imported")

sys.meta_path.insert(0, Guard())
"""


def run(folder: Path, code: str) -> "subprocess.CompletedProcess[str]":
    """The code in a process that refuses any other third-party package."""
    (folder / "sitecustomize.py").write_text(GUARD)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_check_gradient_and_verify_need_numpy_and_mpmath_alone(tmp_path: Path) -> None:
    """Any other import raises, in this process and in the verifier's child."""
    (tmp_path / "my_mlp.py").write_text(RIGHT)
    code = """
        import numpy as np
        import samegrad as sg
        print(sg.check_gradient(lambda p: np.sum(p**3), lambda p: 3 * p**2, np.ones(3)).agrees)
        print(sg.verify("my_mlp.py", losses=["mse"]).verdict)
        sg.assert_gradients_agree("my_mlp.py", specs=[sg.MLPSpec((3, 2))])
    """

    done = run(tmp_path, code)

    assert (0, "True\nagrees\n") == (done.returncode, done.stdout), done.stderr


def test_other_package_would_be_noticed(tmp_path: Path) -> None:
    """In the process itself, and in the child as what a file raises."""
    (tmp_path / "my_mlp.py").write_text("import pytest\n" + RIGHT)
    code = "import samegrad; print(samegrad.verify('my_mlp.py', layers=(2, 2)))"

    inside, outside = run(tmp_path, code), run(tmp_path, "import pytest")

    assert "could not be loaded: RuntimeError: pytest is imported" in inside.stdout, inside.stderr
    assert "RuntimeError: pytest is imported" in outside.stderr


def test_check_gradient_imports_no_mpmath_and_no_verifier() -> None:
    """Its import takes little more than NumPy's."""
    code = (
        "import sys, samegrad.implementations.checking.function_check\n"
        "print(*sorted(name for name in sys.modules if name.startswith(('samegrad.', 'mpmath'))))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert set() == {
        name
        for name in done.stdout.split()
        if not name.startswith(("samegrad.implementations.contract", "samegrad.implementations"))
        or name.endswith(("verifier", "exact", "registry", "processes"))
    }
