"""Everything that a file may be, in order, and the verdict on it."""

import itertools
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np

from samegrad.implementations.checking.objects.calls import users_lines
from samegrad.implementations.checking.objects.report import (
    AGREES,
    DISAGREES,
    NOT_CHECKED,
    UNDECIDED,
    CheckReport,
)
from samegrad.implementations.reading import frameworks, names, usage
from samegrad.implementations.reading.assembled import of_assembled
from samegrad.implementations.reading.board import X_FORMS, Y_FORMS, Form, Sizes
from samegrad.implementations.reading.checked import of_a_part
from samegrad.implementations.reading.compare import compare
from samegrad.implementations.reading.drawn import Asked
from samegrad.implementations.reading.fits import with_fits
from samegrad.implementations.reading.functions import of_factories, of_functions, of_widths, unmade
from samegrad.implementations.reading.hints import Hints
from samegrad.implementations.reading.holding import holds_layers
from samegrad.implementations.reading.in_batches import Batches
from samegrad.implementations.reading.judging import judge
from samegrad.implementations.reading.layers import (
    layer_classes,
    of_containers,
    of_layers,
    runs_alone,
)
from samegrad.implementations.reading.lent import lent, weights_of
from samegrad.implementations.reading.loading import (
    AskedForInputError,
    Loaded,
    own_classes,
    own_functions,
    parts,
)
from samegrad.implementations.reading.networks import Maker, Network, constructions, methods
from samegrad.implementations.reading.own_runs import of_programs
from samegrad.implementations.reading.passes import of_passes
from samegrad.implementations.reading.readings import Reading, readings
from samegrad.implementations.reading.scripts import fit_readings, script_readings, shown_readings
from samegrad.implementations.reading.supplied import supplied
from samegrad.implementations.reading.training import with_training
from samegrad.implementations.reading.trials import Trial, Wishes, runs, trials
from samegrad.implementations.reading.wishes import evaluated, wishes_of, without_effect

FIRST = ("same", "labels", "like X")  # forms of targets that are tried before all others
LAST = [form for form in Y_FORMS if form not in FIRST]
# Forms of targets, whether with the likeliest forward pass alone, and for how many outputs: some
# files have two written into them.
PASSES = (
    (FIRST, True, Sizes()),
    (FIRST, False, Sizes()),
    (LAST, True, Sizes()),
    (Y_FORMS, True, Sizes(k=1)),
    (FIRST, True, Sizes(k=2)),
)
# Of several outputs, of one, and of an autoencoder.
WIDE = (Sizes(), Sizes(k=1), Sizes(k=Sizes.f))
OF_OTHERS = 3.0  # seconds of this process for each kind of layers beside those that agree
OF_LAYERS = re.compile(r"layers |class \w+\(\[")  # a reading of such
Candidate = tuple[Maker, list[str]]
Item = TypeVar("Item")
GO_ON = (
    "name the object (FILE:NAME), or say in the file how it is used: `# samegrad: net = ...`, "
    "`# samegrad: loss = ...`, `# samegrad: backward = ...`; a loss that only a loop computes "
    "needs a function: `def loss_of(): ...`, then `# samegrad: loss = loss_of()`, `# samegrad: "
    "backward = loss_of().backward()`"
)


def verdict(
    loaded: Loaded, name: str, hints: Hints, deadline: float, asked: Asked | None = None
) -> CheckReport:
    """What is said of a file.

    Args:
        name: of the object in it that is meant, or "".
        hints: of the file and the command line.
        deadline: of time.process_time(), after which no other reading is tried.
        asked: what is wanted of a reading that is right.
    """
    frameworks.with_digits()
    wishes = wishes_of(hints, loaded)
    if hints.net:
        evaluated(hints, "net", loaded)
    made = [_hinted(hints, loaded)] if hints.net else None
    found = _networks(loaded, name, wishes, made, deadline)
    scripts = script_readings(loaded) if not (name or hints.net) else iter(())
    order = [found, scripts] if _has_networks(loaded) else [scripts, found]
    if not hints.net:
        last = frameworks.by_hand(loaded)
        order.insert(len(order) if last else 0, frameworks.of_torch(loaded, name))
    told = judge(itertools.chain(*order), deadline, wishes.attempts, asked)
    if (failing := without_effect(hints, wishes, loaded)) is not None:
        return failing
    report = _with_left_out(told, loaded, wishes.attempts.held, deadline)
    guessed = report.reading.startswith("script") and "loss: its own" not in report.reading
    if guessed and report.verdict in (UNDECIDED, DISAGREES):
        shown = judge(shown_readings(loaded), deadline)
        report = shown if shown.verdict in (AGREES, DISAGREES) else report
    if not report.matches:  # penalties are left out in a fit: it is no way round a fault
        fit = judge(fit_readings(loaded, name, made[0][0] if made else None), deadline)
        report = report if fit.verdict == NOT_CHECKED else fit
    hinted = name or hints.net or hints.loss or hints.backward
    if report.verdict in (NOT_CHECKED, UNDECIDED) and not hinted:
        of_loop = of_passes(loaded) if not report.matches else None
        report = report if of_loop is None else of_loop
        seen = of_programs(loaded, report, partial(_trained, loaded))
        report = report if seen is None else seen
    kind = frameworks.outside(loaded) if not report.matches else ""
    explained = None if kind else wishes.attempts.explained(report)
    if explained is not None:
        report = explained
    elif report.verdict == NOT_CHECKED and loaded.raised:
        report = raised(loaded.raised[0])
    elif report.verdict == NOT_CHECKED:
        tried = None if kind else wishes.attempts.tried()
        said = f"it has {kind}: files are read of dense layers alone" if kind else report.said
        missing = "" if hints.net else unmade(loaded)
        generic = CheckReport(NOT_CHECKED, said=said, advice=(missing or go_on(hints),))
        report = generic if tried is None else tried
    report = with_fits(report, loaded, made[0][0] if made else None)
    report = report if name else with_training(report, loaded, hints)
    return report if hints.backward else of_a_part(report)


def _with_left_out(
    report: CheckReport, loaded: Loaded, held: set[type], deadline: float
) -> CheckReport:
    """A report on layers, with those of the file that were not among them: one may be wrong.

    Args:
        held: classes of objects that the network which was judged holds.
    """
    if not report.agrees or not OF_LAYERS.match(report.reading):
        return report
    named, inner = set(re.findall(r"\w+", report.reading)), parts(loaded)
    classes = layer_classes(loaded)
    out = [
        n for n, c in classes.items()
        if n not in named and n not in inner and c not in held
        and not holds_layers(c) and not runs_alone(c)
        and not any(c in other.__mro__[1:] for other in classes.values())
    ]  # fmt: skip
    for name in out:
        ways = (make for make in of_layers(loaded, name) if isinstance(make, partial))
        of_it = (make for make in ways if make.args[:1] == (classes[name],))
        made = [(make, ["forward"]) for make in of_it]
        until = min(deadline, time.process_time() + OF_OTHERS)
        alone = judge(_networks(loaded, "", Wishes(), made, until), until) if made else report
        if alone.disagrees:
            return alone
        if alone.verdict == UNDECIDED:
            what = f"{name}, another layer of the file, by itself: {alone.said or alone.reason}"
            advice = (*report.advice, *alone.advice)
            return replace(report, verdict=UNDECIDED, said=what, advice=advice)
    said = [f"not among the layers that were judged: {', '.join(out)}"] if out else []
    return replace(report, remarks=(*report.remarks, *said))


def go_on(hints: Hints) -> str:
    """What to do about a file in which no gradient was found: the hints that are missing."""
    missing = [f"`# samegrad: {n} = ...`" for n in ("net", "loss", "backward")
               if not getattr(hints, n)]  # fmt: skip
    if not missing or len(missing) == 3:
        return GO_ON
    return f"say in the file, too, or with --hint: {', '.join(missing)}"


def raised(error: BaseException) -> CheckReport:
    """What is said of a loop that raises with the file's own data."""
    lines = list(dict.fromkeys(users_lines(error)))
    text = " ".join(str(error).split())[:200]
    at = f" in {lines[-1].split(': ')[0]}" if lines else ""
    said = f"its loop raises {type(error).__name__}{at}: {text}"
    asked = isinstance(error, AskedForInputError)
    advice = "write the answer in its place" if asked else "make it run by itself first"
    said = f"it asks for input{at}, and its loop needs the answer" if asked else said
    return CheckReport(NOT_CHECKED, said=said, lines=tuple(lines), advice=(advice,))


def before(end: float, items: Iterator[Item]) -> Iterator[Item]:
    """The items that are asked for before an end, of time.process_time()."""
    for item in items:
        if time.process_time() > end:
            return
        yield item


def _networks(
    loaded: Loaded,
    name: str,
    wishes: Wishes,
    made: Sequence[Candidate] | None,
    end: float = math.inf,
) -> Iterator[Reading]:
    """Readings by names, then, where none has a loss of the file's own, by what functions do.

    None are sought after an end: with most of what runs nothing can be read.
    """
    groups: list[Callable[[], Iterator[Candidate]]] = (
        [lambda: iter(made)]
        if made
        else [
            partial(kind, loaded, name)
            for kind in (of_classes, of_layer_objects, made_of, functions_of)
        ]
    )
    for group in groups:
        own = False
        for forms, first, sizes in PASSES:
            for make, forwards in before(end, group()):
                chosen = (forwards[:1] if first else forwards[1:]) or [""]
                for trial in before(end, trials(make, sizes, chosen, wishes)):
                    for reading in _singly_too(trial, wishes, forms):
                        own = own or (reading.own and bool(reading.parameters))
                        yield reading
        if own:  # a network with its loss: its parts by themselves say less
            return
    batches = Batches()
    for sizes, group in itertools.product(WIDE, groups):
        for make, _ in before(end, group()):
            for trial in before(end, trials(make, sizes, [""], wishes, (*X_FORMS, "sets"))):
                for reading in readings(trial, wishes, Y_FORMS, wide=True):
                    batches.meet(reading)
                    if _fits(reading):
                        yield batches.instead(reading)
    for group in groups:
        for make, forwards in before(end, group()):
            for given in before(end, supplied(make)):
                for trial in trials(given, Sizes(), [*forwards[:1], ""], wishes, ("rows",)):
                    for reading in readings(trial, wishes, FIRST, wide=True):
                        if _fits(reading):
                            yield reading


def _singly_too(trial: Trial, wishes: Wishes, forms: Sequence[str]) -> Iterator[Reading]:
    """Readings of a batch; of one example where a step is made for each."""
    yield from readings(trial, wishes, forms)
    if any(trial.singly) and trial.make is not None:
        one = replace(trial.board.sizes, n=1)
        for other in runs(trial.make, one, trial.form, trial.name, wishes):
            yield from readings(other, wishes, forms)


def _fits(reading: Reading) -> bool:
    """Whether at least half of a gradient follows from a loss that is so by no name.

    What a loss by name gives that differentiates itself is no guess.
    """
    named = names.LOSS.fullmatch(reading.loss_name) and not names.WEAK.fullmatch(reading.loss_name)
    if named and reading.certain and "graph" in reading.key:
        return True
    try:
        compared = compare(
            reading.parameters, reading.loss, reading.backward, reading.net, reading.data,
            reading.slopes,
        )  # fmt: skip
    except (Exception, SystemExit):
        return False
    right = [m for m in compared.judged if m.right(compared.tolerance)]
    whole = compared.factor is not None and (named or not reading.own)
    return bool(whole or (right and 2 * len(right) >= len(compared.judged)))


def _has_networks(loaded: Loaded) -> bool:
    """Whether classes or functions are there that may be a backward pass."""
    defined = [n for c in own_classes(loaded).values() for n in dir(c)]
    return any(names.BACKWARD.match(n) for n in [*defined, *own_functions(loaded)])


def _hinted(hints: Hints, loaded: Loaded) -> Candidate:
    """The network that a hint makes, and what may be its forward pass."""
    code = compile(hints.net, "hint", "eval")

    def make(sizes: Sizes, form: Form) -> Network:
        np.random.seed(sizes.seed)
        net = eval(code, dict(loaded.namespace))
        functions = {**own_functions(loaded), **methods(net)}
        return Network(net, functions, f"net = {hints.net}", {"params": net})

    try:
        of_net = list(methods(make(Sizes(), Form()).net))
    except (Exception, SystemExit):
        of_net = []
    return make, _forwards(of_net) or _forwards(list(own_functions(loaded)))


def of_classes(loaded: Loaded, name: str) -> Iterator[Candidate]:
    """Ways to make a network of one class, and what may be its forward pass."""
    layers, inner = layer_classes(loaded), parts(loaded)
    classes = own_classes(loaded)
    for make, cls in of_assembled(loaded):
        if not name or cls.__name__ == name:
            yield make, _forwards(_called(cls))
    if name:
        classes = {n: c for n, c in classes.items() if n == name}
    for make, cls in of_containers(loaded) if layers else ():
        if cls in classes.values():
            yield make, _forwards(_called(cls))
    later_first = list(reversed(classes.values()))  # a whole is defined after its parts
    for cls in sorted(later_first, key=_likely, reverse=True):
        if (cls.__name__ in layers and not name) or (layers and holds_layers(cls)):
            continue
        if cls.__name__ in inner and not name:
            continue  # the whole may be wrong where its part is right
        if _likely(cls) < (2 if layers else 1):
            continue
        if weights_of(cls):
            for make in lent(cls, loaded):
                yield make, _forwards(_called(cls))
            continue
        for make in itertools.islice(constructions(cls, loaded), 14):
            yield make, _forwards(_called(cls))


def of_layer_objects(loaded: Loaded, name: str) -> Iterator[Candidate]:
    """Ways to make a network of layer objects."""
    layers = layer_classes(loaded)
    for make in of_layers(loaded) if layers and name not in layers else ():
        yield make, ["forward"]


def functions_of(loaded: Loaded, name: str) -> Iterator[Candidate]:
    """Ways to make parameters for a file's functions, and what may be the forward pass."""
    functions = own_functions(loaded)
    if any(
        names.BACKWARD.match(n) or names.LOSS.fullmatch(n) or names.STEP.fullmatch(n)
        or usage.gives_loss(getattr(f, "__code__", None)) or of_widths(f)
        for n, f in functions.items()
    ):  # fmt: skip
        forwards = _forwards(list(functions))
        forwards += [n for n in usage.judged(loaded.statements) if n in {*functions} - {*forwards}]
        for forward in [*forwards[:3], ""]:
            for make in of_functions(loaded, functions.get(forward)):
                yield make, [forward] if forward else []


def made_of(loaded: Loaded, name: str) -> Iterator[Candidate]:
    """Networks that functions of the file make, and what may be their forward pass."""
    for make in of_factories(loaded) if not name else ():
        try:
            network = make(Sizes(), Form())
        except (Exception, SystemExit):
            continue
        yield make, _forwards([n for n in network.functions if hasattr(network.net, n)]
                              or list(network.functions))  # fmt: skip


def _trained(loaded: Loaded) -> Iterator[Maker]:
    """Ways to make networks whose training is called: layers of other files first."""
    yield from (make for make, _ in of_assembled(loaded, watched=True))
    for kind in (of_classes, made_of, functions_of):
        yield from (make for make, _ in kind(loaded, ""))


def _called(cls: type) -> list[str]:
    return [n for n in dir(cls) if n == "__call__" or not n.startswith("__")]


def _forwards(defined: Sequence[str]) -> list[str]:
    """Those that may be forward passes, the likeliest first."""
    found = [n for n in defined if names.FORWARD.match(n) and not names.BACKWARD.match(n)]
    order = ("forward", "feed", "l_model", "model_f", "__call__", "compute", "predict")

    def rank(name: str) -> tuple[int, int]:
        plain = names.plain(name) if name != "__call__" else name
        return next((i for i, p in enumerate(order) if plain.startswith(p)), len(order)), len(name)

    return sorted(found, key=rank)


def _likely(cls: type) -> int:
    """How much of a network a class is: forward, backward, loss and step."""
    defined = dir(cls)
    return (
        3 * any(names.BACKWARD.match(n) for n in defined)
        + 2 * any(names.STEP.fullmatch(n) for n in defined)
        + 2 * bool(_forwards([n for n in defined if n == "__call__" or not n.startswith("__")]))
        + any(names.LOSS.fullmatch(n) for n in defined)
    )
