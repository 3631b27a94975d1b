"""The child of `verify` that chains ten steps: `main` by its name."""

from samegrad.implementations.checking import calls, steps

TEN = 10


def main() -> None:
    """The child's main."""
    steps.STEPS = TEN
    calls.main()
