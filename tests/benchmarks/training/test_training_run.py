"""`pytest --benchmark -m training`, `train` and `workloads` as people run them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from samegrad import cli as command
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records import schema
from samegrad.benchmarks.records.journal import Journal, read
from samegrad.benchmarks.runs import capabilities
from samegrad.benchmarks.runs.budget import CostModel
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.options import parse
from samegrad.benchmarks.training import run as training_run
from samegrad.benchmarks.training.data import datasets
from samegrad.benchmarks.training.tasks import TASKS
from samegrad.implementations.contract import registry
from samegrad.reports.data.report import report
from samegrad.reports.document.learning import learning
from tests.helpers.forging import FORGES, NETWORK
from tests.helpers.no_report import NO_REPORT
from tests.helpers.once import made_once
from tests.helpers.quiet_machine import QUIET_MACHINE
from tests.helpers.shared_data import data_dir

OWN = """import numpy as np
from samegrad.implementations import mlp_numpy
from samegrad.implementations.mlp_numpy import *
"""


def trained(output: Path, *arguments: str, cwd: Path = ROOT) -> Any:
    """`pytest --benchmark -m training ARGUMENTS`."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--benchmark",
            "-m",
            "training",
            *QUIET_MACHINE,
            *arguments,
        ]
        + ([f"--output={output}"] if "--resume" not in " ".join(arguments) else []),
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k != "SAMEGRAD_DATA"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def rows_of(directory: Path) -> dict[tuple[str, str], results.Row]:
    """(task, implementation) -> row."""
    journal = read(directory / "journal.jsonl")
    return {(r.case.workload.name, r.case.implementation): r for r in results.rows(journal)}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of both idioms that start fast, two seeds."""

    def make(output: Path) -> None:
        tasks = "xor,perceptron,discrete_mapping,line_length"
        done = trained(
            output,
            *("--workload", tasks, "--seeds", "2", "--implementation", "numpy,scalar_fast"),
            *("-k", "not ((line_length or perceptron) and scalar_fast)"),
            *("--limit", "100000"),  # the samples of cost may see a bad moment
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        assert f"report: {output / 'index.html'}" == done.stdout.splitlines()[-1]

    return made_once(tmp_path_factory, "training", make)


def test_every_seed_of_every_task_is_in_the_journal(small: Path) -> None:
    """Epochs are the blocks; what was learned is beside them."""
    rows = rows_of(small)

    assert 6 == len(rows)
    for (task, _), row in rows.items():
        assert "ok" == row.status, row.reason
        assert [0, 1] == [seed["seed"] for seed in row.training]
        assert 2 == len(row.process_medians)
        first = row.training[0]
        assert len(first["at"]) == len(first["loss"])
        if TASKS[task].recipe.target is not None:
            total = sum(first["spent_ns"][-1:]) + first["placing_ns"] + first["validation_ns"]
            assert first["placing_ns"] < first["to_target_ns"] <= total
    assert 1.0 == rows["line_length", "numpy"].training[0]["test"]
    a, b = (rows["discrete_mapping", name].training[0] for name in ("numpy", "scalar_fast"))
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)  # float32 against float64


def test_parity_and_pictures_of_a_run_are_in_its_report(small: Path) -> None:
    """Tables and figures are there, in the page and in the Markdown."""
    journal = read(small / "journal.jsonl")
    text = (small / "report.md").read_text()

    chosen = {("xor", "numpy"), ("xor", "scalar_fast"), ("line_length", "numpy")}  # none of others
    assert chosen == {(record["task"], record["implementation"]) for record in journal.parity}
    assert len(journal.parity) == 3 * 7
    assert {"xor", "line_length", "discrete_mapping"} == {r["task"] for r in journal.pictures}
    for heading in ("## Learning", "## Loading the data", "## One loss curve"):
        assert heading in text
    for name in (
        "time_to_target",
        "learning_curves",
        "spread_over_seeds",
        "one_loss_curve",
        "line_length_activations",
        "decision_regions",
    ):
        assert (small / "figures" / f"{name}.png").stat().st_size > 5_000
        assert f"figures/{name}.png" in text
    page = (small / "index.html").read_text()
    assert "Learning" in page and "line_length" in page


def test_run_of_speed_has_no_section_of_learning() -> None:
    """The example's report is what it was."""
    journals = [read(ROOT / "reports/results/example/journal.jsonl")]

    assert learning(report(journals)).empty


@pytest.mark.full  # a third of a minute; an interrupted run of speed goes the same ways
def test_interrupted_training_goes_on_where_it_stopped(small: Path, tmp_path: Path) -> None:
    """What is in the journal is not trained again; the last lines are lost here."""
    output = tmp_path / "run"
    output.mkdir()
    lines = (small / "journal.jsonl").read_text().splitlines(keepends=True)
    outcomes = [i for i, line in enumerate(lines) if '"record": "outcome"' in line]
    cut = outcomes[8]
    (output / "journal.jsonl").write_text("".join(lines[:cut]) + lines[cut][:50])

    done = trained(output, f"--resume={output}", *NO_REPORT)

    assert 0 == done.returncode, done.stdout + done.stderr
    journal = read(output / "journal.jsonl")
    assert journal.complete
    kept = (output / "journal.jsonl").read_text().splitlines(keepends=True)[:cut]
    assert lines[:cut] == kept
    seen = [(case.id, record["process"]) for case, record in journal.outcomes]
    assert 12 == len(seen) == len(set(seen))
    rows, whole = rows_of(output), rows_of(small)
    for key, row in rows.items():
        assert [s["test"] for s in whole[key].training] == [s["test"] for s in row.training]


def test_wrong_diverging_and_crashing_implementations_have_no_number(tmp_path: Path) -> None:
    """Each with its reason; a right one beside them has its row."""
    (tmp_path / "wrong.py").write_text(
        OWN + "def loss_and_grad(spec, params, X, y, masks=None):\n"
        "    loss, grads = mlp_numpy.loss_and_grad(spec, params, X, y, masks)\n"
        "    return loss, [(1.01 * W, b) for W, b in grads]\n"
    )
    (tmp_path / "diverging.py").write_text(
        OWN + "steps = [0]\n"
        "def train_step(spec, params, state, X, y, learning_rate, masks=None):\n"
        "    steps[0] += 1\n"
        "    stepped = mlp_numpy.train_step(spec, params, state, X, y, learning_rate, masks)\n"
        "    return (*stepped[:2], np.float32('nan') if steps[0] == 8 else stepped[2])\n"
    )
    (tmp_path / "crashing.py").write_text(
        OWN + "import os\nsteps = [0]\n"
        "def train_step(spec, params, state, X, y, learning_rate, masks=None):\n"
        "    steps[0] += 1\n"
        "    if steps[0] == 20 and spec.layer_sizes == (2, 4, 1):\n"
        "        os.abort()\n"
        "    return mlp_numpy.train_step(spec, params, state, X, y, learning_rate, masks)\n"
    )
    names = ["numpy", *(str(tmp_path / f"{n}.py") for n in ("wrong", "diverging", "crashing"))]
    output = tmp_path / "run"

    done = trained(
        output,
        *("--workload", "xor", "--seeds", "1", "--limit", "100000", *NO_REPORT),
        f"--implementation={','.join(names)}",
    )

    assert 1 == done.returncode, done.stdout + done.stderr
    rows = {name: row for (_, name), row in rows_of(output).items()}
    assert "ok" == rows["numpy"].status
    assert "wrong" == rows["wrong"].status and "dW1: error" in rows["wrong"].reason
    assert "not_converged" == rows["diverging"].status
    assert "the loss is not finite at step 7 (epoch 7)" == rows["diverging"].reason
    assert "crashed" == rows["crashing"].status and "SIGABRT" in rows["crashing"].reason


def test_task_without_its_data_is_a_row_with_the_reason_and_no_failure(tmp_path: Path) -> None:
    """A directory that holds other files: the others go on."""
    (tmp_path / "data").mkdir()
    output = tmp_path / "run"

    done = trained(
        output,
        *("--workload", "xor,titanic", "--seeds", "1", "--implementation", "numpy"),
        *("--limit", "100000", *NO_REPORT),
        f"--data-dir={tmp_path / 'data'}",
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    rows = rows_of(output)
    assert "ok" == rows["xor", "numpy"].status
    assert "unavailable" == rows["titanic", "numpy"].status
    assert "train.csv: no such file; give --data-dir" in rows["titanic", "numpy"].reason


def test_too_slow_a_training_is_skipped_with_its_prediction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything runs; a perceptron's pass is no sequence of steps."""
    slow = Capabilities("numpy", "numpy", devices=("cpu",), dtypes=("float32",))
    slow.cost_models = {"cpu": CostModel(0.05, 0.1, 1e9, 1.0)}
    monkeypatch.setattr(capabilities, "find", lambda *_, **__: {"numpy": slow})
    options = parse(kind="training", workload="digits,xor,perceptron", implementation="numpy")

    selection = training_run.select(options)

    assert 3 == len(selection.cases)
    (case,) = [case for case in selection.cases if case.id in selection.excluded]
    assert "digits" == case.workload.name
    status, reason = selection.excluded[case.id]
    assert "skipped" == status
    assert reason.startswith("predicted ") and reason.endswith("s per training, limit 60 s")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "training", "workload": "mnits"}, "task 'mnits' is not known; accepted: digits"),
        ({"kind": "training", "seeds": "0"}, "--seeds '0' is not accepted"),
        ({"kind": "training", "limit": "soon"}, "--limit 'soon' is not accepted"),
        ({"kind": "training", "limit": "nan"}, "--limit 'nan' is not accepted"),
        ({"kind": "training", "data_dir": "/nowhere"}, "--data-dir /nowhere: no such directory"),
        ({"kind": "training", "preset": "full"}, "--preset does not go with training"),
        ({"kind": "training", "batch_size": "3"}, "--batch-size does not go with training"),
        ({"seeds": "3"}, "--seeds goes with training: "),
        ({"data_dir": "."}, "--data-dir goes with training"),
        ({"workload": "titanic"}, "--workload 'titanic' is not timed here; accepted: digits"),
    ],
)
def test_wrong_option_is_one_line(options: dict[str, str], message: str) -> None:
    """What was given, what is accepted."""
    with pytest.raises(ValueError, match=r"(?s)^[^\n]*$") as caught:
        parse(**options)
    assert str(caught.value).startswith(message)


def test_journal_does_not_tell_what_the_environment_says_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory of original files: an option is kept, as a run that goes on needs it."""
    monkeypatch.setenv(datasets.DATA_DIR, str(tmp_path))

    told = training_run.parse("xor", None, None, None)
    given = training_run.parse("xor", None, None, str(tmp_path))

    assert (tmp_path.resolve(), None) == (told.data_dir, told.arguments["data_dir"])
    assert str(tmp_path.resolve()) == given.arguments["data_dir"]


def test_workload_selects_lines_of_speed() -> None:
    """Without -m training it chooses what is timed."""
    lines = parse(workload="mnist,digits").lines

    assert {"mnist", "digits"} == {line.network.name for line in lines}


@pytest.mark.parametrize(("columns", "begins"), [("400", "| {} "), ("80", "task: {};")])
def test_workloads_are_listed(
    columns: str, begins: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each task with its network, training, target and source, in the terminal's width."""
    monkeypatch.setenv("COLUMNS", columns)

    assert 0 == command.main(["workloads"])
    lines = capsys.readouterr().out.splitlines()

    shown = " ".join(map(str.strip, lines))
    for task in TASKS.values():
        assert begins.format(task.name) in shown
        assert task.source in shown
    assert max(map(len, lines)) <= int(columns)


def test_workloads_are_listed_by_name_family_and_pattern(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a run takes them; a name that is none is said."""
    assert 0 == command.main(["workloads", "overfit", "approximation", "speedrun_9*"])
    text = capsys.readouterr().out
    named = {task.name for task in TASKS.values() if f"task: {task.name};" in text}

    assert 2 == command.main(["workloads", "overfitt"])
    assert "did you mean 'overfit'?" in capsys.readouterr().err
    families = {n for n in TASKS if n.startswith(("approximation_", "speedrun_"))}
    assert {"overfit", *families} == named
    speedrun = " ".join(text[text.index("task: speedrun_97;") :].split())
    updates = TASKS["speedrun_97"].recipe.updates
    assert f"length: {updates} steps;" in speedrun and "target: 97.00 % (test)" in speedrun


def test_train_saves_weights_that_another_implementation_evaluates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same accuracy, by the other idiom's forward pass."""
    path = tmp_path / "w.npz"
    trains = ["train", "line_length", "--implementation", "numpy", "--epochs", "3"]

    assert 0 == command.main([*trains, "--save", str(path)])
    first = capsys.readouterr().out
    other = ["train", "line_length", "--implementation", "scalar", "--evaluate", str(path)]
    assert 0 == command.main(other)
    second = capsys.readouterr().out

    assert 3 == first.count("validation accuracy")
    assert "test accuracy 100.000 %" in first and "(numpy, float32)" in first
    assert "test accuracy 100.000 %" in second and "(scalar, float64)" in second
    assert f"weights: {path}" in first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnits"], "task 'mnits' is not known; accepted: digits"),
        (["xor", "--epochs", "0"], "--epochs 0 is not accepted"),
        (["xor", "--epochs", "many"], "argument --epochs: invalid int value"),
        (["xor", "--seed", "-1"], "--seed -1 is not accepted"),
        (["xor", "--implementation", "tensorflow"], "implementation 'tensorflow' is not known"),
        (["xor", "--device", "cuda"], "device 'cuda' is not available to numpy (has: cpu)"),
        (["xor", "--implementation", "scalar", "--dtype", "float32"], "dtype 'float32' is not"),
        (["xor", "--save", "/nowhere/w.npz"], "--save /nowhere/w.npz: cannot be written"),
        (["xor", "--evaluate", "/nowhere/w.npz"], "/nowhere/w.npz: no such file"),
        (
            ["xor", "--evaluate", str(ROOT / "README.md")],
            f"{ROOT / 'README.md'}: no weights that `train --save` wrote: it is no npz file",
        ),
        (["titanic", "--data-dir", "/nowhere"], "--data-dir /nowhere: no such directory"),
        (["perceptron", "--implementation", "graph"], "it has no perceptron rule"),
        ([], "the following arguments are required: TASK"),
    ],
)
def test_wrong_training_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2 and no traceback."""
    status = command.main(["train", *arguments])
    shown = capsys.readouterr().err

    assert 2 == status
    assert 1 == len(shown.splitlines())
    assert f"error: {message}" in shown


# A step after which nothing can be opened any more.
NO_FILES = """import resource
def train_step(*a):
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    raise KeyError
"""


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("", 0, ""),
        ("os._exit(0)\n", 1, "exit status 0 before its work was done"),
        ("raise SystemExit(0)\n", 2, "could not be loaded: SystemExit: 0"),
        ("def train_step(*a):\n    os._exit(0)\n", 1, "exit status 0 before its work was done"),
        ("def train_step(*a):\n    os._exit(64)\n", 1, "its training crashed: exit status 64"),
        ("def train_step(*a):\n    raise SystemExit\n", 1, "it exits (SystemExit)"),
        ("def train_step(*a):\n    raise BaseException\n", 1, "it exits (BaseException)"),
        pytest.param(
            NO_FILES,
            1,
            "train_step raises KeyError",
            marks=pytest.mark.skipif(os.name != "posix", reason="there are no such limits"),
        ),
        ("def train_step(*a):\n    raise KeyError('x')\n", 1, "train_step raises KeyError: 'x'"),
        (
            "def train_step(*a):\n    raise TypeError('\\x1b]0;owned\\x07')\n",
            1,
            "train_step raises TypeError: \\x1b]0;owned\\x07",
        ),
        ("def train_step(*a):\n    raise OSError(5, 'x')\n", 1, "raises OSError: [Errno 5] x"),
        ("def train_step(*a):\n    return 1\n", 1, "its training raises TypeError: cannot unpack"),
        ("threading.Thread(target=time.sleep, args=(600,)).start()\n", 0, ""),
        (
            "def train_step(*a):\n    os.killpg(0, 9)\n",
            1,
            "its training crashed: killed by SIGKILL",
        ),
        (
            "class E(Exception):\n    def __str__(self):\n        raise E\nraise E\n",
            2,
            "could not be loaded: E: its message cannot be told",
        ),
        ("os.killpg(0, 15)\n", 1, "its training crashed: killed by SIG"),
    ],
)
def test_training_that_its_implementation_ends_is_no_success(
    body: str, status: int, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Said in one line; what hangs on is not waited for."""
    mine = tmp_path / "mine.py"
    head = "import os, threading, time\nfrom samegrad.implementations.mlp_numpy import *\n"
    mine.write_text(head + body)

    assert status == command.main(["train", "xor", "--epochs=2", f"--implementation={mine}"])

    shown = capfd.readouterr()
    assert (message in shown.err) and len(shown.err.splitlines()) == bool(message)
    assert ("test accuracy" in shown.out) == (not status)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("when", ["imported", "called"])
def test_training_that_hangs_has_an_end(
    when: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And so has what it started, in whatever session."""
    mine, number = tmp_path / "mine.py", tmp_path / "number"
    hangs = (
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"open({str(number)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    if when == "called":
        hangs = "def train_step(*a):\n" + "".join(f"    {line}\n" for line in hangs.splitlines())
    head = "import subprocess, time\nfrom samegrad.implementations.mlp_numpy import *\n"
    mine.write_text(head + hangs)
    limits = ["--time-limit", "3", "--seed=1"]

    assert 1 == command.main(["train", "xor", "--epochs=2", f"--implementation={mine}", *limits])

    assert "no result within 3 s; killed; --time-limit 30 allows more" in capfd.readouterr().err
    assert not Path(f"/proc/{number.read_text()}").exists()


def test_messages_that_a_file_writes_itself_end_its_training(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a line."""
    mine = tmp_path / "mine.py"
    for message in ('{"done": true}', '{"end": "succeed"}', '{"at": []}', "[1]", '{"say": 5}'):
        mine.write_text(f"{NETWORK}{FORGES}forge({message!r})\nos._exit(0)\n")

        assert 1 == command.main(["train", "xor", "--epochs=2", f"--implementation={mine}"]), (
            message
        )

        (line,) = capfd.readouterr().err.splitlines()
        assert "its training crashed" in line


@pytest.mark.parametrize("when", ["imported", "called"])
def test_weights_are_saved_where_it_was_said(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever folder a file goes to, when it is imported or when it is called."""
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    goes = f"os.chdir({str(tmp_path / 'there')!r})\n"
    if when == "called":
        goes = f"step = train_step\ndef train_step(*a):\n    {goes}    return step(*a)\n"
    Path("mine.py").write_text(
        f"import os\nfrom samegrad.implementations.mlp_numpy import *\n{goes}"
    )
    train = ["train", "xor", "--implementation=./mine.py"]

    assert 0 == command.main([*train, "--epochs=1", "--save=w.npz"])
    assert 0 == command.main([*train, "--evaluate=w.npz"])
    assert (tmp_path / "w.npz").is_file()
    assert [] == list((tmp_path / "there").iterdir())


def test_weights_of_another_task_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that names both."""
    path = tmp_path / "w.npz"
    assert 0 == command.main(["train", "xor", "--epochs", "2", "--save", str(path)])

    assert 2 == command.main(["train", "discrete_mapping", "--evaluate", str(path)])

    assert "weights of xor (2-4-1), not of discrete_mapping" in capsys.readouterr().err


@pytest.mark.full  # a quarter of a minute, of real data
def test_cross_validation_of_a_real_task_is_measured(tmp_path: Path) -> None:
    """Ten folds, one accuracy over all passengers."""
    output = tmp_path / "run"
    data = data_dir("titanic")

    done = trained(
        output,
        *("--workload", "titanic", "--seeds", "1", "--implementation", "numpy"),
        *("--limit", "100000", *NO_REPORT),
        f"--data-dir={data}",
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    result = rows_of(output)["titanic", "numpy"].training[0]
    assert 10 == result["folds"] and 891 == result["test_examples"]
    assert 0.78 < result["test"] < 0.87


def test_journal_of_a_training_is_of_the_present_schema(small: Path) -> None:
    """Every line is usable."""
    journal: Journal = read(small / "journal.jsonl")

    assert [] == journal.warnings
    assert schema.SCHEMA == journal.run["schema"]
    assert "training" == journal.run["preset"]
    assert {"numpy", "scalar_fast"} == {registry.label(r["name"]) for r in journal.implementations}


def test_training_on_a_gpu_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pretended one, the only device as CuPy's is: nothing of a CPU, pictures included."""
    monkeypatch.setenv("SAMEGRAD_FAKE_FAULT", "no_cpu")
    fake = str(ROOT / "tests" / "helpers" / "fake_cuda.py")

    done = trained(
        tmp_path / "r",
        *(*NO_REPORT, "--workload", "xor", "--seeds", "1"),
        *("--implementation", fake, "--device", "cuda"),
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    (row,) = rows_of(tmp_path / "r").values()
    assert ("cuda", "ok") == (row.case.device, row.status), row.reason
    assert ["regions"] == [r["name"] for r in read(tmp_path / "r" / "journal.jsonl").pictures]
