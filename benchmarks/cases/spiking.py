"""What a population of spiking neurons is given, and where each block of it starts.

All numbers are multiples of UNIT, and dt/tau_m and dt/tau_s are powers of two. So a sum over
synapses is exact in any order, a product with dt/tau rounds nothing (with or without a fused
multiply-add), and what is left, one sum of two numbers after another, IEEE 754 rounds the same
everywhere: right implementations agree in every bit, however long they run.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.benchmarks.cases.draws import Draw
from samegrad.benchmarks.cases.workload import SpikingWorkload
from samegrad.implementations.contract.spiking import LIFSpec

Array = Any
State = tuple[Array, Array, Array]
UNIT = 2.0**-8
CHUNKS = 4  # of currents, which the calls of a block take in turn
# Below and above the threshold: some 30 spikes a second. Kicks of a spike sum up to as much as the
# currents vary, whatever the number of neurons.
CURRENTS, KICK = (0.5, 2.0), 2.0


@dataclass(frozen=True)
class Population:
    """What is placed.

    Attributes:
        W: (neurons, neurons).
        J: (CHUNKS, steps, neurons), the currents of a call each.
    """

    W: Array
    J: Array

    def hashed(self) -> dict[str, Array]:
        """What its SHA-256 is of."""
        return vars(self)


def population(workload: SpikingWorkload, seed: int) -> Population:
    """Random weights and currents."""
    neurons, steps = workload.spec.neurons, workload.batch_size
    random = np.random.default_rng([seed, neurons, steps])
    W = KICK / neurons**0.5 * random.standard_normal((neurons, neurons))
    J = random.uniform(*CURRENTS, (CHUNKS, steps, neurons))
    return Population(*(_dyadic(array, workload.spec) for array in (W, J)))


def start(spec: LIFSpec, draw: Draw) -> State:
    """v, s and steps of refractory time that are left, as drawn for a block."""
    random = draw.random(0)
    v, s = random.uniform(0, 1 - UNIT, spec.neurons), random.uniform(-1, 1, spec.neurons)
    wait = random.integers(0, int(spec.refractory) + 1, spec.neurons)
    return _dyadic(v, spec), _dyadic(s, spec), wait.astype(spec.dtype)


def _dyadic(array: Array, spec: LIFSpec) -> Array:
    return (np.round(array / UNIT) * UNIT).astype(spec.dtype)
