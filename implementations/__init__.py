"""The same multi-layer perceptron in several idioms, behind one interface."""

from samegrad.implementations.contract.initializers import (
    check_batch,
    check_masks,
    check_params,
    draw_masks,
    init_params,
)
from samegrad.implementations.contract.interface import Implementation, MLPSpec, Params
from samegrad.implementations.contract.registry import load, names

__all__ = [
    "Implementation",
    "MLPSpec",
    "Params",
    "check_batch",
    "check_masks",
    "check_params",
    "draw_masks",
    "init_params",
    "load",
    "names",
]
