"""What a turn of a program's loop changes, and what it computes depends on that and on data."""

import contextlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.replayed import ALL, RETURNED, STATE, TURN, Quantity, Replay

Array = Any
NUDGE = 1e-3
MOST_CHANGED = 300_000  # numbers that a turn changes
MOST_SEARCHED = 200  # runs, to find where targets come from
WEIGHTS = re.compile(r"weight|bias|theta|param|coef|kernel|pesos|poids")
MOST_SOURCES = 12
INDEX = re.compile(r"\[\d+\]")


class Observed:
    """A turn, and what depends on what it changes."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.before = {p.name: p.read() for p in replay.places}
        _, self.after = replay.run(read=list(self.before))
        self.changed = [
            n for n, v in self.after.items()
            if v.size and v.shape == self.before[n].shape and not np.array_equal(v, self.before[n])
        ]  # fmt: skip
        size = sum(np.size(self.before[n]) for n in self.changed)
        if not self.changed or size > MOST_CHANGED:
            raise ValueError("nothing changes, or too much")
        for name in self.changed:
            replay.groups.setdefault(of_layer(name), []).append(name)
        self.base, _ = replay.run()
        codes = [replay.code, *replay.codes]
        self.codes: list[Any] = [c for c in codes if not c.co_filename.startswith("<")]
        again, _ = replay.run()
        self.quantities = {
            key: value for key, value in self.base.items()
            if key in again and again[key].shape == value.shape
            and np.array_equal(again[key], value, equal_nan=True) and np.isfinite(value).all()
        }  # fmt: skip
        lasting = [n for n in self.changed if self._lasts(n)]
        self.depends: dict[str, set[Quantity]] = {}
        for pattern, members in by_pattern(lasting).items():
            with contextlib.suppress(Exception):  # labels that have changed places are no weights
                self.depends[pattern] = self.followers(members)
        self.weights = self._followed()

    def _followed(self) -> set[str]:
        """Patterns of what functions go by, beside what it is itself after the turn."""
        own = {p: {k for k in self.quantities if k[0] == STATE} for p in self.depends}
        return {p for p, followers in self.depends.items() if followers - own[p]}

    def _lasts(self, path: str) -> bool:
        """Whether numbers may be weights: what a function binds anew has a name like theirs."""
        variable = re.fullmatch(r"net\['(\w+)'\]", path)
        if variable is None or self.replay.turn.variables is None:
            return True
        name = variable[1]
        bound = name in self.replay.stored
        called = names.WEIGHT.fullmatch(names.plain(name)) or WEIGHTS.search(name.lower())
        return not bound or called is not None

    def moved(self, members: Iterable[str]) -> dict[str, Array]:
        """Other numbers for some places."""
        rng = np.random.default_rng(0)
        return {n: self.before[n] + NUDGE * (1 + rng.random(self.before[n].shape)) for n in members}

    def followers(self, members: Iterable[str]) -> set[Quantity]:
        """The quantities that depend on numbers at some places."""
        return self._others(self.moved(members))

    def _others(self, values: dict[str, Array]) -> set[Quantity]:
        now, _ = self.replay.run(values)
        return {
            key for key, value in self.quantities.items()
            if key not in now or not np.array_equal(now[key], value)
        }  # fmt: skip

    def sources(self, y: Quantity) -> list[tuple[str, set[Quantity]]]:
        """The places of data that some targets come from, each with all that depends on it."""
        found: list[tuple[str, set[Quantity]]] = []
        tried = 0
        waiting = [[d for d in self.replay.data if d.name not in self.changed]]
        while waiting and tried < MOST_SEARCHED and len(found) < MOST_SOURCES:
            part = waiting.pop()
            tried += 1
            try:
                now = self._others({d.name: other(d.read()) for d in part})
            except (Exception, SystemExit):
                if len(part) == 1:
                    continue
                now = {y}
            if y in now and len(part) == 1:
                found.append((part[0].name, now))
            elif y in now:
                half = len(part) // 2
                waiting += [part[:half], part[half:]]
        return found

    def learns(self, sources: Sequence[str], weights: Sequence[str]) -> bool:
        """Whether what becomes of weights depends on data at some places."""
        places = [d for d in self.replay.data if d.name in sources]
        try:
            _, now = self.replay.run({d.name: other(d.read()) for d in places}, set(), weights)
        except (Exception, SystemExit):
            return False
        return any(n in now and not np.array_equal(now[n], self.after[n]) for n in weights)

    def follow_themselves(self, weights: Sequence[str]) -> bool:
        """Whether changes of weights depend on them: what only adds up is none."""
        moved = self.moved(weights)
        _, now = self.replay.run(moved, set(), weights)
        return any(
            n in now and not np.allclose(now[n] - moved[n], self.after[n] - self.before[n], 1e-9)
            for n in weights
            if n in self.after
        )

    def buffers(self, weights: Sequence[str]) -> list[str]:
        """Numbers that a step goes by beside the gradient, such as a momentum; none is a rate."""
        found = []
        moving = [n for n in self.changed if n in weights]
        for members in by_pattern([n for n in self.changed if n not in weights]).values():
            _, now = self.replay.run(self.moved(members), set(), weights)
            if not any(n in now and not np.array_equal(now[n], self.after[n]) for n in moving):
                continue
            zeros = {n: np.zeros_like(self.before[n]) for n in members}
            _, now = self.replay.run(zeros, set(), weights)
            if all(n in now and not np.array_equal(now[n], self.before[n]) for n in moving):
                found += members
        return found

    def whole(self, key: Quantity) -> bool:
        """Whether a quantity is all that there is of its kind: of one value, or each of several."""
        if key[3] == ALL:
            return not self.stable((*key[:3], 0))
        if key[3] == -1:  # of layers, one after another, which are of several widths
            last = key[2] == RETURNED and not self.stable((*key[:3], 0))
            return last and (*key[:3], ALL) not in self.base
        every = self.base.get((*key[:3], ALL))  # of which the first and the last may be alike
        alike = every is None or np.array_equal(every, np.broadcast_to(self.base[key], every.shape))
        return key[3] == 0 and self.stable(key) and alike

    def stable(self, key: Quantity) -> bool:
        """Whether a quantity has one value in a turn, however often it is computed."""
        if key[0] == TURN and key[2] in self.replay.inner:
            return False
        other = (*key[:3], -1 - key[3])
        return other in self.base and np.array_equal(self.base[key], self.base[other])


def other(values: Array) -> Array:
    """Other data: whole numbers in another order, as labels are, or other numbers."""
    whole = np.array_equal(values, np.round(values))
    if whole and values.size > 1 and len(set(values.ravel().tolist())) > 1:
        turned = np.roll(values, 1, axis=0)
        return np.roll(values, 1) if np.array_equal(turned, values) else turned
    return values + (1 if whole else 0.25)


def by_pattern(paths: Sequence[str]) -> dict[str, list[str]]:
    """Paths by what they are without their indices."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(INDEX.sub("[*]", path), []).append(path)
    return found


def attribute(path: str) -> str:
    """The last name in a path."""
    return re.findall(r"[A-Za-z_]\w*", path)[-1]


def of_layer(path: str) -> str:
    """A path without its indices but the first."""
    at = INDEX.search(path)
    if at is None:
        return path
    return path[: at.end()] + INDEX.sub("[*]", path[at.end() :])
