"""Hodgkin and Huxley's neurons in JAX: `lax.scan`, and jax.grad through it."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from samegrad.implementations.backends.jax_backend import JAX
from samegrad.implementations.contract.spiking import LINOID_NEAR, RATES, HHSpec, Rate

BACKEND = JAX


def curve(f: str, x: Array) -> Array:
    """f(x)."""
    if f == "exp":
        return jnp.exp(x)
    if f == "logistic":
        return jax.nn.sigmoid(x)
    near = jnp.abs(x) < LINOID_NEAR
    far = jnp.where(near, 1.0, x)
    return jnp.where(near, 1 + x / 2 + x**2 / 12 - x**4 / 720, far / -jnp.expm1(-far))


def rate(r: Rate, V: Array) -> Array:
    """One of the rates of n, m and h."""
    return r.scale * curve(r.f, (V - r.middle) / r.width)


def slopes(spec: HHSpec, params: Array, y: Array, J: Array) -> Array:
    """dy/dt, (neurons, 4)."""
    V, n, m, h = y.T
    g_L, g_Na, g_K = params
    leak, sodium = g_L * (V - spec.V_L), g_Na * m**3 * h * (V - spec.V_Na)
    dV = (J - leak - sodium - g_K * n**4 * (V - spec.V_K)) / spec.C  # H1
    gates = zip((n, m, h), RATES, strict=True)
    return jnp.stack([dV, *(rate(a, V) * (1 - x) - rate(b, V) * x for x, (a, b) in gates)], 1)


@partial(jax.jit, static_argnums=0)
def step(spec: HHSpec, params: Array, y: Array, J: Array) -> tuple[Array, Array]:
    """State (neurons, 4) after one step, and V."""

    def stage(k: Array, reach: Array) -> tuple[Array, Array]:
        k = slopes(spec, params, y + reach * spec.dt * k, J)  # H2
        return k, k

    # Compiled once instead of four times, in a third of the time.
    _, (k1, k2, k3, k4) = lax.scan(stage, jnp.zeros_like(y), jnp.array([0, 0.5, 0.5, 1], y.dtype))
    y = y + spec.dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)  # H3
    return y, y[:, 0]


@partial(jax.jit, static_argnums=0)
def simulate(spec: HHSpec, params: Array, y: Array, J: Array) -> tuple[Array, Array]:
    """State after a step for each row of J, and V (steps, neurons)."""
    return lax.scan(partial(step, spec, params), y, J)


# A1-A3: jax.value_and_grad derives these from simulate


@partial(jax.jit, static_argnums=0)
def loss_and_grad(
    spec: HHSpec, params: Array, y: Array, J: Array, target: Array
) -> tuple[Array, tuple[Array, Array]]:
    """The loss of a voltage trace, and its gradient with respect to conductances and current."""

    def loss(params: Array, J: Array) -> Array:
        _, V = simulate(spec, params, y, J)
        return ((V - target) ** 2).sum() / (2 * V.size)  # L3

    return jax.value_and_grad(loss, argnums=(0, 1))(params, J)
