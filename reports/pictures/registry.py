"""Which pictures there are; each is a function without arguments that gives a chart.

One more is a line here, and that function in a module of this folder.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from samegrad.implementations.contract.commands import did_you_mean
from samegrad.reports.charts.chart import save, style

ALL = "all"


class Picture(NamedTuple):
    """Where a picture is drawn, and what it shows."""

    module: str
    shows: str


# name, of the file and of the function
PICTURES = {
    "tuning_curve": Picture("spiking", "rate of an integrate-and-fire neuron against its drive"),
    "synaptic_filters": Picture("spiking", "currents after a spike, and of a train of spikes"),
    "spike_raster": Picture("spiking", "spikes of 100 connected neurons"),
    "gates": Picture("spiking", "n, m, h of Hodgkin and Huxley: where they rest, how fast"),
    "membrane_voltage": Picture("spiking", "Hodgkin and Huxley's neuron under a staircase"),
    "hidden_activations": Picture("learning", "hidden units and outputs through training"),
    "network_graph": Picture("learning", "the network as a graph, with its activations"),
    "xor": Picture("plane", "XOR by two lines, in the hidden plane, and learned"),
    "decision_regions": Picture("plane", "regions of two classes, and of five"),
    "universal_approximation": Picture("functions", "steep sigmoid, step, bump, staircase"),
    "cross_entropy": Picture("functions", "outputs of low and of high cross entropy"),
    "cost_of_ways": Picture("functions", "what a gradient costs by each way to differentiate"),
    "initialisers": Picture("learning", "losses over the epochs from eight initialisers"),
    "overfitting": Picture("learning", "held-out loss that rises; decay and dropout"),
    "weight_decay": Picture("learning", "Adam with decay in the loss, and decoupled"),
}


def chosen(names: Iterable[str]) -> list[str]:
    """The pictures that are named, or all of them.

    Raises:
        ValueError: there is no such picture.
    """
    known: dict[str, None] = {}
    for name in names:
        if name not in (*PICTURES, ALL):
            raise ValueError(
                f"picture {name!r:.60} is not known; accepted: {', '.join(PICTURES)}, {ALL}"
                f"{did_you_mean(name, PICTURES)}"
            )
        known |= dict.fromkeys(PICTURES if name == ALL else [name])
    return list(known)


def draw(name: str, directory: Path) -> str:
    """Write a picture as PNG and SVG, and its points as CSV; returns its caption."""
    module = importlib.import_module(f"samegrad.reports.pictures.{PICTURES[name].module}")
    directory.mkdir(parents=True, exist_ok=True)
    with style():
        chart = getattr(module, name)()
        save([chart], directory)
    return str(chart.caption)
