"""Spiking neurons: one spike train in four idioms, rates, filters, Hodgkin and Huxley."""

import ast
import math
import re
from dataclasses import replace
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.implementations.checking.spikes import judge
from samegrad.implementations.contract import spiking
from samegrad.implementations.contract.equations import T_REF, TAU
from samegrad.implementations.contract.registry import why_not_installed
from samegrad.implementations.contract.spiking import CONDUCTANCES, IDIOMS, HHSpec, LIFSpec

EPS = float(np.finfo(np.float64).eps)
EXACT = LIFSpec(20, dt=TAU / 128, tau_s=TAU / 4)  # dt/tau are powers of two
FILES = ROOT / "implementations" / "spiking"


def load(model: str, name: str) -> ModuleType:
    """A file; the test is skipped where its framework is missing."""
    if missing := why_not_installed(name):
        pytest.skip(missing)
    return spiking.load(model, name)


def run(module: ModuleType, function: str, *arguments: Any) -> Any:
    """A function's result as NumPy arrays; specs are passed on, arrays placed."""
    place = module.BACKEND.place

    def placed(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(placed, value))
        return place(value, "cpu") if isinstance(value, np.ndarray) else value

    def fetched(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(fetched, value))
        return value if isinstance(value, float) else np.asarray(module.BACKEND.fetch(value))

    return fetched(getattr(module, function)(*map(placed, arguments)))


def drawn(spec: LIFSpec, steps: int, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """W and J, multiples of a unit; some neurons are above the threshold, some below."""
    random = np.random.default_rng(5)
    W = random.normal(0, 0.5, (spec.neurons, spec.neurons))
    J = random.uniform(0.5, 3, (steps, spec.neurons))
    return np.round(W / unit) * unit, np.round(J / unit) * unit


@pytest.mark.parametrize("name", IDIOMS[1:])
def test_spike_trains_are_identical(name: str) -> None:
    """Bit by bit, states too, where all sums are exact (`cases.spiking` says why).

    One neuron's v is the threshold itself, in the first step: that is a spike.
    """
    W, J = drawn(EXACT, 600, 2.0**-8)
    J[0, 0] = 1 / EXACT.leak
    arguments = EXACT, W, spiking.start(EXACT), J

    state, spikes = run(load("lif", name), "simulate", *arguments)

    expected_state, expected = run(load("lif", "scalar"), "simulate", *arguments)
    assert 1 == expected[0].sum() == expected[0, 0]
    assert 50 < expected.sum() < 600 * 20 / 13
    assert np.array_equal(expected, spikes)
    assert all(map(np.array_equal, expected_state, state))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*product(IDIOMS, ["float64"]), *product(IDIOMS[1:], ["float32"])],  # loops are in float64
)
def test_spike_trains_are_right_where_sums_are_rounded(name: str, dtype: Any) -> None:
    """All that are decided: in 2,000 steps of float64 all are, by far."""
    spec, steps = LIFSpec(20, dtype=dtype), 2000 if name != "scalar" else 400
    W, J = (array.astype(dtype) for array in drawn(spec, steps, 2.0**-60))

    _, spikes = run(load("lif", name), "simulate", spec, W, spiking.start(spec), J)

    trains = judge(spec, W, spiking.start(spec), J, spikes)
    assert spikes.sum() > steps / 20 and trains.wrong is None
    assert dtype == "float32" or (trains.nearest > 1e6 and trains.undecided == ())


def test_threshold_that_is_met_within_rounding_is_undecided() -> None:
    """v is 1 after the first step, or a rounding less: then or in the next, but no later."""
    spec = LIFSpec(1)
    J, W = np.full((4, 1), 1 / spec.leak), np.zeros((1, 1))
    answers = []
    for when in range(3):
        spikes = np.zeros((4, 1))
        spikes[when] = 1
        answers.append(judge(spec, W, spiking.start(spec), J, spikes))

    assert [None, None, (1, 0)] == [trains.wrong for trains in answers]
    assert 3 * [((0, 0),)] == [trains.undecided for trains in answers]


def test_states_are_nearer_than_rounding_explains_and_wrong_spikes_are_found() -> None:
    """A spike that is missing, late, too much or in a pause is named; no other shape is taken.

    In float32 states are off those of float64, by up to half of what parts two that are rounded.
    """
    spec, numpy = replace(EXACT, dtype="float32"), load("lif", "numpy")
    W, J = (array.astype("float32") for array in drawn(spec, 300, 2.0**-60))
    (v, s, _), spikes = numpy.simulate(spec, W, spiking.start(spec), J)
    doubles = W.astype("float64"), spiking.start(EXACT), J.astype("float64")
    (exact_v, exact_s, _), same = numpy.simulate(EXACT, *doubles)
    trains = judge(spec, W, spiking.start(spec), J, spikes)
    assert np.array_equal(spikes, same)
    for off, explained in ((v - exact_v, trains.by_v), (s - exact_s, trains.by_s)):
        assert (0.02 < np.abs(off)[off != 0] / explained[off != 0]).any()
        assert (np.abs(off) <= explained / 2).all()

    t, i = (int(index) for index in np.argwhere(spikes)[5])
    for changes, found in (
        ({t: 0}, (t, i)),
        ({t: 0, t + 1: 1}, (t, i)),
        ({t - 1: 1}, (t - 1, i)),
        ({t + 1: 1}, (t + 1, i)),
    ):
        faulty = spikes.copy()
        for step, spike in changes.items():
            faulty[step, i] = spike
        assert found == judge(spec, W, spiking.start(spec), J, faulty).wrong
    for wrong in (spikes[1:], 0.5 * spikes):
        with pytest.raises(ValueError, match="must be 0 or 1"):
            judge(spec, W, spiking.start(spec), J, wrong)


def periods(spec: LIFSpec, drives: np.ndarray) -> np.ndarray:
    """Steps between two spikes of a neuron under each constant drive."""
    J = np.repeat(drives[None], 2200, axis=0)
    silent = np.zeros((len(drives), len(drives)))
    _, spikes = run(load("lif", "numpy"), "simulate", spec, silent, spiking.start(spec), J)
    return np.array([np.diff(np.flatnonzero(train)[:2])[0] for train in spikes.T])


def too_long_and_too_short(spec: LIFSpec, drives: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """By how much of what the step size explains periods differ from 1/G(v_in); at most 1.

    From v = 0, n steps give v = v_in (1 - (1 - a)^n), a = dt/tau_m; so the threshold is passed in
    the first whole n >= x/lambda, with x = -ln(1 - 1/v_in) and lambda = -ln(1 - a) > a. The period
    is dt (n + tau_ref/dt) instead of tau_ref + tau_m x: less than dt too long, as n is rounded up,
    and at most tau_m x (1 - a/lambda) too short, as steps of Euler overshoot (by a/2 to first
    order).
    """
    x = -np.log1p(-1 / drives)
    overshoot = spec.tau_m * x * (1 + spec.leak / math.log1p(-spec.leak))
    off = spec.dt * steps - 1 / spiking.rate(drives, spec)
    return np.where(off > 0, off / spec.dt, -off / overshoot)


@pytest.mark.parametrize("dt", [1e-4, 4e-4])
def test_rates_are_those_of_the_formula_within_what_the_step_explains(dt: float) -> None:
    """From just above the threshold on; a step of refractory time more is found."""
    spec = LIFSpec(25, dt=dt)
    drives = np.concatenate([[1.01, 1.02], np.geomspace(1.05, 6, 23)])

    steps = periods(spec, drives)

    assert too_long_and_too_short(spec, drives, steps).max() <= 1 + 1e-9
    assert too_long_and_too_short(spec, drives, steps + 1).max() > 1
    assert spec.refractory * dt == pytest.approx(T_REF)
    rates = 1 / (dt * steps)
    assert np.allclose(spiking.rate(drives, spec), rates, rtol=dt / T_REF + spec.leak)
    assert 0 == spiking.rate(1.0, spec)


@pytest.mark.parametrize("name", IDIOMS)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_filtered_trains_are_sums_of_kernels(name: str, n: int) -> None:
    """Of unit area; each idiom's convolution adds a kernel after each spike, and none before."""
    spec = LIFSpec(2, tau_s=0.005)
    kernel = spiking.kernel(spec, n, 120)
    spikes = (np.random.default_rng(n).random((200, 2)) < 0.05).astype(float)
    area, _ = quad(lambda t: t**n * math.exp(-t / 0.005), 0, 0.2, epsabs=1e-16)

    currents = run(load("lif", name), "convolve", kernel, spikes)

    expected = np.zeros((320, 2))
    for t, i in np.argwhere(spikes):
        expected[t : t + 120, i] += kernel
    assert np.abs(expected[:200] - currents).max() <= 100 * EPS * expected.max()
    at = 0.003
    assert spiking.kernel(spec, n, 31)[30] == pytest.approx(at**n * math.exp(-at / 0.005) / area)


def test_differential_form_is_the_exponential_filter_within_what_the_step_explains() -> None:
    """(1 - a)^k against exp(-a k): their largest difference is at k = ln(lambda/a)/(lambda - a)."""
    spec, steps, numpy = LIFSpec(2, tau_ref=1.0), 300, load("lif", "numpy")
    W, J = np.array([[0, 1 / spec.tau_s], [0, 0]]), np.array([3.0, 0.0])
    state, spikes, s = spiking.start(spec), [], []
    for _ in range(steps):
        state, shown = numpy.step(spec, W, state, J)
        spikes.append(shown)
        s.append(state[1])
    a, fast = spec.decay, -math.log1p(-spec.decay)
    k = math.log(fast / a) / (fast - a)

    off = numpy.convolve(spiking.kernel(spec, 0, steps), np.array(spikes))[:, 0] - np.array(s)[:, 1]

    bound = (math.exp(-a * k) - math.exp(-fast * k)) / spec.tau_s
    assert 1 == np.array(spikes)[:, 0].sum()
    assert -1e-12 <= off.min() and 0.99 * bound < off.max() <= bound * (1 + 1e-9)


STAIRCASE = np.repeat([0.0, 10.0, 20.0], 400)  # uA/cm^2, 4 ms each


def voltages(dt: float) -> np.ndarray:
    """V at each 0.01 ms of the staircase."""
    finer = round(0.01 / dt)
    J = np.repeat(STAIRCASE, finer)[:, None]
    conductances = np.array(CONDUCTANCES)
    _, V = run(load("hh", "scalar"), "simulate", HHSpec(dt), conductances, spiking.rest(1), J)
    return V[finer - 1 :: finer, 0]


def test_hodgkin_and_huxley_agree_with_scipy() -> None:
    """Runge and Kutta's error falls 16-fold with half the step; what is left says how large it is.

    Of V(dt) = V + c dt^4, V(dt) - V(dt/2) is 15/16: that bounds the error, but for terms of higher
    order (a fifth of it here) and solve_ivp's own.
    """
    spec, scalar, y, exact = HHSpec(), load("hh", "scalar"), spiking.rest(1)[0], []
    for J in np.split(STAIRCASE, 3):
        times = 0.01 * np.arange(1, 401)

        def slopes(_: float, y: np.ndarray, J: float = float(J[0])) -> list[float]:
            result: list[float] = scalar.slopes(spec, CONDUCTANCES, y.tolist(), J)
            return result

        found = solve_ivp(slopes, (0, 4), y, "DOP853", times, rtol=1e-10, atol=1e-10)
        exact.append(found.y[0])
        y = found.y[:, -1]
    V, finer = voltages(0.01), voltages(0.005)

    error = np.abs(V - np.concatenate(exact)).max()

    assert V.max() > 30  # it fires
    assert error <= 1.2 * 16 / 15 * np.abs(V - finer).max() + 1e-8
    assert 12 < error / np.abs(finer - np.concatenate(exact)).max() < 20


def traced(steps: int) -> tuple[Any, ...]:
    """A spec, conductances, two neurons at rest, their currents, and a target of V."""
    J = np.repeat([[10.0, 3.0]], steps, axis=0)
    return HHSpec(), np.array(CONDUCTANCES), spiking.rest(2), J, np.full((steps, 2), -60.0)


def difference(result: Any, expected: Any) -> float:
    """Of loss, conductances' and currents' gradients, the largest, relative to their sizes."""
    pairs = [(result[0], expected[0]), *zip(result[1], expected[1], strict=True)]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


@pytest.mark.parametrize("name", ["scalar", "torch", "jax"])
@pytest.mark.parametrize("steps", [50, pytest.param(800, marks=pytest.mark.full)])
def test_gradient_of_a_voltage_trace_is_the_same(name: str, steps: int) -> None:
    """Within eps a step: roundings of state and adjoint, which nothing here magnifies, add up.

    From 50 to 800 steps an eighth of it is shown at most, of either sign.
    """
    expected = run(load("hh", "numpy"), "loss_and_grad", *traced(steps))

    result = run(load("hh", name), "loss_and_grad", *traced(steps))

    assert difference(result, expected) <= EPS * steps


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(1, 2, 2, 1), (0, 1, 0.5, 0.5)", "(1, 2, 2, 1), (0, 1, 0.5, 0)"),
        ("dV + k_x * (da * (1 - x) - db * x)", "dV + k_x * (da * (1 - x) + db * x)"),
        ("- k_x * (a + b)", "- k_x * (a - b)"),
        ("-3 * k_V * g_Na", "-2 * k_V * g_Na"),
        ("y * (1 + (1 - y) / far)", "y * (1 - (1 - y) / far)"),
    ],
)
def test_wrong_gradients_of_a_voltage_trace_are_found(right: str, wrong: str) -> None:
    """A fault in one line of the derivation is far beyond the bound."""
    source = (FILES / "hh_numpy.py").read_text()
    assert 1 == source.count(right)
    faulty = ModuleType("faulty")
    exec(source.replace(right, wrong), vars(faulty))

    result = run(faulty, "loss_and_grad", *traced(50))

    assert difference(result, run(load("hh", "numpy"), "loss_and_grad", *traced(50))) > 1e-9


@pytest.mark.parametrize("model", spiking.MODELS)
def test_files_define_the_same_functions_and_tags(model: str) -> None:
    """In one order; those that differentiate themselves lack what is derived by hand."""
    by_hand, tags = {"slopes_backward", "backward", "rates", "stages", "rate"}, {}
    functions = {}
    for name in IDIOMS:
        text = (FILES / f"{model}_{name}.py").read_text()
        defined = [n.name for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)]
        functions[name] = [f for f in defined if f not in by_hand]
        tags[name] = set(re.findall(r"\b([NSHLA]\d)\b", text)) - {"A2", "A3"}

    assert len({tuple(names) for names in functions.values()}) == 1
    assert tags["numpy"] == tags["scalar"] == tags["torch"] == tags["jax"]
    assert ({"N1", "N2", "N3", "N4", "S1"} if model == "lif" else {"H1", "H2", "H3", "L3"}) <= tags[
        "jax"
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"neurons": 0},
        {"neurons": 2.0},
        {"neurons": 10**400},
        {"neurons": 2, "dt": 0.0},
        {"neurons": 2, "tau_m": "x"},
    ],
)
def test_specs_refuse_what_is_none(given: dict[str, Any]) -> None:
    """In one line that says what is accepted."""
    with pytest.raises(ValueError, match="is not accepted; give a"):
        LIFSpec(**given)


def test_who_has_no_neurons_says_so() -> None:
    """A variant, or a model that is none."""
    for model, name in (("lif", "numpy_inplace"), ("izhikevich", "numpy")):
        with pytest.raises(NotImplementedError, match="spiking neurons"):
            spiking.load(model, name)
