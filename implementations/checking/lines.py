"""The line of a file that makes its gradient wrong on a problem, looked for in a child process."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.implementations.checking import calls, messages, processes
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.contract import registry
from samegrad.implementations.tracing.explain import Line, explain

Message = dict[str, Any]
MOST_SECONDS = 60.0  # a network of a problem takes one or two


def of_problem(implementation: str, problem: Problem, time_limit: float) -> list[str]:
    """Give "FILE:LINE: what it computes and what it should" of an implementation, or nothing.

    Args:
        time_limit: seconds for loading the file and for the search.
    """
    found: list[str] = []
    processes.run_child(
        processes.python_child("samegrad.implementations.checking.lines"),
        calls.request(implementation, "cpu", "ieee", [(0, problem, 0.0)]),
        {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        lambda message: found.extend(map(str, message.get("lines", ()))),
        min(time_limit, MOST_SECONDS),
    )
    return found


def main() -> None:
    """Answer one request."""
    processes.serve(_answer)


def _answer(request: Message, send: Callable[[Message], None]) -> None:
    try:
        problem = messages.decode_problem(request["tasks"][0]["problem"])
        lines = _lines(request["implementation"], problem)
    except (Exception, SystemExit):  # the verdict stands; this is about its cause only
        lines = []
    send({"lines": [f"{Path(line.file).name}:{line.number}: {line.text}" for line in lines]})


def _lines(name: str, problem: Problem) -> list[Line]:
    implementation = registry.load(name)
    spec = problem.spec
    params = implementation.params_from_numpy(spec, problem.params, "cpu")
    X, y = implementation.batch_from_numpy(spec, problem.X, problem.y, "cpu")
    masks: tuple[Any, ...] = ()
    if problem.masks is not None:
        masks = (implementation.masks_from_numpy(spec, problem.masks, "cpu"),)

    def loss_and_grad() -> Any:
        return implementation.loss_and_grad(spec, params, X, y, *masks)

    named = {
        f"{letter}{layer}": array
        for layer, pair in enumerate(params, 1)
        for letter, array in zip("Wb", pair, strict=True)
        if array is not None
    }
    if not all(isinstance(array, np.ndarray | list) for array in named.values()):
        return []  # of another framework, which has no expressions that could be changed
    return explain(
        lambda: loss_and_grad()[0],
        lambda: loss_and_grad()[1],
        (implementation.model, X, y, masks, params),
        named,
        lambda grads: [g for pair in grads for g in pair if g is not None],
    )
