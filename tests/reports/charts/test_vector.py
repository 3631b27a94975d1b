"""A chart in the page: text as text, no style, the theme's colours, and marks that speak."""

import re
from pathlib import Path

from matplotlib import pyplot as plt

from samegrad.reports.charts import chart, vector


def drawn(folder: Path) -> str:
    """A chart of two implementations, one with a hostile name."""
    figure, axes = plt.subplots()
    axes.errorbar([1e-3, 2e-3], [0, 1], xerr=[[1e-4] * 2] * 2, fmt="o", color="#3769A6", label="a")
    axes.plot([3e-3], [1], "D", color="#B64529", label="<b>&")
    axes.annotate("near", (1e-3, 0), color="#3769A6")
    axes.set_yticks([0, 1], ["small", "large"])
    chart.seconds_axis(axes.xaxis)
    chart.legend(axes)
    chart.save([chart.Chart("one", figure, "caption")], folder)
    return (folder / "one.svg").read_text("utf-8")


def test_marks_say_their_values(tmp_path: Path) -> None:
    """Name, place, and the interval; in the file, too."""
    svg = drawn(tmp_path)

    assert "<title>a: 1.00 ms (900 us to 1.10 ms), small</title>" in svg
    assert "<title>&lt;b&gt;&amp;: 3.00 ms, large</title>" in svg
    assert ">time" not in svg and ">small</text>" in svg


def test_page_has_it_without_styles_and_in_its_theme(tmp_path: Path) -> None:
    """Marks have their implementation's class; words are in the page's own colour."""
    classes = {"#3769a6": "i0", "#b64529": "i1"}

    inline = vector.inline(drawn(tmp_path), "one", classes, 'what "it" shows', 2.0)

    assert inline.startswith("<svg ") and "http:" not in inline
    assert not re.search(r" style=|<style|<metadata|#000000|#ffffff", inline)
    assert 'aria-label="what &quot;it&quot; shows"' in inline
    assert re.search(r'<use [^>]*class="i0"', inline) and 'class="i1"' in inline
    (near,) = re.findall(r"<text([^>]*)>near", inline)
    assert 'fill="currentColor"' in near and 'class="i0"' in near
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', inline))
    assert used and used == set(re.findall(r' id="([^"]+)"', inline))


def test_mark_outside_of_the_figure_misleads_no_title() -> None:
    """As many texts as marks, or none."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><g id="marks0"><use/><use/></g></svg>'

    assert "<title>" not in vector.with_titles(svg, {"marks0": ["only one"]})
    assert 2 == vector.with_titles(svg, {"marks0": ["one", "two"]}).count("<title>")
