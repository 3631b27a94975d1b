"""torch's tensors: devices, transfers, and what torch says of itself.

"float32" means IEEE float32: TF32 is a precision of its own, never a default.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from samegrad.implementations.contract.protocol import Backend, Capabilities, Events, products_of
from samegrad.implementations.contract.spec import Tree, map_tree

torch.backends.cuda.matmul.fp32_precision = "ieee"


def take(X: Tensor, y: Tensor, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
    """Examples of a placed batch by their indices, on its device."""
    indices = torch.from_numpy(chosen).to(X.device)
    return X.index_select(0, indices), y.index_select(0, indices)


def compilations() -> tuple[int, int]:
    """How many graphs torch.compile has compiled in this process; their nanoseconds are unknown."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return (0, 0) if dynamo is None else (int(dynamo.counters["stats"]["unique_graphs"]), 0)


def peak_memory(device: str) -> int | None:
    """The most bytes that tensors have taken on a GPU, in this process; None on a CPU."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else None


def describe(device: str) -> dict[str, str]:
    """What torch says of itself."""
    facts = {
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "float32 products": "IEEE float32",
        "blas": "MKL" if torch.backends.mkl.is_available() else "other",
    }
    if device == "cuda":
        facts |= {"gpu": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}
    return facts


def events(device: str) -> Events | None:
    """CUDA events before and after work on a GPU; None elsewhere."""
    if device != "cuda":
        return None
    first = torch.cuda.Event(enable_timing=True)
    last = torch.cuda.Event(enable_timing=True)

    def stop() -> Callable[[], int]:
        last.record()
        return lambda: round(first.elapsed_time(last) * 1e6)  # elapsed_time is in milliseconds

    def start() -> None:
        first.record()

    return start, stop


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Products of float32 networks in fewer digits: "tf32" (on a GPU), "bfloat16" by autocast."""
    cuda = torch.cuda.is_available()
    if name == "bfloat16":
        with torch.autocast("cuda" if cuda else "cpu", torch.bfloat16):
            yield
    elif name == "tf32" and cuda:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        try:
            yield
        finally:
            torch.backends.cuda.matmul.fp32_precision = "ieee"
    else:
        raise NotImplementedError(f"torch has no precision {name} on this machine")


class TorchBackend(Backend):
    """Tensors that do not require grad: a forward pass on them records nothing."""

    capabilities = Capabilities(
        products=products_of(torch.mm),
        take=take,
        compilations=compilations,
        peak_memory=peak_memory,
        describe=describe,
        events=events,
        precision=precision,
    )

    def devices(self) -> tuple[str, ...]:
        """The CPU, and the accelerator if torch finds one; others than "cuda" are untested."""
        if not torch.accelerator.is_available():
            return ("cpu",)
        accelerator = torch.accelerator.current_accelerator()
        return ("cpu",) if accelerator is None else ("cpu", accelerator.type)

    def place(self, array: np.ndarray, device: str) -> Tensor:
        """A copy; class indices stay int64."""
        return torch.tensor(array, device=device)

    def fetch(self, tree: Tree) -> Tree:
        """Arrays in the CPU's memory; bfloat16, which NumPy does not have, as float32."""

        def array(tensor: Tensor) -> np.ndarray:
            wide = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
            return wide.detach().cpu().numpy().copy()

        return map_tree(array, tree)

    def synchronize(self, tree: Tree) -> None:
        """Wait for the queue of every device that holds a tensor of the tree."""
        used: set[torch.device | None] = set()
        map_tree(lambda leaf: used.add(getattr(leaf, "device", None)), tree)
        for device in used:
            if device is not None and device.type != "cpu":
                torch.accelerator.synchronize(device)


TORCH = TorchBackend()
