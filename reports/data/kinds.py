"""Of which kinds of workload a report has rows, and what the numbers of each include."""

import pandas as pd

from samegrad.benchmarks.cases.workload import SILENT, SpikingWorkload

OF_NETWORKS = (
    "A time is one call: forward, loss and gradient, training step (loss, gradient, update), or "
    "an epoch (all steps of one pass over the examples, the loop included).",
    "Every case was checked first, in the same process and on the timed functions, against a "
    "float64 reference: loss and every gradient (and the outputs of a forward pass), or loss and "
    "one updated step, at a learning rate at which it shows every gradient. A case that "
    "disagrees has no time.",
)
RATES_OF_NETWORKS = (
    "GFLOP/s count matrix products only: 2 operations per weight and example forward, twice "
    "that backward, less the first layer's input gradient. The ceiling is the most that was seen "
    "to be possible on the device, with as many threads and in the same arithmetic, before, "
    "between and after the cases: on a CPU a loop of multiply-adds that stays in the registers, "
    "and the best matrix product of any library.",
    "Split: matrix products of a call alone, by the same library in the same process, less what "
    "calling it costs; dispatch and Python, the same call with every layer of width 1 (on a GPU, "
    "which computes meanwhile, what of it is longer than the products); the rest.",
)
OF_NEURONS = (
    "A time of spiking neurons is one call of `simulate`: as many steps of the population as the "
    "batch says, one after another. Examples/s are steps/s.",
    "Every spike and the last state were compared with a reference, bit by bit, of a first call "
    "and of timed blocks: in these numbers no sum is rounded. A case that disagrees has no time.",
)
RATES_OF_NEURONS = (
    f"GFLOP/s of spiking neurons count sums over the synapses of those that fire, one of {SILENT} "
    "in a step, and ten operations of each neuron: who multiplies with all weights does more.",
)


def of_kinds(rows: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a time of each kind is, and a rate; without rows, of networks."""
    neurons = rows.operation.isin(SpikingWorkload.operations)
    times, rates = tuple[str, ...](), tuple[str, ...]()
    if neurons.empty or not neurons.all():
        times, rates = OF_NETWORKS, RATES_OF_NETWORKS
    if neurons.any():
        times, rates = times + OF_NEURONS, rates + RATES_OF_NEURONS
    return times, rates
