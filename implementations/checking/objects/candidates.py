"""Everything that may be a gradient after backward(): returned, kept, or taken off a parameter."""

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects import constants, names
from samegrad.implementations.checking.objects.calls import Calls, Stopped
from samegrad.implementations.checking.objects.matching import (
    KEPT,
    PINNED,
    RETURNED,
    UPDATE,
    Candidate,
)
from samegrad.implementations.checking.objects.other_data import OtherData
from samegrad.implementations.checking.trees import array_of
from samegrad.implementations.state.leaves import Leaf, NumberLeaf, ScalarsLeaf
from samegrad.implementations.state.reach import Reached

Array = Any
NEARBY = 1e-2  # of each entry, or of 0.1: a point at which every result is another


class Collector:
    """Calls backward() and looks for gradients.

    Attributes:
        pins: what the user says are the gradients, by the parameters' names, or in their order.
    """

    def __init__(
        self,
        calls: Calls,
        walk: Callable[[], Reached],
        parameters: Sequence[Leaf],
        data: OtherData,
    ) -> None:
        self.calls, self.walk, self.parameters, self.data = calls, walk, parameters, data
        self.pins: Mapping[str, Any] = {}
        self.restore = walk().snapshot().restore

    def collect(self) -> list[Candidate]:
        """All that may be a gradient after backward() at this point; parameters stay."""
        before = [leaf.read() for leaf in self.parameters]
        returned = self.calls.backward()
        found = self._returned(returned)
        own = {id(leaf.value) for leaf in self.parameters} | {
            id(leaf.value) for leaf in self.data.reached.leaves
        }
        places = {name for leaf in self.parameters for name in leaf.names}
        put_there: dict[str, Array] = {}
        for leaf in self.walk().leaves:
            gradient = leaf.gradient()
            if places.intersection(leaf.names) and id(leaf.value) not in own:
                if isinstance(leaf.value, np.ndarray):
                    put_there |= dict.fromkeys(leaf.names, leaf.read())
                continue  # what backward() put in a parameter's place
            if id(leaf.value) in own and gradient is not None:
                by = f"{leaf.name}.grad"
                found.append(Candidate(by, _float64(gradient), KEPT, leaf.name, _dtype(gradient)))
            if id(leaf.value) not in own and not isinstance(leaf, NumberLeaf):
                found += [
                    Candidate(name, leaf.read(), KEPT, "", _dtype(leaf.value), tuple(leaf.names))
                    for name in leaf.names[:1]
                ]
            elif isinstance(leaf, NumberLeaf):
                found.append(Candidate(leaf.name, leaf.read(), KEPT))
        found += self._cut_off(found)
        anew = False
        for leaf, old in zip(self.parameters, before, strict=True):
            now = leaf.held()
            other = next((put_there[name] for name in leaf.names if name in put_there), None)
            stays = now is not None and np.array_equal(now, old)
            if other is not None and stays and np.shape(other) == np.shape(old):
                anew = anew or not np.array_equal(other, old)
                now = other  # with all that held it
            if now is not None and not np.array_equal(now, old):
                name = f"update of {leaf.name}"
                found.append(Candidate(name, old - now, UPDATE, leaf.name))
                self.calls.zeroes = False
        try:
            if anew:
                self.restore()
            put(self.parameters, before)
        except LookupError:  # it was taken out of its list
            self.restore()
            put(self.parameters, before)
        return found

    def _cut_off(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Zeros for what autograd was asked for and did not reach, though it reached others."""
        reached = {c.of for c in found if c.of}
        return [
            Candidate(f"{leaf.name}.grad", np.zeros(leaf.shape), KEPT, leaf.name)
            for leaf in self.parameters
            if reached
            and leaf.name not in reached
            and getattr(leaf.value, "requires_grad", False) is True
            and leaf.gradient() is None
        ]

    def with_origins(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The same, with what backward() does not make marked: buffers that stay, the loss' own.

        Between a call of loss() and one of backward(), at a point where neither was called yet.
        """
        before = [leaf.read() for leaf in self.parameters]
        state = self.walk().snapshot()
        old = self._kept()
        try:
            put(self.parameters, [b + NEARBY * np.maximum(np.abs(b), 0.1) for b in before])
            self.calls.loss()
            first = self._kept()
            own = {leaf.read().tobytes() for leaf in self.data.reached.leaves}
            reached = Reached().add(self.calls.backward(), "returned")
            then = self._kept()
            made = {name for name, held in then.items() if held != first.get(name)}
            of_loss = {name for name, held in first.items() if held != old.get(name)}
            own.update(first[name] for name in first if name not in made)
            made |= {
                name
                for leaf in reached.leaves
                if leaf.read().tobytes() not in own
                for name in leaf.names
            }
            made |= self._rewritten(then.keys() - made - of_loss)
        except Stopped:
            return list(candidates)
        finally:
            state.restore()
            put(self.parameters, before)
        return [
            replace(c, computed=c.name in made) if c.origin in (KEPT, RETURNED) and not c.of else c
            for c in candidates
        ]

    def _rewritten(self, names_of: Collection[str]) -> set[str]:
        """Which of these buffers backward() writes, though it writes the same again."""
        own = {id(leaf.value) for leaf in (*self.parameters, *self.data.reached.leaves)}
        poked = {}
        for leaf in self.walk().leaves:
            if leaf.name in names_of and leaf.size > 1 and id(leaf.value) not in own:
                with contextlib.suppress(Exception):  # read-only: not written by backward() either
                    leaf.write(np.nan_to_num(leaf.read(), posinf=0.0, neginf=0.0) + 1.0)
                    poked[leaf.name] = leaf.read().tobytes()
        try:
            self.calls.backward()
        except Stopped:  # what it needs was changed
            return set()
        then = self._kept()
        return {name for name, held in poked.items() if then.get(name) != held}

    def _kept(self) -> dict[str, bytes]:
        return {leaf.name: leaf.read().tobytes() for leaf in self.walk().leaves}

    def _returned(self, returned: Any) -> list[Candidate]:
        loss = self.calls.loss
        reached = Reached().add(returned, "returned")
        # A call that returns the network itself returns its weights and settings with it.
        own = {id(leaf.value) for leaf in self.parameters}
        for place in (place for leaf in self.parameters for place in leaf.places):
            with contextlib.suppress(Exception):  # a list that was emptied
                own.add(id(place.get()))
        found = []
        value = None
        for leaf in reached.leaves:
            if isinstance(leaf, ScalarsLeaf) or id(leaf.places[0].get()) in own:
                continue
            if leaf.size == 1:
                value = loss() if value is None else value
                if constants.same(float(leaf.read().ravel()[0]), value, 1e-6):
                    continue
            found += [
                Candidate(name, leaf.read(), RETURNED, "", _dtype(leaf.value))
                for name in leaf.names
            ]
        return [*self._pinned(found), *found]

    def _pinned(self, returned: list[Candidate]) -> list[Candidate]:
        found = []
        kept = {name: leaf for leaf in self.walk().leaves for name in leaf.names}
        for index, (name, pin) in enumerate(self.pins.items()):
            leaf = next((p for p in self.parameters if name in p.names), None)
            if leaf is None and index < len(self.parameters):
                leaf = self.parameters[index]
            if leaf is None:
                raise ValueError(f"grads[{name!r}] belongs to no parameter")
            value: Any = pin() if callable(pin) else pin
            if isinstance(value, str):
                wanted = names.parts(value)
                arrays = {c.name: c.values for c in returned} | {
                    n: held.read() for n, held in kept.items()
                }
                paths = (n for n in arrays if names.parts(n) in (wanted, ["net", *wanted]))
                path = next(paths, None)
                if path is None:
                    raise ValueError(f"grads={value!r} leads to no float array after backward()")
                value = arrays[path]
            label = pin if isinstance(pin, str) else f"grads[{name!r}]"
            array = value.read() if isinstance(value, Leaf) else _float64(value)
            found.append(Candidate(str(label), array, PINNED, leaf.name))
        return found


def put(leaves: Sequence[Leaf], values: Sequence[Array]) -> None:
    """Give parameters these values, in the arrays that held them at first."""
    for leaf, value in zip(leaves, values, strict=True):
        held = leaf.held()
        # A number that a snapshot has put back is another one than its leaf has kept.
        if held is None or not (np.array_equal(held, value) and np.array_equal(leaf.read(), value)):
            leaf.replace_where_held()
            leaf.write(value)


def _float64(value: Any) -> Array:
    return np.array(array_of(value), np.float64)


def _dtype(value: Any) -> str:
    return str(getattr(value, "dtype", "float64")).removeprefix("torch.")
