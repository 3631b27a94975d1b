"""What a call will take, predicted from ceilings and probes before any row is measured.

    seconds = calls (c0 + c1 layers) + c2 F + c3 S + c4 A + c5 P

F is the time of its operations at the cores' peak, S the same with each product weighted by 1 / its
shortest side (tiles and vectors that are not full), A and P the bytes of activations and of params
that it moves, over the memory's bandwidth. c0 and c1, what a call and a layer cost, are those of
the operation; the others belong to the library. They are fitted to the probes of the same
implementation, device and number of threads, by relative error, none below 0. docs/limit.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.benchmarks.cases.case import ARITHMETIC, Case, WorkerSpec
from samegrad.benchmarks.cases.workload import OPERATIONS, PRODUCTS, MLPWorkload
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.limits import limit

LEAST_PROBES = 9  # with one operation, as of scikit-learn
KINDS = (*OPERATIONS, PRODUCTS)
# How often an operation moves each parameter (see `MLPWorkload.bytes`), and each activation.
PARAMETERS = {"forward": 1, "loss_and_grad": 3, PRODUCTS: 3}
ACTIVATIONS = {"forward": 1, PRODUCTS: 2}
OF_STEP, ACTIVATIONS_OF_STEP = 5, 4


@dataclass(frozen=True)
class Model:
    """What calls of one implementation take, on a device with some threads.

    Attributes:
        coefficients: of `features`.
        operations: those of its probes.
        rates: arithmetic -> FLOP/s of the cores' peak, and "" -> byte/s of memory, as measured.
    """

    coefficients: Any
    operations: frozenset[str]
    rates: Mapping[str, float]

    def seconds(self, case: Case) -> float | None:
        """Of a call; None of what no probe tells of."""
        operation = case.operation
        if not isinstance(case.workload, MLPWorkload) or case.transfer != "resident":
            return None
        if operation not in self.operations or case.precision != "ieee":
            return None
        return float(features(case, self.rates) @ self.coefficients)


def models(journal: Journal) -> dict[WorkerSpec, Model]:
    """The model of each worker with enough probes."""
    probes: dict[WorkerSpec, list[tuple[Case, float]]] = {}
    for case, seconds in journal.probes:
        if seconds > 0 and isinstance(case.workload, MLPWorkload):
            probes.setdefault(case.worker, []).append((case, seconds))
    made = {}
    for worker, known in probes.items():
        if len(known) >= LEAST_PROBES:
            made[worker] = _fitted(known, _rates(journal, worker))
    return made


def predictions(journal: Journal, cases: Iterable[Case]) -> dict[str, float]:
    """Case id -> seconds of a call, of those that can be predicted; never below the limit."""
    by_worker, seconds = models(journal), {}
    for case in cases:
        model = by_worker.get(case.worker)
        predicted = model.seconds(case) if model else None
        if predicted is not None:
            least = limit(journal, case)
            seconds[case.id] = max(predicted, least.seconds if least else 0.0)
    return seconds


def _rates(journal: Journal, worker: WorkerSpec) -> dict[str, float]:
    """Ceilings of a worker; where none is measured, those of nothing in particular.

    Only their ratios matter then: float64 takes twice the time of float32.
    """
    where = worker.device, worker.threads
    rates = {"float64": 0.5e11, "float32": 1e11, "": 1e10}
    measured = {dtype: journal.most("peak", *where, dtype) for dtype in ARITHMETIC}
    if measured["float32"]:
        rates["float64"] = measured["float32"] / 2
    measured[""] = journal.most("bandwidth", *where)
    return rates | {name: rate for name, rate in measured.items() if rate}


def _fitted(probes: list[tuple[Case, float]], rates: Mapping[str, float]) -> Model:
    from scipy.optimize import nnls

    known = np.array([features(case, rates) / seconds for case, seconds in probes])
    scale = known.max(axis=0)
    scale[scale == 0] = 1
    coefficients = nnls(known / scale, np.ones(len(known)))[0] / scale
    return Model(coefficients, frozenset(case.operation for case, _ in probes), rates)


def features(case: Case, rates: Mapping[str, float]) -> Any:
    """What the time of a call is a sum of: for each operation calls and layers, then F, S, A, P."""
    workload = case.workload
    assert isinstance(workload, MLPWorkload)
    spec, steps, operation = workload.spec, case.calls_per_epoch, case.operation
    of_operation = np.zeros((len(KINDS), 2))
    of_operation[KINDS.index(operation)] = steps, steps * len(spec.weights)
    pass_ = "forward" if operation == "forward" else "loss_and_grad"
    products = [_sides(*product) for product in workload.products(pass_)]
    sides = 2 * steps * sum(m * n * k / min(m, n, k) for m, n, k in products)
    size = 8 if workload.dtype == "float64" else 4
    moved = steps * size / rates[""]
    activations = workload.batch_size * sum(spec.layer_sizes[1:])
    rate = rates[case.arithmetic]
    work = [
        case.flops / rate,
        sides / rate,
        moved * activations * ACTIVATIONS.get(operation, ACTIVATIONS_OF_STEP),
        moved * spec.parameters * PARAMETERS.get(operation, OF_STEP),
    ]
    return np.concatenate([of_operation.ravel(), work])


def _sides(kind: str, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int, int]:
    """(m, n, k) of a product: the result is m x n."""
    m, k = a[::-1] if kind == "tn" else a
    return m, b[0] if kind == "nt" else b[1], k
