"""`samegrad.check`: whether an object's gradient is that of its own loss, without an adapter."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects import lines
from samegrad.implementations.checking.objects import parameters as by_effect
from samegrad.implementations.checking.objects.calls import (
    Calls,
    Stopped,
    TooLate,
    silent,
    steady,
)
from samegrad.implementations.checking.objects.epsilon import proved_without
from samegrad.implementations.checking.objects.judge import Judged
from samegrad.implementations.checking.objects.other_data import OtherData
from samegrad.implementations.checking.objects.report import (
    AGREES,
    DISAGREES,
    NOT_CHECKED,
    UNDECIDED,
    CheckReport,
)
from samegrad.implementations.checking.objects.trial import Trial
from samegrad.implementations.checking.slopes import check_tolerance, quiet
from samegrad.implementations.contract.spec import items
from samegrad.implementations.contract.texts import clean_errors, described
from samegrad.implementations.state.reach import Reached, around

SECONDS = 16.5  # of work on naming a line, then none is named; the searches themselves end sooner
# What proves. By name: it imports this package.
PROVING = "samegrad.implementations.proof.matched"


@clean_errors()
@quiet()
def check(
    net: Any = None,
    loss: Callable[..., Any] | None = None,
    backward: Callable[..., Any] | None = None,
    data: Any = (),
    *,
    params: Any = None,
    grads: Any = None,
    rate: float | None = None,
    tolerance: float | None = None,
    dtype: str | None = None,
    seed: int = 0,
    allow: Sequence[str] = (),
    exact: bool = False,
) -> CheckReport:
    """Whether the gradient of any object is that of its own loss; the object stays as it is.

    Parameters are found by their effect (float arrays and numbers below `net` that change the
    loss), gradients by value: what backward() returns, keeps anywhere, or takes off a parameter.

    Args:
        net: an object, a dict, a list, a module; or None: what the functions close over and name.
        loss: gives the loss, without arguments or of `data`.
        backward: computes the gradients (after a call of loss), without arguments or of `data`.
        data: the arrays that both use, which are no parameters; (X, y) as a rule. They are changed
            for a while, to see whether results follow.
        params: what is checked: paths such as "net.layers[0].W", arrays or functions that return
            one, in a list or by name.
        grads: their gradients, likewise: in the order of `params`, or by its names.
        rate: that an update is scaled by.
        tolerance: what a gradient may be off, relative to the largest of its array. By default
            1e-6, or what the digits of the loss allow.
        dtype: "float32" leaves arrays of float32 as they are; by default they are float64 for a
            while, where the code works with that.
        seed: of entries, directions and other points.
        allow: codes of notes that are not shown.
        exact: whether what agrees is run over exact numbers, too. What that proves is a remark; an
            entry that is not equal is a fault, however near it is.

    Returns:
        A CheckReport: true if the gradient agrees; str() of it says what was compared with what.

    Raises:
        TypeError: loss or backward is no function, params or grads no dict or list.
        ValueError: an argument's value is not accepted.
    """
    if isinstance(net, str | Path):
        raise TypeError(
            f"net is {described(str(net))}; give the object itself. A file is checked by "
            f"samegrad.verify({str(net)!r})"
        )
    for name, function in (("loss", loss), ("backward", backward)):
        if function is not None and not callable(function):
            raise TypeError(
                f"{name} is {described(function)}; give a function without arguments, or of data, "
                f"such as {name}=lambda: net.{name}(X, y); the order is net, loss, backward, data"
            )
    check_tolerance(tolerance)
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f"dtype {dtype!r} is not known; accepted: float32, float64")
    try:
        if loss is None:
            raise Stopped(NOT_CHECKED, "no loss was given", "give loss=lambda: ..., a number")
        if backward is None:
            raise Stopped(
                NOT_CHECKED, "no backward was given", "give backward=lambda: ..., the gradients"
            )
        held = items(data) if isinstance(data, list | tuple | dict) else [(0, data)]
        given = tuple(part for _, part in held or [])
        checked = _Check(net, loss, backward, given, seed)
        report = checked.report(params, grads, rate, tolerance, dtype)
        if exact and report.agrees:
            report = checked.proved(report)
    except Stopped as stopped:
        return CheckReport(
            stopped.verdict,
            said=stopped.said,
            advice=tuple(filter(None, [stopped.advice])),
            lines=stopped.lines,
        )
    return replace(report, notes=tuple(n for n in report.notes if n.code not in allow))


class _Check:
    """One check, from what can be reached to its report."""

    def __init__(
        self,
        net: Any,
        loss: Callable[..., Any],
        backward: Callable[..., Any],
        data: tuple[Any, ...],
        seed: int,
    ) -> None:
        self.net, self.seed = net, seed
        self.functions = (loss, backward)
        self.reached = self._walk()
        self.calls = Calls(loss, backward, data, self.reached)
        self.data = OtherData(data)

    def _walk(self) -> Reached:
        return around(self.net, self.functions)

    def report(
        self,
        params: Any,
        grads: Any,
        rate: float | None,
        tolerance: float | None,
        dtype: str | None,
    ) -> CheckReport:
        """The verdict; everything is restored before it returns."""
        before = self.reached.snapshot(random=True)
        theirs = self.data.reached.snapshot()
        try:
            here = steady(self.calls, before)
            self.calls.backward()  # buffers exist from here on
            before.restore()
            self.calls.loss()
            reached = self._walk()
            found = self._parameters(reached, here, params)
            if dtype != "float32":
                self._in_double(reached, found, here)
            trial = Trial(self.calls, self._walk, found.parameters, self.data, self.seed)
            trial.collector.pins = by_effect.pinned(grads, reached, "grads")
            return self._concluded(trial, found, rate, tolerance)
        finally:
            before.restore()
            theirs.restore()

    def _parameters(self, reached: Reached, here: float, params: Any) -> by_effect.Found:
        pins = by_effect.pinned(params, reached, "params")
        if pins:
            for name, leaf in pins.items():
                leaf.names.insert(0, name)
            return by_effect.Found(list(pins.values()), [])
        own = [leaf for leaf in reached.leaves if leaf.name.startswith("net")]
        found = by_effect.find(self.calls, own, self.data, here, self.seed)
        if not [leaf for leaf in found.parameters if not by_effect.is_setting(leaf)]:
            beside = [leaf for leaf in reached.leaves if leaf not in own]
            more = by_effect.find(self.calls, beside, self.data, here, self.seed)
            found.parameters += more.parameters
            found.data += more.data
        if not found.parameters:
            raise Stopped(
                NOT_CHECKED,
                f"nothing that was found changes the loss (places with floats that were tried: "
                f"{len(reached.leaves)})",
                f"net is the class {self.net.__name__} itself; give an object of it"
                if isinstance(self.net, type)
                else "give the object that holds the weights as net, or params=[...]",
            )
        return found

    def _in_double(self, reached: Reached, found: by_effect.Found, here: float) -> None:
        few = [leaf for leaf in found.parameters if leaf.promotable]
        if not few:
            return
        tensors = [
            leaf
            for leaf in (*reached.leaves, *self.data.reached.leaves)
            if leaf.promotable and hasattr(leaf.value, "requires_grad")
        ]
        wanted = list({id(leaf.value): leaf for leaf in (*found.parameters, *tensors)}.values())
        single = reached.snapshot()
        held = [(leaf, leaf.value) for leaf in wanted]
        if not by_effect.promoted(self.calls, wanted, self.calls.backward, here):
            single.restore()
            for leaf, value in held:
                leaf.hold(value)
        self.data.keep()

    def _concluded(
        self, trial: Trial, found: by_effect.Found, rate: float | None, tolerance: float | None
    ) -> CheckReport:
        judged = trial.judged(rate, tolerance)
        notes = [*self.calls.notes, *trial.notes, *judged.notes]
        remarks = list(trial.remarks)
        if found.data:
            remarks.append("taken for data: " + ", ".join(found.data))
        given = self.net is not None or bool(self.data.reached.leaves)
        matches, more, said = _without_gradients(judged, trial, given)
        notes += more
        remarks += said
        faults = trial.faults
        verdicts = [match.verdict for match in matches]
        if set(verdicts) - {NOT_CHECKED}:
            verdicts = [verdict for verdict in verdicts if verdict != NOT_CHECKED]
        advice = list(judged.advice)
        verdict, reason = AGREES, ""
        if faults:
            verdict, reason = DISAGREES, faults[0]
        elif DISAGREES in verdicts:
            verdict = DISAGREES
        elif UNDECIDED in verdicts:
            verdict = UNDECIDED
            advice.append("check at another point: other weights, or other data")
        elif not matches or NOT_CHECKED in verdicts:
            verdict = NOT_CHECKED
            reason = "" if matches else "no gradient was found for anything that changes the loss"
            advice.append("name the gradients: grads={...}, or return them from backward()")
        return CheckReport(
            verdict,
            tuple(matches),
            tuple(dict.fromkeys(notes)),
            lines=self._lines(trial, judged) if verdict == DISAGREES else (),
            advice=tuple(advice),
            remarks=(*faults[1:3], *remarks),
            said=reason,
        )

    def proved(self, report: CheckReport) -> CheckReport:
        """The report with what running over exact numbers shows."""
        try:
            proving = importlib.import_module(PROVING)
        except ModuleNotFoundError as missing:
            said = f"not proved: {missing.name} is not installed"
            return replace(report, remarks=(*report.remarks, said))
        with silent():
            proof = proved_without(
                lambda: proving.prove_matches(
                    report.matches, self.net, *self.calls.functions, seed=self.seed
                ),
                self._walk(),
            )
        if proof.verdict == DISAGREES:
            said = f"over exact numbers: {proof.meaning}"
            return replace(report, verdict=DISAGREES, said=said)
        return replace(report, remarks=(*report.remarks, f"{proof.verdict}: {proof.meaning}"))

    def _lines(self, trial: Trial, judged: Judged) -> tuple[str, ...]:
        """Where the fault is, if an experiment shows it."""
        try:
            with trial.calls.bounded(SECONDS), silent():
                found = lines.lines_of(trial, judged, self.net)
        except (Exception, TooLate):  # no line is better than a traceback
            return ()
        sure = [line for line in found if line.certain]
        return tuple(f"{Path(line.file).name}:{line.number}: {line.text}" for line in sure)


def _without_gradients(
    judged: Judged, trial: Trial, given: bool
) -> tuple[list[Any], list[Note], list[str]]:
    """(matches to show, notes, remarks): what has no gradient, where others have.

    Args:
        judged: of all parameters.
        trial: has their leaves.
        given: whether the user said what the network is, or what is data.
    """
    with_one = [m for m in judged.matches if m.verdict != NOT_CHECKED]
    if not with_one:
        return list(judged.matches), [], []
    matches, notes, remarks = list(with_one), [], []
    for leaf, match in zip(trial.parameters, judged.matches, strict=True):
        if match.verdict != NOT_CHECKED:
            continue
        if by_effect.is_setting(leaf):
            remarks.append(f"{leaf.name} changes the loss and has no gradient: a setting")
        elif trial.covered(leaf):
            continue
        elif not given:
            remarks.append(f"{leaf.name} changes the loss and has no gradient: taken for data")
        else:
            matches.append(match)
            notes.append(Note("no-gradient", f"no gradient was found for {leaf.name}"))
    return matches, notes, remarks
