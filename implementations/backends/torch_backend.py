"""torch's tensors: devices, transfers, and what torch says of itself.

"float32" means IEEE float32: TF32 is a precision of its own, never a default.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.weak import WeakIdKeyDictionary

from samegrad.implementations.contract.protocol import Backend, Capabilities, Events, products_of
from samegrad.implementations.contract.spec import Tree, map_tree

torch.backends.cuda.matmul.fp32_precision = "ieee"
TF32_SINCE = (8, 0)  # compute capability: Ampere


def take(X: Tensor, y: Tensor, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
    """Examples of a placed batch by their indices, on its device."""
    indices = torch.from_numpy(chosen).to(X.device)
    return X.index_select(0, indices), y.index_select(0, indices)


def pinned(array: np.ndarray, device: str) -> Callable[[], Tensor]:
    """A copy in pinned memory, and how one on the device is begun from it, without a wait."""
    here = torch.tensor(array).pin_memory()
    return lambda: here.to(device, non_blocking=True)


def compilations() -> tuple[int, int]:
    """How many graphs torch has compiled in this process; their nanoseconds are unknown."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    if dynamo is None:
        return 0, 0
    by_dynamo, whole = dynamo.counters["stats"]["unique_graphs"], dynamo.counters["aot_autograd"]
    return int(max(by_dynamo, whole["total"])), 0


def peak_memory(device: str) -> Callable[[], int] | None:
    """The most bytes that tensors take on a GPU from now on, above those of now; None on a CPU."""
    if device != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    return lambda: torch.cuda.max_memory_allocated() - before


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
def precision(name: str, device: str) -> Iterator[None]:
    """Products of float32 networks in fewer digits: "tf32" (on a GPU), "bfloat16" by autocast."""
    if name == "bfloat16" and (device != "cuda" or torch.cuda.is_bf16_supported()):
        with torch.autocast(device, torch.bfloat16):
            yield
    elif name == "tf32" and device == "cuda" and torch.cuda.get_device_capability() >= TF32_SINCE:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        try:
            yield
        finally:
            torch.backends.cuda.matmul.fp32_precision = "ieee"
    else:
        raise NotImplementedError(f"torch has no precision {name} on {device} here")


NARROW = WeakIdKeyDictionary()  # factor of a product -> the same in the dtype of autocast


def factor(tensor: Tensor) -> Tensor:
    """What a product takes under autocast: the tensor in its dtype, made once and kept.

    torch.mm with `out` is no operation of autocast's: it would multiply in float32.
    """
    device = tensor.device.type
    if not torch.is_autocast_enabled(device) or tensor.dtype != torch.float32:
        return tensor
    if tensor not in NARROW:
        NARROW[tensor] = tensor.to(torch.get_autocast_dtype(device))
    return NARROW[tensor]


class TorchBackend(Backend):
    """Tensors that do not require grad: a forward pass on them records nothing."""

    capabilities = Capabilities(
        products=products_of(torch.mm, factor),
        pinned=pinned,
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
        used: set[torch.device] = set()

        def use(leaf: object) -> None:  # NumPy's arrays, too, have a device: the text "cpu"
            if isinstance(leaf, Tensor) and leaf.device.type != "cpu":
                used.add(leaf.device)

        map_tree(use, tree)
        for device in used:
            torch.accelerator.synchronize(device)


TORCH = TorchBackend()


class Examples(Dataset[tuple[Tensor, Tensor]]):
    """The examples of some batches, one by one, as a TensorDataset has those of one.

    All batches have one size, but for a smaller last one.
    """

    def __init__(self, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.batches, self.size = batches, len(batches[0][1])

    def __len__(self) -> int:
        return sum(len(y) for _, y in self.batches)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        X, y = self.batches[number // self.size]
        return X[number % self.size], y[number % self.size]


def loaded(
    batches: Sequence[tuple[Tensor, Tensor]], workers: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches put together from single examples, by this process or by others.

    Their order is that of the batches, not a random one as in training: to draw it takes
    microseconds.
    """
    return DataLoader(Examples(batches), batch_size=len(batches[0][1]), num_workers=workers)


class TorchLoaderBackend(TorchBackend):
    """Batches of an epoch come from a DataLoader; on the CPU, where its workers have their data."""

    def __init__(self, workers: int) -> None:
        self.capabilities = replace(
            TorchBackend.capabilities, loader=partial(loaded, workers=workers)
        )

    def devices(self) -> tuple[str, ...]:
        """The CPU."""
        return ("cpu",)
