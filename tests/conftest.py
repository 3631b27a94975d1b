"""What the tests share: how often each runs, and what children are not told of."""

import os
import shutil
import signal
from collections import Counter

import pytest

# Files whose tests start no process or few, compile nothing, and take a second at most: one kind of
# each of what the project promises. `pytest -m quick` runs them, for every change.
QUICK = """
    test_architecture
    benchmarks/cases/test_cases benchmarks/cases/test_second_workload
    benchmarks/clock/test_timer
    benchmarks/doctor/test_findings benchmarks/doctor/test_openblas
    benchmarks/machine/test_environment
    benchmarks/records/test_rows benchmarks/records/test_schema benchmarks/records/test_upgrade
    benchmarks/runs/test_budget benchmarks/runs/test_kinds benchmarks/runs/test_options
    benchmarks/selftest/test_checks
    door/test_extras door/test_messages
    implementations/checking/test_comparison
    implementations/test_cupy implementations/test_examples
    reports/charts/test_chart reports/data/test_analysis reports/data/test_comparison
""".split()

# Tests whose many parameters go the same ways: every so manieth runs by default, which keeps
# continuous integration below its 20 minutes on two slow cores; all run with `tox -e tests-full`.
EVERY = {
    "test_a_merge_that_is_killed_changes_no_answer": 2,
    "test_a_part_that_is_damaged_is_a_line_and_the_rest_is_read": 2,
    "test_a_part_that_is_none_is_a_line_and_the_rest_answers": 3,
    "test_activation_is_the_same_in_every_idiom": 4,
    "test_all_implementations_follow_one_loss_curve": 4,
    "test_broken_pipe_is_no_traceback": 2,
    "test_closed_streams_change_no_status": 3,
    "test_compiled_functions_agree_with_the_reference": 3,
    "test_compiled_implementation_agrees_with_exact_results": 2,
    "test_convention_is_a_note_and_agrees": 3,
    "test_derivative_at_a_kink_is_that_of_the_left_side": 5,
    "test_drawn_networks_agree_within_rounding": 2,
    "test_empty_text_starts_no_benchmark": 5,
    "test_every_pair_of_options_agrees_with_the_reference": 2,
    "test_exact_gradient_agrees_with_differences_of_its_own_loss": 5,
    "test_exit_statuses_mean": 2,
    "test_expressions_give_what_floats_give": 3,
    "test_fault_beside_a_convention_disagrees": 3,
    "test_fault_gives_a_reason_and_no_number": 2,
    "test_fifty_steps_follow_the_same_trajectory": 9,
    "test_file_is_read_as_its_names_say": 2,
    "test_file_of_pytest_that_cannot_be_written_costs_no_report": 2,
    "test_file_that_cannot_be_loaded_is_not_checked": 2,
    "test_gradient_in_layers_of_any_kind_agrees": 2,
    "test_gradient_that_is_not_finite_is_wrong": 3,
    "test_gradient_that_is_not_there_is_not_checked": 2,
    "test_hostile_reasons_are_texts": 4,
    "test_implementation_that_ends_its_process_is_a_row": 2,
    "test_journal_corrects_what_a_false_summary_has_brought": 2,
    "test_line_at_fault_is_named": 2,
    "test_line_of_the_use_is_named": 3,
    "test_loader_gives_the_batches_that_were_drawn": 2,
    "test_logits_of_ten_thousand_give_finite_results_that_agree": 5,
    "test_loss_of_a_loop_is_taken_as_a_function": 2,
    "test_loss_that_training_calls_is_the_one_that_is_judged": 2,
    "test_message_of_a_file_is_a_verdict": 2,
    "test_missing_extra_is_one_line_that_names_it": 3,
    "test_names_beyond_measure_are_one_line_of_a_benchmark": 2,
    "test_options_of_the_readme_are_accepted": 2,
    "test_other_commands_show_hostile_texts_as_escapes": 2,
    "test_own_implementation_agrees_with_exact_results": 12,
    "test_picture_is_drawn": 2,
    "test_placing_and_fetching_gives_back_copies": 3,
    "test_planted_fault_disagrees": 11,
    "test_planted_fault_is_refused_and_located": 7,
    "test_product_of_the_first_options_agrees_with_the_reference": 6,
    "test_products_of_an_implementation_are_right": 3,
    "test_reference_agrees_with_central_differences": 8,
    "test_right_file_agrees_as_it_stands": 2,
    "test_right_gradient_agrees": 2,
    "test_right_network_agrees": 2,
    "test_right_network_is_not_accused": 2,
    "test_run_that_cannot_go_on_says_why": 2,
    "test_script_of_a_module": 4,
    "test_script_of_tensors": 4,
    "test_softmax_of_four_numbers": 3,
    "test_softmax_that_is_taken_once_is_no_note": 2,
    "test_step_depends_on_its_arguments_only": 10,
    "test_ten_steps_follow_the_same_losses": 2,
    "test_training_that_its_implementation_ends_is_no_success": 3,
    "test_update_of_another_rule_is_not_called_wrong": 3,
    "test_updates_without_a_known_rate_have_one_and_go_downhill": 2,
    "test_vectorised_sigmoid_network_without_bias_and_with_the_bias_trick": 3,
    "test_weights_are_saved_whatever_becomes_of_the_words": 2,
    "test_weights_are_saved_where_it_was_said": 2,
    "test_what_cannot_be_meant_is_one_line": 2,
    "test_whatever_is_returned_ends_nothing": 2,
    "test_whatever_is_wrong_in_a_journal_the_rest_is_read": 7,
    "test_whole_product_agrees_where_derivatives_are_by_hand": 5,
    "test_withdrawal_that_is_damaged_is_said_and_the_rest_answers": 2,
    "test_wrong_gradient_disagrees": 2,
    "test_wrong_input_is_one_line_and_exit_status_4": 3,
    "test_xor_network_with_its_published_weights": 3,
}


def pytest_configure(config: pytest.Config) -> None:
    """Keep from child processes what changes them: variables of pytest's, and signals ignored.

    A shell ignores Ctrl-C for what it starts with "&", and children inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Hundreds of them: each would compile the whole package for itself. tox does not hand it on.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Who imports Triton first, as torch's compiler may, decides how all of its kernels run.
    if not shutil.which("nvidia-smi"):
        os.environ.setdefault("TRITON_INTERPRET", "1")
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        del os.environ[name]
    starts_workers = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if not starts_workers:  # they are pytest, too, and run the tests that need it
        os.environ["PYTEST_ADDOPTS"] = "-p no:hypothesispytest"


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blank figures in the reports of this process, see the helper."""
    from samegrad.reports.charts import chart
    from tests.helpers.no_figures import save

    monkeypatch.setattr(chart, "save", save)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is quick, and what is for tests-full only, before -m chooses."""
    seen: Counter[str] = Counter()
    for item in items:
        test = item.name.partition("[")[0]
        if item.get_closest_marker("full") is None:
            if seen[test] % EVERY.get(test, 1):
                item.add_marker("full")
            seen[test] += 1
        name = item.nodeid.split("::")[0].removeprefix("tests/").removesuffix(".py")
        if name in QUICK and item.get_closest_marker("full") is None:
            item.add_marker("quick")
