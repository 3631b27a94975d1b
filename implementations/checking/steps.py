"""Several steps one after another: that a rule keeps its state, and which rule it is.

A first step from a state of zeros is the same for sgd, momentum and a file that throws its state
away. So steps are chained, on two batches in turn.
"""

from collections.abc import Callable

from samegrad.implementations.checking import reference
from samegrad.implementations.checking.comparison import Comparison, compare
from samegrad.implementations.checking.problems import Problem, other_batch
from samegrad.implementations.contract.spec import Params, Tree

STEPS = 4
# Of the rate of a single step, at which every update is at least four times what it updates: the
# chain then stays near where it began, and rounding does not grow.
SMALLER = 16
# Rules that divide a gradient by its size turn a cancelled entry's lost digits into those of a
# step; another rule, or one without its state, is off by a tenth and more.
BOUND = 1e-8


def wanted(problem: Problem) -> bool:
    """Whether steps are chained on it: in float64, away from what was made by hand or drawn."""
    return not problem.name and problem.spec.dtype == "float64"


def batches(problem: Problem) -> list[Problem]:
    """The batch of each step."""
    return [other_batch(problem) if step % 2 else problem for step in range(STEPS)]


def expected(
    problem: Problem,
    learning_rate: float,
    gradient: Callable[[Problem], Params],
    keeps: bool = True,
) -> Params:
    """Params after the steps.

    Args:
        learning_rate: that of the single step.
        gradient: of a problem, at its params.
        keeps: whether a step knows those before it; False is a mistake that people make.
    """
    params, history = problem.params, list[Params]()
    for batch in batches(problem):
        at = Problem("", problem.spec, params, batch.X, batch.y, batch.masks)
        history = [*history, gradient(at)] if keeps else [gradient(at)]
        params = reference.updated(problem.spec, params, history, learning_rate / SMALLER)
    return params


def of_reference(problem: Problem) -> Params:
    """The reference's gradient."""
    p = problem
    return reference.expected(p.spec, p.params, p.X, p.y, p.masks).grads


def compared(
    problem: Problem,
    found: Tree,
    learning_rate: float,
    gradient: Callable[[Problem], Params] = of_reference,
    keeps: bool = True,
) -> Comparison:
    """The params that an implementation has after the steps, with what they should be."""
    right = expected(problem, learning_rate, gradient, keeps)
    dtype = problem.spec.dtype
    return compare(right, found, dtype, name=f"{{}} after {STEPS} steps", accuracy={dtype: BOUND})
