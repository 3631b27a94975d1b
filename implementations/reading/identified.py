"""Which network of ours a file's own calls are, by numbers; and what of it was shown to be right.

Weights of ours are put into the file's network, and its gradient is compared with the reference's
for every activation and loss; then what it gives must be what one convention predicts.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, product
from typing import Any

import numpy as np

from samegrad.implementations.checking import conventions, reference
from samegrad.implementations.checking.comparison import judge
from samegrad.implementations.checking.predictions import Convention
from samegrad.implementations.checking.problems import (
    ACTIVATIONS,
    LOSSES,
    OUTPUT_ACTIVATIONS,
    Problem,
    draw,
)
from samegrad.implementations.checking.report import Outcome
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.reading import layers, layouts, live, networks, search
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.found import Found, compared_with
from samegrad.implementations.reading.gradients import Backward, Change, ThroughGraph
from samegrad.implementations.reading.hints import Hints
from samegrad.implementations.reading.judging import SECONDS, for_batches
from samegrad.implementations.reading.layouts import Layout
from samegrad.implementations.reading.live import Batch, Calls, Live
from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.results import (
    Outputs,
    Result,
    distance,
    gradient,
    loss_of,
    outputs,
    weights,
)
from samegrad.implementations.reading.wishes import wishes_of

Array = Any
Message = dict[str, Any]
SAME = 1e-4  # of a direction: what a small number in a log, or float32, leaves of the same one
MOST_READINGS = 6  # right ones of which it is tried which network of ours they are
MOST_WAYS = 16  # to construct the same class, for its other activations
LARGER = ((7, 8, 5), 6)  # layers and batch of a second network, where one can be made
RATE = 0.25  # of the steps that are compared
FORM = ("activation", "output_activation", "loss", "bias")
OURS = Convention()
FAILURES = (Exception, SystemExit)  # of somebody's file on sizes that it does not take


@dataclass(frozen=True)
class Own:
    """A network of ours that a file is.

    Attributes:
        calls: that are timed.
        layout: where its weights are.
        form: fields of the spec: FORM.
        sizes: layers of the network that it was seen on.
        batch: examples that it was seen on.
        convention: in which it differs from ours, and may.
        texts: what is said of that.
        shows: names of results, as `comparison.judge` knows them, that were right.
    """

    calls: Calls
    layout: Layout
    form: Message
    sizes: tuple[int, ...]
    batch: int
    convention: Convention = OURS
    texts: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()


def owns_of(loaded: Loaded, of: str, hints: Hints) -> list[Own]:
    """The networks of ours that a file is, by its first right reading that is one."""
    wishes = wishes_of(hints, loaded)
    made = [search._hinted(hints, loaded)] if hints.net else None
    deadline, tried = time.process_time() + SECONDS, 0
    seen: list[Found] = []
    for reading in search._networks(loaded, of, wishes, made):
        if time.process_time() > deadline or tried == MOST_READINGS:
            break
        compared = compared_with(reading)
        if reading.trial is None or compared is None or not compared.judged:
            continue
        one = Found(reading, compared)
        seen.append(one)
        # As `judge`: what follows from a usual loss is wrong where the file has another one.
        own = any(each.reading.own for each in seen)
        right = one.fits if reading.own else one.constant and not own
        if not (right and for_batches(one, seen)):
            continue
        tried += 1
        owns: list[Own] = []
        pairs = [(match.name, match.source) for match in compared.matches]
        for make in _siblings(reading, loaded):
            with_make = _calls(reading, make, pairs, hints, loaded)
            found = identified(with_make) if with_make is not None else None
            if found is not None and found.form not in [own.form for own in owns]:
                owns.append(found)
        if owns:
            return owns
    return []


def _calls(reading: Reading, make: Any, pairs: Any, hints: Hints, loaded: Loaded) -> Calls | None:
    """What is called; None where a reading's calls cannot be made without what surrounds them."""
    inner = live.unwrapped(reading.backward)
    inner = inner.step if isinstance(inner, Change) else inner
    expression = None
    if hints.backward:
        expression = (compile(hints.backward, "hint", "eval"), loaded.namespace)
    elif not isinstance(inner, Backward | ThroughGraph):
        return None
    if reading.step and not reading.rated:
        return None
    return Calls(make, reading, tuple(pairs), expression)


def _siblings(reading: Reading, loaded: Loaded) -> Iterator[Any]:
    """The way in which a reading's network was made, and others that differ in what it is."""
    assert reading.trial is not None
    make: Any = reading.trial.make
    yield make
    if not isinstance(make, partial):
        return
    if make.func is networks._constructed:
        ways = networks.constructions(make.args[0], loaded)
        others: Iterator[Any] = islice(ways, MOST_WAYS)
        yield from (way for way in others if way.args != make.args)
    if make.func is layers._chain:
        cls, activations, pair, container = make.args
        for activation in activations if len(activations) > 1 else ():
            yield partial(layers._chain, cls, (activation,), pair, container, **make.keywords)


def identified(calls: Calls) -> Own | None:
    """The network of ours that a file's calls are; None if they are none, or do not run."""
    try:
        trial = live.made(calls, calls.trial.board.sizes)
        features, outputs = _ends(calls)
        kinds = {layouts.kind_of(place.name) for place in calls.reading.parameters}
        found = [p for p in places(trial.network.net, "net") if layouts.kind_of(p.name) in kinds]
        candidates = list(layouts.layouts(found, features, outputs))
    except FAILURES:
        return None
    for layout in candidates:
        sizes = layouts.sizes_of(layout.slots(found, features))
        for own in _forms(calls, layout, sizes):
            return own
    return None


def _ends(calls: Calls) -> tuple[int, int]:
    """Features and outputs of the network that a reading was made on."""
    trial = calls.trial
    n = trial.board.values["n"]
    features = int(np.size(trial.board.values["X"])) // n
    return features, max(1, int(np.size(trial.board.values["#Y"])) // n)


def _forms(calls: Calls, layout: Layout, sizes: tuple[int, ...]) -> Iterator[Own]:
    """The forms of ours in which a network has the file's gradient."""
    bias = layout.bias != "none"
    batch = 1 if calls.one else max(2, int(calls.trial.board.values["n"]))
    for loss in LOSSES:
        spec = MLPSpec(sizes, loss=loss, bias=bias, dtype="float64")
        try:
            problem = draw(spec, batch, 1)  # clear of relu's kink, and with it of leaky relu's
            calls = _alone(calls, layout, problem)
            near = [
                replace(spec, activation=activation, output_activation=output)
                for activation, output in product(ACTIVATIONS, OUTPUT_ACTIVATIONS)
                if _off(calls, layout, replace(
                    problem, spec=replace(spec, activation=activation, output_activation=output)
                )) < SAME
            ]  # fmt: skip
        except FAILURES:
            continue
        for form in near:
            own = Own(calls, layout, {n: getattr(form, n) for n in FORM}, sizes, batch)
            yield from _by_convention(own, form)


def _alone(calls: Calls, layout: Layout, problem: Problem) -> Calls:
    """The calls, without the forward pass where they give the same after another batch's."""
    if calls.trial.function is None or calls.expression is not None:
        return replace(calls, alone=calls.trial.function is None)
    rng = np.random.default_rng(3)
    other = replace(problem, X=rng.normal(size=problem.X.shape))
    here, there = (live.placed(calls, p.spec, p.X, p.y) for p in (problem, other))
    whole, alone = (
        Live(replace(calls, alone=without), layout, problem.spec, problem.params)
        for without in (False, True)
    )
    try:
        alone.forward(there)
        results = [_compared_of(network, here) for network in (alone, whole)]
    except FAILURES:
        return replace(calls, alone=False)
    same = all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    return replace(calls, alone=same)


def _compared_of(network: Live, batch: Batch) -> list[Array]:
    """The gradient, or the weights after a step, as arrays one after the other."""
    if network.calls.step:
        network.set_rate(RATE)
    result = Result(network, batch, network.run(batch))
    tree = weights(network) if network.calls.step else gradient(result)
    return [array for pair in tree for array in pair if array is not None]


def _off(calls: Calls, layout: Layout, problem: Problem) -> float:
    """How far a file's gradient is from the direction of ours."""
    network = Live(calls, layout, problem.spec, problem.params)
    batch = live.placed(calls, problem.spec, problem.X, problem.y)
    given = _compared_of(network, batch)
    right = reference.expected(problem.spec, problem.params, problem.X, problem.y).grads
    wanted = [array for pair in right for array in pair if array is not None]
    if calls.step:
        before = [array for pair in problem.params for array in pair if array is not None]
        given = [(old - new) / RATE for old, new in zip(before, given, strict=True)]
    return distance(np.concatenate([g.ravel() for g in given]),
                         np.concatenate([w.ravel() for w in wanted]))  # fmt: skip


def _by_convention(own: Own, spec: MLPSpec) -> Iterator[Own]:
    """A network with the convention that predicts all its results, or else its gradient alone."""
    problems = [draw(spec, own.batch, 2)]
    if not own.calls.one:
        sizes, batch = LARGER
        larger = replace(spec, layer_sizes=(*sizes[:2], sizes[2] if own.sizes[-1] > 1 else 1))
        problems.append(draw(larger, batch, 2))
    outcomes = []
    for problem in problems:
        try:
            outcomes.append(_outcome(own, problem))
        except FAILURES:  # it is made for one size
            continue
    if not outcomes:
        return
    every = [name for name in outcomes[0].results if all(name in o.results for o in outcomes)]
    trees = ["updated", "grads"] if own.calls.step else ["grads"]
    loss = [name for name in every if name.startswith("loss")]
    for names in (
        every,
        [*trees, *loss],
        [*trees, *(["outputs"] if "outputs" in every else [])],
        trees,
    ):
        group = [_judged(o, names) for o in outcomes]
        convention = fitting(group)
        if convention is not None:
            texts = tuple(text for _, text in conventions.texts(convention, {spec.activation}))
            shows = [n for n in names if n != "grads" or not own.calls.step]
            yield replace(own, convention=convention, texts=texts, shows=tuple(shows))
            return


def fitting(group: Sequence[Outcome]) -> Convention | None:
    """The convention that predicts all that was given on some problems with one loss, or None."""
    if all(outcome.comparison.agrees for outcome in group):
        return OURS
    for convention in conventions.candidates(group, conventions.is_exact_gelu(group)):
        judged = conventions.judged_by(group, convention)
        if judged is not None and all(comparison.agrees for comparison in judged.values()):
            return convention
    return None


def _outcome(own: Own, problem: Problem) -> Outcome:
    """What a file gives on a problem."""
    spec = problem.spec
    network = Live(own.calls, own.layout, spec, problem.params)
    batch = live.placed(own.calls, spec, problem.X, problem.y)
    results: dict[str, Tree] = {}
    if network.trial.function is not None and network.trial.outs:
        results["outputs"] = outputs(Outputs(network, batch, network.forward(batch)))
    expected = reference.expected(spec, problem.params, problem.X, problem.y)
    if own.calls.step:
        network.set_rate(expected.learning_rate)
        network.run(batch)
        results["updated"] = weights(network)
        results["grads"] = [  # which shows a factor
            tuple(None if a is None else (a - b) / expected.learning_rate
                  for a, b in zip(before, after, strict=True))
            for before, after in zip(problem.params, results["updated"], strict=True)
        ]  # fmt: skip
    else:
        result = Result(network, batch, network.run(batch))
        results["grads"] = gradient(result)
        value = loss_of(result)
        if value is not None:
            results["loss with the gradient"] = value
    return Outcome(problem, results, expected=expected)


def _judged(outcome: Outcome, names: Sequence[str]) -> Outcome:
    """The same outcome with some of its results."""
    results = {name: outcome.results[name] for name in names}
    assert outcome.expected is not None
    comparison = judge(outcome.problem.spec, outcome.expected, results)
    return replace(outcome, results=results, comparison=comparison, plain=comparison)
