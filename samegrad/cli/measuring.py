"""The commands `python -m samegrad ...`; speed is measured by `pytest --benchmark`."""

import sys
from collections.abc import Sequence

USAGE = """usage: {0} doctor [--json]     what makes this machine's numbers misleading or slow
       {0} selftest [--device cpu|cuda] [--only NAME,...] [--json]     each claim about the clock
       {0} workloads     the tasks that networks are trained for
       {0} train TASK [OPTIONS]     train one of them; --help says more
       {0} schema     the form of the journal, as Markdown
speed is measured by pytest --benchmark"""


def main(arguments: Sequence[str] | None = None, program: str = "python -m samegrad") -> int:
    """Exit status of the command that was asked for; 2 for wrong usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == ["doctor"]:
            from samegrad.benchmarks.doctor import doctor

            return doctor.main(given[1:], program)
        if given[:1] == ["selftest"]:
            from samegrad.benchmarks.selftest import selftest

            return selftest.main(given[1:], program)
        if given[:1] in (["train"], ["workloads"]):
            from samegrad.benchmarks.training import command

            run = command.main if given[0] == "train" else command.workloads
            return run(given[1:], program)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if given == ["schema"]:
        from samegrad.benchmarks.records import schema

        print(schema.markdown(), end="")
        return 0
    wanted = given[:1] in (["-h"], ["--help"])
    print(USAGE.format(program), file=sys.stdout if wanted else sys.stderr)
    return 0 if wanted else 2


if __name__ == "__main__":
    sys.exit(main())
