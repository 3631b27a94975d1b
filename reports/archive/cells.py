"""Rows of the site's tables as HTML: millions of cells, so by hand and not by a template."""

import html
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from markupsafe import Markup

from samegrad.implementations.contract.texts import clean

SAFE = re.compile(r"[A-Za-z0-9 .,:~/()+_-]*")  # nothing in it is to be escaped


class Cell(NamedTuple):
    """A cell that is more than a text: a link, or a number with what it is sorted by."""

    text: str
    href: str = ""
    order: float | str | None = None
    title: str = ""


def row_html(cells: Sequence[str | Cell]) -> Markup:
    """A line of a table; whatever texts it has are texts in it."""
    return Markup(f"<tr>{''.join(map(_cell, cells))}")  # noqa: S704 # each text was escaped


def _escaped(text: str) -> str:
    return text if SAFE.fullmatch(text) else _rarely(text)


@lru_cache(maxsize=2**16)
def _rarely(text: str) -> str:
    return html.escape(clean(text))


def _cell(cell: str | Cell) -> str:
    if isinstance(cell, str):
        return f"<td>{_escaped(cell)}"
    text, href, order, title = cell
    if href:
        return f'<th scope="row"><a href="{_escaped(href)}">{_escaped(text)}</a>'
    said = f' title="{_escaped(title)}"' if title else ""
    by = "" if order is None else f' data-order="{_escaped(str(order))}"'
    return f'<td class="number"{said}{by}>{_escaped(text)}'
