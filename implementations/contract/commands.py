"""What to type here: how a command of samegrad is started, and how an extra is installed.

A checkout, an editable install and a wheel differ in both, so every message that tells somebody
what to type takes it from this module.
"""

import importlib.util
import os
import shlex
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]  # a checkout; installed, samegrad's own folder
IN_CHECKOUT = (HOME / "pyproject.toml").is_file()
# The form for documents that are read on other machines: it works wherever samegrad is there.
PORTABLE = "python -m samegrad"

# extra -> what it installs that is imported without a fallback: import name -> distribution
EXTRAS = {
    "benchmark": {
        "pytest": "pytest",
        "pytest_benchmark": "pytest-benchmark",
        "sklearn": "scikit-learn",
        "scipy": "scipy",
        "threadpoolctl": "threadpoolctl",
    },
    "report": {
        "pandas": "pandas",
        "matplotlib": "matplotlib",
        "jinja2": "jinja2",
        "tabulate": "tabulate",
        "scipy": "scipy",
    },
    "train": {"sklearn": "scikit-learn", "pandas": "pandas", "tabulate": "tabulate"},
    "torch": {"torch": "torch"},
    "jax": {"jax": "jax", "optax": "optax"},
    "peers": {
        "flax": "flax",
        "optax": "optax",
        "numba": "numba",
        "sklearn": "scikit-learn",
        "sympy": "sympy",
    },
    "numba": {"numba": "numba"},
    "cupy": {"cupy": "cupy-cuda13x"},
    "triton": {"torch": "torch", "triton": "triton"},
    "parquet": {"pyarrow": "pyarrow"},
    "archive": {
        "duckdb": "duckdb",
        "pyarrow": "pyarrow",
        "pandas": "pandas",
        "jinja2": "jinja2",
        "scipy": "scipy",
    },
    "fleet": {"submitit": "submitit"},
}


class MissingExtraError(ImportError):
    """What an extra of samegrad installs is needed and not installed."""


def command(*arguments: str) -> str:
    """What starts `samegrad ARGUMENTS` with the interpreter that is running."""
    return " ".join([_program(), *map(shlex.quote, arguments)])


def again(typed: str, *more: str) -> str:
    """What starts a command as somebody has typed it, with another option, elsewhere.

    Args:
        typed: the command, or several, each a line; if it is none, that of a run.
        more: the option and its value, which take the place of those that were typed.
    """
    made = []
    for line in typed.splitlines():
        try:
            words = shlex.split(line)
        except ValueError:  # a quotation that does not end
            continue
        names = ("--output", more[0])  # its folder is not empty any more
        kept = [
            word
            for before, word in pairwise(["", *words])
            if before not in names and word.partition("=")[0] not in names
        ]
        made += [shlex.join([*kept, *more])] if kept not in ([], ["unknown"]) else []
    return " && ".join(made) or command("benchmark", *more)


def _program() -> str:
    python = Path(sys.executable)
    suffix = ".exe" if python.suffix == ".exe" else ""  # ".11" of python3.11 is none
    script = python.with_name("samegrad" + suffix)
    if script.is_file():
        return "samegrad" if _on_path("samegrad", script) else _shown(script)
    return f"{'python' if _on_path('python', python) else _shown(python)} -m samegrad"


def _on_path(name: str, program: Path) -> bool:
    """Whether a bare name starts the program of this environment."""
    import shutil  # with five archive formats in tow

    started = shutil.which(name)
    return started is not None and Path(started).parent == program.parent


def _shown(path: Path) -> str:
    """A path as short as it can be typed from the current folder."""
    try:
        here = Path.cwd()
    except OSError:  # somebody has removed it
        return shlex.quote(os.fspath(path))
    return shlex.quote(os.fspath(path.relative_to(here) if path.is_relative_to(here) else path))


def install(extra: str) -> str:
    """The command that adds an extra to this installation."""
    if not IN_CHECKOUT:
        return f'pip install "{_origin() or "samegrad"}[{extra}]"'
    folder = "." if Path.cwd() == HOME else os.fspath(HOME)
    return f'pip install -e "{folder}[{extra}]"'


def _origin() -> str:
    """The clone that it was installed from, by pip's own note (PEP 610); "" if it is gone."""
    import json  # here and below: nothing of it is needed before something is missing
    from importlib import metadata
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        noted = metadata.distribution("samegrad").read_text("direct_url.json")
        url = urlsplit(json.loads(noted or "{}")["url"])
    except (metadata.PackageNotFoundError, LookupError, TypeError, ValueError):
        return ""
    folder = url2pathname(url.path) if url.scheme == "file" else ""
    return folder if folder and Path(folder, "pyproject.toml").is_file() else ""


def anywhere(text: str) -> str:
    """A text without the folders of this machine, for those who read it elsewhere."""
    places = {os.fspath(HOME): ".", _origin(): ".", sys.prefix: "its environment"}
    for folder, name in places.items():
        text = text.replace(folder, name) if folder else text
    return text


def pinned(versions: Iterable[str], extra: str) -> str:
    """What installs these versions, such as "numpy==2.4", and an extra of a clone."""
    return f"pip install {shlex.join(versions)} '.[{extra}]'"


def require(extra: str, user: str) -> None:
    """Raise MissingExtraError unless everything of an extra is installed.

    Args:
        extra: a key of EXTRAS.
        user: who needs it, for the message.
    """
    missing = [name for module, name in EXTRAS[extra].items() if not _installed(module)]
    if missing:
        raise MissingExtraError(
            f"{user} needs {', '.join(missing)} (extra {extra!r}); "
            f"install it with: {install(extra)}"
        )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # something stands in its way
        return False


def missing_extra(error: ImportError) -> str | None:
    """The line for a failed import of something that an extra installs, or None."""
    module = (error.name or "").split(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules and not _installed(module):
            return (
                f"{modules[module]} (extra {extra!r}) is not installed; "
                f"install it with: {install(extra)}"
            )
    return None


def which_gpu(device: str) -> str:
    """How to choose one of several GPUs, for who has typed its number; else ""."""
    name, _, number = device.partition(":")
    if name != "cuda" or not number:
        return ""
    return f"; choose a GPU by CUDA_VISIBLE_DEVICES={number} and give --device cuda"


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The end of a message, "; did you mean 'numpy'?", for a name near a known one, or ""."""
    import difflib  # needed after mistakes only

    near = difflib.get_close_matches(name, list(known), 1, cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""
