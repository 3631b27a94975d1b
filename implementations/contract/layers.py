"""The layers of a network as the forward pass walks through them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Tree
from samegrad.implementations.contract.validation import layer_masks, refuse_mask


def layers_of(activations: Mapping[str, Any]) -> Callable[..., Iterable[Any]]:
    """The function `layers` of an idiom with these activations."""
    function_of = activations.__getitem__

    def layers(spec: MLPSpec, params: Any, masks: Tree = None) -> Iterable[Any]:
        """(W, b), the activation and the dropout mask or None, from the first layer to the last."""
        functions = map(function_of, spec.activations)
        drops = layer_masks(spec, masks) if masks is not None else [None] * len(params)
        return zip(params, functions, drops, strict=True)

    return layers


def drop(a: Array, m: Array | None) -> Array:
    """m * a, or a itself where there is no mask."""
    if m is None:
        return a
    refuse_mask(m, a)
    return m * a
