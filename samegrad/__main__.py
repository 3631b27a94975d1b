"""`python -m samegrad`, and the script `samegrad`."""

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


if __name__ == "__main__":
    sys.exit(main())
