"""A comparison of two runs as text for a terminal, and as Markdown for a pull request."""

import math
from statistics import geometric_mean

import pandas as pd

from samegrad.reports.data.comparison import RunComparison, not_compared, profile
from samegrad.reports.data.values import duration
from samegrad.reports.document.page import cell, markdown_table


def sentences(comparison: RunComparison) -> list[str]:
    """The result in sentences."""
    rows = comparison.compared
    verdicts = rows.verdict.value_counts()
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "none"
    lines = [f"{len(rows)} of {len(comparison.rows)} rows can be compared: {counts}."]
    if rows.empty:
        return lines
    mean = geometric_mean(rows.ratio)
    lines.append(f"Geometric mean of the ratios, new over old (below 1 is faster): {mean:.3f}.")
    if comparison.cpu_change is not None and comparison.cpu_changed:
        change = comparison.cpu_change
        lines.append(
            f"The machine itself was {100 * abs(1 / change - 1):.0f} % "
            f"{'faster' if change < 1 else 'slower'} in the new run (a fixed piece of work, timed "
            "throughout both runs): intervals and verdicts of CPU rows allow for it."
        )
    if not comparison.certain:
        lines.append("Fewer than 5 processes in a run: no intervals, so nothing is certain.")
    return lines


def text(comparison: RunComparison) -> str:
    """For a terminal."""
    old, new = comparison.old["run"], comparison.new["run"]
    lines = [f"{old} (old) against {new} (new)", *sentences(comparison)]
    for row in comparison.compared.itertuples():
        span = f"({row.low:.3f} to {row.high:.3f})" if math.isfinite(row.low) else "(no interval)"
        mark = f"  [{row.mark}]" if row.mark else ""
        lines.append(f"  {row.verdict:10} {row.ratio:6.3f}  {span:18}  {row.case}{mark}")
    if len(comparison.compared):
        lines += ["Share of cases within a factor of the better run:"]
        table = profile(comparison).to_string(index=False)
        lines += ["  " + line for line in table.splitlines()]
    return "\n".join([*lines, *(f"  not compared: {line}" for line in not_compared(comparison))])


def markdown(comparison: RunComparison) -> str:
    """For a pull request: what became slower first, what did not change folded."""
    rows = comparison.compared
    table = pd.DataFrame(
        {
            "verdict": rows.verdict,
            "ratio": rows.ratio.map("{:.3f}".format),
            "95 % interval": [
                f"{low:.3f} to {high:.3f}" if math.isfinite(low) else ""
                for low, high in zip(rows.low, rows.high, strict=True)
            ],
            "old": rows.old.map(duration),
            "new": rows.new.map(duration),
            "case": rows.case,
            "mark": rows.mark,
        }
    )
    slower, rest = table[rows.verdict == "SLOWER"], table[rows.verdict != "SLOWER"]
    blocks = [f"## {cell(comparison.old['run'])} against {cell(comparison.new['run'])}"]
    blocks += map(cell, sentences(comparison))
    if len(slower):
        blocks += [f"### Slower: {len(slower)}", markdown_table(slower)]
    if len(rest):
        title = f"Not slower, or not certainly: {len(rest)}"
        folded = f"<details><summary>{title}</summary>\n\n{markdown_table(rest)}\n\n</details>"
        blocks.append(folded)
    if len(rows):
        blocks += [
            "Share of cases within a factor of the better run:",
            markdown_table(profile(comparison)),
        ]
    blocks += [f"- not compared: {cell(line)}" for line in not_compared(comparison)]
    return "\n\n".join(blocks)
