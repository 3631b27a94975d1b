"""A population of spiking neurons goes through the harness, and what is wrong gets no number."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.draws import Draw
from samegrad.benchmarks.cases.presets import GROUPS, PRESETS, population
from samegrad.benchmarks.cases.workload import SpikingWorkload
from samegrad.benchmarks.judge.main import prepare
from samegrad.benchmarks.judge.proofs import Proofs
from samegrad.benchmarks.runs.options import parse
from samegrad.benchmarks.worker import subjects
from samegrad.implementations.contract import registry, spiking
from tests.helpers.proofs import SEEDS

FILE = Path(spiking.__file__).parents[1] / "spiking" / "lif_numpy.py"


def workload(dtype: str = "float64") -> Any:
    """30 neurons, 40 steps a call."""
    return population(30).workload(40, dtype)


def verdicts(
    name: str, directory: Path, simulate: Any = None, dtype: str = "float64", transfer: str = ""
) -> list[dict[str, Any]]:
    """Of a first call, and of a block of six.

    Args:
        simulate: in the place of the idiom's own.
    """
    if missing := registry.why_not_installed(name):
        pytest.skip(missing)
    made, said = workload(dtype), list[dict[str, Any]]()
    request = {"workloads": [made.to_dict()], "directory": str(directory), "seed": 0}
    prepare(request, said.append)
    assert "sha256" in said[-1]
    implementation = registry.load(name)
    subject: Any = subjects.read(made, implementation, "cpu", directory, ours=True)
    if simulate is not None:
        subject.simulate = simulate
    file = directory / "results.npz"
    inputs.save_tree(file, subject.results("simulate"))
    proofs, about = Proofs(directory), {**subject.about(), "changed": False}
    call = {"workload": made.to_dict(), "operation": "simulate", "precision": "ieee"}
    found = [proofs.verdict({**call, "thorough": True, "about": about, "results": str(file)})]
    work = subject.work("simulate", transfer or "resident", Draw(*SEEDS))
    seen = work.fetch(work.run(6, work.start(6)))
    results = implementation.to_numpy(seen.result)
    inputs.save_tree(file, subject.named("simulate", results, seen.passed))
    block = {"case": Case(made, "simulate", name).to_dict(), "calls": 6, "seeds": SEEDS}
    told = {**about, "block": seen.block, "number": seen.number}
    return [*found, proofs.verdict({**block, "about": told, "results": str(file)})]


@pytest.mark.parametrize("name", spiking.IDIOMS)
def test_every_idiom_is_right_bit_by_bit(name: str, tmp_path: Path) -> None:
    """Error 0 of the spikes of a first call and of a block."""
    for verdict in verdicts(name, tmp_path):
        assert ("", "spikes", 0.0) == tuple(verdict[key] for key in ("reason", "name", "error"))


def test_other_ways_to_run_it_are_right_too(tmp_path: Path) -> None:
    """float32, whose sums are exact as well; currents from the host, and spikes back to it."""
    for options in ({"dtype": "float32"}, {"transfer": "end_to_end"}):
        assert ["", ""] == [v["reason"] for v in verdicts("numpy", tmp_path, None, **options)]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("np.maximum(wait - 1, spikes * spec.refractory)", "spikes * 0"),
        ("(v >= 1)", "(v >= 1.01)"),
        ("+ spikes @ W", "+ spikes @ W.T"),
        ("s = s - spec.decay * s", "s = s - spec.leak * s"),
        ("J + s)  # N1", "J)  # N1"),
        ("return state, shown", "return state, shown[::-1]"),
        ("return state, shown", "return state, shown[:-1]"),
    ],
)
def test_wrong_neurons_are_found(right: str, wrong: str, tmp_path: Path) -> None:
    """A fault in one line; the block's six calls show what one may not."""
    source = FILE.read_text()
    assert 1 == source.count(right)
    faulty = ModuleType("faulty")
    exec(source.replace(right, wrong), vars(faulty))

    *_, verdict = verdicts("numpy", tmp_path, faulty.simulate)

    assert verdict["reason"] and not verdict["undecided"]


def test_remembered_results_are_found(tmp_path: Path) -> None:
    """Each block starts from another state."""
    known: list[Any] = []
    right: Callable[..., Any] = spiking.load("lif", "numpy").simulate

    def remembered(spec: Any, W: Any, state: Any, J: Any) -> Any:
        known.append(right(spec, W, state, J))
        return known[0]

    first, block = verdicts("numpy", tmp_path, remembered)

    assert "" == first["reason"] and block["reason"]


def test_who_has_no_neurons_is_unavailable(tmp_path: Path) -> None:
    """`worker.main` makes that status of a NotImplementedError."""
    with pytest.raises(NotImplementedError, match="no spiking neurons; scalar, numpy"):
        subjects.read(workload(), registry.load("graph"), "cpu", tmp_path, ours=True)


def test_group_is_chosen_by_name_and_no_part_of_the_standard_run() -> None:
    """10 to 1,000 neurons in the four idioms; options of networks are refused."""
    options = parse(preset="spiking")

    assert ("scalar", "numpy", "torch", "jax") == options.implementations
    assert [10, 100, 1000] == [line.network.spec.neurons for line in options.lines]
    others = {n.network.name for p in ("standard", "full", "hello") for n in PRESETS[p].lines}
    assert "spiking" in GROUPS and "population100" not in others
    with pytest.raises(ValueError, match="population10 has neither of: activation"):
        parse(preset="spiking", activation="tanh")


def test_workload_is_plain_data_and_back() -> None:
    """As a journal has it; what is none is refused."""
    case = Case(workload(), "simulate", "jax")

    assert case == Case.from_dict(case.to_dict()) and isinstance(case.workload, SpikingWorkload)
    assert (900, 40) == (case.workload.size, case.calls_per_epoch)
    wrong = case.to_dict()
    wrong["workload"]["spec"]["dt"] = -1
    with pytest.raises(ValueError, match="dt -1 is not accepted"):
        Case.from_dict(wrong)
    assert np.log2(case.workload.spec.leak).is_integer()
