"""A step of sgd for a file that gives a gradient and makes none: its gradient off its weights.

Both stay in the file's own layout. Which of what a backward pass gives belongs to which weights is
found once, by value, outside of the clock.
"""

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from samegrad.implementations.checking import reference
from samegrad.implementations.checking.objects.lines import steps_of
from samegrad.implementations.checking.problems import targets
from samegrad.implementations.reading import layouts, live
from samegrad.implementations.reading.live import Live
from samegrad.implementations.reading.results import Source, distance, sources
from samegrad.implementations.state.leaves import NumpyLeaf

Array = Any
Update = Callable[[Any, float], None]  # of what the calls returned, and a rate
EXAMPLES = 5
SAME = 1e-4  # of a direction, as in `identified`


class Updates:
    """The updates of a file's networks, by their layers."""

    def __init__(self) -> None:
        self._sources: dict[Hashable, list[list[Source]]] = {}

    def of(self, network: Live) -> Update:
        """The update of one network, which is as before afterwards.

        Raises:
            NotImplementedError: its weights or their gradient are where no step can be made.
        """
        sizes = network.spec.layer_sizes
        if sizes not in self._sources:
            self._sources[sizes] = _found(network)
        pairs = [
            (place, source)
            for slot, given in zip(network.slots, self._sources[sizes], strict=True)
            for place, source in zip(slot.places, given, strict=True)
        ]
        net = network.trial.network.net
        each = [_update(place.leaf.value, source, net) for place, source in pairs]

        def update(returned: Any, rate: float) -> None:
            for one in each:
                one(returned, rate)

        return update


def _found(network: Live) -> list[list[Source]]:
    """Where the gradient of each place is, by two runs on some batch."""
    if not all(isinstance(p.leaf, NumpyLeaf) for slot in network.slots for p in slot.places):
        raise NotImplementedError("it has no train_step, nor weights in NumPy's arrays for one")
    spec, rng = network.spec, np.random.default_rng(0)
    n = 1 if network.calls.one else EXAMPLES
    X, y = rng.normal(size=(n, spec.layer_sizes[0])), targets(spec, n, rng)
    batch = live.placed(network.calls, spec, X, y)
    wanted = reference.expected(spec, network.params, X, y).grads
    found = [  # what adds up is another one the second time
        sources(network, network.run(batch), wanted, network.calls.pairs) for _ in range(2)
    ]
    layouts.write(network.slots, network.params)
    for slot, (W, b), given, again in zip(network.slots, wanted, *found, strict=True):
        for part, source, second in zip(slot.spread(W, b), given, again, strict=True):
            if not np.array_equal(source.value, second.value) or (
                distance(source.value, part) > SAME and np.any(part)
            ):
                raise NotImplementedError("it has no train_step, nor a gradient for one")
    return found[0]


def _update(weights: Array, source: Source, net: Any) -> Update:
    """Take a gradient off some weights, in place."""
    root, steps = steps_of(source.name)
    if steps is None:
        raise NotImplementedError(f"it has no train_step, nor a gradient for one: {source.name}")
    start = None if root == "returned" else net

    def update(returned: Any, rate: float) -> None:
        value = returned if start is None else start
        for key, attribute in steps:
            value = getattr(value, key) if attribute else value[key]
        value = value.T if source.turned else value
        np.subtract(weights, rate * np.reshape(value, weights.shape), out=weights)

    return update
