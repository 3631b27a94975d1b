"""The course of every case as a page of its own."""

import warnings
from pathlib import Path

import pandas as pd

from reports import history, page, saving, tables
from reports.chapters import Chapter, Table
from reports.content import Content
from reports.history import Course


def write(course: Course, directory: Path, by: str) -> list[str]:
    """history.md, index.html, steps.csv and the figures; what to print last."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        drawn = history.figures(course, by, most=None)
        (directory / "figures").mkdir(parents=True, exist_ok=True)
        for name, (figure, _) in drawn.items():
            saving.save(figure, directory / "figures", name)
            saving.close([figure])
    title, text, table = history.steps_table(course)
    tables.to_csv(table, directory / "steps.csv")
    runs = course.runs[["started", "run", "commit", "source"]]
    made = Content(
        title="samegrad: the course of every case",
        counts=text,
        warnings=[],
        summary=[],
        notes=[],
        overview=pd.DataFrame(),
        drawn=drawn,
    )
    made.chapters = [
        Chapter("Steps", tables=(Table(title, "", table),)),
        Chapter("Every case", figures=tuple(drawn)),
        Chapter("Runs", tables=(Table("All runs", "In the order of time.", runs),)),
    ]
    (directory / "history.md").write_text(page.markdown(made), encoding="utf-8")
    (directory / "index.html").write_text(page.html(made, directory / "figures"), "utf-8")
    shown = table.head(20).to_string(index=False)
    return [text, shown, f"report: {directory / 'index.html'}"]
