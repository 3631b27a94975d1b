"""Implementations are told apart by shape, or by a colour that every eye tells apart."""

from itertools import combinations

import numpy as np
import pytest

from samegrad.implementations.contract.registry import TABLE
from samegrad.reports.charts.chart import OTHERS, OTHERS_MARKER

# Linear RGB as it is seen without one kind of cones (Machado, Oliveira and Fernandes 2009).
EYES = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
WHITE = np.array([0.9505, 1.0, 1.0888])
LEAST = 10.0  # CIE 1976 distance; about 2 can just be seen side by side
PAGES = {"light": "#ffffff", "dark": "#15181c"}  # as in page.css
LEAST_CONTRAST = 3.0  # of marks (WCAG 2.2, 1.4.11)


def linear(colour: str) -> np.ndarray:
    """Linear RGB of #RRGGBB."""
    value = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def seen(colour: str, eye: str) -> np.ndarray:
    """In CIELAB, in which distances are those that are seen."""
    xyz = XYZ @ np.clip(np.array(EYES[eye]) @ linear(colour), 0, 1) / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: str, other: str) -> float:
    """The least of all eyes'."""
    return min(float(np.linalg.norm(seen(one, eye) - seen(other, eye))) for eye in EYES)


def contrast(one: str, other: str) -> float:
    """As WCAG defines it."""
    high, low = sorted((float(XYZ[1] @ linear(c)) for c in (one, other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


LOOKS = {name: (entry.colour, entry.marker) for name, entry in TABLE.items()} | {
    f"user's {number}": (colour, OTHERS_MARKER) for number, colour in enumerate(OTHERS)
}


def test_implementations_differ_in_shape_or_in_a_colour_that_every_eye_tells_apart() -> None:
    """All of the registry, and those of users."""
    alike = {
        (a, b): distance(LOOKS[a][0], LOOKS[b][0])
        for a, b in combinations(LOOKS, 2)
        if LOOKS[a][1] == LOOKS[b][1]
    }

    assert {} == {pair: value for pair, value in alike.items() if value < LEAST}


@pytest.mark.parametrize("page", PAGES)
def test_marks_stand_out_from_the_page(page: str) -> None:
    """In both themes."""
    told = {name: contrast(colour, PAGES[page]) for name, (colour, _) in LOOKS.items()}

    assert {} == {name: value for name, value in told.items() if value < LEAST_CONTRAST}


def test_measure_finds_what_eyes_without_a_kind_of_cones_confuse() -> None:
    """Red and green of one lightness; and yellow on white does not stand out."""
    assert (
        distance("#D40000", "#5A7A00")
        < LEAST
        < np.linalg.norm(seen("#D40000", "all cones") - seen("#5A7A00", "all cones"))
    )
    assert contrast("#E69F00", "#ffffff") < LEAST_CONTRAST
