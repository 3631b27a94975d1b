"""Which gradient a name belongs to: `dW1`, `grad_W1`, `W1.grad`, `grads["W1"]`, `nabla_w[0]`."""

import re
from functools import cache

# What a name of a gradient begins or ends with beside the parameter's own.
BEFORE = re.compile(
    r"(?:d[ljce]?_?d_?|delta_(?:nabla_)?|d_?|d[ljc]_?|(?:acc|total|sum)_?(?:grad|d)_?|"
    r"grad(?:ient)?(?:es|en|s|e)?_?(?:of_?)?|deriv[a-z]*_|ableitung_?|abl_|nabla_?|del_?|g_?)(?=.)",
    re.IGNORECASE,
)
AFTER = re.compile(r"_?(?:grad(?:ient)?s?|deriv(?:ative)?s?)$", re.IGNORECASE)
WHOLE = re.compile(r"d?_?(?:grad(?:ient)?s?|nablas?|derivatives?)|dparams|d", re.IGNORECASE)
CLEAR = re.compile(r"_*(?:d_?)?(?:grad|nabla|deriv)", re.IGNORECASE)
CHANGE = re.compile(r"returned\[(['\"])d (.+)\1\]")  # of what a step changes, by its own path
HOLDERS = {"params", "parameters", "data", "value", "values", "param", "_data", ""}
WEIGHTS = re.compile(r"(?:weights?|w|kernel|wts?)(_?\d*|_\w+)", re.IGNORECASE)
LISTS = {"params", "parameters"}
BIASES = re.compile(r"(?:bias(?:es)?|b)(_?\d*|_\w+)", re.IGNORECASE)


def parts(path: str) -> list[str]:
    """`net.layers[0].W` as ["net", "layers", "0", "W"]."""
    return [p.strip("'\"") for p in re.findall(r"[^.\[\]]+|'[^']*'", path)]


@cache
def of_parameter(path: str) -> tuple[str, ...]:
    """What a gradient of this must be called, the root left out."""
    return tuple(_core(p) for p in parts(path)[_root(path) :] if p.lower() not in HOLDERS)


@cache
def of_gradient(path: str) -> frozenset[tuple[str, ...]]:
    """The parameters whose gradient may have this name; none if it is no gradient's."""
    if change := CHANGE.fullmatch(path):
        return frozenset({of_parameter(change[2])})
    readings: set[tuple[tuple[str, ...], bool]] = {((), path.startswith("returned"))}
    for part in parts(path)[_root(path) :]:
        choices = {(_core(part), False)}
        if WHOLE.fullmatch(part):
            choices = {("", True)}
        elif part.lower() in HOLDERS:
            choices = {("", False)}
        else:
            if match := BEFORE.match(part.lstrip("_")):
                choices.add((_core(part.lstrip("_")[match.end() :]), True))
            if AFTER.search(part):
                choices.add((_core(AFTER.sub("", part)), True))
        readings = {
            ((*names, core) if core else names, marked or more)
            for names, marked in readings
            for core, more in choices
        }
    found = {names for names, marked in readings if marked and any(_named(names))}
    if path.startswith("returned"):  # (loss, gradients): the first index is a place among results
        found |= {names[1:] for names in found if names[0].isdigit()}
    return frozenset(found)


def pairs(parameter_paths: list[str], gradient_path: str) -> bool:
    """Whether a name says that it is the gradient of a parameter, by one of its paths."""
    gradients = of_gradient(gradient_path)
    return any(
        of_parameter(path) in gradients or _beside(parts(path), parts(gradient_path))
        for path in parameter_paths
    )


def says_gradient(path: str) -> bool:
    """Whether a name says that it holds gradients, of whatever."""
    return any(
        WHOLE.fullmatch(part) or AFTER.search(part) or CLEAR.match(part) for part in parts(path)
    )


def of_one_layer(one: str, other: str) -> bool:
    """Whether two paths are a layer's weights and its biases: `net.W1` and `net.b1`."""
    *place, last = parts(one)
    *there, beside = parts(other)
    cores = _core(last), _core(beside)
    return place == there and {"w", "b"} == {c[:1] for c in cores} and cores[0][1:] == cores[1][1:]


def _beside(parameter: list[str], gradient: list[str]) -> bool:
    """Whether one is `x.params[2]`, and the other `x.grads[2]`; or `x[2].value`, `x[2].grad`."""
    if len(parameter) != len(gradient):
        return False
    other = [(p, g) for p, g in zip(parameter, gradient, strict=True) if p != g]
    held = LISTS if parameter[-1] == gradient[-1] else LISTS | HOLDERS
    return len(other) == 1 and other[0][0] in held and bool(WHOLE.fullmatch(other[0][1]))


def _named(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if not name.isdigit()]


def _root(path: str) -> int:
    """How many parts are not compared: the root, but for a variable of its own name."""
    return 1 if len(parts(path)) > 1 and re.match(r"(net|returned)\b", path) else 0


def _core(part: str) -> str:
    bare = part.strip("_").lower()
    for pattern, letter in ((WEIGHTS, "w"), (BIASES, "b")):
        if match := pattern.fullmatch(bare):
            return letter + match.group(1).lstrip("_")
    return bare
