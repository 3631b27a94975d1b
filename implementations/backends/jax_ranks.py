"""JAX's arrays over several ranks: one mesh of a device of each, and arrays laid out on it.

A process holds its part of an array; what is called by all of them is one program, in which XLA
puts what must be exchanged. gloo carries it between CPUs, NCCL between GPUs.
"""

import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from samegrad.implementations.backends.jax_backend import JaxBackend
from samegrad.implementations.contract import ranks
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.ranks import Rows
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree, map_tree

AXIS = "ranks"
WHOLE, SHARED = PartitionSpec(), PartitionSpec(AXIS)  # on each rank all of it; rows shared out
Layouts = list[tuple[PartitionSpec, PartitionSpec]]  # of the W and b of each layer


class MeshRows(Rows):
    """Rows of an array over all ranks; a tree of JAX's.

    Attributes:
        mesh: over which the array lies.
    """

    __slots__ = ("mesh",)

    def __init__(self, array: Any, count: int, mesh: Mesh) -> None:
        """Rows as they are placed."""
        super().__init__(array, count)
        self.mesh = mesh


jax.tree_util.register_pytree_node(
    MeshRows,
    lambda rows: ((rows.array,), (rows.count, rows.mesh)),
    lambda about, held: MeshRows(held[0], *about),
)


@cache
def join() -> None:
    """Have this process know the others', before JAX looks for devices."""
    if ranks.size() == 1:
        return
    host = os.environ.get(ranks.ADDRESS, ranks.LOOPBACK)
    port = ranks.group().decided(ranks.free_port(1) if ranks.rank() == 0 else 0)
    jax.distributed.initialize(
        f"{host}:{port}",
        ranks.size(),
        ranks.rank(),
        local_device_ids=[ranks.local()[0]],
        initialization_timeout=round(ranks.JOIN_SECONDS),
        coordinator_bind_address=f"{host}:{port}",
    )


@cache
def mesh(device: str) -> Mesh:
    """A device of each rank, in their order."""
    join()
    first: dict[int, Any] = {}
    for one in jax.devices(device):
        first.setdefault(one.process_index, one)
    return Mesh(np.array([first[process] for process in sorted(first)]), (AXIS,))


def laid_out(array: np.ndarray, device: str, layout: PartitionSpec) -> Array:
    """A copy on all ranks together, of which this one places its part."""
    sharding = NamedSharding(mesh(device), layout)
    own = np.array(array)
    placed = jax.make_array_from_callback(own.shape, sharding, lambda index: own[index].copy())
    if placed.dtype != array.dtype:
        raise ValueError(f"dtype {array.dtype} is not honoured by jax (gave {placed.dtype})")
    return placed


def everywhere(array: Array, mesh: Mesh, layout: PartitionSpec = WHOLE) -> Array:
    """Within a program: an array that is on each rank as a whole, or laid out otherwise."""
    return jax.lax.with_sharding_constraint(array, NamedSharding(mesh, layout))


def kept(params: Any, layouts: Layouts, mesh: Mesh) -> Any:
    """Within a program: params, or what is shaped like them, laid out as they came in."""
    return [
        tuple(
            None if array is None else everywhere(array, mesh, to)
            for array, to in zip(pair, layout, strict=True)
        )
        for pair, layout in zip(params, layouts, strict=True)
    ]


def all_whole(spec: MLPSpec, _: Mesh) -> Layouts:
    """Every rank has all params."""
    return [(WHOLE, WHOLE)] * (len(spec.layer_sizes) - 1)


_everywhere = jax.jit(everywhere, static_argnums=1)


class JaxRanksBackend(JaxBackend):
    """Batches as `Rows` of arrays over all ranks; params laid out as a network asks for."""

    capabilities = Capabilities(
        compilations=JaxBackend.capabilities.compilations,
        peak_memory=JaxBackend.capabilities.peak_memory,
        describe=JaxBackend.capabilities.describe,
        precision=JaxBackend.capabilities.precision,
    )

    def __init__(
        self,
        rows: PartitionSpec = SHARED,
        layouts: Callable[[MLPSpec, Mesh], Layouts] = all_whole,
    ) -> None:
        """How arrays lie over the ranks: those of a batch, and params."""
        self.rows, self.layouts = rows, layouts
        self.shares_rows = rows == SHARED

    def devices(self) -> tuple[str, ...]:
        """As without ranks."""
        join()
        return super().devices()

    def place(self, array: np.ndarray, device: str) -> Any:
        """A copy, with rows of zeros up to a multiple of the ranks where these share them out."""
        count = len(array)
        if self.rows == SHARED:
            more = -count % mesh(device).size
            array = np.concatenate([array, np.zeros((more, *array.shape[1:]), array.dtype)])
        return MeshRows(laid_out(array, device, self.rows), count, mesh(device))

    def place_params(self, spec: MLPSpec, params: Params, device: str) -> Tree:
        """Copies, laid out."""
        layouts = self.layouts(spec, mesh(device))
        return [
            tuple(
                None if array is None else laid_out(array, device, layout)
                for array, layout in zip(pair, pair_layout, strict=True)
            )
            for pair, pair_layout in zip(params, layouts, strict=True)
        ]

    def exchange(self, spec: MLPSpec, device: str) -> Callable[[], Array]:
        """An all-reduce of as many numbers as a gradient has, and nothing else."""
        shape, one = (mesh(device).size, spec.parameters), mesh(device)
        numbers = laid_out(np.zeros(shape, spec.dtype), device, SHARED)
        return partial(jax.jit(lambda array: everywhere(array.sum(axis=0), one)), numbers)

    def fetch(self, tree: Tree) -> Tree:
        """Arrays in the CPU's memory, once all ranks have shown the same bits."""

        def on_each(leaf: Any) -> Any:
            leaf = leaf.array if isinstance(leaf, Rows) else leaf
            if not isinstance(leaf, Array) or leaf.is_fully_replicated:
                return leaf
            assert isinstance(leaf.sharding, NamedSharding)
            return _everywhere(leaf, leaf.sharding.mesh)

        held = super().fetch(map_tree(on_each, tree))
        if ranks.size() > 1 and ranks.group().comparing:
            ranks.group().same_bits("result", held)
        return held
