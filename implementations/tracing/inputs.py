"""Whether what a wrong line reads is right: if it is not, the line that made it is the cause."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from samegrad.implementations.tracing.outcome import named_alike
from samegrad.implementations.tracing.probe import Event
from samegrad.implementations.tracing.quantities import READ
from samegrad.implementations.tracing.rights import Right
from samegrad.implementations.tracing.search import Hypothesis, Spot, proportional
from samegrad.implementations.tracing.sites import Site

Array = Any
FARTHEST = 5  # lines that are gone back


class Inputs:
    """What is known of the values of a backward pass.

    Args:
        events: of a run of it.
        sites: of the user's functions.
        forward: arrays of the forward pass.
        rights: what it may rightly hold.
        same: relative difference below which numbers are the same.
    """

    def __init__(
        self,
        events: Sequence[Event],
        sites: Sequence[Site],
        forward: Sequence[Array],
        rights: Sequence[Right],
        same: float,
    ) -> None:
        self.events, self.sites, self.same = events, sites, same
        self.forward = {a.tobytes() for a in forward}
        self.slopes = [r for r in rights if r.kind in ("slope", "gradient") and not r.partial]
        self.others = {
            a.tobytes() for r in rights if r.kind in ("value", "label", "derivative")
            for a in r.arrays
        }  # fmt: skip

    def first_wrong(self, h: Hypothesis) -> tuple[Hypothesis, bool]:
        """What mends the gradients, or what it reads that is wrong; and whether that is sure.

        It is where all that the expression reads is right: values of the forward pass, slopes,
        numbers. A product of a right slope and something else has a wrong factor.
        """
        for _ in range(FARTHEST):
            site, event = h.spot.site, h.events[0]
            if site.kind != "value" or h.right.kind not in ("slope", "gradient"):
                return h, False
            read = self._read(site, event)
            wrong = self._swapped(read) or [e for e in read if not self._is_right(e)]
            if not wrong:
                called = {self.sites[e.site].function for e in self._within(site, event)}
                return h, bool(read) and not called - {site.function}
            by_name = [(e, r) for e in wrong if (r := self._meant(e)) is not None]
            if by_name:
                back = self._set(by_name[0][0])
                right, position, constant = by_name[0][1]
            elif len(wrong) == 1 < len(read) and site.operator == "Mult":
                back, right = self._set(wrong[0]), h.right
            else:
                return h, False
            if back is None or self.sites[back.site].line == site.line:
                return h, False
            if by_name:
                arrays = (constant * right.arrays[position],)
                h = Hypothesis(
                    Spot(self.sites[back.site], (back,)), right, constant, position, (back,), arrays
                )
                continue
            factor = Right(
                "derivative", f"what makes {h.right.text} of what it multiplies", (back.array,)
            )
            spot = Spot(self.sites[back.site], (back,))
            return Hypothesis(spot, factor, 1.0, 0, (back,), (back.array,)), True
        return h, False

    def are_zero(self, h: Hypothesis) -> bool:
        """Whether an array that it reads is all zeros, as only what nothing has set yet is."""
        site, event = h.spot.site, h.events[0]
        read = self._read(site, event) if site.kind == "value" else []
        read = [event] if READ.fullmatch(site.text) else read
        return any(e.array.size > 1 and not np.any(e.array) for e in read)

    def _read(self, site: Site, event: Event) -> list[Event]:
        """The values of the variables that an expression reads, each the last one before it."""
        last: dict[int, Event] = {}
        for e in self._within(site, event):
            own = self.sites[e.site]
            if e.site in site.operands and (own.kind != "value" or READ.fullmatch(own.text)):
                last[e.site] = e
        texts = {self.sites[number].text for number in last}
        return [  # of `a.T` not `a` as well
            e
            for number, e in last.items()
            if not any(t.startswith((f"{(x := self.sites[number].text)}.", f"{x}[")) for t in texts)
        ]

    def _within(self, site: Site, event: Event) -> list[Event]:
        """Events while an expression was computed."""
        found: list[Event] = []
        for e in reversed(self.events[: event.index]):
            if e.site == site.number:
                break
            found.append(e)
        first = [i for i, e in enumerate(found) if e.site in site.operands]
        return found[: first[-1] + 1][::-1] if first else []

    def _swapped(self, read: Sequence[Event]) -> list[Event]:
        """Of two or more that one line sets, those that are not what their names say: di, dg."""
        found = []
        for e in read:
            meant = self._meant(e)
            if meant and not any(proportional(e.array, a, self.same) for a in meant[0].arrays):
                found.append(e)
        lines = {None if (s := self._set(e)) is None else self.sites[s.site].line for e in found}
        return found if len(found) > 1 and len(lines) == 1 and None not in lines else []

    def _is_right(self, event: Event) -> bool:
        array = event.array
        if array.size == 1 or array.dtype.kind in "iub":
            return True
        for turned in (array, array.T):
            key = np.ascontiguousarray(turned).tobytes()
            if key in self.forward or key in self.others:
                return True
        return any(
            proportional(turned.reshape(a.shape), a, self.same)
            for turned in (array, array.T)
            for r in self.slopes
            for a in r.arrays
            if a.size == array.size
        )

    def _meant(self, event: Event) -> tuple[Right, int, float] | None:
        """The slope that a variable ought to be by its name."""
        name = self.sites[event.site].text
        for right in self.slopes:
            named = named_alike(name, right.text.partition("dloss/d")[2])
            if named and any(a.shape == event.array.shape for a in right.arrays):
                shapes = [a.shape for a in right.arrays]
                return right, len(shapes) - 1 - shapes[::-1].index(event.array.shape), 1.0
        return None

    def _set(self, event: Event) -> Event | None:
        """Where a variable was set to the value that is read."""
        read = self.sites[event.site]
        for e in reversed(self.events[: event.index]):
            site = self.sites[e.site]
            same = site.function == read.function and site.target == read.text
            if same and (site.whole or site.kind == "stored"):
                return e if np.array_equal(e.array, event.array) else None
        return None
