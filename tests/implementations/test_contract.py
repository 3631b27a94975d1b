"""Every implementation keeps the contract, and bad input is refused alike by all."""

import sys
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking import problems
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.protocol import Capabilities, Model
from samegrad.implementations.contract.registry import load, names
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers import planted
from tests.helpers.networks import every_implementation, loaded, problem

SPEC = MLPSpec((4, 5, 3), dtype="float64")


def typed() -> list[Model]:
    """mypy holds each module against the protocol here; nothing calls this."""
    from samegrad.implementations import mlp_jax, mlp_numpy, mlp_scalar, mlp_torch
    from samegrad.implementations.differentiation import (
        mlp_dual,
        mlp_graph,
        mlp_numerical,
        mlp_symbolic,
    )
    from samegrad.implementations.parallel import (
        mlp_jax_sharded,
        mlp_jax_tensor,
        mlp_torch_ddp,
        mlp_torch_fsdp,
    )
    from samegrad.implementations.peers import (
        mlp_flax,
        mlp_micrograd,
        mlp_sklearn,
        mlp_torch_loader,
        mlp_torch_loader_2,
        mlp_torch_nn,
    )
    from samegrad.implementations.variants import (
        mlp_cupy,
        mlp_numba,
        mlp_numpy_inplace,
        mlp_pallas,
        mlp_scalar_fast,
        mlp_torch_compile,
        mlp_triton,
    )

    modules: list[Model] = [mlp_scalar, mlp_numpy, mlp_torch, mlp_jax]
    modules += [mlp_graph, mlp_dual, mlp_numerical, mlp_torch_nn, mlp_flax, mlp_micrograd]
    modules += [mlp_numpy_inplace, mlp_torch_compile, mlp_numba, mlp_cupy, mlp_sklearn]
    modules += [mlp_scalar_fast, mlp_torch_loader, mlp_torch_loader_2, mlp_symbolic]
    modules += [mlp_torch_ddp, mlp_torch_fsdp, mlp_jax_sharded, mlp_jax_tensor, mlp_pallas]
    modules += [mlp_triton]
    return modules


def bad_batches() -> dict[str, tuple[Any, Any, str]]:
    """name: X, y, what the message says."""
    X, y = np.zeros((2, 4)), np.array([0, 1])
    nan, huge = X.copy(), X.copy()
    nan[1, 2], huge[0, 0] = np.nan, np.inf
    return {
        "label too large": (X, np.array([0, 3]), "labels from 0 to 3, accepted 0 to 2"),
        "label negative": (X, np.array([-1, 0]), "labels from -1 to 0"),
        "label ignored by torch": (X, np.array([-100, 0]), "labels from -100"),
        "labels not whole": (X, np.array([0.0, 1.0]), "class indices as integers"),
        "too few labels": (X, np.array([0]), "shape (1,), expected (2,)"),
        "one-hot labels": (X, np.eye(3, dtype=int)[:2], "shape (2, 3), expected (2,)"),
        "too few features": (X[:, :3], y, "shape (2, 3), expected (batch, 4)"),
        "one example flat": (X[0], y[:1], "shape (4,), expected (batch, 4)"),
        "no example": (X[:0], y[:0], "the batch is empty"),
        "NaN": (nan, y, "1 of 8 values are NaN or infinite in float64, the first at index (1, 2)"),
        "infinite": (huge, y, "NaN or infinite"),
        "text": (np.full((2, 4), "a"), y, "expected real numbers"),
        "complex": (X + 1j, y, "expected real numbers"),
        "ragged": ([[1.0] * 4, [1.0] * 3], y, "not a rectangular array"),
    }


@pytest.mark.parametrize("fault", bad_batches())
@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_bad_batch_is_refused_with_the_same_message_by_all(
    name: str, device: str, fault: str
) -> None:
    """One shared check, before placement."""
    X, y, message = bad_batches()[fault]
    implementation = loaded(name, device)

    with pytest.raises(ValueError) as caught:
        implementation.batch_from_numpy(SPEC, X, y, device)

    assert message in str(caught.value)


def test_value_that_overflows_in_float32_is_refused() -> None:
    """1e300 is finite as given and infinite as float32."""
    spec = MLPSpec((1, 2))

    with pytest.raises(ValueError, match="NaN or infinite in float32"):
        load("numpy").batch_from_numpy(spec, np.array([[1e300]]), np.array([0]), "cpu")


@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_bad_params_are_refused(name: str, device: str) -> None:
    """Wrong nesting, shapes, a missing bias, NaN."""
    implementation = loaded(name, device)
    params = init_params(SPEC)
    (W, b), last = params
    for wrong, message in (
        (params[:1], "expected a list of 2 pairs"),
        ([(W.T, b), last], "W1: shape (5, 4), expected (4, 5)"),
        ([(W, None), last], "b must be an array, given None"),
        ([(W, b * np.nan), last], "b1: 5 of 5 values are NaN"),
        ([W, last], "expected a pair (W, b)"),
    ):
        with pytest.raises(ValueError) as caught:
            implementation.params_from_numpy(SPEC, wrong, device)
        assert message in str(caught.value)


@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_device_that_is_not_there_is_refused(name: str, device: str) -> None:
    """Never a silent fall-back to the CPU."""
    implementation = loaded(name, device)

    with pytest.raises(ValueError, match=f"'quantum' is not available to {name} "):
        implementation.params_from_numpy(SPEC, init_params(SPEC), "quantum")
    with pytest.raises(ValueError, match="device 'quantum' is not available"):
        implementation.batch_from_numpy(SPEC, np.zeros((1, 4)), np.array([0]), "quantum")


def test_scalar_refuses_float32() -> None:
    """A Python float is a double; a float32 table with doubles in it would be a lie."""
    spec = MLPSpec((4, 3))

    with pytest.raises(ValueError, match="dtype 'float32' is not available to scalar"):
        load("scalar").params_from_numpy(spec, init_params(spec), "cpu")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_placing_and_fetching_gives_back_copies(name: str, device: str, dtype: Any) -> None:
    """Same values and dtype, and the caller's arrays are never written to."""
    spec = MLPSpec((4, 5, 3), bias=False, dtype=dtype)
    implementation = loaded(name, device, spec)
    params, X, y = problem(spec, 4)
    kept = [(W.copy(), b) for W, b in params]

    placed = implementation.params_from_numpy(spec, params, device)
    back = implementation.to_numpy(placed)
    batch = implementation.batch_from_numpy(spec, X, y, device)
    state = implementation.init_state(spec, placed)
    new, _, loss = implementation.train_step(spec, placed, state, *batch, 0.5)
    implementation.synchronize((new, loss))

    for (W, b), (W_back, b_back), (W_kept, _) in zip(params, back, kept, strict=True):
        assert b is None and b_back is None
        assert W_back.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(W, W_kept)
        np.testing.assert_array_equal(W_back, W_kept)
    assert not np.array_equal(implementation.to_numpy(new)[0][0], kept[0][0])


def masked(dtype: str = "float64") -> Any:
    """A problem with dropout."""
    return problems.draw(MLPSpec((4, 5, 6, 3), dtype=dtype, dropout=0.5), 4)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in names("all")
        if name not in ("cupy", "sklearn", "torch_nn", "flax", "symbolic")
    ],
)
def test_training_and_evaluation_are_told_apart(name: str) -> None:
    """With masks units are dropped, without them none is; a step without masks is refused."""
    p = masked()
    missing = registry.why_not_installed(name)
    if missing:
        pytest.skip(missing)
    implementation = loaded(name, "cpu")
    placed = implementation.params_from_numpy(p.spec, p.params, "cpu")
    X, y = implementation.batch_from_numpy(p.spec, p.X, p.y, "cpu")
    masks = implementation.masks_from_numpy(p.spec, p.masks, "cpu")
    evaluated, trained = (
        implementation.to_numpy(implementation.forward(p.spec, placed, X, m)) for m in (None, masks)
    )
    plain = replace(p.spec, dropout=0.0)

    assert not np.array_equal(evaluated, trained)
    without = implementation.to_numpy(implementation.forward(plain, placed, X))
    np.testing.assert_array_equal(evaluated, without)
    state = implementation.init_state(p.spec, placed)
    with pytest.raises(ValueError, match="train_step needs masks"):
        implementation.train_step(p.spec, placed, state, X, y, 0.1)
    with pytest.raises(ValueError, match="the spec has dropout 0; pass masks=None"):
        implementation.loss_and_grad(plain, placed, X, y, masks)
    with pytest.raises(ValueError, match="given 1, expected 2: one per hidden layer"):
        implementation.loss_and_grad(p.spec, placed, X, y, masks[:1])
    one_row = implementation.masks_from_numpy(p.spec, [mask[:1] for mask in p.masks], "cpu")
    with pytest.raises(ValueError, match=r"masks: of (1|\[1, 1\]) examples, the batch has 4"):
        implementation.forward(p.spec, placed, X, one_row)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[:1], "given 1, expected 2"),
        (lambda m: [m[0], m[1][:, :2]], "mask 2: shape (4, 2), expected (batch, 6)"),
        (lambda m: [m[0] / 2, m[1]], "values other than 0 and 1/(1 - dropout) = 2"),
    ],
)
def test_bad_masks_are_refused(change: Any, message: str) -> None:
    """Before they are placed."""
    p = masked()

    with pytest.raises(ValueError) as caught:
        load("numpy").masks_from_numpy(p.spec, change(p.masks), "cpu")

    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["torch_nn", "flax"])
def test_high_level_ways_say_why_they_have_no_dropout(name: str) -> None:
    """Their layers draw their own masks."""
    p = masked()
    implementation = loaded(name, "cpu")

    with pytest.raises(NotImplementedError, match="draws its own masks"):
        implementation.params_from_numpy(p.spec, p.params, "cpu")
    with pytest.raises(NotImplementedError, match="draws its own masks"):
        implementation.masks_from_numpy(p.spec, p.masks, "cpu")


@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_gradient_of_the_unit_step_is_refused(name: str, device: str) -> None:
    """Its outputs and loss are there; autodiff would call the gradient zero."""
    spec = MLPSpec((4, 5, 3), "unit_step", dtype="float64")
    implementation = loaded(name, device)
    params, X, y = problem(SPEC, 4)
    placed = implementation.params_from_numpy(spec, params, device)
    batch = implementation.batch_from_numpy(spec, X, y, device)

    hidden = (X @ params[0][0] + params[0][1] > 0) * 1.0
    outputs = implementation.to_numpy(implementation.forward(spec, placed, batch[0]))
    np.testing.assert_allclose(outputs, hidden @ params[1][0] + params[1][1], rtol=1e-13)
    assert np.isfinite(float(implementation.loss(spec, placed, *batch)))
    with pytest.raises(ValueError, match="'unit_step' has outputs but no useful derivative"):
        implementation.loss_and_grad(spec, placed, *batch)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_sizes": (4,)}, "layer_sizes (4,) is not accepted"),
        ({"layer_sizes": (4, 0)}, "whole numbers >= 1"),
        ({"layer_sizes": (4, 2.0)}, "whole numbers >= 1"),
        ({"layer_sizes": "4-2"}, "layer_sizes '4-2' is not accepted"),
        ({"activation": "rellu"}, "activation 'rellu' is not known; accepted: identity, relu"),
        ({"output_activation": "relu"}, "accepted: identity, sigmoid, unit_step"),
        ({"loss": "mae"}, "loss 'mae' is not known; accepted: cross_entropy, binary"),
        ({"optimizer": "lamb"}, "optimizer 'lamb' is not known; accepted: sgd, momentum"),
        ({"dropout": 1.0}, "dropout 1.0 is not accepted; give a number from 0 to below 1"),
        ({"dropout": -0.1}, "dropout -0.1 is not accepted"),
        ({"decoupled": "yes"}, "decoupled 'yes' is not accepted; give True or False"),
        ({"dtype": "float16"}, "dtype 'float16' is not known"),
        ({"bias": 1}, "bias 1 is not accepted"),
        ({"weight_decay": -0.1}, "weight_decay -0.1 is not accepted"),
        ({"weight_decay": float("nan")}, "weight_decay nan"),
    ],
)
def test_spec_refuses_what_no_implementation_has(changes: Any, message: str) -> None:
    """With what is accepted."""
    with pytest.raises(ValueError) as caught:
        MLPSpec(**({"layer_sizes": (4, 2)} | changes))

    assert message in str(caught.value)


def test_spec_is_frozen_and_hashable() -> None:
    """So that it can be a static argument under jit; a list of sizes becomes a tuple."""
    spec = MLPSpec([4, 2])

    assert hash(spec) == hash(MLPSpec((4, 2)))
    with pytest.raises(FrozenInstanceError):
        spec.bias = False


def test_names_lists_what_loads() -> None:
    """Five idioms and what varies them, differentiates them or competes with them."""
    assert ("scalar", "numpy", "torch", "jax", "c") == names()
    variants = "scalar_fast numpy_inplace torch_compile numba cupy pallas triton"
    assert tuple(variants.split()) == names("variant")
    assert ("graph", "dual", "numerical", "symbolic") == names("differentiation")
    assert ("micrograd", "sklearn", "torch_nn", "flax") == names("peer")
    assert ("torch_ddp", "torch_fsdp", "jax_sharded", "jax_tensor") == names("parallel")
    assert ("torch_loader", "torch_loader_2") == names("loader")
    kinds = ("idiom", "variant", "differentiation", "parallel", "peer", "loader")
    assert sum(map(names, kinds), ()) == names("all")
    with pytest.raises(ValueError, match="kind 'fast' is not known; accepted: idiom"):
        names("fast")
    assert load("numpy") is load("numpy")


@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_table_has_the_dtypes_of_the_module(name: str, device: str) -> None:
    """They are needed where the module cannot be loaded."""
    assert registry.TABLE[name].dtypes == loaded(name, device).dtypes


def test_unknown_implementation_is_told_apart_from_broken_and_not_installed(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three errors with three remedies."""
    with pytest.raises(registry.UnknownImplementationError, match="accepted: scalar, numpy"):
        load("nunpy")
    with pytest.raises(registry.UnknownImplementationError, match="no module named 'no_such'"):
        load("no_such.module")
    broken, partial = tmp_path / "broken.py", tmp_path / "partial.py"
    broken.write_text("import no_such_framework_at_all")
    partial.write_text("DTYPES = ('float64',)")
    with pytest.raises(
        registry.BrokenImplementationError, match="could not be loaded: ModuleNotFound"
    ):
        load(str(broken))
    with pytest.raises(registry.BrokenImplementationError, match="defines neither forward"):
        load(str(partial))
    monkeypatch.setitem(
        registry.TABLE,
        "ghost",
        registry.Entry("ghost", "peer", "numpy", "#000000", requires="no_such_framework"),
    )
    with pytest.raises(registry.NotInstalledError, match=r"no_such_framework is not installed"):
        load("ghost")


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("products=lambda kinds, pairs: []", "too many positional arguments"),
        ("products=3", "3 is not a callable"),
        ('dtypes="float64"', "dtypes 'float64' is not accepted; give a tuple of float32, float64"),
        ('dtypes=("float16",)', "is not accepted; give a tuple"),
        ("products=lambda kinds, pairs, out=None: []", None),
        ("products=lambda *arguments: []", None),
    ],
)
def test_capabilities_that_a_run_cannot_use_are_refused_before_anything_is_timed(
    stated: str, message: str | None, tmp_path: Any
) -> None:
    """In a whole contract, too: the timing of its other rows would be lost."""
    file = tmp_path / "mine.py"
    for source in (
        "def forward(spec, params, X): ...",
        "from samegrad.implementations.mlp_numpy import *",
    ):
        file.write_text(
            f"from samegrad.implementations.contract.protocol import Capabilities\n"
            f"{source}\nCAPABILITIES = Capabilities({stated})\n"
        )
        if message is None:
            assert load(str(file)).capabilities.products is not None
            continue
        with pytest.raises(registry.BrokenImplementationError) as refused:
            load(str(file))
        assert message in str(refused.value)
        assert "products(kinds, pairs, out)" in str(refused.value) or "dtypes" in stated


OWN_NAMES = """
def accuracy(predictions, y): return (predictions.argmax(axis=1) == y).mean()
def to_numpy(x): return np.array(x)
def products(a, b): return a * b
def devices(): return 3
def synchronize(): raise RuntimeError
def precision(tp, fp): return tp / (tp + fp)
def take(n): return n
def epoch(n): return n
def params_from_numpy(): raise RuntimeError
DTYPES = "float64"
ACCURACY = 0.97
LEAVES_CYCLES = PASSES_PER_PARAMETER = 5
BACKEND = "agg"
CAPABILITIES = ["fast"]
import argparse
argparse.ArgumentParser().parse_args()
"""


def test_names_of_a_users_file_are_its_own(tmp_path: Any) -> None:
    """Whatever a from-scratch file calls its helpers, it is a plain NumPy file."""
    mine, bare = tmp_path / "mine.py", tmp_path / "bare.py"
    mine.write_text(planted.RIGHT + OWN_NAMES)
    bare.write_text(planted.RIGHT)
    params, X, y = problem(SPEC, 4)

    implementation = load(str(mine))

    plain = [load(str(bare)).capabilities, implementation.capabilities, Capabilities()]
    assert [None] * 3 == [capabilities.accuracy(SPEC) for capabilities in plain]
    facts = [{**vars(capabilities), "accuracy": None} for capabilities in plain]
    assert facts[0] == facts[1] == facts[2]
    assert ("cpu",) == implementation.devices()
    assert ("float32", "float64") == implementation.dtypes
    assert implementation.capabilities.accuracy(SPEC) is None
    placed = implementation.params_from_numpy(SPEC, params, "cpu")
    assert type(placed[0][0]) is np.ndarray
    assert check_gradient_of(implementation, params, X, y)


def test_file_states_backend_and_capabilities_under_one_name_each(tmp_path: Any) -> None:
    """A star-import carries both; what a file states goes over what its backend has."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from samegrad.implementations.contract.protocol import Capabilities\n"
        "from samegrad.implementations.backends.numpy_backend import NumpyBackend\n"
        "from samegrad.implementations.mlp_numpy import *\n"
        "class Other(NumpyBackend):\n"
        "    def devices(self): return ('cpu', 'other')\n"
        "BACKEND = Other()\n"
        "CAPABILITIES = Capabilities(dtypes=('float64',), accuracy=lambda _: {'float64': 1e-6})\n"
    )

    implementation = load(str(mine))

    assert ("cpu", "other") == implementation.devices()
    assert ("float64",) == implementation.dtypes
    assert {"float64": 1e-6} == implementation.capabilities.accuracy(SPEC)
    assert load("numpy").capabilities.products is implementation.capabilities.products
    assert implementation.capabilities.perceptron is None


@pytest.mark.parametrize("name", [n for n in names("all") if not registry.why_not_installed(n)])
def test_what_is_timed_is_the_networks_own_function(name: str) -> None:
    """No wrapper stands between the clock and a registered network."""
    implementation = load(name)

    for function in ("forward", "loss", "loss_and_grad", "init_state", "train_step"):
        assert getattr(implementation, function) is getattr(implementation.model, function)
    assert implementation.synchronize == implementation.backend.synchronize


@pytest.mark.parametrize(
    ("line", "written"),
    [
        (
            "from implementations.mlp_numpy import *",
            "write: from samegrad.implementations.mlp_numpy import ...",
        ),
        (
            "from implementations.interface import MLPSpec",
            "write: from samegrad.implementations.contract.spec import ...",
        ),
        (
            "from implementations import MLPSpec, load",
            "write: from samegrad import ...",
        ),
        (
            "from implementations import mlp_numpy",
            "write: from samegrad.implementations import ...",
        ),
        (
            "import implementations.parts_numpy",
            "write: import samegrad.implementations.functions_numpy",
        ),
    ],
)
def test_old_name_of_a_package_is_answered_with_what_to_write_now(
    line: str, written: str, tmp_path: Any
) -> None:
    """In one line, wherever the file is."""
    mine = tmp_path / "mine.py"
    mine.write_text(f'"""Mine."""\n{line}\n')

    with pytest.raises(registry.BrokenImplementationError) as refused:
        load(str(mine))

    assert written in str(refused.value)
    assert "line 2 imports implementations" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_file_with_two_functions_is_completed(tmp_path: Any) -> None:
    """Conversions are copies; what it lacks says so when it is asked for."""
    mine = tmp_path / "two.py"
    mine.write_text(planted.RIGHT)
    params, X, y = problem(SPEC, 4)

    implementation: Any = load(str(mine))

    assert ("loss", "init_state", "train_step") == implementation.lacks
    placed = implementation.params_from_numpy(SPEC, params, "cpu")
    assert placed[0][0] is not params[0][0]
    assert check_gradient_of(implementation, params, X, y)
    with pytest.raises(NotImplementedError, match="two has no train_step"):
        implementation.train_step(SPEC, placed, (), X, y, 0.1)


def check_gradient_of(implementation: Any, params: Any, X: Any, y: Any) -> bool:
    """Whether the gradient alone agrees with the reference."""
    from samegrad.implementations.checking import reference
    from samegrad.implementations.checking.comparison import compare

    _, grads = implementation.loss_and_grad(SPEC, params, X, y)
    expected = reference.expected(SPEC, params, X, y)
    return compare(expected.grads, grads, "float64", name="d{}").agrees


def test_file_outside_the_repository_is_an_implementation(tmp_path: Any) -> None:
    """Named by its path."""
    mine = tmp_path / "my_mlp.py"
    mine.write_text("from samegrad.implementations.mlp_numpy import *\n")

    implementation = load(str(mine))

    assert ("cpu",) == implementation.devices()
    assert "my_mlp" == registry.label(str(mine))


NETWORKS = (
    "from samegrad.implementations import mlp_numpy\n"
    "class Net:\n"
    "    def loss_and_grad(self, spec, params, X, y):\n"
    "        return mlp_numpy.loss_and_grad(spec, params, X, y)\n"
    "class OfSizes(Net):\n"
    "    def __init__(self, sizes): pass\n"
    "instance = Net()\n"
)


@pytest.mark.parametrize("name", ["Net", "instance", "mlp_numpy"])
def test_object_of_a_file_is_an_implementation(name: str, tmp_path: Any) -> None:
    """FILE.py:NAME: a class without arguments, an object, or a module that it has imported."""
    mine = tmp_path / "mine.py"
    mine.write_text(NETWORKS)
    params, X, y = problem(SPEC, 4)

    implementation = load(f"{mine}:{name}")

    assert check_gradient_of(implementation, params, X, y)
    assert mine == implementation.file
    assert f"mine:{name}" == registry.label(f"{mine}:{name}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Nett", "there is no 'Nett' in it; accepted: mlp_numpy, Net, OfSizes, instance; did you"),
        ("OfSizes", "OfSizes() fails: TypeError: "),
    ],
)
def test_what_is_no_network_of_a_file_is_said(name: str, expected: str, tmp_path: Any) -> None:
    """With what the file has."""
    mine = tmp_path / "mine.py"
    mine.write_text(NETWORKS)

    with pytest.raises(registry.BrokenImplementationError) as refused:
        load(f"{mine}:{name}")

    assert f"implementation '{mine}:{name}': {expected}" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("mine.py", ("mine.py", "")),
        ("a/mine.py:Net", ("a/mine.py", "Net")),
        ("package.module:net", ("package.module", "net")),
        ("C:\\a\\mine.py", ("C:\\a\\mine.py", "")),
        ("C:\\a\\mine.py:Net", ("C:\\a\\mine.py", "Net")),
        ("C:mine", ("C:mine", "")),
        ("mine.py:", ("mine.py:", "")),
        ("a:b.py", ("a:b.py", "")),
    ],
)
def test_name_of_an_object_follows_the_last_colon(name: str, parts: tuple[str, str]) -> None:
    """The letter of a drive has no name after it."""
    assert parts == registry.split(name)


def test_name_of_a_file_without_its_ending_is_answered_with_the_path(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who types `verify my_mlp` beside my_mlp.py is one word from what is meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_mlp.py").write_text(NETWORKS)

    with pytest.raises(registry.UnknownImplementationError) as refused:
        registry.check_name("my_mlp")

    assert "'my_mlp' is not known; did you mean the file my_mlp.py?" in str(refused.value)


def test_object_means_the_same_from_any_folder(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers and resumed runs are told the whole path."""
    monkeypatch.chdir(tmp_path)

    assert f"{tmp_path / 'mine.py'}:Net" == registry.absolute("mine.py:Net")
    assert "package.module:net" == registry.absolute("package.module:net")


def test_file_is_a_module_while_it_is_loaded(tmp_path: Any, monkeypatch: Any) -> None:
    """Dataclasses look their module up, neighbours import the file; NumPy stays NumPy."""
    (tmp_path / "circular_net.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from samegrad.implementations.mlp_numpy import *\n"
        "@dataclass\nclass Settings:\n    rate: float = 0.1\n"
        "import circular_neighbour\n"
    )
    (tmp_path / "circular_neighbour.py").write_text("from circular_net import Settings\n")
    (tmp_path / "numpy.py").write_text("from samegrad.implementations.mlp_numpy import *\n")
    monkeypatch.setattr("sys.path", list(sys.path))
    for name in ("circular_net", "circular_neighbour"):
        monkeypatch.setitem(sys.modules, name, None)  # so that they are forgotten in the end
        del sys.modules[name]

    network = registry.load(str(tmp_path / "circular_net.py"))
    named_numpy = registry.load(str(tmp_path / "numpy.py"))

    assert () == network.lacks == named_numpy.lacks
    assert sys.modules["numpy"] is np
