"""Networks that no names tell of, read as the program that uses them runs them."""

import ast
import linecache
import os
from pathlib import Path

import numpy as np
import pytest

from samegrad.implementations.reading.found import compared_with
from samegrad.implementations.reading.loading import load
from samegrad.implementations.reading.programs import siblings
from samegrad.implementations.reading.signed import is_difference
from samegrad.implementations.reading.turn_source import as_written
from samegrad.implementations.reading.watched import watched_readings
from samegrad.implementations.reading.written import loops_of
from tests.helpers.read_here import as_before, read_here

# Cells that know their neighbours: nothing here is called forward, backward or a gradient.
CELLS = """import math, random

class Cell:
    def __init__(self, below):
        self.below = below
        self.links = [random.uniform(-1, 1) for _ in below]
        self.level, self.blame = 0.0, 0.0
    def fire(self):
        total = sum(c.level * k for c, k in zip(self.below, self.links))
        self.level = 1 / (1 + math.exp(-total))
    def mend(self):
        push = self.blame * self.level * (1 - self.level)
        for i, c in enumerate(self.below):
            {lines}
        self.blame = 0.0

class Tissue:
    def __init__(self, *counts):
        self.rows = []
        for count in counts:
            self.rows.append([Cell(self.rows[-1] if self.rows else []) for _ in range(count)])
    def show(self, x, y):
        for c, v in zip(self.rows[0], x):
            c.level = v
        for row in self.rows[1:]:
            for c in row:
                c.fire()
        for c, v in zip(self.rows[-1], y):
            c.blame = v - c.level
        for row in self.rows[:0:-1]:
            for c in row:
                c.mend()

if __name__ == "__main__":
    tissue = Tissue(2, 3, 2)
    facts = [([0.0, 1.0], [1.0, 0.0]), ([1.0, 0.5], [0.0, 1.0]), ([1.0, 1.0], [1.0, 1.0])]
    for _ in range(int(input("how often? ")) * 1000):
        for x, y in facts:
            tissue.show(x, y)
"""
PASS, MOVE = "c.blame += push * self.links[i]", "self.links[i] += 0.5 * push * c.level"


UPDATED = "links are used after their update"


def written(folder: Path, lines: tuple[str, str]) -> Path:
    """A file of such a network."""
    path = folder / "tissue.py"
    path.write_text(CELLS.replace("{lines}", "\n            ".join(lines)))
    return path


@pytest.mark.parametrize(
    ("lines", "right"), [((PASS, MOVE), 2), ((MOVE, PASS), 1)], ids=["right", UPDATED]
)
def test_network_of_cells_is_read_as_it_is_run(
    tmp_path: Path, lines: tuple[str, str], right: int
) -> None:
    """A call in the loop of a program shows what are weights, outputs and targets."""
    with as_before():
        reading = next(watched_readings(load(written(tmp_path, lines))))
        compared = compared_with(reading)

    assert reading.how.startswith("its own run, a call of Tissue.show (tissue.py:23): ")
    assert "outputs are self.rows[2][*].level, targets y, gradient from the" in reading.how
    assert ["net['self.rows[1][*].links']", "net['self.rows[2][*].links']"] == [
        match.name for match in compared.judged
    ]
    assert right == sum(m.proportional(compared.tolerance) for m in compared.judged)


@pytest.mark.full
@pytest.mark.parametrize(
    ("lines", "verdict", "at"),
    [
        ((PASS, MOVE), "agrees", ()),
        ((MOVE, PASS), "disagrees", ()),
        (("c.blame += push", MOVE), "disagrees", ("tissue.py:14: ",)),
        ((PASS, MOVE.replace("+=", "-=")), "disagrees", ()),
        # So it would be right of a cross entropy, and what is wrong then is another line.
        ((PASS.replace("push", "self.blame"), MOVE), "disagrees", ()),
    ],
)
def test_program_is_run_where_nothing_else_tells_of_a_gradient(
    tmp_path: Path, lines: tuple[str, str], verdict: str, at: tuple[str, ...]
) -> None:
    """A verdict of a file without names comes from its own run, and with it the line at fault."""
    report = read_here(written(tmp_path, lines))

    assert report.verdict == verdict, str(report)
    assert report.reading.startswith("its own run")
    assert at == tuple(line[: len("tissue.py:14: ")] for line in report.lines)


LOOP = """{above}for x in data:
    seen = x
    if not x:
        {ends}
    total = total + seen  # here
"""
IN_METHOD = "class Net:\n def fit(self, data, total):\n  self.__rate = 1\n  "
INDENTED = LOOP.replace("\n", "\n  ")


@pytest.mark.parametrize(
    ("source", "given", "line"),
    [
        (LOOP.format(above="total = 0\n\n\n", ends="continue"), None, 8),
        (LOOP.format(above="", ends="pass"), None, 5),  # a cell that begins with its loop
        (LOOP.format(above="", ends="break"), None, 0),  # and has no room for another
        (INDENTED.format(above=IN_METHOD, ends="break"), ["self", "data", "total", "x"], 8),
        ("def step(x, total):\n\tseen = x\n\ttotal += seen  # here\n", ["x", "total"], 3),
    ],
    ids=["module", "first in a cell", "no room", "method", "call"],
)
def test_turn_stands_on_the_lines_of_its_file(
    tmp_path: Path, source: str, given: list[str] | None, line: int
) -> None:
    """So that what is wrong in it has the number that it has in the file."""
    file = tmp_path / "net.py"
    file.write_text(source)
    loop = list(loops_of(ast.parse(source), str(file)).values())[-1]

    code = as_written(loop, loop.node.body, "turn", given)

    assert (code is not None) == bool(line)
    if code is not None:
        kept = linecache.getlines(code.co_filename)
        assert Path(code.co_filename).resolve() == file.resolve()
        assert [n for n, text in enumerate(kept, 1) if "# here" in text] == [line]
        assert code.co_varnames[: code.co_argcount] == tuple(given or ())


@pytest.mark.parametrize(
    ("word", "value", "target", "is_one"),
    [
        ("output_error", -0.25, [1.0], True),
        ("error", 0.0625, [1.0], False),  # its square
        ("loss", 0.25, [1.0], False),  # an absolute one
        ("error", 0.25, [1.0, 0.0], True),  # a label is 1, whatever the targets are
        ("error", 0.3, [1.0, 0.0], False),
        ("error", -0.3, [1.0, 0.0], True),  # no sum of squares
    ],
)
def test_error_of_one_output_is_no_loss(
    word: str, value: float, target: list[float], is_one: bool
) -> None:
    """It has a sign, and nothing makes it small."""
    key, out = ("Net.train", 3, word, 0), ("Net.train", 3, "outputs", 0)
    known = {key: np.array([value]), out: np.array([0.75]), ("Net.train", 3, "h", 0): np.ones(4)}

    assert is_one == is_difference(key, known, np.array(target))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_programs_are_sought_among_files_alone(tmp_path: Path) -> None:
    """Reading a pipe would wait for who writes into it."""
    file, user = tmp_path / "net.py", tmp_path / "use.py"
    file.write_text("class Net: ...\n")
    user.write_text("import net\nprint(net.Net())\n")
    os.mkfifo(tmp_path / "pipe.py")

    assert [user] == siblings(load(file, True))
