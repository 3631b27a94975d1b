"""Gradients at a point, and again: repeated, with other data, at another point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects import constants, names
from samegrad.implementations.checking.objects.calls import Calls, OtherData, Stopped
from samegrad.implementations.checking.objects.judge import Judged, Knowledge, judge
from samegrad.implementations.checking.objects.leaves import Leaf, NumberLeaf, ScalarsLeaf
from samegrad.implementations.checking.objects.matching import (
    KEPT,
    PINNED,
    RETURNED,
    UPDATE,
    Candidate,
    Fit,
    fit,
    forms,
)
from samegrad.implementations.checking.objects.parameters import place_of
from samegrad.implementations.checking.objects.reach import Reached
from samegrad.implementations.checking.objects.report import DISAGREES, UNDECIDED
from samegrad.implementations.checking.slopes import bound_of, noise_of, slopes
from samegrad.implementations.checking.trees import array_of

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
        self._pins: Mapping[str, Any] = {}
        self._state = walk().snapshot()
        calls.zeroed = [leaf for leaf in self.parameters if leaf.gradient() is not None] or [
            leaf for leaf in self.parameters if hasattr(leaf.value, "requires_grad")
        ]

    def pin(self, pins: Mapping[str, Any]) -> None:
        """Take these for the gradients: by the parameters' names, or in their order."""
        self._pins = pins

    def covered(self, leaf: Leaf) -> bool:
        """Whether a leaf shares its memory with another parameter."""
        if not isinstance(leaf.value, np.ndarray):
            return False
        others = (p.value for p in self.parameters if p is not leaf)
        return any(isinstance(o, np.ndarray) and np.may_share_memory(o, leaf.value) for o in others)

    def gradients(self) -> list[Candidate]:
        """All that may be a gradient after backward() at this point; parameters stay."""
        before = [leaf.read() for leaf in self.parameters]
        returned = self.calls.backward()
        found = self._returned(returned)
        own = {id(leaf.value) for leaf in self.parameters} | {
            id(leaf.value) for leaf in self.data.reached.leaves
        }
        places = {name for leaf in self.parameters for name in leaf.names}
        for leaf in self.walk().leaves:
            gradient = leaf.gradient()
            if places.intersection(leaf.names) and id(leaf.value) not in own:
                continue  # what backward() put in a parameter's place
            if id(leaf.value) in own and gradient is not None:
                by = f"{leaf.name}.grad"
                found.append(Candidate(by, _float64(gradient), KEPT, leaf.name, _dtype(gradient)))
            if id(leaf.value) not in own and not isinstance(leaf, NumberLeaf):
                found += [
                    Candidate(name, leaf.read(), KEPT, "", _dtype(leaf.value))
                    for name in leaf.names[:1]
                ]
            elif isinstance(leaf, NumberLeaf):
                found.append(Candidate(leaf.name, leaf.read(), KEPT))
        for leaf, old in zip(self.parameters, before, strict=True):
            now = leaf.held()
            if now is not None and not np.array_equal(now, old):
                name = f"update of {leaf.name}"
                found.append(Candidate(name, old - now, UPDATE, leaf.name))
        self._put(before)
        return found

    def _returned(self, returned: Any) -> list[Candidate]:
        loss = self.calls.loss
        reached = Reached().add(returned, "returned", place_of(None, ()))
        found = []
        value = None
        for leaf in reached.leaves:
            if isinstance(leaf, ScalarsLeaf):
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
        for index, (name, pin) in enumerate(self._pins.items()):
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

    def judged(self, rate: float | None, tolerance: float | None) -> Judged:
        """The verdicts, at the user's point or, where that decides nothing, at one nearby."""
        first = self.gradients()
        judged = self._at_point(first, rate, tolerance)
        self._repeated(judged)
        if not self.faults:
            self._other_data(first, judged)
        self._restore()
        measured = self._measured
        flat = [m for m in measured if np.max(np.abs(m.values), initial=0) <= m.floor]
        kinks = any(np.mean(m.kinks & ~m.trusted(self._bound)) > OPEN for m in measured if m.size)
        vague = judged.count(UNDECIDED) or kinks or flat
        if vague and not judged.count(DISAGREES):
            judged = self._moved(judged, bool(flat), rate, tolerance)
        return judged

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
        return judge(self._measured, candidates, self._bound, self._knowledge(rate))

    def _knowledge(self, rate: float | None) -> Knowledge:
        reached = self.walk()
        rates = {
            leaf.name: float(leaf.read())
            for leaf in reached.leaves
            if isinstance(leaf, NumberLeaf) and float(leaf.read()) > 0
        }
        for function in reached.functions:
            for constant in (*function.__code__.co_consts, *(function.__defaults__ or ())):
                if isinstance(constant, float) and constant > 0:
                    rates.setdefault(f"{constant:g} in {function.__name__}", constant)
        paths = [leaf.names for leaf in self.parameters]
        near = max(constants.NEAR, self._bound)
        return Knowledge(self._sizes(), rates, rate, paths, self._orders(), near)

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

    def _sizes(self) -> dict[str, int]:
        shapes = [a.shape for a in self.data.reached.arrays] or [
            leaf.shape for leaf in self.data.reached.leaves
        ]
        shapes = [shape for shape in shapes if shape]
        sizes: dict[str, int] = {}
        if len(shapes) > 1:
            common = [n for n in shapes[0] if n in shapes[-1]]
            batch = (common or [shapes[0][0]])[0]
            sizes["batch size"] = batch
            outputs = [n for n in shapes[-1] if n != batch]
            sizes["outputs"] = outputs[0] if outputs else 1
        elif shapes:
            sizes["batch size"] = shapes[0][0]
        biases = [leaf.size for leaf in self.parameters if len(leaf.shape) == 1]
        if sizes.get("outputs", 1) == 1 and biases:
            sizes["outputs"] = biases[-1]
        return {name: n for name, n in sizes.items() if n > 2}

    def _repeated(self, judged: Judged) -> None:
        """The same call again must give the same."""
        second = self._matched(self.gradients())
        for of in judged.chosen:
            if of is None or of.candidate.origin == UPDATE:
                continue
            again = second.get((of.candidate.name, of.candidate.of))
            if again is None or _alike(again, of.candidate.values, self._alike):
                continue
            name = of.candidate.name
            share = again - of.candidate.values
            if _alike(share, of.candidate.values, 1e-3):
                said = f"{name} adds up over calls: set it to zero before each backward pass"
            else:
                said = f"{name} changes from call to call, with the same data and parameters"
            self.faults.append(said)

    def _other_data(self, first: list[Candidate], judged: Judged) -> None:
        """With other data other gradients, right ones; with the first data the first ones again."""
        here = self.calls.loss()
        if self.data.changed_by_calls():
            self.data.restore()
            if not constants.same(self.calls.loss(), here, ALIKE_FEW):
                self.faults.append("loss() or backward() changes its data in place")
            else:
                self.notes.append(Note("data-changed", "loss() or backward() changes its data"))
            return
        if not self.data.change():
            return
        try:
            there = self.calls.loss()
            if there == here or not np.isfinite(there):
                return
            others = self.gradients()
            self._compare_there(first, others, judged)
        except Stopped:  # data that the code does not accept
            return
        finally:
            self.data.restore()

    def _compare_there(
        self, first: list[Candidate], others: list[Candidate], judged: Judged
    ) -> None:
        before = self._matched(first)
        found = self._matched(others)
        measured = slopes(
            self.calls.loss,
            self.parameters,
            noise=self._noise,
            seed=self.seed + 1,
            seconds=0.0,
            most_entries=2,
            directions=2,
        )
        for index, of in enumerate(judged.chosen):
            if of is None or not of.right:
                continue
            key = (of.candidate.name, of.candidate.of)
            there = found.get(key)
            if there is None or there.shape != of.candidate.values.shape:
                continue
            candidate = replace(of.candidate, values=there)
            values = _in_form(of, there)
            if values is None:
                continue
            again = fit(measured[index], candidate, of.form, values, 10 * self._bound, True)
            if again.decided and again.wrong:
                if np.array_equal(there, before[key]):
                    said = f"{of.name} stays as it was when the data is other: it is stale"
                else:
                    said = f"{of.name} is wrong with other data, after a call with the first"
                said = f"{said}: error {again.error:.2g} {again.where}"
                self.faults.append(said)

    def _moved(
        self, judged: Judged, flat: bool, rate: float | None, tolerance: float | None
    ) -> Judged:
        """Judged at a nearby point, if that says more."""
        rng = np.random.default_rng(self.seed + 2)
        before = [leaf.read() for leaf in self.parameters]
        best = judged
        for _ in range(POINTS):
            self._put(
                [
                    b + JITTER * max(float(np.max(np.abs(b))), 0.5) * rng.normal(size=b.shape)
                    if not isinstance(leaf, NumberLeaf)
                    else b
                    for leaf, b in zip(self.parameters, before, strict=True)
                ]
            )
            try:
                there = self._at_point(self.gradients(), rate, tolerance)
            except Stopped:
                continue
            finally:
                self._restore()
                self._put(before)
            best = there
            if not there.count(UNDECIDED):
                why = "slopes of 0" if flat and not judged.count(UNDECIDED) else "a kink"
                self.notes.append(
                    Note("moved", f"the loss has {why} at your point: judged at one nearby")
                )
                return best
        return judged if judged.count(UNDECIDED) else best

    def _matched(self, candidates: list[Candidate]) -> dict[tuple[str, str], Array]:
        return {(c.name, c.of): c.values for c in candidates}

    def _put(self, values: Sequence[Array]) -> None:
        for leaf, old in zip(self.parameters, values, strict=True):
            if leaf.held() is None or not np.array_equal(leaf.held(), old):  # type: ignore[arg-type]
                leaf.replace_where_held()
                leaf.write(old)

    def _restore(self) -> None:
        self._state.restore()

    @property
    def _alike(self) -> float:
        return ALIKE if self._bound <= 1e-5 else ALIKE_FEW


def _in_form(of: Fit, values: Array) -> Array | None:
    """Other values of a candidate, in the form that fitted."""
    return next((v for form, v in forms(of.values.shape, values) if form == of.form), None)


def _alike(a: Array, b: Array, near: float) -> bool:
    if a.shape != b.shape:
        return False
    size = max(float(np.max(np.abs(b), initial=0.0)), 1e-300)
    return bool(np.max(np.abs(a - b), initial=0.0) <= near * size)


def _float64(value: Any) -> Array:
    return np.array(array_of(value), np.float64)


def _dtype(value: Any) -> str:
    return str(getattr(value, "dtype", "float64")).removeprefix("torch.")
