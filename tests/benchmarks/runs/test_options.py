"""Wrong input is refused in one line that says what is accepted."""

from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.runs.options import parse


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"preset": "fast"},
            "--preset 'fast' is not known; accepted: hello, differentiation, standard, scaling, "
            "peers, spiking, ranks, full",
        ),
        ({"layers": "784"}, "--layers '784' is not accepted"),
        ({"layers": "784-0-10"}, "whole numbers >= 1 joined by '-'"),
        ({"layers": "784--10"}, "for example 784-128-10"),
        ({"layers": "784-ten"}, "--layers '784-ten' is not accepted"),
        ({"layers": ""}, "--layers '' is not accepted"),
        ({"layers": "784-10000000-10"}, "GiB of memory to be checked"),
        ({"layers": "9" * 5000 + "-10"}, "is not accepted"),
        ({"layers": "784-10", "batch_size": "0"}, "--batch-size '0' is not accepted"),
        ({"layers": "784-10", "batch_size": "-5"}, "whole numbers from 1 to 1,000,000"),
        ({"layers": "784-10", "batch_size": "1,,2"}, "--batch-size '1,,2' is not accepted"),
        ({"layers": "784-10", "batch_size": "1.5"}, "is not accepted"),
        ({"batch_size": "32"}, "--batch-size goes with --layers"),
        (
            {"implementation": "nunpy"},
            "implementation 'nunpy' is not known; accepted: scalar, numpy",
        ),
        ({"implementation": "./nothing.py"}, "no such file"),
        ({"implementation": ""}, "--implementation '' is not accepted"),
        (
            {"threads": "0"},
            "--threads '0' is not accepted; give whole numbers >= 1 or 'all' joined by ','",
        ),
        ({"threads": "100000"}, "--threads 100000: there are "),
        ({"threads": "1,,all"}, "--threads '1,,all' is not accepted; give names joined by ','"),
        (
            {"dtype": "float16"},
            "--dtype 'float16' is not known; accepted: float64, float32, tf32, bfloat16",
        ),
        (
            {"ranks": "1,2", "implementation": "numpy,c"},
            "numpy runs in one process, not in 2 ranks",
        ),
        ({"preset": "ranks", "implementation": "numpy"}, "accepted: torch_ddp, torch_fsdp"),
        ({"processes": "0"}, "--processes '0' is not accepted; give a whole number from 1 to 1000"),
        ({"processes": "2.5"}, "--processes '2.5' is not accepted"),
        ({"time": "soon"}, "--time 'soon' is not accepted; give seconds, for example 120"),
        ({"time": "nan"}, "--time 'nan' is not accepted"),
        ({"kind": "training", "time": "9"}, "--time does not go with training"),
        ({"python": "torch"}, "give IMPLEMENTATION=PATH"),
        ({"python": "torch=/does/not/exist"}, "no such interpreter"),
        ({"python": "mxnet=/usr/bin/python3"}, "with one of: scalar, numpy, torch, jax"),
    ],
)
def test_wrong_option_is_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    """What was given, what is accepted."""
    with pytest.raises(ValueError) as caught:
        parse(**options)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_defaults_are_the_standard_preset_with_everything() -> None:
    """All implementations, whatever devices and dtypes there are."""
    options = parse()

    assert ("standard", None, None) == (options.preset_name, options.devices, options.dtypes)
    assert ("scalar", "numpy", "torch", "jax", "c") == options.implementations


def test_own_network_replaces_the_preset() -> None:
    """Its batch sizes are what was asked for, 32 if nothing was."""
    options = parse(layers="784-128-10", batch_size="1,32,256")
    (line,) = options.lines

    assert ((784, 128, 10), (1, 32, 256)) == (line.network.spec.layer_sizes, line.batch_sizes)
    assert (32,) == parse(layers="8-2").lines[0].batch_sizes


def test_form_of_every_network_is_asked_for_in_one_place() -> None:
    """Activations, loss and biases; the name of the network says so, and its series is left."""
    options = parse(preset="differentiation", activation="sigmoid", loss="mse", bias="no")
    specs = [line.network.spec for line in options.lines]

    assert {("sigmoid", "identity", "mse", False)} == {
        (s.activation, s.output_activation, s.loss, s.bias) for s in specs
    }
    assert options.lines[0].network.name.endswith("-sigmoid-mse-no_bias")
    assert {None} == {line.network.series for line in options.lines}
    assert len(options.lines) == len({line.network.name for line in options.lines})
    assert options.arguments.items() >= {"activation": "sigmoid", "bias": "no"}.items()


@pytest.mark.parametrize(
    ("option", "value", "near"),
    [("activation", "sigmoidal", "sigmoid"), ("loss", "mae", "mse"), ("bias", "maybe", "yes, no")],
)
def test_form_that_is_not_known_is_one_line(option: str, value: str, near: str) -> None:
    """What was given, and what is accepted."""
    with pytest.raises(ValueError, match=f"--{option} '{value}' is not known.*{near}"):
        parse(**{option: value})


def test_lists_are_split_and_doubles_dropped(tmp_path: Path) -> None:
    """A path is a name too."""
    mine = tmp_path / "my_mlp.py"
    mine.write_text("")

    options = parse(implementation=f"numpy, numpy,{mine}", device="cpu,cuda")

    assert ("numpy", str(mine)) == options.implementations
    assert ("cpu", "cuda") == options.devices


def test_threads_are_each_taken_once() -> None:
    """One, written twice, is one; without the option those of the preset."""
    assert ("1", "all") == parse(threads="1,01,all").threads
    assert ("all",) == parse().threads
    assert ("1", "all") == parse(preset="full").threads


def test_options_are_kept_as_they_mean_the_same_from_any_folder(tmp_path: Path) -> None:
    """For --resume."""
    mine = tmp_path / "mine.py"
    mine.write_text("")

    arguments = parse(implementation=f"numpy,{mine}", threads="1", output="x").arguments

    assert {"preset": "standard", "implementation": f"numpy,{mine}", "threads": "1"} == arguments
    assert parse(**arguments).implementations == ("numpy", str(mine))
