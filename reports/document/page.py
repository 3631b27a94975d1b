"""A document as a page and as Markdown."""

import base64
import gzip
import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment, select_autoescape

from samegrad.benchmarks.records.quality import GOOD
from samegrad.implementations.contract.texts import TYPED, clean
from samegrad.reports.charts import vector
from samegrad.reports.charts.chart import Chart
from samegrad.reports.data.matrix import BEST, Cell, Matrix
from samegrad.reports.data.values import brief, cell, markdown_table
from samegrad.reports.document.chapter import Chapter, Document

LONG = 20  # rows; a longer table is not in Markdown
MOST_LINES = 300  # of the matrix in Markdown
MOST_MARKDOWN, ROOM = 58_000, 1_900  # characters; a comment on a Git host holds 65,536
WIDE = 48  # characters; a longer cell may break
SCALE = 100 / 72  # letters of charts are that much larger on the page than their points
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "KiB": 2.0**10, "MiB": 2.0**20}
NUMBER = re.compile(
    r"([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?: (ns|us|ms|s|KiB|MiB|%|GFLOP/s|GB/s))?(?=$| |%|\()"
)
OUTLINES = {  # of the points of charts, in the switches
    "o": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "D": "M0-5L5 0L0 5L-5 0z",
    "X": "M-4-2L-2-4L0-2L2-4L4-2L2 0L4 2L2 4L0 2L-2 4L-4 2L-2 0z",
    "P": "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "h": "M0-5L4.3-2.5V2.5L0 5L-4.3 2.5V-2.5z",
}


def html(document: Document, figures: Path) -> str:
    """One self-contained page, with the saved charts of a directory: no request leaves it."""
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=lambda value: value if hasattr(value, "__html__") else clean(str(value)),
    )
    environment.filters |= {"brief": brief, "key": key, "body": body, "digest": digest}
    environment.filters |= {"icon": icon, "parts": TYPED.split}
    environment.filters["outline"] = lambda marker: OUTLINES.get(marker, "")
    classes = {name: f"i{number}" for number, name in enumerate(document.looks)}
    colours = {look.colour.lower(): classes[name] for name, look in document.looks.items()}
    own = [f".{classes[name]} {{ --own: {one.colour} }}" for name, one in document.looks.items()]
    return environment.from_string(_file("page.html")).render(
        document=document,
        classes=classes,
        files={chart.name: _files(chart, figures, colours) for chart in document.charts},
        samples=packed(json.dumps(document.samples, separators=(",", ":"))),
        css=_file("page.css") + "\n".join(own),
        script=_file("page.js"),
    )


def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


def packed(text: str) -> str:
    """Compressed, as base64; the same bytes for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def digest(text: str) -> str:
    """How a policy names the script or style of this text, and allows it alone."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def key(title: str) -> str:
    """A title as an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def icon(quality: str) -> str:
    """A quality in a letter; the words are beside it, for who points at it or listens."""
    return "" if not quality else "\u2713" if quality.startswith(GOOD) else "~"


def _files(chart: Chart, figures: Path, colours: dict[str, str]) -> dict[str, str]:
    """The drawing as an element of the page; its data compressed, then as base64."""
    svg = (figures / f"{chart.name}.svg").read_text("utf-8")
    return {
        "svg": vector.inline(svg, chart.name, colours, clean(chart.caption), SCALE),
        "csv": packed((figures / f"{chart.name}.csv").read_text("utf-8")),
    }


class Body(NamedTuple):
    """A table as the page shows it.

    Attributes:
        heads: titles, and whether the column is of numbers.
        rows: of each its implementation, if it has one, and its cells: text, class, and what it
            is sorted by (None: its text).
    """

    heads: list[tuple[str, bool]]
    rows: Iterator[tuple[str, tuple[tuple[str, str, str | None], ...]]]


def body(table: pd.DataFrame) -> Body:
    """A table with what its cells are."""
    columns = [list(_cells(name, column)) for name, column in table.items()]
    heads = [
        (brief(name), any(kind == "number" for _, kind, _ in cells))
        for name, cells in zip(table, columns, strict=True)
    ]
    names = table["implementation"] if "implementation" in table else [""] * len(table)
    return Body(heads, zip(map(str, names), zip(*columns, strict=True), strict=True))


def _cells(name: str, column: pd.Series) -> Iterator[tuple[str, str, str | None]]:
    """Cells that sort by their number where most of them are numbers."""
    texts = [brief(value) for value in column]
    orders = [order(text) for text in texts]
    filled = sum(text != "" for text in texts)
    numeric = sum(value is not None for value in orders) * 2 > filled
    # Sentences may begin with a number, too.
    numeric = numeric and max(map(len, texts), default=0) <= WIDE
    for text, value in zip(texts, orders, strict=True):
        kind = "number" if numeric and value is not None else "wide" if len(text) > WIDE else ""
        kind = "quality" if name == "quality" else kind
        yield text, kind, None if not numeric else "" if value is None else repr(value)


def order(text: str) -> float | None:
    """The number that a cell begins with, in the unit's base: 97.4 us before 1.2 ms."""
    match = NUMBER.match(text)
    if match is None:
        return None
    value = float(match.group(1).replace(",", "")) * UNITS.get(match.group(2) or "", 1.0)
    return value if math.isfinite(value) else None


def markdown(document: Document) -> str:
    """The report for a Git host or a pull request: the answers, and tables that are short.

    As much as a comment there may hold; what is left out is named.
    """
    blocks = [f"# {cell(document.title)}", *(f"> {cell(line)}" for line in document.warnings)]
    blocks += map(cell, document.machine)
    blocks += _matrix(document.matrix)
    blocks.append("\n".join(f"- {_bold(cell(a.question))}{cell(a.text)}" for a in document.summary))
    blocks.append(f"**{cell(document.counts)}**")
    blocks.append("\n\n".join(cell(line) for line in document.notes))
    if document.first is not None:
        blocks.append(_image(document.first))
    left_out: list[str] = []
    for chapter in document.chapters:
        blocks += _chapter(chapter, left_out)
    text = ""
    for block in filter(None, map(clean, blocks)):
        if len(text) + len(block) > MOST_MARKDOWN:
            left_out = ["all that comes after this", *left_out]
            break
        text += f"{block}\n\n"
    if left_out:
        text += f"On the page and in results.csv: {', '.join(map(cell, left_out))}."
    return text.rstrip()[: MOST_MARKDOWN + ROOM] + "\n"


def _bold(question: str) -> str:
    return f"**{question}** " if question else ""


def _matrix(made: Matrix) -> Iterator[str]:
    """The matrix as a table; its best in bold."""
    if not made.lines:
        return
    yield f"## Time per call\n\n{cell(made.legend[0].upper() + made.legend[1:])}."
    lines = [
        {"case": cell(f"{line.group}, {line.name}")}
        | dict(zip(made.columns, map(_time, line.cells), strict=True))
        for line in made.lines[:MOST_LINES]
    ]
    yield pd.DataFrame(lines).rename(columns=cell).to_markdown(index=False, disable_numparse=True)
    if len(made.lines) > MOST_LINES:
        yield f"And {len(made.lines) - MOST_LINES:,} more lines on the page."


def _time(one: Cell | None) -> str:
    if one is None:
        return ""
    time = f"**{cell(one.time)}**" if one.mark == BEST else f"{cell(one.time)}{one.mark}"
    return f"{time} ({one.times})" if one.times else time


def _chapter(chapter: Chapter, left_out: list[str]) -> Iterator[str]:
    """What is short of a chapter; the titles of its other tables are added to those left out."""
    short = [table for table in chapter.tables if len(table.frame) <= LONG]
    left_out += [table.title for table in chapter.tables if len(table.frame) > LONG]
    left_out += [listing.title for listing in chapter.listings]
    parts = (chapter.text, chapter.points, chapter.commands, chapter.charts, short)
    if not any(parts):
        return
    yield f"## {chapter.heading}"
    yield from map(cell, chapter.text)
    yield "\n".join(f"- {cell(line)}" for line in chapter.points)
    for command in chapter.commands:
        yield _fenced(brief(command), "console")
    yield from map(_image, chapter.charts)
    for table in short:
        yield f"### {cell(table.title)}"
        yield cell(table.text)
        yield markdown_table(table.frame)


def _fenced(text: str, language: str) -> str:
    """A block of code, whatever it holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def _image(chart: Chart) -> str:
    caption = cell(chart.caption)
    return f"![{caption}](figures/{chart.name}.png)\n\n{caption}"
