"""A user's own names and habits: nothing of theirs is taken for ours, nothing ends the verifier."""

import json
from functools import cache
from pathlib import Path

import pytest

from samegrad.cli import main
from samegrad.implementations.checking import problems
from samegrad.implementations.checking.calls import FUNCTIONS
from samegrad.implementations.checking.report import VerifyOptions, VerifyReport
from samegrad.implementations.checking.verifier import verify_problems
from samegrad.implementations.contract.registry import load
from tests.helpers.here import report_of
from tests.helpers.planted import RIGHT

FULL = (pytest.mark.full,)
# What files from scratch have beside the two functions; each under a name that we have, too.
OWN = {
    "accuracy of predictions": "def accuracy(pred, y):\n    return (pred == y).mean()\n",
    "ACCURACY, a number": "ACCURACY = 0.97\n",
    "ACCURACY, a text": "ACCURACY = 'high'\n",
    "products of a shop": "products = ['apple', 'pear']\n",
    "devices, a list": "devices = ['cpu', 'cuda:0']\n",
    "devices of a number": "def devices(n):\n    return n / 0\n",
    "DTYPES, a text": "DTYPES = 'float64'\n",
    "DTYPES, a set": "DTYPES = {np.float64}\n",
    "to_numpy of a list": "def to_numpy(x):\n    raise RuntimeError\n",
    "synchronize of files": "def synchronize(a, b):\n    raise RuntimeError\n",
    "precision of classes": "def precision(y, p):\n    raise RuntimeError\n",
    "epoch, a number": "epoch = 12\n",
    "BACKEND, a text": "BACKEND = 'matplotlib'\n",
    "CAPABILITIES, a dict": "CAPABILITIES = {}\n",
    "loss of two": "def loss(y, p):\n    return -np.log(p[np.arange(len(y)), y]).mean()\n",
    "loss of four": "def loss(y, p, weights, lam):\n    raise RuntimeError\n",
    "loss, a number": "loss = 0.5\n",
    "train_step of a batch": "def train_step(x, y):\n    raise RuntimeError\n",
    "init_state, no arguments": "def init_state():\n    raise RuntimeError\n",
    "arguments": "import argparse\nargparse.ArgumentParser().parse_args()\n",
    "argv by index": "import sys\nassert len(sys.argv) == 1 and sys.argv[0].endswith('.py')\n",
}
PASSED_OVER = {
    "loss of two": "loss(y, p)",
    "loss of four": "loss(y, p, weights, lam)",
    "train_step of a batch": "train_step(x, y)",
    "init_state, no arguments": "init_state()",
}
# What loss_and_grad may return, and the verdict.
RETURNED = {
    "return grads, loss": "disagrees",
    "return loss, {'W1': grads[0][0], 'b1': grads[0][1]}": "disagrees",
    "return loss, (pair for pair in grads)": "disagrees",
    "return (x for x in (loss, grads))": "not checked",
    "return loss, [[pair] for pair in grads]": "disagrees",
    "return loss, [grads]": "disagrees",
    "return loss, [dW for dW, _ in grads]": "disagrees",
    "return loss, []": "disagrees",
    "return loss, None": "disagrees",
    "return None": "not checked",
    "return loss, grads, 0.9": "not checked",
    "return {'loss': loss, 'grads': grads}": "not checked",
    "return loss, [(str(dW), db) for dW, db in grads]": "disagrees",
    "return loss, [(dW.astype(object), db) for dW, db in grads]": "disagrees",
    "return grads, grads": "disagrees",
    "return {}, {}": "disagrees",
    "return loss, np.array(grads, dtype=object)": "disagrees",
    "grads.append(grads); return loss, grads": "not checked",
    "return loss + 0j, grads": "disagrees",
}


# Those whose results are hard to send.
CHILD = ("return (x for x in (loss, grads))", "return {}, {}", "grads.append(grads)")


@cache
def few() -> VerifyOptions:
    """A few problems."""
    return VerifyOptions([*problems.standard("float64")[:12:4], problems.standard("float32")[1]])


def judged(folder: Path, text: str, child: bool = False) -> VerifyReport:
    """A file's verdict on a few problems, in this process or in a child."""
    path = folder / "my_mlp.py"
    path.write_text(text)
    return verify_problems(str(path), few()) if child else report_of(path, few(), FUNCTIONS)


@pytest.mark.parametrize("name", OWN)
def test_name_of_the_users_own_is_not_taken_for_ours(name: str, tmp_path: Path) -> None:
    """The gradient is right, whatever else the file has; what is passed over is said."""
    report = judged(tmp_path, RIGHT + OWN[name])

    assert ("agrees", "") == (report.verdict, report.reason)
    said = [remark for remark in report.remarks if remark.startswith("passed over")]
    own = PASSED_OVER.get(name)
    assert [f"passed over, the file's own by its arguments: {own}"] * bool(own) == said


def test_loss_of_the_contract_is_checked_under_any_names_of_its_arguments(tmp_path: Path) -> None:
    """Those of the file's own loss_and_grad, and whatever stars take."""
    text = RIGHT.replace("def loss_and_grad(spec,", "def loss_and_grad(net,").replace(
        "    inputs, zs, a = layers(spec, params, X)\n    n = len(X)",
        "    spec = net\n    inputs, zs, a = layers(spec, params, X)\n    n = len(X)",
    )
    for head in ("net, W, X, t", "spec, p, X, y", "*a", "_spec, p, X, y, masks=None"):
        report = judged(tmp_path, f"{text}\ndef loss({head}):\n    return 99.0\n")

        assert "disagrees" == report.verdict and "loss: error" in report.reason, head


def test_file_with_functions_of_its_own_only_is_not_checked(tmp_path: Path) -> None:
    """What it has is shown, and how to go on."""
    report = judged(
        tmp_path,
        "def forward(X):\n    return X\ndef loss_and_grad(w):\n    return w\n",
        child=True,
    )

    assert "not checked" == report.verdict
    assert "its own forward(X) and loss_and_grad(w) take other arguments" in report.reason
    assert "samegrad.check" in report.reason


@pytest.mark.parametrize(
    ("returned", "child"),
    [
        *((returned, False) for returned in RETURNED),
        *(
            pytest.param(returned, True, marks=() if returned.startswith(CHILD) else FULL)
            for returned in RETURNED
        ),
    ],
)
def test_whatever_is_returned_ends_nothing(returned: str, child: bool, tmp_path: Path) -> None:
    """A verdict and one line of reason, in this process and through a pipe."""
    report = judged(tmp_path, RIGHT.replace("return loss, grads", returned), child)

    assert RETURNED[returned] == report.verdict, report.reason
    assert report.reason and "\n" not in report.reason
    json.dumps(report.to_dict())


@pytest.mark.parametrize(
    ("package", "made"),
    [
        ("torch", "import torch\n    made = lambda a: torch.tensor(a, requires_grad=True)"),
        ("torch", "import torch\n    made = torch.as_tensor"),
        pytest.param(
            "jax",
            "import jax\n    jax.config.update('jax_enable_x64', True)\n"
            "    made = jax.numpy.asarray",
            marks=FULL,
        ),
    ],
    ids=["torch with a graph", "torch", "jax"],
)
def test_arrays_of_a_framework_are_fetched(package: str, made: str, tmp_path: Path) -> None:
    """Right ones agree, with a remark; wrong ones do not."""
    pytest.importorskip(package, reason=f"{package} is not installed")
    end = (
        f"    {made}\n"
        "    return made(loss), [(made(dW), None if db is None else made(db)) for dW, db in grads]"
    )
    text = RIGHT.replace("    return loss, grads", end)

    child = package == "jax"  # whose float64 is a setting of the whole process
    right = judged(tmp_path, text, child)
    wrong = judged(tmp_path, text.replace("made(dW)", "made(1.001 * dW)"), child)

    assert ("agrees", "") == (right.verdict, right.reason)
    assert f"what it gives are arrays of {package}: fetched as NumPy's" in right.remarks
    assert "disagrees" == wrong.verdict


def test_implementation_says_which_functions_are_the_users_own(tmp_path: Path) -> None:
    """They are lacking, so that nothing calls them."""
    path = tmp_path / "my_mlp.py"
    path.write_text(RIGHT + OWN["loss of two"])

    implementation = load(path)

    assert ("loss(y, p)",) == implementation.others and "loss" in implementation.lacks


@pytest.mark.parametrize(
    ("names", "status"),
    [
        pytest.param(("right",), 0, marks=FULL),
        pytest.param(("right", "wrong"), 1, marks=FULL),
        pytest.param(("random", "right"), 3, marks=FULL),
        (("nothing", "right"), 4),
        (("random", "nothing"), 3),
        (("wrong", "random", "nothing"), 1),
    ],
)
def test_exit_status_tells_the_verdicts_apart(
    names: tuple[str, ...], status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 agrees, 1 disagrees, 3 undecided, 4 not checked: the worst of all."""
    texts = {
        "right": RIGHT,
        "wrong": RIGHT.replace("        delta = delta / n\n", ""),
        "random": RIGHT.replace(
            "        a = g(name, z)\n", "        a = g(name, z) * np.random.random()\n"
        ),
        "nothing": "class Network:\n    pass\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)

    paths = [str(tmp_path / f"{name}.py") for name in names]

    assert status == main(["verify", *paths, "--layers", "4-3-2", "--dtype", "float64"])
    assert f"{len(names)} verified: " in capsys.readouterr().out
