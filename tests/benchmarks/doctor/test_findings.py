"""What the doctor says of recorded machines."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.doctor import doctor, findings
from samegrad.benchmarks.machine.checkout import ROOT

MACHINES = Path(__file__).parent / "machines"


def facts(name: str) -> dict[str, Any]:
    """A recorded machine."""
    recorded: dict[str, Any] = json.loads((MACHINES / f"{name}.json").read_text())
    return recorded


def problems(recorded: dict[str, Any]) -> list[str]:
    """Titles of what is wrong."""
    return [f.title for f in findings.findings(recorded) if f.level == findings.PROBLEM]


def test_kernels_below_the_cpu_are_found_with_gain_and_remedy() -> None:
    """A Zen 5 on which OpenBLAS chose Haswell's kernels."""
    (finding, *others) = findings.findings(facts("kernel_below_the_cpu"))

    assert "NumPy's OpenBLAS uses its Haswell kernels on a AMD EPYC (Zen 5)" == finding.title
    assert "with SkylakeX a float32 product is 1.70 times as fast" in finding.effect
    assert "export OPENBLAS_CORETYPE=SkylakeX" in finding.remedy
    assert ["torch's MKL is slow on a AMD EPYC (Zen 5)"] == [
        f.title for f in others if f.level == findings.PROBLEM
    ]


def test_core_type_that_the_user_has_set_is_not_the_librarys_own() -> None:
    """What is slow is what was set; where that is the faster one, nothing is wrong with it."""
    machine = facts("kernel_below_the_cpu") | {"openblas_coretype": "Haswell"}
    own, other, _ = machine["openblas"]
    unset = other | {"name": "unset"}

    (finding,) = findings.openblas(machine | {"openblas": [own, unset, other]})
    assert "OPENBLAS_CORETYPE=Haswell makes NumPy's OpenBLAS use its Haswell" in finding.title
    assert "without it it uses SkylakeX, and a float32 product is 1.70 times" in finding.effect
    assert "unset OPENBLAS_CORETYPE" in finding.remedy
    text = doctor.text(machine | {"openblas": [own, unset, other]}, [finding])
    assert "OpenBLAS, OPENBLAS_CORETYPE=Haswell, as it is set: Haswell kernels" in text
    assert "OpenBLAS, by itself, with OPENBLAS_CORETYPE unset: SkylakeX kernels" in text

    same = own | {"name": "unset"}
    (finding,) = findings.openblas(machine | {"openblas": [own, same, other]})
    assert "export OPENBLAS_CORETYPE=SkylakeX" in finding.remedy
    machine |= {"openblas_coretype": "SkylakeX"}
    best = other | {"name": ""}
    assert [] == list(findings.openblas(machine | {"openblas": [best, own | {"name": "unset"}]}))


def test_nothing_wrong_is_said() -> None:
    """And ends with status 0."""
    text = doctor.text(facts("nothing_wrong"), findings.findings(facts("nothing_wrong")))

    assert [] == problems(facts("nothing_wrong"))
    assert "Nothing is wrong" in text


def test_quota_below_the_cores_is_found() -> None:
    """A container of 8 cores with the time of 2.5."""
    (title,) = problems(facts("quota_below_cores"))

    assert "the container sees 8 cores and may use 2.5 cores' worth of time" == title
    assert "--threads 2" in findings.findings(facts("quota_below_cores"))[0].remedy


def test_cores_that_others_share_are_noted() -> None:
    """That is no load: what libraries can do is judged by their best moments."""
    (found,) = findings.findings(facts("nothing_wrong") | {"loop_ns": 320, "loop_least_ns": 200})

    assert "note" == found.level and "others use the same cores" in found.title
    assert "1.6 times its least" in found.effect
    assert not findings.findings(facts("nothing_wrong") | {"loop_ns": 240, "loop_least_ns": 200})


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"governor": "powersave"}, "the CPU's frequency governor is powersave"),
        ({"other_load": 0.7}, "other programs are running"),
        ({"steal": 0.04}, "other machines on the same host take this one's time"),
        (
            {"thread_variables": {"OMP_NUM_THREADS": "16"}},
            "OMP_NUM_THREADS=16 asks for more threads than the 2 cores here",
        ),
        ({"cpu_quota": "1"}, "the container sees 2 cores and may use 1 cores' worth of time"),
    ],
)
def test_one_thing_that_is_wrong_is_all_that_is_found(changes: dict[str, Any], title: str) -> None:
    """On a machine on which nothing else is."""
    assert [title] == problems(facts("nothing_wrong") | changes)


@pytest.mark.parametrize("load", [{"other_load": 1.3, "programs": {"node": 1.2}}, {"steal": 0.2}])
def test_load_is_named_first_and_what_it_can_fake_is_held_back(load: dict[str, Any]) -> None:
    """Whichever library it slows down; what it cannot fake is still said."""
    machine = facts("kernel_below_the_cpu") | {"governor": "powersave"} | load
    slower = {n: v | {"gemm": {"float32": 1e9}} for n, v in machine["libraries"].items()}

    one, other = (findings.findings(machine | more) for more in ({}, {"libraries": slower}))

    assert one == other
    assert [findings.PROBLEM, findings.PROBLEM, findings.NOTE] == [f.level for f in one]
    assert "other" in one[0].title and "powersave" in one[1].title
    assert "how fast libraries and kernels are here is not judged" == one[2].title
    assert "programs" not in load or "measured: node 1.2" in one[0].effect


def test_load_that_begins_while_the_doctor_measures_is_seen() -> None:
    """It looks before and after; what was more counts, whole."""
    quiet = {"other_load": 0.0, "steal": 0.0, "programs": {}}
    busy = {"other_load": 1.2, "steal": None, "programs": {"node": 1.2}}

    assert busy == doctor.busier(quiet, busy) == doctor.busier(busy, quiet)


def test_gpu_that_a_framework_does_not_see_is_found() -> None:
    """Never a silent fall-back to the CPU."""
    machine = facts("nothing_wrong") | {"gpu": "NVIDIA X"}

    titles = problems(machine)

    assert [f"{name} does not see the GPU (NVIDIA X)" for name in ("torch", "jax")] == titles


def test_tf32_and_slow_denormals_are_notes() -> None:
    """They are so, and cannot be mended: no problem, no exit status."""
    machine = facts("nothing_wrong") | {"gpu": "NVIDIA X", "denormals": {"numpy": 30.0}}
    for name, times in (("torch", 6.0), ("jax", 5.5)):
        machine["libraries"][name]["devices"] = ["cpu", "cuda"]
        machine["libraries"][name]["tf32_times"] = times

    notes = findings.findings(machine)

    assert ["note", "note"] == [finding.level for finding in notes]
    assert "6.0 times as fast in torch" in notes[0].effect
    assert "30.0 times as long" in notes[1].effect


def test_unknown_facts_are_no_findings() -> None:
    """A system that tells nothing."""
    assert [] == findings.findings({"cpu": "unknown", "cores": 2, "cpu_quota": "unknown"})


def test_effect_of_too_many_threads_is_measured() -> None:
    """A step as the variables have it, and with one thread a core."""
    machine = facts("nothing_wrong") | {
        "thread_variables": {"OMP_NUM_THREADS": "16"},
        "oversubscription": {"numpy": {"as_set": 4e-3, "one_per_core": 1e-3}},
    }

    assert "4.0 times" in findings.findings(machine)[0].effect


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.full)])
def test_doctor_that_is_interrupted_leaves_no_folder(name: str, tmp_path: Path) -> None:
    """Those in which its children work go with it."""

    def folders() -> list[Path]:
        return [path for path in tmp_path.glob("samegrad-*") if path.is_dir()]

    with subprocess.Popen(
        [sys.executable, "-m", "samegrad", "doctor"], cwd=ROOT, stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=subprocess.DEVNULL, text=True,
    ) as child:  # fmt: skip
        while not folders():
            assert child.poll() is None
            time.sleep(0.02)
        time.sleep(0.3)  # one that is just being made is left to the next process
        child.send_signal(getattr(signal, name))
        _, said = child.communicate(timeout=60)

    assert 130 == child.returncode, said
    assert [] == folders()
