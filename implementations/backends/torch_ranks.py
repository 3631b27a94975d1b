"""torch's tensors on several ranks: each has its rows of a batch, and all meet in torch's group.

gloo carries what CPUs exchange, NCCL what GPUs do.
"""

import datetime
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import HashStore, PrefixStore, Store
from torch.distributed.tensor import DTensor

from samegrad.implementations.backends.torch_backend import TorchBackend
from samegrad.implementations.contract import ranks
from samegrad.implementations.contract.ranks import Rows
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree, map_tree

GROUP_SECONDS = 120.0  # for one exchange; whoever waits for the result has a limit of its own


@cache
def join() -> None:
    """Make torch's group of all ranks, once; of one rank it needs no store of others."""
    alone = ranks.size() == 1
    store: Store = HashStore() if alone else PrefixStore("torch", ranks.group().store)
    backend = "gloo"
    if torch.cuda.is_available():
        number, count = ranks.local()
        if count > torch.cuda.device_count():
            raise NotImplementedError(
                f"{count} ranks on this host need a GPU each; it has {torch.cuda.device_count()}"
            )
        torch.cuda.set_device(number)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(
        backend,
        store=store,
        rank=ranks.rank(),
        world_size=ranks.size(),
        timeout=datetime.timedelta(seconds=GROUP_SECONDS),
    )


def summed(part: Tensor) -> Callable[[], Tensor]:
    """Begin to add up a number over all ranks; what is returned waits for the sum."""
    total = part.detach().clone()
    work = dist.all_reduce(total, async_op=True)

    def wait() -> Tensor:
        if work is not None:
            work.wait()
        return total

    return wait


def gathered(part: Tensor, count: int) -> Tensor:
    """All rows of a batch of `count`, from the rows that each rank has."""
    sizes = [count // ranks.size() + (r < count % ranks.size()) for r in range(ranks.size())]
    most = torch.zeros(sizes[0], *part.shape[1:], dtype=part.dtype, device=part.device)
    most[: len(part)] = part.detach()
    parts = [torch.empty_like(most) for _ in sizes]
    dist.all_gather(parts, most)
    return torch.cat([rows[:own] for rows, own in zip(parts, sizes, strict=True)])


def whole(leaf: Any) -> Any:
    """A tensor of this rank's own; of what is shared out, all of it."""
    if isinstance(leaf, Rows):
        return gathered(leaf.array, leaf.count)
    return leaf.full_tensor() if isinstance(leaf, DTensor) else leaf


class TorchRanksBackend(TorchBackend):
    """Batches as `Rows`, params in a module that torch keeps the same on all ranks."""

    capabilities = replace(TorchBackend.capabilities, products=None, take=None)

    shares_rows = True

    def __init__(self, module: Callable[[Params], nn.Module]) -> None:
        """Params are what `module` makes of tensors; it has them as its `pairs`."""
        self.module = module

    def devices(self) -> tuple[str, ...]:
        """As without ranks."""
        join()
        return super().devices()

    def place(self, array: np.ndarray, device: str) -> Any:
        """A copy of the rows of this rank."""
        join()
        return Rows(super().place(array[ranks.own_rows(len(array))], device), len(array))

    def place_params(self, spec: MLPSpec, params: Params, device: str) -> Tree:
        """A module with copies of them."""
        join()
        place = super().place
        return self.module(map_tree(lambda array: place(array, device), params))

    def exchange(self, spec: MLPSpec, device: str) -> Callable[[], Tensor]:
        """An all-reduce of as many numbers as a gradient has, and nothing else."""
        numbers = torch.zeros(spec.parameters, dtype=getattr(torch, spec.dtype), device=device)

        def call() -> Tensor:
            dist.all_reduce(numbers)
            return numbers

        return call

    def fetch(self, tree: Tree) -> Tree:
        """Arrays in the CPU's memory, once all ranks have shown the same bits."""
        held = super().fetch(map_tree(whole, map_tree(_pairs, tree)))
        if ranks.size() > 1 and ranks.group().comparing:
            ranks.group().same_bits("result", held)
        return held

    def synchronize(self, tree: Tree) -> None:
        """Wait for the queue of every device that holds a tensor of the tree."""
        super().synchronize(map_tree(_pairs, tree))


def _pairs(leaf: Any) -> Any:
    """A module as its pairs (W, b); nothing of an optimiser."""
    if isinstance(leaf, nn.Module):
        return getattr(leaf, "module", leaf).pairs
    return [] if isinstance(leaf, torch.optim.Optimizer) else leaf
