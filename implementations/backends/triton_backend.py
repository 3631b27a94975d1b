"""torch's tensors where kernels of Triton run.

Triton decides when it is imported whether kernels are compiled, or interpreted by NumPy. Without a
GPU they are interpreted, which shows that they are right and is no time of anything.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from samegrad.implementations.backends import torch_backend
from samegrad.implementations.backends.torch_backend import TORCH, TorchBackend

if "cuda" not in TORCH.devices():
    os.environ.setdefault("TRITON_INTERPRET", "1")
import triton
import triton.language as tl

__all__ = ["INTERPRETED", "TRITON", "tl", "triton"]
INTERPRETED = bool(triton.knobs.runtime.interpret)


@contextmanager
def precision(name: str, device: str) -> Iterator[None]:
    """Products in TF32; torch's autocast does not reach into a kernel."""
    if name != "tf32":
        raise NotImplementedError(f"kernels of triton have no precision {name}")
    with torch_backend.precision(name, device):
        yield


class TritonBackend(TorchBackend):
    """Tensors on the GPU, or on the CPU if kernels are interpreted."""

    capabilities = replace(TorchBackend.capabilities, precision=precision)

    def devices(self) -> tuple[str, ...]:
        """The one device."""
        return ("cpu",) if INTERPRETED else ("cuda",)


TRITON = TritonBackend()
