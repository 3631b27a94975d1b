"""`import samegrad`: what it gives, what it loads, and how it says what is wrong."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import samegrad as sg
from samegrad.benchmarks.machine.checkout import ROOT

PUBLIC = (
    "MLPSpec init_params load names verify check check_function check_gradient prove "
    "assert_gradients_agree measure compare render __version__"
).split()

pytestmark = pytest.mark.quick

ANY: Any = [3]  # no specs


def python(code: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """A line of Python in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_public_names_are_all_that_dir_shows() -> None:
    """Each is there, and callable but for the version."""
    assert sorted(PUBLIC) == dir(sg) == sorted(sg.__all__)
    for name in PUBLIC:
        assert isinstance(getattr(sg, name), str) or callable(getattr(sg, name))


def test_import_loads_nothing_but_itself_and_the_standard_library() -> None:
    """Neither a framework nor NumPy nor another module of samegrad; not even `typing`."""
    code = "import sys; before = set(sys.modules); import samegrad; print(*set(sys.modules)-before)"

    loaded = set(python(code).stdout.split())

    assert "samegrad" in loaded
    assert [] == [
        name
        for name in loaded - {"samegrad"}
        if name.split(".")[0].strip("_") not in ("importlib", "warnings")
    ]


def test_names_are_loaded_when_they_are_used() -> None:
    """A specification needs neither pandas nor a framework."""
    code = (
        "import sys, samegrad as sg; sg.MLPSpec((3, 2)); sg.load('numpy'); sg.verify; sg.names()\n"
        "print(*{'torch', 'jax', 'pandas', 'scipy', 'matplotlib', 'pytest'} & set(sys.modules))"
    )

    done = python(code)

    assert (0, "") == (done.returncode, done.stdout.strip()), done.stderr


def test_type_checkers_see_what_is_loaded() -> None:
    """The imports under TYPE_CHECKING are those of the table, name by name."""
    tree = ast.parse((ROOT / "samegrad" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)][:1]

    typed = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert typed == sg._PUBLIC
    assert (ROOT / "samegrad" / "py.typed").exists()


def test_unknown_name_gets_one_suggestion() -> None:
    """Python's own, which knows the public names."""
    lines = python("import samegrad as sg; sg.verfy").stderr.splitlines()

    assert (
        "AttributeError: module 'samegrad' has no attribute 'verfy'. Did you mean: 'verify'?"
        == (lines[-1])
    )
    assert not hasattr(sg, "main")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sg.MLPSpec(3), "layer_sizes 3 is not accepted; give features, hidden widths"),
        (lambda: sg.load(None), "implementation None is not accepted; give a name such as"),
        (lambda: sg.init_params(3), "spec 3 is not accepted; give one: MLPSpec((784, 128, 10))"),
        (lambda: sg.check_gradient(1, 2, 3), "loss is the number 1; give a function of params"),
        (lambda: sg.check("my.py"), "net is the text 'my.py'; give the object itself. A file is"),
        (lambda: sg.check([], loss=3), "loss is the number 3; give a function without arguments"),
        (lambda: sg.check([], abs, []), "backward is a list; give a function without arguments"),
        (lambda: sg.check([0.1], float, float, params=int), "params is a type; give a dict or a"),
        (lambda: sg.prove(float, None, 1.0), "grad is None; give a function of params"),
        (lambda: sg.prove(float, float, 1.0, points="3"), "points '3' is not accepted; give a"),
        (lambda: sg.verify(object()), "implementation is an object; give a name, a file or"),
        (lambda: sg.verify("x", hints="y"), "implementation 'x' is not known"),
        (lambda: sg.measure("numpy", (3, 2), batch_size=1), "spec is a tuple; give one: MLPSpec("),
        (lambda: sg.measure(open, sg.MLPSpec((3, 2)), batch_size=1), "implementation is a builtin"),
        (lambda: sg.compare(1, 2), "run is the number 1; give a path"),
        (lambda: sg.compare("a", "b", fail_above="5%"), "fail_above='5%' is not accepted; give a"),
        (lambda: sg.compare("a", "b", across="machin"), "--across 'machin' is not known; accepted"),
        (lambda: sg.render(3), "journals is the number 3; give a path, or several"),
        (lambda: sg.assert_gradients_agree("numpy", specs=ANY), "specs holds the number 3; give"),
    ],
)
def test_arguments_of_another_type_are_refused_with_what_is_accepted(
    call: Callable[[], object], message: str
) -> None:
    """Not with what Python says deep inside."""
    with pytest.raises((TypeError, ValueError)) as refused:
        call()

    assert str(refused.value).startswith(message)


def test_version_is_that_of_the_metadata() -> None:
    """pyproject.toml reads it from the package; citation and changes have it with its date."""
    text = (ROOT / "pyproject.toml").read_text()
    changes = (ROOT / "CHANGELOG.md").read_text()
    newest = re.findall(r"^## \[(\d[\d.]*)\] - ([\d-]+)$", changes, re.MULTILINE)[0]
    cited = dict(re.findall(r"^([\w-]+): (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))

    assert 'version = { attr = "samegrad.__version__" }' in text
    assert (sg.__version__, sg.__version__) == (newest[0], cited["version"])
    assert newest[1] == cited["date-released"]
    for record in importlib.metadata.distributions(name="samegrad"):
        assert record.version == sg.__version__


@pytest.mark.parametrize("name", ["benchmarks", "implementations", "reports"])
def test_bare_names_say_what_to_write(name: str) -> None:
    """In one line, from the checkout's root, where Python finds the folder."""
    done = python(f"import {name}")

    assert 1 == done.returncode
    assert (
        f"ImportError: {name} is a part of samegrad: write `samegrad.{name}` for it, "
        "or `import samegrad` for what is public"
    ) == done.stderr.splitlines()[-1]


def test_package_is_not_imported_from_within_itself() -> None:
    """In a checkout the root is on `__path__`, so the name could be found."""
    assert "ImportError: samegrad.samegrad is samegrad itself: write `import samegrad`" in (
        python("import samegrad.samegrad").stderr
    )


def test_strangers_folders_beside_the_package_are_not_taken(tmp_path: Path) -> None:
    """A wheel's parent is site-packages: what lies there is somebody else's."""
    site = tmp_path / "site-packages"
    (site / "samegrad").mkdir(parents=True)
    (site / "samegrad" / "__init__.py").write_text((ROOT / "samegrad/__init__.py").read_text())
    (site / "benchmarks").mkdir()
    (site / "benchmarks" / "__init__.py").write_text("STRANGER = True")
    (site / "pyproject.toml").write_text('[project]\nname = "stranger"\n')

    # An editable install has a finder of its own, which knows the checkout: not asked here.
    finders = "[f for f in sys.meta_path if '__editable__' not in getattr(f, '__module__', '')]"
    done = python(f"import sys\nsys.meta_path = {finders}\nimport samegrad.benchmarks", cwd=site)

    assert "ModuleNotFoundError: No module named 'samegrad.benchmarks'" in done.stderr


def test_strangers_modules_in_the_current_folder_are_not_taken(tmp_path: Path) -> None:
    """Somebody's own numpy.py, which is to be checked, is not the library."""
    for name in ("numpy", "json", "argparse"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')\n")
    command = [sys.executable, "-m", "samegrad", "verify", "nothing"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert 2 == done.returncode and "'nothing' is not known" in done.stderr


def test_script_of_an_older_install_says_so_in_one_line(tmp_path: Path) -> None:
    """It imports `main`, which samegrad.py had."""
    script = tmp_path / "samegrad"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from samegrad import main\nsys.exit(main())\n"
    )

    done = subprocess.run(
        [sys.executable, str(script), "verify"], capture_output=True, text=True, check=False
    )

    assert 1 == done.returncode
    assert [f"{script} is of an older samegrad: install it again"] == done.stderr.splitlines()


@pytest.mark.usefixtures("no_figures")
@pytest.mark.usefixtures("no_figures")
def test_compare_and_render_take_folders(tmp_path: Path) -> None:
    """As texts or paths; the report goes where it is told."""
    run = ROOT / "reports" / "results" / "differentiation"

    compared = sg.compare(run, str(run), across=("code", "inputs"))
    rendered = sg.render(run, tmp_path / "made")

    assert len(compared.compared) > 0 and [] == compared.beyond
    assert tmp_path / "made" / "index.html" == rendered.page
    assert f"report: {rendered.page}" == rendered.lines[-1]
    assert (tmp_path / "made" / "report.md").exists()
