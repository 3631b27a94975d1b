"""Spiking neurons: rates, filters, spikes, gates and voltages."""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from samegrad.implementations.contract import spiking
from samegrad.implementations.contract.equations import LIF_WIDTH
from samegrad.implementations.contract.spiking import CONDUCTANCES, HHSpec, LIFSpec
from samegrad.reports.charts.chart import PALETTE, Chart, plain

ORANGE, BLUE, RED, GREEN, PINK = PALETTE[:5]
SIZE = (8.0, 4.5)  # inches, the proportions of a slide
GATES = ("n", "m", "h")
GATE_COLOURS = (BLUE, RED, GREEN)


def spikes(spec: LIFSpec, W: Any, J: Any) -> Any:
    """Spikes (steps, neurons), from rest."""
    return spiking.load("lif", "numpy").simulate(spec, W, spiking.start(spec), J)[1]


def tuning_curve() -> Chart:
    """The formula, counted spikes, and the smooth form that networks use as an activation."""
    figure, axes = plt.subplots(figsize=SIZE)
    v_in = np.linspace(0, 4, 401)
    drives = np.linspace(0.25, 4, 16)
    for dt, marker, colour in ((1e-4, "o", BLUE), (2e-3, "s", RED)):
        spec, steps = LIFSpec(len(drives), dt=dt), round(2 / dt)
        J = np.repeat(drives[None], steps, axis=0)
        rates = spikes(spec, np.zeros((len(drives),) * 2), J).sum(axis=0) / 2
        label = f"counted in 2 s, dt = {1000 * dt:g} ms"
        axes.plot(drives, rates, marker, color=colour, label=label, fillstyle="none")
    spec = LIFSpec(1)
    axes.plot(v_in, spiking.rate(v_in, spec), color="black", zorder=0, label="formula")
    soft = LIF_WIDTH * np.logaddexp(0, (v_in - 1) / LIF_WIDTH)
    smooth = 1 / (spec.tau_ref + spec.tau_m * np.log1p(1 / soft))
    axes.plot(v_in, smooth, "--", color=ORANGE, zorder=0, label="softened (activation lif_rate)")
    axes.set_xlabel("drive v_in, in units of the threshold")
    axes.set_ylabel("spikes per second")
    axes.legend(frameon=False)
    axes.set_title("A neuron's rate against its drive")
    caption = (
        "Leaky integrate-and-fire, tau_m = 20 ms, tau_ref = 2 ms: 1 / (tau_ref - tau_m ln(1 - "
        "1/v_in)), and spikes counted in simulations. With coarse steps the time between two "
        "spikes is a whole number of them, and Euler's steps reach the threshold early."
    )
    return Chart("tuning_curve", figure, caption)


def synaptic_filters() -> Chart:
    """What a spike becomes: filters of unit area, and a train of spikes through two of them."""
    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE, width_ratios=(1, 1.4))
    dt, steps = 1e-4, 4000
    milliseconds = 1000 * dt * np.arange(steps)
    for n, colour in enumerate((ORANGE, BLUE, GREEN)):
        kernel = spiking.kernel(LIFSpec(1, dt=dt, tau_s=0.005), n, 500)
        left.plot(milliseconds[:500:5], kernel[::5], color=colour, label=f"n = {n}")
    left.set_title("h(t) = k t^n exp(-t / 5 ms)")
    left.set_xlabel("ms after a spike")
    left.set_ylabel("1/s (area 1)")
    left.legend(frameon=False)
    train = np.zeros((steps, 1))
    train[[300, 500, 620, 1500, 1560, 1620, 1680, 2600]] = 1
    convolve = spiking.load("lif", "numpy").convolve
    for tau_s, label, colour in (
        (0.005, "fast, as AMPA's: 5 ms", RED),
        (0.05, "slow, as NMDA's: 50 ms", BLUE),
    ):
        current = convolve(spiking.kernel(LIFSpec(1, dt=dt, tau_s=tau_s), 1, steps), train)[:, 0]
        right.plot(milliseconds[::10], current[::10], color=colour, label=label)
    times = milliseconds[np.flatnonzero(train)]
    right.vlines(times, -14, -4, color="black", linewidth=1.2)
    right.set_title("Spikes (below) and their currents, n = 1")
    right.set_xlabel("ms")
    right.set_ylim(-22, 215)
    right.legend(frameon=False)
    figure.tight_layout()
    caption = (
        "Post-synaptic currents: each spike adds a filter of unit area. A larger n delays it, a "
        "longer tau_s spreads it: slow currents add up where fast ones have gone."
    )
    return Chart("synaptic_filters", figure, caption)


def spike_raster() -> Chart:
    """A population: its spikes, and how many of them fall into each 5 ms."""
    random, spec, steps = np.random.default_rng(3), LIFSpec(100), 5000
    W = random.standard_normal((100, 100)) * 0.3
    drives = np.sort(random.uniform(0.7, 2.0, 100))
    shown = spikes(spec, W, np.repeat(drives[None], steps, axis=0))
    figure, (raster, rate) = plt.subplots(2, 1, figsize=SIZE, sharex=True, height_ratios=(3, 1))
    when, who = np.nonzero(shown)
    raster.plot(1000 * spec.dt * when, who, "|", color=BLUE, markersize=3, label="spikes")
    raster.set_ylabel("neuron, by its drive")
    raster.set_title("Spikes of 100 neurons, each connected to each")
    counts = shown.sum(axis=1).reshape(-1, 50).sum(axis=1)
    ends = np.append(counts, counts[-1]) / 0.005 / 100  # a step lasts up to the next one
    rate.step(5 * np.arange(len(ends)), ends, where="post", color=RED)
    rate.set_ylabel("spikes/s\neach")
    rate.set_xlabel("ms")
    rate.set_ylim(0)
    figure.align_ylabels()
    figure.tight_layout()
    caption = (
        "A population of leaky integrate-and-fire neurons with random weights of either sign; "
        "drives from 0.7 to 2 thresholds, neurons in their order. Below: the population's rate."
    )
    return Chart("spike_raster", figure, caption)


def gates() -> Chart:
    """Where n, m and h go at each voltage, and how fast."""
    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE, sharex=True)
    V = np.linspace(-100, 50, 601)
    for name, colour, (a, b) in zip(GATES, GATE_COLOURS, spiking.rates(V), strict=True):
        left.plot(V, a / (a + b), color=colour, label=f"{name}_inf")
        right.plot(V, 1 / (a + b), color=colour, label=f"tau_{name}")
    left.set_title("Steady values")
    right.set_title("Time constants")
    right.set_yscale("log")
    plain(right.yaxis)
    right.set_ylabel("ms")
    for axes in (left, right):
        axes.axvline(-65, color="#777777", linewidth=1, linestyle=":")
        axes.set_xlabel("V, mV (dotted: rest)")
        axes.legend(frameon=False)
    figure.tight_layout()
    caption = (
        "Hodgkin and Huxley's gates: m is more than ten times as fast as the others, so sodium's "
        "channels open before h closes them and n opens potassium's. That is a spike."
    )
    return Chart("gates", figure, caption)


def membrane_voltage() -> Chart:
    """Voltage and gates of one neuron, whose current rises in steps."""
    spec, levels = HHSpec(), (0.0, 2.0, 4.0, 6.0, 8.0, 12.0, 20.0)
    J = np.repeat(levels, round(40 / spec.dt))
    milliseconds = spec.dt * (1 + np.arange(len(J)))
    scalar, y, states = spiking.load("hh", "scalar"), spiking.rest(1).tolist(), []
    for J_t in J:  # for a single neuron loops take a tenth of NumPy's time
        y, _ = scalar.step(spec, CONDUCTANCES, y, [float(J_t)])
        states.append(y[0])
    drawn = slice(None, None, 10)  # 0.1 ms
    V, *x = np.array(states)[drawn].T
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, figsize=SIZE, sharex=True, height_ratios=(3, 1.6, 1)
    )
    top.plot(milliseconds[drawn], V, color="black", linewidth=1)
    top.set_ylabel("V, mV")
    top.set_title("A neuron of Hodgkin and Huxley under a staircase of currents")
    for name, colour, values in zip(GATES, GATE_COLOURS, x, strict=True):
        middle.plot(milliseconds[drawn], values, color=colour, linewidth=1, label=name)
    middle.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    middle.set_ylabel("gates")
    bottom.plot(milliseconds[drawn], J[drawn], color=PINK)
    bottom.set_ylabel("J")
    bottom.set_xlabel("ms; J in uA/cm^2")
    figure.align_ylabels()
    figure.tight_layout()
    caption = (
        "The original constants at a resting potential of -65 mV. A weak current gives one spike "
        "or none, a strong one a train, whose rate rises little with it; spikes grow smaller as "
        "sodium's channels find less time to recover."
    )
    return Chart("membrane_voltage", figure, caption)
