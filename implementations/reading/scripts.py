"""Scripts: weights in globals and a loop that trains them; one turn is the backward pass."""

import ast
import inspect
import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.applied import Applied, root
from samegrad.implementations.reading.board import RATE, Board, Form, Sizes, inputs, plans, targets
from samegrad.implementations.reading.diverging import diverges
from samegrad.implementations.reading.effects import (
    Place,
    places,
    redraw,
    with_effect,
)
from samegrad.implementations.reading.loading import Loaded, own_functions
from samegrad.implementations.reading.loops import Loop, loops, loops_of, updates, with_shown
from samegrad.implementations.reading.networks import Maker, constructions
from samegrad.implementations.reading.one_by_one import first_alone
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.stand_in import with_data
from samegrad.implementations.reading.straight import straight
from samegrad.implementations.reading.summed import summed
from samegrad.implementations.reading.trials import of_widths, widths_of
from samegrad.implementations.reading.turn_losses import is_numbers, losses_of
from samegrad.implementations.reading.turns import EXAMPLES, RaisedError, Script, is_leaf

Array = Any
OF_DATA = 6.0  # seconds of this process, for data that are not there: other readings come later
MOST_WAYS = 2  # to construct what has a method that trains
DATA = (  # of functions that train
    (Sizes(k=1), "flat"), (Sizes(k=1), "same"), (Sizes(), "same"), (Sizes(), "labels"),
    (Sizes(f=2, k=2), "labels"), (Sizes(k=1), "signs"), (Sizes(), "label column"),
)  # fmt: skip
# Of torch: what takes gradients, and what lets none through.
TAKES = re.compile(r"\.backward\(|autograd\.grad\(")
STOPS = re.compile(r"\.detach\(|no_grad|\.data\b")
# What makes another number of a gradient after it was taken.
CHANGES = re.compile(
    r"clip_grad|\.grad(?:\.data)?\.(?!zero_)\w+_\(|\.grad(?:\.data)?(?:\[[^]]*\])?\s*[-+*/]="
    r"|\.grad(?:\.data)?\s*=(?!\s*None)"
)


def script_readings(loaded: Loaded) -> Iterator[Reading]:
    """Readings of the training loops of a file, from the last one on."""
    read, found = False, list(reversed(list(loops(loaded))))
    for loop in itertools.chain(found, straight(loaded)):
        if read and loop.learnt:
            return
        for reading in _of_loop(loop, loaded):
            read = True
            yield reading
    end = time.process_time() + OF_DATA
    for loop in [*found, *straight(loaded)] if not read else ():
        for given in with_data(loop, loaded, end):
            yield from _of_loop(given, loaded)


def shown_readings(loaded: Loaded) -> Iterator[Reading]:
    """The same, with a loss that is computed in some turns alone."""
    for loop in filter(None, map(with_shown, reversed(list(loops(loaded))))):
        yield from _of_loop(loop, loaded)


def fit_readings(loaded: Loaded, name: str = "", make: Maker | None = None) -> Iterator[Reading]:
    """Readings of training loops in functions and methods, which make their weights themselves.

    Args:
        name: of the class or function that is meant, or "".
        make: makes an object of the class, where a hint says how.
    """
    for block in loaded.blocks:
        for statement in block.tree.body:
            cls = statement.name if isinstance(statement, ast.ClassDef) else ""
            for node in statement.body if cls else [statement]:  # type: ignore[attr-defined] # a class has a body
                meant = name in ("", cls, getattr(node, "name", ""))
                if isinstance(node, ast.FunctionDef) and meant:
                    found = list(loops_of(node, cls, block.filename))
                    for given, held in _arguments(node.name, cls, loaded, make) if found else ():
                        for loop in reversed(found):
                            yield from _of_loop(replace(loop, given=given, held=held), loaded)


def _arguments(
    name: str, cls: str, loaded: Loaded, hinted: Maker | None
) -> Iterator[tuple[dict[str, Any], tuple[Any, ...]]]:
    """What a function is given: data in several forms, and of a method the object and its data."""
    makers: Iterator[Maker | None] = iter([hinted])
    if cls and hinted is None:
        makers = (
            constructions(loaded.namespace[cls], loaded) if cls in loaded.namespace else iter(())
        )
    for make in itertools.islice(makers, MOST_WAYS):
        for sizes, y in _data_of(make):
            form = Form("rows", y)
            try:
                made = make(sizes, form) if make else None
                net = made.net if made else None
                if make and type(net).__name__ != cls:
                    return
                function = getattr(net, name) if make else loaded.namespace[name]
                shape = (sizes.n, sizes.k)
                values = {"X": inputs(sizes, "rows"), "y": targets(sizes, form, shape)[0]}
                board = Board(sizes, {**values, "n": sizes.n, "k": sizes.k, "lr": RATE})
                plan = next(plans(function, board, [], "step"))
                bound = inspect.signature(function).bind(**{n: board[key] for n, key in plan})
            except (Exception, SystemExit):
                continue
            bound.apply_defaults()
            owner = {"self": net} if make else {}
            yield {**bound.arguments, **owner}, made.held if made else ()


def _data_of(make: Maker | None) -> Iterator[tuple[Sizes, str]]:
    """Sizes and targets of data: those of an object of fixed widths alone, where it is one."""
    fixed: dict[Sizes, list[tuple[int, int]]] = {}
    for sizes, y in DATA:
        if make is not None and sizes not in fixed:
            try:
                fixed[sizes] = widths_of(make(sizes, Form("rows", y)), sizes)
            except (Exception, SystemExit):
                fixed[sizes] = []
        yield sizes, y
        for f, k in fixed.get(sizes, []) if y in ("same", "labels") else ():
            yield of_widths(sizes, f, k), y


def _of_loop(loop: Loop, loaded: Loaded) -> Iterator[Reading]:
    try:
        script = Script(loop, loaded)
        rate = script.rate()
        script.turn(False)
    except RaisedError as error:
        if not loop.function and error.__cause__ is not None:  # on data of the file's own
            loaded.raised.append(error.__cause__)
        return
    except (Exception, SystemExit):
        return
    if not script.weights or (script.of_torch and _stops(loop.body)):
        return
    if _examples(script) > 1 and (alone := first_alone(script)) is not None:
        yield from _of_loop(alone, loaded)
        return
    assigned = {n.id: s for s in _simple(loop.body) for n in ast.walk(s)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip
    order = [n.id for s in loop.body for n in ast.walk(s)
             if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # fmt: skip
    names_of = [n for n in dict.fromkeys(order) if n not in script.weights]
    if not _draw(script, names_of):
        return
    after = script.turn(False)
    turn, others = [f for f in (script.function,) if f], own_functions(loaded).values()
    y = _targets(script, after)
    for loss, text, own in losses_of(script, after, names_of):
        if own and loop.function and not np.isfinite(loss()):
            return  # of our data, which is in another form
        if own and not np.isfinite(loss()):
            how, nothing = f"script: weights {', '.join(script.weights)}", partial(dict[str, Any])
            yield Reading(script.weights, (), loss, nothing, (), how, own, text)
            continue
        found = _parameters(script, loss)
        if not found:
            continue
        applied = None
        if not script.held:
            applied = _applied(script, found, loss, text, names_of, assigned, y)
        slopes: dict[str, Any] = {}
        for kind in ("variables",) if script.held else ("update", "variables"):
            backward = _backward(
                script, found, rate or 1.0, names_of if kind == "variables" else ()
            )
            yield Reading(
                script.weights, found, loss, backward, (), f"{loop.function or 'script'}: weights "
                f"{', '.join(script.weights)}, {loop.turn} ({loop.lines}){_data(script)}, "
                "gradient from " + ("the update" if kind == "update" else "its variables"),
                own, text, step=not script.held, rated=script.held or rate is not None, printed=own,
                certain=True,
                examples=max((1, *np.shape(y))), outputs=_outputs(y), slopes=slopes, functions=turn,
                users=[*turn, *others], applied=applied, variables=True,
                update=partial(_step, script, found) if kind == "update" else None,
                changeable=_data_within(script),
            )  # fmt: skip


def _data(script: Script) -> str:
    """What is said of data that stands for the script's own, or of which not all is taken."""
    supplied = script.loop.supplied
    ours = f" on numbers of ours for {', '.join(supplied)}" if supplied else ""
    return ours + (f" on the first {EXAMPLES} of its {script.cut} examples" if script.cut else "")


def _stops(body: Sequence[ast.stmt]) -> bool:
    """Whether autograd is kept from something on purpose, of which slopes know nothing."""
    texts = [ast.unparse(s) for s in body]
    passes = (i for i, text in enumerate(texts) if TAKES.search(text))
    first = next(passes, -1)
    return any(STOPS.search(text) for text in texts[: first + 1])


def _simple(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that hold no others, in their order."""
    for statement in body:
        within = [s for s in ast.iter_child_nodes(statement) if isinstance(s, ast.stmt)]
        yield from _simple(within) if within else [statement]


def _targets(script: Script, after: dict[str, Any]) -> Any:
    """The targets of a turn: those of its batch, if it takes one."""
    given = [{k: v for k, v in after.items() if k not in script.base}, script.base]
    found = (v for space in given for k, v in space.items() if names.role(k) == "y")
    return next((v for v in found if isinstance(v, np.ndarray) or is_leaf(v)), None)


def _examples(script: Script) -> int:
    """How many examples a turn goes through one by one, or 0."""
    over = (s.iter for s in script.loop.body if isinstance(s, ast.For))
    of = (n.id for i in over for n in ast.walk(i) if isinstance(n, ast.Name))
    kept = (script.base.get(name) for name in of if name not in script.weights)
    lists = (v for v in kept if isinstance(v, list | np.ndarray) and len(v))
    return next((len(v) for v in lists if isinstance(v[0], list | tuple | float | np.ndarray)), 0)


def _outputs(y: Any) -> int:
    return min(np.shape(y)) if np.ndim(y) == 2 else 1


def _applied(
    script: Script,
    found: Sequence[Place],
    loss: Callable[[], float],
    called: str,
    variables: Sequence[str],
    assigned: dict[str, ast.stmt],
    y: Any,
) -> Applied:
    """What is known of the steps of a loop."""
    changed = updates(script.loop)
    lines = [s for statements in changed.values() for s in statements]
    numbers: list[Any] = [
        n.value for s in lines for n in ast.walk(s) if isinstance(n, ast.Constant)
    ]
    numbers += script.base.values()
    # A shape that is another one is no fault where the loss does not depend on it.
    held = {n: script.base[n] for n in (*script.still, *script.grown)}
    felt = with_effect(places(held, "net"), loss) if held else []
    grown = {n: s for n, s in script.grown.items() if any(root(p.name) == n for p in felt)}
    n = max(np.shape(y), default=0) if y is not None else _examples(script)
    sizes = {"batch size": n, "outputs": min(np.shape(y), default=0)}
    return Applied(
        changes=partial(_changes, script, found),
        variables=partial(_variables, script, variables),
        still=[p for p in felt if root(p.name) in script.still],
        grown=grown,
        updates=changed,
        assigned=assigned,
        filename=script.loop.filename,
        sizes={name: n for name, n in sizes.items() if n > 2},
        numbers=[n for n in numbers if isinstance(n, float) and n > 0],
        rises=bool(names.RISING.fullmatch(names.plain(called.removesuffix("[-1]")))),
        sometimes=any(
            isinstance(node, ast.If) and any(s is n for s in lines for n in ast.walk(node))
            for statement in script.loop.body
            for node in ast.walk(statement)
        ),
        changed=script.of_torch and any(CHANGES.search(ast.unparse(s)) for s in script.loop.body),
        summed=partial(summed, script, found),
        diverges=partial(diverges, script, loss),
    )


def _changes(script: Script, found: Sequence[Place]) -> dict[str, tuple[Array, Array]]:
    """What weights were before a turn, and before - after, by name."""
    new = _new(script, script.turn(), found)
    return {p.name: (p.read(), p.read() - values) for p, values in new}


def _variables(script: Script, variables: Sequence[str]) -> dict[str, Any]:
    space = script.turn(False)
    return {name: space[name] for name in variables if name in space}


def _draw(script: Script, variables: Sequence[str]) -> bool:
    """Whether there are weights; those that are zero are drawn, but for what an optimizer keeps."""
    found = places(script.weights, "net")
    arrays = [p for p in found if np.ndim(p.read()) > 0]
    variables = sorted({*variables} - script.loop.elements)  # the arrays themselves tell nothing
    for place in arrays:
        old = place.read()
        if np.any(old):
            continue
        held = _variables(script, variables)
        redraw([place], old.size)
        if _alike(held, _variables(script, variables)):
            place.write(old)  # nothing is computed of it but its own update
    return bool(arrays) or (bool(found) and script.rated)


def _alike(first: dict[str, Any], second: dict[str, Any]) -> bool:
    numbers = [n for n, v in first.items() if is_numbers(v)]
    return all(n in second and np.array_equal(first[n], second[n], equal_nan=True) for n in numbers)


def _parameters(script: Script, loss: Callable[[], float]) -> list[Place]:
    try:
        space = script.turn()
        new = {p.name: p.read() for p in places({k: space[k] for k in script.weights}, "net")}
        held = places(script.weights, "net")
        if "self" in script.weights:  # an object holds data as well
            held = [p for p in held if p.name in new and not np.array_equal(p.read(), new[p.name])]
        return with_effect(held, loss)
    except (Exception, SystemExit):
        return []


def _data_within(script: Script) -> tuple[Any, ...]:
    """The arrays of an object that are the data it was given."""
    held = vars(script.weights["self"]).values() if script.loop.held else ()
    arrays = [v for v in held if isinstance(v, np.ndarray)]
    return tuple(v for v in arrays if any(np.array_equal(v, d) for d in script.loop.held))


def _backward(
    script: Script, found: Sequence[Place], rate: float, variables: Sequence[str]
) -> Callable[[], Any]:
    def backward() -> dict[str, Any]:
        space = script.turn()
        if variables:
            named = {re.sub(r"\W+", "_", n[3:]).strip("_"): g for n, g in script.gradients.items()}
            taken = {f"d_{name}": gradient for name, gradient in named.items()}
            return {**taken, **{name: space[name] for name in variables if name in space}}
        return {f"d {p.name}": (p.read() - new) / rate for p, new in _new(script, space, found)}

    return backward


def _step(script: Script, found: Sequence[Place]) -> None:
    for place, new in _new(script, script.turn(), found):
        place.write(new)


def _new(
    script: Script, space: dict[str, Any], found: Sequence[Place]
) -> Iterator[tuple[Place, Array]]:
    """Weights with what a turn has made of them."""
    new = {p.name: p.read() for p in places({k: space[k] for k in script.weights}, "net")}
    for p in found:
        if p.name in new and np.shape(new[p.name]) == np.shape(p.read()):
            yield p, new[p.name]
