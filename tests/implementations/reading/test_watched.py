"""Networks that no names tell of, read as the program that uses them runs them."""

import os
from pathlib import Path

import numpy as np
import pytest

from samegrad.implementations.reading.found import compared_with
from samegrad.implementations.reading.loading import load
from samegrad.implementations.reading.programs import siblings
from samegrad.implementations.reading.watched import _is_difference, watched_readings
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
    ("lines", "verdict"), [((PASS, MOVE), "agrees"), ((MOVE, PASS), "disagrees")]
)
def test_program_is_run_where_nothing_else_tells_of_a_gradient(
    tmp_path: Path, lines: tuple[str, str], verdict: str
) -> None:
    """A verdict of a file without names comes from its own run."""
    report = read_here(written(tmp_path, lines))

    assert report.verdict == verdict, str(report)
    assert report.reading.startswith("its own run")


@pytest.mark.parametrize(
    ("word", "value", "target", "is_one"),
    [
        ("output_error", -0.25, [1.0], True),
        ("error", 0.0625, [1.0], False),  # its square
        ("loss", 0.25, [1.0], False),  # an absolute one
        ("error", 0.25, [1.0, 0.0], False),
    ],
)
def test_error_of_one_output_is_no_loss(
    word: str, value: float, target: list[float], is_one: bool
) -> None:
    """It has a sign, and nothing makes it small."""
    key, out = ("Net.train", 3, word, 0), ("Net.train", 3, "outputs", 0)
    known = {key: np.array([value]), out: np.array([0.75]), ("Net.train", 3, "h", 0): np.ones(4)}

    assert is_one == _is_difference(key, known, np.array(target))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_programs_are_sought_among_files_alone(tmp_path: Path) -> None:
    """Reading a pipe would wait for who writes into it."""
    file, user = tmp_path / "net.py", tmp_path / "use.py"
    file.write_text("class Net: ...\n")
    user.write_text("import net\nprint(net.Net())\n")
    os.mkfifo(tmp_path / "pipe.py")

    assert [user] == siblings(load(file, True))
