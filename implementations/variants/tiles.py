"""How a network that is one kernel is cut: a tile of examples at a time, of sizes of powers of two.

Triton's products take no other sizes.
"""

from collections.abc import Iterable

WIDEST = 128  # units: two such layers' weights fill the registers and shared memory of a block
LEAST = 16  # rows and columns of a product on tensor cores
TILE = 32  # examples of a kernel's instance


def power(size: int) -> int:
    """The least power of two that is no less, and at least LEAST."""
    return max(LEAST, 1 << (size - 1).bit_length())


def tiles(examples: int) -> int:
    """Instances of a kernel that take so many examples."""
    return -(-examples // TILE)


def refuse_wide(name: str, layer_sizes: Iterable[int]) -> None:
    """Raise NotImplementedError for a network that is too wide for one kernel."""
    if max(layer_sizes) > WIDEST:
        raise NotImplementedError(
            f"{name} holds the whole network in one kernel: no layer wider than {WIDEST}"
        )
