"""Gradients at a point, and again: repeated, with other data, at another point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import CodeType
from typing import Any

import numpy as np

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects import constants, matching, steps
from samegrad.implementations.checking.objects.calls import Calls, Stopped
from samegrad.implementations.checking.objects.candidates import Collector, put
from samegrad.implementations.checking.objects.epsilon import TIMES, without_epsilons
from samegrad.implementations.checking.objects.judge import Judged, Knowledge, judge
from samegrad.implementations.checking.objects.matching import FEW, UPDATE, Candidate, Fit, fit
from samegrad.implementations.checking.objects.other_data import SHRUNK, OtherData
from samegrad.implementations.checking.objects.report import AGREES, DISAGREES, UNDECIDED
from samegrad.implementations.checking.slopes import Noise, Slopes, bound_of, noise_of, slopes
from samegrad.implementations.state.leaves import Leaf, NumberLeaf
from samegrad.implementations.state.reach import Reached

Array = Any
JITTER = 0.05  # of an array's largest entry (or of 1): a nearby point, clear of kinks and zeros
POINTS = 3  # that are tried
OPEN = 0.2  # share of an array's slopes: with more of them on kinks the point says too little
ALIKE = 1e-9  # relative: results of the same computation
ALIKE_FEW = 1e-3  # in float32


class Trial:
    """The gradients of some parameters, as they are computed at one point after another.

    Attributes:
        parameters: the leaves that are checked.
        notes: conventions that were found.
        remarks: how it was done.
        faults: of state: what adds up, stays, or changes by itself.
    """

    def __init__(
        self,
        calls: Calls,
        walk: Callable[[], Reached],
        parameters: Sequence[Leaf],
        data: OtherData,
        seed: int,
    ) -> None:
        self.calls, self.walk, self.parameters = calls, walk, list(parameters)
        self.data, self.seed = data, seed
        self.notes: list[Note] = []
        self.remarks: list[str] = []
        self.faults: list[str] = []
        self._measured: list[Slopes] = []
        self._run: set[CodeType] | None = None
        self._bound = 0.0
        self._noise = Noise(0.0, 0.0)
        self.collector = Collector(calls, walk, self.parameters, data)
        self._state = walk().snapshot()
        calls.zeroed = [leaf for leaf in self.parameters if leaf.gradient() is not None] or [
            leaf for leaf in self.parameters if hasattr(leaf.value, "requires_grad")
        ]

    def covered(self, leaf: Leaf) -> bool:
        """Whether a leaf shares its memory with another parameter."""
        if not isinstance(leaf.value, np.ndarray):
            return False
        others = (p.value for p in self.parameters if p is not leaf)
        return any(isinstance(o, np.ndarray) and np.may_share_memory(o, leaf.value) for o in others)

    def judged(self, rate: float | None, tolerance: float | None) -> Judged:
        """The verdicts, at the user's point or, where that decides nothing, at one nearby."""
        first = self.collector.collect()
        self._data_kept()
        judged = self._at_point(first, rate, tolerance)
        if self._repeated(judged):
            return self.judged(rate, tolerance)
        if not self.faults:
            self._other_data(first, judged)
        self._state.restore()
        if judged.count(DISAGREES):
            judged = self._without_epsilons(judged, rate, tolerance)
        if judged.count(DISAGREES) and steps.none_fits(judged.chosen):
            self._other_steps(judged, rate)
        each = zip(self._measured, self.parameters, judged.matches, strict=True)
        measured = [m for m, leaf, of in each  # slopes of settings are not judged
                    if of.gradient or not isinstance(leaf, NumberLeaf)]  # fmt: skip
        flat = [m for m in measured if np.max(np.abs(m.values), initial=0) <= m.floor]
        kinks = any(np.mean(m.kinks & ~m.trusted(self._bound)) > OPEN for m in measured if m.size)
        vague = judged.count(UNDECIDED) or kinks or flat or any(map(_alike_there, self.parameters))
        if vague and not judged.count(DISAGREES):
            judged = self._moved(judged, bool(flat), rate, tolerance)
        return judged

    def _other_steps(self, judged: Judged, rate: float | None) -> None:
        """Of updates that no constant explains: whether they may be right all the same.

        Raises:
            Stopped: they may.
        """
        if steps.signs_only(judged.chosen):
            said = "the updates are of one size, as a first step of Adam: they show signs alone"
            raise Stopped(UNDECIDED, said, "name the gradients: grads=, or return them")
        with steps.slow(self.walk().leaves, self.parameters) as any_rate:
            candidates = self.collector.collect() if any_rate else []
        self._state.restore()
        there = judge(self._measured, candidates, steps.BOUND, self._knowledge(rate))
        if any_rate and not there.count(DISAGREES) and there.count(AGREES):
            said = (
                "the updates become the gradient as the rate goes to 0: several steps in one call"
            )
            raise Stopped(UNDECIDED, said, "let backward() make one step, of one example or batch")

    def _without_epsilons(
        self, judged: Judged, rate: float | None, tolerance: float | None
    ) -> Judged:
        """Judged for the loss without its small constants, if that is what the gradient is of."""
        # Of fewer entries there is a constant, whatever is wrong with them.
        wrong = [m for m in judged.matches if m.verdict == DISAGREES and m.entries > FEW]
        if any(m.constant is not None or "decay" in m.reason for m in wrong):
            return judged
        reached = self.walk()
        here, notes = self._measured, list(self.notes)
        for times in TIMES:
            try:
                with without_epsilons(reached.functions, reached.leaves, times) as epsilons:
                    if not epsilons:
                        return judged
                    there = self._at_point(self.collector.collect(), rate, tolerance)
            except Stopped:
                return judged
            finally:
                self._state.restore()
            if there.count(AGREES) and not (there.count(DISAGREES) or there.count(UNDECIDED)):
                text = f"the gradient is that of the loss without {', '.join(epsilons[:3])}"
                self.notes.append(Note("epsilon-in-log", text))
                return there
            self._measured, self.notes = here, list(notes)
        return judged

    def _data_kept(self) -> None:
        """Whether the user's functions leave their data alone; it is put back if they do not."""
        if not self.data.changed_by_calls():
            return
        changed = self.calls.loss()
        self.data.restore()
        if constants.same(self.calls.loss(), changed, ALIKE_FEW):
            self.notes.append(Note("data-changed", "loss() or backward() changes its data"))
        else:
            self.faults.append("loss() or backward() changes its data in place")

    def _at_point(
        self, candidates: list[Candidate], rate: float | None, tolerance: float | None
    ) -> Judged:
        noise = noise_of(self.calls.loss, self.parameters, self.seed)
        self._measured = slopes(self.calls.loss, self.parameters, noise=noise, seed=self.seed)
        self._bound = tolerance or bound_of(noise)
        self._noise = noise
        if noise.relative > 1e-12 and self._bound > 1e-5 and not self.notes:
            self.notes.append(
                Note("few-digits", f"the loss has few digits: judged to {self._bound:.0e}")
            )
        sampled = [m.name for m in self._measured if m.sampled]
        if sampled and not self.remarks:
            entries = sum(len(m.entries) for m in self._measured)
            total = sum(m.size for m in self._measured)
            self.remarks.append(
                f"{entries} of {total} entries measured, and random directions through all of them"
            )
        known = self._knowledge(rate)
        judged = judge(self._measured, candidates, self._bound, known)
        if judged.count(AGREES) < len(judged.matches):
            candidates = self.collector.with_origins(candidates)
            judged = judge(self._measured, candidates, self._bound, known)
        return judged

    def _knowledge(self, rate: float | None) -> Knowledge:
        reached = self.walk()
        rates = {
            leaf.name: float(leaf.read())
            for leaf in reached.leaves
            if isinstance(leaf, NumberLeaf) and float(leaf.read()) > 0
        }
        if self._run is None:
            self._run = self.calls.codes_of_backward(reached)
        for function in reached.functions:
            if function.__code__ not in self._run:
                continue  # what only the loss is made of is no rate
            for constant in (*function.__code__.co_consts, *(function.__defaults__ or ())):
                if isinstance(constant, float) and constant > 0:
                    rates.setdefault(f"{constant:g} in {function.__name__}", constant)
        paths = [leaf.names for leaf in self.parameters]
        near = max(constants.NEAR, self._bound)
        values = [leaf.read() for leaf in self.parameters]
        shapes = [a.shape for a in self.data.reached.arrays] or [
            leaf.shape for leaf in self.data.reached.leaves
        ]
        biases = [leaf.size for leaf in self.parameters if len(leaf.shape) == 1]
        sizes = constants.sizes(shapes, biases)
        return Knowledge(sizes, rates, rate, paths, self._orders(), near, values)

    def _orders(self) -> list[list[int]]:
        """How all parameters may follow each other in one array: as found, or as in memory."""
        arrays = [i for i, p in enumerate(self.parameters) if p.size > 1]
        orders = [arrays]
        values = [self.parameters[i].value for i in arrays]
        if all(isinstance(v, np.ndarray) and v.base is not None for v in values):
            address = {
                i: v.__array_interface__["data"][0] for i, v in zip(arrays, values, strict=True)
            }
            orders.insert(0, sorted(arrays, key=lambda i: address[i]))
        return orders

    def _repeated(self, judged: Judged) -> bool:
        """The same call again must give the same; True if all is to be tried again with seeds.

        Raises:
            Stopped: it changes by itself.
        """
        second = self._matched(self.collector.collect())
        self.data.restore()
        changed = [of for of in judged.chosen if of is not None and self._differs(of, second)]
        if not changed or self.faults:
            return False
        self._state.restore()
        third = self._matched(self.collector.collect())
        self.data.restore()
        by_itself = [of for of in changed if self._differs(of, third)]
        if by_itself and self.calls.seeded:
            said = f"{by_itself[0].candidate.name} changes by itself, with the same data and point"
            raise Stopped(
                UNDECIDED, said, "make backward() the same every time: fix what is random"
            )
        if by_itself:
            self.calls.seeded = True
            self.notes.append(Note("seeded", "backward() draws random numbers: seeds were set"))
            self._state.restore()
            return True
        for of in changed:
            name, first = of.candidate.name, of.candidate.values
            if not of.not_finite and _alike(second[name, of.candidate.of] - first, first, 1e-3):
                said = f"{name} adds up over calls: set it to zero before each backward pass"
            else:
                said = f"{name} depends on earlier calls: other values with the same data"
            self.faults.append(said)
        return False

    def _differs(self, of: Fit, now: Mapping[tuple[str, str], Array]) -> bool:
        again = now.get((of.candidate.name, of.candidate.of))
        if of.candidate.origin == UPDATE or again is None:
            return False
        return not _alike(again, of.candidate.values, self._alike)

    def _other_data(self, first: list[Candidate], judged: Judged) -> None:
        """With other data other gradients, right ones."""
        here = self.calls.loss()
        if any(note.code == "data-changed" for note in self.notes):
            return
        for share in (1.0, SHRUNK):  # an order that changes nothing is followed by other numbers
            try:
                if not self.data.change(share):
                    return
                there = self.calls.loss()
                if np.isfinite(there) and not constants.same(there, here, ALIKE):
                    if self._compare_there(first, judged):
                        self._without_one(first, judged, share)
                    return
            except Stopped:  # data that the code does not accept
                return
            finally:
                self.data.restore()

    def _without_one(self, first: list[Candidate], judged: Judged, share: float) -> None:
        """Whether a gradient does not follow a part of the data: labels that are remembered."""
        for only in range(self.data.count):
            self.data.restore()
            here = self.calls.loss()
            if self.data.change(share, only) and not constants.same(self.calls.loss(), here, ALIKE):
                self._compare_there(first, judged)
            if self.faults:
                return

    def _compare_there(self, first: list[Candidate], judged: Judged) -> bool:
        """What is wrong there in a first call and not in a second is left from before.

        What is wrong in both, and no longer what it was, may be a formula that other data does not
        suit, such as targets that must add up to 1: of it True is given, and no more said.
        """
        unsuited = False
        before = self._matched(first)
        found = self._matched(self.collector.collect())
        measured = slopes(
            self.calls.loss,
            self.parameters,
            noise=self._noise,
            seed=self.seed + 1,
            seconds=0.0,
            most_entries=2,
            directions=2,
        )
        second: dict[tuple[str, str], Array] | None = None
        for index, of in enumerate(judged.chosen):
            if of is None or not of.right:
                continue
            key = (of.candidate.name, of.candidate.of)
            again = self._fit_there(of, found.get(key), measured[index])
            if again is None or not again.wrong:
                continue
            if np.array_equal(again.candidate.values, before[key]):
                said = f"{of.name} stays as it was when the data is other: it is stale"
            else:
                second = self._matched(self.collector.collect()) if second is None else second
                later = self._fit_there(of, second.get(key), measured[index])
                if later is None or later.wrong:
                    unsuited = True
                    continue
                said = f"{of.name} is wrong with other data, after a call with the first"
            self.faults.append(f"{said}: error {again.error:.2g} {again.where}")
        return unsuited and not self.faults

    def _fit_there(self, of: Fit, there: Array | None, slopes: Slopes) -> Fit | None:
        if there is None or there.shape != of.candidate.values.shape:
            return None
        values = _in_form(of, there)
        if values is None:
            return None
        candidate = replace(of.candidate, values=there)
        again = fit(slopes, candidate, of.form, values, 10 * self._bound, True)
        return again if again.decided else None

    def _moved(
        self, judged: Judged, flat: bool, rate: float | None, tolerance: float | None
    ) -> Judged:
        """Judged at a nearby point, if that says more."""
        rng = np.random.default_rng(self.seed + 2)
        before = [leaf.read() for leaf in self.parameters]
        best = judged
        for _ in range(POINTS):
            put(
                self.parameters,
                [
                    b + JITTER * max(float(np.max(np.abs(b))), 0.5) * rng.normal(size=b.shape)
                    if not isinstance(leaf, NumberLeaf)
                    else b
                    for leaf, b in zip(self.parameters, before, strict=True)
                ],
            )
            try:
                there = self._at_point(self.collector.collect(), rate, tolerance)
            except Stopped:
                continue
            finally:
                self._state.restore()
                put(self.parameters, before)
            if _not_finite(there) != _not_finite(judged):
                continue  # what overflows at one point alone says nothing about the other
            best = there
            if not there.count(UNDECIDED):
                if not judged.count(UNDECIDED) and any(map(_alike_there, self.parameters)):
                    return best
                why = "slopes of 0" if flat and not judged.count(UNDECIDED) else "a kink"
                self.notes.append(
                    Note("moved", f"the loss has {why} at your point: judged at one nearby")
                )
                return best
        return judged if judged.count(UNDECIDED) else best

    def _matched(self, candidates: list[Candidate]) -> dict[tuple[str, str], Array]:
        return {(c.name, c.of): c.values for c in candidates}

    @property
    def _alike(self) -> float:
        return ALIKE if self._bound <= 1e-5 else ALIKE_FEW


def _in_form(of: Fit, values: Array) -> Array | None:
    """Other values of a candidate, in the form that fitted."""
    return next((v for form, v in matching.forms(of.values.shape, values) if form == of.form), None)


def _alike(a: Array, b: Array, near: float) -> bool:
    """Whether two results are one; what is not finite is like the same that is not."""
    if a.shape != b.shape:
        return False
    size = max(float(np.max(np.abs(b), where=np.isfinite(b), initial=0.0)), 1e-300)
    return np.allclose(a, b, rtol=0.0, atol=near * size, equal_nan=True)


def _alike_there(leaf: Leaf) -> bool:
    """Whether all entries are one number, such as 1, which hides whether it is multiplied by."""
    values = leaf.read()
    return values.size > 1 and bool(values.flat[0] and np.all(values == values.flat[0]))


def _not_finite(judged: Judged) -> list[bool]:
    return [of is not None and of.not_finite > 0 for of in judged.chosen]
