"""What the update of a turn goes by: a gradient, a share of the weights, signs alone."""

from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.observed import Observed, attribute
from samegrad.implementations.reading.replayed import Quantity

Array = Any
LEAST = 3  # numbers of which a share is told
SAME = 1e-5  # of an update, above which it is another
CLEAR = 1e-4  # of the largest, above which a sign is none of rounding


def with_decay(loss: Callable[[], float], net: dict[str, Array], shares: dict[str, float]) -> float:
    """A loss with the penalty of which a decay is the gradient."""
    penalty = sum(share * float(np.sum(net[name] ** 2)) for name, share in shares.items())
    return loss() + penalty / 2


def decay(
    net: dict[str, Array], slopes: dict[str, Any], changes: dict[str, Array]
) -> dict[str, float]:
    """The shares of weights that an update takes off beside one constant times all gradients."""
    rates, shares = [], {}
    for name, values in net.items():
        place, change = f"net[{name!r}]", changes.get(f"d net[{name!r}]")
        if change is None or place not in slopes:
            return {}
        entries, along = slopes[place]
        used, here = np.ravel(change)[entries], np.ravel(values)[entries]
        if len(entries) <= LEAST:
            continue
        (rate, share), *_ = np.linalg.lstsq(np.stack([along, here], axis=1), used, rcond=None)
        off = np.max(np.abs(used - rate * along - share * here))
        if off > SAME * np.max(np.abs(used)) or rate == 0:
            return {}
        rates.append(rate)
        if abs(share) * np.max(np.abs(here)) > SAME * np.max(np.abs(used)):
            shares[name] = float(share / rate)
    alike = rates and all(abs(rate / rates[0] - 1) < SAME for rate in rates)
    return shares if alike and all(share > 0 for share in shares.values()) else {}


def is_before(seen: Observed, key: Quantity) -> bool:
    """Whether a loss is known to be of the weights before the update: no rate changes it."""
    places = [d for d in seen.replay.data if names.role(attribute(d.name)) == "lr"]
    if not places:
        return False
    try:
        now, after = seen.replay.run({p.name: 2 * p.read() for p in places}, {key}, seen.changed)
    except (Exception, SystemExit):
        return False
    moved = any(n in after and not np.array_equal(after[n], seen.after[n]) for n in seen.changed)
    return moved and key in now and np.array_equal(now[key], seen.quantities[key])


def goes_by(update: Array, values: Array) -> bool:
    """Whether an update has the signs of some values."""
    for form in (values, values.T):
        if form.size == update.size and np.any(form):
            signs = np.sign(np.reshape(form, update.shape))
            known = np.abs(np.reshape(form, update.shape)) > CLEAR * np.max(np.abs(form))
            if np.array_equal(signs[known], np.sign(update)[known]):
                return True
    return False
