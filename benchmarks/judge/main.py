"""The process that prepares what all implementations of a run are given, and what must come out.

It loads no implementation, and no worker process loads it. It gets one request and answers with
messages (see `implementations.checking.processes`):

    request   workloads, directory, seed
    begin     id of the workload that is prepared now
    workload  its id, with sha256 of weights and examples, or status and reason why there are none
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import MLPWorkload, Workload
from samegrad.implementations.checking import processes
from samegrad.implementations.checking.calls import described
from samegrad.implementations.checking.problems import targets
from samegrad.implementations.checking.reference import clear_of_kinks, expected, loss, outputs
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import Params, map_tree

BATCHES = 4  # distinct batches that steps rotate through, where inputs are random
Array = Any
Message = dict[str, Any]


def main() -> None:
    """Answer one request."""
    processes.serve(prepare)


def prepare(request: Message, send: Callable[[Message], None]) -> None:
    """Write the inputs and the reference's results of each workload."""
    directory = Path(request["directory"])
    for data in request["workloads"]:
        workload = Workload.from_dict(data)
        assert isinstance(workload, MLPWorkload)
        send({"begin": workload.id})
        try:
            digest = inputs.save(directory, workload, draw(workload, request["seed"]))
            send({"workload": workload.id, "sha256": digest})
        except (ValueError, MemoryError, ImportError, OSError) as error:
            # Only what this network and dtype are stays so when it is tried again.
            status = "crashed" if isinstance(error, OSError) else "unavailable"
            status = "out_of_memory" if isinstance(error, MemoryError) else status
            send({"workload": workload.id, "status": status, "reason": described(error)})


def draw(workload: MLPWorkload, seed: int) -> inputs.Inputs:
    """Draw or load a workload's inputs and compute the reference's results.

    Raises:
        ValueError: too few examples are clear of kinks.
    """
    spec, size = workload.spec, workload.batch_size
    rng = np.random.default_rng([seed, *spec.layer_sizes, size])
    params = init_params(spec, seed)
    if workload.name in inputs.EXAMPLES:
        X, y = inputs.EXAMPLES[workload.name](rng)
    else:
        X, y = _random(workload, rng, BATCHES * size)
    X, y = _clear_batch_first(workload, params, X.astype(spec.dtype), y, rng)
    results = vars(expected(spec, params, X[:size], y[:size]))
    if len(X) < 2 * size:
        return inputs.Inputs(params, X, y, results)
    X2, y2, negated = X[size : 2 * size], y[size : 2 * size], map_tree(np.negative, params)
    other = loss(spec, negated, X2, y2), outputs(spec, negated, X2)
    return inputs.Inputs(params, X, y, results, other)


def _random(workload: MLPWorkload, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Standard normal inputs and random targets: the time of a step does not depend on values."""
    X = rng.standard_normal((count, workload.spec.layer_sizes[0]))
    return X, targets(workload.spec, count, rng)


def _clear_batch_first(
    workload: MLPWorkload, params: Params, X: Array, y: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The examples, those that are clear of kinks first: as many as a batch takes."""
    spec, size = workload.spec, workload.batch_size
    clear = clear_of_kinks(spec, params, X)
    real = workload.name in inputs.EXAMPLES  # there are no others of them
    for _ in range(0 if real else 50):
        if np.count_nonzero(clear) >= size:
            break
        more, labels = _random(workload, rng, size)
        more = more.astype(spec.dtype)
        X, y = np.vstack([X, more]), np.concatenate([y, labels])
        clear = np.concatenate([clear, clear_of_kinks(spec, params, more)])
    first = np.flatnonzero(clear)[:size]
    if len(first) < size:
        raise ValueError(
            f"only {len(first)} of {len(X)} examples are clear of relu's kink in "
            f"{spec.dtype}, {size} needed: this network is too wide to be "
            "checked in this dtype; try --dtype float64"
        )
    order = np.concatenate([first, np.setdiff1d(np.arange(len(X)), first)])
    return X[order], y[order]
