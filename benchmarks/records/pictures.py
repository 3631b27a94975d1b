"""The form of the arrays that the figures of trained networks are drawn from."""

from collections.abc import Callable
from typing import Any

Number = Callable[[Any], bool]
# (how the task's name begins, what is shown) -> array -> its dimensions: a number, or a word that
# stands for the same number everywhere in the picture.
PICTURES = {
    ("line_length", "activations"): dict.fromkeys(("before", "during", "after"), "classes units"),
    **{
        (task, "regions"): {
            "x": "columns", "y": "rows", "value": "rows columns", "points": "points 2",
            "labels": "points",
        }
        for task in ("xor", "discrete_mapping")
    },
    ("sine", "curve"): dict.fromkeys(("x", "true", "fitted"), "places"),
    ("approximation", "curve"): {
        "width": "", "staircase_rmse": "",
        **dict.fromkeys(("x", "true", "fitted", "staircase"), "places"),
    },
    ("overfit", "curve"): {"x": "places", "fitted": "places", "points": "points 2"},
    ("mnist", "confusion"): {
        "counts": "10 10", "images": "images 784", "true": "images", "read": "images",
    },
}  # fmt: skip
LEAST = {"rows": 2, "columns": 2, "images": 0}  # of a dimension; of others 1
LONGEST = 2000  # of any dimension: more than a figure has points
CLASSES = (0, 1, 2)  # that regions have colours for


def _fits(value: Any, dimensions: list[str], sizes: dict[str, int], number: Number) -> bool:
    """Whether nested lists are numbers in these dimensions; the sizes that are known grow."""
    if not dimensions:
        return number(value)
    if not isinstance(value, list):
        return False
    first, *rest = dimensions
    size = sizes.setdefault(first, int(first) if first.isdigit() else len(value))
    if len(value) != size or not LEAST.get(first, 1) <= size <= LONGEST:
        return False
    return all(_fits(one, rest, sizes, number) for one in value)


def check(record: dict[str, Any], number: Number) -> None:
    """Raise ValueError unless a picture has the arrays that its chart draws; others are kept.

    Args:
        number: whether a value is a number of a journal.
    """
    arrays, sizes = record["arrays"], dict[str, int]()
    for (task, name), shapes in PICTURES.items():
        if name != record["name"] or not record["task"].startswith(task):
            continue
        for array, dimensions in shapes.items():
            if not _fits(arrays.get(array), dimensions.split(), sizes, number):
                shape = " x ".join(dimensions.split()) or "a single one"
                raise ValueError(f"picture: {array} must be numbers: {shape}")
        if not all(label in CLASSES for label in arrays.get("labels", ())):
            raise ValueError(f"picture: labels must be of {CLASSES}")
        if not arrays.get("width", 1) > 0:
            raise ValueError("picture: width must be above 0")
