"""The code that was measured: functions of the idioms lined up by equation, and lines of code.

The text is that of the journal. It is parsed, never run; what cannot be parsed is left out.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean

import pandas as pd

from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.texts import UNPARSABLE
from samegrad.reports.data.report import comparable
from samegrad.reports.data.values import in_order, range_text

ROOT = Path(registry.__file__).resolve().parents[2]  # of this checkout or installed package
FUNCTIONS = {"forward": ("propagate", "forward"), "loss_and_grad": ("loss_and_grad", "backward")}
TAG = re.compile(r"(?:#|/\*)\s*((?:[FLBPU]\d)(?:,\s*[FLBPU]\d)*)\s*(?:\*/)?\s*$")
IN_C = (".c", ".h")
LONGEST = 400_000  # characters; a longer source is no network of ours
REST = ""  # the tag of lines after the last equation
SIGNATURE = "def"
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip
Sources = Mapping[str, Mapping[str, str]]  # implementation -> path -> text


@dataclass(frozen=True)
class Listing:
    """A function in several idioms, side by side.

    Attributes:
        equations: (tag, the lines that compute it in each idiom).
    """

    title: str
    names: tuple[str, ...]
    equations: list[tuple[str, list[str]]]


def sources(journals: Sequence[Journal]) -> dict[str, dict[str, str]]:
    """Implementation -> path -> text, of the first journal that has it."""
    by_name: dict[str, dict[str, str]] = {}
    for journal in journals:
        for record in journal.implementations:
            files = record.get("files") or {}
            texts = {
                str(path): journal.sources[sha][1]
                for path, sha in files.items()
                if isinstance(sha, str) and sha in journal.sources
            }
            if texts:
                by_name.setdefault(record["name"], texts)
    return by_name


def network(name: str, files: Mapping[str, str]) -> str:
    """The text of the network itself: mlp_NAME.c or .py, NAME.py, or the only file; else empty."""
    stem = name.partition(":")[0]
    for wanted in (f"mlp_{stem}.c", f"mlp_{stem}.py", f"{stem}.py"):
        for path, text in files.items():
            if Path(path).name == wanted:
                return text
    return next(iter(files.values())) if len(files) == 1 else ""


def listings(by_name: Sources) -> Iterator[Listing]:
    """`forward` and `loss_and_grad` of the idioms, lined up by the tags of their equations."""
    for title, functions in FUNCTIONS.items():
        columns = {}
        for name in registry.names("idiom"):
            text = network(name, by_name.get(name, {}))
            if column := [part for function in functions for part in tagged(text, function)]:
                columns[name] = column
        if len(columns) > 1:
            yield Listing(title, tuple(columns), _lined_up(list(columns.values())))


def split(text: str, function: str) -> tuple[str, str]:
    """(signature, body without docstring) of a function of a source; ("", "") if it has none."""
    for node in _parsed(text)[0].body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            first, lines = node.body[0], text.splitlines()
            begin = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            start = first.lineno - 1
            if ast.get_docstring(node) is not None and node.body[1:]:
                start = first.end_lineno or start
            signature = lines[begin - 1 : first.lineno - 1]
            return "\n".join(signature), "\n".join(lines[start : node.end_lineno])
    return _split_in_c(text.splitlines(), function)


def _split_in_c(lines: Sequence[str], function: str) -> tuple[str, str]:
    """The same of a source in C, whose braces of functions stand alone in their lines."""
    head = re.compile(rf"\w[^;]*\b(?:samegrad_)?{function}\(")
    begin = next((i for i, line in enumerate(lines) if head.match(line)), len(lines))
    if "{" in lines[begin:]:
        start = lines.index("{", begin)
        if "}" in lines[start:]:
            body = lines[start + 1 : lines.index("}", start)]
            return "\n".join(lines[begin:start]), "\n".join(body)
    return "", ""


def _parsed(text: str) -> tuple[ast.Module, list[tokenize.TokenInfo]]:
    """Syntax and tokens; those of an empty file for what is no Python, or too long."""
    try:
        if len(text) <= LONGEST:
            return ast.parse(text), list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (*UNPARSABLE, tokenize.TokenError):
        pass
    return ast.Module([], []), []


def tagged(text: str, function: str) -> list[tuple[str, str]]:
    """(tag, lines) of a function in order: its signature, then its lines.

    Lines up to one that names its equation belong to that equation.
    """
    signature, body = split(text, function)
    if not signature:
        return []
    blocks = [(SIGNATURE, signature)]
    lines: list[str] = []
    for line in body.splitlines():
        lines.append(line)
        match = TAG.search(line)
        if match:
            tag = match.group(1)
            if blocks[-1][0] == tag:  # an equation on several lines
                blocks[-1] = (tag, "\n".join([blocks[-1][1], *lines]))
            else:
                blocks.append((tag, "\n".join(lines)))
            lines = []
    return [*blocks, (REST, "\n".join(lines))] if lines else blocks


def _lined_up(columns: Sequence[Sequence[tuple[str, str]]]) -> list[tuple[str, list[str]]]:
    """The same tag on the same row, and the lines of every column in their own order.

    Lines of several equations stand on the row of all of them, or else of the first.
    """
    rows: list[tuple[str, dict[int, str]]] = []
    for number in sorted(range(len(columns)), key=lambda i: -len(columns[i])):
        start = 0
        for tag, text in columns[number]:
            tags = (tag, tag.split(",")[0])
            row = next((i for i in range(start, len(rows)) if rows[i][0] in tags), None)
            if row is None:
                rows.insert(start, (tag, {}))
                row = start
            rows[row][1][number] = text
            start = row + 1
    return [(tag, [texts.get(i, "") for i in range(len(columns))]) for tag, texts in rows]


def changes(by_name: Sources) -> list[str]:
    """Which of the measured files this checkout has in another form, or not at all."""
    other: dict[str, None] = {}
    missing: dict[str, None] = {}
    for files in by_name.values():
        for path, text in files.items():
            current = _current(path)
            if current != text:
                (missing if current is None else other)[path] = None
    lines = [f"This checkout has another {', '.join(other)}."] if other else []
    return lines + ([f"This checkout does not have {', '.join(missing)}."] if missing else [])


def _current(path: str) -> str | None:
    """The file of this checkout that a journal names; None if it has no such file."""
    try:
        file = (ROOT / path).resolve()
        if not file.is_relative_to(ROOT) or file.suffix not in (".py", *IN_C):
            return None
        return file.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # a name that no file can have
        return None


def count(text: str, path: str = "") -> int:
    """Lines of code: without blank lines, comments and docstrings; 0 for what is no Python or C."""
    if path.endswith(IN_C):
        first, *others = text.split("/*")
        code = first + "".join(other.partition("*/")[2] for other in others)
        return sum(line.strip() != "" for line in code.splitlines())
    tree, tokens = _parsed(text)
    lines: set[int] = set()
    for token in tokens:
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def lines_of(name: str, files: Mapping[str, str]) -> tuple[int, int]:
    """Lines of code of the network, and of all its files."""
    own = network(name, files)
    path = next((path for path, text in files.items() if text is own), "")
    return count(own, path), sum(count(text, path) for path, text in files.items())


def lines_and_speed(rows: pd.DataFrame, by_name: Sources) -> pd.DataFrame:
    """Lines of code of each implementation, and how far it is from the fastest on the CPU.

    The factor is the geometric mean over the training steps that all of them have a time for.
    """
    steps = comparable(rows[(rows.status == OK) & (rows.operation == "train_step")])
    steps = steps[(steps.device == "cpu") & (steps.transfer == "resident")]
    steps = steps[(steps.threads == "all") & steps.implementation.isin(list(by_name))]
    if steps.empty:
        return pd.DataFrame()
    keys = ["source", "workload", "layers", "batch_size", "implementation"]
    wide = steps.drop_duplicates(keys).set_index(keys).seconds.unstack("implementation").dropna()
    if wide.empty:
        return pd.DataFrame()
    factor = wide.div(wide.min(axis=1), axis=0)
    records = []
    for name in in_order(factor.columns):
        of_network, of_all = lines_of(name, by_name[name])
        records.append(
            {"implementation": name, "network": of_network, "lines": of_all}
            | {"factor": geometric_mean(factor[name]), "cases": len(wide)}
        )
    return pd.DataFrame.from_records(records)


def variants(
    rows: pd.DataFrame, families: Mapping[str, tuple[str, str]], by_name: Sources
) -> pd.DataFrame:
    """What each variant gains over its idiom, and what it costs in lines, as texts."""
    steps = rows[(rows.status == OK) & (rows.operation == "train_step")]
    steps = steps[(steps.transfer == "resident") & (steps.threads == "all")]
    keys = ["source", "workload", "layers", "batch_size", "dtype"]
    records = []
    for name, (kind, base) in families.items():
        if kind != "variant" or name not in by_name or base not in by_name:
            continue
        own, idiom = (
            steps[steps.implementation == one].drop_duplicates(keys).set_index(keys).seconds
            for one in (name, base)
        )
        lines, idiom_lines = lines_of(name, by_name[name]), lines_of(base, by_name[base])
        records.append(
            {
                "variant": name,
                "of": base,
                "lines of the network": f"{lines[0]} ({idiom_lines[0]})",
                "all its files": f"{lines[1]} ({idiom_lines[1]})",
                "times as fast": range_text((idiom / own).dropna()),
            }
        )
    return pd.DataFrame.from_records(records)
