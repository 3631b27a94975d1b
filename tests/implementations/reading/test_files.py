"""Files of people as they stand: each right one is read and agrees."""

import json
from pathlib import Path

import numpy as np
import pytest

from samegrad.implementations.reading import board
from samegrad.implementations.reading.files import verify_file
from samegrad.implementations.reading.source import blocks
from tests.helpers.read_here import read_here

OFTEN = 5  # of them in every run of the suite
FILES = Path(__file__).parent / "files"
# file -> what the line that says how it was read must hold
RIGHT = {
    "columns_class.py": "examples in columns",
    "data_in_constructor.py": "from the update of backprop; loss: squared error, summed",
    "deep_functions.py": "loss: its own compute_cost",
    "dense_layers.py": "Layer_Dense, Activation_ReLU, Layer_Dense with Activation_Softmax_Loss",
    "digits_functions.py": "labels 0 to k-1, gradient of backward_prop",
    "eleven_lines.py": "script: weights syn0, syn1",
    "fit_only.py": "from the update of fit",
    "global_weights.py": "functions over global arrays",
    "layer_list.py": "layers Dense, Tanh, Dense with mse",
    "lists_of_floats.py": "one example at a time",
    "loss_in_loop_script.py": "loss: its own cost",
    "loss_returns_grads.py": "labels 0 to k-1, gradient of loss",
    "notebook.ipynb": "class DeepNet",
    "one_output_class.py": "class BinaryMLP",
    "params_dict_class.py": "gradient of gradient; loss: its own loss",
    "per_example_script.py": "script: weights w_hidden, b_hidden, w_out, b_out",
    "quadratic_columns.py": "as a column",
    "query_and_train.py": "from the update of train",
    "random_data_script.py": "loss: its own loss",
    "small_framework.py": "NeuralNet([Linear, Tanh, Linear]) with TSE",
    "softmax_class.py": "class NeuralNetwork(4, 6, 3): examples in rows",
    "two_layer_functions.py": "examples in columns",
    "value_and_grad.py": "its own loss_and_grad",
    "late_weights.py": "from the update of backward; loss: its own cost",
    "no_targets.py": "gradient of derive; loss: its own reconstruction_loss",
    "scalar_graph.py": "gradient of loss; loss: its own loss",
    "sizes_unnamed.py": "gradient of arriere; loss: its own perte",
    "two_inputs.py": "worse: X again",
    "whole_of_parts.py": "class Net(4, 6, 3)",
    "batches_of_pairs.py": "from the update of update; loss: its own cost",
    "column_or_flat.py": "targets like the outputs, gradient of gradients",
    "decay_of_zero.py": "class Decaying(4, 6, 3)",
    "propagate_functions.py": "gradient of propagate; loss: its own propagate",
    "closure_functions.py": "what build(4, 6, 3) makes",
    "forward_gives_loss.py": "class TwoLayers(): examples in rows",
    "loss_object.py": "layers Chain with HalfSquares",
    "loss_per_example.py": "Network([Linear, Tanh, Linear]) with Squares",
    "new_parameters.py": "gradient from the update of update; loss: its own loss",
    "softmax_regression.py": "loss: its own softmax_loss_vectorized",
    "tape_function.py": "class Unit(4)",
    "depth.py": "functions, init_params(4, 2, 3)",
    "layer_left_out.py": "layers Dense, Tanh, Dense with SquaredError",
    "one_of_vectors.py": "functions of w, b",
    "estimator.py": "from the update of partial_fit; loss: its own score_loss",
    "step_sorts_keys.py": "gradient from the update of update; loss: its own loss",
    "weights_of_fit.py": "SoftmaxClassifier.fit: weights self",
    "loop_of_function.py": "regress: weights theta, bias",
    "two_outputs.py": "targets like the outputs, gradient of gradient",
}
# The same of files whose framework a child imports: it computes with float64 then.
OF_FRAMEWORKS = {
    "jax_rule.py": "gradient of jax.grad; loss: its own loss",
    "torch_by_hand.py": "functions over global arrays: examples in rows",
    "torch_function.py": "class Net(4, 3) of torch",
    "torch_loss_function.py": "class Net(4, 3) of torch",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if n % OFTEN == 0 else pytest.mark.full)
        for n, name in enumerate(RIGHT)
    ],
)
def test_right_file_agrees_as_it_stands(name: str) -> None:
    """It is read as what it is, without a line of the user's."""
    report = read_here(FILES / name)

    assert "agrees" == report.verdict, report
    assert RIGHT[name] in report.reading


@pytest.mark.full
@pytest.mark.parametrize("name", OF_FRAMEWORKS)
def test_right_file_of_a_framework_agrees(name: str) -> None:
    """By hand, or by what differentiates for it."""
    pytest.importorskip(name.partition("_")[0])
    report = verify_file(str(FILES / name))

    assert "agrees" == report.verdict, report
    assert OF_FRAMEWORKS[name] in report.reading


def test_network_that_is_not_of_dense_layers_is_said_to_be_none() -> None:
    """In one line, instead of that nothing was found."""
    report = read_here(FILES / "convolution.py")

    assert ("not checked", True) == (report.verdict, "a convolution" in report.reason), report


def test_right_file_agrees_when_a_child_reads_it() -> None:
    """The report that it sends is whole."""
    report = verify_file(str(FILES / "two_layer_functions.py"))

    assert "agrees" == report.verdict, report
    assert ("its own compute_cost" in report.reading, 4) == (True, len(report.report.matches))


def test_bias_that_may_be_a_number_is_no_fault() -> None:
    """Of functions of w and b alone nothing says how many outputs there are."""
    report = read_here(FILES / "one_output.py")

    assert report.verdict in ("agrees", "undecided"), report


def test_many_features_are_smaller_together() -> None:
    """Sums over 784 of them stay as large as over 16: nothing that follows saturates."""
    few, many = (board.inputs(board.Sizes(n=20, f=f, h=3, k=2), "rows") for f in (16, 784))

    assert 0.7 < np.linalg.norm(many) / np.linalg.norm(few) < 1.4


def test_magics_of_a_cell_are_left_out_and_python_is_not(tmp_path: Path) -> None:
    """What only looks like one, at the beginning of a line, goes on with a line before."""
    cells = [
        "%matplotlib inline\n!ls\nfiles = !ls\nif True:\n    %time x = 1\nlen?",
        'said = ("%d of %d"\n        % (1, 2))\nwhy = "really?"',
        "def f(:",
    ]
    notebook = {"cells": [{"cell_type": "code", "source": [cell]} for cell in cells]}
    path = tmp_path / "net.ipynb"
    path.write_text(json.dumps(notebook))

    found = blocks(path)

    assert [False, False, True] == [bool(block.fault) for block in found]
    assert "% (1, 2)" in found[1].source and "!ls" not in found[0].source
