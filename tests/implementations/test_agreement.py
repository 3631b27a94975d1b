"""All implementations compute the same network: outputs, loss, every gradient, every step."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking import problems
from samegrad.implementations.checking.comparison import compare, judge
from samegrad.implementations.checking.reference import expected, updated
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.networks import check, every_implementation, loaded, problem
from tests.helpers.pairwise import pairs, pairwise

DEPTHS = ((5, 3), (5, 7, 3), (5, 7, 7, 7, 3))  # none, one and three hidden layers
SPINE = [
    ("relu", "sigmoid", "tanh"),
    ("identity", "sigmoid"),
    ("cross_entropy", "mse"),
    (True, False),  # bias
    (0.0, 0.1),  # weight decay
]
OPTIONS: list[tuple[Any, ...]] = [
    problems.ACTIVATIONS,
    ("identity", "sigmoid"),
    problems.LOSSES,
    (True, False),  # bias
    (0.0, 0.1),  # weight decay
    ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "adam", "adamw"),
    ("float64", "float32"),
    (0.0, 0.4),  # dropout
    (False, True),  # decoupled
    DEPTHS,
    (1, 6),  # batch size
]
PAIRWISE = pairwise(OPTIONS)
COMPILERS = ("jax", "flax")


def to_spec(options: tuple[Any, ...]) -> tuple[MLPSpec, int]:
    """A combination as a spec and a batch size; decoupled decay without decay is left out."""
    g, out, loss, bias, decay, optimizer, dtype, dropout, decoupled, sizes, batch_size = options
    dropout = dropout if len(sizes) > 2 else 0.0
    spec = MLPSpec(sizes, g, out, loss, bias, decay, optimizer, dtype, dropout, decoupled)
    return spec, batch_size


@contextmanager
def uncompiled(name: str) -> Iterator[None]:
    """XLA takes 50 ms to compile a function: the full product runs JAX's operations one by one."""
    if name not in COMPILERS:
        yield
        return
    import jax

    with jax.disable_jit():
        yield
    jax.clear_caches()  # with thousands of programs kept, XLA's compiler crashed (SIGSEGV)


def complaint(implementation: Any, name: str, device: str, spec: MLPSpec, batch_size: int) -> str:
    """Why an implementation does not agree on a random problem; "" if it does, or cannot."""
    drawn = problems.draw(spec, batch_size)
    if spec.dropout and name in ("torch_nn", "flax"):
        with pytest.raises(NotImplementedError, match="draws its own masks"):
            implementation.params_from_numpy(spec, drawn.params, device)
        return ""
    p = drawn
    if implementation.capabilities.accuracy(spec) and faint(p):
        return ""
    if name not in COMPILERS:
        verdict = check(implementation, spec, p.params, p.X, p.y, device, p.masks)
        return "" if verdict.agrees else verdict.reason
    # Without jit each function takes long, and a step of sgd holds loss and gradient.
    placed = implementation.params_from_numpy(spec, p.params, device)
    batch = implementation.batch_from_numpy(spec, p.X, p.y, device)
    masks = () if p.masks is None else (implementation.masks_from_numpy(spec, p.masks, device),)
    reference = expected(spec, p.params, p.X, p.y, p.masks)
    results = {}
    if spec.optimizer != "sgd":
        _, grads = implementation.loss_and_grad(spec, placed, *batch, *masks)
        results["grads"] = implementation.to_numpy(grads)
    state = implementation.init_state(spec, placed)
    rate = reference.learning_rate
    new, _, loss = implementation.train_step(spec, placed, state, *batch, rate, *masks)
    results["updated"] = implementation.to_numpy(new)
    results["loss of the step"] = implementation.to_numpy(loss)
    verdict = judge(spec, reference, results)
    return "" if verdict.agrees else verdict.reason


def faint(p: problems.Problem) -> bool:
    """Whether a tensor of the gradient is below 1e-4 of the loss.

    A central difference is off by 1e-10 of the loss, whatever the gradient: see mlp_numerical.
    """
    right = expected(p.spec, p.params, p.X, p.y, p.masks)
    tensors = [g for pair in right.grads for g in pair if g is not None]
    return min(float(np.max(np.abs(g))) for g in tensors) < 1e-4 * right.loss


def test_pairwise_has_every_pair_and_is_small() -> None:
    """Each two values of two options meet; far fewer combinations than the product."""
    indices = [
        [values.index(v) for values, v in zip(OPTIONS, row, strict=True)] for row in PAIRWISE
    ]
    actual = set().union(*map(pairs, indices))

    wanted = set()
    for row in product(*(range(len(values)) for values in OPTIONS[:3])):
        wanted |= pairs(row)
    assert wanted <= actual
    sizes = [len(values) for values in OPTIONS]
    assert sum(a * b for i, a in enumerate(sizes) for b in sizes[i + 1 :]) == len(actual)
    assert len(PAIRWISE) < 100


# JAX takes most of a minute for all of them, on meshes of devices as well, and flax computes with
# its loss, initialisers and updates: every twentieth combination, and none of flax; Numba compiles
# for each, every sixth. All are among the `full` tests, and under jit a few more of JAX are below.
OF_JAX = [(20, False), (1, True)]
PAIRS = [
    pytest.param(
        *one.values, every, id=f"{one.id}-{every}", marks=[*one.marks, *[pytest.mark.full] * full]
    )
    for one in every_implementation()
    for every, full in {
        **dict.fromkeys(("jax", "jax_sharded", "jax_tensor"), OF_JAX),
        "flax": [(1, True)],
        "numba": [(6, False), (1, True)],
    }.get(one.values[0], [(1, False)])
]


@pytest.mark.parametrize(("name", "device", "every"), PAIRS)
def test_every_pair_of_options_agrees_with_the_reference(
    name: str, device: str, every: int
) -> None:
    """Activation, loss, optimiser, dropout, decay, depth, batch, dtype: each two together."""
    implementation = loaded(name, device)
    reasons = {}
    with uncompiled(name):
        for options in PAIRWISE[::every]:
            spec, batch_size = to_spec(options)
            if spec.dtype in implementation.dtypes:
                reasons[spec, batch_size] = complaint(
                    implementation, name, device, spec, batch_size
                )

    assert {} == {spec: reason for spec, reason in reasons.items() if reason}
    assert len(reasons) >= 30 // every


# JAX takes two minutes for all of them. Those that have each two values of two options show the
# equations of the deepest network in float64, and every pair of options has both dtypes; all are
# among the `full` tests.
SHOWS = ("float64", 6, DEPTHS[2])
PRODUCT = [
    pytest.param(
        *one.values,
        dtype,
        batch_size,
        sizes,
        few,
        marks=[*one.marks, *[pytest.mark.full] * (one.values[0] == "jax" and not few)],
        id=f"{one.id}-{dtype}-{batch_size}-{'-'.join(map(str, sizes))}{'-few' * few}",
    )
    for one in every_implementation("idiom")
    for dtype in ("float64", "float32")
    for batch_size in (1, 6)
    for sizes in DEPTHS
    for few in {False, (one.values[0], dtype, batch_size, sizes) == ("jax", *SHOWS)}
]


@pytest.mark.parametrize(("name", "device", "dtype", "batch_size", "sizes", "few"), PRODUCT)
def test_product_of_the_first_options_agrees_with_the_reference(
    name: str, device: str, dtype: Any, batch_size: int, sizes: tuple[int, ...], few: bool
) -> None:
    """Three activations, output activation, two losses, bias, weight decay: all combinations."""
    implementation = loaded(name, device, MLPSpec(sizes, dtype=dtype))
    reasons = {}
    with uncompiled(name):
        for options in pairwise(SPINE) if few else product(*SPINE):
            spec = MLPSpec(sizes, *options, dtype=dtype)
            reasons[spec] = complaint(implementation, name, device, spec, batch_size)

    assert {} == {spec: reason for spec, reason in reasons.items() if reason}


def whole_product(name: str, device: str, sizes: tuple[int, ...], dtype: Any) -> dict[Any, str]:
    """Reasons of disagreement over all options but the optimiser, at one depth."""
    implementation = loaded(name, device, MLPSpec(sizes, dtype=dtype))
    reasons = {}
    with uncompiled(name):
        for options in product(*OPTIONS[:5], OPTIONS[7], OPTIONS[10]):
            *first, dropout, batch_size = options
            if not dropout or len(sizes) > 2:
                spec = MLPSpec(sizes, *first, dtype=dtype, dropout=dropout)
                reasons[spec, batch_size] = complaint(
                    implementation, name, device, spec, batch_size
                )
    return {spec: reason for spec, reason in reasons.items() if reason}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sizes", DEPTHS, ids=lambda s: "-".join(map(str, s)))
@pytest.mark.parametrize("name", ["scalar", "numpy"])
def test_whole_product_agrees_where_derivatives_are_by_hand(
    name: str, sizes: tuple[int, ...], dtype: Any
) -> None:
    """Every activation, loss, bias, decay, dropout and batch size together."""
    assert {} == whole_product(name, "cpu", sizes, dtype)


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sizes", DEPTHS, ids=lambda s: "-".join(map(str, s)))
@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_whole_product_agrees(name: str, device: str, sizes: tuple[int, ...], dtype: Any) -> None:
    """The same for all implementations, on every device."""
    assert {} == whole_product(name, device, sizes, dtype)


# flax compiles for seconds each: in these it is a `full` test, as it computes with JAX's functions.
LIGHT = [
    pytest.param(
        *one.values,
        id=one.id,
        marks=[*one.marks, *[pytest.mark.full] * (one.values[0] == "flax")],
    )
    for one in every_implementation()
]


# flax's programs are those of JAX but for its layers: four of them, the others `full`.
COMPILED = [
    pytest.param(
        *one.values,
        options,
        id=f"{one.id}-{'-'.join(map(str, options[:6]))}",
        marks=[*one.marks, *[pytest.mark.full] * (one.values[0] == "flax" and row % 3 > 0)],
    )
    for one in every_implementation()
    if one.values[0] in COMPILERS
    for row, options in enumerate(PAIRWISE[:12])
]


@pytest.mark.parametrize(("name", "device", "options"), COMPILED)
def test_compiled_functions_agree_with_the_reference(
    name: str, device: str, options: tuple[Any, ...]
) -> None:
    """As they are timed, under jit, for a dozen specs."""
    spec, batch_size = to_spec(options)
    implementation = loaded(name, device, spec)

    assert "" == complaint(implementation, name, device, spec, batch_size)


@pytest.mark.parametrize(("name", "device"), LIGHT)
def test_ten_steps_follow_the_same_losses(name: str, device: str) -> None:
    """Steps chained through returned params and state follow the reference's losses."""
    spec = MLPSpec((5, 8, 6, 3), "tanh", weight_decay=0.01, dtype="float64")
    implementation = loaded(name, device)
    params, X, y = problem(spec, 16)
    placed = implementation.params_from_numpy(spec, params, device)
    batch = implementation.batch_from_numpy(spec, X, y, device)
    state = implementation.init_state(spec, placed)
    actual, wanted = [], []
    for _ in range(10):
        placed, state, loss = implementation.train_step(spec, placed, state, *batch, 0.5)
        actual.append(float(loss))
        reference = expected(spec, params, X, y)
        params = updated(spec, params, [reference.grads], 0.5)
        wanted.append(reference.loss)

    assert wanted[-1] < wanted[0]
    assert compare(np.array(wanted), np.array(actual), "float64", name="losses").agrees


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize(("name", "device"), LIGHT)
def test_derivative_at_a_kink_is_that_of_the_left_side(
    name: str, device: str, activation: Any
) -> None:
    """At an exact zero, in every implementation that has a derivative there."""
    if name == "numerical":
        pytest.skip("a difference of the loss has no answer at a kink")
    at_kink = next(
        p for p in problems.by_hand("float64") if p.spec.activation == activation and p.name
    )
    implementation = loaded(name, device)
    spec = at_kink.spec

    comparison = check(implementation, spec, at_kink.params, at_kink.X, at_kink.y, device)

    assert comparison.agrees, comparison.reason
    if activation == "relu":
        placed = implementation.params_from_numpy(spec, at_kink.params, device)
        batch = implementation.batch_from_numpy(spec, at_kink.X, at_kink.y, device)
        _, grads = implementation.loss_and_grad(spec, placed, *batch)
        (dW1, db1), _ = implementation.to_numpy(grads)
        assert not dW1.any() and not db1.any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "device"), LIGHT)
def test_logits_of_ten_thousand_give_finite_results_that_agree(
    name: str, device: str, dtype: Any
) -> None:
    """Both cross entropies, and mse behind a sigmoid."""
    implementation = loaded(name, device, MLPSpec((2, 2), dtype=dtype))
    huge = [p for p in problems.by_hand(dtype) if "logits" in p.name]
    spec = MLPSpec((2, 2), output_activation="sigmoid", loss="mse", dtype=dtype)
    huge.append(
        problems.Problem("", spec, huge[0].params, huge[0].X, np.array(np.eye(3, 2), dtype))
    )
    for p in huge:
        comparison = check(implementation, p.spec, p.params, p.X, p.y, device)

        assert comparison.agrees, comparison.reason
    assert 3 == len(huge)


@pytest.fixture(scope="module")
def large_batch() -> tuple[Any, ...]:
    """(spec, params, X, y, reference) of 65,536 examples."""
    spec, batch_size = MLPSpec((4, 32, 3)), 65_536
    rng = np.random.default_rng(4)
    X = rng.random((batch_size, 4), dtype=np.float32)
    y = rng.integers(0, 3, batch_size)
    params = init_params(spec, 4)
    return spec, params, X, y, expected(spec, params, X, y)


@pytest.mark.parametrize(("name", "device"), LIGHT)
def test_sums_over_a_large_batch_keep_their_digits(
    name: str, device: str, large_batch: Any
) -> None:
    """65,536 numbers added one after another lose most of what the bound leaves, or more."""
    spec, params, X, y, reference = large_batch
    module = loaded(name, device, spec)

    def worst(network: Any) -> float:
        mine = module.params_from_numpy(spec, params, device)
        _, grads = network.loss_and_grad(spec, mine, *module.batch_from_numpy(spec, X, y, device))
        verdict = judge(spec, reference, {"grads": module.to_numpy(grads)})
        return max(t.percent_of_bound or 0.0 for t in verdict.tensors if "b" in t.name)

    share = worst(module)
    assert share < 50
    if name == "numpy":  # the planted fault: what B3 reads like in most networks
        source = module.file.read_text()
        added = ModuleType("added")
        exec(source.replace("ones @ delta", "delta.sum(axis=0)"), added.__dict__)
        assert worst(added) > 2 * share


def test_torch_gradcheck_passes() -> None:
    """torch's own numerical check accepts the loss that autograd differentiates."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    implementation: Any = loaded("torch", "cpu")
    spec = MLPSpec((3, 4, 2), "tanh", weight_decay=0.1, dtype="float64")
    params, X, y = problem(spec, 3)
    placed = implementation.params_from_numpy(spec, params, "cpu")
    batch = implementation.batch_from_numpy(spec, X, y, "cpu")
    flat = [p.requires_grad_() for layer in placed for p in layer]

    def loss(*flat: Any) -> Any:
        nested = list(zip(flat[::2], flat[1::2], strict=True))
        return implementation.loss(spec, nested, *batch)

    assert torch.autograd.gradcheck(loss, flat)


def test_jax_check_grads_passes() -> None:
    """JAX's own numerical check accepts the loss that jax.grad differentiates."""
    pytest.importorskip("jax", reason="jax is not installed")
    from jax.test_util import check_grads

    implementation: Any = loaded("jax", "cpu")
    spec = MLPSpec((3, 4, 2), "tanh", weight_decay=0.1, dtype="float64")
    params, X, y = problem(spec, 3)
    placed = implementation.params_from_numpy(spec, params, "cpu")
    batch = implementation.batch_from_numpy(spec, X, y, "cpu")

    check_grads(lambda p: implementation.loss(spec, p, *batch), (placed,), order=1, modes=["rev"])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_jax_does_not_compile_again_for_another_rate_or_batch(optimizer: Any) -> None:
    """A second call with other numbers of the same shapes reuses the compiled step."""
    pytest.importorskip("jax", reason="jax is not installed")
    implementation: Any = loaded("jax", "cpu")
    spec = MLPSpec((3, 4, 2), optimizer=optimizer)
    for seed, rate in enumerate((0.1, 0.2)):
        params, X, y = problem(spec, 3, seed)
        placed = implementation.params_from_numpy(spec, params, "cpu")
        batch = implementation.batch_from_numpy(spec, X, y, "cpu")
        state = implementation.init_state(spec, placed)
        compiled = implementation.train_step._cache_size()
        implementation.train_step(spec, placed, state, *batch, rate)
    assert implementation.train_step._cache_size() == compiled
