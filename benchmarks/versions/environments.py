"""Versions as they are typed, and an environment for each: made by venv and pip, and kept."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from samegrad.benchmarks.runs import interpreter
from samegrad.benchmarks.versions.step import LIBRARIES
from samegrad.implementations.contract.cache import kept_in
from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.files import exclusive
from samegrad.implementations.contract.texts import clean, say

# Packages by their names, from the registry that pip is set up for: no options, paths, addresses.
REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)(\[[\w,.-]+\])?(([=<>!~]=|[<>])[\w.*+!]+(,|$))*")
VARIABLE = re.compile(r"([A-Z][A-Z0-9_]*)=([^=].*|)")
INSTALL_SECONDS = 1800.0
COMPLETE = "complete"  # file that is written at last
ALONE = ("PYTHONPATH", "PYTHONHOME")  # what would bring packages of others into an environment


@dataclass(frozen=True)
class Version:
    """What is timed beside others.

    Attributes:
        label: as shown.
        library: whose step it is: a key of `step.LIBRARIES`.
        requirements: what pip installs, that library first.
        variables: of its processes.
        python: path of the interpreter that its environment is made with.
    """

    label: str
    library: str
    requirements: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable


def parse(texts: Sequence[str], python: str | None = None) -> list[Version]:
    """Versions from "jax==0.4.30 numpy==2.0.2 XLA_FLAGS=..." and the like, for each interpreter.

    Args:
        texts: requirements of pip and variables, separated by spaces.
        python: "NAME=PATH,...", or None for this interpreter.

    Raises:
        ValueError: one line that says what is accepted.
    """
    pythons = {"": sys.executable} if python is None else dict[str, str]()
    for part in python.split(",") if python is not None else ():
        name, _, path = part.strip().partition("=")
        if not name or not path or name in pythons:
            raise ValueError(f"--python {part!r} is not accepted; give NAME=PATH, each name once")
        pythons[name] = str(Path(path).expanduser())
    made = [
        _version(text.split(), f"{text} on {name}" if len(pythons) > 1 else text, path)
        for name, path in pythons.items()
        for text in dict.fromkeys(" ".join(text.split()) for text in texts)
    ]
    if len(made) < 2:
        raise ValueError("one version shows nothing over time; give two, as jax==0.4.30 jax==0.6.2")
    if len({version.library for version in made}) > 1:
        raise ValueError("versions of several libraries are no line; begin each with the same one")
    return made


def _version(words: Sequence[str], label: str, python: str) -> Version:
    requirements, variables = [], {}
    for word in words:
        if setting := VARIABLE.fullmatch(word):
            variables[setting[1]] = setting[2]
        elif REQUIREMENT.fullmatch(word):
            requirements.append(word)
        else:
            raise ValueError(
                f"{word!r} is not accepted; give packages as jax==0.4.30, variables as NAME=VALUE"
            )
    named = REQUIREMENT.fullmatch(requirements[0]) if requirements else None
    library = named[1] if named else ""
    if library not in LIBRARIES:
        raise ValueError(
            f"{label!r}: its first package is timed, one of {', '.join(LIBRARIES)}"
            f"{did_you_mean(library, LIBRARIES)}"
        )
    return Version(label, library, tuple(requirements), variables, python)


def make(version: Version) -> str:
    """The path of an interpreter that has a version: of an earlier run, or made now.

    Raises:
        OSError: it cannot be made; in one line, why.
    """
    if wrong := interpreter.why_not(version.python):
        raise OSError(f"{version.python}: {wrong}; a Python from 3.11 on is needed")
    about = (os.path.realpath(version.python), Path(version.python).stat().st_mtime_ns)
    name = hashlib.sha256(repr((*about, version.requirements)).encode()).hexdigest()[:24]
    folder = kept_in("versions") / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wait = f"samegrad: {version.label}: another run is making it; waiting {INSTALL_SECONDS:.0f} s"
    with exclusive(folder.with_suffix(".lock"), INSTALL_SECONDS, lambda: say(f"{wait} at most")):
        if not (folder / COMPLETE).is_file():
            _run("venv", [version.python, "-m", "venv", "--clear", str(folder)])
            # Nothing is built here: what has no wheel for this Python is not installed.
            pip = ["pip", "--no-input", "--disable-pip-version-check", "install"]
            only = ["--only-binary", ":all:", "--no-compile"]  # what is imported is, then
            _run("pip", [str(python), "-m", *pip, *only, *version.requirements])
            (folder / COMPLETE).touch()
    return str(python)


def _run(what: str, command: Sequence[str]) -> None:
    """Run a step of making an environment.

    Raises:
        OSError: it fails, or takes too long.
    """
    environment = {k: v for k, v in os.environ.items() if k not in ALONE}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env=environment, timeout=INSTALL_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OSError(f"{what}: no end within {INSTALL_SECONDS:.0f} s") from None
    if done.returncode:
        raise OSError(f"{what}: {clean(next(_faults(done.stdout), 'it failed without a word'))}")


def _faults(said: str) -> Iterator[str]:
    """What a program said was wrong, the most telling line first."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if "Failed to establish a new connection" in said or "name resolution" in said:
        yield "the package registry cannot be reached"
    yield from (line[:300] for line in reversed(lines) if line.startswith("ERROR"))
    yield from (line[:300] for line in reversed(lines))
