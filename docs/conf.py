"""The site: the pages beside this file, and those that are made from the rest of the repository.

tox -e site
python -m sphinx -W -b linkcheck docs SITE/links
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pygments.lexers.special import TextLexer

import samegrad
from samegrad import cli
from samegrad.implementations.contract.texts import say

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
# Documents that lie beside what they are about -> their page here.
ELSEWHERE = {
    "implementations/README.md": "add-an-implementation",
    "benchmarks/records/JOURNAL.md": "journal-format",
    "reports/results/GPU-TODO.md": "unproven-on-cuda",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
}
RUNS = ROOT / "reports" / "results"
EXTRA = GENERATED / "extra"  # what is copied as it is: the page of each committed run
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
CELLS = re.compile(r"^\|.*", re.MULTILINE)
WIDTH = 88  # of what commands say

project = "samegrad"
author = "samegrad developers"
version = release = samegrad.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_show_copyright = False
html_theme = "furo"
html_title = "samegrad"
html_extra_path = ["generated/extra"]
exclude_patterns = ["generated/extra"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "none"
linkcheck_timeout = 20


def setup(app: object) -> None:
    """Make the pages that are generated, and lead links to files of the repository somewhere."""
    GENERATED.mkdir(exist_ok=True)
    for source, name in ELSEWHERE.items():
        (GENERATED / f"{name}.md").write_text((ROOT / source).read_text())
    (GENERATED / "commands.md").write_text(_commands())
    for journal in RUNS.glob("*/journal.jsonl"):
        _page_of(journal)
    _archive()
    app.add_lexer("mermaid", TextLexer)  # type: ignore[attr-defined] # Sphinx's, which has no types here
    app.connect("source-read", _links)  # type: ignore[attr-defined] # Sphinx's, which has no types here


def _page_of(journal: Path) -> None:
    """The page of a committed run, made from its journal where that has changed."""
    page = EXTRA / "runs" / journal.parent.name / "index.html"
    if page.exists() and page.stat().st_mtime > journal.stat().st_mtime:
        return
    page.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(samegrad.render(journal.parent, folder).page, page)


def _archive() -> None:
    """The pages of an archive of all committed runs: cases, machines, changes."""
    from samegrad.reports.archive import adding, site, store

    pages = EXTRA / "archive"
    with tempfile.TemporaryDirectory() as folder:
        for run in adding.places([RUNS]):  # one by one, in this process: Sphinx is no main module
            for line in adding.add(Path(folder), [run]).lines:
                say(line, error=True)
        with store.opened(folder) as connection:
            site.write(connection, pages)


def _commands() -> str:
    """What each command says of itself."""
    os.environ["COLUMNS"] = str(WIDTH)
    tree = cli.tree()
    tree.prog = "samegrad"
    parts = [
        "# Commands\n\n`samegrad` after an install, `python -m samegrad` in a clone where it "
        "is installed already. What follows is what `--help` prints.\n"
    ]
    for names, parser in _all(tree):
        head = "#" * (1 + len(names))
        title = f"{head} {' '.join(names)}\n\n" if names else ""
        text = parser.format_help()
        parts.append(f"{title}```text\n{_portable(text)}```\n")
    return "\n".join(parts)


def _all(
    parser: cli.Parser, names: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], cli.Parser]]:
    parser.prog = " ".join(["samegrad", *names])
    yield names, parser
    for name, child in parser.named().items():
        if name in cli.SHOWN or names:
            yield from _all(child, (*names, name))


def _portable(text: str) -> str:
    return re.sub(r"\S*python\S* -m samegrad", "samegrad", text)


def _links(_: object, page: str, text: list[str]) -> None:
    """Links as they are followed in the repository, to pages of the site or to downloads."""
    origins = {f"generated/{name}": ROOT / source for source, name in ELSEWHERE.items()}
    origin = origins.get(page, DOCS / f"{page}.md")

    def led(match: re.Match[str]) -> str:
        image, label, target = match.groups()
        path, _, anchor = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return match[0]
        file = (origin.parent / path).resolve()
        if not file.exists() or not file.is_relative_to(ROOT):
            return match[0]  # Sphinx says so
        if file == RUNS:
            return f'<a href="{"../" * page.count("/")}archive/index.html">{label}</a>'
        if file.is_dir():
            folder = f"{file.relative_to(ROOT)}/"  # a site has no page of it
            return f"`{folder}`" if label.strip("`/") == folder[:-1] else f"{label} (`{folder}`)"
        name = str(file.relative_to(ROOT))
        if name == "README.md":
            file = DOCS / "index.md"
        elif name in ELSEWHERE:
            file = GENERATED / f"{ELSEWHERE[name]}.md"
        elif file.name == "report.md":
            up = "../" * page.count("/")
            return f'<a href="{up}runs/{file.parent.name}/index.html">{label}</a>'
        here = (DOCS / page).parent
        relative = os.path.relpath(file, here)
        return f"{image}[{label}]({relative}{'#' * bool(anchor)}{anchor})"

    text[0] = CELLS.sub(_whole, LINK.sub(led, text[0]))


def _whole(row: re.Match[str]) -> str:
    """A row whose numbers stay with their units, and intervals whole, in a phone's cells too."""
    unit = r"(?<=[0-9]) (?=(?:%|ns|us|ms|s)(?!\w))"
    ends = r"(?<=[0-9%s]) (?=to -?[0-9])|(?<=[0-9%s].to) (?=-?[0-9])"
    return re.sub(f"{unit}|{ends}", "\N{NO-BREAK SPACE}", row[0])
