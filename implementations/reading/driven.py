"""Training that no program does: methods and functions of a file are called with small data.

What they do then is watched, as the run of a program is.
"""

import ast
import contextlib
import copy
import inspect
import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import names, usage
from samegrad.implementations.reading.beside import (
    DERIVATIVE,
    OF_LOSS,
    derived,
    functions_around,
)
from samegrad.implementations.reading.board import Form, Sizes, inputs, parameters
from samegrad.implementations.reading.loading import Loaded, own_classes, own_functions
from samegrad.implementations.reading.networks import Maker, Network, constructions, methods
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.trials import of_widths, shapes_of, widths_of
from samegrad.implementations.reading.watched import readings_of
from samegrad.implementations.reading.watching import Turn, Watch
from samegrad.implementations.reading.written import loops_of

TRAINS = re.compile(r"train|fit|learn|sgd|descent|optimi[sz]e", re.IGNORECASE)
UPDATES = re.compile(r"update|back|step|apply", re.IGNORECASE)
# Words of the names of what measures, shows or keeps something.
OTHERS = frozenset(
    "test plot show save load print eval evaluate valid validate score predict accuracy rate set "
    "get init initialize check split".split()
)
# Of methods that are given one thing each: inputs, nothing, targets, and nothing again.
PUTS = re.compile(
    r"(?:set|put|introduce|load|feed|give|read|assign)\w*(?:input|data|feature|example)",
    re.IGNORECASE,
)
UP = re.compile(r"forward|feed|propag|compute_?out|calc|activate|run|predict|fire", re.IGNORECASE)
DOWN = re.compile(r"back|adjust|train|learn|correct", re.IGNORECASE)
STEPS = re.compile(r"_*(?:update|step|apply|adjust)", re.IGNORECASE)
PASS, WHERE = "one_pass", "<samegrad>"  # a function of ours that calls these
SECOND = re.compile(r"valid(?:ation)?|val|test|dev|eval", re.IGNORECASE)  # other examples
EXAMPLES = 24  # some files keep ten off
EPOCHS = 3
RATE = 0.05
SECONDS = 14.0  # of this process, for all of it
EACH = 2.0  # the same, of one call
MOST_NETWORKS, MOST_OF_ONE = 6, 2  # of all classes, and of one
MOST_FUNCTIONS = 3  # of one network
MOST_WIDTHS = 2
# What is given where it has to be, and left at its default elsewhere.
CONSTANTS: Mapping[str, Any] = {"lr": RATE, "reg": 0.0, "keep": 1.0, "quiet": False,
                                "training": True}  # fmt: skip
_ENDLESS: set[str] = set()  # functions of the file of this process
Data = tuple[str, dict[str, Any]]  # in words; values by role


def driven_readings(loaded: Loaded, makers: Callable[[], Iterator[Maker]]) -> Iterator[Reading]:
    """Readings of the turns that training of a file makes when it is called.

    Args:
        makers: of networks, the likeliest first.
    """
    until = time.process_time() + SECONDS
    for k in (Sizes.k, 1):  # what is wrong with several outputs may be right with one
        some = False
        for title, turns in _calls(loaded, makers(), Sizes(n=EXAMPLES, k=k), until):
            for reading in readings_of(turns, f"called by samegrad as {title}", until):
                some = True
                yield reading
        if some:
            return


def _calls(
    loaded: Loaded, makers: Iterator[Maker], sizes: Sizes, until: float
) -> Iterator[tuple[str, list[Turn]]]:
    """Calls of training that change something, in words, with their turns."""
    made, some = Counter[str](), False
    classes = reversed(own_classes(loaded).values())
    others = (
        make for c in classes for make in itertools.islice(constructions(c, loaded), MOST_OF_ONE)
    )
    for make in itertools.chain(makers, others):
        try:
            network = make(sizes, Form())
        except (Exception, SystemExit):
            continue
        made[kind := type(network.net).__name__] += 1
        if made[kind] > MOST_OF_ONE:
            continue
        wide = [of_widths(sizes, f, k) for f, k in widths_of(network, sizes)]
        if wide and _is_measured(make, network, sizes):
            wide = []
        for other in wide[:MOST_WIDTHS] or [sizes]:
            trained = _training(_of_net(network))
            text = one_pass(methods(network.net))
            if text and not any(map(TRAINS.search, trained)):
                trained = [PASS]  # what only goes back needs a way up before it
            for name in trained:
                of = partial(_with_pass, text, make, other) if text else partial(make, other)
                for call in _of_one(loaded, of, name, other, until, text * (name == PASS)):
                    some = True
                    yield call
        if made.total() >= MOST_NETWORKS or time.process_time() > until:
            break
    functions = own_functions(loaded)
    if not some:
        alone = lambda form: Network(None, functions, "")  # noqa: E731 # as the makers
        for name in _training(functions):
            yield from _of_one(loaded, alone, name, sizes, until)


def _is_measured(make: Maker, network: Network, sizes: Sizes) -> bool:
    """Whether a network is made for the widths that it is given."""
    try:
        other = make(replace(sizes, f=sizes.f + 3, h=sizes.h + 3, k=sizes.k + 3), Form())
    except (Exception, SystemExit):
        return False
    return shapes_of(network) != shapes_of(other)


def _of_net(network: Network) -> dict[str, Callable[..., Any]]:
    """What is called of a network, or with it: its methods, and functions that are given it."""
    own = methods(network.net)
    if not own:
        return network.functions
    kind = type(network.net).__name__
    others = {n: f for n, f in network.functions.items() if n not in own and any(
        _is_net(p, kind) for p in parameters(f))}  # fmt: skip
    return {**own, **others}


def _is_net(p: inspect.Parameter, kind: str) -> bool:
    return names.role(p.name) == "params" or getattr(p.annotation, "__name__", "") == kind


def one_pass(functions: Mapping[str, Callable[..., Any]]) -> str:
    """A pass forward and back as text, of methods that are given inputs and targets one by one.

    "" where there are no such.
    """
    takes = {name: len(usage.needed(f)) for name, f in functions.items()}
    puts = next((n for n, k in takes.items() if k == 1 and PUTS.search(n)), "")
    ups = [n for n, k in takes.items() if k == (not puts) and UP.search(n) and not DOWN.search(n)]
    downs = [n for n, k in takes.items() if k == 1 and DOWN.search(n) and n not in (puts, *ups)]
    if not ups or not downs:
        return ""
    up = min(ups, key=lambda n: (not names.FORWARD.match(n), len(n)))
    lines = [f"net.{puts}(X)", f"net.{up}()"] if puts else [f"net.{up}(X)"]
    lines.append(f"net.{downs[0]}(y)")
    lines += [f"net.{n}()" for n, k in takes.items() if k == 0 and STEPS.match(n)][:1]
    return f"def {PASS}(net, X, y):\n    " + "\n    ".join(lines) + "\n"


def _with_pass(text: str, make: Maker, sizes: Sizes, form: Form) -> Network:
    """A network with a pass as one of its functions."""
    network = make(sizes, form)
    space: dict[str, Any] = {"__name__": PASS}
    exec(compile(text, WHERE, "exec"), space)
    network.functions[PASS] = space[PASS]
    return network


def _training(functions: Mapping[str, Callable[..., Any]]) -> list[str]:
    """Functions that train, by their names: those that run through all data first."""
    found = [n for n in functions if not OTHERS & {*names.words(n)}]
    first = [n for n in found if TRAINS.search(n)]
    return [*first, *(n for n in found if n not in first and UPDATES.search(n))][:MOST_FUNCTIONS]


def _of_one(
    loaded: Loaded,
    make: Callable[[Form], Network],
    name: str,
    sizes: Sizes,
    until: float,
    text: str = "",
) -> Iterator[tuple[str, list[Turn]]]:
    """Calls of one function, with data in all forms that it takes; of its text if it is ours."""
    for words, data in forms(sizes):
        if time.process_time() > until or name in _ENDLESS:
            return
        try:
            network = make(Form("columns" if "columns" in words else "rows"))
            function = network.functions[name]
            net = network.values.get("params", network.net)
            given = arguments(function, net, data, sizes, loaded)
            if given is None:
                continue
            run = partial(function, **copy.deepcopy(given))  # not of what holds a module
        except (Exception, SystemExit):
            continue
        watch = Watch(loaded.path, partial(_quietly, run), EACH)
        if text:
            watch.loops[WHERE] = loops_of(ast.parse(text), WHERE)
        begins = time.process_time()
        turns = watch.run()
        if not turns and time.process_time() - begins > EACH / 2:
            _ENDLESS.add(name)  # it does not end, and changes nothing
            return
        # The loops of what is called hold the way up and the way down.
        turns.sort(key=lambda t: (t.depth, isinstance(t.loop.node, ast.FunctionDef)))
        if turns:
            of = network.title.removeprefix("class ")
            shown = ", ".join(re.findall(r"net\.(.*)", text)) or f"{name}({', '.join(given)})"
            title = f"{of}.{shown}" if network.title.startswith("class ") else shown
            yield f"{title}, {words}", turns
        if not any(isinstance(v, np.ndarray | list | tuple) for v in given.values()):
            return  # whatever the form of data is, it makes its own


def _quietly(run: Callable[[], Any]) -> None:
    """What raises in the end has been seen until then."""
    with contextlib.suppress(Exception):
        run()


def forms(sizes: Sizes) -> Iterator[Data]:
    """Data as files take them: inputs and targets, or a list of examples."""
    X = inputs(sizes, "rows")
    classes = max(sizes.k, 2)
    labels = np.random.default_rng(sizes.seed + 2).permutation(np.arange(sizes.n) % classes)
    Y = np.eye(sizes.k)[labels] if sizes.k > 1 else labels[:, None].astype(float)
    columns = [(x[:, None], y[:, None]) for x, y in zip(X, Y, strict=True)]
    rows = [[*x, int(label)] for x, label in zip(X.tolist(), labels, strict=True)]
    plain = list(zip(X.tolist(), Y.tolist(), strict=True))
    yield "examples in rows", {"X": X, "y": Y, "data": columns}
    yield "lists", {"X": X.tolist(), "y": Y.tolist(), "data": rows}
    yield "examples in columns", {"X": X.T.copy(), "y": Y.T.copy(), "data": plain}
    yield "labels", {"X": X, "y": labels, "data": np.array(rows)}
    yield "labels of columns", {"X": X.T.copy(), "y": labels, "data": list(zip(X, Y, strict=True))}
    if sizes.k == 1:
        yield "targets (n,)", {"X": X, "y": Y[:, 0], "data": list(zip(X, Y[:, 0], strict=True))}
        yield "lists of numbers", {"X": X.tolist(), "y": Y[:, 0].tolist(), "data": (X, Y)}
    each = {"X": X[:, None, :], "y": Y[:, None, :]}
    yield "examples as rows of their own", {**each, "data": list(zip(*each.values(), strict=True))}
    yield "one column", {"X": columns[0][0], "y": columns[0][1], "data": (X, Y)}
    yield "one example", {"X": X[0], "y": Y[0]}
    yield "one list", {"X": X[0].tolist(), "y": Y[0].tolist()}


def arguments(
    function: Callable[..., Any], net: Any, data: Mapping[str, Any], sizes: Sizes, loaded: Loaded
) -> dict[str, Any] | None:
    """What a function is given by the names of its parameters; None if one of them is not known."""
    given = parameters(function)
    roles = {p.name: names.role(p.name) for p in given}
    if "y" in roles.values() and "X" not in roles.values():
        first = next((n for n, role in roles.items() if role == "data"), "")
        roles |= {first: "X"} if first else {}
    whole = "data" in [roles[p.name] for p in given if p.default is p.empty]
    left = iter([] if whole else [key for key in ("X", "y") if key not in roles.values()])
    found: dict[str, Any] = {}
    for p in given:
        needed = p.default is inspect.Parameter.empty
        value = _value(function, p, roles[p.name], net, data, sizes, loaded)
        if value is None and needed:
            value = data.get(next(left, ""))
        if value is None and needed:
            return None
        if value is not None:
            found[p.name] = value
    parts = [p for v in found.values() for p in (v if isinstance(v, tuple) else (v,))]
    takes = {id(p) for p in (*parts, *found.values())} & {id(v) for v in data.values()}
    own = not {"X", "y", "data", ""} & {*roles.values()}  # it makes its data
    return found if takes or (own and TRAINS.search(function.__name__)) else None


def _value(
    function: Callable[..., Any], p: inspect.Parameter, role: str, net: Any,
    data: Mapping[str, Any], sizes: Sizes, loaded: Loaded,
) -> Any:  # fmt: skip
    """What one parameter is given; None where it is left as it is, or not known."""
    needed = p.default is inspect.Parameter.empty
    parts = usage.unpacked(function, p.name) if needed else []
    if len(parts) == 2 and [names.role(str(part)) for part in parts] == ["X", "y"]:
        return data.get("X"), data.get("y")
    if needed and len(parts) == 0 and SECOND.fullmatch(p.name):
        return data.get("X"), data.get("y")
    width = names.width(p.name)
    if role == "epochs":
        return EPOCHS
    if role == "batch_size":
        return sizes.n if needed or (type(p.default) is int and p.default > sizes.n) else None
    if not needed:
        return None
    if role in ("X", "y", "data"):
        return data.get(role)
    if role in ("X val", "y val"):
        return data.get(role[0])
    if net is not None and (role == "params" or _is_net(p, type(net).__name__)):
        return net
    if role in CONSTANTS:
        return CONSTANTS[role]
    if role in ("n", "k"):
        return getattr(sizes, role)
    if width == "h" or (width in ("f", "k") and "size" in names.words(p.name)):
        return getattr(sizes, width)
    if width in ("hs", "sizes"):
        return sizes.hidden if width == "hs" else sizes.layers
    if OF_LOSS.search(p.name) and usage.called_in(function, p.name):
        around = functions_around(loaded)
        if pairs := derived(around, losses=True):
            return pairs[0][bool(DERIVATIVE.search(p.name))]
        known = (f for n, f in around.items() if OF_LOSS.search(n) and not DERIVATIVE.search(n))
        return next(known, None)
    return EPOCHS if usage.used_as(function, p.name) == "width" else None
