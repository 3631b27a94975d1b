"""Rules of JAX that are not the derivative of their function: each is tried by itself.

Values are not to be had while JAX differentiates, so that the lines of a rule are not told apart:
what is named is what it returns.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

STEP = 1e-5  # of a central difference in float64: its errors are below 1e-9
SAME = 1e-5  # relative: what counts as equal


def wrong_rule(rules: Sequence[Any], backward: Callable[[], Any]) -> tuple[str, int, str] | None:
    """(file, line, name) of what the one wrong rule returns; None if none or several are wrong.

    Args:
        rules: objects of jax.custom_vjp.
        backward: differentiates through them.
    """
    given = _arguments(rules, backward)
    config = sys.modules["jax"].config
    digits = config.jax_enable_x64
    config.update("jax_enable_x64", True)
    try:
        wrong = [r for r, g in zip(rules, given, strict=True) if g is not None and _is_wrong(r, g)]
    finally:
        config.update("jax_enable_x64", digits)
    if len(wrong) != 1:
        return None
    rule = inspect.unwrap(wrong[0].bwd)
    lines, first = inspect.getsourcelines(rule)
    returns = [node.lineno for node in ast.walk(ast.parse(textwrap.dedent("".join(lines))))
               if isinstance(node, ast.Return)]  # fmt: skip
    if not returns:
        return None
    return rule.__code__.co_filename, first + returns[-1] - 1, rule.__name__


def _arguments(rules: Sequence[Any], backward: Callable[[], Any]) -> list[list[Any] | None]:
    """What each rule was given: arrays as their shapes."""
    found: list[list[Any] | None] = [None] * len(rules)
    kept = [rule.fwd for rule in rules]

    def recording(index: int) -> Callable[..., Any]:
        def forward(*args: Any) -> Any:
            found[index] = [np.shape(a) if hasattr(a, "dtype") else a for a in args]
            return kept[index](*args)

        return forward

    sys.modules["jax"].clear_caches()  # what is compiled already calls no rule
    try:
        for index, rule in enumerate(rules):
            rule.fwd = recording(index)
        backward()
    finally:
        for rule, forward in zip(rules, kept, strict=True):
            rule.fwd = forward
    return found


def _is_wrong(rule: Any, given: Sequence[Any]) -> bool:
    """Whether a rule is not the derivative along a random direction of any of its arrays."""
    jax, rng = sys.modules["jax"], np.random.default_rng(0)
    args = [rng.normal(size=a) if isinstance(a, tuple) else a for a in given]
    arrays = [i for i, a in enumerate(given) if isinstance(a, tuple)]

    def of(*values: Any) -> Any:
        return rule(*(values[arrays.index(i)] if i in arrays else a for i, a in enumerate(args)))

    try:
        here, back = jax.vjp(of, *(args[i] for i in arrays))
        weights = rng.normal(size=here.shape)
        claimed = [np.asarray(part) for part in back(weights)]
        for i, part in zip(arrays, claimed, strict=True):
            move = rng.normal(size=np.shape(args[i]))
            sides = []
            for step in (STEP, -STEP):
                moved = [args[j] + step * move if j == i else args[j] for j in arrays]
                sides.append(np.asarray(of(*moved)))
            slope = float(np.sum(weights * (sides[0] - sides[1]))) / (2 * STEP)
            size = max(abs(slope), float(np.linalg.norm(part) * np.linalg.norm(move)), 1e-30)
            if abs(slope - float(np.sum(part * move))) > SAME * size:
                return True
    except Exception:  # arrays that it does not bear, or no single output
        return False
    return False
