"""Leaky integrate-and-fire neurons in JAX: `lax.scan` makes one program of all steps."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from samegrad.implementations.backends.jax_backend import JAX
from samegrad.implementations.contract.spiking import LIFSpec

BACKEND = JAX
State = tuple[Array, Array, Array]


@jax.jit
def convolve(kernel: Array, spikes: Array) -> Array:
    """Currents (steps, neurons): the kernel after each spike."""
    one = lambda train: jnp.convolve(train, kernel)[: len(train)]  # noqa: E731 # S1
    return jax.vmap(one, in_axes=1, out_axes=1)(spikes)


def integrate(spec: LIFSpec, v: Array, wait: Array, v_in: Array) -> State:
    """v after a step, steps of refractory time that are left, and spikes, 0 or 1."""
    v = jnp.where(wait > 0, 0.0, v + spec.leak * (v_in - v))  # N2
    spikes = (v >= 1).astype(v.dtype)  # N3
    wait = jnp.maximum(wait - 1, spikes * spec.refractory)  # N3
    return v * (1 - spikes), wait, spikes  # N3


@partial(jax.jit, static_argnums=0)
def step(spec: LIFSpec, W: Array, state: State, J: Array) -> tuple[State, Array]:
    """State and spikes (neurons,) after one step."""
    v, s, wait = state
    v, wait, spikes = integrate(spec, v, wait, J + s)  # N1
    s = s - spec.decay * s + spikes @ W  # N4
    return (v, s, wait), spikes


@partial(jax.jit, static_argnums=0)
def simulate(spec: LIFSpec, W: Array, state: State, J: Array) -> tuple[State, Array]:
    """State after a step for each row of J, and spikes (steps, neurons)."""
    return lax.scan(partial(step, spec, W), state, J)
