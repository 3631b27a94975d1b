"""The content of a report as a page and as Markdown."""

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
from samegrad.reports.data import tables
from samegrad.reports.document.chapters import Chapter, Table
from samegrad.reports.document.content import Content

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
class Line:
    """A row of a table, and the number of its samples, if it has any."""

    cells: list[Cell]
    samples: int | None


@dataclass(frozen=True)
class Shown:
    """A table as the page shows it."""

    key: str
    title: str
    text: str
    titles: list[str]
    cells: list[Line]


@dataclass(frozen=True)
class Figure:
    """A figure as the page holds it: PNG as base64, SVG and data packed, then as base64.

    Attributes:
        width: of the picture on the page, so that letters are as large in every figure.
    """

    name: str
    caption: str
    width: int
    png: str
    svg: str
    csv: str


def html(made: Content, directory: Path) -> str:
    """One self-contained page, with the figures of a directory: no request leaves it."""
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    chapters = [
        {
            **vars(chapter),
            "text": [brief(line) for line in chapter.text],
            "commands": [brief(command) for command in chapter.commands],
            "key": key(chapter.heading),
            "figures": [_figure(made, name, directory) for name in chapter.figures],
            "tables": [_shown(table) for table in chapter.tables],
        }
        for chapter in made.chapters
    ]
    library = _file("vendor/datatables.min.js")
    page: str = environment.from_string(_file("page.html")).render(
        made=made,
        chapters=chapters,
        main=[_figure(made, name, directory) for name in made.main],
        samples=packed(json.dumps(made.samples, separators=(",", ":"))),
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
    text = tables.folded(str(value))
    return text if len(text) <= MOST else text[:MOST] + f" ... ({len(text):,} characters)"


def _figure(made: Content, name: str, directory: Path) -> Figure:
    picture = (directory / f"{name}.png").read_bytes()
    width = int.from_bytes(picture[16:20], "big")  # of a PNG's header
    return Figure(
        name,
        made.drawn[name][1],
        round(width * SCREEN_DPI / saving.DPI),
        base64.b64encode(picture).decode(),
        packed((directory / f"{name}.svg").read_text("utf-8")),
        packed((directory / f"{name}.csv").read_text("utf-8")),
    )


def _shown(table: Table) -> Shown:
    frame = table.frame
    columns = [list(_cells(frame[name])) for name in frame.columns]
    samples = table.samples or [None] * len(frame)
    lines = [
        Line(list(cells), s) for cells, s in zip(zip(*columns, strict=True), samples, strict=True)
    ]
    anchor, titles = f"table-{key(table.title)}", [brief(name) for name in frame.columns]
    return Shown(anchor, table.title, brief(table.text), titles, lines)


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


def markdown(made: Content) -> str:
    """The report for a Git host or a pull request: the summary first, long tables folded."""
    parts = [f"# {cell(made.title)}", *(f"> {cell(line)}" for line in made.warnings)]
    parts += ["\n".join(f"- {cell(line)}" for line in made.summary), f"**{cell(made.counts)}**"]
    parts += ["\n\n".join(cell(line) for line in made.notes)]
    parts += [_image(made, name) for name in made.main]
    for chapter in made.chapters:
        parts += _chapter(made, chapter)
    return "\n\n".join(part for part in parts if part) + "\n"


def _chapter(made: Content, chapter: Chapter) -> Iterator[str]:
    yield f"## {chapter.heading}"
    yield from map(cell, chapter.text)
    yield "\n".join(f"- {cell(line)}" for line in chapter.points)
    for command in chapter.commands:
        yield _fenced(brief(command), "console")
    yield from (_image(made, name) for name in chapter.figures)
    for table in chapter.tables:
        shown = markdown_table(table.frame)
        title = f"{table.title}: {len(table.frame)} rows"
        if len(table.frame) > LONG:
            shown = f"<details><summary>{cell(title)}</summary>\n\n{shown}\n\n</details>"
        yield f"### {cell(table.title)}"
        yield cell(table.text)
        yield shown
    for listing in chapter.listings:
        for place, name in enumerate(listing.names):
            text = "\n".join(line.texts[place] for line in listing.lines if line.texts[place])
            title = f"{listing.title}: {name}"
            yield (
                f"<details><summary>{cell(title)}</summary>\n\n{_fenced(text, 'python')}\n\n"
                "</details>"
            )


def _fenced(text: str, language: str) -> str:
    """A block of code, whatever it holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def _image(made: Content, name: str) -> str:
    caption = cell(made.drawn[name][1])
    return f"![{caption}](figures/{name}.png)\n\n{caption}"


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
