"""For reports whose figures nobody looks at: blank ones, as drawing takes most of the time."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

NO_FIGURES = ("-p", "tests.helpers.no_figures")  # options of pytest, in the root of the checkout


def save(charts: Iterable[Any], directory: Path) -> None:
    """The files of each chart: the data as always, a picture of one point."""
    from matplotlib import pyplot as plt
    from PIL import Image

    from samegrad.implementations.contract.files import replaced
    from samegrad.reports.charts.chart import data
    from samegrad.reports.data.files import to_csv

    for one in charts:
        with replaced(directory / f"{one.name}.png") as beside:
            Image.new("1", (1, 1)).save(beside, "png")
        with replaced(directory / f"{one.name}.svg") as beside:
            beside.write_text("<svg/>\n")
        with replaced(directory / f"{one.name}.csv") as beside:
            to_csv(data(one.figure), beside)
        plt.close(one.figure)


@pytest.hookimpl(tryfirst=True)
def pytest_samegrad_report() -> None:
    """Before a run's report is made; whoever comes next makes it."""
    from samegrad.reports.charts import chart

    chart.save = save
