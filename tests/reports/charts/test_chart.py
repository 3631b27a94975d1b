"""The data of a figure is what it shows."""

from matplotlib import pyplot as plt

from samegrad.reports.charts import chart


def test_figure_data_is_what_is_drawn() -> None:
    """Lines, error bars, bars on an axis of names, an image; not the lines at the edge."""
    figure, (a, b, c) = plt.subplots(1, 3)
    a.errorbar([1, 2], [3, 4], yerr=[[1, 1], [2, 2]], label="one")
    a.plot([1.5], [0.9], "x", transform=a.get_xaxis_transform())
    b.barh([0, 1], [5, 6], label="two")
    b.set_yticks([0, 1], ["first", "second"])
    c.imshow([[1, 2], [3, 4]])
    a.set_title("A")

    points = chart.data(figure)
    plt.close(figure)

    one = points[points.panel == "A"]
    assert [[1, 3, 2, 5], [2, 4, 3, 6]] == one[["x", "y", "low", "high"]].to_numpy().tolist()
    two = points[points.series == "two"]
    assert [("first", 5), ("second", 6)] == list(zip(two.y, two.x, strict=True))
    assert [1, 2, 3, 4] == points[points.series == "image"].value.tolist()


def test_figure_data_of_regions_and_points() -> None:
    """The cells of a mesh by their centres, the points of a cloud; not the colour bar."""
    figure, axes = plt.subplots()
    mesh = axes.pcolormesh([0, 1], [0, 1], [[1, 2], [3, 4]])
    figure.colorbar(mesh)
    axes.scatter([0.5], [0.25], label="class 1")

    points = chart.data(figure)
    plt.close(figure)

    cells = points[points.series == "image"][["x", "y", "value"]]
    assert [[0, 0, 1], [1, 0, 2], [0, 1, 3], [1, 1, 4]] == cells.to_numpy().tolist()
    assert [0.5, 0.25] == points[points.series == "class 1"][["x", "y"]].to_numpy()[0].tolist()
    assert 5 == len(points)


def test_figure_data_of_dates_at_some_places_are_numbers() -> None:
    """A place without a name of its own is not given its neighbour's; a log axis has numbers."""
    figure, (a, b) = plt.subplots(1, 2)
    a.plot([0, 1, 2, 3], [1, 2, 3, 4])
    a.set_xticks([0, 3], ["Monday", "Thursday"])
    b.bar(["p", "q"], [10, 100])
    b.set_yscale("log")

    points = chart.data(figure)
    plt.close(figure)

    assert [0, 1, 2, 3, "p", "q"] == points.x.tolist()
    assert [10, 100] == points.y.tolist()[4:]


def test_name_that_begins_with_an_underscore_is_in_the_legend() -> None:
    """Matplotlib would leave it out, and warn."""
    figure, axes = plt.subplots()
    axes.plot([1], [1], label=chart.text("_mine"))
    chart.legend(axes)
    shown = [entry.get_text().strip() for entry in axes.get_legend().get_texts()]
    plt.close(figure)

    assert ["_mine"] == shown
