"""What a call of a network costs in arithmetic: operations, matrix products, bytes."""

from itertools import pairwise

from samegrad.implementations.contract.spec import MLPSpec

Shape = tuple[int, int]


def flops(spec: MLPSpec, operation: str, examples: int) -> int:
    """Operations of the matrix products, counting a multiplication and an addition as two.

    F1 takes 2 W per example and layer, B2 as many, B4 as many except in the first layer, whose
    inputs need no gradient. Elementwise work is not counted.
    """
    weights = spec.weights
    forward = 2 * examples * sum(weights)
    if operation == "forward":
        return forward
    return 2 * forward + 2 * examples * sum(weights[1:])


def products(spec: MLPSpec, operation: str, batch_size: int) -> list[tuple[str, Shape, Shape]]:
    """The matrix products of one call: (kind, shape of A, shape of B), in the order of a step.

    Kinds are "nn" (A B), "tn" (A^T B) and "nt" (A B^T).
    """
    n = batch_size
    layers = list(pairwise(spec.layer_sizes))
    shapes: list[tuple[str, Shape, Shape]] = [("nn", (n, i), (i, o)) for i, o in layers]  # F1
    if operation == "forward":
        return shapes
    for layer, (i, o) in reversed(list(enumerate(layers))):
        if layer > 0:
            shapes.append(("nt", (n, o), (i, o)))  # B4
        shapes.append(("tn", (n, i), (n, o)))  # B2
    return shapes


def traffic(spec: MLPSpec, operation: str, batch_size: int) -> int:
    """Bytes of all arrays of one call, each moved once: X, params, activations, gradients.

    A forward pass reads X and the params and writes each layer's outputs. A gradient reads those
    outputs and the params again, and writes a delta per layer and the gradient; a step reads the
    gradient and writes the params. Caches may save some of it, temporaries may add to it.
    """
    itemsize = 8 if spec.dtype == "float64" else 4
    sizes = spec.layer_sizes
    entries = batch_size * sum(sizes) + spec.parameters
    if operation != "forward":
        entries += batch_size * (sizes[0] + 3 * sum(sizes[1:])) + 2 * spec.parameters
    if operation not in ("forward", "loss_and_grad", "products"):
        entries += 2 * spec.parameters
    return itemsize * entries
