"""The page and its Markdown twin: the same content in two forms."""

import base64
import importlib.resources
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, select_autoescape
from matplotlib.figure import Figure

from benchmarks.journal import Journal
from benchmarks.schema import OK
from reports import tables

INCLUDES = (
    "A time is one call: forward, loss and gradient, training step (loss, gradient, update), or "
    "an epoch (all steps of one pass over the examples, the loop included).",
    "Every case was checked first, in the same process and on the timed functions, against a "
    "float64 reference: loss and every gradient (and the outputs of a forward pass), or loss and "
    "one updated step, at a learning rate at which it shows every gradient. A case that "
    "disagrees has no time.",
    "Included: dispatch, the Python call, and waiting until every result is computed. Chained "
    "steps wait once per block; independent calls wait for up to 32 results at once.",
    "Not included: start of the process, imports, the first call (compilation; a column of its "
    "own), warm-up, placing data on the device (resident rows; end-to-end rows include it).",
    "Each implementation runs in fresh processes of its own, in an order drawn anew each round; "
    "the value is the median block of a process, averaged over processes on a log scale, with "
    "a 95 % Student t interval from 5 processes up.",
    "GFLOP/s count matrix products only: 2 operations per weight and example forward, twice "
    "that backward, less the first layer's input gradient.",
    "float32 is IEEE float32 everywhere (no TF32). Looped Python computes in float64; a "
    "speed-up over it is formed with float64 rows only.",
    "First call: the first process compiles, later ones load from the run's own cache.",
)
HEADERS = {
    "batch_size": "batch",
    "seconds_text": "time per call",
    "interval_text": "95 % interval",
    "rate_text": "examples/s",
    "gflops_text": "GFLOP/s",
    "first_text": "first call",
    "error_text": "largest error",
    "percent_text": "% of bound",
    "end_to_end_speed_up": "end to end",
    "resident_speed_up": "resident",
    "speed_up": "times faster",
}
NO_GPU = "no GPU on this machine"


@dataclass
class Content:
    """What a report says.

    Attributes:
        title: one line.
        counts: how many rows have a number, and why others have none.
        notes: one line each.
        overview: time per call, a line per case.
        sections: (heading, text, table) in order.
        drawn: name -> (figure, caption).
    """

    title: str
    counts: str
    notes: list[str]
    overview: pd.DataFrame
    sections: list[tuple[str, str, pd.DataFrame]] = field(default_factory=list)
    drawn: Mapping[str, tuple[Figure, str]] = field(default_factory=dict)


def content(
    journals: Sequence[Journal], rows: pd.DataFrame, drawn: Mapping[str, tuple[Figure, str]]
) -> Content:
    """Everything that a report says, computed from the journals."""
    ok, missing = rows[rows.status == OK], rows[rows.status != OK]
    said = ", ".join(f"{n} {status}" for status, n in missing.status.value_counts().items())
    made = Content(
        title="samegrad: speed of one network in several idioms",
        counts=f"{len(ok)} of {len(rows)} rows have a number" + (f"; {said}" if said else "") + ".",
        notes=_notes(journals, rows),
        overview=_overview(journals, rows) if len(rows) else pd.DataFrame(),
        drawn=drawn,
    )
    if not len(rows):
        return made
    many = rows.source.nunique() > 1
    made.sections = [
        ("GPU against CPU", _gpu_text(journals, rows), _gpu(rows)),
        (
            "Speed-up over looped Python",
            "float64 on both sides, on the same machine; 95 % interval from 5 processes up.",
            _over_scalar(rows, many),
        ),
        *_differentiation(rows, many),
        ("Every row with a number", "", _every(ok, many)),
        (
            "Rows without a number",
            "" if len(missing) else "Every row has a number.",
            _without(rows, many),
        ),
        ("Machines and versions", "", _machines(journals)),
    ]
    return made


def _notes(journals: Sequence[Journal], rows: pd.DataFrame) -> list[str]:
    notes = []
    for journal, source in zip(journals, tables.source_labels(journals), strict=True):
        run = journal.run
        state = "" if journal.complete else " PARTIAL: the run did not come to its end."
        notes.append(
            f"{source}: run {run['run']}, {run.get('started', 'unknown time')}, preset "
            f"{run.get('preset', 'unknown')}, commit {run['machine'].get('commit', 'unknown')}, "
            f"command `{run.get('command', 'unknown')}`.{state}"
        )
        if not run.get("intervals", True):
            notes.append("One process per implementation: no intervals, no verdicts.")
    if len(rows):
        differ = _spread(rows)
        if differ:
            notes.append(differ)
    return notes


def _spread(rows: pd.DataFrame) -> str:
    """How far processes differ, in one sentence: what small differences are worth."""
    ok = rows[(rows.status == OK) & rows.seconds_low.notna()]
    if ok.empty:
        return ""
    half = ((ok.seconds_high / ok.seconds_low) ** 0.5 - 1).median()
    return (
        f"Half of the rows have a 95 % interval within +-{100 * half:.0f} %; "
        "a difference smaller than the intervals is no difference."
    )


def _overview(journals: Sequence[Journal], rows: pd.DataFrame) -> pd.DataFrame:
    table = tables.overview(rows)
    if not (rows.device == "cuda").any():
        table["cuda"] = NO_GPU if _no_gpu(journals) else "not measured"
    return table.rename(columns=HEADERS)


def _no_gpu(journals: Sequence[Journal]) -> bool:
    return all(str(journal.run["machine"].get("gpu", "none")) == "none" for journal in journals)


def _gpu_text(journals: Sequence[Journal], rows: pd.DataFrame) -> str:
    if (rows.device == "cuda").any():
        return (
            "Times faster than the CPU with the same implementation. End to end: the batch comes "
            "from the host's memory (through the interface's checks) and the loss goes back. "
            "Machines are named where they differ."
        )
    if _no_gpu(journals):
        return f"There are no CUDA rows: {NO_GPU}."
    return "There are no CUDA rows: the GPU was not asked for, or no framework sees it."


def _gpu(rows: pd.DataFrame) -> pd.DataFrame:
    table = tables.gpu_over_cpu(rows)
    for column in ("end_to_end_speed_up", "resident_speed_up"):
        if column in table:
            table[column] = table[column].map(tables.digits)
    return table.rename(columns=HEADERS)


def _over_scalar(rows: pd.DataFrame, many: bool) -> pd.DataFrame:
    table = tables.over_scalar(rows)
    if table.empty:
        return table
    table["95 % interval"] = [
        _range(tables.digits, low, high) for low, high in zip(table.low, table.high, strict=True)
    ]
    table["speed_up"] = table.speed_up.map(tables.digits)
    drop = ["low", "high", "transfer", *([] if many else ["source"])]
    return table.drop(columns=drop).rename(columns=HEADERS)


def _differentiation(rows: pd.DataFrame, many: bool) -> list[tuple[str, str, pd.DataFrame]]:
    table = tables.differentiation(rows)
    if table.empty:
        return []
    shown = pd.DataFrame(
        {
            "implementation": table.implementation,
            "device": table.device,
            "parameters": [f"{n:,}" for n in table.parameters],
            "forward": table.forward_seconds.map(tables.duration),
            "gradient": table.gradient_seconds.map(tables.duration),
            "gradient / forward": table.ratio.map(tables.digits),
            "95 % interval": [
                _range(tables.digits, low, high)
                for low, high in zip(table.low, table.high, strict=True)
            ],
            "reason": table.reason,
        }
    )
    if many:
        shown.insert(0, "source", table.source)
    text = (
        "How many forward passes of the same implementation one gradient takes. Each gradient was "
        "checked first, as every row."
    )
    return [("Cost of differentiation", text, shown)]


def _every(ok: pd.DataFrame, many: bool) -> pd.DataFrame:
    table = ok.assign(
        seconds_text=ok.seconds.map(tables.duration),
        interval_text=[
            _range(tables.duration, low, high)
            for low, high in zip(ok.seconds_low, ok.seconds_high, strict=True)
        ],
        rate_text=ok.examples_per_second.map(tables.digits),
        gflops_text=ok.gflops_per_second.map(tables.digits),
        first_text=ok.first_call_seconds.map(tables.duration),
        error_text=[
            f"{e:.1e} ({t})" for e, t in zip(ok.gradient_error, ok.worst_tensor, strict=True)
        ],
        percent_text=[
            tables.digits(100 * e / b)
            for e, b in zip(ok.gradient_error, ok.gradient_bound, strict=True)
        ],
    )
    kept = [*(["source"] if many else []), *tables.CASE, "implementation", "device", "transfer"]
    if (ok.transfer == "resident").all():
        kept.remove("transfer")
    kept += [column for column in HEADERS if column.endswith("_text")] + ["processes", "blocks"]
    return table[kept].rename(columns=HEADERS)


def _without(rows: pd.DataFrame, many: bool) -> pd.DataFrame:
    table = tables.without_number(rows)
    return table.drop(columns=["transfer", *([] if many else ["source"])]).rename(columns=HEADERS)


def _machines(journals: Sequence[Journal]) -> pd.DataFrame:
    columns: dict[str, dict[str, str]] = {}
    for journal, source in zip(journals, tables.source_labels(journals), strict=True):
        facts = {key: str(value) for key, value in journal.run["machine"].items()}
        facts["fingerprint"] = str(journal.run["fingerprint"])
        for record in journal.implementations:
            who = f"{record['name']} on {record['device']}"
            if record.get("reason"):
                facts[who] = f"unavailable: {record['reason']}"
                continue
            said = "; ".join(f"{k}: {v}" for k, v in dict(record.get("facts", {})).items())
            facts[who] = f"{said}; source {record.get('source_sha256', 'unknown')}"
        columns[source] = facts
    table = pd.DataFrame(columns).fillna("")
    return table.rename_axis("fact").reset_index()


def _range(show: Any, low: float, high: float) -> str:
    return f"{show(low)} to {show(high)}" if math.isfinite(low) else ""


def markdown(made: Content) -> str:
    """The report for a Git host or a pull request."""
    parts = [f"# {made.title}", *map(_cell, made.notes), made.counts]
    parts += ["## Time per call", _markdown_table(made.overview)]
    parts += [
        f"![{_cell(caption)}](figures/{name}.png)\n\n{caption}"
        for name, (_, caption) in made.drawn.items()
    ]
    for heading, text, table in made.sections:
        parts += [f"## {heading}", text, _markdown_table(table)]
    parts += ["## What a number includes", "\n".join(f"- {line}" for line in INCLUDES)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    return table.rename(columns=_cell).map(_cell).to_markdown(index=False, disable_numparse=True)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def html(made: Content, directory: Path) -> str:
    """One self-contained page, with the PNG figures of a directory: no request leaves it."""
    source = importlib.resources.files("reports").joinpath("page.html").read_text("utf-8")
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    drawn = [
        (name, caption, base64.b64encode((directory / f"{name}.png").read_bytes()).decode())
        for name, (_, caption) in made.drawn.items()
    ]
    page: str = environment.from_string(source).render(made=made, drawn=drawn, includes=INCLUDES)
    return page
