"""What a name leaves open of the arguments of a function: choices that others of it settle."""

from collections.abc import Sequence


def weights_too(choices: Sequence[list[tuple[str, str]]]) -> None:
    """Where no name says that weights are given, the first of several arguments may be them."""
    if len(choices) > 1 and not any(key in ("params", "net") for c in choices for _, key in c):
        choices[0].append((choices[0][0][0], "params"))


def targets_too(choices: list[list[tuple[str, str]]]) -> None:
    """Where no parameter is named as targets are, the one after the inputs may be them."""
    after = False
    for keys in choices:
        if after and keys[0][1] in ("k", "n", "X", "out"):
            keys.insert(0, (keys[0][0], "y"))
            return
        after = after or keys[0][1] in ("X", "out")


def outputs_too(choices: list[list[tuple[str, str]]], out: str) -> None:
    """Of two that are named as targets are, and nothing else, one is the outputs: `loss(y, t)`."""
    if len(choices) == 2 and all([key for _, key in keys] == ["y"] for keys in choices):
        given = [keys[0][0] for keys in choices]
        place = given.index("y") if "y" in given else 0
        choices[place] = [(given[place], out)]


def one_network(plan: Sequence[tuple[str, str]]) -> bool:
    """Whether weights are given once: of `backprop(params, cache, P, Y)` P is another thing."""
    return sum(key == "params" for _, key in plan) < 2
