"""Tensors as lines of a table: their largest errors, and on which problem."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from samegrad.implementations.checking.comparison import TensorCheck
from samegrad.implementations.contract import columns

Row = tuple[TensorCheck, str]  # with the problem that it was compared on
HEAD = f"{'tensor':22}{'error':>9}{'ulp':>8}{'bound':>9}{'% of bound':>12}  verdict  "
INDENT = "    "


def of_worst(rows: Sequence[Row]) -> Iterator[str]:
    """Of each tensor the check that disagrees, or else the one nearest to its bound.

    Where the terminal is too narrow, only what does not agree has its problem: below it.
    """
    shown = _step_in_one_row(worst(rows))
    lines = [f"{INDENT}{_row(tensor)}" for tensor, _ in shown]
    whole = [f"{line}  {problem}" for line, (_, problem) in zip(lines, shown, strict=True)]
    if max(map(len, whole)) <= columns.room():
        yield f"{INDENT}{HEAD}  worst problem"
        yield from whole
        return
    yield f"{INDENT}{HEAD}".rstrip()
    for line, (tensor, problem) in zip(lines, shown, strict=True):
        yield line.rstrip()
        if tensor.reason:
            yield from columns.wrapped(f"{INDENT}  on {problem}", columns.room(), INDENT)


def of_one(tensors: Sequence[TensorCheck]) -> Iterator[str]:
    """Those of one problem."""
    for tensor in tensors:
        yield f"{INDENT}  {_row(tensor)}"


def worst(rows: Sequence[Row]) -> list[Row]:
    """Per tensor name the check that disagrees, or else the one nearest to its bound."""
    found: dict[str, Row] = {}

    def severity(row: Row) -> tuple[bool, bool, float]:
        tensor = row[0]
        return tensor.disagrees, tensor.undecided, tensor.percent_of_bound or 0.0

    for row in rows:
        found[row[0].name] = max(found.get(row[0].name, row), row, key=severity)
    first = ["outputs", "loss", "loss with the gradient", "loss of the step"]

    def position(name: str) -> tuple[Any, ...]:
        place = first.index(name) if name in first else len(first)
        layer = "".join(c for c in name if c.isdigit())
        return place, "step" in name, layer.rjust(3), name

    return [found[name] for name in sorted(found, key=position)]


def _step_in_one_row(rows: list[Row]) -> list[Row]:
    """With one row for the params after a step where all of them agree."""
    step = [row for row in rows if row[0].name.endswith(("after a step", "steps"))]
    if not step or any(tensor.reason for tensor, _ in step):
        return rows
    tensor, problem = max(step, key=lambda row: row[0].percent_of_bound or 0.0)
    rest = [row for row in rows if row not in step]
    return [*rest, (replace(tensor, name="params after a step"), problem)]


def _row(tensor: TensorCheck) -> str:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    ulps = tensor.ulps
    shown = "-" if ulps is None else f"{ulps:.2g}" if ulps < 100 else f"{ulps:.1e}"
    verdict = "DIFFERS" if tensor.disagrees else "undecided" if tensor.undecided else "agrees"
    return (
        f"{tensor.name:22}{number(tensor.error, '.1e'):>9}{shown:>8}{tensor.bound:>9.0e}"
        f"{number(tensor.percent_of_bound, '.3g'):>12}  {verdict:9}"
    )
