"""A document as a page and as Markdown."""

import base64
import gzip
import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from jinja2 import Environment, select_autoescape

from samegrad.implementations.contract.texts import clean
from samegrad.reports.charts.chart import DPI, Chart
from samegrad.reports.data.values import brief, cell, foldable, markdown_table
from samegrad.reports.document.chapter import Chapter, Document

LONG = 20  # rows; a longer table is folded in Markdown
WIDE = 48  # characters; a longer cell may break
SCREEN_DPI = 100  # a point of the figures' letters is that much larger than the page's
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "KiB": 2.0**10, "MiB": 2.0**20}
NUMBER = re.compile(
    r"([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?: (ns|us|ms|s|KiB|MiB|%|GFLOP/s|GB/s))?(?=$| |%|\()"
)


def html(document: Document, figures: Path) -> str:
    """One self-contained page, with the saved charts of a directory: no request leaves it."""
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=lambda value: value if hasattr(value, "__html__") else clean(str(value)),
    )
    environment.filters |= {"brief": brief, "key": key, "rows": rows, "digest": digest}
    library = _file("vendor/datatables.min.js")
    return environment.from_string(_file("page.html")).render(
        document=document,
        files={chart.name: _files(chart, figures) for chart in document.charts},
        samples=packed(json.dumps(document.samples, separators=(",", ":"))),
        css=_file("page.css"),
        script=library,
        enhance=_file("page.js"),
        library=library.partition("DataTables ")[2].split()[0],
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


def _files(chart: Chart, figures: Path) -> dict[str, str]:
    """The PNG as base64, SVG and data compressed, then as base64; and the width on the page."""
    png = (figures / f"{chart.name}.png").read_bytes()
    width = int.from_bytes(png[16:20], "big")  # of a PNG's header
    return {
        "width": str(round(width * SCREEN_DPI / DPI)),  # letters are as large in every chart
        "png": base64.b64encode(png).decode(),
        "svg": packed((figures / f"{chart.name}.svg").read_text("utf-8")),
        "csv": packed((figures / f"{chart.name}.csv").read_text("utf-8")),
    }


def rows(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str | None], ...]]:
    """Of each row its cells: text, class, and what it is sorted by (None: its text)."""
    return zip(*(_cells(column) for _, column in table.items()), strict=True)


def _cells(column: pd.Series) -> Iterator[tuple[str, str, str | None]]:
    """Cells that sort by their number where most of them are numbers."""
    texts = [brief(value) for value in column]
    orders = [order(text) for text in texts]
    filled = sum(text != "" for text in texts)
    numeric = sum(value is not None for value in orders) * 2 > filled
    # Sentences may begin with a number, too.
    numeric = numeric and max(map(len, texts), default=0) <= WIDE
    for text, value in zip(texts, orders, strict=True):
        kind = "number" if numeric and value is not None else "wide" if len(text) > WIDE else ""
        yield text, kind, None if not numeric else "" if value is None else repr(value)


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
    blocks += map(cell, document.machine)
    blocks.append("\n".join(f"- {cell(line)}" for line in document.summary))
    blocks.append(f"**{cell(document.counts)}**")
    blocks.append("\n\n".join(cell(line) for line in document.notes))
    if document.first is not None:
        blocks.append(_image(document.first))
    for chapter in document.chapters:
        blocks += _chapter(chapter)
    return clean("\n\n".join(block for block in blocks if block) + "\n")


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
        body = markdown_table(table.frame)
        title = f"{table.title}: {len(table.frame)} rows"
        yield foldable(title, body) if len(table.frame) > LONG else body
    for listing in chapter.listings:
        for number, name in enumerate(listing.names):
            lines = [texts[number] for _, texts in listing.equations]
            text = "\n".join(line for line in lines if line)
            yield foldable(f"{listing.title}: {name}", _fenced(text, "python"))


def _fenced(text: str, language: str) -> str:
    """A block of code, whatever it holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def _image(chart: Chart) -> str:
    caption = cell(chart.caption)
    return f"![{caption}](figures/{chart.name}.png)\n\n{caption}"
