"""What is installed with what: pyproject.toml and the table that messages are made from."""

import configparser
import json
import re
import tomllib
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.implementations.contract import commands, registry

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

pytestmark = pytest.mark.quick


def distributions(requirements: list[str]) -> set[str]:
    """Names without versions; of an extra of our own, what it has."""
    found: set[str] = set()
    for text in requirements:
        own = re.fullmatch(r"samegrad\[(.*)\]", text)
        if own:
            names = [name.strip() for name in own[1].split(",") if name.strip()]
            found |= set().union(*(distributions(EXTRAS[name]) for name in names))
        else:
            found.add(re.split(r"[\[<>=!~; ]", text)[0])
    return found


def test_base_install_is_numpy_and_mpmath() -> None:
    """Everything else is an extra."""
    assert {"numpy", "mpmath"} == distributions(PROJECT["dependencies"])


def test_extras_of_the_issue_are_there() -> None:
    """`all` is everything that runs without a GPU."""
    assert {"benchmark", "report", "train", "torch", "jax", "peers", "cuda", "all"} <= set(EXTRAS)
    everything = distributions(EXTRAS["all"])
    for name in ("benchmark", "report", "train", "torch", "jax", "peers"):
        assert distributions(EXTRAS[name]) <= everything
    (cupy,) = EXTRAS["cupy"]
    assert "[ctk]" in cupy  # without the toolkit's parts it compiles no kernel


@pytest.mark.parametrize("extra", commands.EXTRAS)
def test_table_of_messages_names_what_the_extra_installs(extra: str) -> None:
    """A command that asks for an extra would else ask in vain."""
    assert set(commands.EXTRAS[extra].values()) <= distributions(EXTRAS[extra])


def test_registry_names_extras_that_install_what_is_needed() -> None:
    """Of every implementation."""
    for name, entry in registry.TABLE.items():
        if entry.requires not in (None, registry.COMPILER):
            extra = entry.extra or entry.requires
            needed = commands.EXTRAS[extra][entry.requires]
            assert needed in distributions(EXTRAS[extra]), name


def test_groups_for_tests_types_and_lint_stand_in_the_project() -> None:
    """tox takes its tools from there."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]

    assert {"test", "typing", "lint", "site"} == set(groups)
    used = re.findall(r"^dependency_groups = (.*)$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    assert {"test, typing", "lint", "site"} == set(used)


def test_two_environments_hold_torch() -> None:
    """And the one with CUDA builds, instead of the former; each takes gigabytes."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    everything = tox["testenv"]["extras"]

    with_torch = {
        name
        for name in tox.sections()
        if name.startswith("testenv:")
        and "torch" in distributions([f"samegrad[{tox[name].get('extras', everything)}]"])
    }

    assert {"testenv:tests", "testenv:benchmark", "testenv:benchmark-cuda"} == with_torch


def test_missing_extra_is_found_by_the_module_that_failed() -> None:
    """A module that no extra has is somebody else's fault."""
    absent = {"pyarrow"} - {"pyarrow" if commands._installed("pyarrow") else ""}

    line = commands.missing_extra(ModuleNotFoundError(name="cupy.cuda"))
    other = commands.missing_extra(ModuleNotFoundError(name="somebody"))

    assert other is None
    if not commands._installed("cupy"):
        assert line is not None and "cupy-cuda13x (extra 'cupy') is not installed" in line
    assert len(absent) <= 1


def test_install_command_is_that_of_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """From its root with a dot, from elsewhere with its path; a wheel's has the name."""
    monkeypatch.chdir(ROOT)
    assert 'pip install -e ".[torch]"' == commands.install("torch")
    monkeypatch.chdir(ROOT / "docs")
    assert f'pip install -e "{ROOT}[torch]"' == commands.install("torch")
    monkeypatch.setattr(commands, "IN_CHECKOUT", False)
    monkeypatch.setattr(commands, "_origin", lambda: "")
    assert 'pip install "samegrad[torch]"' == commands.install("torch")


@pytest.mark.parametrize("there", [True, False])
def test_install_command_of_what_a_clone_installed_names_the_clone(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it is there: no index has samegrad, and its name alone installs nothing."""
    clone, noted = tmp_path / "my clone", tmp_path / "site" / "samegrad-0.2.0.dist-info"
    for folder in (clone, noted):
        folder.mkdir(parents=True)
    (noted / "METADATA").write_text("Metadata-Version: 2.1\nName: samegrad\nVersion: 0.2.0\n")
    (noted / "direct_url.json").write_text(json.dumps({"url": clone.as_uri(), "dir_info": {}}))
    if there:
        (clone / "pyproject.toml").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(commands, "IN_CHECKOUT", False)

    named = clone if there else "samegrad"
    assert f'pip install "{named}[torch]"' == commands.install("torch")
    assert ("clone" in commands.anywhere(f"in {clone}")) == (not there)
