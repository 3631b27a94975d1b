"""The chart of a step's time over versions."""

from matplotlib import pyplot as plt

from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts.chart import Chart, errors, seconds_axis, text
from samegrad.reports.data import versions
from samegrad.reports.data.report import Report

WIDTH, MOST_WIDTH = 0.5, 16.0  # inches for a version
SHORT = 8  # characters of a version that is written level
COLOURS, MARKS = ("#0072B2", "#D55E00", "#009E73"), "osD^"


def over_versions(report: Report) -> Chart | None:
    """Time of a step against the version, a panel for each network."""
    names = versions.named(report)
    rows = report.rows[report.rows.implementation.isin(names) & (report.rows.status == OK)]
    parts = list(versions.networks(rows))
    if not parts:
        return None
    called = versions.short(names)
    places = {name: place for place, name in enumerate(called)}
    width = min(MOST_WIDTH, max(6.0, WIDTH * len(called)))
    figure, all_axes = plt.subplots(
        len(parts), 1, figsize=(width, 1.2 + 2.1 * len(parts)), sharex=True, squeeze=False
    )
    for axes, (network, part) in zip(all_axes[:, 0], parts, strict=True):
        apart = part.implementation.map(versions.split)
        variables = apart.map(lambda pair: pair[1])
        for place, (own, rows) in enumerate(part.groupby(variables, sort=False)):
            x = apart[rows.index].map(lambda pair: places[pair[0]])
            # What has variables of its own is another setting of a version, no point of the line.
            look = {"linestyle": "none", "mfc": "none"} if own else {"linewidth": 1}
            axes.errorbar(x, rows.seconds, yerr=errors(rows, "seconds"), markersize=4, capsize=3,
                          color=COLOURS[place % len(COLOURS)], marker=MARKS[place % len(MARKS)],
                          label=text(f"with {own}") if own else None, **look)  # fmt: skip
        axes.set_title(text(network))
        axes.set_ylabel("time per step")
        axes.set_ylim(bottom=0, top=1.15 * part[["seconds", "seconds_high"]].max().max())
        axes.set_xlim(-0.5, len(called) - 0.5)
        seconds_axis(axes.yaxis)
    long = max(map(len, called.values())) > SHORT
    turned = {"rotation": 30, "ha": "right"} if long else {}
    last = all_axes[-1, 0]
    last.set_xticks(list(places.values()), [text(n) for n in called.values()], **turned)
    if not long:
        last.set_xlabel(text(f"version of {names[0].partition('==')[0]}"))
    if all_axes[0, 0].get_legend_handles_labels()[1]:
        all_axes[0, 0].legend(fontsize="small")
    figure.subplots_adjust(hspace=0.35)
    caption = (
        "Time of the same training step in each version; bars are 95 % intervals over processes "
        "that lived side by side. A version without a point has no number."
    )
    return Chart("time_over_versions", figure, caption)
