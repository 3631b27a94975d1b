"""Update rules: ours are the definition, and the libraries' follow them or are shown to differ."""

import copy
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from samegrad.implementations.checking import reference
from samegrad.implementations.checking.comparison import judge
from samegrad.implementations.contract.equations import MOMENTUM
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec, Optimizer
from tests.helpers.networks import check, every_implementation, loaded, problem

RULES = get_args(Optimizer)
RATES = {"adadelta": 1.0, "adam": 0.01, "adamw": 0.01}
BASE = MLPSpec((5, 7, 3), "tanh", weight_decay=0.1, dtype="float64")


def followed(name: str, spec: MLPSpec, steps: int, device: str = "cpu") -> Any:
    """Params after some steps of an implementation."""
    implementation = loaded(name, device)
    params, X, y = problem(spec, 8)
    placed = implementation.params_from_numpy(spec, params, device)
    batch = implementation.batch_from_numpy(spec, X, y, device)
    state = implementation.init_state(spec, placed)
    for _ in range(steps):
        placed, state, _ = implementation.train_step(
            spec, placed, state, *batch, RATES.get(spec.optimizer, 0.1)
        )
    return implementation.to_numpy(placed)


def right(spec: MLPSpec, steps: int) -> Any:
    """The same by the reference's sums over all gradients."""
    params, X, y = problem(spec, 8)
    history = []
    for _ in range(steps):
        history.append(reference.expected(spec, params, X, y).grads)
        params = reference.updated(spec, params, history, RATES.get(spec.optimizer, 0.1))
    return params


def distance(a: Any, b: Any) -> float:
    """Largest relative difference of any tensor."""
    return max(
        float(np.max(np.abs(p - q)) / np.max(np.abs(q)))
        for pair, other in zip(a, b, strict=True)
        for p, q in zip(pair, other, strict=True)
    )


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("optimizer", RULES)
@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_fifty_steps_follow_the_same_trajectory(
    name: str, device: str, optimizer: Any, decoupled: bool
) -> None:
    """In float64 within 1e-10; the slow ways make 5 steps."""
    spec = replace(BASE, optimizer=optimizer, decoupled=decoupled)
    steps = 50 if name not in ("dual", "numerical") else 5

    assert distance(followed(name, spec, steps, device), right(spec, steps)) < 1e-10


@pytest.mark.parametrize("wrong", [o for o in RULES if o not in ("adam", "adamw")])
def test_trajectories_tell_the_rules_apart(wrong: Any) -> None:
    """The check above fails if one rule is taken for another."""
    spec = replace(BASE, optimizer="adam")
    other = replace(BASE, optimizer=wrong)

    assert distance(followed("numpy", other, 3), right(spec, 3)) > 1e-4


@pytest.mark.parametrize("optimizer", RULES)
@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_step_depends_on_its_arguments_only(name: str, device: str, optimizer: Any) -> None:
    """The same params and state give the same step, with other steps in between."""
    spec = replace(BASE, optimizer=optimizer)
    implementation = loaded(name, device)
    params, X, y = problem(spec, 4)
    batch = implementation.batch_from_numpy(spec, X, y, device)

    def fresh() -> Any:
        placed = implementation.params_from_numpy(spec, params, device)
        state = implementation.init_state(spec, placed)
        placed, state, _ = implementation.train_step(spec, placed, state, *batch, 0.1)
        return placed, state

    first = fresh()
    # The same numbers in other memory; a module of FSDP's can be made again, and not copied.
    other = fresh() if name == "torch_fsdp" else copy.deepcopy(first)
    one = implementation.to_numpy(implementation.train_step(spec, *first, *batch, 0.05)[0])
    for _ in range(3):  # whatever these leave behind must not matter
        fresh()
    two = implementation.to_numpy(implementation.train_step(spec, *other, *batch, 0.05)[0])

    assert 0.0 == distance(one, two)


@pytest.mark.parametrize("name", ["torch", "torch_nn"])
def test_step_updates_the_params_it_is_given(name: str) -> None:
    """torch.optim would update those that it was made with; the step moves to these."""
    spec = replace(BASE, optimizer="adam")
    implementation = loaded(name, "cpu")
    params, X, y = problem(spec, 4)
    batch = implementation.batch_from_numpy(spec, X, y, "cpu")
    owned, placed = (implementation.params_from_numpy(spec, params, "cpu") for _ in range(2))
    state = implementation.init_state(spec, owned)

    new, _, _ = implementation.train_step(spec, placed, state, *batch, 0.1)

    assert 0.0 == distance(implementation.to_numpy(owned), params)
    assert distance(implementation.to_numpy(new), params) > 0.01


@pytest.mark.parametrize(
    ("optimizer", "same"), [("sgd", True), ("momentum", False), ("adam", False)]
)
def test_l2_and_decoupled_decay_are_one_under_sgd_only(optimizer: Any, same: bool) -> None:
    """The same coefficient in the loss and in the update, after 5 steps."""
    coupled, decoupled = (
        followed("numpy", replace(BASE, optimizer=optimizer, decoupled=way), 5)
        for way in (False, True)
    )

    assert same is (distance(coupled, decoupled) < 1e-12)
    if not same:
        assert distance(coupled, decoupled) > 1e-4


def test_decoupled_decay_is_no_part_of_the_loss_and_adamw_is_adam_with_it() -> None:
    """Two names of one rule."""
    spec = replace(BASE, optimizer="adamw")
    params, X, y = problem(spec, 4)
    plain = replace(spec, weight_decay=0.0)

    assert spec.decoupled and (0.0, 0.1) == (spec.l2, spec.decay)
    assert reference.loss(spec, params, X, y) == reference.loss(plain, params, X, y)
    as_adam = replace(BASE, optimizer="adam", decoupled=True)
    assert 0.0 == distance(followed("numpy", spec, 5), followed("numpy", as_adam, 5))


def test_optax_adagrad_differs_from_ours_and_how() -> None:
    """Its eps is inside the root and its sum starts at 0.1; without both it is U4."""
    optax = pytest.importorskip("optax", reason="optax is not installed")
    jnp = pytest.importorskip("jax.numpy")
    load("jax")  # float64
    grads = jnp.asarray([0.5, -2.0])

    def first_step(**settings: Any) -> Any:
        rule = optax.scale_by_rss(**settings)
        return np.asarray(rule.update(grads, rule.init(grads))[0])

    ours = np.sign(grads)  # dp / (sqrt(dp^2) + 1e-10)
    assert not np.allclose(first_step(), ours, rtol=1e-3)
    assert not np.allclose(first_step(initial_accumulator_value=0.0, eps=0.1), ours, rtol=1e-3)
    np.testing.assert_allclose(first_step(initial_accumulator_value=0.0, eps=0.0), ours, rtol=1e-9)


def library_steps(optimizer: str, settings: dict[str, Any], decay: float) -> Any:
    """Params after 20 steps of torch.optim over one group, or two where decay is for W only."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    implementation: Any = load("torch")
    spec = replace(BASE, weight_decay=0.0)
    params, X, y = problem(spec, 8)
    placed = implementation.params_from_numpy(spec, params, "cpu")
    batch = implementation.batch_from_numpy(spec, X, y, "cpu")
    groups = [
        {"params": [W for W, _ in placed], "weight_decay": decay},
        {"params": [b for _, b in placed], "weight_decay": 0.0},
    ]
    rule = getattr(torch.optim, optimizer)(groups, **settings)
    for _ in range(20):
        _, grads = implementation.loss_and_grad(spec, placed, *batch)
        for pair, dpair in zip(placed, grads, strict=True):
            for p, dp in zip(pair, dpair, strict=True):
                p.grad = dp
        rule.step()
    return implementation.to_numpy(placed)


@pytest.mark.parametrize(
    ("optimizer", "theirs", "settings"),
    [
        ("sgd", "SGD", {"lr": 0.1}),
        ("momentum", "SGD", {"lr": 0.1, "momentum": MOMENTUM}),
        ("nesterov", "SGD", {"lr": 0.1, "momentum": MOMENTUM, "nesterov": True}),
        ("adagrad", "Adagrad", {"lr": 0.1}),
        ("adadelta", "Adadelta", {"lr": 1.0}),
        ("adam", "Adam", {"lr": 0.01}),
        ("adamw", "AdamW", {"lr": 0.01}),
    ],
)
def test_rule_is_that_of_torch_with_its_defaults(
    optimizer: Any, theirs: str, settings: dict[str, Any]
) -> None:
    """Our constants are torch's, and torch's decay is our L2 (AdamW: our U7)."""
    spec = replace(BASE, optimizer=optimizer)

    assert distance(followed("numpy", spec, 20), library_steps(theirs, settings, 0.1)) < 1e-12


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "adadelta"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_step_of_a_rule_that_rescales_is_judged_by_the_gradient_that_may_be(
    optimizer: Any, dtype: Any
) -> None:
    """An entry that rounding decides may turn round; one that it does not may not."""
    spec = replace(BASE, optimizer=optimizer, dtype=dtype, weight_decay=0.0)
    params, X, y = problem(spec, 6)
    assert check(load("numpy"), spec, params, X, y, "cpu").agrees
    right = reference.expected(spec, params, X, y)

    turned = [(W.copy(), b.copy()) for W, b in right.updated]
    step = turned[0][0][0, 0] - params[0][0][0, 0]
    turned[0][0][0, 0] -= 2 * step
    results = {"updated": [(W.astype(dtype), b.astype(dtype)) for W, b in turned]}

    assert not judge(spec, right, results).agrees


@pytest.mark.parametrize("optimizer", RULES)
def test_rate_of_the_gate_moves_every_tensor(optimizer: Any) -> None:
    """By four times its size, whatever the rule makes of the gradient."""
    spec = replace(BASE, optimizer=optimizer, weight_decay=0.0)
    params, X, y = problem(spec, 6)

    right = reference.expected(spec, params, X, y)

    for pair, new in zip(params, right.updated, strict=True):
        for p, q in zip(pair, new, strict=True):
            assert np.max(np.abs(q - p)) >= 3.99 * np.max(np.abs(p))
