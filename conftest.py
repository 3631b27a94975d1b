"""What pytest needs in a checkout: --benchmark, and the report that goes with it."""

import sys
from pathlib import Path

import samegrad

HERE = Path(__file__).resolve().parent
if Path(samegrad.__file__).resolve().parents[1] != HERE:
    print(  # noqa: T201 # pytest would show a traceback of whatever else a conftest raises
        f"two versions of samegrad: {samegrad.__file__} is imported, this checkout is {HERE}; "
        "uninstall that one, or write `python -m pytest`",
        file=sys.stderr,
    )
    sys.exit(4)

# The second is also an entry point, of the same name: whichever comes first is the only one.
pytest_plugins = ["samegrad.benchmarks.plugin", "samegrad.pytest_plugin"]
