"""How each case has changed from run to run: the levels of its time, and the steps between them.

A step is where a course of log times is told apart into two levels by binary segmentation (Scott
and Knott, Biometrics 1974): the place at which splitting lowers the squared error the most, if it
does so by more than chance would. The noise is what successive runs differ by, which a step
changes in one place only. A level has at least two runs: a single bad run is none, and the last
run alone is no step yet (`compare` says whether it differs).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.intervals import NO_DIFFERENCE
from benchmarks.schema import OK
from reports import style, tables

PENALTY = 6.0  # times log n times the noise's variance: what a split must gain
LEAST = 2  # runs that make a level
PANELS, COLUMNS = 12, 3  # of one figure
CASE = [*tables.CASE, "implementation", "device", "transfer"]
PANEL = ["workload", "layers", "operation", "batch_size", "dtype"]
KEY = ["machine", "fingerprint", *CASE]


@dataclass(frozen=True)
class Course:
    """Every case over the runs of its machine.

    Attributes:
        cases: a line per case: KEY, and `runs`, its number of values.
        runs: a line per run, in the order of time: started, commit, run, source.
        seconds: (case, run), NaN where there is no number.
        steps: per case, the numbers of the runs (columns of `seconds`) at which a level begins.
    """

    cases: pd.DataFrame
    runs: pd.DataFrame
    seconds: Any
    steps: list[list[int]]


def course(rows: pd.DataFrame) -> Course | None:
    """The course of every case that at least two runs have a number for."""
    ok = rows[rows.status == OK]
    if ok.empty:
        return None
    runs = ok[["started", "commit", "run", "source"]].drop_duplicates("source")
    runs = runs.sort_values(["started", "run"], kind="stable").reset_index(drop=True)
    place = pd.Series(runs.index, index=runs.source)
    groups = ok.groupby(KEY, sort=False)
    number = groups.ngroup().to_numpy()
    cases = ok.drop_duplicates(KEY)[KEY].reset_index(drop=True)
    seconds = np.full((len(cases), len(runs)), math.nan)
    seconds[number, place[ok.source].to_numpy()] = ok.seconds.to_numpy()
    cases["runs"] = np.isfinite(seconds).sum(axis=1)
    kept = (cases.runs >= 2).to_numpy()
    if not kept.any():
        return None
    cases, seconds = cases[kept].reset_index(drop=True), seconds[kept]
    return Course(cases, runs, seconds, [_steps_of(line) for line in seconds])


def _steps_of(line: Any) -> list[int]:
    at = np.flatnonzero(np.isfinite(line))
    return [int(at[i]) for i in steps(np.log(line[at]))]


def steps(values: Any) -> list[int]:
    """Where levels begin in a course of log times, the first left out."""
    n = len(values)
    if n < 2 * LEAST:
        return []
    differences = np.diff(values)
    noise = 1.4826 * np.median(np.abs(differences - np.median(differences))) / math.sqrt(2)
    gain = PENALTY * math.log(n) * max(noise, 1e-6) ** 2
    values = _without_spikes(values)
    found: list[int] = []
    whole = [(0, n)]
    while whole:
        begin, end = whole.pop()
        split = _split(values[begin:end], gain)
        if split:
            found.append(begin + split)
            whole += [(begin, begin + split), (begin + split, end)]
    return _kept(values, sorted(found))


def _without_spikes(values: Any) -> Any:
    """The median of each value and its neighbours: a single bad run is no level."""
    padded = np.pad(values, 1, mode="reflect")
    return np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0)


def _split(values: Any, gain: float) -> int:
    """Where to split so that the squared error falls the most; 0 if by less than the gain."""
    n = len(values)
    if n < 2 * LEAST:
        return 0
    left = np.cumsum(values)[LEAST - 1 : n - LEAST]
    count = np.arange(LEAST, n - LEAST + 1)
    right = values.sum() - left
    falls = left**2 / count + right**2 / (n - count) - values.sum() ** 2 / n
    best = int(np.argmax(falls))
    return int(count[best]) if falls[best] > gain else 0


def _kept(values: Any, found: list[int]) -> list[int]:
    """Without steps that are smaller than what is no difference, the smallest first."""
    while found:
        edges = [0, *found, len(values)]
        means = [values[a:b].mean() for a, b in pairwise(edges)]
        sizes = [abs(b - a) for a, b in pairwise(means)]
        least = int(np.argmin(sizes))
        if sizes[least] > math.log(NO_DIFFERENCE):
            break
        del found[least]
    return found


def steps_table(found: Course) -> tuple[str, str, pd.DataFrame]:
    """(title, text, table): every step, what has become slower first."""
    many = found.cases.machine.nunique() > 1
    lines = []
    for number in range(len(found.cases)):
        case = found.cases.iloc[number]
        for before, after, at in levels(found, number)[1:]:
            run = found.runs.iloc[at]
            lines.append(
                {"machine": case.machine} | {name: case[name] for name in CASE}
                | {"at run": run.run, "started": run.started[:16], "commit": run.commit}
                | {"before": tables.duration(before), "after": tables.duration(after)}
                | {"times": tables.digits(after / before), "_order": -after / before}
            )  # fmt: skip
    text = (
        f"{len(found.cases)} cases over {len(found.runs)} runs, {len(lines)} steps of more than "
        f"{100 * (NO_DIFFERENCE - 1):.0f} % between levels of at least {LEAST} runs; slower first."
    )
    if not lines:
        return "Steps", text + " No case has a step.", pd.DataFrame({"steps": ["none"]})
    table = pd.DataFrame(lines).sort_values("_order").drop(columns="_order")
    table = table.drop(columns=[] if many else ["machine"])
    if (table["transfer"] == "resident").all():
        table = table.drop(columns="transfer")
    return "Steps", text, tables.narrow(table).reset_index(drop=True)


def levels(found: Course, number: int) -> list[tuple[float, float, int]]:
    """(level before, level, first run of it) of one case; the first level has none before it."""
    line = found.seconds[number]
    edges = [0, *found.steps[number], len(line)]
    means = [math.exp(np.nanmean(np.log(line[a:b]))) for a, b in pairwise(edges)]
    return [
        (means[max(0, i - 1)], mean, edge)
        for i, (mean, edge) in enumerate(zip(means, edges, strict=False))
    ]


def figures(found: Course, by: str = "date", most: int | None = 1) -> dict[str, Any]:
    """name -> (figure, caption): a panel per network and operation, largest steps first."""
    groups = [
        (key, list(part.index))
        for key, part in found.cases.groupby(["machine", *PANEL], sort=False)
    ]
    groups.sort(key=lambda group: -max(_largest(found, i) for i in group[1]))
    pages = [groups[i : i + PANELS] for i in range(0, len(groups), PANELS)][:most]
    with plt.rc_context(style.STYLE):  # type: ignore[arg-type] # keys are rc names
        return {
            "history" + (f"_{place + 1}" if place else ""): _page(found, page, by, len(groups))
            for place, page in enumerate(pages)
        }


def _largest(found: Course, number: int) -> float:
    return max((abs(math.log(b / a)) for a, b, _ in levels(found, number)[1:]), default=0.0)


def _page(
    found: Course, groups: Sequence[tuple[Any, list[int]]], by: str, panels: int
) -> tuple[Figure, str]:
    columns = min(COLUMNS, len(groups))
    height = -(-len(groups) // columns)
    figure, grid = plt.subplots(
        height, columns, figsize=(4.6 * columns, 0.7 + 2.3 * height), squeeze=False
    )
    for axes in grid.flat[len(groups) :]:
        axes.set_visible(False)
    palette = style.colours(found.cases)
    used: dict[str, Any] = {}
    many = found.cases.machine.nunique() > 1
    x = np.arange(len(found.runs))
    for axes, (key, numbers) in zip(grid.flat, groups, strict=False):
        for number in numbers:
            case, line = found.cases.iloc[number], found.seconds[number]
            label = f"{case.implementation} {case.device}"
            label += "" if case.threads == "all" else f" {case.threads} thr."
            label += "" if case.transfer == "resident" else " end to end"
            colour = palette[case.implementation]
            here = np.isfinite(line)
            (used[label],) = axes.plot(
                x[here], line[here], "o-" if here.sum() < 60 else "-", color=colour, markersize=3,
                linewidth=1, label=style.text(label), alpha=0.85,
            )  # fmt: skip
            for before, after, at in levels(found, number)[1:]:
                slower = after > before
                axes.axvline(at - 0.5, color=colour, linewidth=0.7, linestyle=":")
                axes.annotate(
                    f"{'+' if slower else '-'}{100 * abs(after / before - 1):.0f} %",
                    (at - 0.5, after), fontsize=8, color=colour, ha="center",
                    va="bottom" if slower else "top", fontweight="bold",
                )  # fmt: skip
        axes.set_yscale("log")
        style.seconds_axis(axes.yaxis)
        axes.yaxis.set_minor_formatter(NullFormatter())
        _few_ticks(axes)
        machine, workload, layers, operation, batch, dtype = key
        title = f"{workload} {layers}\n{operation}, batch {batch}, {dtype}"
        axes.set_title(style.text(title).replace("  ", " "), fontsize=8)
        if many:
            axes.set_ylabel(style.text(machine), fontsize=6)
        _run_axis(axes, found.runs, by)
    names = list(used)
    figure.legend(
        [used[n] for n in names], [style.text(n) for n in names], loc="upper center",
        ncols=min(6, len(names)), frameon=False,
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.45 / (0.7 + 2.3 * height)))
    more = "" if panels <= len(groups) else (
        f" The {len(groups)} of {panels} panels with the largest steps;"
        " `python -m reports history` draws all."
    )  # fmt: skip
    return figure, (
        f"Each case over {len(found.runs)} runs, by {by}; a dotted line and its percentage mark a "
        f"step between levels.{more}"
    )


def _few_ticks(axes: Any) -> None:
    """Two decades or less have no tick but at their ends: take round places between."""
    low, high = axes.get_ylim()
    if high / low < 30:
        places = np.geomspace(low, high, 4)[0:4]
        axes.set_yticks([float(f"{place:.2g}") for place in places])


def _run_axis(axes: Any, runs: pd.DataFrame, by: str) -> None:
    """At most six labels: dates, or the beginnings of commits."""
    shown = np.unique(np.linspace(0, len(runs) - 1, min(6, len(runs))).round().astype(int))
    texts = [
        runs.commit.iloc[i][:7] if by == "commit" else runs.started.iloc[i][5:10] for i in shown
    ]
    axes.set_xticks(shown, texts, fontsize=7, rotation=30)
