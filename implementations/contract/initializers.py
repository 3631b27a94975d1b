"""Initial params and dropout masks, in NumPy, for every implementation."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.contract.spec import MLPSpec, Params
from samegrad.implementations.contract.texts import clean_errors

Array = Any
Drawn = Callable[[np.random.Generator, int, int, tuple[int, ...]], Array]


def _uniform(bound: Callable[[int, int], float]) -> Drawn:
    return lambda rng, fan_in, fan_out, shape: rng.uniform(
        -bound(fan_in, fan_out), bound(fan_in, fan_out), shape
    )


def _normal(deviation: Callable[[int, int], float]) -> Drawn:
    return lambda rng, fan_in, fan_out, shape: deviation(fan_in, fan_out) * rng.normal(size=shape)


# name: (how W is drawn, how b is drawn or None for zeros)
INITIALIZERS: dict[str, tuple[Drawn, Drawn | None]] = {
    # torch.nn.Linear: W and b uniform within 1/sqrt(fan_in)
    "torch": (_uniform(lambda i, o: i**-0.5), _uniform(lambda i, o: i**-0.5)),
    # W and b uniform(-0.5, 0.5)
    "uniform": (_uniform(lambda i, o: 0.5), _uniform(lambda i, o: 0.5)),
    # W of standard deviation 0.01
    "normal": (_normal(lambda i, o: 0.01), None),
    # variance 1/fan_in, which keeps a preactivation's variance (LeCun et al. 1998)
    "fan_in": (_normal(lambda i, o: i**-0.5), None),
    # Glorot and Bengio 2010, "Xavier": variance 2/(fan_in + fan_out)
    "glorot_uniform": (_uniform(lambda i, o: (6 / (i + o)) ** 0.5), None),
    "glorot_normal": (_normal(lambda i, o: (2 / (i + o)) ** 0.5), None),
    # He et al. 2015, "Kaiming", for relu: variance 2/fan_in
    "he_uniform": (_uniform(lambda i, o: (6 / i) ** 0.5), None),
    "he_normal": (_normal(lambda i, o: (2 / i) ** 0.5), None),
}


@clean_errors()
def init_params(spec: MLPSpec, seed: int = 0, initializer: str = "torch") -> Params:
    """[(W, b), ...] drawn by one of INITIALIZERS, in the spec's dtype.

    The default draws biases too, so that a gradient that forgets them is seen. All numbers come
    from one generator with this seed, in float64 and then rounded, so a float32 and a float64
    network of the same seed start from the same weights.

    Raises:
        TypeError: the spec is none.
        ValueError: no such initializer.
    """
    if not isinstance(spec, MLPSpec):
        raise TypeError(f"spec {spec!r} is not accepted; give one: MLPSpec((784, 128, 10))")
    if initializer not in INITIALIZERS:
        raise ValueError(
            f"initializer {initializer!r} is not known; accepted: {', '.join(INITIALIZERS)}"
        )
    draw_W, draw_b = INITIALIZERS[initializer]
    rng = np.random.default_rng(seed)
    params: Params = []
    for fan_in, fan_out in zip(spec.layer_sizes, spec.layer_sizes[1:], strict=False):
        W = draw_W(rng, fan_in, fan_out, (fan_in, fan_out))
        # Drawn without a bias too: the weights do not depend on whether there is one.
        b = draw_b(rng, fan_in, fan_out, (fan_out,)) if draw_b else np.zeros(fan_out)
        params.append((W.astype(spec.dtype), b.astype(spec.dtype) if spec.bias else None))
    return params


def draw_masks(spec: MLPSpec, batch_size: int, seed: int | Sequence[int] = 0) -> list[Array]:
    """Dropout masks for one batch: per hidden layer (batch, width) of 0 or 1/(1 - dropout).

    Drawn with probability `spec.dropout` of a 0; the same seed gives the same masks.
    """
    rng = np.random.default_rng(seed)
    return [
        ((rng.random((batch_size, width)) >= spec.dropout) / (1 - spec.dropout)).astype(spec.dtype)
        for width in spec.layer_sizes[1:-1]
    ]
