"""Cost samples: one process at a time, and none while somebody still imports."""

import fcntl
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.runs import capabilities, selection
from samegrad.benchmarks.runs.budget import CostModel, RunSettings
from samegrad.benchmarks.runs.capabilities import family
from samegrad.benchmarks.runs.options import parse
from samegrad.benchmarks.runs.session import Resumed
from samegrad.benchmarks.worker import capabilities as worker_capabilities
from samegrad.implementations import mlp_numpy
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.adapter import adapted
from samegrad.implementations.contract.files import exclusive
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec


def free(path: Path) -> bool:
    """Whether nobody holds the lock."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_lock_is_held_until_it_is_given_up(tmp_path: Path) -> None:
    """Early, or at the end."""
    path = tmp_path / "lock"
    with exclusive(path) as give_up:
        assert not free(path)
        give_up()
        assert free(path)
    with exclusive(path):
        assert not free(path)
    assert free(path)


def test_capabilities_of_several_have_a_cost_model_each() -> None:
    """Also where one of them cannot be loaded: nobody waits for it."""
    available = capabilities.find(("numpy", "graph", "no_such.module"), ("cpu",), {})

    assert "no_such" in available["no_such.module"].reason
    assert available["numpy"].cost_models["cpu"].flops_per_second > 1e8
    assert available["graph"].cost_models["cpu"].flops_per_second > 1e8


def test_system_without_threads_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no process is left."""

    def submit(*_: Any) -> Any:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)

    with pytest.raises(OSError, match="implementations cannot be probed: can't start new thread"):
        capabilities.find(("numpy",), ("cpu",), {})


def test_one_that_hangs_costs_the_others_nothing_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They wait until it is given up, which takes as long as they may take themselves."""
    mine = tmp_path / "mine.py"
    mine.write_text("import time\ntime.sleep(600)\ndef forward(spec, params, X): ...\n")
    monkeypatch.setattr(capabilities, "CAPABILITIES_SECONDS", 5.0)
    monkeypatch.setattr(capabilities, "SILENT_SECONDS", 1.0)

    available = capabilities.find(("numpy", str(mine)), ("cpu",), {})

    assert ("timeout", True) == (available["mine"].status, "5 s" in available["mine"].reason)
    assert "" == available["numpy"].reason and available["numpy"].cost_models
    told = "samegrad: still probing numpy (at most 5 s), mine (at most 5 s)\n"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("run_seconds", "seconds"),
    [(20.0, 30.0), (60.0, 30.0), (100.0, 50.0), (1800.0, 240.0), (math.inf, 240.0)],
)
def test_somebodys_file_is_waited_for_as_long_as_the_run_has_time(
    run_seconds: float, seconds: float
) -> None:
    """Half of it, and 30 s at least; frameworks may take as long as a cold disk takes them."""
    limits = [capabilities.limit_of(name, run_seconds) for name in ("./mine.py", "my.net", "torch")]

    assert [seconds, seconds, 240.0] == limits


@pytest.mark.parametrize("where", ["", "def forward(spec, params, X):\n    "])
def test_short_run_is_not_spent_on_a_file_that_hangs(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At its import or in its first call; it is said which option gives it more."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        f"import time\n{where}time.sleep(600)\ndef loss_and_grad(*_): time.sleep(600)\n"
    )
    monkeypatch.setattr(capabilities, "LEAST_SECONDS", 3.0)
    monkeypatch.setattr(capabilities, "SILENT_SECONDS", 1.0)

    found = capabilities.find(("numpy", str(mine)), ("cpu",), {}, run_seconds=6.0)

    assert ("timeout", 3.0) == (found["mine"].status, found["mine"].limit)
    assert "within 3 s; killed; --time SECONDS gives a file more" in found["mine"].reason
    assert ("", 240.0) == (found["numpy"].reason, found["numpy"].limit)
    assert found["numpy"].cost_models
    assert "mine (at most 3 s); --time SECONDS gives a file more\n" in capsys.readouterr().out


def test_limit_of_a_file_follows_what_the_run_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As typed, or that of the preset; a run of trainings has no limit."""
    typed = [{"time": "25"}, {"preset": "hello"}, {"preset": "full", "time": "9"}]

    seconds = [parse(**options).limit_seconds for options in typed]

    assert [25.0, 30.0, 9.0] == seconds
    assert math.inf == parse(kind="training").limit_seconds
    given: list[float] = []

    def find(*rest: Any, run_seconds: float) -> dict[str, Any]:
        given.append(run_seconds)
        return {}

    monkeypatch.setattr(capabilities, "find", find)
    options = parse(time="25")
    selection.begin(options, "")
    Resumed(tmp_path, Journal({}), options, RunSettings(25.0, 0.1)).select()
    assert [25.0, 25.0] == given


def test_fixed_cost_of_a_call_is_not_taken_for_its_rate() -> None:
    """2 ms a call and 20 GFLOP/s: a small and a larger network tell them apart."""
    measured = [
        {"flops": flops, "first_ns": 1e7, "warm_ns": 2e6 + flops / 20} for flops in (3e5, 2e7)
    ]

    model = CostModel.fit({"networks": measured, "passes": 0.0}, 0.5)

    assert model.flops_per_second == pytest.approx(20e9, rel=0.01)
    assert model.call_seconds == pytest.approx(2e-3, rel=0.01)


def test_journal_says_of_which_idiom_an_implementation_is() -> None:
    """Nothing of a file that is named on the command line."""
    assert {"kind": "idiom"} == family("numpy")
    assert {"kind": "variant", "base": "numpy"} == family("numpy_inplace")
    assert {"kind": "peer", "base": "jax"} == family("flax")
    assert {} == family("./mine.py")


def test_compilers_write_into_the_run_and_start_no_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run compiles anew, and nothing runs beside what is timed."""
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TORCHINDUCTOR_COMPILE_THREADS"):
        monkeypatch.delenv(name, raising=False)  # torch sets one where it has compiled
    environment = system.worker_environment("cpu", tmp_path)

    assert str(tmp_path / "torch-cache") == environment["TORCHINDUCTOR_CACHE_DIR"]
    assert "1" == environment["TORCHINDUCTOR_COMPILE_THREADS"]


@pytest.mark.parametrize(
    ("fixed_seconds", "flops_per_second", "largest"),
    [
        (0.0, 50e9, (784, 512, 512, 10)),
        (5e-3, 50e9, (784, 512, 512, 10)),  # ruled out by the small network, not by the next
        (150e-3, 50e9, (784, 512, 512, 10)),  # by way of all others: threads wait for others
        (5e-3, 40e6, (256, 256, 10)),
        (0.0, 1e6, (64, 32, 10)),
    ],
)
def test_largest_sample_is_a_network_of_about_a_second(
    fixed_seconds: float,
    flops_per_second: float,
    largest: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also for a slow call with fast arithmetic."""

    def one(
        _: Any, device: str, sizes: tuple[int, ...], batch_size: int, operation: str, form: Any
    ) -> Any:
        flops = MLPWorkload("x", MLPSpec(sizes), batch_size, batch_size).flops(operation)
        warm = fixed_seconds + flops / flops_per_second
        return {"sizes": sizes, "flops": flops, "first_ns": 1, "warm_ns": round(1e9 * warm)}

    monkeypatch.setattr(worker_capabilities, "sample", one)
    implementation: Any = SimpleNamespace(capabilities=Capabilities())

    samples = worker_capabilities.cost_samples(implementation, "cpu")["networks"]

    assert largest == samples[-1]["sizes"]
    assert len(samples) <= 2


def test_cost_of_a_file_for_one_shape_is_that_of_the_network_asked_for() -> None:
    """It refuses ours as its own arithmetic happens to; asked for nothing, it supports nothing."""

    class Model:
        def loss_and_grad(self, spec: MLPSpec, params: Any, X: Any, y: Any) -> Any:
            assert X.shape[1] == 20, "20 features"
            return mlp_numpy.loss_and_grad(spec, params, X, y)

    mine = adapted(Model(), "mine")
    asked = [((20, 7, 3), 4, {"activation": "relu"})]

    samples = worker_capabilities.cost_samples(mine, "cpu", asked)

    assert len(samples["networks"]) == 1 and samples["form"] is None
    with pytest.raises(NotImplementedError, match="AssertionError: 20 features"):
        worker_capabilities.cost_samples(mine, "cpu")


def test_file_for_other_networks_is_told_what_to_type(tmp_path: Path) -> None:
    """Nielsen's kind, sigmoids and squared error, under a preset of relu and cross entropy."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from samegrad.implementations import mlp_numpy\n"
        "def loss_and_grad(spec, params, X, y):\n"
        "    if (spec.activation, spec.output_activation, spec.loss) != ('sigmoid', 'sigmoid', "
        "'mse'):\n"
        "        raise NotImplementedError('sigmoids and squared error')\n"
        "    return mlp_numpy.loss_and_grad(spec, params, X, y)\n"
    )
    form = {"activation": "sigmoid", "output_activation": "sigmoid", "loss": "mse"}
    asked: dict[str, Any] = {"implementation": str(mine), "layers": "6-5-3"}

    other, same = (selection.select(parse(**asked, **form)) for form in ({}, form))

    typed = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in form.items())
    assert any(note.endswith(typed) for note in other.notes)
    assert [] == [note for note in same.notes if "--activation" in note]


def test_file_whose_first_call_raises_is_told_its_line(tmp_path: Path) -> None:
    """In one line with the exception and what to do, and not what a process printed at its end."""
    mine = tmp_path / "mine.py"
    mine.write_text("def loss_and_grad(spec, params, X, y):\n    return relu(X)\n")

    made = selection.select(parse(implementation=str(mine), layers="6-5-3"))

    said = (
        "its first call raises NameError: name 'relu' is not defined (mine.py:2); mend that, then "
    )
    said += f"`{commands.PORTABLE} verify mine.py`"
    assert [f"mine: {said}"] == [note for note in made.notes if note.startswith("mine: ")]
    assert {("crashed", said)} == {made.excluded[case.id] for case in made.cases}


def test_cost_is_predicted_from_what_a_file_supports() -> None:
    """Two functions, tanh and squared error, two layers: the run of all others is not lost."""

    class Model:
        def loss_and_grad(self, spec: MLPSpec, params: Any, X: Any, y: Any) -> Any:
            if (spec.activation, spec.loss, len(params)) != ("tanh", "mse", 2):
                raise NotImplementedError("only tanh, mse and two layers")
            return mlp_numpy.loss_and_grad(spec, params, X, y)

    class Nothing:
        def forward(self, spec: MLPSpec, params: Any, X: Any) -> Any:
            raise NotImplementedError("nothing")

    samples = worker_capabilities.cost_samples(adapted(Model(), "mine"), "cpu")["networks"]

    assert all(sample["warm_ns"] > 0 for sample in samples) and 1 <= len(samples) <= 2
    with pytest.raises(NotImplementedError, match="mine has no loss_and_grad"):
        worker_capabilities.cost_samples(adapted(Nothing(), "mine"), "cpu")


def test_journals_name_no_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else reads them, in folders of their own."""
    monkeypatch.chdir("/")  # where the command that installs it has the whole path
    monkeypatch.setattr(commands, "HOME", Path("/data/somebody/clone"))
    monkeypatch.setattr(commands, "IN_CHECKOUT", True)
    monkeypatch.setattr(sys, "prefix", "/data/somebody/venv")
    reason = f"cupy is not installed in {sys.prefix}; install it with: {commands.install('cupy')}"
    missing = capabilities.Capabilities("cupy", "cupy", reason=reason)

    (record,) = capabilities.records({"cupy": missing})

    assert "/data/somebody/clone" in reason
    assert record["reason"] == (
        'cupy is not installed in its environment; install it with: pip install -e ".[cupy]"'
    )
