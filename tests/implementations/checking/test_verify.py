"""`verify`: right gradients agree, planted faults are located, nothing brings it down."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.cli import main
from samegrad.implementations.checking import diagnosis, lines, problems
from samegrad.implementations.checking.assertions import assert_gradients_agree
from samegrad.implementations.checking.report import VerifyOptions, summary
from samegrad.implementations.checking.verifier import verify, verify_problems
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers import planted
from tests.helpers.planted import FAULTS, RIGHT, plant

BROKEN_BACKEND = """
from samegrad.implementations.backends.numpy_backend import NumpyBackend

class Backend(NumpyBackend):
    def devices(self):
        return 1 / 0

BACKEND = Backend()
"""


@cache
def every_problem(dtype: Any) -> list[Any]:
    """Made once, so that their exact results are computed once."""
    return problems.standard(dtype)


def options(**changes: Any) -> VerifyOptions:
    """Every problem in float64, and some in float32: a fault shows in both."""
    chosen = [*every_problem("float64"), *every_problem("float32")[::6]]
    return VerifyOptions(**({"problems": chosen, "time_limit": 60.0} | changes))


def written(folder: Path, text: str, name: str = "my_mlp.py") -> str:
    """A user's file."""
    path = folder / name
    path.write_text(text)
    return str(path)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line."""
    command = [sys.executable, "-m", "samegrad", "verify", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, entry in registry.TABLE.items()
        if entry.whole and entry.cpu and not (entry.compiles or entry.small)
    ],
)
def test_own_implementation_agrees_with_exact_results(name: str) -> None:
    """Every tensor of every problem, with its error in ulp."""
    missing = registry.why_not_installed(name)
    if missing:
        pytest.skip(missing)

    every = [*every_problem("float64"), *every_problem("float32")]
    report = verify_problems(name, options(problems=every))

    assert "agrees" == report.verdict, report.reason
    checks = [t for outcome in report.outcomes for t in outcome.comparison.tensors]
    assert all(t.error is not None and t.ulps is not None for t in checks)
    exact = [t for t in checks if t.name.startswith("d") and t.bound in (1e-12, 1e-5)]
    assert exact and 0 < max(t.ulps or 0 for t in exact) < 100


# flax computes with JAX's loss and updates, and is compared with the reference elsewhere.
@pytest.mark.parametrize(
    ("name", "every"),
    [
        ("jax", 2),
        *(pytest.param(name, 1, marks=pytest.mark.full) for name in ("jax", "flax")),
        ("numba", 1),
    ],
)
def test_compiled_implementation_agrees_with_exact_results(name: str, every: int) -> None:
    """A few of the problems: each is compiled anew."""
    missing = registry.why_not_installed(name)
    if missing:
        pytest.skip(missing)
    few = every_problem("float64")[:: 12 * every] + every_problem("float32")[5 :: 20 * every]

    assert "agrees" == verify_problems(name, options(problems=few)).verdict
    assert len(few) <= 12


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_refused_and_located(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the place named, or left open where nothing decides it; of lines see below."""
    monkeypatch.setattr(lines, "of_problem", lambda *_: [])
    limit = 2.0 if fault == "hangs" else 60.0

    report = verify_problems(plant(tmp_path, fault), options(time_limit=limit))

    assert planted.verdict(fault) == report.verdict
    text = "\n".join([report.reason, *report.diagnosis, *map(str, report.notes)])
    assert FAULTS[fault][2] and FAULTS[fault][2] in text, text


def test_at_least_twenty_faults_are_planted() -> None:
    """Each is a fault: the file without it agrees (below)."""
    assert len(FAULTS) >= 40


def test_right_file_with_two_functions_agrees(tmp_path: Path) -> None:
    """What it does not support and what it lacks is a note, not a failure."""
    report = verify_problems(written(tmp_path, RIGHT), options())

    assert ("agrees", "") == (report.verdict, report.reason)
    notes = "\n".join(report.remarks)
    assert "not in the file, not checked: loss, train_step" in notes
    assert "no activation gelu" in notes
    assert "takes no masks" in notes
    assert {"agree", "not supported"} == {outcome.status for outcome in report.outcomes}


@pytest.mark.parametrize(
    ("text", "verdict", "reason"),
    [
        (
            "def forward(spec, params, X):\n    raise NotImplementedError('later')\n",
            "not checked",
            "nothing could",
        ),
        (
            "def loss_and_grad(spec, params, X, y):\n    raise NotImplementedError('later')\n",
            "not checked",
            "nothing could be checked",
        ),
        ("def forward(spec, params, X):\n    return X\n", "disagrees", "outputs: shape"),
    ],
)
def test_file_for_which_nothing_could_be_checked_does_not_pass(
    text: str, verdict: str, reason: str, tmp_path: Path
) -> None:
    """No gradient, no agreement."""
    report = verify_problems(written(tmp_path, text), options())

    assert verdict == report.verdict
    assert reason in report.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import numpy as np\ndef f(:\n", "could not be loaded: SyntaxError: invalid syntax"),
        ("def f():\nreturn 1\n", "could not be loaded: IndentationError"),
        ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("import sys\nsys.exit(0)\n", "could not be loaded: SystemExit: 0 (my_mlp.py:2)"),
        ("raise ValueError('no data')\n", "could not be loaded: ValueError: no data (my_mlp.py:1)"),
        ("raise KeyboardInterrupt\n", "loading: it ends the process: "),
        ("import os\nos._exit(0)\n", "loading: it ends the process: exit status 0"),
        ("while True: pass\n", "loading: it hangs: no result within 2 s"),
        ("x = 1\n", "defines neither forward(spec, params, X) nor loss_and_grad"),
        ("\0", "could not be loaded: SyntaxError"),
        (RIGHT + BROKEN_BACKEND, "ZeroDivisionError: division by zero"),
    ],
)
def test_file_that_cannot_be_loaded_is_not_checked(text: str, reason: str, tmp_path: Path) -> None:
    """Nothing was compared, so nothing disagrees; the reason is one line."""
    few = problems.standard("float64")[:1]

    report = verify_problems(written(tmp_path, text), options(problems=few, time_limit=2.0))

    assert "not checked" == report.verdict
    assert reason in report.reason and "\n" not in report.reason
    assert f"my_mlp: NOT CHECKED: {report.reason}" == str(report)
    assert not report.agrees and [] == report.diagnosis


def test_name_of_no_file_and_no_module_is_not_checked_in_plain_words() -> None:
    """A name with a dot may be a module; the name of an exception says nothing."""
    report = verify("my_net.txt", layers=(2, 2))

    said = "implementation 'my_net.txt': no module named 'my_net', and no file 'my_net.txt'"
    assert ("not checked", said) == (report.verdict, report.reason)


@pytest.mark.parametrize("here", [True, False], ids=["checkout", "elsewhere"])
@pytest.mark.parametrize("package", ["implementations", "benchmarks"])
def test_file_that_imports_by_an_old_name_is_told_the_new_one(
    here: bool, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a checkout, where the folders are on the path, and where they are not."""
    path = written(tmp_path, f"from {package}.contract import spec\n" + RIGHT)
    monkeypatch.chdir(ROOT if here else tmp_path)

    report = verify(path, layers=(2, 2))

    assert "not checked" == report.verdict
    assert "could not be loaded" in report.reason
    assert f"line 1 imports {package}.contract by its old name" in report.reason
    assert f"write: from samegrad.{package}.contract import" in report.reason


def test_result_that_is_no_number_is_said_and_not_raised(tmp_path: Path) -> None:
    """(grads, loss) for (loss, grads) is a fault of its own; the numbers are judged as they are."""
    text = RIGHT.replace("return loss, grads", "return grads, loss")
    few = problems.standard("float64")[:2]

    report = verify_problems(written(tmp_path, text), options(problems=few))

    assert "disagrees" == report.verdict
    assert "it returns (grads, loss): return (loss, grads)" in report.reason
    assert not any(outcome.comparison.disagrees for outcome in report.outcomes)


def test_call_that_fails_is_not_checked_and_what_agrees_is_shown(tmp_path: Path) -> None:
    """It raises with one activation: no number differs, and the others are in the table."""
    text = RIGHT.replace(
        "    n = len(X)\n", "    n = len(X)\n    if spec.activation == 'tanh': n = 1 / 0\n"
    )

    report = verify(
        written(tmp_path, text), activations=["tanh", "relu"], losses=["mse"], dtypes=["float64"]
    )

    assert "not checked" == report.verdict
    said = "loss_and_grad: it raises ZeroDivisionError: division by zero (my_mlp.py:"
    assert said in report.reason and ") [float64 " in report.reason
    assert {"agree", "failed"} == {outcome.status for outcome in report.outcomes}
    assert "4 agree, 4 failed" in str(report)


def test_exception_of_most_calls_is_said_beside_what_is_wrong(tmp_path: Path) -> None:
    """Its line and how often: where it is raised nothing was compared."""
    text = RIGHT.replace(
        "    n = len(X)\n", "    n = len(X)\n    if spec.activation == 'tanh': n = 1 / 0\n"
    ).replace("dW = inputs[l].T @ delta", "dW = 2 * inputs[l].T @ delta")

    report = verify(
        written(tmp_path, text), activations=["tanh", "relu"], losses=["mse"], dtypes=["float64"]
    )

    said = "loss_and_grad raises ZeroDivisionError: division by zero (my_mlp.py:"
    assert "disagrees" == report.verdict and said in " ".join(str(report).split())
    assert "on 4 of 8 problems: mend that first" in " ".join(str(report).split())


def test_where_probes_do_not_decide_both_places_are_named(tmp_path: Path) -> None:
    """Without biases dW alone is wrong, and B2 cannot be told from B1."""
    old = "        dW = inputs[l].T @ delta\n"
    path = written(tmp_path, RIGHT.replace(old, old + "        dW[0, 0] *= 1.5\n"))
    without = [
        problems.draw(MLPSpec((5, 7, 3), "tanh", bias=False, dtype="float64"), 6),
        problems.draw(MLPSpec((5, 7, 3), "tanh", bias=False, dtype="float64"), 4, 1),
    ]

    report = verify_problems(path, options(problems=without))

    assert any("layer 2: B2 or B1" in line for line in report.diagnosis), report.diagnosis


def test_probes_are_run_and_said(tmp_path: Path) -> None:
    """A fault in g' alone: the network agrees with the identity activation."""
    old = "return 1 - np.tanh(z) ** 2"
    path = written(tmp_path, RIGHT.replace(old, "return 1 - np.tanh(z) ** 2 + 0.001 * z"))

    report = verify_problems(path, options())

    text = "\n".join(report.diagnosis)
    assert "it agrees with identity activation" in text
    assert "layer 1: B4" in text
    assert "it fails only, and always, with: activation tanh" in text


def test_stopped_file_says_what_was_not_tried(tmp_path: Path) -> None:
    """It hangs on the third problem."""
    text = RIGHT.replace(
        "    n = len(X)\n", "    n = len(X)\n    while spec.activation == 'tanh': pass\n"
    )

    report = verify_problems(written(tmp_path, text), options(time_limit=2.0))

    assert "loss_and_grad: it hangs: no result within 2 s; killed" in report.reason
    assert any("not tried after that" in note for note in report.remarks)


def test_thread_that_outlives_the_work_holds_nothing_up(tmp_path: Path) -> None:
    """The results are there; the process is killed after the time limit."""
    text = RIGHT.replace("import numpy as np\n", "import numpy as np\nimport threading, time\n", 1)
    text += "\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n"
    few = problems.standard("float64")[:2]

    report = verify_problems(written(tmp_path, text), options(problems=few, time_limit=3.0))

    assert ("agrees", "") == (report.verdict, report.reason)


def test_memory_of_the_verifier_is_out_of_reach(tmp_path: Path) -> None:
    """A file that replaces the comparison in its own process changes no verdict."""
    text = RIGHT.replace("        delta = delta / n\n", "") + (
        "\nimport samegrad.implementations.checking.comparison as v\n"
        "v._check = lambda *a, **k: None\nv.judge = lambda *a, **k: None\n"
    )

    assert "disagrees" == verify_problems(written(tmp_path, text), options()).verdict


def test_file_that_prints_and_reads_does_not_disturb(tmp_path: Path) -> None:
    """Standard output is not the channel, and standard input gives nothing."""
    text = RIGHT.replace("    n = len(X)\n", "    n = len(X)\n    print('{\"task\": 0}')\n")

    assert "agrees" == verify_problems(written(tmp_path, text), options()).verdict


def test_file_that_writes_into_the_pipe_of_messages_is_judged_by_its_numbers(
    tmp_path: Path,
) -> None:
    """It writes to every descriptor, at import and in each call."""
    noise = (
        "import os\ndef noise():\n    for fd in range(3, 30):\n        try:\n"
        "            os.write(fd, b'{}\\nno message\\n{\"task\": 99}\\nxx')\n"
        "        except OSError:\n            pass\nnoise()\n"
    )
    text = noise + RIGHT.replace("    n = len(X)\n", "    n = len(X)\n    noise()\n")

    report = verify_problems(
        written(tmp_path, text), options(problems=every_problem("float64")[:3])
    )

    assert ("agrees", "") == (report.verdict, report.reason)


@pytest.mark.parametrize(
    "kind",
    [
        "collections.namedtuple('Layer', 'W b')",
        "dataclasses.make_dataclass('Layer', ['W', 'b'], frozen=True)",
        "lambda W, b: {'b': b, 'W': W}",
    ],
    ids=["named tuple", "dataclass", "dict"],
)
def test_gradient_in_layers_of_any_kind_agrees(kind: str, tmp_path: Path) -> None:
    """The same numbers, and a fault in them, are seen; a loss of shape (1,) is noted."""
    text = f"import collections, dataclasses\nLayer = {kind}\n" + RIGHT.replace(
        "return loss, grads", "return np.array([loss]), [Layer(*pair) for pair in grads]"
    )
    wrong = text.replace("Layer(*pair)", "Layer(pair[0], 2 * pair[1])")
    few = options(problems=every_problem("float64")[:3])

    right = verify_problems(written(tmp_path, text), few)
    report = verify_problems(written(tmp_path, wrong), few)

    assert ("agrees", "") == (right.verdict, right.reason)
    assert ["one-number"] == [note.code for note in right.notes]
    assert "disagrees" == report.verdict and "db" in report.reason


def test_against_another_implementation(tmp_path: Path) -> None:
    """Right against right, and a fault against right; what does not work is a usage error."""
    few = problems.standard("float64")[:3]
    right = verify_problems("numpy", options(problems=few, against="scalar"))
    wrong = verify_problems(plant(tmp_path, "sum for mean"), options(problems=few, against="numpy"))

    assert "agrees" == right.verdict and any("bounds doubled" in note for note in right.remarks)
    assert "disagrees" == wrong.verdict
    broken = written(tmp_path, "import nunpy", "broken.py")
    with pytest.raises(ValueError, match=r"against .*broken.py: .* could not be loaded"):
        verify_problems("numpy", options(problems=few, against=broken))


def test_reference_that_is_not_finite_decides_nothing(tmp_path: Path) -> None:
    """NaN on the side that is compared with: neither agreement nor disagreement."""
    text = RIGHT.replace("return loss, grads", "return loss * np.nan, grads")
    few = problems.standard("float64")[:2]

    report = verify_problems("numpy", options(problems=few, against=written(tmp_path, text)))

    assert "not checked" == report.verdict
    assert "loss with the gradient: the reference is not finite here" in report.reason
    assert "undecided" in str(report) and "DIFFERS" not in str(report)
    assert {"undecided"} == {outcome.status for outcome in report.outcomes}


def test_other_precisions_are_contracts_of_their_own() -> None:
    """bfloat16 products on torch: within their bound, and seen not to be IEEE float32."""
    pytest.importorskip("torch", reason="torch is not installed")
    few = problems.standard("float32")[:4]

    report = verify_problems("torch", options(problems=few, precision="bfloat16"))
    none = verify_problems("numpy", options(problems=few, precision="bfloat16"))

    errors = [t.error for outcome in report.outcomes for t in outcome.comparison.tensors]
    assert "agrees" == report.verdict and max(e or 0 for e in errors) > 1e-4
    assert ("unavailable", "it has no precision bfloat16") == (none.verdict, none.reason)


def test_precision_that_does_nothing_is_no_precision(tmp_path: Path) -> None:
    """A file that takes the request and multiplies as before has no such rows."""
    pytest.importorskip("torch", reason="torch is not installed")
    text = (
        "import contextlib\nfrom samegrad.implementations.mlp_torch import *\n"
        "from samegrad.implementations.contract.protocol import Capabilities\n"
        "@contextlib.contextmanager\ndef precision(name, device):\n    yield\n"
        "CAPABILITIES = Capabilities(precision=precision)\n"
    )
    few = problems.standard("float32")[:4]

    report = verify_problems(written(tmp_path, text), options(problems=few, precision="bfloat16"))

    assert "unavailable" == report.verdict
    assert "precision bfloat16 has no effect: products are IEEE float32" == report.reason


def test_ulps_count_from_the_exact_result() -> None:
    """Half an ulp for a correctly rounded number, one for its neighbour at worst."""
    import mpmath

    from samegrad.implementations.checking.comparison import compare

    with mpmath.workdps(50):
        third = np.array([mpmath.mpf(1) / 3], dtype=object)
    nearest = np.array([1 / 3])
    next_one = np.nextafter(nearest, 1)

    checks = [compare(third, x, "float64", name="x").tensors[0] for x in (nearest, next_one)]

    assert 0 < (checks[0].ulps or 0) <= 0.5 < (checks[1].ulps or 0) <= 1.5
    assert compare(third, nearest.astype(np.float32), "float32", name="x").agrees


def test_verify_takes_plain_arguments_and_gives_one_report(tmp_path: Path) -> None:
    """A path and one network; the same report as an object, as text and as plain data."""
    path = Path(written(tmp_path, RIGHT))

    report = verify(path, layers=[4, 3, 2], batch_size=3, losses=["mse"], dtypes=["float64"])

    assert report.agrees and "agrees" == report.verdict
    assert ["relu mse 4-3-2 batch 3"] == [outcome.problem.label for outcome in report.outcomes]
    assert str(report).startswith("my_mlp: AGREES\n  float64, 1 problems: 1 agree\n    tensor ")
    assert "relu mse 4-3-2 batch 3: agree" in report.text(verbose=True)
    plain = json.loads(json.dumps(report.to_dict()))
    assert ("my_mlp", "agrees", "exact results") == tuple(
        plain[key] for key in ("implementation", "verdict", "against")
    )
    assert 6 == len(plain["problems"][0]["tensors"])
    assert "1 verified: 1 agrees" == summary([report])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"implementation": "nunpy"}, "implementation 'nunpy' is not known"),
        ({"against": "nope"}, "implementation 'nope' is not known"),
        ({"layers": (5, 0, 2)}, "layer_sizes (5, 0, 2) is not accepted"),
        ({"layers": (50000, 50000, 10)}, "layers 50000-50000-10 at batch size 6 are too large"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"activations": ["rellu"]}, "activation 'rellu' is not known; accepted: identity"),
        ({"losses": ["mae"]}, "loss 'mae' is not known"),
        ({"dtypes": ["float16"]}, "dtype 'float16' is not known"),
        ({"optimizer": "lion"}, "optimizer 'lion' is not known"),
        ({"precision": "int8"}, "precision 'int8' is not known"),
        ({"weight_decay": 0.7}, "no problem has weight_decay 0.7"),
        ({"seed": -1}, "seed -1"),
        ({"time_limit": 0}, "time_limit 0 is not accepted"),
    ],
)
def test_verify_refuses_arguments_that_mean_nothing(
    arguments: dict[str, Any], message: str
) -> None:
    """Before anything is run."""
    with pytest.raises(ValueError) as caught:
        verify(**({"implementation": "numpy"} | arguments))

    assert message in str(caught.value)


# ---- the command line ----


def test_command_prints_a_table_and_the_place(tmp_path: Path) -> None:
    """Exit 1 for a fault, 0 without it."""
    few = ("--loss", "cross_entropy", "--dtype", "float64")
    files = plant(tmp_path, "sum for mean"), written(tmp_path, RIGHT, "right.py")

    wrong, right = (run(path, *few) for path in files)

    assert (1, 0) == (wrong.returncode, right.returncode), wrong.stderr + right.stderr
    assert "my_mlp: DISAGREES" in wrong.stdout
    assert "times too large = batch size: sum for mean" in wrong.stdout
    assert "my_mlp.py:49: delta[np.arange(n), y] is 6 (the batch) times" in wrong.stdout
    for heading in ("tensor", "error", "ulp", "bound", "% of bound", "verdict"):
        assert heading in right.stdout
    assert "1 verified: 1 agrees" in right.stdout


def test_command_takes_choices_and_gives_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One network of one's own in one dtype."""
    choices = "--layers 4-6-2 --activation tanh,gelu --loss mse --dtype float64 --batch-size 3"
    more = "--weight-decay 0.2 --seed 5 --optimizer adam --json"
    status = main(["verify", "numpy", "scalar", *choices.split(), *more.split()])

    reports = json.loads(capsys.readouterr().out)
    assert 0 == status
    assert ["numpy", "scalar"] == [report["implementation"] for report in reports]
    labels = [problem["problem"] for problem in reports[0]["problems"]]
    assert [
        "tanh mse 4-6-2 batch 3 weight_decay 0.2",
        "gelu mse 4-6-2 batch 3 weight_decay 0.2",
    ] == (labels)
    tensor = reports[0]["problems"][0]["tensors"][0]
    assert {"tensor", "error", "ulps", "bound", "percent_of_bound", "agrees", "reason"} == set(
        tensor
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nunpy"], "implementation 'nunpy' is not known; accepted: scalar, numpy"),
        (["./no_such.py"], "no such file"),
        (
            ["numpy", "--activation", "rellu"],
            "activation 'rellu' is not known; accepted: identity",
        ),
        (["numpy", "--loss", "mae"], "loss 'mae' is not known"),
        (["numpy", "--dtype", "float16"], "dtype 'float16' is not known"),
        (["numpy", "--layers", "5-x"], "layers '5-x' is not accepted"),
        (["numpy", "--layers", "5-0-2"], "whole numbers >= 1"),
        (["numpy", "--layers", "50000-50000-10"], "are too large"),
        (["numpy", "--batch-size", "0"], "batch_size 0, seed 0: the first must be >= 1"),
        (
            ["numpy", "--weight-decay", "0.7"],
            "no problem has weight_decay 0.7 with these activations",
        ),
        (["numpy", "--weight-decay", "-1", "--layers", "2-2"], "weight_decay -1.0 is not accepted"),
        (["numpy", "--precision", "int8"], "precision 'int8' is not known; accepted: ieee"),
        (["numpy", "--optimizer", "lion"], "optimizer 'lion' is not known"),
        (["numpy", "--against", "nope"], "implementation 'nope' is not known"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was given, what is accepted."""
    assert 2 == main(["verify", *arguments])

    printed = capsys.readouterr()
    assert message in printed.err and 1 == len(printed.err.splitlines())
    assert "" == printed.out


def test_unknown_option_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    """One line."""
    assert 2 == main(["verify", "--nope"])
    assert "--nope: there is no such option" in capsys.readouterr().err


def test_device_that_is_not_there_does_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """Never on the CPU instead; something is missing, and nothing was found wrong."""
    assert 2 == main(["verify", "numpy", "--device", "cuda"])

    assert "device 'cuda' is not available to numpy (has: cpu)" in capsys.readouterr().out


# ---- for people's own tests ----


def test_assert_gradients_agree_passes_and_says_where_it_does_not(tmp_path: Path) -> None:
    """By name, by path, by module; the message has the place."""
    import types

    two = [MLPSpec((4, 6, 3), "tanh", dtype="float64"), MLPSpec((3, 2))]
    assert_gradients_agree("numpy", specs=two)
    assert_gradients_agree(written(tmp_path, RIGHT), specs=two[:1])
    module = types.ModuleType("mine")
    exec(RIGHT.replace(" * dg(spec.activations[l - 1], zs[l - 1])", ""), module.__dict__)
    with pytest.raises(AssertionError) as caught:
        assert_gradients_agree(module)
    assert "g'(z) of the hidden layers were left out (B4)" in str(caught.value)
    only = MLPSpec((3, 2), dtype="float64")
    assert_gradients_agree(module, specs=[only])  # no hidden layer, no B4


def test_assert_gradients_agree_needs_something_to_check(tmp_path: Path) -> None:
    """A file that supports nothing agrees with nothing."""
    text = "def loss_and_grad(spec, params, X, y):\n    raise NotImplementedError('later')\n"

    with pytest.raises(AssertionError, match="nothing could be checked"):
        assert_gradients_agree(written(tmp_path, text))


def test_explanation_of_a_wrong_step_names_the_update_rule() -> None:
    """Outputs, loss and gradient agree, the updated params do not."""
    from samegrad.implementations.checking import reference
    from samegrad.implementations.checking.comparison import judge
    from samegrad.implementations.checking.report import Outcome

    p = problems.draw(MLPSpec((3, 2), dtype="float64"), 4)
    right = reference.expected(p.spec, p.params, p.X, p.y)
    results = {"grads": right.grads, "updated": p.params}
    comparison = judge(p.spec, right, results)

    sentences = diagnosis.explain([Outcome(p, results, comparison, expected=right)], [], {})

    assert "the update rule (sgd, U1 to U7)" in sentences[0]


def test_planted_file_without_a_fault_is_what_the_faults_are_planted_in() -> None:
    """Each fault changes one place of it."""
    for fault, (old, new, text) in planted.FAULTS.items():
        assert 1 == RIGHT.count(old) and old != new and text, fault
