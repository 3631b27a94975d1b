"""Files that do more than define at import: one line each, and the verdict all the same."""

import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from samegrad.implementations.contract.texts import not_utf8
from samegrad.implementations.reading import files, frameworks, loading
from samegrad.implementations.reading.files import verify_file
from samegrad.implementations.reading.search import before
from samegrad.implementations.reading.source import in_contract
from tests.helpers.read_here import read_here

NETWORK = (Path(__file__).parent / "files" / "softmax_class.py").read_text()
# what a file does besides -> what is said of it
DOES = {
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('f')\na = p.parse_args()\n": (
        "reads the command line"
    ),
    "import sys\nif len(sys.argv) < 2:\n    sys.exit('usage: FILE DATA')\n": (
        "reads the command line or exits"
    ),
    "n = int(input('hidden units? '))\n": "asks for input",
    "def ask():\n    return input()\n\n\nanswer = [ask() for _ in 'x']\n": "asks for input",
    "import plots_that_nobody_has as plt\nplt.plot([1, 2])\n": "plots_that_nobody_has",
    "import numpy as np\nnp.load('there_is_no_such_file.npy')\n": "FileNotFoundError in line",
    "raise RuntimeError('no data')\n": "RuntimeError",
}


@pytest.mark.parametrize("does", DOES)
def test_file_that_does_more_than_define_is_read_and_that_is_said(
    does: str, tmp_path: Path
) -> None:
    """With the remedy, or what is missing."""
    file = tmp_path / "mine.py"
    file.write_text(f"{NETWORK}\n\n{does}")

    report = read_here(file)

    assert "agrees" == report.verdict, report
    assert DOES[does] in " ".join(report.remarks)


@pytest.mark.parametrize(
    "trains",
    [
        "for epoch in range(10 ** 9):\n    total = epoch * 2\n",
        "def train():\n    while True:\n        pass\n\n\ntrain()\n",
    ],
)
def test_training_at_import_is_said_only_where_it_matters(trains: str, tmp_path: Path) -> None:
    """Not where the verdict needs nothing of it; where it does, what came of it was not there."""
    file, made = tmp_path / "mine.py", "net = loaded_from_somewhere()\n"
    file.write_text(f"{NETWORK}\n\n{made}{trains}")
    decided = read_here(file)
    file.write_text(f"{made}{trains}")
    missing = read_here(file)
    file.write_text(trains)
    nothing = read_here(file)

    assert ("agrees", "not checked") == (decided.verdict, missing.verdict)
    assert [1, 0] == [sum("at import it" in line for line in r.remarks) for r in (missing, nothing)]
    assert not [line for line in decided.remarks if "at import it" in line]


@pytest.mark.parametrize("hangs", ["time.sleep(10 ** 6)", "sum(range(10 ** 12))"])
def test_file_that_hangs_is_ended_and_read_without_a_run(
    hangs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for, whether it computes or sleeps."""
    monkeypatch.setattr(files, "RUNNING_SECONDS" if "sum" in hangs else "WAITING_SECONDS", 1.0)
    file = tmp_path / "mine.py"
    file.write_text(f"{NETWORK}\n\nimport time\n{hangs}\n")

    report = verify_file(str(file))

    assert "agrees" == report.verdict, report
    assert "takes longer than 1 s" in " ".join(report.report.remarks)


def test_file_that_others_keep_from_the_processor_is_run_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what it computes itself counts, not how long that takes on a busy machine."""
    monkeypatch.setattr(files, "RUNNING_SECONDS", 1.0)
    file = tmp_path / "mine.py"
    file.write_text(f"{NETWORK}\n\nimport time\ntime.sleep(1.5)\n")

    report = verify_file(str(file))

    assert "agrees" == report.verdict, report
    assert not [r for r in report.report.remarks if "takes longer" in r]


@pytest.mark.parametrize("text", [f"x = {'-' * 99_999}1", f"x = {'+'.join(['1'] * 9_999)}"],
                         ids=["signs", "sums"])  # fmt: skip
def test_file_that_is_nested_too_deep_for_python_is_not_checked(text: str, tmp_path: Path) -> None:
    """One line says what its compiler says; there is no traceback."""
    file = tmp_path / "mine.py"
    file.write_text(f"{text}\n")

    report = files.verify(str(file))

    assert "not checked" == report.verdict, report
    assert "could not be loaded" in report.reason


def test_file_that_prints_megabytes_is_read_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it is kept, nor is bytecode of what it imports left in its folder."""
    file = tmp_path / "mine.py"
    (tmp_path / "beside_it.py").write_text("")
    file.write_text(f"{NETWORK}\n\nimport beside_it\nprint('x' * 10 ** 7)\n")

    report = verify_file(str(file))

    assert "agrees" == report.verdict, report
    assert "" == capfd.readouterr().out
    assert ["beside_it.py", "mine.py"] == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n", "SyntaxError in line 1"),
        ("", "there is no code in it"),
        ("# nothing yet\n'''later'''\n", "there is no code in it"),
        ("class A:\n    def forward(self, X):\n        return X\n", "no gradient was found"),
    ],
)
def test_file_without_a_gradient_is_not_checked(text: str, said: str, tmp_path: Path) -> None:
    """Never a disagreement."""
    file = tmp_path / "mine.py"
    file.write_text(text)

    report = read_here(file)

    assert "not checked" == report.verdict
    assert said in report.reason


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("x = 1\n".encode("utf-16"), "UTF-16: save it as UTF-8"),
        ("x = 1\n".encode("utf-16-le"), "UTF-16: save it as UTF-8"),
        ("x = 1\n".encode("utf-32"), "UTF-32: save it as UTF-8"),
        (b"x = 1\n# caf\xe9\n", "no UTF-8 (line 2): save it as UTF-8"),
        (b"%PDF-1.4\n\x80", "it is a PDF"),
    ],
)
def test_file_that_is_no_utf8_is_told_how_to_be(data: bytes, said: str, tmp_path: Path) -> None:
    """Nothing of it is run; one with a byte order mark of UTF-8, or that says its own, is."""
    file = tmp_path / "mine.py"
    file.write_bytes(data)

    report = read_here(file)

    assert "not checked" == report.verdict and said in report.reason, report
    assert report.reason.startswith("it ")
    assert not in_contract(file)
    for right in (b"\xef\xbb\xbfx = 1\n", b"# -*- coding: latin-1 -*-\n# caf\xe9\n"):
        assert "" == not_utf8(right)


def test_name_that_is_not_in_the_file_is_said_with_those_that_are(tmp_path: Path) -> None:
    """The closest first."""
    file = tmp_path / "mine.py"
    file.write_text("def loss(): pass\nclass Network: pass\n")

    report = read_here(file, "Netwrok")

    assert "there is no Netwrok in it; it has Network, loss" == report.reason


def test_file_that_ends_its_process_is_not_checked(tmp_path: Path) -> None:
    """Only what defines something is run then."""
    file = tmp_path / "mine.py"
    file.write_text("import os\n\nos._exit(3)\n")

    report = verify_file(str(file))

    assert ("not checked", "no gradient was found in it") == (report.verdict, report.reason)
    assert "at import it ends the process (exit status 3); " in " ".join(report.report.remarks)
    assert "is killed by SIGSEGV" == files._end("killed by SIGSEGV")


@pytest.mark.parametrize("ours", [True, False])
def test_fault_of_ours_is_told_with_its_cause(
    ours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no exit status; what code of the user's raises in between, in a signal, is not ours."""

    def handler() -> None:
        raise KeyError("W9")

    raises = partial(dict[str, int]().__getitem__, "W9") if ours else handler
    monkeypatch.setattr(frameworks, "with_digits", raises)
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n")

    report = read_here(file)

    assert "not checked" == report.verdict and "KeyError: 'W9'" in report.reason
    assert ours == ("a fault of samegrad's" in report.reason)


@pytest.mark.parametrize(
    ("terms", "limit", "said"),
    [
        (600, 1000, "no gradient was found"),
        (1, 60, "no gradient was found"),
        (2000, 1000, "nests too deep"),
    ],
    ids=["long sum", "low limit", "too long a sum"],
)
def test_code_that_nests_deep_is_no_fault_of_ours(
    terms: int, limit: int, said: str, tmp_path: Path
) -> None:
    """A sum of hundreds of terms; one of thousands is said; so is a file that lowers the limit."""
    file = tmp_path / "mine.py"
    total = " + ".join(["x"] * terms)
    file.write_text(
        f"import sys\nsys.setrecursionlimit({limit})\n\n\ndef formula(x):\n    return {total}\n\n\n"
        "for turn in range(3):\n    y = formula(turn)\n"
    )

    report = verify_file(str(file))

    assert "not checked" == report.verdict and said in report.reason


@pytest.mark.parametrize(
    ("text", "said"),
    [("{}", "it has no list of cells"), ("[" * 100_000, "no JSON"),
     ('{"cells": 3', "no JSON (line 1); it is cut off or damaged")],
    ids=["empty", "deep", "cut off"],
)  # fmt: skip
def test_notebook_that_is_none_is_not_checked(text: str, said: str, tmp_path: Path) -> None:
    """It is said why."""
    file = tmp_path / "mine.ipynb"
    file.write_text(text)

    report = read_here(file)

    assert ("not checked", True) == (report.verdict, "no notebook" in report.reason)
    assert said in report.reason


def test_file_that_is_no_python_is_shown_by_its_line(tmp_path: Path) -> None:
    """And is read as one of nobody's dialect, under its whole name."""
    file = tmp_path / "mine.py"
    file.write_text("import numpy\n\ndef f(:\n")

    report = read_here(file)

    assert files.is_foreign(str(file))
    assert ("mine.py:3: def f(:",) == report.lines and report.advice
    file.write_text("n = int(input())\nW = [[0.5] * n]\nfor t in range(3):\n    W[0][0] -= n\n")
    asked = read_here(file)
    assert "--no-run" not in str(asked)
    assert any(loading.INSTEAD in remark for remark in asked.remarks)


@pytest.mark.parametrize("of", ["net = torch.nn.Linear(4, 3)", "class Net(torch.nn.Module): pass"])
def test_library_that_cannot_be_imported_is_no_fault_of_ours(
    of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in its place is not taken for it."""
    (tmp_path / "torch.py").write_text("raise ImportError('libc10.so: cannot open')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "there").mkdir()
    file = tmp_path / "there" / "mine.py"
    file.write_text(f"import torch\n{of}\n")

    report = verify_file(str(file))

    assert "not checked" == report.verdict
    assert "samegrad's" not in report.reason
    assert "cannot open" in " ".join(report.report.remarks)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("import quopri.nothing", "ModuleNotFoundError"),
        ("from quopri import decode", "ImportError"),
        ("import quopri\nquopri.decode", "AttributeError"),
    ],
)
def test_file_that_stands_in_the_place_of_a_library_is_named(
    line: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A main guard would be of no help."""
    monkeypatch.delitem(sys.modules, "quopri", raising=False)  # one that nobody has loaded
    (tmp_path / "quopri.py").write_text("")
    file = tmp_path / "mine.py"
    file.write_text(f"{NETWORK}\n\n{line}\n")

    report = read_here(file)
    sys.modules.pop("quopri", None)

    (said,) = [remark for remark in report.remarks if "at import it" in remark]
    assert "agrees" == report.verdict and f"raises {kind} in line" in said
    assert said.endswith(
        "quopri.py in its folder stands in the place of the library quopri: rename it"
    )


def test_nothing_is_sought_after_the_end_of_its_time() -> None:
    """Calls from which no reading came went on for minutes, and nothing else was tried."""
    made: list[int] = []

    def networks() -> Iterator[int]:
        for number in range(3):
            made.append(number)
            yield number

    found = [list(before(end, networks())) for end in (0.0, math.inf)]

    assert [[], [0, 1, 2]] == found
    assert [0, 0, 1, 2] == made
