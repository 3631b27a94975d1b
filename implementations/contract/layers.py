"""What networks have in common: the walk through their layers, what they refuse, and a step."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from samegrad.implementations.contract.equations import FORWARD_ONLY
from samegrad.implementations.contract.spec import Array, MLPSpec, Params, Tree


def layers_of(activations: Mapping[str, Any]) -> Callable[..., Iterable[Any]]:
    """The function `layers` of an idiom with these activations."""

    def layers(spec: MLPSpec, params: Any, masks: Tree = None) -> Iterable[Any]:
        """(W, b), the activation and the dropout mask or None, from the first layer to the last."""
        # No map of a bound method: the compiler of torch 2.11 does not see through it.
        functions = [activations[name] for name in spec.activations]
        drops = layer_masks(spec, masks) if masks is not None else [None] * len(params)
        return zip(params, functions, drops, strict=True)

    return layers


def drop(a: Array, m: Array | None) -> Array:
    """m * a, or a itself where there is no mask."""
    if m is None:
        return a
    refuse_mask(m, a)
    return m * a


def layer_masks(
    spec: MLPSpec, masks: Tree, batch_size: int | None = None
) -> tuple[Array | None, ...]:
    """A mask or None for each layer: None for the last one, and for all in evaluation.

    Args:
        batch_size: what the masks are held to, where it is known.

    Raises:
        ValueError: masks without dropout in the spec, not one per hidden layer, or of another
            batch size (one row would be spread over the batch).
    """
    layers = len(spec.layer_sizes) - 1
    if masks is None:
        return (None,) * layers
    if spec.dropout == 0:
        raise ValueError("masks were given, but the spec has dropout 0; pass masks=None")
    if len(masks) != layers - 1:
        raise ValueError(f"masks: given {len(masks)}, expected {layers - 1}: one per hidden layer")
    if batch_size is not None and any(len(mask) != batch_size for mask in masks):
        raise ValueError(
            f"masks: of {[len(mask) for mask in masks]} examples, the batch has {batch_size}"
        )
    return (*masks, None)


def refuse_mask(mask: Array, a: Array) -> None:
    """Raise ValueError if a mask is of another batch size than what it is multiplied with."""
    if len(mask) != len(a):
        raise ValueError(f"masks: of {len(mask)} examples, the batch has {len(a)}")


def refuse_forward_only(spec: MLPSpec) -> None:
    """Raise ValueError if an activation has no derivative: autodiff would say 0 everywhere."""
    if not spec.differentiable:
        name = next(name for name in spec.activations if name in FORWARD_ONLY)
        raise ValueError(
            f"activation {name!r} has outputs but no useful derivative (0 everywhere, none "
            "at 0), so there is no gradient; use forward or loss, or another activation"
        )


def require_masks(spec: MLPSpec, masks: Tree) -> None:
    """Raise ValueError if a network with dropout would be trained without it."""
    if spec.dropout and masks is None:
        raise ValueError(
            f"the spec has dropout {spec.dropout:g}, so train_step needs masks: "
            "masks_from_numpy(spec, draw_masks(spec, batch_size, seed), device)"
        )


def step_of(
    loss_and_grad: Callable[..., tuple[Array, Params]], update: Callable[..., tuple[Params, Tree]]
) -> Callable[..., tuple[Params, Tree, Array]]:
    """The `train_step` of a network whose gradient and update rule these are."""

    def train_step(
        spec: MLPSpec,
        params: Params,
        state: Tree,
        X: Array,
        y: Array,
        learning_rate: float,
        masks: Tree = None,
    ) -> tuple[Params, Tree, Array]:
        """Params and state after one update, and the loss before it."""
        require_masks(spec, masks)
        value, grads = loss_and_grad(spec, params, X, y, masks)
        params, state = update(spec, params, grads, state, learning_rate)
        return params, state, value

    return train_step
