"""What a constant between a gradient and the slopes is made of: batch, outputs, 2, a sign."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

Array = Any
NEAR = 1e-5  # relative: two constants are one
PART = 0.01  # of a difference, that a multiple may leave: of a small one anything leaves little
POWERS = (0, 1, -1, 2, -2)


def named(constant: float, sizes: Mapping[str, int], near: float = NEAR) -> str:
    """The simplest product of powers of 2 and of sizes that a constant is, or "".

    Args:
        constant: not 0.
        sizes: such as {"batch size": 32, "outputs": 10}, each above 1.
        near: relative, how near two constants are one.
    """
    sign = "-" if constant < 0 else ""
    found = []
    for powers in product(POWERS, repeat=len(sizes) + 1):
        used = sum(map(abs, powers))
        if not 0 <= used <= 3:
            continue
        value = Fraction(1)
        for base, power in zip((2, *sizes.values()), powers, strict=True):
            value *= Fraction(base) ** power
        if abs(float(value) - abs(constant)) <= near * abs(constant):
            found.append((used, powers[0] != 0, powers))
    if not found:
        return ""
    powers = min(found)[2]
    above: list[str] = []
    below: list[str] = []
    for text, power in zip(("2", *sizes), powers, strict=True):
        whole = text if abs(power) < 2 else f"{text}^{abs(power)}"
        if power:
            (above if power > 0 else below).append(whole)
    made = " * ".join(above) or "1"
    return sign + (f"{made} / ({' * '.join(below)})" if len(below) > 1 else made + _over(below))


def value(text: str, sizes: Mapping[str, int]) -> float:
    """What a product that `named` has written is with these sizes."""

    def product_of(side: str) -> float:
        found = 1.0
        for factor in side.strip(" ()").split(" * "):
            base, _, power = factor.partition("^")
            found *= (sizes[base] if base in sizes else int(base)) ** int(power or 1)
        return found

    above, over, below = text.removeprefix("-").partition("/")
    size = product_of(above) / (product_of(below) if over else 1.0)
    return -size if text.startswith("-") else size


def multiple(off: Array, of: Array, most: float) -> float | None:
    """The number of times that a difference is an array, or None.

    Args:
        most: that may be left of it.
    """
    factor = float(np.sum(off * of)) / max(float(np.sum(of**2)), 1e-300)
    left = np.max(np.abs(off - factor * of))
    return factor if left <= min(most, PART * np.max(np.abs(off))) else None


def _over(below: list[str]) -> str:
    return f"/{below[0]}" if below else ""


def sizes(shapes: Sequence[tuple[int, ...]], biases: Sequence[int]) -> dict[str, int]:
    """What constants may be made of: sizes above 2, by name.

    Args:
        shapes: of the data.
        biases: sizes of the parameters with one dimension.
    """
    shapes = [shape for shape in shapes if shape]
    found: dict[str, int] = {}
    if len(shapes) > 1:
        common = [n for n in shapes[0] if n in shapes[-1]]
        batch = (common or [shapes[0][0]])[0]
        found["batch size"] = batch
        outputs = [n for n in shapes[-1] if n != batch]
        found["outputs"] = outputs[0] if outputs else 1
    elif shapes:
        found["batch size"] = shapes[0][0]
    if found.get("outputs", 1) == 1 and biases:
        found["outputs"] = biases[-1]
    return {name: n for name, n in found.items() if n > 2}


def same(a: float, b: float, near: float = NEAR) -> bool:
    """Whether two constants are one."""
    return abs(a - b) <= near * max(abs(a), abs(b))
