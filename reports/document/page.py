"""A document as a page and as Markdown."""

import base64
import gzip
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, select_autoescape

from samegrad.reports.charts import saving
from samegrad.reports.charts.style import Chart
from samegrad.reports.data.values import folded
from samegrad.reports.document.chapter import Chapter, Table
from samegrad.reports.document.chapters import Document

LONG = 20  # rows; a longer table is folded in Markdown
WIDE = 48  # characters; a longer cell may break
SCREEN_DPI = 100  # a point of the figures' letters is that much larger than the page's
MOST = 1_000  # characters of a cell or a line; what a journal says may be longer
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "KiB": 2.0**10, "MiB": 2.0**20}
NUMBER = re.compile(
    r"([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?: (ns|us|ms|s|KiB|MiB|%|GFLOP/s|GB/s))?(?=$| |%|\()"
)


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, its class, and what it is sorted by (None: its text)."""

    text: str
    kind: str
    order: str | None


@dataclass(frozen=True)
class HtmlTable:
    """A table as the page shows it; rows are (cells, number of the row's samples or None)."""

    key: str
    title: str
    text: str
    titles: list[str]
    rows: list[tuple[tuple[Cell, ...], int | None]]


@dataclass(frozen=True)
class HtmlChart:
    """A chart as the page holds it: PNG as base64, SVG and data compressed, then as base64.

    Attributes:
        width: of the picture on the page, so that letters are as large in every chart.
    """

    name: str
    caption: str
    width: int
    png: str
    svg: str
    csv: str


def html(document: Document, figures: Path) -> str:
    """One self-contained page, with the saved charts of a directory: no request leaves it."""
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    chapters = [
        {
            **vars(chapter),
            "text": [brief(line) for line in chapter.text],
            "commands": [brief(command) for command in chapter.commands],
            "key": key(chapter.heading),
            "charts": [_chart(chart, figures) for chart in chapter.charts],
            "tables": [_table(table) for table in chapter.tables],
        }
        for chapter in document.chapters
    ]
    library = _file("vendor/datatables.min.js")
    page: str = environment.from_string(_file("page.html")).render(
        document=document,
        chapters=chapters,
        first=None if document.first is None else _chart(document.first, figures),
        samples=packed(json.dumps(document.samples, separators=(",", ":"))),
        css=_file("page.css"),
        script=library,
        enhance=_file("page.js"),
        library=library.partition("DataTables ")[2].split()[0],
    )
    return page


def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


def packed(text: str) -> str:
    """Compressed, as base64; the same bytes for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def key(title: str) -> str:
    """A title as an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def brief(value: Any) -> str:
    """A text, cut where it is longer than anyone reads."""
    text = folded(str(value))
    return text if len(text) <= MOST else text[:MOST] + f" ... ({len(text):,} characters)"


def _chart(chart: Chart, figures: Path) -> HtmlChart:
    png = (figures / f"{chart.name}.png").read_bytes()
    width = int.from_bytes(png[16:20], "big")  # of a PNG's header
    return HtmlChart(
        chart.name,
        chart.caption,
        round(width * SCREEN_DPI / saving.DPI),
        base64.b64encode(png).decode(),
        packed((figures / f"{chart.name}.svg").read_text("utf-8")),
        packed((figures / f"{chart.name}.csv").read_text("utf-8")),
    )


def _table(table: Table) -> HtmlTable:
    frame = table.frame
    cells = zip(*(_cells(frame[name]) for name in frame.columns), strict=True)
    samples = table.samples or [None] * len(frame)
    anchor, titles = f"table-{key(table.title)}", [brief(name) for name in frame.columns]
    rows = list(zip(cells, samples, strict=True))
    return HtmlTable(anchor, table.title, brief(table.text), titles, rows)


def _cells(column: pd.Series) -> Iterator[Cell]:
    """Cells that sort by their number where most of them are numbers."""
    texts = [brief(value) for value in column]
    orders = [order(text) for text in texts]
    filled = sum(text != "" for text in texts)
    numeric = sum(value is not None for value in orders) * 2 > filled
    # Sentences may begin with a number, too.
    numeric = numeric and max(map(len, texts), default=0) <= WIDE
    for text, value in zip(texts, orders, strict=True):
        kind = "number" if numeric and value is not None else "wide" if len(text) > WIDE else ""
        yield Cell(text, kind, None if not numeric else "" if value is None else repr(value))


def order(text: str) -> float | None:
    """The number that a cell begins with, in the unit's base: 97.4 us before 1.2 ms."""
    match = NUMBER.match(text)
    if match is None:
        return None
    value = float(match.group(1).replace(",", "")) * UNITS.get(match.group(2) or "", 1.0)
    return value if math.isfinite(value) else None


def markdown(document: Document) -> str:
    """The report for a Git host or a pull request: the summary first, long tables folded."""
    blocks = [f"# {cell(document.title)}", *(f"> {cell(line)}" for line in document.warnings)]
    blocks.append("\n".join(f"- {cell(line)}" for line in document.summary))
    blocks.append(f"**{cell(document.counts)}**")
    blocks.append("\n\n".join(cell(line) for line in document.notes))
    if document.first is not None:
        blocks.append(_image(document.first))
    for chapter in document.chapters:
        blocks += _chapter(chapter)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _chapter(chapter: Chapter) -> Iterator[str]:
    yield f"## {chapter.heading}"
    yield from map(cell, chapter.text)
    yield "\n".join(f"- {cell(line)}" for line in chapter.points)
    for command in chapter.commands:
        yield _fenced(brief(command), "console")
    yield from map(_image, chapter.charts)
    for table in chapter.tables:
        yield f"### {cell(table.title)}"
        yield cell(table.text)
        rows = markdown_table(table.frame)
        title = f"{table.title}: {len(table.frame)} rows"
        yield _foldable(title, rows) if len(table.frame) > LONG else rows
    for listing in chapter.listings:
        for number, name in enumerate(listing.names):
            lines = [equation.texts[number] for equation in listing.equations]
            text = "\n".join(line for line in lines if line)
            yield _foldable(f"{listing.title}: {name}", _fenced(text, "python"))


def _foldable(title: str, text: str) -> str:
    return f"<details><summary>{cell(title)}</summary>\n\n{text}\n\n</details>"


def _fenced(text: str, language: str) -> str:
    """A block of code, whatever it holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def _image(chart: Chart) -> str:
    caption = cell(chart.caption)
    return f"![{caption}](figures/{chart.name}.png)\n\n{caption}"


def markdown_table(table: pd.DataFrame) -> str:
    """A table of texts."""
    if table.empty:
        return ""
    return table.rename(columns=cell).map(cell).to_markdown(index=False, disable_numparse=True)


def cell(value: Any) -> str:
    """A text that means itself in Markdown."""
    text = brief(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    text = re.sub(r"([\[\]])", r"\\\1", text)
    return re.sub(r"\s*[\r\n]+\s*", " ", text)
