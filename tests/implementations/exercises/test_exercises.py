"""Worksheets: empty, half and full; a class of ten; and what may not be said of a right file."""

import errno
import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from samegrad.cli import main
from samegrad.implementations.exercises import check, child, grades, sheets
from samegrad.implementations.exercises.answers import RIGHT
from samegrad.implementations.exercises.judging import (
    RIGHT_STATE,
    STATES,
    UNWRITTEN,
    WRONG,
    Result,
    compared,
    judged,
)
from samegrad.implementations.exercises.mistakes import MISTAKES
from samegrad.implementations.exercises.sheets import NET, SHEETS
from samegrad.implementations.exercises.tasks import DERIVED, tasks
from tests.helpers.forging import FORGES
from tests.helpers.worksheets import BODIES, CLASS, filled, right, write_class

KINDS = {"torch": "torch", "jax": "jax"}


def written(folder: Path, text: str, name: str = "sheet.py") -> Path:
    """A file with this text."""
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.full] * (n in KINDS)) for n in SHEETS]
)  # JAX compiles for 20 s; the class has torch
def test_right_file_is_right_in_every_equation(name: str, tmp_path: Path) -> None:
    """And its last lines train: nothing of it is run."""
    if name in KINDS:
        pytest.importorskip(KINDS[name], reason=f"{name} is not installed")

    report = check.check(written(tmp_path, right(name)))

    assert report.done and report.score == report.most == len(SHEETS[name].scored), (
        grades.of_one(report))  # fmt: skip
    assert [] == report.remarks and [] == [n for r in report.results for n in r.notes]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.full] * (name not in ("matrices", "autograd")))
        for name in SHEETS
    ],
)
def test_worksheet_is_empty_as_it_is_handed_out(name: str, tmp_path: Path) -> None:
    """Nothing in it is right or wrong, and it holds no solution."""
    if name in KINDS:
        pytest.importorskip(KINDS[name], reason=f"{name} is not installed")
    text = SHEETS[name].text

    report = check.check(written(tmp_path, text))

    assert {UNWRITTEN} == {result.state for result in report.results}
    assert 0 == report.score and not report.wrong
    for body in BODIES[name].values():
        assert body.strip().splitlines()[-1] not in text


@pytest.mark.parametrize(
    "rest",
    [
        {},
        dict.fromkeys(
            ("output_delta", "weight_gradient", "bias_gradient", "hidden_delta"), "pass  # later"
        ),
    ],
)
def test_half_of_a_file_is_said_to_be_right(rest: dict[str, str], tmp_path: Path) -> None:
    """As the lectures ask it: forward right, loss right, gradient not written."""
    half = {name: BODIES["matrices"][name] for name in ("affine", "activation", "loss", "penalty")}

    report = check.check(written(tmp_path, filled(SHEETS["matrices"], half | rest)))

    assert "forward right, loss right, gradient not written yet, step not written yet" == (
        report.summary)  # fmt: skip
    assert (4, 9) == (report.score, report.most) and not report.wrong
    (net,) = (result for result in report.results if result.equation == NET)
    assert (UNWRITTEN, "it needs output_delta") == (net.state, net.said)


def test_class_of_ten_is_graded_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Right, unfinished, each common mistake, in folders, a notebook, hanging and dying."""
    pytest.importorskip("torch", reason="torch is not installed")
    write_class(tmp_path)
    xml = tmp_path / "class.xml"
    options = ["--time-limit", "3", "--junit", str(xml), "--json"]

    status = main(["exercise", "check", str(tmp_path), *options])

    found = {report["file"]: report for report in json.loads(capsys.readouterr().out)["files"]}
    assert 1 == status and set(CLASS) == set(found)
    for name, (sheet, _, expected) in CLASS.items():
        assert sheet == found[name]["exercise"]
        for each in found[name]["equations"]:
            said, tag = f"{each['state']}: {each['said']}", each["equation"]
            if tag in expected:
                assert expected[tag] in said, (name, tag, said)
            elif tag != NET:
                assert RIGHT_STATE == each["state"], (name, tag, said)
        assert found[name]["of"] - found[name]["score"] == len({*expected} - {NET})
    suites = ElementTree.parse(xml).getroot()
    assert {*CLASS} == {suite.get("name") for suite in suites}
    skipped = {suite.get("name"): suite.get("skipped") for suite in suites}
    assert ("10", "1") == (skipped["ben.py"], skipped["hana/worksheet.py"])


def test_recursion_that_zeroes_and_adds_up_is_named(tmp_path: Path) -> None:
    """A Value that is used twice passes on what it has got so far, each time."""
    body = """
def zero(value):
    value.grad = 0.0
    for parent in value.parents:
        zero(parent)
def visit(value):
    for parent, slope in zip(value.parents, value.slopes):
        parent.grad += slope * value.grad
        visit(parent)
zero(self)
self.grad = 1.0
visit(self)"""
    bodies = {**BODIES["autograd"], "Value.backward": body}

    report = check.check(written(tmp_path, filled(SHEETS["autograd"], bodies)))

    (result,) = (result for result in report.results if result.equation == "D6")
    assert "a Value passes on before it has got all: order the Values first" == result.said


def test_every_named_mistake_is_wrong_and_told_from_the_others() -> None:
    """In some worksheet: of one example a mean is a sum, and a vector has one axis."""
    found: dict[tuple[str, str], set[str]] = {}
    for task in (task for sheet in SHEETS.values() for task in tasks(sheet, 3)):
        for words, mistake in MISTAKES[task.part.equation]:
            said = found.setdefault((task.part.equation, words), set())
            try:
                with np.errstate(all="ignore"):
                    wrong = [mistake(*task.arguments(n)) for n in range(task.judged)]
            except (ValueError, IndexError, TypeError):
                continue  # no mistake on these shapes
            said.add(judged(task, [{"value": value} for value in wrong], empty=False).said)

    assert {} == {key: said for key, said in found.items() if key[1] not in said}


def test_gradient_of_another_form_or_factor_is_told_from_a_wrong_one() -> None:
    """The loss is left out, or comes second, or is right where the gradient has a factor."""
    (task,) = (task for task in tasks(SHEETS["jax"], 5) if task.part.equation == "B1-B4")
    right = [RIGHT["B1-B4"](*task.arguments(n)) for n in range(task.judged)]
    sizes = [len(task.arguments(n)[1]) for n in range(task.judged)]
    without = "without the loss: loss, gradient is asked for"
    forms = {
        f"it returns the gradient {without}": [grads for _, grads in right],
        "it returns the loss without the gradient: loss, gradient is asked for": [
            value for value, _ in right],
        "it returns gradient, loss: the loss comes first": [both[::-1] for both in right],
        "the gradient has the wrong sign": [(v, _scaled(g, -1)) for v, g in right],
        "the gradient is summed over the examples, not divided by their number": [
            (v, _scaled(g, n)) for (v, g), n in zip(right, sizes, strict=True)],
    }  # fmt: skip

    said = {words: judged(task, [{"value": v} for v in values], False).said
            for words, values in forms.items()}  # fmt: skip

    assert {words: words for words in forms} == said


def _scaled(grads: list[tuple[np.ndarray, np.ndarray]], factor: float) -> list[object]:
    return [(factor * dW, factor * db) for dW, db in grads]


def test_what_jax_cannot_go_back_through_is_found() -> None:
    """NumPy, float() and stop_gradient; not what branches on numbers, as jax.grad lets it."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    jnp = jax.numpy
    z, y = jnp.arange(1.0, 7.0).reshape(2, 3), jnp.array([0, 2])

    cut = [
        child.stops(lambda z: np.tanh(np.asarray(z)), [z]),
        child.stops(lambda z, y: float(z[0, 0]), [z, y]),
        child.stops(lambda z: jax.lax.stop_gradient(jnp.tanh(z)), [z]),
    ]
    passed = [
        child.stops(lambda z, y: sum(z[n, int(k)] for n, k in enumerate(y)), [z, y]),
        child.stops(lambda params, c: c * sum((W**2).sum() for W, _ in params), [[(z, z)], 0.1]),
        child.stops(lambda z, y: jnp.mean(z) if z[0, 0] > 0 else z.sum(), [z, y]),
        child.stops(lambda z: z, [z]),
    ]

    assert [True] * 3 == cut and [False] * 4 == passed


@pytest.mark.parametrize("factor", [1 + 1e-13, 1 + 3e-7])
def test_rounding_is_not_wrong(factor: float) -> None:
    """In float64 nothing is said, in float32 a note."""
    for task in tasks(SHEETS["matrices"], 4):
        if task.part.equation in DERIVED:
            continue
        answers = [RIGHT[task.part.equation](*task.arguments(n)) for n in range(task.judged)]
        said, notes = compared(answers[0] * factor, answers[0])
        assert not said and bool(notes) == (factor - 1 > 1e-9)


def test_right_files_of_another_style_are_right(tmp_path: Path) -> None:
    """In place, in rows, in float32; each has a note where something is to be looked at."""
    changes = {
        "affine": "z = a @ W\nz += b\nreturn z",
        "update": "p -= learning_rate * dp\nreturn p",
        "bias_gradient": "return delta.sum(axis=0, keepdims=True)",
        "loss": "p = np.exp(outputs) / np.exp(outputs).sum(axis=1)[:, None]\n"
        "return -np.log(p[range(len(y)), y]).sum() / len(y)",
        "hidden_delta": "return np.float32((delta @ W.T) * (1 - a**2))",
    }
    path = written(tmp_path, filled(SHEETS["matrices"], {**BODIES["matrices"], **changes}))

    report = check.check(path)

    notes = {result.equation: result.notes for result in report.results if result.notes}
    assert 9 == report.score, grades.of_one(report)
    assert "output is 1000" in notes["L1"][0] and "float32" in notes["B4"][0]
    assert "of shape (1, 3), where (3,) is asked for" in notes["B3"][0]


@pytest.mark.full  # another process with torch
def test_gradient_by_autograd_of_a_wrong_loss_is_right(tmp_path: Path) -> None:
    """B1-B4 are judged by the loss that is there."""
    pytest.importorskip("torch", reason="torch is not installed")
    changes = {"affine": "return a @ W - b"}
    path = written(tmp_path, filled(SHEETS["torch"], {**BODIES["torch"], **changes}))

    states = {result.equation: result.state for result in check.check(path).results}

    assert (WRONG, RIGHT_STATE) == (states["F1"], states["B1-B4"])


def test_changed_arguments_and_samegrad_are_said(tmp_path: Path) -> None:
    """Both spoil what comes after."""
    changes = {"activation": "z[...] = np.tanh(z)\nreturn z", "affine": "import samegrad\n" + (
        BODIES["matrices"]["affine"])}  # fmt: skip
    path = written(tmp_path, filled(SHEETS["matrices"], {**BODIES["matrices"], **changes}))

    report = check.check(path)

    (one,) = (result for result in report.results if result.state == WRONG)
    assert ("F2", "it changes what it is given: make a new array") == (one.equation, one.said)
    assert ["it imports samegrad, which has the answers"] == report.remarks


def test_files_that_cannot_be_run_are_said(tmp_path: Path) -> None:
    """No Python; another file; no worksheet at all."""
    broken = check.check(written(tmp_path, "# samegrad exercise: loops\ndef f(:\n", "a.py"))
    other = check.check(written(tmp_path, "x = 1\n", "b.py"))

    assert "it is no Python: SyntaxError in line 2" in broken.fault and broken.wrong
    assert other.sheet is None and grades.NO_SHEET in grades.of_one(other)
    assert 1 == main(["exercise", "check", str(tmp_path / "a.py")])
    assert 2 == main(["exercise", "check", str(tmp_path / "b.py")])
    assert 2 == main(["exercise", "check", str(tmp_path / "nowhere")])
    assert "cannot be read: No such file" in check.check(tmp_path / "gone.py").fault


def test_files_of_no_python_are_told_the_remedy_of_verify_and_none_is_passed_over_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In other encodings they count where they say which worksheet they are; .PY is Python."""
    text = f"# samegrad exercise: matrices\n# gr\xf6\xdfer\n{right('matrices')}"
    files = {
        "a.py": (text.encode("utf-16"), "it is text in UTF-16: save it as UTF-8"),
        "b.py": (text.encode("utf-16-le"), "it is text in UTF-16: save it as UTF-8"),
        "c.py": (text.encode("latin-1"), "it is no UTF-8 (line 2): save it as UTF-8"),
        "d.py": (text.encode() + b"\0", "it has bytes of zero (line "),
        "e.PY": (b"# samegrad exercise: matrices\n1x", "it is no Python: SyntaxError in line 2"),
        "new\nline.py": (
            b"\xef\xbb\xbf# samegrad exercise: matrices\nx =",
            r"new\nline.py: 0 of 9",
        ),
        "f.py": (b"PK\x03\x04\x14", "it is a ZIP archive or a document"),
        "g.py": (b"{\\rtf1", "it is rich text (RTF); give the file of Python itself"),
        "h.py": (b"# later\n", "there is no code in it"),
        "i.ipynb": (b"", "it is no notebook: no JSON (line 1)"),
        "j.py.txt": (text.encode(), "passed over, neither .py nor .ipynb: j.py.txt"),
    }
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)

    assert 1 == main(["exercise", "check", str(tmp_path)])

    said = capsys.readouterr().out
    assert [] == [words for _, words in files.values() if words not in said] and "Error:" not in (
        said.replace("SyntaxError", ""))  # fmt: skip
    assert "0/6" in said and "average: f.py, g.py, h.py, i.ipynb\n" in said
    assert 2 == main(["exercise", "check", str(tmp_path / "h.py")])


def test_broken_files_of_a_class_count_and_are_errors_of_junit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the table and the average where they say which worksheet they are, else said apart."""
    written(tmp_path, right("loops"), "a.py")
    written(tmp_path, "# samegrad exercise: loops\ndef f(:\n", "b.py")
    written(tmp_path, "def f(:\n", "c.py")
    written(tmp_path, "# samegrad exercise: matrixes\n", "d.py")
    written(tmp_path, '{"cells": ["# samegrad exercise: loops\\n",\n', "e.ipynb")
    written(tmp_path, "x = 1\n", "helper.py")
    xml = tmp_path / "class.xml"

    status = main(["exercise", "check", str(tmp_path), "--junit", str(xml)])

    text = capsys.readouterr().out
    assert 1 == status
    assert ["all", *["1/3"] * 9, "3.0", "on", "average"] in [x.split() for x in text.splitlines()]
    assert "in no table and no average: c.py, d.py, helper.py" in text
    assert "exercise 'matrixes' is not known; accepted: loops, vectors, matrices" in text
    assert "did you mean 'matrices'?" in text
    cases = {}
    for suite in ElementTree.parse(xml).getroot():
        kinds = [child.tag for case in suite.iter("testcase") for child in case]
        counts = {kind: int(suite.get(f"{kind}s", suite.get(kind, ""))) for kind in {*kinds}}
        assert counts == {kind: kinds.count(kind) for kind in kinds}
        cases[suite.get("name")] = kinds
    one = {"c.py": ["error"], "d.py": ["error"], "helper.py": ["skipped"]}
    assert {"a.py": [], "b.py": ["error"] * 10, "e.ipynb": ["error"] * 10, **one} == cases


def test_cell_that_is_no_python_is_said_with_its_number(tmp_path: Path) -> None:
    """What it holds is wrong, not unwritten; and where an exception came from has its cell, too."""
    plain = filled(SHEETS["matrices"], {**BODIES["matrices"], "activation": "return tnh(z)"})
    before, _, after = plain.partition("def penalty(")
    cells = [
        before,
        f"def penalty({after.partition('def ')[0]}    return (\n",
        f"def {after.partition('def ')[2]}",
    ]
    notebook = {"cells": [{"cell_type": "code", "source": [cell]} for cell in cells]}
    path = written(tmp_path, json.dumps(notebook), "sheet.ipynb")

    report = check.check(path)

    said = {r.equation: (r.state, r.said) for r in report.results if r.state != RIGHT_STATE}
    assert {"F2", "L2", NET} == set(said) and {WRONG} == {state for state, _ in said.values()}
    assert "sheet.ipynb[cell 2]: it is no Python: SyntaxError in line" in said["L2"][1]
    assert "raises NameError in line" in said["F2"][1] and "of cell 1: " in said["F2"][1]
    assert report.remarks and "cell 2]: it is no Python" in report.remarks[0]


def test_report_of_a_class_says_why_a_right_file_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part that was handed out is missing; a cell is no Python; a training at the end is none."""
    text = right("matrices")
    cells = [{"cell_type": "code", "source": [part]} for part in (text, "def f(:")]
    written(tmp_path, text.replace("def loss_and_grad(", "def renamed("), "a.py")
    written(tmp_path, json.dumps({"cells": cells}), "b.ipynb")
    (tmp_path / "c.py").write_text(text + "\nfor i in range(9):\n    i += 1\n", "utf-8-sig")

    xml = tmp_path / "class.xml"
    assert 1 == main(["exercise", "check", str(tmp_path), "--junit", str(xml)])

    said = capsys.readouterr().out.partition("on average\n")[2]
    assert "there is no loss_and_grad in the file" in said
    assert "b.ipynb[cell 2]: it is no Python: SyntaxError in line 1" in said
    assert 4 == main(["exercise", "check", str(tmp_path / "a.py")])
    assert 1 == main(["exercise", "check", str(tmp_path / "b.ipynb")])
    (case,) = ElementTree.parse(xml).findall(".//testcase[error]")
    assert ("b.ipynb", "cell 2") == (case.get("classname"), case.get("name"))
    assert "c.py" not in said


def test_file_that_is_named_and_no_worksheet_is_not_passed_over(tmp_path: Path) -> None:
    """Beside a right one; in a folder it may be a helper. Names of worksheets have no case."""
    good = written(tmp_path, right("matrices").replace(": matrices", ": Matrices"), "a.py")
    other = written(tmp_path, "x = 1\n", "b.py")

    assert 2 == main(["exercise", "check", str(good), str(other)])
    assert 0 == main(["exercise", "check", str(tmp_path)])
    assert sheets.named("Loops") is SHEETS["loops"]


def test_files_named_like_libraries_hide_them_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor optional parts that a library looks for; own modules beside a sheet are found."""
    (library := tmp_path / "site-packages").mkdir()
    written(library, "try:\n    import part\nexcept ImportError:\n    pass\nown = 2\n", "lib.py")
    monkeypatch.setenv("PYTHONPATH", str(library))
    (folder := tmp_path / "class").mkdir()
    monkeypatch.chdir(folder)
    uses = "import colorsys, lib\ncolorsys.rgb_to_hls, lib.own\n"
    written(folder, f"{right('loops')}\n{uses}from beside import own\n", "a.py")
    written(folder, f"{right('loops')}\n{uses}", "lib.py")
    for name in ("colorsys.py", "part.py"):
        written(folder, "raise SystemExit(1)\n", name)
    written(folder, "own = 1\n", "beside.py")
    written(folder, "a.py 9/9", "expected.txt")

    status = main(["exercise", "check", str(folder), "--json"])

    found = json.loads(capsys.readouterr().out)
    reports = {each["file"]: (each["score"], each["remarks"]) for each in found["files"]}
    assert 0 == status and 5 == len(reports)
    assert (9, []) == reports["a.py"] == reports["lib.py"]
    (sheet,) = found["exercises"]
    assert ("loops", 2, 9.0, 9) == tuple(sheet[k] for k in ("exercise", "files", "average", "of"))
    assert {2} == set(sheet["right"].values()) and ["expected.txt"] == found["passed_over"]


def test_advice_of_a_check_names_options_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not those of `verify`, which loads files by the same functions."""
    path = written(tmp_path, right("matrices") + "\ninput()\n")

    assert 0 == main(["exercise", "check", str(path), "--time-limit", "9"])

    said = capsys.readouterr().out
    assert "only what defines something was run: put it below" in " ".join(said.split())
    main(["exercise", "check", "--help"])
    accepted = set(re.findall("--[a-z-]+", capsys.readouterr().out))
    assert set(re.findall("--[a-z-]+", said)) <= accepted


def test_start_never_replaces_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody's work is in it."""
    path = tmp_path / "mine.py"

    assert 0 == main(["exercise", "start", "loops", "--output", str(path)])
    assert 2 == main(["exercise", "start", "loops", "--output", str(path)])
    assert 2 == main(["exercise", "start", "lops"])
    for name in ("jax.py", "torch.py", "numpy.py", "json.py", "packaging.py"):
        assert 2 == main(["exercise", "start", "loops", "--output", str(tmp_path / name)])
    assert [path] == list(tmp_path.iterdir())

    assert SHEETS["loops"].text == path.read_text()
    said = capsys.readouterr().err
    assert "is there already" in said and "did you mean 'loops'" in said
    assert "jax.py would hide the library jax from programs beside it; give another" in said
    assert f"such as {tmp_path / 'loops_exercise.py'}\n" in said
    assert 0 == main(["exercise", "list"])
    assert len(SHEETS) == len(capsys.readouterr().out.splitlines())


def test_start_writes_a_worksheet_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk leaves nothing of it, and the next start is no "is there already"."""
    path, synced = tmp_path / "mine.py", os.fsync

    def full(number: int) -> None:
        os.ftruncate(number, 10)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert 2 == main(["exercise", "start", "loops", "--output", str(path)])
    assert f"{path}: No space left on device" in capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())

    monkeypatch.setattr(os, "fsync", synced)
    assert 0 == main(["exercise", "start", "loops", "--output", str(path)])
    assert SHEETS["loops"].text == path.read_text() and [path] == list(tmp_path.iterdir())
    (tmp_path / "link").symlink_to("nowhere")
    assert 2 == main(["exercise", "start", "loops", "--output", str(tmp_path / "link")])
    assert not (tmp_path / "nowhere").exists()


def test_table_of_a_class_has_a_column_for_each_equation() -> None:
    """And how many have it."""
    reports = [
        check.Report("a.py", SHEETS["vectors"], check._all_wrong(SHEETS["vectors"]), "it hangs"),
        check.Report("b.py", SHEETS["vectors"], [
            Result(p.equation, p.function, RIGHT_STATE) for p in SHEETS["vectors"].parts]),
    ]  # fmt: skip

    lines = grades.of_class(reports).splitlines()

    assert lines[0].split() == ["vectors", "F1", "F2", "L1", "B1", "B2", "B3", "B4", "U1", "score"]
    assert lines[1].split() == ["a.py", *["WRONG"] * 8, "0/8"]
    assert lines[2].split() == ["b.py", *["right"] * 8, "8/8"]
    assert lines[3].split()[:9] == ["all", *["1/2"] * 8]
    assert "it hangs" in lines[-1]


def test_worksheets_say_which_they_are() -> None:
    """So that `check` knows."""
    assert all(sheets.of_sources([sheet.text])[0] is sheet for sheet in SHEETS.values())
    assert {"right", "wrong", "not written yet"} == set(STATES)


@pytest.mark.parametrize("second", [None, 5.0, (1.0,), (1.0, None), (1.0, [None, None])])
def test_later_call_may_give_anything(second: object) -> None:
    """The first was right: it is wrong, and no error of ours."""
    (task,) = (t for t in tasks(SHEETS["matrices"], 0) if t.part.equation == NET)
    values = [RIGHT[NET](*task.arguments(n)) for n in range(task.judged)]

    result = judged(task, [{"value": value} for value in (values[0], second, values[2])], False)

    assert (WRONG, "something is kept") == (result.state, result.said[-17:])


@pytest.mark.parametrize(
    "messages",
    [
        "while True:\n    forge('{\"begins\": 0}')",
        'while True:\n    forge(\'{"stage": "loading"}\'); forge(\'{"remarks": []}\')',
    ],
)
def test_file_wins_nothing_by_messages_of_its_own(messages: str, tmp_path: Path) -> None:
    """No time without end: the function that writes them is wrong."""
    forges = "\n".join(f"    {line}" for line in messages.splitlines())
    text = f"{right('matrices')}\n{FORGES}\ndef affine(a, W, b):\n{forges}\n    return a @ W + b\n"

    report = check.check(written(tmp_path, text), time_limit=3.0)

    wrong = {r.equation: r.said for r in report.results if r.state == WRONG}
    assert {"F1", NET} == set(wrong) and "makes no sense" in wrong["F1"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "nan or infinite"),
        (-np.inf, "nan or infinite"),
        (6.0, "off by 2 times the largest entry"),
        (2.0, ""),
    ],
)
def test_how_far_off_a_number_is(value: float, said: str) -> None:
    """In words where there is no number for it."""
    assert (said, []) == compared(np.array([value, 1.0]), np.array([2.0, 1.0]))
    assert "off by" in compared(np.array([1e20]), np.array([0.0]))[0]  # large, and a number
