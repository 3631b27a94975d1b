"""A convention that is exactly predicted is a note; whatever is beside it stays wrong."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.cli import main
from samegrad.implementations.checking import problems, repeats
from samegrad.implementations.checking.notes import CODES
from samegrad.implementations.checking.predictions import Convention
from samegrad.implementations.checking.report import VerifyOptions, VerifyReport
from samegrad.implementations.checking.verifier import verify_problems
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.here import report_of
from tests.helpers.planted import RIGHT

Edits = tuple[tuple[str, str], ...]
CE_LOSS = "loss = -log_p[np.arange(n), y].sum() / n"
CE_SLOPE = "delta[np.arange(n), y] -= 1\n        delta = delta / n"
MSE_LOSS, MSE_SLOPE = "loss = ((a - y) ** 2).sum() / 2 / n", "delta = (a - y) / n"
DECAY = "    loss = loss + spec.weight_decay / 2 * sum((W**2).sum() for W, b in params)\n"
DECAY_SLOPE = "dW = dW + spec.weight_decay * W"
RELU_SLOPE = "return (z > 0).astype(z.dtype)"
P = "np.exp(log_p[np.arange(n), y])"
EPSILON = (CE_LOSS, f"loss = -np.log({P} + 1e-7).sum() / n")
# delta of an example times p / (p + 1e-7): the derivative of log(p + 1e-7)
EPSILON_SLOPE = (
    CE_SLOPE,
    f"{CE_SLOPE}\n        delta = (delta.T * ({P} / ({P} + 1e-7))).T.astype(X.dtype)",
)
CLIP = (CE_LOSS, f"loss = -np.log(np.clip({P}, 1e-12, 1)).sum() / n")
GELU = (
    'if name == "tanh":\n        return np.tanh(z)',
    'if name == "gelu":\n        from math import erf\n'
    "        e = np.vectorize(erf, otypes=[z.dtype])"
    "\n        return z * z.dtype.type(0.5) * (1 + e(z / z.dtype.type(2 ** 0.5)))\n"
    '    if name == "tanh":\n        return np.tanh(z)',
)
GELU_SLOPE = (
    'if name == "tanh":\n        return 1 - np.tanh(z) ** 2',
    'if name == "gelu":\n        from math import erf\n'
    "        e = np.vectorize(erf, otypes=[z.dtype])"
    "\n        bell = np.exp(-z * z / 2) / z.dtype.type((2 * np.pi) ** 0.5)\n"
    "        return (z.dtype.type(0.5) * (1 + e(z / z.dtype.type(2 ** 0.5))) + z * bell)\n"
    '    if name == "tanh":\n        return 1 - np.tanh(z) ** 2',
)
TANH_GELU_SLOPE = (
    GELU_SLOPE[0],
    'if name == "gelu":\n        h = z.dtype.type(1e-6)\n'
    "        f = lambda x: x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))\n"
    "        return ((f(z + h) - f(z - h)) / (2 * h)).astype(z.dtype)\n"
    '    if name == "tanh":\n        return 1 - np.tanh(z) ** 2',
)
DOUBLE = ("    inputs, zs, a = [], [], X\n", "    inputs, zs, a = [], [], X.astype(np.float64)\n")
# name: (what is replaced, the codes of its notes)
CONVENTIONS: dict[str, tuple[Edits, set[str]]] = {
    "epsilon, gradient without": ((EPSILON,), {"epsilon-in-log"}),
    "epsilon in both": ((EPSILON, EPSILON_SLOPE), {"epsilon-in-log"}),
    "epsilon of 1e-3": (
        ((EPSILON[0], EPSILON[1].replace("1e-7", "1e-3")),),
        {"epsilon-in-log"},
    ),
    "clip": ((CLIP,), {"clip"}),
    "clip on both sides": (
        ((CLIP[0], CLIP[1].replace("1e-12, 1)", "1e-7, 1 - 1e-7)")),),
        {"clip"},
    ),
    "clip at the rounding of each dtype": (
        (
            (
                CLIP[0],
                f"e = np.finfo(X.dtype).eps\n        {CLIP[1]}".replace("1e-12, 1)", "e, 1 - e)"),
            ),
        ),
        {"clip"},
    ),
    "kink of 1": (((RELU_SLOPE, "return (z >= 0).astype(z.dtype)"),), {"kink"}),
    "kink of 1/2": (((RELU_SLOPE, "return ((np.sign(z) + 1) / 2).astype(z.dtype)"),), {"kink"}),
    "float64 always": ((DOUBLE,), {"float64-only"}),
    "sums over the batch": (
        (
            (CE_LOSS, CE_LOSS.replace(" / n", "")),
            (CE_SLOPE, CE_SLOPE.replace(" / n", "")),
            (MSE_LOSS, MSE_LOSS.replace(" / n", "")),
            (MSE_SLOPE, MSE_SLOPE.replace(" / n", "")),
        ),
        {"summed"},
    ),
    "squares summed over the batch": (
        ((MSE_LOSS, MSE_LOSS.replace(" / n", "")), (MSE_SLOPE, MSE_SLOPE.replace(" / n", ""))),
        {"summed"},
    ),
    "squares averaged over outputs": (
        (
            (MSE_LOSS, "loss = ((a - y) ** 2).mean()"),
            (MSE_SLOPE, "delta = 2 * (a - y) / a.size"),
        ),
        {"factor"},
    ),
    "squares without the half": (
        (
            (MSE_LOSS, "loss = ((a - y) ** 2).sum() / n"),
            (MSE_SLOPE, "delta = 2 * (a - y) / n"),
        ),
        {"factor"},
    ),
    "a factor of its own on everything": (
        (
            (
                "    return loss, grads",
                "    c = X.dtype.type(1.7)\n    return c * loss, [(c * W, b if b "
                "is None else c * b) for W, b in grads]",
            ),
        ),
        {"factor"},
    ),
    "decay over the batch": (
        (
            (DECAY, DECAY.replace("/ 2 *", "/ 2 / n *")),
            (DECAY_SLOPE, "dW = dW + spec.weight_decay / n * W"),
        ),
        {"decay-over-batch"},
    ),
    "decay without its half": (
        (
            (DECAY, DECAY.replace(" / 2 *", " *")),
            (DECAY_SLOPE, "dW = dW + 2 * spec.weight_decay * W"),
        ),
        {"factor"},
    ),
    "exact gelu": ((GELU, GELU_SLOPE), {"exact-gelu"}),
    "probabilities": (
        (
            (
                "    return layers(spec, params, X)[2]\n",
                "    a = layers(spec, params, X)[2]\n"
                "    return np.exp(log_softmax(a)) if spec.loss == 'cross_entropy' else a\n",
            ),
        ),
        {"probabilities"},
    ),
    "one number in an array": (
        (("    return loss, grads", "    return loss.reshape(1), grads"),),
        {"one-number"},
    ),
    "sums, epsilon and float64": (
        (
            DOUBLE,
            (CE_LOSS, f"loss = -np.log({P} + 1e-5).sum()"),
            (CE_SLOPE, CE_SLOPE.replace(" / n", "")),
        ),
        {"summed", "epsilon-in-log", "float64-only"},
    ),
}
BESIDE: dict[str, Edits] = {
    "epsilon in the gradient alone": (EPSILON_SLOPE,),
    "epsilon of two sizes": (
        (EPSILON[0], f"loss = -np.log({P} + (1e-7 if n > 4 else 1e-5)).sum() / n"),
    ),
    "epsilon added to the loss": ((CE_LOSS, CE_LOSS + " + 1e-7"),),
    "epsilon subtracted": ((EPSILON[0], EPSILON[1].replace("+ 1e-7", "- 1e-7")),),
    "epsilon, gradient of another": (
        EPSILON,
        (EPSILON_SLOPE[0], EPSILON_SLOPE[1].replace("1e-7", "1e-2")),
    ),
    "clip, gradient zero below another bound": (
        CLIP,
        (CE_SLOPE, f"{CE_SLOPE}\n        delta[{P} < 0.3] = 0"),
    ),
    "clip of the gradient alone": ((CE_SLOPE, f"{CE_SLOPE}\n        delta[{P} < 1e-3] = 0"),),
    "clip, gradient cut": (
        CLIP, (CE_SLOPE, f"{CE_SLOPE}\n        delta = delta.clip(-0.1, 0.1)")
    ),
    "kink of 2": (((RELU_SLOPE, "return np.where(z == 0, 2, z > 0).astype(z.dtype)"),)),
    "kink and beyond": ((RELU_SLOPE, "return (z > -0.1).astype(z.dtype)"),),
    "float64 of a float32 inside": (
        ("    inputs, zs, a = [], [], X\n",
         "    inputs, zs, a = [], [], X.astype(np.float16).astype(np.float64)\n"),
    ),
    "sum in the gradient alone": ((CE_SLOPE, CE_SLOPE.replace(" / n", "")),),
    "sum in the loss alone": ((CE_LOSS, CE_LOSS.replace(" / n", "")),),
    "factor of 2 in the gradient alone": ((MSE_SLOPE, "delta = 2 * (a - y) / n"),),
    "factor of 2 in the loss alone": ((MSE_LOSS, "loss = ((a - y) ** 2).sum() / n"),),
    "mean over outputs, gradient of the sum": ((MSE_LOSS, "loss = ((a - y) ** 2).mean() / 2"),),
    "decay over the batch in the gradient alone": (
        (DECAY_SLOPE, "dW = dW + spec.weight_decay / n * W"),
    ),
    "decay over the batch in the loss alone": ((DECAY, DECAY.replace("/ 2 *", "/ 2 / n *")),),
    "decay of b in both": (
        (DECAY, DECAY + "    loss = loss + spec.weight_decay / 2 * sum((b**2).sum() for W, b in "
         "params if b is not None)\n"),
        ("delta.sum(axis=0)", "delta.sum(axis=0) + spec.weight_decay * b"),
    ),
    "exact gelu, slope of the other": (GELU, TANH_GELU_SLOPE),
    "probabilities of a larger temperature": (
        ("    return layers(spec, params, X)[2]\n",
         "    a = layers(spec, params, X)[2]\n    return np.exp(log_softmax(a * 1.001))\n"),
    ),
    "sums for some batches": (
        (CE_LOSS, "m = n if n > 4 else 1\n        " + CE_LOSS.replace(" / n", " / m")),
        (CE_SLOPE, CE_SLOPE.replace(" / n", " / m")),
    ),
    "a factor that is not of one kind": (
        ("    return loss, grads", "    c = 1 + len(params)\n    return c * loss, [(c * W, b if b "
         "is None else c * b) for W, b in grads]"),
    ),
    "two numbers": (("    return loss, grads", "    return np.array([loss, loss]), grads"),),
    "epsilon and weight decay missing": (EPSILON, ("        " + DECAY_SLOPE + "\n", "")),
}  # fmt: skip


def written(folder: Path, edits: Edits) -> str:
    """A right file with some lines replaced."""
    text = RIGHT
    for old, new in edits:
        assert 1 == text.count(old), old
        text = text.replace(old, new)
    path = folder / "my_mlp.py"
    path.write_text(text)
    return str(path)


@cache
def chosen() -> VerifyOptions:
    """Every second of the standard problems, and those made by hand."""
    half = [*problems.standard("float64")[:-4:2], *problems.standard("float32")[:-4:10]]
    return VerifyOptions([*half, *problems.by_hand("float64"), *problems.by_hand("float32")])


def judged(folder: Path, edits: Edits) -> VerifyReport:
    """What is said of a file with those edits."""
    return report_of(written(folder, edits), chosen(), ("loss_and_grad", "forward"))


@pytest.mark.parametrize("name", CONVENTIONS)
def test_convention_is_a_note_and_agrees(name: str, tmp_path: Path) -> None:
    """In loss and gradient, with the code that CI can allow."""
    edits, codes = CONVENTIONS[name]

    report = judged(tmp_path, edits)

    assert ("agrees", "") == (report.verdict, report.reason)
    assert codes == {note.code for note in report.notes}, report.notes
    assert all(note.code in CODES for note in report.notes)


@pytest.mark.parametrize("name", BESIDE)
def test_fault_beside_a_convention_disagrees(name: str, tmp_path: Path) -> None:
    """What is in one of loss and gradient alone, or in some problems alone."""
    report = judged(tmp_path, BESIDE[name])

    assert "disagrees" == report.verdict, report.notes
    assert report.reason


@pytest.mark.parametrize(
    "name",
    [
        "sums, epsilon and float64",
        *(pytest.param(name, marks=pytest.mark.full) for name in (*CONVENTIONS, *BESIDE)),
    ],
)
def test_verdict_of_a_child_process_is_the_same(name: str, tmp_path: Path) -> None:
    """With exact results, too."""
    edits = BESIDE[name] if name in BESIDE else CONVENTIONS[name][0]

    here, child = judged(tmp_path, edits), verify_problems(written(tmp_path, edits), chosen())

    assert (here.verdict, here.notes) == (child.verdict, child.notes)


def test_size_of_a_small_number_is_said(tmp_path: Path) -> None:
    """And whether the gradient has it."""
    without = judged(tmp_path, (EPSILON,)).notes[0].text
    within = judged(tmp_path, (EPSILON, EPSILON_SLOPE)).notes[0].text
    clipped = judged(tmp_path, (CLIP,)).notes[0].text

    assert "log(p + 1e-07); the gradient is that of log(p)" in without
    assert "log(p + 1e-07); the gradient is its derivative" in within
    assert "clipped at 1e-12" in clipped


def test_size_of_a_small_number_is_measured_where_it_shows(tmp_path: Path) -> None:
    """1.3e-12 beside ordinary probabilities has four digits, which large logits refute."""
    ordinary = problems.draw(MLPSpec((5, 7, 3), "tanh", dtype="float64"), name="drawn")
    *first, (W, b) = ordinary.params
    large = replace(ordinary, name="large logits", params=[*first, (300 * W, b)])
    path = written(tmp_path, ((EPSILON[0], EPSILON[1].replace("1e-7", "1.3e-12")),))

    report = report_of(path, VerifyOptions([ordinary, large]))

    assert ("agrees", ["epsilon-in-log"]) == (report.verdict, [n.code for n in report.notes])


def test_size_of_a_small_number_may_be_so_many_roundings_of_each_dtype(tmp_path: Path) -> None:
    """Where probabilities are below it in both, no one number explains the two."""
    chosen = []
    for dtype, factor in (("float64", 150.0), ("float32", 60.0)):
        drawn = problems.draw(MLPSpec((5, 7, 3), "tanh", dtype=dtype), name=dtype)
        *first, (W, b) = drawn.params
        chosen.append(replace(drawn, params=[*first, (factor * W, b)]))
    edits, codes = CONVENTIONS["clip at the rounding of each dtype"]

    report = report_of(written(tmp_path, edits), VerifyOptions(chosen))

    assert ("agrees", codes) == (report.verdict, {note.code for note in report.notes})


@pytest.mark.parametrize("cut", ["", "        delta = delta.clip(-0.1, 0.1)\n"])
def test_size_of_a_small_number_is_as_people_write_it(cut: str, tmp_path: Path) -> None:
    """A decay of 1e6 hides the last digits of a clip at the rounding of float64; faults stay."""
    spec = MLPSpec((5, 7, 3), "tanh", dtype="float64")
    drawn = problems.draw(spec, name="drawn")
    *first, (W, b) = drawn.params
    clipped = replace(drawn, name="large logits", params=[*first, (1000 * W, b)])
    decayed = replace(clipped, name="decayed", spec=replace(spec, weight_decay=1.0))
    rounding = f"e = np.finfo(X.dtype).eps\n        {CLIP[1]}".replace("1e-12, 1)", "e, 1 - e)")
    path = written(tmp_path, ((CLIP[0], rounding), (CE_SLOPE, f"{CE_SLOPE}\n{cut}".rstrip())))

    report = report_of(path, VerifyOptions([drawn, clipped, decayed]))

    expected = ("disagrees", []) if cut else ("agrees", ["clip"])
    assert expected == (report.verdict, [note.code for note in report.notes])


def test_right_file_has_no_notes(tmp_path: Path) -> None:
    """Nothing is found where nothing differs."""
    assert ([], "agrees") == (list((report := judged(tmp_path, ())).notes), report.verdict)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "mse"])
@pytest.mark.parametrize(
    "convention",
    [
        Convention(),
        Convention(data=(1.0, 1, 0), decay=(2.0, -1, 0)),
        Convention(data=(1.7, 0, -1)),
        Convention(log="epsilon", size=1e-2, in_slope=True),
        Convention(log="clip", size=0.2, in_slope=True),
        Convention(log="floor", size=0.2, in_slope=True),
        Convention(exact_gelu=True),
    ],
    ids=lambda convention: convention.log or str(convention.data) + "gelu" * convention.exact_gelu,
)
def test_predicted_gradient_is_the_derivative_of_the_predicted_loss(
    convention: Convention, loss: Any
) -> None:
    """Held to central differences in random directions, to 1e-7 of the slope."""
    spec = MLPSpec((4, 5, 3), "gelu", loss=loss, weight_decay=0.1, dtype="float64")
    p = problems.draw(spec)
    rng = np.random.default_rng(0)
    h = 1e-5

    def moved(step: float, along: Any) -> Any:
        return [
            (W + step * V, b + step * v) for (W, b), (V, v) in zip(p.params, along, strict=True)
        ]

    for _ in range(3):
        along = [(rng.normal(size=W.shape), rng.normal(size=b.shape)) for W, b in p.params]
        high, low = (
            convention.expected(replace(p, params=moved(step, along)), 1.0).loss for step in (h, -h)
        )
        gradient = repeats.flat(convention.expected(p, 1.0).grads)
        slope = float(gradient @ repeats.flat(along))

        assert slope == pytest.approx((high - low) / (2 * h), rel=1e-7, abs=1e-9)


def test_predicted_terms_have_their_powers_of_batch_and_outputs() -> None:
    """(c, i, j): c batch^i outputs^j."""
    p = problems.draw(MLPSpec((4, 5, 3), "tanh", weight_decay=0.1, dtype="float64"), 6)
    ours = Convention().expected(p, 1.0).loss
    data = Convention().expected(replace(p, spec=replace(p.spec, weight_decay=0.0)), 1.0).loss

    predicted = Convention(data=(1.7, 1, -1), decay=(2.0, -1, 2)).expected(p, 1.0).loss

    assert predicted == pytest.approx(1.7 * 6 / 3 * data + 2.0 / 6 * 9 * (ours - data), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_predicted_small_number_is_so_many_roundings_of_each_dtype(dtype: Any) -> None:
    """-log of three of them is the loss of what is clipped there."""
    convention = Convention(log="clip", size=3 * 2.0**-52, in_roundings=True)

    loss = convention.expected(problems.improbable(1e-30, "cross_entropy", dtype), 1.0).loss

    assert loss == pytest.approx(-np.log(3 * float(np.finfo(dtype).eps)), rel=1e-12)


def test_strict_fails_on_a_note_that_is_not_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 without --strict, 1 with it, 0 where the code is allowed, 2 for an unknown one."""
    path = tmp_path / "my_mlp.py"
    path.write_text(RIGHT.replace(*DOUBLE))
    verify = ["verify", str(path), "--layers", "4-3-2"]

    assert 0 == main(verify)
    assert 1 == main([*verify, "--strict"])
    assert 1 == main([*verify, "--strict", "--allow", "summed"])
    assert 0 == main([*verify, "--strict", "--allow", "summed,float64-only"])
    assert 2 == main([*verify, "--strict", "--allow", "float65"])
    assert "--allow float65 is not known; accepted: " in capsys.readouterr().err
