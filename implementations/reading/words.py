"""What a file calls activations, in the words that it asks for them by."""

import ast
import re
from collections.abc import Sequence

from samegrad.implementations.reading import names
from samegrad.implementations.reading.beside import CURVED
from samegrad.implementations.reading.loading import Loaded

STRAIGHT = ("linear", "identity", "none", "id")
ACTIVATION = re.compile(r".*(?:activation|act|nonlin|func).*|f|g")


def activation_words(loaded: Loaded) -> list[str]:
    """What the file calls a function of the hidden layer, and one of the last layer."""
    found = [
        node.value
        for statement in loaded.statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    curved = [w for w in dict.fromkeys(found) if w.lower() in CURVED]
    others = _of_other_things(loaded)
    curved = [w for w in curved if w not in others] or curved or ["sigmoid", "relu", "tanh"]
    straight = [w for w in dict.fromkeys(found) if w.lower() in STRAIGHT]
    return [*curved, *straight[:1]]


def _of_other_things(loaded: Loaded) -> set[str]:
    """Words that a file compares with something, or calls it by, and never with an activation."""
    asked: dict[bool, set[str]] = {True: set(), False: set()}
    for node in (node for s in loaded.statements for node in ast.walk(s)):
        left: Sequence[ast.AST] = ()
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.In):
            left, right = [node.left], node.comparators[0]
        elif isinstance(node, ast.Assign):
            left, right = node.targets, node.value
        for target in left:
            word = getattr(target, "attr", getattr(target, "id", ""))
            values = [
                n.value for n in getattr(right, "elts", [right]) if isinstance(n, ast.Constant)
            ]
            called = ACTIVATION.fullmatch(names.plain(word)) is not None
            asked[called] |= {v for v in values if word and isinstance(v, str)}
    return asked[False] - asked[True] if asked[True] else set()
