"""Fixed calls that are no row of any preset: what they take predicts what rows take."""

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.cases.workload import PRODUCTS, MLPWorkload
from samegrad.implementations.contract.spec import MLPSpec

ALL = ("forward", "loss_and_grad", "train_step")
EPOCH_STEPS = 16
# (layers, batch size, operations). The first two have next to nothing to compute, in one layer and
# in five: what a call and what a layer cost. Each of the others is mostly one thing: products of
# three sizes, passes over activations, passes over parameters, and a little of everything.
NETWORKS: tuple[tuple[tuple[int, ...], int, tuple[str, ...]], ...] = (
    ((6, 4), 2, (*ALL, "epoch", PRODUCTS)),
    ((6, 5, 5, 5, 5, 4), 2, (*ALL, "epoch", PRODUCTS)),
    ((640, 640, 640), 640, ("train_step",)),
    ((256, 256, 256), 256, ("train_step",)),
    ((96, 96, 96, 12), 48, ("train_step",)),
    ((16, 1024, 16), 256, ("train_step",)),
    ((1024, 768), 4, ("train_step",)),
    ((400, 100, 10), 100, ("train_step",)),
)


def probes(worker: WorkerSpec) -> list[Case]:
    """Those of a worker, in float32."""
    cases = []
    for sizes, batch_size, operations in NETWORKS:
        spec = MLPSpec(sizes)
        workload = MLPWorkload("probe", spec, batch_size, EPOCH_STEPS * batch_size)
        cases += [
            Case(workload, operation, worker.implementation, worker.device, threads=worker.threads)
            for operation in operations
        ]
    return cases
