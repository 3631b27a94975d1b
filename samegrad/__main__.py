"""`python -m samegrad`, and the script `samegrad`."""

import os
import sys


def main() -> int:
    """Run the command line; an interrupt while it is imported is one line, too."""
    try:
        from samegrad import cli
    except KeyboardInterrupt:
        if sys.stderr is not None:  # closed by whoever started us
            sys.stderr.write("interrupted\n")
        return 130
    return cli.main()


def _look_there_last() -> None:
    """Look for modules in the current folder after everything else: it may hold a numpy.py."""
    try:
        here = os.getcwd()  # noqa: PTH109 # pathlib would be looked for there
    except OSError:  # it is gone
        return
    if sys.path[:1] in ([""], [here]):
        sys.path.append(sys.path.pop(0))


if __name__ == "__main__":
    _look_there_last()
    sys.exit(main())
