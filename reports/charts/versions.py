"""The chart of a step's time over versions."""

from matplotlib import pyplot as plt

from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts.chart import Chart, errors, seconds_axis, text
from samegrad.reports.data import versions
from samegrad.reports.data.report import Report

WIDTH, MOST_WIDTH = 0.5, 16.0  # inches for a version


def over_versions(report: Report) -> Chart | None:
    """Time of a step against the version, a panel for each network."""
    names = versions.named(report)
    rows = report.rows[report.rows.implementation.isin(names) & (report.rows.status == OK)]
    parts = list(versions.networks(rows))
    if not parts:
        return None
    width = min(MOST_WIDTH, max(6.0, WIDTH * len(names)))
    figure, all_axes = plt.subplots(
        len(parts), 1, figsize=(width, 1.2 + 2.1 * len(parts)), sharex=True, squeeze=False
    )
    places = {name: place for place, name in enumerate(names)}
    for axes, (network, part) in zip(all_axes[:, 0], parts, strict=True):
        x = part.implementation.map(places)
        look = {"color": "#0072B2", "marker": "o", "markersize": 4, "capsize": 3}
        axes.errorbar(x, part.seconds, yerr=errors(part, "seconds"), linewidth=1, **look)
        axes.set_title(text(network))
        axes.set_ylabel("time per step")
        axes.set_ylim(bottom=0, top=1.15 * part[["seconds", "seconds_high"]].max().max())
        axes.set_xlim(-0.5, len(names) - 0.5)
        seconds_axis(axes.yaxis)
    last = all_axes[-1, 0]
    last.set_xticks(list(places.values()), [text(n) for n in names], rotation=30, ha="right")
    figure.subplots_adjust(hspace=0.35)
    caption = (
        "Time of the same training step in each version; bars are 95 % intervals over processes "
        "that lived side by side. A version without a point has no number."
    )
    return Chart("time_over_versions", figure, caption)
