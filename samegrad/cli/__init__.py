"""The console command, and the one place where measuring and reporting meet."""

import sys
from collections.abc import Sequence
from pathlib import Path

USAGE = """usage: samegrad benchmark [OPTIONS]     measure speed; options as of pytest --benchmark
       samegrad verify [IMPLEMENTATION...] [OPTIONS]   is a gradient right? --help says more
       samegrad render JOURNAL... [--output DIR]   write the report of journals
       samegrad compare OLD NEW [--fail-above 5%]   what has become faster or slower
       samegrad advise --layers 784-256-10 [--batch-size 64]   which implementation, and why
       samegrad doctor [--json]    what makes this machine's numbers misleading or slow
       samegrad selftest [--json]  each claim about the clock, measured on this machine
       samegrad workloads          the tasks that networks are trained for
       samegrad train TASK [OPTIONS]   train one of them; --help says more"""


def pytest_samegrad_report(journal: Path, directory: Path) -> list[str]:
    """pytest's hook: write the report of a run and return what to print last."""
    from samegrad.reports.render import render

    return render([journal], directory)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status of the command that was asked for; 4 for usage, as pytest's."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["benchmark"]:
        return _benchmark(given[1:])
    if given[:1] == ["verify"]:
        from samegrad.cli.verify import main as implementations_main

        return implementations_main(given, "samegrad")
    if given[:1] in (["doctor"], ["selftest"], ["workloads"], ["train"]):
        from samegrad.cli.measuring import main as benchmarks_main

        return benchmarks_main(given, "samegrad")
    if given[:1] in (["render"], ["compare"], ["advise"]):
        from samegrad.cli.reporting import main as reports_main

        return reports_main(given, "samegrad")
    wanted = given[:1] in (["-h"], ["--help"])
    print(USAGE, file=sys.stdout if wanted else sys.stderr)
    return 0 if wanted else 4


def _benchmark(arguments: list[str]) -> int:
    """pytest on the installed cases, whatever the current folder holds."""
    import pytest

    from samegrad.benchmarks import plugin

    here = plugin.HERE
    options = [
        *("-c", str(here / "installed.ini"), "--rootdir", str(here.parent)),
        *("--noconftest", "--import-mode", "importlib", "-p", "no:cacheprovider"),
        *("-p", "samegrad.benchmarks.plugin", "--benchmark"),
    ]
    return int(pytest.main([*options, *arguments], plugins=[sys.modules[__name__]]))


if __name__ == "__main__":
    sys.exit(main())
