"""The code that was measured: the idioms side by side, line beside line, and lines against speed.

The text is that of the journal. It is parsed, never run; what cannot be parsed is left out.
"""

import ast
import io
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from samegrad.benchmarks.machine.system import ROOT
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts import style
from samegrad.reports.data import tables

SHOWN = ("scalar", "numpy", "torch", "jax")
FUNCTIONS = {"forward": ("forward",), "loss_and_grad": ("loss_and_grad", "backward")}
TAG = re.compile(r"#\s*((?:[FLBP]\d)(?:,\s*[FLBP]\d)*)\s*$")
LONGEST = 400_000  # characters; a longer source is no network of ours
REST = ""  # the tag of lines after the last equation
SIGNATURE = "def"


@dataclass(frozen=True)
class Line:
    """One equation, and the lines that compute it in each idiom."""

    tag: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """A function in several idioms, side by side."""

    title: str
    names: tuple[str, ...]
    lines: tuple[Line, ...]


def sources(journals: Sequence[Journal]) -> dict[str, dict[str, str]]:
    """Implementation -> path -> text, of the first journal that has it."""
    found: dict[str, dict[str, str]] = {}
    for journal in journals:
        for record in journal.implementations:
            files = record.get("files") or {}
            texts = {
                str(path): journal.sources[sha][1]
                for path, sha in files.items()
                if isinstance(sha, str) and sha in journal.sources
            }
            if texts:
                found.setdefault(record["name"], texts)
    return found


def network(name: str, files: dict[str, str]) -> str:
    """The file of the network itself: mlp_NAME.py, or the only one there is."""
    for path, text in files.items():
        if Path(path).name in (f"mlp_{name}.py", f"{name}.py"):
            return text
    return next(iter(files.values())) if len(files) == 1 else ""


def listings(journals: Sequence[Journal]) -> list[Listing]:
    """`forward` and `loss_and_grad` of the idioms, lined up by the tags of their equations."""
    found = sources(journals)
    names = [name for name in SHOWN if name in found]
    made = []
    for title, functions in FUNCTIONS.items():
        columns = {
            name: [
                part
                for function in functions
                for part in parts(network(name, found[name]), function)
            ]
            for name in names
        }
        columns = {name: column for name, column in columns.items() if column}
        if len(columns) < 2:
            continue
        made.append(Listing(title, tuple(columns), tuple(_lined_up(list(columns.values())))))
    return made


def split(text: str, function: str) -> tuple[str, str]:
    """(signature, body without docstring) of a function of a source; ("", "") if there is none."""
    found = next((node for node in _parsed(text) if node.name == function), None)
    if found is None:
        return "", ""
    lines = text.splitlines()
    begin = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    statements = found.body
    if ast.get_docstring(found) is not None and statements[1:]:
        start = statements[0].end_lineno or 0
    else:
        start = statements[0].lineno - 1
    signature = lines[begin - 1 : statements[0].lineno - 1]
    return "\n".join(signature), "\n".join(lines[start : found.end_lineno])


def _parsed(text: str) -> list[ast.FunctionDef]:
    if len(text) > LONGEST:
        return []
    try:
        return [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def parts(text: str, function: str) -> list[tuple[str, str]]:
    """(tag, lines) of a function, its signature first."""
    signature, body = split(text, function)
    return [(SIGNATURE, signature), *tagged(body)] if signature else []


def tagged(text: str) -> list[tuple[str, str]]:
    """(tag, lines) in order: the lines up to one that names its equation belong to it."""
    found: list[tuple[str, str]] = []
    lines: list[str] = []
    for line in text.splitlines():
        lines.append(line)
        match = TAG.search(line)
        if match:
            tag = match.group(1)
            if found and found[-1][0] == tag:  # an equation on several lines
                found[-1] = (tag, "\n".join([found[-1][1], *lines]))
            else:
                found.append((tag, "\n".join(lines)))
            lines = []
    if lines:
        found.append((REST, "\n".join(lines)))
    return found


def _lined_up(columns: Sequence[Sequence[tuple[str, str]]]) -> list[Line]:
    """The same tag on the same row, and the lines of every column in their own order."""
    rows: list[tuple[str, dict[int, str]]] = []
    for place in sorted(range(len(columns)), key=lambda i: -len(columns[i])):
        at = 0
        for tag, text in columns[place]:
            row = next((i for i in range(at, len(rows)) if rows[i][0] == tag), None)
            if row is None:
                rows.insert(at, (tag, {}))
                row = at
            rows[row][1][place] = text
            at = row + 1
    return [Line(tag, tuple(cells.get(i, "") for i in range(len(columns)))) for tag, cells in rows]


def notes(journals: Sequence[Journal]) -> list[str]:
    """Which of the measured files this checkout has in another form, or not at all."""
    other, gone = [], []
    for files in sources(journals).values():
        for path, text in files.items():
            here = _here(path)
            if here is None:
                gone.append(path)
            elif here != text:
                other.append(path)
    said = ["The code as it was measured, from the journal."]
    for what, paths in (
        ("This checkout has another", other),
        ("This checkout does not have", gone),
    ):
        if paths:
            said.append(f"{what} {', '.join(dict.fromkeys(paths))}.")
    return said


def _here(path: str) -> str | None:
    """The file of this checkout that a journal names; None if there is none."""
    try:
        file = (ROOT / path).resolve()
        if not file.is_relative_to(ROOT) or file.suffix != ".py":
            return None
        return file.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # a name that no file can have
        return None


def count(text: str) -> int:
    """Lines of code: without blank lines, comments and docstrings."""
    if len(text) > LONGEST:
        return 0
    try:
        tree = ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return 0
    lines: set[int] = set()
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    for token in tokens:
        if token.type not in nothing and token.type != tokenize.ENDMARKER:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def lines_and_speed(rows: pd.DataFrame, journals: Sequence[Journal]) -> pd.DataFrame:
    """Lines of code of each implementation, and how far it is from the fastest on the CPU.

    The factor is the geometric mean over the training steps that all of them have a time for.
    """
    found = sources(journals)
    steps = tables.comparable(rows[(rows.status == OK) & (rows.operation == "train_step")])
    steps = steps[(steps.device == "cpu") & (steps.transfer == "resident")]
    steps = steps[(steps.threads == "all") & steps.implementation.isin(list(found))]
    if steps.empty:
        return pd.DataFrame()
    keys = ["source", "workload", "layers", "batch_size", "implementation"]
    wide = steps.drop_duplicates(keys).set_index(keys).seconds.unstack("implementation").dropna()
    if wide.empty:
        return pd.DataFrame()
    factor = wide.div(wide.min(axis=1), axis=0)
    records = []
    for name in tables.by_idiom(factor.columns):
        files = found[name]
        records.append(
            {
                "implementation": name,
                "network": count(network(name, files)),
                "lines": sum(map(count, files.values())),
                "factor": tables.geometric_mean(factor[name]),
                "cases": len(wide),
            }
        )
    return pd.DataFrame.from_records(records)


def figure(rows: pd.DataFrame, journals: Sequence[Journal]) -> tuple[Figure, str] | None:
    """Lines of code against time, a mark per implementation."""
    found = lines_and_speed(rows, journals)
    if len(found) < 2:
        return None
    drawn, axes = plt.subplots(figsize=(7.5, 4.2))
    palette = style.colours(rows)
    for row in found.itertuples():
        colour = palette[row.implementation]
        name = style.text(row.implementation)
        axes.plot([row.lines], [row.factor], "o", color=colour, markersize=9, label=name)
        axes.annotate(
            name, (row.lines, row.factor), xytext=(8, 5),
            textcoords="offset points", color=colour,
        )  # fmt: skip
    axes.set_yscale("log")
    style.plain(axes.yaxis)
    axes.set_xlim(0, found.lines.max() * 1.25)
    axes.margins(y=0.15)
    axes.set_xlabel("lines of code: network and tables, without blanks, comments and docstrings")
    axes.set_ylabel("times the fastest one's time")
    axes.set_title("Lines of code against speed")
    return drawn, (
        "Geometric mean over the training steps that all of them have a time for, on the CPU "
        f"({found.cases.iloc[0]} cases); below is faster, left is shorter."
    )


def table(rows: pd.DataFrame, journals: Sequence[Journal]) -> pd.DataFrame:
    """The same as a table."""
    found = lines_and_speed(rows, journals)
    if found.empty:
        return found
    return pd.DataFrame(
        {
            "implementation": found.implementation,
            "lines of the network": found.network,
            "with its tables": found.lines,
            "times the fastest": found.factor.map(tables.digits),
            "cases": found.cases,
        }
    )
