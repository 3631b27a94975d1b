"""What the tests share: which of them are quick, and what children are not told of."""

import os
import signal

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


def pytest_configure(config: pytest.Config) -> None:
    """Keep from child processes what changes them: variables of pytest's, and signals ignored.

    A shell ignores Ctrl-C for what it starts with "&", and children inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        del os.environ[name]
    starts_workers = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if not starts_workers:  # they are pytest, too, and run the tests that need it
        os.environ["PYTEST_ADDOPTS"] = "-p no:hypothesispytest"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is quick, before -m chooses."""
    for item in items:
        name = item.nodeid.split("::")[0].removeprefix("tests/").removesuffix(".py")
        if name in QUICK and item.get_closest_marker("full") is None:
            item.add_marker("quick")
