"""The same multi-layer perceptron in several idioms, behind one interface."""

from implementations.initial import (
    check_batch,
    check_masks,
    check_params,
    draw_masks,
    init_params,
)
from implementations.interface import Implementation, MLPSpec, Params
from implementations.registry import load, names

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
