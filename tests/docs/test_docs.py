"""The pages of `docs/`, followed literally, and their equations against the contract's."""

import json
import re
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.selftest import selftest
from samegrad.benchmarks.selftest.saboteurs import SABOTEURS
from samegrad.implementations.contract import equations
from tests.helpers.pages import changed, follow

DOCS = ROOT / "docs"
LOOPS, GRADIENTS, MEASURING = (
    (DOCS / f"{name}.md").read_text()
    for name in ("from-loops-to-matrices", "checking-gradients", "measuring")
)


@pytest.mark.full  # a quarter of a minute
def test_from_loops_to_matrices(tmp_path: Path) -> None:
    """Three files, all right, all timed; a busy machine may make numbers of no use, no failure."""
    done, printed = follow(LOOPS, tmp_path)

    assert {"file": 2, "change": 1, "run": 2, "output": 1} == done
    assert " passed" in printed and "failed" not in printed and "error" not in printed
    records = map(json.loads, (tmp_path / "run" / "journal.jsonl").read_text().splitlines())
    outcomes = [r for r in records if r["record"] == "outcome"]
    assert {"ok"} == {r["status"] for r in outcomes}
    timed = {r["case"]["implementation"] for r in outcomes if r.get("elapsed_ns")}
    assert {"scalar", "unit", "layer", "batch", "numpy"} == timed


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("ways-to-differentiate", {"file": 1, "run": 1, "output": 1}),
        ("from-lectures", {"file": 3, "run": 3, "output": 2}),
    ],
)
def test_pages_of_lectures(page: str, expected: dict[str, int], tmp_path: Path) -> None:
    """Their files print what the pages say."""
    done, printed = follow((DOCS / f"{page}.md").read_text(), tmp_path)

    assert expected == done
    if page == "from-lectures":
        l2, decoupled = ([float(x) for x in line.split()[1:]] for line in printed.splitlines())
        assert l2[0] < 0.4 and l2[-1] > 0.98
        assert all(abs(kept - 0.905) < 0.005 for kept in decoupled)


def test_teaching(tmp_path: Path) -> None:
    """The worksheet as it is handed out."""
    done, _ = follow((DOCS / "teaching.md").read_text(), tmp_path)

    assert {"run": 3, "output": 2} == done


def test_checking_gradients(tmp_path: Path) -> None:
    """The wrong file is found out."""
    pytest.importorskip("torch", reason="torch is not installed")

    done, _ = follow(GRADIENTS, tmp_path)

    assert {"file": 2, "run": 3, "output": 2} == done


def test_slopes_are_as_exact_as_the_page_says(tmp_path: Path) -> None:
    """8, 10 to 11 and 15 digits at best, from the table that the page's script prints."""
    _, printed = follow(GRADIENTS.partition("Forward differences")[0], tmp_path)
    rows = [line.split() for line in printed.splitlines()[1:]]

    forward, central, complex_ = (min(float(row[i]) for row in rows) for i in (1, 2, 3))

    assert 1e-9 < forward < 1e-7
    assert 1e-12 < central < 1e-9
    assert complex_ < 1e-14


@pytest.mark.full  # selftest of all saboteurs is tested beside it
def test_measuring(tmp_path: Path) -> None:
    """No saboteur of the page gets a number."""
    pytest.importorskip("jax", reason="jax is not installed")

    done, _ = follow(MEASURING, tmp_path)

    assert {"run": 2, "output": 2} == done


def test_every_pitfall_has_a_command_that_there_is() -> None:
    """Each name behind --only is known, and the saboteurs of the page are run in CI."""
    runs = re.findall(r"--only ([\w,]+)", MEASURING)
    names = [set(text.split(",")) for text in runs]

    assert set().union(*names) <= {*selftest.GROUPS, selftest.RED_TEAM, *selftest.EVERY}
    demonstrated = set().union(*names[2:]) & set(SABOTEURS)
    assert demonstrated == names[0] | names[1]


@pytest.mark.parametrize("page", [LOOPS, GRADIENTS, MEASURING])
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link of a page names a file of the project."""
    for target in re.findall(r"\]\((?!http)([^)#]+)", page):
        assert (DOCS / target).resolve().exists(), target


def test_tags_are_those_of_the_contract() -> None:
    """A line with a tag computes what the equation of that tag says."""
    tags = set(re.findall(r"# ([FLB]\d(?:, [FLB]\d)*)", LOOPS))
    known = set(re.findall(r"^    ([FLB]\d)  ", equations.__doc__ or "", re.MULTILINE))

    assert {part for tag in tags for part in tag.split(", ")} <= known
    assert {"F1", "F2", "L1", "B1", "B2", "B3", "B4"} <= {
        part for tag in tags for part in tag.split(", ")
    }


def test_change_that_does_not_fit_is_noticed() -> None:
    """A table whose old line is not there, or there twice."""
    with pytest.raises(AssertionError, match="stands 0 times"):
        changed("a\nb\n", "x -> y", "\n| `c` | `d` |\n")
    with pytest.raises(AssertionError, match="stands 2 times"):
        changed("a\na\n", "x -> y", "\n| `a` | |\n")
