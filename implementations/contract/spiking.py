"""Models of spiking neurons: their equations, what each is told, and which files compute them.

A line that computes an equation ends with its tag, as in the networks. One step of time dt of a
population of leaky integrate-and-fire neurons (`lif_*.py`), whose threshold is 1:

    N1  v_in = J + s                                            what drives a neuron
    N2  v <- v + dt/tau_m (v_in - v); 0 while it is refractory  tau_m dv/dt = v_in - v
    N3  a spike where v >= 1; then v <- 0, for tau_ref
    N4  s <- s - dt/tau_s s + spikes W                          tau_s ds/dt = -s

A spike of neuron j adds w_ij / tau_s to s_i; that is W[j, i], a row for each neuron that fires, so
that neurons are columns as in `X @ W`. The same current, as a filter of unit area over each spike
train (n = 0 is N4's):

    S1  s(t) = sum over spikes of h(t - t_spike),  h(t) = t^n exp(-t / tau_s) / (n! tau_s^(n + 1))

Hodgkin and Huxley's neurons (`hh_*.py`), in mV, ms, uA/cm^2 and mS/cm^2; x is n, m or h:

    H1  C dV/dt = J - g_L (V - V_L) - g_Na m^3 h (V - V_Na) - g_K n^4 (V - V_K)
    H2  dx/dt = alpha_x(V) (1 - x) - beta_x(V) x = (x_inf - x) / tau_x,
        x_inf = alpha_x / (alpha_x + beta_x),  tau_x = 1 / (alpha_x + beta_x)
    H3  y <- y + dt/6 (k1 + 2 k2 + 2 k3 + k4)    Runge and Kutta's step; J is constant within it
    L3  loss = 1/(2 steps neurons) sum of (V - target)^2
    A1  H3 backwards: what each k adds to the slopes of y, J and the conductances
    A2  H1 backwards, A3 H2 backwards

Sources: H1, H2 Hodgkin and Huxley 1952, its voltages with today's sign and a resting potential of
-65 mV (Gerstner et al., Neuronal Dynamics, 2.2); the rest is common.

Every file defines `step(spec, params, state, J)`, which returns the next state and what it shows
(spikes, or V), and `simulate`, which does so for each row of J and stacks what was shown.
"""

import importlib
import math
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from samegrad.implementations.contract.equations import T_REF, TAU
from samegrad.implementations.contract.spec import DType

IDIOMS = ("scalar", "numpy", "torch", "jax")
MODELS = ("lif", "hh")
MOST = 10**15  # neurons, seconds; with more, a number of operations is no number of anything


@dataclass(frozen=True)  # hashable, so that it can be a static argument under jit
class LIFSpec:
    """Leaky integrate-and-fire neurons; times in seconds.

    Attributes:
        neurons: how many.
        dt: time of a step.
        tau_m, tau_ref, tau_s: of the membrane, of the pause after a spike, of the synapses.

    Raises:
        ValueError: a number is not accepted.
    """

    neurons: int
    dt: float = 1e-4
    tau_m: float = TAU
    tau_ref: float = T_REF
    tau_s: float = 0.005
    dtype: DType = "float64"

    def __post_init__(self) -> None:
        _refuse(self, positive=("neurons", "dt", "tau_m", "tau_s"), others=("tau_ref",))

    @property
    def leak(self) -> float:
        """dt/tau_m."""
        return self.dt / self.tau_m

    @property
    def decay(self) -> float:
        """dt/tau_s."""
        return self.dt / self.tau_s

    @property
    def refractory(self) -> float:
        """tau_ref in whole steps."""
        return float(round(self.tau_ref / self.dt))

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class HHSpec:
    """Hodgkin and Huxley's neurons, but for their conductances (g_L, g_Na, g_K): the params.

    Attributes:
        dt: time of a step, ms.
        C: capacitance, uF/cm^2.
        V_L, V_Na, V_K: at which each current is zero, mV.
    """

    dt: float = 0.01
    C: float = 1.0
    V_L: float = -54.387
    V_Na: float = 50.0
    V_K: float = -77.0

    def __post_init__(self) -> None:
        _refuse(self, positive=("dt", "C"), others=("V_L", "V_Na", "V_K"), signed=True)


def _refuse(
    spec: Any, positive: tuple[str, ...], others: tuple[str, ...], signed: bool = False
) -> None:
    for name in (*positive, *others):
        value = getattr(spec, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = name != "neurons" or isinstance(value, int)
        fits = number and whole and abs(value) < MOST and (signed or value >= 0)
        if not fits or (name in positive and value <= 0):
            kind = "a whole number of 1 or more" if name == "neurons" else "a number above 0"
            raise ValueError(f"{name} {value!r:.60} is not accepted; give {kind}")


CONDUCTANCES = (0.3, 120.0, 36.0)  # g_L, g_Na, g_K, mS/cm^2


class Rate(NamedTuple):
    """A rate of H2, in 1/ms: scale f((V - middle) / width)."""

    scale: float
    f: str  # "exp", "logistic" 1/(1 + exp(-x)) or "linoid" x/(1 - exp(-x))
    middle: float
    width: float


# alpha and beta of n, m and h
RATES = (
    (Rate(0.1, "linoid", -55.0, 10.0), Rate(0.125, "exp", -65.0, -80.0)),
    (Rate(1.0, "linoid", -40.0, 10.0), Rate(4.0, "exp", -65.0, -18.0)),
    (Rate(0.07, "exp", -65.0, -20.0), Rate(1.0, "logistic", -35.0, 10.0)),
)
# Nearer to 0, where 1 - exp(-x) has lost its digits, linoid is 1 + x/2 + x^2/12 - x^4/720: what it
# lacks, x^6/30240, is 2e-15 there.
LINOID_NEAR = 0.02


def rest(neurons: int, V: float = -65.0) -> np.ndarray:
    """(neurons, 4): V, and n, m, h as they are once V has been there for long."""
    gates = [a / (a + b) for a, b in rates(V)]
    return np.array([[V, *gates]] * neurons)


def rates(V: Any) -> list[tuple[Any, Any]]:
    """alpha and beta of n, m and h, for pictures and the start; V is a number or an array."""
    x_of = {
        "exp": np.exp,
        "logistic": lambda x: 1 / (1 + np.exp(-x)),
        "linoid": lambda x: np.where(
            np.abs(x) < LINOID_NEAR,
            1 + x / 2 + x**2 / 12 - x**4 / 720,
            x / -np.expm1(-np.where(x == 0, 1.0, x)),
        ),
    }
    return [(_one(alpha, x_of[alpha.f], V), _one(beta, x_of[beta.f], V)) for alpha, beta in RATES]


def _one(rate: Rate, f: Any, V: Any) -> Any:
    return rate.scale * f((np.asarray(V, np.float64) - rate.middle) / rate.width)


def kernel(spec: LIFSpec, n: int, steps: int) -> np.ndarray:
    """h of S1 at 0, dt, 2 dt, ..., in 1/s."""
    t = spec.dt * np.arange(steps)
    scale = math.factorial(n) * spec.tau_s ** (n + 1)
    h: np.ndarray = t**n * np.exp(-t / spec.tau_s) / scale
    return h.astype(spec.dtype)


def rate(v_in: Any, spec: LIFSpec) -> Any:
    """The steady rate under a constant drive, 1/s: 1 / (tau_ref - tau_m ln(1 - 1/v_in))."""
    v_in = np.asarray(v_in, np.float64)
    above = np.where(v_in > 1, v_in, 2.0)
    period = spec.refractory * spec.dt - spec.tau_m * np.log1p(-1 / above)
    return np.where(v_in > 1, 1 / period, 0.0)


def start(spec: LIFSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """v, s, and steps of refractory time that are left: all 0."""
    zero = np.zeros(spec.neurons, spec.dtype)
    return zero, zero.copy(), zero.copy()


def load(model: str, name: str) -> ModuleType:
    """The file of a model in an idiom.

    Raises:
        NotImplementedError: there is none.
    """
    if name not in IDIOMS or model not in MODELS:
        raise NotImplementedError(f"{name} has no spiking neurons; {', '.join(IDIOMS)} have")
    return importlib.import_module(f"samegrad.implementations.spiking.{model}_{name}")
