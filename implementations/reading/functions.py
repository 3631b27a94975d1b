"""Networks of functions over parameters: a file's own initializer, arrays by name, or globals."""

import ast
import copy
import inspect
import re
import types
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import names, usage
from samegrad.implementations.reading.arguments import GENERATOR, init_ways, value_of_kind
from samegrad.implementations.reading.board import Form, Sizes, parameters
from samegrad.implementations.reading.loading import Loaded, own_classes, own_functions
from samegrad.implementations.reading.networks import (
    Globals,
    Maker,
    Network,
    of_object,
)
from samegrad.implementations.reading.vectors import of_vectors

# Names of functions that do more than make something.
WORKS = re.compile(
    r"train|fit|main|run|test|demo|load|fetch|download|save|plot|evaluate|experiment|learn|search"
)
MOST_EXAMPLES = 200  # of a file's own data, which are not cut


def of_functions(loaded: Loaded, forward: Callable[..., Any] | None) -> Iterator[Maker]:
    """Ways to make parameters for a file of functions: its own initializer, or drawn by name."""
    functions = own_functions(loaded)
    if forward is None:
        forward = _taking(functions)
    inits = [f for name, f in functions.items() if names.INIT.match(name)]
    inits.sort(key=lambda f: ("deep" not in f.__name__, "param" not in f.__name__))
    inits += [f for f in functions.values() if f not in inits and of_widths(f)]
    takes = [p.name for p in parameters(forward)] if forward is not None else []
    for init in inits:
        for kinds in init_ways(init):
            yield partial(_initialized, loaded, init, kinds, takes, functions)
    drawn = [
        t
        for t in takes
        if names.WEIGHT.fullmatch(names.plain(t))
        and names.role(t) not in ("X", "y")
        and not _has_keys(forward, t)
    ]
    weights = [t for t in drawn if not names.plain(t).startswith("b")]
    learnt = [t for t in takes if t in drawn or names.role(t) == "params"]
    if learnt and set(learnt) <= _held_by(loaded):
        yield partial(_of_own, loaded, learnt, functions)
    yield from _of_unpacking(functions)
    if weights:
        one = len(weights) == 1 and len(drawn) < 3  # output may be meant
        for layout in ("rows", "columns", "rows 1", "rows column bias", *["flat"] * one):
            yield partial(_named, drawn, weights, layout, functions)
    elif forward is not None and any(names.role(t) == "params" for t in takes):
        if len(learnt) == 1 and not any(usage.unpacked(f, learnt[0]) for f in functions.values()):
            yield from (partial(_alone, learnt[0], shape, functions) for shape in ("fk", "f", "kf"))
        yield from _of_keys(forward, functions)
    yield from of_vectors(functions)
    held = _own_data(loaded)
    for data in (held, ()) if held else ((),):
        yield partial(_of_globals, loaded, functions, data)


def of_widths(function: Callable[..., Any]) -> bool:
    """Whether a function takes widths of layers and nothing else, whatever its name is."""
    known = (names.BACKWARD.match, names.FORWARD.match, names.LOSS.fullmatch, WORKS.search)
    if any(is_one(function.__name__) for is_one in known):
        return False
    given = [p.name for p in parameters(function) if p.default is p.empty]
    widths = [names.width(name) for name in given if not GENERATOR.fullmatch(names.plain(name))]
    data = "h" not in widths and {"X", "y"} & {names.role(name) for name in given}
    return all(widths) and (
        "sizes" in widths or (not data and len({"f", "h", "k"} & {*widths}) > 1)
    )


def of_factories(loaded: Loaded) -> Iterator[Maker]:
    """What functions of the file make: objects of its classes, or functions in a closure."""
    classes = set(own_classes(loaded))
    for function in own_functions(loaded).values():
        tree = usage.body(function)
        if tree is not None and _only_makes(tree, classes):
            for kinds in [*init_ways(function), []]:
                yield partial(_manufactured, function, kinds, loaded)


def _only_makes(tree: ast.AST, classes: set[str]) -> bool:
    """Whether a function returns what it makes, and does nothing else: it is going to be called."""
    nodes = list(ast.walk(tree))
    outer, *inner = [node.name for node in nodes if isinstance(node, ast.FunctionDef)] or [""]
    if WORKS.search(outer) or any(k.match(outer) for k in (names.BACKWARD, names.FORWARD)):
        return False
    made = {target.id for n in nodes if isinstance(n, ast.Assign) and _calls(n.value, classes)
            for target in n.targets if isinstance(target, ast.Name)}  # fmt: skip
    works = any(isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and (
        names.BACKWARD.match(n.func.attr) or names.STEP.fullmatch(n.func.attr)) for n in nodes
    )  # fmt: skip
    for node in nodes:
        if isinstance(node, ast.Return) and node.value is not None:
            read = [n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)]
            if not works and (_calls(node.value, classes) or (read[:1] and read[0] in made)):
                return True
            if len(set(read) & set(inner)) > 1:
                return True
    return False


def _calls(node: ast.AST, classes: set[str]) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in classes


def _manufactured(
    function: Callable[..., Any], kinds: Any, loaded: Loaded, sizes: Sizes, form: Form
) -> Network:
    np.random.seed(sizes.seed)
    arguments = {name: value_of_kind(kind, None, sizes, Form()) for name, kind in kinds}
    made = function(**arguments)
    shown = ", ".join(repr(v) if np.ndim(v) < 2 else name for name, v in arguments.items())
    title = f"what {function.__name__}({shown}) makes"
    if type(made).__name__ in own_classes(loaded) and not isinstance(made, tuple):
        return of_object(made, title, (), loaded)
    values = list(made.values()) if isinstance(made, dict) else list(vars(made).values()) if (
        isinstance(made, types.SimpleNamespace)) else list(made)  # fmt: skip
    called = list(made) if isinstance(made, dict) else getattr(
        made, "_fields", None) or [getattr(v, "__name__", "") for v in values]  # fmt: skip
    functions: dict[str, Any] = {n: v for n, v in zip(called, values, strict=True)
                 if isinstance(v, types.FunctionType) and v.__closure__}  # fmt: skip
    if len(functions) < 2:
        raise TypeError("it makes no functions")
    return Network(tuple(values), functions, title)


def _taking(functions: dict[str, Callable[..., Any]]) -> Callable[..., Any] | None:
    """A loss or a gradient that takes parameters, where no forward pass is known by its name."""
    for name, function in functions.items():
        if (
            names.LOSS.fullmatch(name) or names.BACKWARD.match(name) or names.BOTH.match(name)
            or usage.gives_loss(getattr(function, "__code__", None))
        ) and any(
            names.role(p.name) == "params" or names.WEIGHT.fullmatch(names.plain(p.name))
            for p in parameters(function)
        ):  # fmt: skip
            return function
    return None


def unmade(loaded: Loaded) -> str:
    """The hint that makes parameters that functions take and nothing in the file makes, or ""."""
    functions = own_functions(loaded)
    if any(names.INIT.match(name) for name in functions):
        return ""
    for name, function in functions.items():
        called = names.FORWARD.match(name) or names.BACKWARD.match(name)
        if not (called or names.LOSS.fullmatch(name)):
            continue
        for given in parameters(function):
            if names.role(given.name) == "params" and given.default is given.empty:
                return (
                    f"nothing in the file makes the {given.name} that {name} takes; say what it "
                    "is: `# samegrad: net = [np.random.randn(4, 6), np.zeros(6), ...]`"
                )
    return ""


def _of_unpacking(functions: dict[str, Callable[..., Any]]) -> Iterator[Maker]:
    """Arrays in lists, as a function unpacks them: `W1, b1, W2, b2 = params`."""
    for name, function in functions.items():
        for given in () if names.INIT.match(name) else parameters(function):
            if names.role(given.name) != "params":
                continue
            pattern = usage.unpacked(function, given.name)
            drawn = _flat(pattern)
            known = [d for d in drawn if names.WEIGHT.fullmatch(names.plain(d))]
            if drawn and known == drawn and len(set(drawn)) == len(drawn):
                layouts = ("rows", "columns", "rows 1", "rows column bias")
                yield from (partial(_unpacked, pattern, way, functions) for way in layouts)
                return


def _flat(pattern: str | list[Any]) -> list[str]:
    return [pattern] if isinstance(pattern, str) else [n for part in pattern for n in _flat(part)]


def _unpacked(
    pattern: list[Any], layout: str, functions: dict[str, Callable[..., Any]],
    sizes: Sizes, form: Form,
) -> Network:  # fmt: skip
    drawn = _flat(pattern)
    weights = [d for d in drawn if not names.plain(d).startswith("b")] or drawn
    made = of_drawn(drawn, weights, layout, sizes, functions)

    def filled(part: str | list[Any]) -> Any:
        return made.net[part] if isinstance(part, str) else [filled(p) for p in part]

    net = filled(pattern)
    return Network(net, functions, f"{made.title}, unpacked", {"params": net})


def _held_by(loaded: Loaded) -> set[str]:
    """The names of arrays, and of what holds nothing but arrays, that a file keeps in globals."""
    return {name for name, value in loaded.namespace.items() if _of_arrays(value)}


def _of_arrays(value: Any) -> bool:
    if isinstance(value, dict | list | tuple):
        parts = list(value.values()) if isinstance(value, dict) else value
        return bool(parts) and all(map(_of_arrays, parts))
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _of_own(
    loaded: Loaded, learnt: Sequence[str], functions: dict[str, Callable[..., Any]],
    sizes: Sizes, form: Form,
) -> Network:  # fmt: skip
    """Parameters and data as the file keeps them in globals, by the names that functions take."""
    params = {name: copy.deepcopy(loaded.namespace[name]) for name in learnt}
    title = f"functions of {', '.join(learnt)} as in the file"
    values = {**params, **({"params": params[learnt[0]]} if len(learnt) == 1 else {})}
    return Network(params, functions, title, values, _own_data(loaded))


def _alone(
    name: str, axes: str, functions: dict[str, Callable[..., Any]], sizes: Sizes, form: Form
) -> Network:
    """One array of parameters."""
    shape = tuple({"f": sizes.f, "k": sizes.k}[axis] for axis in axes)
    array = np.random.default_rng(sizes.seed).normal(0, 0.5, shape)
    title = f"functions of {name} {shape}"
    return Network({name: array}, functions, title, {name: array, "params": array})


def _of_globals(
    loaded: Loaded, functions: dict[str, Callable[..., Any]], held: tuple[Any, ...],
    sizes: Sizes, form: Form,
) -> Network:  # fmt: skip
    net = Globals(loaded.namespace)
    return Network(net, functions, "functions over global arrays", held=held)


def _own_data(loaded: Loaded) -> tuple[Any, ...]:
    """The inputs and targets that a file keeps in globals, or nothing."""
    arrays = {k: v for k, v in loaded.namespace.items()
              if isinstance(v, np.ndarray) and v.ndim in (1, 2)}  # fmt: skip
    X = next((v for k, v in arrays.items() if names.role(k) == "X" and v.ndim == 2), None)
    y = next((v for k, v in arrays.items() if names.role(k) == "y"), None)
    if X is None or y is None or max(X.shape) > MOST_EXAMPLES:
        return ()
    return (X, y) if set(X.shape) & set(y.shape) else ()


def _initialized(
    loaded: Loaded, init: Callable[..., Any], kinds: Any, takes: Sequence[str],
    functions: dict[str, Callable[..., Any]], sizes: Sizes, form: Form,
) -> Network:  # fmt: skip
    np.random.seed(sizes.seed)
    arguments = {name: value_of_kind(kind, None, sizes, Form()) for name, kind in kinds}
    made = _with_widths(loaded, init, arguments, sizes)
    shown = ", ".join(repr(v) if np.ndim(v) < 2 else name for name, v in arguments.items())
    if type(made) is tuple:  # what is passed for a number must be what the network holds
        made = tuple(np.array(part) if isinstance(part, float) else part for part in made)
    values: dict[str, Any] = {"params": made}
    if isinstance(made, tuple):
        called = usage.returned_names(init)
        values |= {n: part for n, part in zip(called, made, strict=False) if n}
        weights = [t for t in takes if names.role(t) not in ("X", "y")]
        if len(weights) == len(made):
            values |= dict(zip(weights, made, strict=True))
    if isinstance(made, dict):
        values |= {k: v for k, v in made.items() if isinstance(k, str)}
    if made is None:
        return Network(Globals(init.__globals__), functions, f"functions, {init.__name__}({shown})")
    net = made
    if isinstance(made, tuple):
        for called in (usage.returned_names(init), weights):
            if len(called) == len(made) and all(called):
                net = dict(zip(called, made, strict=True))
                break
    return Network(net, functions, f"functions, {init.__name__}({shown})", values)


def _with_widths(
    loaded: Loaded, init: Callable[..., Any], arguments: dict[str, Any], sizes: Sizes
) -> Any:
    """What an initializer makes; widths that are taken from data that are not here are ours."""
    own = init.__globals__
    lent = loaded.lent.setdefault(init.__module__, set())
    while True:
        own |= {name: getattr(sizes, names.width(name)) for name in lent}
        try:
            return init(**arguments)
        except NameError as error:
            name = error.name or ""
            if name in lent or names.width(name) not in ("f", "h", "k"):
                raise
            lent.add(name)


def _named(
    drawn: Sequence[str], weights: Sequence[str], layout: str,
    functions: dict[str, Callable[..., Any]], sizes: Sizes, form: Form,
) -> Network:  # fmt: skip
    """Functions that take each array by its name."""
    return of_drawn(drawn, weights, layout, sizes, functions)


def of_drawn(
    drawn: Sequence[str], weights: Sequence[str], layout: str, sizes: Sizes,
    functions: dict[str, Callable[..., Any]],
) -> Network:  # fmt: skip
    """Arrays for the parameters of a function, by their names in order."""
    rng = np.random.default_rng(sizes.seed)
    widths = [sizes.f, *[sizes.h + i for i in range(len(weights) - 1)], sizes.k]
    params: dict[str, Any] = {}
    layer = {w: i for i, w in enumerate(sorted(weights, key=_digits))}
    biases = sorted((d for d in drawn if d not in weights), key=_digits)
    for name in drawn:
        if name in layer:
            i = layer[name]
            shape: tuple[int, ...] = (widths[i], widths[i + 1])
            shape = {"columns": shape[::-1], "flat": shape[:1]}.get(layout, shape)
        else:
            width = widths[min(biases.index(name), len(weights) - 1) + 1]
            shape = {"rows": (width,), "rows 1": (1, width), "flat": ()}.get(layout, (width, 1))
        params[name] = np.asarray(rng.normal(0, 0.5, shape))
    stored = {"columns": "stored (out, in)", "flat": "for one output"}
    text = stored.get(layout, "stored (in, out)")
    return Network(params, functions, f"functions of {', '.join(drawn)} {text}", dict(params))


def _has_keys(function: Callable[..., Any] | None, name: str) -> bool:
    """Whether a function asks a parameter for something by a word: `weights["W1"]`."""
    tree = usage.body(function) if function is not None else None
    return tree is not None and any(
        isinstance(node, ast.Subscript) and usage.is_name(node.value, name)
        and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
        for node in ast.walk(tree)
    )  # fmt: skip


def _digits(name: str) -> str:
    """By which layers are sorted; without digits they stay in their order."""
    return "".join(re.findall(r"\d+", name))


def _of_keys(
    forward: Callable[..., Any], functions: dict[str, Callable[..., Any]]
) -> Iterator[Maker]:
    """A dict by the keys that a function asks for, or a list of pairs or of matrices."""
    try:
        source = inspect.getsource(forward)
    except OSError:
        return
    keys = list(dict.fromkeys(re.findall(r"""\[["'](\w+)["']\]""", source)))
    drawn = [k for k in keys if names.WEIGHT.fullmatch(names.plain(k))]
    weights = [k for k in drawn if not names.plain(k).startswith("b")]
    for layout in ("rows", "columns", "rows 1"):
        if weights:

            def make(sizes: Sizes, form: Form, layout: str = layout) -> Network:
                made = of_drawn(drawn, weights, layout, sizes, functions)
                return Network(made.net, functions, made.title, {**made.values, "params": made.net})

            yield make
            continue

        def pairs(sizes: Sizes, form: Form, layout: str = layout) -> Network:
            made = of_drawn(["W1", "b1", "W2", "b2"], ["W1", "W2"], layout, sizes, functions).net
            net = [[made["W1"], made["b1"]], [made["W2"], made["b2"]]]
            return Network(net, functions, "functions of [(W, b), ...]", {"params": net})

        yield pairs
    if not weights:

        def matrices(sizes: Sizes, form: Form) -> Network:
            made = of_drawn(["W1", "b1", "W2", "b2"], ["W1", "W2"], "rows", sizes, functions).net
            net = [made["W1"], made["W2"]]
            return Network(net, functions, "functions of [W, ...]", {"params": net})

        yield matrices
