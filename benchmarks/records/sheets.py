"""What data sheets and publications say of GPUs, and the band that follows from it for a call.

For a GPU that is not there: nothing here is measured.
"""

import re

from samegrad.benchmarks.cases.workload import MLPWorkload

# FLOP/s of dense products by NVIDIA's data sheets: float32 by the ordinary cores, the others by
# tensor cores without sparsity; and under "" the memory's byte/s.
SHEETS: dict[str, dict[str, float]] = {
    "H200": {
        "float64": 67e12, "float32": 67e12, "tf32": 494e12, "bfloat16": 989e12, "": 4.8e12,
    },
    "H100 80GB HBM3": {
        "float64": 67e12, "float32": 67e12, "tf32": 494e12, "bfloat16": 989e12, "": 3.35e12,
    },
    "H100 PCIe": {
        "float64": 51e12, "float32": 51e12, "tf32": 378e12, "bfloat16": 756e12, "": 2.0e12,
    },
    "A100": {
        "float64": 19.5e12, "float32": 19.5e12, "tf32": 156e12, "bfloat16": 312e12, "": 1.555e12,
    },
    "L40S": {"float32": 91.6e12, "tf32": 183e12, "bfloat16": 362e12, "": 864e9},
    "L4": {"float32": 30.3e12, "tf32": 60e12, "bfloat16": 121e12, "": 300e9},
    "T4": {"float32": 8.1e12, "": 320e9},
}  # fmt: skip
LEAST_OF_SHEET = 0.6  # of a data sheet's rate that the best square product is predicted to reach
# 2.6 us enqueued, within a factor of two; 18 to 28 us on a virtual machine with an H100. An eager
# framework has its own share besides: there torch took 0.66 to 0.93 ms for a step of 64-32-10, CuPy
# 1.07 to 1.22, by our count 22 kernels.
LAUNCH_SECONDS, EAGER_SECONDS = (1.3e-6, 28e-6), 60e-6
NODE_SECONDS = 0.6e-6  # of a CUDA graph
# Kernels of a call: the fewest are its products alone; an eager framework starts one for each
# addition, activation, mask, sum over the batch and update besides, and some for the loss.
EAGER_KERNELS = {"forward": 2, "loss_and_grad": 6, "train_step": 8}  # for each layer
LOSS_KERNELS = 6


def sheet(gpu: str) -> dict[str, float]:
    """The data sheet of a GPU by its name; {} where there is none, or of a slice of one."""
    known = (rates for key, rates in SHEETS.items() if re.search(rf"\b{key}\b", gpu))
    return {} if "MIG" in gpu else next(known, {})


def band(
    sheet: dict[str, float], workload: MLPWorkload, operation: str, arithmetic: str
) -> tuple[float, float]:
    """(least, most) seconds of a call: a graph of products at the sheet's rates; eager kernels.

    Raises:
        KeyError: the sheet says nothing of that arithmetic.
    """
    layers = len(workload.spec.weights)
    of_pass = "forward" if operation == "forward" else "loss_and_grad"
    nodes, loss = len(workload.products(of_pass)), LOSS_KERNELS * (operation != "forward")
    computing = workload.flops(operation) / sheet[arithmetic]
    _, least_moved = workload.least_bytes(operation)
    low = max(nodes * NODE_SECONDS, computing, least_moved / sheet[""])
    kernels = EAGER_KERNELS[operation] * layers + loss
    high = (computing + workload.bytes(operation) / sheet[""]) / LEAST_OF_SHEET
    return low, high + kernels * EAGER_SECONDS
